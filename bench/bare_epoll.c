/* SPDX-License-Identifier: MIT */
/*
 * The bare twin of the ping-pong server: the system calls it cannot do without, and no library.
 *
 *   bare_epoll [--backlog N] [--defer-accept SECONDS] ADDRESS:PORT
 *
 * accept4, recv, send and close for each connection, and one epoll_wait for each batch of them. A
 * connection is registered with epoll only if its request is not there yet. The reply is sent with
 * MSG_MORE and the close that follows puts FIN on the same segment; that needs an empty receive
 * queue, because closing on unread input makes the kernel reset the connection and lose the reply.
 * A receive that came up short shows the queue is empty; otherwise the server ends its output
 * and throws away what still comes. One byte of state per connection says how much of the head's
 * end has been seen, so no input is kept. There are no timers: a silent client keeps its descriptor.
 */
#define _GNU_SOURCE 1 /* accept4 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BATCH = 256, BUFFER_BYTES = 4096, DRAIN_BYTES_MAX = 64 * 1024 };

static const char REPLY[] = "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nPong!\r\n";
static const char HEAD_END[] = "\r\n\r\n";

struct connection {
	uint32_t drained; /* bytes thrown away after the reply */
	uint8_t matched;  /* bytes of HEAD_END at the end of the input so far */
	bool watched;	  /* registered with epoll */
	bool answered;	  /* the reply is sent, input is being drained */
};

static struct connection *connections; /* indexed by descriptor */
static int epoll_fd, listen_fd;
static char buffer[BUFFER_BYTES];

/* How much of HEAD_END the input ends with, or all of it if the head's end is in there. */
static uint8_t match_head_end(uint8_t matched, const char *text, size_t bytes)
{
	if (bytes >= 4 && !memcmp(text + bytes - 4, HEAD_END, 4))
		return 4;
	for (size_t i = 0; i < bytes && matched < 4; i++)
		matched = text[i] == HEAD_END[matched] ? matched + 1 : text[i] == '\r';
	return matched;
}

static void watch(int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

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
	watch(fd);
}

/* Reads once: what is left makes a level-triggered descriptor ready again. */
static void serve(int fd)
{
	struct connection *c = &connections[fd];
	ssize_t n = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);

	if (n <= 0) {
		if (n < 0 && errno == EAGAIN)
			watch(fd);
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
		watch(fd);
}

static void accept_batch(void)
{
	for (int i = 0; i < BATCH; i++) {
		int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0)
			return; /* nothing there, or no descriptor: later */
		connections[fd] = (struct connection){ 0 };
		serve(fd);
	}
}

static void on_term(int signal)
{
	(void)signal;
	_exit(0);
}

static void must(int result, const char *what)
{
	if (result >= 0)
		return;
	perror(what);
	exit(1);
}

static void listen_on(char *address, int backlog, int defer_accept_s)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	char *colon = strrchr(address, ':');
	struct epoll_event event = { .events = EPOLLIN };
	int one = 1;

	in.sin_port = htons((uint16_t)(colon ? strtol(colon + 1, NULL, 10) : 0));
	if (colon)
		*colon = 0;
	must(inet_pton(AF_INET, address, &in.sin_addr) == 1 ? 0 : -1, "ADDRESS:PORT");
	must(listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
	must(setsockopt(listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one), "SO_REUSEADDR");
	must(setsockopt(listen_fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), "TCP_NODELAY");
	if (defer_accept_s)
		must(setsockopt(listen_fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &defer_accept_s,
				sizeof defer_accept_s),
		     "TCP_DEFER_ACCEPT");
	must(bind(listen_fd, (struct sockaddr *)&in, sizeof in), "bind");
	must(listen(listen_fd, backlog), "listen");
	event.data.fd = listen_fd;
	must(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listen_fd, &event), "epoll_ctl");
	printf("listening on %s:%d\n", address, ntohs(in.sin_port));
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct epoll_event events[BATCH];
	struct rlimit limit;
	int backlog = 4096, defer_accept_s = 0, i;

	for (i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--backlog"))
			backlog = (int)strtol(argv[i + 1], NULL, 10);
		else if (!strcmp(argv[i], "--defer-accept"))
			defer_accept_s = (int)strtol(argv[i + 1], NULL, 10);
	}
	if (i >= argc) {
		fprintf(stderr, "bare_epoll [--backlog N] [--defer-accept SECONDS] ADDRESS:PORT\n");
		return 2;
	}
	signal(SIGTERM, on_term);
	must(getrlimit(RLIMIT_NOFILE, &limit), "RLIMIT_NOFILE");
	connections = calloc(limit.rlim_cur, sizeof *connections);
	must(connections ? 0 : -1, "memory");
	must(epoll_fd = epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
	listen_on(argv[i], backlog, defer_accept_s);
	for (;;) {
		int count = epoll_wait(epoll_fd, events, BATCH, -1);

		for (i = 0; i < count; i++) {
			if (events[i].data.fd == listen_fd)
				accept_batch();
			else
				serve(events[i].data.fd);
		}
	}
}
