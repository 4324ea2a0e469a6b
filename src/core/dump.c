/* SPDX-License-Identifier: MIT */
/* A list of all tasks, in the order in which the tree of scopes is walked. */
#include "core/dump.h"

#include "base/assert.h"
#include "core/scope.h"
#include "core/wait.h"
#include "core/worker.h"

#include <weft/error.h>

enum { TASKS_MAX = 1000 };

static const char *const reasons[] = {
	[WF_WAIT_JOIN] = "tasks of a scope",
	[WF_WAIT_SLEEP] = "a time",
	[WF_WAIT_STOP] = "a stop",
	[WF_WAIT_EVENT] = "an event",
	[WF_WAIT_MUTEX] = "a mutex",
	[WF_WAIT_CONDITION] = "a condition",
	[WF_WAIT_SEMAPHORE] = "a semaphore",
	[WF_WAIT_GROUP] = "a wait group",
	[WF_WAIT_LATEST] = "a new value",
	[WF_WAIT_FUTURE] = "a future",
	[WF_WAIT_POOL] = "a pool of tasks",
	[WF_WAIT_GENERATOR] = "the other side of a generator",
	[WF_WAIT_SEND] = "room in a channel",
	[WF_WAIT_RECV] = "an element of a channel",
	[WF_WAIT_SELECT] = "one of several things",
	[WF_WAIT_ACCEPT] = "a connection to accept",
	[WF_WAIT_CONNECT] = "a connection to be made",
	[WF_WAIT_READ] = "input",
	[WF_WAIT_WRITE] = "room for output",
	[WF_WAIT_SIGNAL] = "a signal",
	[WF_WAIT_BUFFER] = "a buffer",
	[WF_WAIT_IDLE] = "all others to wait",
};

_Static_assert(sizeof reasons / sizeof *reasons == WF_WAIT_REASONS, "a name for each reason");

static void show(const struct wf_task *task)
{
	const struct wf_waiter *waiter = task->waiter;
	bool waits = waiter && waiter->state != WF_WAIT_SETTLED;

	wf_say("  task \"%s\" (spawned at %s) on host %d %s%s%s%s", task->name, task->site,
	       task->host, waits ? "waits for " : "is ready", waits ? reasons[waiter->reason] : "",
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
