/* SPDX-License-Identifier: MIT */
/*
 * Mishaps: system calls and allocations that fail.
 *
 * `menu` lists what can go wrong with which operation, as the manual pages have it. Each time an
 * operation is done its count goes up, and three things can make it fail: a *planned* failure of just
 * that count, which is what tests write and what a shrunk failure is made of; a count from which on all
 * fail; or chance, in swarm mode, where each seed turns on a part of the menu at rates of its own.
 *
 * Whatever fails is recorded with its count. A run that plans the record and leaves chance off meets
 * the same mishaps.
 *
 * After A. Groce et al., "Swarm Testing" (ISSTA 2012).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct wf_sim;

enum wf_sim_op {
	WF_SIM_SOCKET,
	WF_SIM_OPTION,
	WF_SIM_BIND,
	WF_SIM_LISTEN,
	WF_SIM_ACCEPT,
	WF_SIM_CONNECT,	  /* the call */
	WF_SIM_CONNECTED, /* what becomes of it later */
	WF_SIM_RECEIVE,
	WF_SIM_SEND,
	WF_SIM_SHUTDOWN,
	WF_SIM_NAME,
	WF_SIM_CLOSE,
	WF_SIM_WATCH,	 /* asking the engine to report a descriptor: epoll_ctl(2) */
	WF_SIM_SIGNALS,	 /* signalfd(2) */
	WF_SIM_READ,	 /* read(2) from there */
	WF_SIM_ALLOCATE, /* memory */
	WF_SIM_OPS,
};

enum { WF_SIM_HOSTS_MAX = 64, WF_SIM_ANY_HOST = 255 };

/* An operation that fails: the count-th of its kind on that host, from 1. */
struct wf_sim_fault {
	uint64_t count;
	int error; /* -errno; for SEND, a positive number of bytes makes it short */
	uint8_t op;
	uint8_t host;
	bool and_all_after;
};

struct wf_sim_faults {
	/* From the scenario, or from the record of an earlier run. */
	struct wf_sim_fault *planned;
	uint32_t planned_count, planned_room;
	/* What happened. */
	struct wf_sim_fault *record;
	uint32_t record_count, record_room;

	uint64_t counts[WF_SIM_HOSTS_MAX][WF_SIM_OPS]; /* how often each was done */
	uint64_t all[WF_SIM_OPS];		       /* on all hosts together */
	uint32_t rates[64];	   /* in a million, by line of the menu; 0 outside swarm mode */
	uint32_t sums[WF_SIM_OPS]; /* of the lines of an operation */
	bool is_swarm;
	bool is_over; /* healed: nothing fails any more */
};

/* What can go wrong, as (operation, error). */
struct wf_sim_menu {
	uint8_t op;
	int error;
};
extern const struct wf_sim_menu wf_sim_menu[];
extern const uint32_t wf_sim_menu_lines;

void wf_sim_faults_done(struct wf_sim_faults *faults);

/* Plans a failure; `host` may be WF_SIM_ANY_HOST, which counts over all. */
void wf_sim_fault_plan(struct wf_sim *sim, struct wf_sim_fault fault);

/* Turns a part of the menu on, as the seed has it. */
void wf_sim_swarm(struct wf_sim *sim);

/* Counts one more operation on the running task's host; 0 if it goes well, or how it fails. */
int wf_sim_fault(struct wf_sim *sim, enum wf_sim_op op);

/* "accept", "allocate". */
const char *wf_sim_op_name(enum wf_sim_op op);
