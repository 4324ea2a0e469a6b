/* SPDX-License-Identifier: MIT */
/* The birth and the end of tasks, and what a task can ask about itself. */
#include "core/task.h"

#include "base/assert.h"
#include "core/scope.h"
#include "core/worker.h"

#include <errno.h>
#include <string.h>

enum { TASKS_PER_CHUNK = 32 };

struct wf_task_chunk {
	struct wf_task tasks[TASKS_PER_CHUNK];
	struct wf_task_chunk *next;
	void *block; /* what was allocated: the chunk with room to align it */
};

enum { CHUNK_BYTES = sizeof(struct wf_task_chunk) + WF_CACHE_LINE };

/* ---- Control blocks -------------------------------------------------------------------------- */

static int add_chunk(struct weft_worker *worker)
{
	char *block = wf_memory_new(&worker->memory, CHUNK_BYTES);
	struct wf_task_chunk *chunk;

	if (!block)
		return -ENOMEM;
	chunk = (void *)(block + WF_CACHE_LINE - (uintptr_t)block % WF_CACHE_LINE);
	chunk->block = block;
	chunk->next = worker->task_chunks;
	worker->task_chunks = chunk;
	for (int i = 0; i < TASKS_PER_CHUNK; i++)
		wf_queue_push(&worker->free_tasks, &chunk->tasks[i].ready);
	return 0;
}

void wf_tasks_done(struct weft_worker *worker)
{
	while (worker->task_chunks) {
		struct wf_task_chunk *chunk = worker->task_chunks;

		worker->task_chunks = chunk->next;
		wf_memory_free(&worker->memory, chunk->block, CHUNK_BYTES);
	}
}

/* ---- Spawning -------------------------------------------------------------------------------- */

/* Whether a task may be spawned into the scope: 0 or why not. */
static int admit(struct weft_worker *worker, const struct weft_scope *scope)
{
	if (!worker || !scope->owner || scope->owner->worker != worker)
		return -EPERM;
	if (wf_unlikely(!scope->stop && worker->now >= scope->deadline))
		wf_scope_expire(scope->deadline_scope);
	return scope->stop;
}

/* Makes sure that there is a block for one more task, and the stack it will need. */
static int make_room(struct weft_worker *worker)
{
	if (worker->tasks >= worker->tasks_max)
		return -EAGAIN;
	if (wf_unlikely(wf_queue_is_empty(&worker->free_tasks)) && add_chunk(worker) < 0)
		return -ENOMEM;
	return wf_stacks_reserve(&worker->stacks, worker->unstarted + 1);
}

/* Field by field: a structure assignment clears the block first, which costs more than the rest of
 * the spawn. */
static void fill(struct wf_task *task, struct weft_worker *worker, weft_function *function,
		 void *arg, const char *site, const char *name)
{
	task->stack = NULL;
	task->waiter = NULL;
	task->worker = worker;
	task->refusals = 0;
	task->priority = WEFT_PRIORITY_NORMAL;
	task->copy_bytes = 0;
	task->outermost = NULL;
	task->function = function;
	task->arg = arg;
	task->site = site;
	task->function_name = name;
	task->name = name;
}

int wf_task_start(struct weft_scope *scope, weft_function *function, void *arg, const char *site,
		  const char *name)
{
	struct weft_worker *worker = scope->owner->worker;
	struct wf_task *task;
	int r = make_room(worker);

	if (wf_unlikely(r < 0))
		return r;
	task = wf_container(wf_queue_pop(&worker->free_tasks), struct wf_task, ready);
	fill(task, worker, function, arg, site, name);
	wf_scope_adopt(scope, task);
	worker->spawned++;
	worker->unstarted++;
	if (++worker->tasks > worker->tasks_peak)
		worker->tasks_peak = worker->tasks;
	wf_worker_ready(worker, task);
	return 0;
}

int weft_spawn_at(struct weft_scope *scope, weft_function *function, void *arg, const char *site,
		  const char *name)
{
	int r = admit(wf_worker, scope);

	return wf_unlikely(r < 0) ? r : wf_task_start(scope, function, arg, site, name);
}

int weft_spawn_copy_at(struct weft_scope *scope, weft_function *function, const void *args,
		       size_t bytes, const char *site, const char *name)
{
	struct weft_worker *worker = wf_worker;
	void *copy;
	int r;

	if (!worker)
		return -EPERM;
	if (bytes == 0 || bytes > WEFT_COPY_MAX)
		return -EINVAL;
	copy = wf_memory_new(&worker->memory, bytes);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, args, bytes);
	r = weft_spawn_at(scope, function, copy, site, name);
	if (r < 0) {
		wf_memory_free(&worker->memory, copy, bytes);
		return r;
	}
	scope->children->copy_bytes = (uint16_t)bytes; /* the newest child is the first */
	return 0;
}

void wf_task_assert_closed(const struct wf_task *task)
{
	if (wf_likely(task->scope == task->home))
		return;
	wf_panic("task \"%s\" (spawned at %s) returned with the scope opened at %s still open; "
		 "close it first",
		 task->name, task->site, task->scope->site);
}

void wf_task_end(struct wf_task *task, int result)
{
	struct weft_worker *worker = task->worker;

	wf_task_assert_closed(task);
	if (wf_unlikely(!wf_stack_is_intact(task->stack)))
		wf_panic("task \"%s\" (spawned at %s) has overflowed its stack; give it more by "
			 "weft_options.stack_bytes",
			 task->name, task->site);
	if (task->copy_bytes)
		wf_memory_free(&worker->memory, task->arg, task->copy_bytes);
	wf_scope_child_ended(task->home, task, result);
	worker->tasks--;
	wf_queue_push_front(&worker->free_tasks, &task->ready);
}

/* ---- The running task ------------------------------------------------------------------------ */

const char *weft_task_name(void)
{
	struct wf_task *task = wf_task_self();

	return task ? task->name : NULL;
}

void weft_task_name_set(const char *name)
{
	struct wf_task *task = wf_task_self();

	if (task)
		task->name = name;
}

void weft_task_priority_set(enum weft_priority priority)
{
	struct wf_task *task = wf_task_self();

	wf_assert(priority == WEFT_PRIORITY_NORMAL || priority == WEFT_PRIORITY_LOW);
	if (task)
		task->priority = (uint8_t)priority;
}
