/* SPDX-License-Identifier: MIT */
/*
 * Parking: what takes the place of a task that would only wait for input; weft/park.h is the public
 * side, io/watch.c binds it to descriptors.
 *
 *	idle ── wf_park ──> PARKED ── wf_parked_end ──> DUE ── the loop ──> a task runs lot->run ──> idle
 *
 * PARKED lies in its lot, in the order of parking. Every one of a lot may stay equally long, so the
 * first is always the next to expire: one timer a lot, armed for the first there was when it was last
 * looked at, and nothing to do when one leaves. DUE lies in the worker's list, from which the loop
 * starts a bounded number of tasks a turn; while memory for one is short it tries again later. So
 * nothing that ends a parking can fail.
 *
 * The scope counts a parked one like a child, and hands its place on to the task.
 */
#pragma once

#include "base/list.h"

#include <stdbool.h>
#include <stdint.h>
#include <weft/park.h>
#include <weft/scope.h>
#include <weft/time.h>

struct weft_lot;
struct weft_worker;

enum { WF_PARKED_WAITS = 1 };

struct wf_parked {
	struct wf_list node;  /* unlinked while idle */
	struct weft_lot *lot; /* the present one, or the last */
	uint32_t since;	      /* in ticks of 2^24 ns; it wraps around */
	int why;	      /* WF_PARKED_WAITS, or once it is due, why */
};

/* What a lot has its task do; returns the task's result. */
typedef int wf_parked_run(struct wf_parked *parked, int why, struct weft_lot *lot);

struct weft_lot {
	struct weft_scope *scope;
	struct weft_lot *next; /* of the same scope */
	struct wf_list parked; /* the longest there first */
	weft_time idle_ns;
	struct weft_timer_ timer;
	wf_parked_run *run;
	weft_parked_function *function;
	void *arg;
	const char *site, *name;
};

static inline void wf_parked_init(struct wf_parked *parked)
{
	*parked = (struct wf_parked){ 0 };
	wf_list_init(&parked->node);
}

/* Opens a lot, which its scope releases. -EPERM, -ENOMEM. */
int wf_lot_open(struct weft_scope *scope, weft_time idle_ns, struct weft_lot **ret_lot);

/* 0 if something may be parked in the lot now; -EPERM, the code of a stop, or WEFT_ESTOPPING. */
int wf_lot_admit(struct weft_lot *lot);

/* Parks what is idle; the lot admits it. */
void wf_park(struct weft_lot *lot, struct wf_parked *parked);

/* Ends a parking if it has not ended: the lot's function will be told why. */
void wf_parked_end(struct wf_parked *parked, int why);

/* Ends all parkings in the lots of a scope. */
void wf_lots_end(struct weft_scope *scope, int why);

/* Releases the lots of a scope, which are empty. */
void wf_lots_free(struct weft_scope *scope);

/* Starts tasks for what is due; called by the loop once a turn. */
void wf_parked_start(struct weft_worker *worker);
