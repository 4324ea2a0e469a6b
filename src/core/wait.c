/* SPDX-License-Identifier: MIT */
/* Waiting, and what every checkpoint does first; core/wait.h tells how it works. */
#include "core/wait.h"

#include "base/assert.h"
#include "core/scope.h"
#include "core/worker.h"

int64_t wf_wait(struct wf_waiter *waiter)
{
	struct wf_task *task = waiter->task;
	struct weft_worker *worker = task->worker;

	wf_assert(task == worker->current && !task->waiter);
	task->waiter = waiter;
	wf_scope_arm(task->scope, &worker->timers);
	(void)wf_worker_suspend(worker);
	task->waiter = NULL;
	wf_assert_slow(waiter->state == WF_WAIT_SETTLED);
	if (wf_unlikely(waiter->code && waiter->result == waiter->code))
		wf_task_refused(task, waiter->code);
	return waiter->result;
}

void wf_wait_settle(struct wf_waiter *waiter, int64_t result)
{
	wf_assert(waiter->state != WF_WAIT_SETTLED);
	wf_assert(waiter->task->worker == wf_worker); /* another thread must go through weft_post */
	waiter->state = WF_WAIT_SETTLED;
	waiter->result = result;
	wf_worker_ready(waiter->task->worker, waiter->task);
}

void wf_wait_interrupt(struct wf_task *task, int code)
{
	struct wf_waiter *waiter = task->waiter;

	if (!waiter || !waiter->withdraw || waiter->state != WF_WAIT_ARMED)
		return;
	waiter->state = WF_WAIT_REQUESTED;
	waiter->code = code;
	waiter->withdraw(waiter);
}

int wf_checkpoint_slow(struct wf_task *task)
{
	struct weft_worker *worker = task->worker;
	struct weft_scope *scope = task->scope;

	if (!scope->stop && worker->now >= scope->deadline)
		wf_scope_expire(scope->deadline_scope);
	worker->runs_left = 1; /* much may have been done since the clock was read */
	wf_worker_ready(worker, task);
	(void)wf_worker_suspend(worker);
	if (!scope->stop && worker->now >= scope->deadline)
		wf_scope_expire(scope->deadline_scope);
	if (scope->stop) {
		wf_task_refused(task, scope->stop);
		return scope->stop;
	}
	task->refusals = 0;
	return 0;
}

int wf_checkpoint_soft(struct wf_task *task)
{
	uint32_t refusals = task->refusals;
	int r = wf_checkpoint(task);

	if (r < 0 || !task->scope->stopping)
		return r;
	return wf_checkpoint_refuse(task, refusals, WEFT_ESTOPPING);
}

int wf_checkpoint_refuse(struct wf_task *task, uint32_t refusals, int code)
{
	task->refusals = (uint16_t)refusals; /* it was not granted */
	wf_worker_ready(task->worker, task);
	(void)wf_worker_suspend(task->worker);
	wf_task_refused(task, code);
	return code;
}

void wf_task_refused(struct wf_task *task, int code)
{
	if (++task->refusals < WF_REFUSALS_MAX)
		return;
	wf_panic(
		"task \"%s\" (spawned at %s) went on after %d checkpoints in a row had returned %s; "
		"a task must return when it is stopped",
		task->name, task->site, WF_REFUSALS_MAX, weft_error_name(code));
}
