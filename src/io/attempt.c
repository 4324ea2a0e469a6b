/* SPDX-License-Identifier: MIT */
/* Trying an operation at once; io/attempt.h tells what for. */
#include "io/attempt.h"

#include "base/compiler.h"
#include "core/poller.h"
#include "io/op.h"
#include "io/system.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

enum {
	WINDOW_MAX = 64, /* pieces of a vector in one system call */
	SENDS_MAX = 16,	 /* by one attempt, however fast the peer reads */
};

static struct wf_poller *poller_of(const struct wf_op *op)
{
	return op->file->worker->poller;
}

/* Each tries an operation without blocking and returns its result, or -EAGAIN. */

static int64_t try_receive(struct wf_op *op)
{
	struct wf_poller *poller = poller_of(op);
	struct wf_file *file = op->file;
	ssize_t n = poller->system->receive(poller, file->fd, op->u.receive.buffer,
					    op->u.receive.bytes, 0);

	if (n < 0)
		return n;
	/* A stream that gave less than it was asked for is empty; the next attempt would block,
	 * unless the end has come too. */
	file->ended = n == 0;
	file->drained = (size_t)n < op->u.receive.bytes && !file->has_marks;
	if (!file->drained)
		return n;
	file->drained_at = poller->ops->now(poller);
	if (n > 0 && !file->hung_up)
		file->readable = false;
	return n;
}

static int64_t try_read(struct wf_op *op)
{
	struct wf_poller *poller = poller_of(op);

	return poller->system->read(poller, op->file->fd, op->u.receive.buffer,
				    op->u.receive.bytes);
}

/* The pieces of the vector that are still to be sent, at most WINDOW_MAX of them. */
static int window_of(const struct wf_op *op, struct iovec *window)
{
	size_t offset = op->u.send.offset;
	int n = 0;

	for (int i = op->u.send.first; i < op->u.send.count && n < WINDOW_MAX; i++) {
		const struct iovec *piece = &op->u.send.vector[i];

		if (piece->iov_len > offset) {
			window[n].iov_base = (char *)piece->iov_base + offset;
			window[n++].iov_len = piece->iov_len - offset;
		}
		offset = 0;
	}
	return n;
}

static void advance(struct wf_op *op, size_t bytes)
{
	op->done += bytes;
	op->u.send.offset += bytes;
	while (op->u.send.first < op->u.send.count &&
	       op->u.send.offset >= op->u.send.vector[op->u.send.first].iov_len)
		op->u.send.offset -= op->u.send.vector[op->u.send.first++].iov_len;
}

static int64_t try_send(struct wf_op *op)
{
	struct wf_poller *poller = poller_of(op);
	struct iovec window[WINDOW_MAX];
	int count;

	for (int sends = 0; (count = window_of(op, window)) > 0; sends++) {
		ssize_t n;

		if (sends == SENDS_MAX)
			return 1;
		n = poller->system->send(poller, op->file->fd, window, count, op->flags);
		if (n < 0)
			return n;
		advance(op, (size_t)n);
	}
	return 0;
}

/* Errors of a connection that failed while it waited: it is gone, and the next one may be there. */
static bool is_of_the_peer(int error)
{
	return error == -ECONNABORTED || error == -EPROTO || error == -ENOPROTOOPT ||
	       error == -EHOSTDOWN || error == -EHOSTUNREACH || error == -ENETDOWN ||
	       error == -ENETUNREACH || error == -ENONET;
}

static int64_t try_accept(struct wf_op *op)
{
	struct wf_poller *poller = poller_of(op);
	int fd = poller->system->accept(poller, op->file->fd);

	return is_of_the_peer(fd) ? -EINTR : fd;
}

/* The first attempt starts connecting; the kernel then says how it went. */
static int64_t try_connect(struct wf_op *op)
{
	struct wf_poller *poller = poller_of(op);
	const struct wf_system *system = poller->system;
	int fd = op->file->fd;
	int error = 0;
	int r;

	if (op->u.connect.address) {
		r = system->connect(poller, fd, op->u.connect.address, op->u.connect.length);
		op->u.connect.address = NULL;
		if (r == -EAGAIN)
			return 1;
		return r == -EINPROGRESS || r == -EINTR ? -EAGAIN : r;
	}
	r = system->get_option(poller, fd, SOL_SOCKET, SO_ERROR, &error);
	return r < 0 ? r : -error;
}

static int64_t try_poll(const struct wf_op *op, short events)
{
	struct wf_poller *poller = poller_of(op);
	int r = poller->system->poll(poller, op->file->fd, events);

	if (r < 0)
		return r;
	return r > 0 ? 0 : -EAGAIN;
}

static int64_t try_once(struct wf_op *op)
{
	switch (op->kind) {
	case WF_OP_RECEIVE:
	case WF_OP_TAKE:
		return try_receive(op);
	case WF_OP_READ:
		return try_read(op);
	case WF_OP_INPUT:
		return op->file->readable ? 0 : -EAGAIN;
	case WF_OP_SEND:
		return try_send(op);
	case WF_OP_ACCEPT:
		return try_accept(op);
	case WF_OP_CONNECT:
		return try_connect(op);
	case WF_OP_READABLE:
		return try_poll(op, POLLIN | POLLRDHUP);
	case WF_OP_WRITABLE:
		return try_poll(op, POLLOUT);
	}
	return -EINVAL;
}

int64_t wf_attempt(struct wf_op *op)
{
	int64_t result;

	do
		result = try_once(op);
	while (result == -EINTR);
	if (result == -EAGAIN) {
		if (wf_op_reads(op))
			op->file->readable = false;
		else
			op->file->writable = false;
	}
	return result;
}
