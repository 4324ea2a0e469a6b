/* SPDX-License-Identifier: MIT */
/*
 * The processes in which runs happen.
 *
 *	parent ──fork──> job: case, case, case...	each takes the next number from shared memory
 *	   │ ──fork──> job: case, case, fails, ends
 *	   └──fork──> job: goes on with the next
 *
 * A job does run after run, and writes down in shared memory what it is at. A run that fails ends its job,
 * and so does one that crashes or takes too long, of which the parent learns by the way the job ended; it
 * then forks another. What a job writes to standard output and error goes to a file in memory, of which
 * the end is shown with a failure.
 */
#pragma once

#include "runtime/trial.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WF_JOBS_MAX = 256, WF_FAILURES_KEPT = 5, WF_OUTPUT_BYTES = 4096 };

/* As the simulator has it, which sees to it that the menu is no longer. */
enum { WF_MENU_LINES_MAX = sizeof((struct wf_sim_faults){ 0 }.rates) / sizeof(uint32_t) };

struct wf_failed {
	struct wf_outcome outcome;
	uint64_t number;	      /* of the case */
	char output[WF_OUTPUT_BYTES]; /* the end of what it wrote */
};

/* What all runs together came to. */
struct wf_findings {
	uint64_t runs;	      /* of seeds that began, each counted once */
	uint64_t steps;	      /* of those that came to an end */
	uint64_t time_ns;     /* virtual, of the same */
	uint64_t hash;	      /* of those that went well; the order does not matter */
	uint64_t allocations; /* of the first run */
	double seconds;	      /* real */
	uint64_t failures;
	struct wf_failed failed[WF_FAILURES_KEPT]; /* those of the lowest numbers, in order */
	uint64_t hits[WF_MENU_LINES_MAX];	   /* by line of the menu of mishaps */
	uint64_t *hashes; /* by number, if they are kept; freed by the caller */
};

struct wf_batch {
	uint32_t jobs;
	uint64_t count;	      /* cases; UINT64_MAX for as many as fit into the time */
	uint64_t seconds;     /* after which no run begins; 0: no limit */
	uint32_t run_seconds; /* that one run may take */
	bool runs_twice;      /* and compares the hashes */
	bool keeps_hashes;
	bool shows_progress;

	/* Fills in the case of a number, from 0. Called in the job. */
	void (*make)(const struct wf_batch *batch, uint64_t number, struct wf_case *ret_case);
	const void *user;

	struct weft_point_ *points; /* whose counts become those of all jobs */
	size_t point_count;
};

/* Runs all cases. 0, or why there is no process or memory for it. */
int wf_batch_run(const struct wf_batch *batch, struct wf_findings *ret_findings);

/* Runs one case in a process of its own, for at most so many seconds; 0, or why there is none. Appends what went wrong to `ret_record`,
 * which may be NULL. */
int wf_batch_try(const struct wf_case *what, uint32_t seconds, struct wf_failed *ret_failed,
		 struct wf_mishaps *ret_record);
