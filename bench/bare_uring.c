/* SPDX-License-Identifier: MIT */
/*
 * The bare twin of the ping-pong servers on io_uring, by the same rules as bare_epoll.c.
 *
 *   bare_uring [--keep-alive] [--backlog N] [--defer-accept SECONDS] ADDRESS:PORT
 *
 * Connection per request: one multishot accept, and recv, send and close as system calls. A connection
 * is polled, once at a time, only if its request is not there yet. What was tried, in processor time of
 * a connection, with bare_epoll at 13.7 us:
 *
 *	12.75	this
 *	14.9	a multishot poll of the listener, and accept4 until it is empty
 *	15.1	a window of 16 accepts, each armed again when it completes
 *	1.00	times this, within 3 %: close as an operation of the ring, IORING_SETUP_TASKRUN_FLAG,
 *		IORING_SETUP_NO_SQARRAY; and all of them together
 *
 * Keep-alive: a multishot poll that stays for the connection's life, and for each request recv as a
 * system call and send as an operation of the ring, which is told of only if it fails: the reply is
 * constant, so nothing has to be kept for it. For a request on one of 64 connections:
 *
 *	4.59	this
 *	4.63	send as a system call
 *	4.66	a multishot receive with a ring of provided buffers; 4.72 if send is a system call
 *	4.83	a receive armed for each request; 4.90 with IORING_RECVSEND_POLL_FIRST
 *	0.99	times this, within 2 %: sockets as registered files; and 1.00, the two setup flags
 *	1.03	times this: asking with each receive how much is left (TCP_INQ)
 *
 * A poll keeps the open file alive, so a connection that ends takes its poll back before it is closed.
 * Both are operations of the ring, in this order; the descriptor is not given anew before they are
 * carried out, and completions of its former life, told by the serial number, are dropped.
 */
#define _GNU_SOURCE 1 /* memmem */
#include "bare.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>

enum { SQ_ENTRIES = 1024, CQ_ENTRIES = 8192 };

/* What a completion is of; in the upper half of its user_data, under the connection's serial number. */
enum kind { ACCEPT, POLL, SEND, UNPOLL, CLOSE };

struct connection {
	uint32_t drained; /* bytes thrown away after the reply */
	uint16_t serial;  /* counts those that have had this descriptor */
	uint8_t matched;  /* bytes of HEAD_END at the end of the input so far */
	bool answered;	  /* the reply is sent, input is being drained */
};

static struct connection *connections; /* indexed by descriptor */
static struct io_uring ring;
static struct bare_options options;
static int listen_fd;
static char buffer[BUFFER_BYTES];

static uint64_t user_data(enum kind kind, int fd)
{
	return (uint64_t)kind << 48 | (uint64_t)connections[fd].serial << 32 | (uint32_t)fd;
}

static struct io_uring_sqe *sqe(void)
{
	struct io_uring_sqe *s = io_uring_get_sqe(&ring);

	if (!s) {
		must(io_uring_submit(&ring), "io_uring_submit");
		s = io_uring_get_sqe(&ring);
	}
	return s;
}

/* An operation whose success is not told. */
static void quiet(struct io_uring_sqe *s, enum kind kind, int fd)
{
	s->flags |= IOSQE_CQE_SKIP_SUCCESS;
	s->user_data = user_data(kind, fd);
}

static void arm_accept(void)
{
	struct io_uring_sqe *s = sqe();

	io_uring_prep_multishot_accept(s, listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	s->user_data = user_data(ACCEPT, listen_fd);
}

static void watch(int fd)
{
	struct io_uring_sqe *s = sqe();

	if (options.keep_alive)
		io_uring_prep_poll_multishot(s, fd, POLLIN | POLLRDHUP);
	else
		io_uring_prep_poll_add(s, fd, POLLIN);
	s->user_data = user_data(POLL, fd);
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

/* Receives once: a poll that is armed on what is left completes at once. */
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
		else
			watch(fd);
		return;
	}
	c->matched = match_head_end(c->matched, buffer, (size_t)n);
	if (c->matched == 4)
		answer(fd, n == sizeof buffer);
	else
		watch(fd);
}

/* Takes back the poll, if there is one, and closes. */
static void end_kept(int fd, bool polled)
{
	struct io_uring_sqe *s;

	if (polled) {
		s = sqe();
		io_uring_prep_poll_remove(s, user_data(POLL, fd));
		quiet(s, UNPOLL, fd);
	}
	connections[fd].serial++;
	s = sqe();
	io_uring_prep_close(s, fd);
	quiet(s, CLOSE, fd);
}

/* Receives until the queue is empty, or to the end if that is near. Returns whether it is to stay. */
static bool serve_kept(int fd, bool ends)
{
	ssize_t n;

	do {
		n = recv(fd, buffer, sizeof buffer, 0);
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n <= 0)
			return false;
		for (int i = count_heads(&connections[fd].matched, buffer, (size_t)n); i > 0; i--) {
			struct io_uring_sqe *s = sqe();

			io_uring_prep_send(s, fd, REPLY_KEPT, sizeof REPLY_KEPT - 1,
					   MSG_NOSIGNAL | MSG_WAITALL);
			quiet(s, SEND, fd);
		}
	} while (ends || n == sizeof buffer);
	return true;
}

static void on_accept(int fd)
{
	if (fd < 0)
		return; /* no descriptor: later */
	connections[fd] = (struct connection){ .serial = connections[fd].serial };
	if (options.keep_alive)
		watch(fd);
	else
		serve(fd);
}

static void on_poll(int fd, int events, bool polled)
{
	if (!options.keep_alive)
		serve(fd);
	else if (events < 0 || !serve_kept(fd, events & ~POLLIN))
		end_kept(fd, polled);
	else if (!polled)
		watch(fd);
}

static void on_completion(const struct io_uring_cqe *cqe)
{
	bool more = cqe->flags & IORING_CQE_F_MORE;
	int fd = (int)(uint32_t)cqe->user_data;

	if (cqe->user_data >> 48 == ACCEPT) {
		on_accept(cqe->res);
		if (!more)
			arm_accept();
	} else if (cqe->user_data == user_data(POLL, fd)) {
		on_poll(fd, cqe->res, more);
	} else if (cqe->user_data == user_data(SEND, fd)) {
		end_kept(fd, true); /* the client is gone, or does not read its replies */
	}
}

static void open_ring(void)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			 IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE,
		.cq_entries = CQ_ENTRIES,
	};
	int r = io_uring_queue_init_params(SQ_ENTRIES, &ring, &params);

	if (r == 0)
		r = io_uring_register_ring_fd(&ring);
	errno = r < 0 ? -r : 0;
	must(r, "io_uring");
}

int main(int argc, char **argv)
{
	options = bare_options(argc, argv);
	connections = calloc(descriptors_max(), sizeof *connections);
	must(connections ? 0 : -1, "memory");
	open_ring();
	listen_fd = bare_listen(&options);
	arm_accept();
	for (;;) {
		struct io_uring_cqe *cqe;
		unsigned head, count = 0;

		(void)io_uring_submit_and_wait(&ring, 1);
		io_uring_for_each_cqe(&ring, head, cqe)
		{
			on_completion(cqe);
			count++;
		}
		io_uring_cq_advance(&ring, count);
	}
}
