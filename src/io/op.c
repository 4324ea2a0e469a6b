/* SPDX-License-Identifier: MIT */
/* Running operations, and closing what they are at; io/op.h tells the kinds. */
#include "io/op.h"

#include "base/assert.h"
#include "core/poller.h"
#include "core/worker.h"
#include "io/system.h"

#include <errno.h>
#include <weft/error.h>

static void withdraw(struct wf_waiter *waiter)
{
	struct wf_poller *poller = waiter->task->worker->poller;

	poller->ops->cancel(poller, wf_container(waiter, struct wf_op, waiter));
}

static int64_t perform(struct wf_op *op, struct wf_task *task, const void *object,
		       enum wf_wait_reason reason)
{
	bool is_new_work = reason == WF_WAIT_ACCEPT;
	struct wf_poller *poller;
	int r = is_new_work ? wf_checkpoint_soft(task) : wf_checkpoint(task);

	if (wf_unlikely(r < 0))
		return r;
	if (wf_unlikely(op->file->fd < 0))
		return WEFT_ECLOSED;
	if (wf_unlikely(wf_op_is_busy(op)))
		return -EBUSY;
	op->waiter = (struct wf_waiter){
		.task = task,
		.object = object,
		.withdraw = withdraw,
		.reason = (uint8_t)reason,
		.ends_softly = is_new_work,
	};
	poller = task->worker->poller;
	if (poller->ops->submit(poller, op))
		return op->waiter.result;
	return wf_wait(&op->waiter);
}

int64_t wf_op_run(struct wf_op *op, const void *object, enum wf_wait_reason reason)
{
	struct wf_file *file = op->file;
	struct wf_task *task = wf_file_user(file);
	int64_t result;

	if (wf_unlikely(!task))
		return -EPERM;
	wf_file_hold(file);
	result = perform(op, task, object, reason);
	wf_file_drop(file);
	return result;
}

void wf_op_settle(struct wf_op *op, int64_t result)
{
	if (wf_unlikely(op->kind == WF_OP_READABLE || op->kind == WF_OP_WRITABLE))
		wf_case_op_settle(op, result);
	else
		wf_wait_settle(&op->waiter, result);
}

void wf_op_end(struct wf_op *op, int code)
{
	struct wf_poller *poller;

	if (!op || op->waiter.state != WF_WAIT_ARMED)
		return;
	poller = op->file->worker->poller;
	op->waiter.state = WF_WAIT_REQUESTED;
	op->waiter.code = code;
	poller->ops->cancel(poller, op);
}

bool wf_file_has_input(const struct wf_file *file)
{
	struct wf_poller *poller = file->worker->poller;
	char byte;

	return poller->system->receive(poller, file->fd, &byte, 1, MSG_PEEK) > 0;
}

void wf_file_close(struct wf_file *file)
{
	struct wf_poller *poller = file->worker->poller;

	if (wf_forked)
		return;
	wf_assert(file->worker == wf_worker);
	if (file->fd < 0)
		return;
	wf_op_end(file->reader, WEFT_ECLOSED);
	wf_op_end(file->writer, WEFT_ECLOSED);
	poller->ops->close(poller, file);
	file->fd = -1;
	if (file->parked)
		file->kind->readable(file);
}
