/* SPDX-License-Identifier: MIT */
/* Trying an operation at once; io/attempt.h tells what for. */
#include "io/attempt.h"

#include "base/compiler.h"
#include "io/clock.h"
#include "io/op.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	WINDOW_MAX = 64, /* pieces of a vector in one system call */
	SENDS_MAX = 16,	 /* by one attempt, however fast the peer reads */
};

/* Each tries an operation without blocking and returns its result, or -EAGAIN. */

static int64_t try_receive(struct wf_op *op)
{
	struct wf_file *file = op->file;
	ssize_t n = recv(file->fd, op->u.receive.buffer, op->u.receive.bytes, MSG_DONTWAIT);

	if (n < 0)
		return -errno;
	/* A stream that gave less than it was asked for is empty; the next attempt would block,
	 * unless the end has come too. */
	file->ended = n == 0;
	file->drained = (size_t)n < op->u.receive.bytes && !file->has_marks;
	if (!file->drained)
		return n;
	file->drained_at = wf_clock_now(NULL);
	if (n > 0 && !file->hung_up)
		file->readable = false;
	return n;
}

static int64_t try_read(struct wf_op *op)
{
	ssize_t n = read(op->file->fd, op->u.receive.buffer, op->u.receive.bytes);

	return n < 0 ? -errno : n;
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
	struct iovec window[WINDOW_MAX];
	int count;

	for (int sends = 0; (count = window_of(op, window)) > 0; sends++) {
		struct msghdr message = { .msg_iov = window, .msg_iovlen = (size_t)count };
		int flags = op->flags | MSG_DONTWAIT | MSG_NOSIGNAL;
		ssize_t n;

		if (sends == SENDS_MAX)
			return 1;
		n = count == 1 ? send(op->file->fd, window[0].iov_base, window[0].iov_len, flags) :
				 sendmsg(op->file->fd, &message, flags);

		if (n < 0)
			return -errno;
		advance(op, (size_t)n);
	}
	return 0;
}

/* Errors of a connection that failed while it waited: it is gone, and the next one may be there. */
static bool is_of_the_peer(int error)
{
	return error == ECONNABORTED || error == EPROTO || error == ENOPROTOOPT ||
	       error == EHOSTDOWN || error == EHOSTUNREACH || error == ENETDOWN ||
	       error == ENETUNREACH || error == ENONET;
}

static int64_t try_accept(struct wf_op *op)
{
	int fd = accept4(op->file->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= 0)
		return fd;
	return is_of_the_peer(errno) ? -EINTR : -errno;
}

/* The first attempt starts connecting; the kernel then says how it went. */
static int64_t try_connect(struct wf_op *op)
{
	int error = 0;
	socklen_t length = sizeof error;

	if (op->u.connect.address) {
		int r = connect(op->file->fd, op->u.connect.address, op->u.connect.length);

		op->u.connect.address = NULL;
		if (r == 0)
			return 0;
		if (errno == EAGAIN)
			return 1;
		return errno == EINPROGRESS || errno == EINTR ? -EAGAIN : -errno;
	}
	if (getsockopt(op->file->fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
		return -errno;
	return -error;
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
