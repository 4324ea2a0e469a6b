/* SPDX-License-Identifier: MIT */
/* The birth and the end of tasks, and what a task can ask about itself. */
#include "core/task.h"

#include "base/assert.h"
#include "core/scope.h"
#include "core/worker.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* ---- Control blocks -------------------------------------------------------------------------- */

static int add_chunk(struct weft_worker *worker)
{
	struct wf_task_chunk *chunk = mmap(NULL, WF_CHUNK_BYTES, PROT_READ | PROT_WRITE,
					   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (chunk == MAP_FAILED)
		return -ENOMEM;
	/* Chunks lie side by side; a huge page would make memory of blocks that nobody has used. */
	(void)madvise(chunk, WF_CHUNK_BYTES, MADV_NOHUGEPAGE);
	wf_list_init(&chunk->node);
	wf_list_push_front(&worker->chunks, &chunk->node);
	worker->chunk_count++;
	chunk->serial = ++worker->chunks_mapped;
	return 0;
}

static struct wf_task *take_block(struct weft_worker *worker)
{
	struct wf_task_chunk *chunk = wf_container(worker->chunks.next, struct wf_task_chunk, node);
	struct wf_task *task;

	if (chunk->free.head) {
		task = wf_container(wf_queue_pop(&chunk->free), struct wf_task, ready);
	} else {
		task = &chunk->tasks[chunk->fresh++];
		task->page = (uint8_t)(((char *)task - (char *)chunk) / WF_CHUNK_PAGE);
		worker->blocks++;
	}
	if (wf_unlikely(++chunk->used == WF_CHUNK_TASKS)) {
		wf_list_remove(&chunk->node);
		wf_list_push_back(&worker->full_chunks, &chunk->node);
	}
	return task;
}

static void give_block(struct weft_worker *worker, struct wf_task *task)
{
	struct wf_task_chunk *chunk = wf_task_chunk_of(task);

	wf_queue_push_front(&chunk->free, &task->ready);
	if (wf_likely(--chunk->used > 0 && chunk->used < WF_CHUNK_TASKS - 1))
		return;
	wf_list_remove(&chunk->node);
	if (chunk->used > 0)
		wf_list_push_front(&worker->chunks, &chunk->node);
	else
		wf_list_push_back(&worker->chunks, &chunk->node);
}

static void free_chunk(struct weft_worker *worker, struct wf_list *node)
{
	struct wf_task_chunk *chunk = wf_container(node, struct wf_task_chunk, node);

	wf_list_remove(node);
	worker->blocks -= chunk->fresh;
	worker->chunk_count--;
	(void)munmap(chunk, WF_CHUNK_BYTES); /* a whole mapping: cannot fail */
}

uint32_t wf_tasks_release(struct weft_worker *worker, uint32_t most)
{
	uint32_t released = 0;

	while (released < most && worker->chunk_count > 1) {
		struct wf_list *last = wf_list_last(&worker->chunks);

		if (!last || wf_container(last, struct wf_task_chunk, node)->used > 0)
			break;
		free_chunk(worker, last);
		released++;
	}
	return released;
}

void wf_tasks_done(struct weft_worker *worker)
{
	while (!wf_list_is_empty(&worker->chunks))
		free_chunk(worker, worker->chunks.next);
	wf_assert(worker->chunk_count == 0);
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
	if (wf_unlikely(wf_list_is_empty(&worker->chunks)) && add_chunk(worker) < 0)
		return -ENOMEM;
	return wf_stacks_reserve(&worker->stacks, worker->unstarted + 1);
}

/* Field by field: a structure assignment clears the block first, which costs more than the rest of
 * the spawn. */
static void fill(struct wf_task *task, struct weft_worker *worker, uint8_t host,
		 weft_function *function, void *arg, const char *site, const char *name)
{
	task->stack = NULL;
	task->waiter = NULL;
	task->worker = worker;
	task->refusals = 0;
	task->mutexes = 0;
	task->priority = WEFT_PRIORITY_NORMAL;
	task->host = host;
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
	task = take_block(worker);
	fill(task, worker, scope->owner->host, function, arg, site, name);
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

/* The frame of a scope that is still open has gone: it is read before any other call writes over it. */
void wf_task_assert_closed(const struct wf_task *task)
{
	if (wf_unlikely(task->scope != task->home))
		wf_panic("task \"%s\" (spawned at %s) returned with the scope opened at %s still "
			 "open; close it first",
			 task->name, task->site, task->scope->site);
	if (wf_unlikely(task->mutexes > 0))
		wf_panic("task \"%s\" (spawned at %s) returned with a mutex still locked, which no "
			 "other task can unlock; unlock it first",
			 task->name, task->site);
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
	wf_timer_disarm(&worker->due_timer); /* there is room for another one */
	give_block(worker, task);
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
