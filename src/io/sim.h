/* SPDX-License-Identifier: MIT */
/*
 * The simulator: an engine whose time, network and mishaps are all made up, from one seed.
 *
 *	program ── io/op, io/ready ──> the system calls of io/system.h ──> io/sim_net.c: sockets, hosts, links
 *	   ^                                        │ asks                        │ plans
 *	   │ chooses who runs                       v                             v
 *	io/sim.c: steps and clock          io/sim_fault.c: mishaps      the events, a heap by time
 *
 * Only the lowest layer is simulated. What retries an operation, what drops a late report and what
 * closes a descriptor in the right order is the code that runs on epoll.
 *
 * Time stands still while a task runs, moves by a little from one run to the next (`step_ns`), and
 * jumps to the next event or timer when no task is ready. Each run of a task is a *step*.
 *
 * Chance comes in streams, one for each use, all drawn from the seed: so taking one mishap away leaves
 * the latencies and the order of the others alone, which is what lets a failure be shrunk.
 *
 * Everything that is decided or done goes into `hash`. It takes in numbers only, never an address: so
 * the same seed has the same hash with every compiler, with and without sanitizers.
 *
 * The simulator's own memory comes from malloc, and is not counted with the program's.
 */
#pragma once

#include "base/memory.h"
#include "base/random.h"
#include "core/poller.h"
#include "io/ready.h"
#include "io/sim_fault.h"
#include "io/sim_net.h"

#include <stdbool.h>
#include <stdint.h>

struct wf_sim;

/* What chance decides; each has a generator of its own. */
enum wf_sim_stream {
	WF_SIM_SCHEDULE, /* which task runs, and in what order reports come */
	WF_SIM_NETWORK,	 /* latencies, segments */
	WF_SIM_FAULTS,	 /* which mishaps there are */
	WF_SIM_PROGRAM,	 /* the seed of weft_random, and what a scenario chooses */
	WF_SIM_STREAMS,
};

enum wf_sim_strategy {
	WF_SIM_FIFO,   /* the order of production */
	WF_SIM_RANDOM, /* any of the ready tasks */
	WF_SIM_PCT,    /* random priorities, and a few points at which they change */
};

/* Something planned. */
struct wf_sim_event {
	weft_time time;
	uint64_t
		number; /* in the order of planning: among those of one time, the order of happening */
	void (*happen)(struct wf_sim *sim, void *object, uint64_t value);
	void *object;
	uint64_t value;
};

enum { WF_SIM_CHANGES_MAX = 8 };

struct wf_sim {
	struct wf_ready ready; /* with the poller in it */
	uint64_t seed;
	weft_time now;
	uint64_t steps;
	uint64_t hash;
	struct wf_random streams[WF_SIM_STREAMS];

	/* The heap of events. */
	struct wf_sim_event *events;
	uint32_t event_count, event_room;
	uint64_t planned;

	/* Who runs (io/sim_order.c). */
	enum wf_sim_strategy strategy;
	weft_time step_ns;
	uint32_t changes;
	uint64_t
		change_at[WF_SIM_CHANGES_MAX]; /* steps after which who has just run falls behind */
	uint64_t fallen[WF_SIM_CHANGES_MAX];   /* who did, by wf_task_id; 0: nobody */
	uint64_t last;			       /* who has just run */
	uint32_t passed[2]; /* choices in a row that were not of the first in line, by priority */

	/* Those whose reports the program has not seen. */
	struct wf_list reports;

	struct wf_sim_net net;
	struct wf_sim_faults faults;
	uint64_t steps_max; /* then it is taken for a livelock; 0: no limit */

	/* Of the one who runs the simulation; each may be NULL. */
	void (*on_step)(struct wf_sim *sim, const struct wf_task *next);
	/* Told why the run cannot go on: "deadlock", "livelock". Does not return. Without it the
	 * program ends, with a list of its tasks. */
	void (*on_failure)(struct wf_sim *sim, const char *why);
	bool traces; /* write what happens to standard error */
	void *user;
};

/* A world from a seed: one host, and nothing goes wrong. NULL without memory. */
struct wf_sim *wf_sim_new(uint64_t seed);
void wf_sim_free(struct wf_sim *sim);

/* The engine of that world, for one run. */
struct wf_poller *wf_sim_start(struct wf_sim *sim, struct wf_memory *memory);

/* As an entry of the table of engines: the world of seed 0, freed at the end. */
int wf_sim_engine_new(struct wf_memory *memory, struct wf_poller **ret_poller);

/* The world of an engine; NULL if it is another engine. */
struct wf_sim *wf_sim_of(struct wf_poller *poller);

/* A list of `count` elements of so many bytes, with room for one more: it may have moved. Ends the program
 * without memory. */
void *wf_sim_grow(void *list, uint32_t count, uint32_t *room, size_t bytes);

/* Plans something; `when` in the past is now. Ends the program without memory. */
void wf_sim_plan(struct wf_sim *sim, weft_time when,
		 void (*happen)(struct wf_sim *sim, void *object, uint64_t value), void *object,
		 uint64_t value);

/* Chooses who runs among the ready tasks, of which there is one at least: the one before it in the queue,
 * NULL for the first. */
struct wf_queue_node *wf_sim_choose_task(struct wf_sim *sim, const struct wf_queue *ready);

/* A number from min to max, both included. */
uint64_t wf_sim_draw(struct wf_sim *sim, enum wf_sim_stream stream, uint64_t min, uint64_t max);

/* Enters something into the hash. */
static inline void wf_sim_note(struct wf_sim *sim, uint64_t what)
{
	uint64_t hash = (sim->hash ^ what) * 0x9e3779b97f4a7c15;

	sim->hash = hash ^ hash >> 29;
}

void wf_sim_note_bytes(struct wf_sim *sim, const void *bytes, size_t count);

/* The host of the running task; outside of tasks, of the report that is being given; or 0. */
uint8_t wf_sim_host(const struct wf_sim *sim);

/* Writes a line of the trace, if it is on. */
void wf_sim_trace(struct wf_sim *sim, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
