/* SPDX-License-Identifier: MIT */
/*
 * A worker: one thread, one scheduler, one engine. Everything the scheduler knows hangs off it.
 *
 * The loop (wf_worker_run) runs on the thread's own stack:
 *
 *	wait in the engine -> fire timers -> run posted calls -> run ready tasks -> ...
 *
 * Tasks switch to each other directly. Control comes back to the loop when none is ready, or when
 * the turn has lasted long enough for the engine to be looked at: the clock is read every
 * WF_RUNS_PER_READING runs, and a turn ends after WF_TURN_NS or WF_TURN_RUNS. So ready tasks cannot
 * starve I/O.
 *
 * Operations that complete on the spot do not switch; they are charged to `credit`, and the
 * checkpoint that uses it up yields. So an always-ready socket cannot starve the other tasks.
 */
#pragma once

#include "arch/fiber.h"
#include "base/compiler.h"
#include "base/list.h"
#include "base/memory.h"
#include "base/queue.h"
#include "base/random.h"
#include "core/poller.h"
#include "core/blocks.h"
#include "core/stack.h"
#include "core/task.h"
#include "core/timer.h"
#include "core/wait.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <weft/line.h>
#include <weft/run.h>

enum {
	WF_RUNS_PER_READING = 32,
	WF_TURN_RUNS = 4096,
	WF_TURN_NS = 50 * 1000,
	WF_CREDIT = 64,		 /* operations without a switch */
	WF_LOW_EVERY = 16,	 /* a ready low-priority task runs at least so often */
	WF_REFUSALS_MAX = 1000,	 /* refused checkpoints in a row */
	WF_TRIM_MOST = 512,	 /* stacks whose memory is given back at one go */
	WF_RELEASE_MOST = 8,	 /* slabs of stacks, and chunks of blocks, unmapped at one go */
	WF_CHUNKS_KEPT = 4,	 /* of blocks, in use or not, without looking for free ones */
	WF_WARM_STACKS = 16,	 /* free stacks that keep their memory */
	WF_BUFFER_BYTES = 16384, /* of a buffer for input */
	WF_BUFFER_BYTES_MIN = 256,
	WF_BUFFERS_MAX = 1024,
};

struct wf_post;

struct weft_worker {
	struct wf_task
		keeper; /* the owner of the root scope, which never runs; here for its alignment */

	struct wf_task *current; /* NULL while the loop runs */
	uint32_t credit;
	uint32_t credit_max;	  /* WF_CREDIT, or 1 to suspend at every checkpoint */
	uint32_t runs_left;	  /* until the clock is read */
	uint32_t low_skipped;	  /* normal tasks run while a low one was ready */
	weft_time now;		  /* the last reading of the clock */
	struct wf_queue ready[2]; /* by priority */
	struct wf_context loop;
	uint64_t switches;
	struct wf_fiber *left; /* the fiber that switched here */
	struct wf_fiber loop_fiber;

	struct wf_poller *poller;
	struct wf_memory memory;
	struct wf_random random;
	weft_time turn_start;
	uint32_t turn_runs;
	uint32_t runs_per_reading; /* of the clock */

	struct wf_list chunks; /* of control blocks (core/task.h) that have room; free ones last */
	struct wf_list full_chunks;   /* that have none */
	uint32_t chunk_count, blocks; /* control blocks that have been used, and own memory */
	uint64_t chunks_mapped;	      /* so far */
	uint32_t tasks;		      /* alive */
	uint32_t parked;	      /* watches that are parked */
	uint32_t tasks_max;
	uint32_t tasks_peak;
	uint32_t unstarted; /* alive, and without a stack */
	uint64_t spawned;
	uint64_t failed;
	uint64_t turns;

	struct wf_list due; /* parkings that have ended, and get their tasks (core/park.c) */
	struct weft_timer_ due_timer; /* armed while there is no memory for those */
	uint64_t watch_bytes;	      /* of connections and watches; io and net count them */
	struct wf_blocks buffers;     /* for input */

	struct weft_line_ idlers; /* tasks that wait for all others to wait (weft/test.h) */

	struct weft_scope root;
	weft_function *function;
	void *arg;
	int result;

