/* SPDX-License-Identifier: MIT */
/*
 * Descriptors as cases of a select: that one is readable, or writable.
 *
 * A case first looks: an operation that asks the kernel, and has the engine report the descriptor from
 * then on. Only when the select has to wait, an operation is allocated and handed to the engine, which
 * settles it by wf_case_op_settle when a report comes and the kernel says the same. So what is reported
 * late, of input that somebody has read since, ends no select.
 */
#include "base/assert.h"
#include "core/poller.h"
#include "core/select.h"
#include "io/op.h"
#include "io/watch.h"

#include <errno.h>

static struct wf_file *file_of(const struct weft_case *this)
{
	return &((struct weft_watch *)this->object)->file;
}

static bool submit(struct wf_op *op)
{
	struct wf_poller *poller = op->file->worker->poller;

	return poller->ops->submit(poller, op);
}

/* 1, 0, or why nobody may wait. A closed file that somebody holds is ready: taking the case tells. */
static int look(const struct weft_case *this, enum wf_op_kind kind)
{
	struct wf_file *file = file_of(this);
	struct wf_op op = { .file = file, .kind = kind };
	int r = 0;

	if (file->worker != wf_worker)
		return -EPERM;
	if (file->fd < 0)
		return 1;
	if (wf_op_is_busy(&op))
		return -EBUSY;
	if (file->kind->before_select)
		r = file->kind->before_select(file, wf_op_reads(&op));
	if (r != 0)
		return r;
	/* The hint may be older than what the descriptor has. */
	if (wf_op_reads(&op))
		file->readable = true;
	else
		file->writable = true;
	(void)submit(&op); /* on the spot */
	if (op.waiter.result == -EAGAIN)
		return 0;
	return op.waiter.result == 0 ? 1 : (int)op.waiter.result;
}

static int take(struct weft_case *this)
{
	return file_of(this)->fd < 0 ? WEFT_ECLOSED : 0;
}

static int enlist(struct weft_case *this, struct wf_waiter *waiter, enum wf_op_kind kind)
{
	struct wf_memory *memory = &waiter->task->worker->memory;
	struct wf_op *op = wf_memory_new(memory, sizeof *op);
	int r = -EBUSY; /* by another case of the same select */

	if (!op)
		return -ENOMEM;
	*op = (struct wf_op){
		.waiter = { .task = waiter->task,
			    .object = this->object,
			    .reason = WF_WAIT_SELECT },
		.file = file_of(this),
		.kind = kind,
		.u.ready.of_case = this,
	};
	this->wait.ready.op = op;
	this->wait.ready.waiter = waiter;
	if (!wf_op_is_busy(op)) {
		if (!submit(op))
			return 0;
		r = (int)op->waiter.result;
		wf_assert(r < 0); /* it was not ready a moment ago */
	}
	wf_memory_free(memory, op, sizeof *op);
	return r;
}

static void withdraw(struct weft_case *this)
{
	wf_op_end(this->wait.ready.op, -ECANCELED);
}

void wf_case_op_settle(struct wf_op *op, int64_t result)
{
	struct weft_case *this = op->u.ready.of_case;
	struct wf_waiter *waiter = this->wait.ready.waiter;

	wf_memory_free(&op->file->worker->memory, op, sizeof *op);
	wf_select_settle(waiter, this, (int)result);
}

static int input_is_ready(struct weft_case *this)
{
	return look(this, WF_OP_READABLE);
}

static int input_enlist(struct weft_case *this, struct wf_waiter *waiter)
{
	return enlist(this, waiter, WF_OP_READABLE);
}

struct weft_case weft_case_readable(struct weft_watch *watch)
{
	static const struct wf_case_kind kind = { input_is_ready, take, input_enlist, withdraw };

	return (struct weft_case){ .kind = &kind, .object = watch };
}

static int output_is_ready(struct weft_case *this)
{
	return look(this, WF_OP_WRITABLE);
}

static int output_enlist(struct weft_case *this, struct wf_waiter *waiter)
{
	return enlist(this, waiter, WF_OP_WRITABLE);
}

struct weft_case weft_case_writable(struct weft_watch *watch)
{
	static const struct wf_case_kind kind = { output_is_ready, take, output_enlist, withdraw };

	return (struct weft_case){ .kind = &kind, .object = watch };
}
