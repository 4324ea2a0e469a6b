/* SPDX-License-Identifier: MIT */
/*
 * A task: the control block. The stack it runs on is another object, and it has none before it
 * first runs.
 */
#pragma once

#include "arch/switch.h"
#include "base/list.h"
#include "base/queue.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <weft/scope.h>
#include <weft/task.h>

struct weft_worker;
struct wf_stack;
struct wf_waiter;

enum { WF_CACHE_LINE = 64 };

struct wf_task {
	/* What every switch touches: one cache line. */
	_Alignas(WF_CACHE_LINE) struct wf_queue_node ready; /* in the run queue, or free */
	struct wf_context context;			    /* while it does not run */
	struct wf_stack *stack;				    /* NULL until it first runs */
	struct weft_scope *scope; /* the innermost: the one that holds for it */
	struct wf_waiter *waiter; /* while it is suspended in wf_wait */
	struct weft_worker *worker;
	uint16_t refusals; /* checkpoints in a row that were refused */
	uint8_t mutexes;   /* that it has locked, modulo 256 */
	uint8_t priority;  /* enum weft_priority */
	uint8_t host;	   /* of a simulated network: where it runs, as its scope does */
	uint8_t page;	   /* of its chunk that it lies in, from 0 */

	/* What its birth and its death touch. */
	uint16_t copy_bytes;	      /* length of `arg` if it is the task's own copy, else 0 */
	struct weft_scope *home;      /* the scope it was spawned into */
	struct weft_scope *outermost; /* the first scope it opened, if any is open */
	struct wf_task *next, *prev;  /* among the children of `home` */
	weft_function *function;
	void *arg;
	const char *site;	   /* where it was spawned */
	const char *function_name; /* as the spawning code wrote it */
	const char *name;	   /* the same, unless the task has named itself */
};

_Static_assert(sizeof(struct wf_task) / WF_CACHE_LINE == 2, "two cache lines");

/*
 * Control blocks come from chunks of 64 KiB, mapped like stacks, and taken into use one by one, so that
 * a chunk costs no more memory than it has had tasks. A chunk that has become free is unmapped after a
 * while, with the stacks that nobody needs.
 */
enum {
	WF_CHUNK_BYTES = 64 * 1024,
	WF_CHUNK_TASKS = WF_CHUNK_BYTES / sizeof(struct wf_task) - 1,
	WF_CHUNK_PAGE = 4096, /* or a part of a page, where those are larger */
};

struct wf_task_chunk {
	_Alignas(sizeof(
		struct wf_task)) struct wf_list node; /* among those with room, or the full */
	struct wf_queue free;			      /* used before */
	uint64_t serial;			      /* from 1, of no other chunk of the worker */
	uint16_t used;				      /* blocks in use */
	uint16_t fresh;				      /* the first that was never used */
	struct wf_task tasks[];
};

/* The chunk of a block, which begins with a page. */
static inline struct wf_task_chunk *wf_task_chunk_of(const struct wf_task *task)
{
	uintptr_t page = (uintptr_t)task & ~(uintptr_t)(WF_CHUNK_PAGE - 1);

	return (struct wf_task_chunk *)(page - (uintptr_t)task->page * WF_CHUNK_PAGE);
}

/* Names a task by a number that is never 0. Unlike its address it is the same in each run that spawns the
 * same tasks. It goes on to the next one in the same block. Not of a worker's keeper. */
static inline uint64_t wf_task_id(const struct wf_task *task)
{
	const struct wf_task_chunk *chunk = wf_task_chunk_of(task);

	return chunk->serial << 16 | (uint64_t)(task - chunk->tasks);
}

/* Starts a task for something that the scope counts already: as weft_spawn_at, but a stop of the scope
 * is no reason to refuse it. -EAGAIN, -ENOMEM. */
int wf_task_start(struct weft_scope *scope, weft_function *function, void *arg, const char *site,
		  const char *name);

/* Ends the program if the task has a scope open, or a mutex locked, though its function has returned. */
void wf_task_assert_closed(const struct wf_task *task);

/* Ends a task that returned `result`: checks its stack and its scopes, tells its scope, and frees
 * the block. Called on its own stack. */
void wf_task_end(struct wf_task *task, int result);

/* Unmaps at most `most` chunks without a task, but for one, and returns of how many. */
uint32_t wf_tasks_release(struct weft_worker *worker, uint32_t most);

/* Frees the chunks. No task is left. */
void wf_tasks_done(struct weft_worker *worker);
