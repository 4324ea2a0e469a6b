/* SPDX-License-Identifier: MIT */
#include "core/dump.h"

#include "base/assert.h"
#include "core/scope.h"
#include "core/worker.h"

#include <weft/error.h>

enum { TASKS_MAX = 1000 };

const char *wf_wait_reason_name(enum wf_wait_reason reason)
{
	static const char *const names[] = {
		[WF_WAIT_JOIN] = "tasks of a scope",
		[WF_WAIT_SLEEP] = "a time",
		[WF_WAIT_STOP] = "a stop",
		[WF_WAIT_EVENT] = "an event",
		[WF_WAIT_ACCEPT] = "a connection to accept",
		[WF_WAIT_CONNECT] = "a connection to be made",
		[WF_WAIT_READ] = "input",
		[WF_WAIT_WRITE] = "room for output",
		[WF_WAIT_SIGNAL] = "a signal",
		[WF_WAIT_BUFFER] = "a buffer",
		[WF_WAIT_IDLE] = "all others to wait",
	};

	return reason < sizeof names / sizeof *names && names[reason] ? names[reason] : "something";
}

static void show(const struct wf_task *task)
{
	const struct wf_waiter *waiter = task->waiter;

	wf_say("  task \"%s\" (spawned at %s) on host %d %s%s%s%s", task->name, task->site,
	       task->host, waiter ? "waits for " : "is ready",
	       waiter ? wf_wait_reason_name(waiter->reason) : "",
	       task->scope->stop ? ", stopped by " : "",
	       task->scope->stop ? weft_error_name(task->scope->stop) : "");
}

void wf_dump(const struct weft_worker *worker)
{
	const struct weft_scope *scope = &worker->root;
	int shown = 0;

	wf_say("%u tasks, %u parked", worker->tasks, worker->parked);
	for (; scope; scope = wf_scope_next(scope, &worker->root))
		for (const struct wf_task *task = scope->children; task; task = task->next)
			if (shown++ < TASKS_MAX)
				show(task);
}
