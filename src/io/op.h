/* SPDX-License-Identifier: MIT */
/*
 * One operation on a descriptor: submitted, perhaps waited for, settled once. It lives on the stack
 * of the task that waits, but for those that belong to a select.
 *
 * The kinds, and the result of each: a negative code, or
 *	RECEIVE	 the bytes received from a socket, 0 at the end of the input
 *	READ	 the same from any other descriptor that can be polled
 *	TAKE	 as RECEIVE, but -EAGAIN in place of waiting
 *	INPUT	 0 when a receive may find something
 *	SEND	 0 when everything has been sent, 1 when others should have a turn before the rest;
 *		 `done` counts, whatever the result
 *	ACCEPT	 a new descriptor, non-blocking and closed on exec
 *	READABLE, WRITABLE  0 when the kernel says that a receive would find something, or a send room. They
 *		 belong to a case of a select (io/select.c), not to a task; without one, -EAGAIN in
 *		 place of waiting
 *	CONNECT	 0; 1 when a Unix socket's backlog is full, which only a later attempt can help
 */
#pragma once

#include "core/wait.h"
#include "core/worker.h"
#include "io/file.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum wf_op_kind {
	WF_OP_RECEIVE,
	WF_OP_READ,
	WF_OP_TAKE,
	WF_OP_INPUT,
	WF_OP_SEND,
	WF_OP_ACCEPT,
	WF_OP_CONNECT,
	WF_OP_READABLE,
	WF_OP_WRITABLE,
};

struct weft_case;

struct wf_op {
	struct wf_waiter waiter;
	struct wf_file *file;
	enum wf_op_kind kind;
	int flags; /* of send(2) */
	union {
		struct {
			void *buffer;
			size_t bytes;
		} receive;
		struct {
			/* Never changed; the engine builds windows of it from `done`. */
			const struct iovec *vector;
			int count;
			int first;     /* the piece that `done` lies in */
			size_t offset; /* and how far into it */
		} send;
		struct {
			uint32_t room;	  /* connections the caller can take */
			uint32_t backlog; /* and the listener may hold */
		} accept;
		struct {
			const struct sockaddr *address;
			socklen_t length;
		} connect;
		struct {
			struct weft_case *of_case;
		} ready;
	} u;
	size_t done; /* bytes sent so far */
};

/* The calling task, if it may use the file; NULL outside a task and in one of another worker. */
static inline struct wf_task *wf_file_user(const struct wf_file *file)
{
	struct wf_task *task = wf_task_self();

	return task && task->worker == file->worker ? task : NULL;
}

/* Whether a call that is no operation may use the descriptor: 0; -EPERM on another worker and outside
 * weft_run; WEFT_ECLOSED. */
static inline int wf_file_check(const struct wf_file *file)
{
	if (file->worker != wf_worker)
		return -EPERM;
	return file->fd < 0 ? WEFT_ECLOSED : 0;
}

/* Whether the operation waits for input, rather than for room. */
static inline bool wf_op_reads(const struct wf_op *op)
{
	return op->kind != WF_OP_SEND && op->kind != WF_OP_CONNECT && op->kind != WF_OP_WRITABLE;
}

/* Whether it may only be performed on the spot. */
static inline bool wf_op_only_looks(const struct wf_op *op)
{
	return (op->kind == WF_OP_READABLE || op->kind == WF_OP_WRITABLE) && !op->u.ready.of_case;
}

/* Whether another one of its direction is pending, or the file is parked. */
static inline bool wf_op_is_busy(const struct wf_op *op)
{
	const struct wf_file *file = op->file;

	return wf_op_reads(op) ? file->reader || file->parked : file->writer != NULL;
}

/* What an engine settles a pending operation by, which its file has forgotten: makes the task ready, or
 * ends the select. The operation is gone then. */
void wf_op_settle(struct wf_op *op, int64_t result);

/* The same for one of a select. */
void wf_case_op_settle(struct wf_op *op, int64_t result);

/* Runs an operation whose file, kind and arguments are set, as a checkpoint of the calling task,
 * which waits for `object`. Returns its result; or the code of a stop; -EBUSY if another one of its
 * direction is pending; WEFT_ECLOSED if the descriptor is closed; -EPERM outside a task, and in one of another worker. */
int64_t wf_op_run(struct wf_op *op, const void *object, enum wf_wait_reason reason);

/* Ends a pending operation, if there is one, with that code. */
void wf_op_end(struct wf_op *op, int code);
