/* SPDX-License-Identifier: MIT */
/*
 * The engine on epoll.
 *
 * An operation is tried at once, and only if it would block is the descriptor registered, edge-
 * triggered, and kept registered until it is closed. So a connection that brings its request along
 * costs four system calls: accept4, recv, send, close. When an event comes, the pending operation
 * is retried here, before its task is made ready: a task that wakes has its result.
 *
 * An event carries the number and the generation of a registration. A number is closed and given to
 * another file before an old event is read, or lives on in a forked child's copy; the generation
 * tells, and the event is dropped. `files` finds the file of a number.
 *
 * Registering asks for input only, and adds output when a send blocks for the first time: a socket
 * is writable when it is new, and would report that at once and in vain.
 */
#include "io/epoll.h"

#include "base/assert.h"
#include "base/compiler.h"
#include "io/op.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>
#include <weft/error.h>

enum {
	EVENTS_MAX = 256,
	WINDOW_MAX = 64, /* pieces of a vector in one system call */
	SENDS_MAX = 16,	 /* by one attempt, however fast the peer reads */
	FILES_MIN = 1024,
};

static const uint64_t WAKE_DATA = UINT64_MAX;

struct engine {
	struct wf_poller poller;
	struct wf_memory *memory;
	int epoll_fd;
	int wake_fd;
	uint32_t generation;
	uint32_t file_capacity;
	struct wf_file **files; /* by descriptor; NULL where none is registered */
	bool no_pwait2;
	struct epoll_event events[EVENTS_MAX];
};

static struct engine *engine_of(struct wf_poller *poller)
{
	return wf_container(poller, struct engine, poller);
}

static weft_time read_clock(struct wf_poller *poller)
{
	struct timespec now;

	(void)poller;
	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* this clock always exists */
	return now.tv_sec * WEFT_SECOND + now.tv_nsec;
}

/* ---- Attempts -------------------------------------------------------------------------------- */

/* Each tries an operation without blocking and returns its result, or -EAGAIN. */

static int64_t try_receive(struct wf_op *op)
{
	struct wf_file *file = op->file;
	ssize_t n = recv(file->fd, op->u.receive.buffer, op->u.receive.bytes, MSG_DONTWAIT);

	if (n < 0)
		return -errno;
	/* A stream that gave less than it was asked for is empty; the next attempt would block,
	 * unless the end has come too. */
	file->drained = (size_t)n < op->u.receive.bytes && !file->has_marks;
	if (!file->drained)
		return n;
	file->drained_at = read_clock(NULL);
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
		return try_receive(op);
	case WF_OP_READ:
		return try_read(op);
	case WF_OP_SEND:
		return try_send(op);
	case WF_OP_ACCEPT:
		return try_accept(op);
	case WF_OP_CONNECT:
		return try_connect(op);
	}
	return -EINVAL;
}

static int64_t try_op(struct wf_op *op)
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

/* ---- Registrations --------------------------------------------------------------------------- */

static int make_room(struct engine *engine, int fd)
{
	uint32_t capacity = engine->file_capacity ? engine->file_capacity : FILES_MIN;
	struct wf_file **files;

	while (capacity <= (uint32_t)fd)
		capacity *= 2;
	if (capacity == engine->file_capacity)
		return 0;
	files = wf_memory_resize(engine->memory, engine->files,
				 engine->file_capacity * sizeof *files, capacity * sizeof *files);
	if (!files)
		return -ENOMEM;
	memset(files + engine->file_capacity, 0,
	       (capacity - engine->file_capacity) * sizeof *files);
	engine->files = files;
	engine->file_capacity = capacity;
	return 0;
}

/* Has epoll watch the file for at least these events. */
static int watch(struct engine *engine, struct wf_file *file, uint32_t events)
{
	struct epoll_event event = { .events = file->watched | events | EPOLLRDHUP | EPOLLPRI |
					       EPOLLET };
	int command = file->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
	int r;

	if ((file->watched & events) == events)
		return 0;
	if (!file->watched) {
		if (make_room(engine, file->fd) < 0)
			return -ENOMEM;
		file->generation = ++engine->generation;
	}
	event.data.u64 = (uint64_t)file->generation << 32 | (uint32_t)file->fd;
	r = epoll_ctl(engine->epoll_fd, command, file->fd, &event);
	/* A duplicate may keep alive the registration of a file that was closed, and the number come
	 * back with the same socket behind it. */
	if (wf_unlikely(r < 0 && errno == EEXIST))
		r = epoll_ctl(engine->epoll_fd, EPOLL_CTL_MOD, file->fd, &event);
	if (r < 0)
		return errno == ENOSPC ? -ENOMEM : -errno; /* fs.epoll.max_user_watches */
	file->watched |= events;
	engine->files[file->fd] = file;
	return 0;
}

/* ---- The contract ---------------------------------------------------------------------------- */

static bool submit(struct wf_poller *poller, struct wf_op *op)
{
	struct wf_file *file = op->file;
	bool reads = wf_op_reads(op);
	int r;

	op->waiter.result = -EAGAIN;
	if (reads ? file->readable : file->writable)
		op->waiter.result = try_op(op);
	if (op->waiter.result != -EAGAIN)
		return true;
	r = watch(engine_of(poller), file, reads ? EPOLLIN : EPOLLIN | EPOLLOUT);
	if (wf_unlikely(r < 0)) {
		op->waiter.result = r;
		return true;
	}
	if (reads)
		file->reader = op;
	else
		file->writer = op;
	return false;
}

static void settle(struct wf_op *op, int64_t result)
{
	if (wf_op_reads(op))
		op->file->reader = NULL;
	else
		op->file->writer = NULL;
	wf_wait_settle(&op->waiter, result);
}

/* Nothing of a blocked operation is in the kernel's hands. */
static void cancel(struct wf_poller *poller, struct wf_op *op)
{
	(void)poller;
	settle(op, op->waiter.code);
}

static void retry(struct wf_op *op)
{
	int64_t result = try_op(op);

	if (result != -EAGAIN)
		settle(op, result);
}

static void handle(struct engine *engine, const struct epoll_event *event)
{
	uint32_t fd = (uint32_t)event->data.u64;
	uint32_t generation = (uint32_t)(event->data.u64 >> 32);
	struct wf_file *file = fd < engine->file_capacity ? engine->files[fd] : NULL;

	if (!file || file->generation != generation)
		return;
	if (event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		file->hung_up = true;
	if (event->events & EPOLLPRI)
		file->has_marks = true;
	if (event->events & (EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
		file->readable = true;
		if (file->reader)
			retry(file->reader);
	}
	if (event->events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) {
		file->writable = true;
		if (file->writer)
			retry(file->writer);
	}
}

/* A registration goes with the descriptor; events that have been read already, or that come by a
 * duplicate of it in another process, find no file. */
static void close_file(struct wf_poller *poller, struct wf_file *file)
{
	if (file->watched)
		engine_of(poller)->files[file->fd] = NULL;
	/* On Linux the number is free whatever close returns, and there is nobody to tell. */
	(void)close(file->fd);
}

static uint64_t draw_random(struct wf_poller *poller)
{
	uint64_t bits = 0;

	/* Before the kernel's generator is ready there is still the time; it is no secret anyway. */
	if (getrandom(&bits, sizeof bits, GRND_NONBLOCK) != (ssize_t)sizeof bits)
		bits = (uint64_t)read_clock(poller);
	return bits;
}

static int poll_events(struct engine *engine, weft_time deadline)
{
	weft_time now = deadline == 0 || deadline == WEFT_FOREVER ? 0 : read_clock(&engine->poller);
	weft_time left = deadline > now ? deadline - now : 0;
	struct timespec timeout = { .tv_sec = left / WEFT_SECOND, .tv_nsec = left % WEFT_SECOND };

	if (left == 0)
		return epoll_wait(engine->epoll_fd, engine->events, EVENTS_MAX, 0);
	if (deadline == WEFT_FOREVER)
		return epoll_wait(engine->epoll_fd, engine->events, EVENTS_MAX, -1);
	if (!engine->no_pwait2) {
		int n = epoll_pwait2(engine->epoll_fd, engine->events, EVENTS_MAX, &timeout, NULL);

		if (n >= 0 || errno == EINTR)
			return n;
		engine->no_pwait2 = true; /* ENOSYS, or what a sandbox answers */
	}
	left = (left + WEFT_MILLISECOND - 1) / WEFT_MILLISECOND;
	return epoll_wait(engine->epoll_fd, engine->events, EVENTS_MAX,
			  left > INT_MAX ? INT_MAX : (int)left);
}

static void wait_for_events(struct wf_poller *poller, weft_time deadline)
{
	struct engine *engine = engine_of(poller);
	int count = poll_events(engine, deadline); /* -1: EINTR, that is no event */

	for (int i = 0; i < count; i++) {
		uint64_t wakes;

		if (engine->events[i].data.u64 != WAKE_DATA)
			handle(engine, &engine->events[i]);
		else
			(void)!read(engine->wake_fd, &wakes,
				    sizeof wakes); /* EAGAIN: read already */
	}
}

static void wake(struct wf_poller *poller)
{
	uint64_t one = 1;
	ssize_t n = write(engine_of(poller)->wake_fd, &one, sizeof one);

	(void)n; /* EAGAIN: the counter is full, so a wake is under way */
}

static void done(struct wf_poller *poller)
{
	struct engine *engine = engine_of(poller);

	(void)close(engine->wake_fd);
	(void)close(engine->epoll_fd);
	wf_memory_free(engine->memory, engine->files,
		       engine->file_capacity * sizeof *engine->files);
	wf_memory_free(engine->memory, engine, sizeof *engine);
}

static const struct wf_poller_ops epoll_ops = {
	.name = "epoll",
	.done = done,
	.now = read_clock,
	.random = draw_random,
	.submit = submit,
	.cancel = cancel,
	.close = close_file,
	.wait = wait_for_events,
	.wake = wake,
};

int wf_epoll_new(struct wf_memory *memory, struct wf_poller **ret_poller)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = WAKE_DATA };
	struct engine *engine = wf_memory_new(memory, sizeof *engine);
	int r;

	if (!engine)
		return -ENOMEM;
	*engine = (struct engine){ .poller.ops = &epoll_ops, .memory = memory };
	engine->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (engine->epoll_fd < 0) {
		r = -errno;
		goto free_engine;
	}
	engine->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (engine->wake_fd < 0) {
		r = -errno;
		goto close_epoll;
	}
	if (epoll_ctl(engine->epoll_fd, EPOLL_CTL_ADD, engine->wake_fd, &event) < 0) {
		r = -errno;
		goto close_wake;
	}
	*ret_poller = &engine->poller;
	return 0;

close_wake:
	(void)close(engine->wake_fd);
close_epoll:
	(void)close(engine->epoll_fd);
free_engine:
	wf_memory_free(memory, engine, sizeof *engine);
	return r;
}
