/* SPDX-License-Identifier: MIT */
/*
 * The bare twin of the ping-pong servers on epoll: the system calls they cannot do without, and no
 * library.
 *
 *   bare_epoll [--keep-alive] [--backlog N] [--defer-accept SECONDS] ADDRESS:PORT
 *
 * Connection per request: accept4, recv, send and close for each connection, and one epoll_wait for
 * each batch of them. A connection is registered with epoll only if its request is not there yet. The
 * reply is sent with MSG_MORE and the close that follows puts FIN on the same segment; that needs an
 * empty receive queue, because closing on unread input makes the kernel reset the connection and lose
 * the reply. A receive that came up short shows the queue is empty; otherwise the server ends its
 * output and throws away what still comes.
 *
 * Keep-alive: recv and send for each request, and one epoll_wait for each batch of them. A connection
 * is registered once, edge-triggered. A receive that came up short has emptied the queue, and what
 * comes after it is a new edge; so nothing is received to see that there is nothing. An end that is
 * there already is no new edge: EPOLLRDHUP tells it, and then everything is received. A client that
 * does not read its replies is closed.
 *
 * One byte of state per connection says how much of the head's end has been seen, so no input is
 * kept. There are no timers: a silent client keeps its descriptor.
 */
#define _GNU_SOURCE 1 /* accept4, memmem */
#include "bare.h"

#include <errno.h>
#include <sys/epoll.h>

enum { BATCH = 256 };

struct connection {
	uint32_t drained; /* bytes thrown away after the reply */
	uint8_t matched;  /* bytes of HEAD_END at the end of the input so far */
	bool watched;	  /* registered with epoll */
	bool answered;	  /* the reply is sent, input is being drained */
};

static struct connection *connections; /* indexed by descriptor */
static int epoll_fd, listen_fd;
static char buffer[BUFFER_BYTES];

static void watch(int fd, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.fd = fd };

	if (connections[fd].watched)
		return;
	connections[fd].watched = true;
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event))
		close(fd);
}

/* The head has been read; `unread` tells that there may be more input than that. */
static void answer(int fd, bool unread)
{
	if (!unread) {
		(void)send(fd, REPLY, sizeof REPLY - 1, MSG_MORE | MSG_NOSIGNAL);
		close(fd);
		return;
	}
	(void)send(fd, REPLY, sizeof REPLY - 1, MSG_NOSIGNAL);
	shutdown(fd, SHUT_WR);
	connections[fd].answered = true;
	watch(fd, EPOLLIN);
}

/* Reads once: what is left makes a level-triggered descriptor ready again. */
static void serve(int fd)
{
	struct connection *c = &connections[fd];
	ssize_t n = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);

	if (n <= 0) {
		if (n < 0 && errno == EAGAIN)
			watch(fd, EPOLLIN);
		else
			close(fd);
		return;
	}
	if (c->answered) {
		c->drained += (uint32_t)n;
		if (c->drained >= DRAIN_BYTES_MAX)
			close(fd);
		return;
	}
	c->matched = match_head_end(c->matched, buffer, (size_t)n);
	if (c->matched == 4)
		answer(fd, n == sizeof buffer);
	else
		watch(fd, EPOLLIN);
}

static bool answer_kept(int fd, int count)
{
	while (count-- > 0)
		if (send(fd, REPLY_KEPT, sizeof REPLY_KEPT - 1, MSG_NOSIGNAL) !=
		    sizeof REPLY_KEPT - 1)
			return false;
	return true;
}

/* Receives until the queue is empty, or to the end if that is near. */
static void serve_kept(int fd, bool ends)
{
	ssize_t n;

	do {
		n = recv(fd, buffer, sizeof buffer, 0);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0 ||
		    !answer_kept(fd, count_heads(&connections[fd].matched, buffer, (size_t)n))) {
			close(fd);
			return;
		}
	} while (ends || n == sizeof buffer);
}

static void accept_batch(bool keep_alive)
{
	for (int i = 0; i < BATCH; i++) {
		int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0)
			return; /* nothing there, or no descriptor: later */
		connections[fd] = (struct connection){ 0 };
		if (keep_alive)
			watch(fd, EPOLLIN | EPOLLRDHUP | EPOLLET);
		else
			serve(fd);
	}
}

int main(int argc, char **argv)
{
	struct bare_options options = bare_options(argc, argv);
	struct epoll_event events[BATCH], event = { .events = EPOLLIN };

	connections = calloc(descriptors_max(), sizeof *connections);
	must(connections ? 0 : -1, "memory");
	must(epoll_fd = epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
	listen_fd = event.data.fd = bare_listen(&options);
	must(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listen_fd, &event), "epoll_ctl");
	for (;;) {
		int count = epoll_wait(epoll_fd, events, BATCH, -1);

		for (int i = 0; i < count; i++) {
			int fd = events[i].data.fd;

			if (fd == listen_fd)
				accept_batch(options.keep_alive);
			else if (options.keep_alive)
				serve_kept(fd, events[i].events & ~(uint32_t)EPOLLIN);
			else
				serve(fd);
		}
	}
}
