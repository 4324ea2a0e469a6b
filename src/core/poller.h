/* SPDX-License-Identifier: MIT */
/*
 * The contract between the scheduler and an engine.
 *
 * The scheduler sleeps in the engine, and takes time and chance from it, although engines lie in a
 * higher layer: an engine in io/ fills in this table, and runtime/ hands it to the worker. The
 * scheduler itself calls now, random, wait and wake; operations are submitted and cancelled by
 * io/op.c, files parked by io/watch.c.
 *
 * An operation is shaped as a completion: it is submitted, and it settles once, with a result. The
 * memory it names is the engine's from submission until then. Its states are those of its waiter
 * (core/wait.h): *armed*; *cancel-requested*, when someone asked it to end; *settled*. A cancel is
 * a request only: an operation that could be completed is, and its result counts.
 *
 * Everything but wake is called by the worker's own thread.
 */
#pragma once

#include "core/wait.h"

#include <stdbool.h>
#include <stdint.h>
#include <weft/time.h>

struct wf_file;
struct wf_op;
struct wf_queue;
struct wf_queue_node;
struct wf_poller;
struct wf_system;

struct wf_poller_ops {
	const char *name;

	/* Releases the engine. No operation is pending. */
	void (*done)(struct wf_poller *poller);

	/* Nanoseconds on the engine's monotonic clock. */
	weft_time (*now)(struct wf_poller *poller);

	/* 64 bits to seed a generator with. */
	uint64_t (*random)(struct wf_poller *poller);

	/* Only of an engine that decides who runs, NULL otherwise: called before each run of a task. Of
	 * the ready ones it names the one before the chosen one, NULL for the first. */
	struct wf_queue_node *(*choose)(struct wf_poller *poller, const struct wf_queue *ready);

	/* Only of an engine whose clock is not the world's: moves it forward. */
	void (*advance)(struct wf_poller *poller, weft_time duration_ns);

	/* Starts an operation. Returns true when it was performed on the spot; its result is in
	 * op->waiter.result then. Otherwise it is armed, and settles inside a later wait or cancel. */
	bool (*submit)(struct wf_poller *poller, struct wf_op *op);

	/* Asks a pending operation to end, with op->waiter.code as its result if nothing was done. It
	 * settles now or inside a later wait; one that waits for readiness only, now. Cannot fail. */
	void (*cancel)(struct wf_poller *poller, struct wf_op *op);

	/* Watches a file that is parked: its kind's `readable` is called, in a later wait, whenever
	 * input or the end of it may have come, until the file is no longer parked. 1 if input is
	 * there now, 0, or why it cannot be watched. */
	int (*park)(struct wf_poller *poller, struct wf_file *file);

	/* Whether a file has input, or its end, now. NULL if what is reported of a parked file is
	 * never out of date. */
	bool (*has_input)(struct wf_poller *poller, const struct wf_file *file);

	/* Forgets a file whose pending operations have been cancelled, and closes the descriptor
	 * unless file->kind->keeps_fd: at once, or when the last of them has settled. */
	void (*close)(struct wf_poller *poller, struct wf_file *file);

	/* Settles what is ready; sleeps until something is, until `deadline`, or until a wake. A
	 * deadline in the past only looks. May return early for no reason. */
	void (*wait)(struct wf_poller *poller, weft_time deadline);

	/* Ends the present or the next wait. Any thread. */
	void (*wake)(struct wf_poller *poller);
};

struct wf_poller {
	const struct wf_poller_ops *ops;
	const struct wf_system *system; /* of io/, for the layers above it */
};