	/* Calls posted by any thread, newest first. */
	_Atomic(struct wf_post *) posts;
	atomic_uint post_count;
	atomic_uint posting; /* threads that are inside weft_post */
	atomic_bool woken;   /* a wake is on its way */
	uint32_t posts_max;

	/* Sets of signals that hold each signal open, and the signals that were blocked before. */
	uint16_t signal_users[NSIG];
	sigset_t signals_before;

	struct weft_timer_ trim_timer;
	struct wf_stacks stacks;
	struct wf_timers timers;
};

/* The worker of this thread. The only state that does not hang off it. */
extern _Thread_local struct weft_worker *wf_worker;

/* Whether this is a child that was forked while a worker ran: it has the memory, and may touch nothing. */
extern bool wf_forked;

/* The task that runs, or NULL: outside weft_run, in the loop, in a plain thread. */
static inline struct wf_task *wf_task_self(void)
{
	return wf_worker ? wf_worker->current : NULL;
}

struct wf_worker_options {
	struct wf_stacks_options stacks;
	const struct weft_allocator *allocator; /* NULL: malloc and free */
	uint32_t tasks_max, posts_max;		/* 0: the default */
	uint32_t buffer_bytes, buffers_max;	/* 0: the default */
	bool yield_always;
};

/* Prepares a worker, without an engine yet. WEFT_EOPTION for a bad stack size. */
int wf_worker_init(struct weft_worker *worker, const struct wf_worker_options *options);

/* Runs `function(arg)` as the first task on the calling thread until every task has ended. Returns
 * its result, or why it could not start. */
int wf_worker_run(struct weft_worker *worker, struct wf_poller *poller, weft_function *function,
		  void *arg);

/* Releases what the worker holds. */
void wf_worker_done(struct weft_worker *worker);

/* Makes a task ready to run. */
static inline void wf_worker_ready(struct weft_worker *worker, struct wf_task *task)
{
	wf_queue_push(&worker->ready[task->priority], &task->ready);
}

/* Runs other tasks until the current one has been made ready and its turn has come. Returns 0. */
int wf_worker_suspend(struct weft_worker *worker);

/* Runs the calls that were posted, and returns whether there may have been any (core/post.c); the second,
 * until no thread is posting. */
bool wf_posts_run(struct weft_worker *worker);
void wf_posts_end(struct weft_worker *worker);

/* What follows is what every checkpoint does before its own work. */

/* The part of wf_checkpoint that is rarely needed. */
int wf_checkpoint_slow(struct wf_task *task) __attribute__((cold));

/* Returns 0, or the code of the stop that holds for the task; may suspend. */
static inline int wf_checkpoint(struct wf_task *task)
{
	struct weft_worker *worker = task->worker;

	if (wf_unlikely(task->scope->stop || worker->now >= task->scope->deadline ||
			--worker->credit == 0))
		return wf_checkpoint_slow(task);
	task->refusals = 0;
	return 0;
}

/* The same for the calling task, which `ret_task` is whatever the result: NULL, with -EPERM, outside a task. */
static inline int wf_checkpoint_self(struct wf_task **ret_task)
{
	struct wf_task *task = *ret_task = wf_task_self();

	return wf_likely(task) ? wf_checkpoint(task) : -EPERM;
}

/* As wf_checkpoint, for a call that waits in any case, so need not be charged: if it returns 0, no other
 * task has run. */
static inline int wf_checkpoint_before_wait(struct wf_task *task)
{
	if (wf_unlikely(task->scope->stop || task->worker->now >= task->scope->deadline))
		return wf_checkpoint_slow(task); /* refuses: a stop stays */
	task->refusals = 0;
	return 0;
}

/* As wf_checkpoint, for what a soft stop refuses, too. */
int wf_checkpoint_soft(struct wf_task *task);

/* Refuses what wf_checkpoint has granted, for a reason that the object has; `refusals` is what the task had
 * before. Lets others run first, as every refusal does; returns the code. */
int wf_checkpoint_refuse(struct wf_task *task, uint32_t refusals, int code);

/* Counts a refused checkpoint, and ends the program when a task ignores too many. */
void wf_task_refused(struct wf_task *task, int code) __attribute__((cold));
