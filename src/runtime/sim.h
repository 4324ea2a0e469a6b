/* SPDX-License-Identifier: MIT */
/*
 * The simulated world as a scenario sets it up (weft/sim.h), on top of the simulator (io/sim.h).
 *
 *	scenario ──> struct weft_sim ──> struct wf_sim, the engine
 *	                 │
 *	                 └─ hosts: a task each, with a scope that can be stopped, around the user's function
 *
 * A run is wf_trial (runtime/trial.h). What differs from one run of a scenario to the next is a *case*:
 * the seed, and what is done to find out why a seed fails.
 */
#pragma once

#include "io/sim.h"

#include <weft/sim.h>

struct wf_outcome;

/* A mishap of the world: one operation that fails, a link that is cut for a while, or a reset. */
struct wf_mishap {
	enum wf_mishap_kind { WF_MISHAP_FAULT, WF_MISHAP_CUT, WF_MISHAP_RESET } kind;
	uint8_t from, to;
	weft_time begin, end;
	bool is_on; /* a cut that has begun, and was neither ended nor healed by hand */
	struct wf_sim_fault fault;
};

struct wf_mishaps {
	struct wf_mishap *list;
	uint32_t count, room;
};

struct wf_case {
	weft_sim_scenario *scenario;
	uint64_t seed;

	/* Instead of the mishaps that swarm mode would bring, those of the list. */
	bool is_planned;
	const struct wf_mishap *mishaps;
	uint32_t mishap_count;

	/* Leave out what swarm mode does besides. */
	bool plain_order; /* tasks run in the order of production */
	bool plain_links;

	/* Number of the allocation that fails, from 1, and whether all after it do; 0 for none. */
	uint64_t allocation;
	bool and_all_after;

	uint64_t stop_at; /* the step at which a debugger is called; 0 for none */
	bool traces;

	/* The hash after each step is written to the list, or compared with it. */
	struct wf_hashes *hashes;
	bool compares;

	/* Takes down what goes wrong by chance, in memory that outlives the process. */
	struct wf_record *record;

	/* Called at the end of the run, before a run that failed ends its process. */
	void (*ended)(void *user, const struct weft_sim *sim, const struct wf_outcome *outcome);
	void *user;
};

/* As many as fit; what is beyond them is compared by the last one alone. */
enum { WF_HASHES_MAX = 1 << 20 };

struct wf_hashes {
	uint64_t list[WF_HASHES_MAX];
	uint64_t count; /* steps of the first run */
	uint64_t last;	/* hash at its end */
};

enum { WF_RECORD_CUTS = 16, WF_RECORD_FAULTS = 1 << 20 };

struct wf_record {
	struct wf_mishap cuts[WF_RECORD_CUTS]; /* and resets */
	uint32_t cut_count;
	struct wf_sim_fault faults[WF_RECORD_FAULTS]; /* until the first whose count is 0 */
};

struct weft_sim_host {
	const char *name, *site, *function_name;
	weft_function *function;
	void *arg;
	struct weft_scope scope; /* around its program, while that runs */
	struct weft_sim *sim;
	uint8_t number;
	bool has_begun, is_stopped, is_cancelled; /* its program */
};

struct wf_call {
	weft_sim_action *action;
	void *arg;
};

struct wf_calls {
	struct wf_call *list;
	uint32_t count, room;
};

struct weft_sim {
	struct wf_sim *world;
	const struct wf_case *what;
	struct wf_outcome *outcome;
	weft_time begun; /* the clock at the beginning */

	struct weft_sim_host hosts[WF_SIM_HOSTS_MAX];
	uint32_t host_count;
	uint64_t set_links[WF_SIM_HOSTS_MAX]; /* bits of those the scenario has set */
	uint64_t cut_links[WF_SIM_HOSTS_MAX]; /* of those it has cut by hand */
	struct wf_calls checks, actions;
	struct wf_mishaps mishaps; /* cuts and resets, the scenario's and the swarm's */
	uint32_t own_mishaps;	   /* the scenario's, which come first */

	weft_time duration_ns, bound_ns;
	uint32_t credit;
	bool is_swarm;	   /* weft_sim_swarm was called */
	bool has_strategy; /* weft_sim_strategy was */
	bool has_credit, has_resets;
	bool is_running, is_calm;

	bool fails_memory; /* allocations may fail */
	size_t bytes;	   /* of memory held */
};

/* Makes a world from a case; releases what it holds. */
void wf_world_init(struct weft_sim *sim, const struct wf_case *what, struct wf_outcome *outcome);
void wf_world_done(struct weft_sim *sim);

/* What the seed decides besides, once the scenario has been called (runtime/swarm.c): strategy, and in
 * swarm mode links, cuts and resets. */
void wf_swarm(struct weft_sim *sim);

/* Calls a function for the link of each pair of different hosts that is meant, NULL being every host. */
typedef void wf_world_link_call(struct weft_sim *sim, uint32_t from, uint32_t to, const void *arg);
void wf_world_links(struct weft_sim *sim, const struct weft_sim_host *from,
		    const struct weft_sim_host *to, wf_world_link_call *call, const void *arg);

/* The program of a host has its scope, and what was asked of it before reaches it now. */
void wf_world_begin(struct weft_sim_host *host);

/* Plans a mishap of the list. */
void wf_world_plan(struct weft_sim *sim, uint32_t mishap);
void wf_mishaps_add(struct wf_mishaps *mishaps, const struct wf_mishap *mishap);

/* A time of the run on the simulator's clock, which ends with WEFT_FOREVER. */
weft_time wf_world_time(const struct weft_sim *sim, weft_time time);

/* As the simulator has it, with the defaults. */
struct wf_sim_link wf_world_link_of(const struct weft_sim_link *link);

/* Sets a link, without a note that the scenario has. */
void wf_world_link(struct weft_sim *sim, uint32_t from, uint32_t to,
		   const struct weft_sim_link *link);
