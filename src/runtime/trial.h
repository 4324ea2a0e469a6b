/* SPDX-License-Identifier: MIT */
/*
 * One run of a scenario, from a case to an outcome.
 *
 * A run that fails cannot go on, and C cannot unwind the stacks of its tasks: it ends its process, once it
 * has written down why. So runs happen in processes of their own (runtime/jobs.h), many in each of them
 * as long as all goes well.
 */
#pragma once

#include "runtime/sim.h"

enum wf_failure {
	WF_FAILURE_NONE,
	WF_FAILURE_ALWAYS,	/* a property did not hold */
	WF_FAILURE_HOST,	/* a program returned a negative result */
	WF_FAILURE_DEADLOCK,	/* all wait, for nothing that is going to happen */
	WF_FAILURE_LIVELOCK,	/* more steps than are allowed */
	WF_FAILURE_LIVENESS,	/* tasks that have not ended in time after everything was healed */
	WF_FAILURE_LEAK,	/* something is left */
	WF_FAILURE_DETERMINISM, /* the second run of a seed went another way */
	WF_FAILURE_START,	/* the run could not begin */
	WF_FAILURE_CRASH,	/* found by the process that waits for the runs */
	WF_FAILURE_HANG,
};

/* "always", "host"... */
const char *wf_failure_name(enum wf_failure failure);

struct wf_outcome {
	uint64_t seed, steps, hash;
	weft_time time;
	uint64_t allocations;	    /* counted */
	uint64_t failed_allocation; /* the number of the one that was made to fail, or 0 */
	bool and_all_after;
	const void *stack; /* an address on the stack of the first task, once it has one */
	enum wf_failure failure;
	char text[256];
	char site[128]; /* empty if there is none */
};

/* The exit status of a process whose run has failed. */
enum { WF_TRIAL_FAILED = 3 };

/* Runs a case. Returns if all went well; otherwise the outcome is filled in, what->ended called, and
 * the process ends. */
void wf_trial(const struct wf_case *what, struct wf_outcome *ret_outcome);
