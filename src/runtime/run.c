/* SPDX-License-Identifier: MIT */
/*
 * The composition root: the only place that knows all the parts. It reads the options and the
 * environment, chooses an engine, and wires both to a worker.
 *
 *	WEFT_ENGINE=epoll|uring|sim    the engine, unless weft_options.engine names one
 *	WEFT_GUARD=light|mprotect|canary	the best stack guard to try
 *	WEFT_YIELD_ALWAYS=1	    every checkpoint suspends: a test finds what relies on none doing so
 */
#include "runtime/run.h"

#include "core/worker.h"
#include "io/epoll.h"
#include "io/sim.h"
#include "io/uring.h"
#include "runtime/guard.h"
#include "runtime/overflow.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <weft/run.h>

/* The best one first: docs/design/engines.md tells why. Something always works before the simulator, which is
 * for those who name it. */
static const struct engine {
	const char *name;
	int (*new)(struct wf_memory *memory, struct wf_poller **ret_poller);
} engines[] = {
#ifdef WF_URING
	{ "uring", wf_uring_new },
#endif
	{ "epoll", wf_epoll_new },
	{ "sim", wf_sim_engine_new },
};

static const struct weft_options default_options;

enum { ENGINES = sizeof engines / sizeof *engines };

/* The first one that works here. */
static int open_best(struct wf_memory *memory, struct wf_poller **ret_poller)
{
	int r = WEFT_EENGINE;

	for (size_t i = 0; i < ENGINES && r == WEFT_EENGINE; i++)
		r = engines[i].new(memory, ret_poller);
	return r;
}

static int open_engine(const struct wf_run *run, const struct weft_options *options,
		       struct wf_memory *memory, struct wf_poller **ret_poller)
{
	const char *name = options->engine;

	(void)run;
	if (!name || !*name)
		name = getenv("WEFT_ENGINE");
	if (!name || !*name)
		return open_best(memory, ret_poller);
	for (size_t i = 0; i < ENGINES; i++)
		if (strcmp(engines[i].name, name) == 0)
			return engines[i].new(memory, ret_poller);
	return WEFT_EOPTION;
}

static bool is_set(const char *variable)
{
	const char *value = getenv(variable);

	return value && *value && strcmp(value, "0") != 0;
}

/* A forked child has the tasks' memory, and shares the engine with its parent: it may do nothing there
 * but leave. Without a worker every call refuses it, and the first task to return is told. */
static void leave_worker(void)
{
	if (wf_worker)
		wf_forked = true;
	wf_worker = NULL;
}

static void register_fork_handler(void)
{
	(void)pthread_atfork(NULL, NULL, leave_worker); /* without memory forks go unnoticed */
}

static void watch_forks(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, register_fork_handler); /* fails only for a bad argument */
}

static int run_on(const struct wf_run *run, struct weft_worker *worker,
		  const struct weft_options *options, weft_function *function, void *arg)
{
	struct wf_overflow overflow;
	struct wf_poller *poller;
	int r = run->open(run, options, &worker->memory, &poller);

	if (r < 0)
		return r;
	wf_random_seed(&worker->random,
		       options->seed ? options->seed : poller->ops->random(poller));
	r = wf_overflow_init(&overflow, &worker->memory);
	if (r == 0) {
		r = wf_worker_run(worker, poller, function, arg);
		wf_overflow_done(&overflow);
	}
	poller->ops->done(poller);
	return r;
}

int wf_run(const struct wf_run *run, weft_function *function, void *arg,
	   const struct weft_options *options)
{
	struct wf_worker_options worker_options = {
		.stacks = { .stack_bytes = options->stack_bytes,
			    .page_bytes = wf_page_bytes(),
			    .guard = run->guard,
			    .guard_budget = run->guard_budget },
		.allocator = &options->allocator,
		.tasks_max = options->tasks_max,
		.posts_max = options->posts_max,
		.buffer_bytes = options->buffer_bytes,
		.buffers_max = options->buffers_max,
		.yield_always = run->yield_always,
	};
	/* With its timer wheel too large for a small stack. */
	struct weft_worker *worker = aligned_alloc(64, (sizeof *worker + 63) / 64 * 64);
	int r;

	if (!worker)
		return -ENOMEM;
	watch_forks();
	r = wf_worker_init(worker, &worker_options);
	if (r == 0) {
		r = run_on(run, worker, options, function, arg);
		wf_worker_done(worker);
		wf_assert_slow(run->may_leak || worker->memory.bytes_used == 0);
	}
	free(worker);
	return r;
}

int weft_run(weft_function *function, void *arg, const struct weft_options *options)
{
	struct wf_run run = { .open = open_engine,
			      .guard_budget = wf_guard_budget(),
			      .yield_always = is_set("WEFT_YIELD_ALWAYS") };
	int r;

	if (wf_worker)
		return -EALREADY;
	if (wf_forked)
		return -EPERM;
	r = wf_guard_probe(&run.guard);
	if (r < 0)
		return r;
	return wf_run(&run, function, arg, options ? options : &default_options);
}

const char *weft_engine_name(void)
{
	return wf_worker ? wf_worker->poller->ops->name : NULL;
}

const char *weft_version(void)
{
	return WF_VERSION;
}
