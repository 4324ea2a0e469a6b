/* SPDX-License-Identifier: MIT */
/*
 * Starting the runtime, looking at it, and reaching it from other threads.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <weft/error.h>
#include <weft/task.h>
#include <weft/time.h>

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

/* Where the runtime gets memory from: resizes `block` (NULL: a new one) from `old_bytes` to
 * `new_bytes` (0: frees it) and returns it, or NULL without memory, leaving the block as it was. */
struct weft_allocator {
	void *(*resize)(void *user, void *block, size_t old_bytes, size_t new_bytes);
	void *user;
};

/* Zero, or no options at all, means the default. */
struct weft_options {
	size_t stack_bytes; /* address space of a task's stack; default 256 KiB; 16 KiB to 1 GiB */
	uint32_t tasks_max; /* tasks alive at once; default 1,000,000 */
	uint32_t posts_max; /* weft_post calls not yet run; default 65,536 */
	uint32_t buffer_bytes; /* of the buffers weft_fill lends, overhead included; default 16 KiB;
				  at least 256 */
	uint32_t buffers_max;  /* of those at once; default 1,024 */
	uint64_t seed;	       /* of weft_random; default from the kernel */
	const char *engine; /* "epoll", "uring", or "sim", the simulator, with a clock and a network
			       of its own; default from WEFT_ENGINE, else the best that works */
	struct weft_allocator allocator; /* default malloc and free */
};

/* Runs `function(arg)` as the first task on the calling thread, until it has returned and every
 * task has ended: when it returns, what is left is cancelled and joined. Returns its result, or
 * before it ran: -ENOMEM, -EMFILE and the like, WEFT_EOPTION for an option or environment
 * variable without such a value, WEFT_EENGINE if the engine that was named does not work here, -EALREADY if the thread is inside weft_run already.
 *
 * A child forked while it runs may only exec or _exit: calls of this library return -EPERM there, and a
 * task that returns there ends the child, which says so.
 *
 * Installs a SIGSEGV handler that names the task whose stack overflowed and passes every other
 * fault on to the handler before it; restores that handler before it returns. */
int weft_run(weft_function *function, void *arg, const struct weft_options *options) WEFT_MUST_USE;

/* The name of the engine in use, "epoll", "uring" or "sim"; NULL outside weft_run. Never suspends. */
const char *weft_engine_name(void);

/* How a stack is kept from running into its neighbour. */
enum weft_guard {
	WEFT_GUARD_LIGHT, /* a guard page that costs no mapping (Linux 6.13, MADV_GUARD_INSTALL) */
	WEFT_GUARD_MPROTECT, /* a guard page that costs mappings; within the limit on those */
	WEFT_GUARD_CANARY,   /* no page; checked when a task ends */
};

/* What the calling thread's worker has done and holds. */
struct weft_stats {
	uint64_t tasks;	       /* alive now */
	uint64_t tasks_peak;   /* alive at once, at most */
	uint64_t spawned;      /* ever */
	uint64_t failed;       /* ended with a negative result that was not their scope's stop */
	uint64_t switches;     /* from one stack to another */
	uint64_t turns;	       /* times the engine was polled */
	uint64_t parked;       /* watches that are parked now */
	uint64_t stacks;       /* stacks mapped */
	uint64_t stack_bytes;  /* address space of one, its guard included */
	enum weft_guard guard; /* of the newest stack */

	uint64_t buffers;      /* for input (weft_fill), borrowed now */
	uint64_t buffers_peak; /* at once, at most */
	uint64_t buffer_waits; /* times a task had to wait for one */

	/* Memory in bytes. */
	uint64_t bytes_stacks;	/* a page for each stack in use or kept warm; more if run deep */
	uint64_t bytes_tasks;	/* control blocks */
	uint64_t bytes_buffers; /* buffers, and input that was copied out of them */
	uint64_t bytes_watches; /* connections and other watches */
	uint64_t
		bytes_allocated; /* all from weft_options.allocator, buffers and watches included */
};

/* Fills `ret_stats`. Never suspends. -EPERM outside weft_run. */
int weft_stats(struct weft_stats *ret_stats) WEFT_MUST_USE;

/* The calling thread's worker, to be handed to other threads; NULL outside weft_run. */
struct weft_worker *weft_worker_self(void);

/* Has the worker call `function(arg)` soon, between two tasks; it must not suspend. May be called
 * from any thread, and from no signal handler. A call that was accepted runs, be it after the
 * function given to weft_run has returned: `arg` must live that long. The caller keeps the worker
 * alive: weft_run must not have returned before this is called. -EAGAIN at the limit weft_options.posts_max;
 * -ENOMEM. */
int weft_post(struct weft_worker *worker, void (*function)(void *arg), void *arg) WEFT_MUST_USE;

/* The version of the library, "0.1.0". */
const char *weft_version(void);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop
