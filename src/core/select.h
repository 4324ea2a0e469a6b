/* SPDX-License-Identifier: MIT */
/*
 * Select: one task in several lines at once.
 *
 *	waiter <── case 0: place ── in the line of a channel
 *	       <── case 1: place ── in the line of an event
 *	       <── case 2: timer
 *	       <── case 3: operation ── pending in the engine
 *
 * All cases of a select share its waiter. Whoever comes first to settle one of them settles the waiter,
 * and in the same breath every other case is withdrawn, so that nobody can hand anything to a case that
 * has lost. A kind of case is a table of four functions; the core has those for its own objects, and io
 * those for descriptors.
 */
#pragma once

#include "core/wait.h"

#include <weft/select.h>

struct wf_case_kind {
	/* Whether the case could happen now: 1, 0, or why it can be neither taken nor waited for. */
	int (*is_ready)(struct weft_case *this);
	/* Has it happen, which it can; returns its result. */
	int (*take)(struct weft_case *this);
	/* Has wf_select_settle called for it when it happens; it is not ready. 0, or why it cannot. */
	int (*enlist)(struct weft_case *this, struct wf_waiter *waiter);
	/* Takes that back, at once. It may call wf_select_settle while it does. */
	void (*withdraw)(struct weft_case *this);
};

/* Most kinds wait in a line: their `enlist`, but for finding it, and their `withdraw`. */
void wf_case_join(struct weft_case *this, struct weft_line_ *line, struct wf_waiter *waiter);
void wf_case_leave(struct weft_case *this);

/* A case that was enlisted has happened, and is enlisted no longer: ends the select. Does nothing if
 * that has ended already. Never suspends. */
void wf_select_settle(struct wf_waiter *waiter, struct weft_case *happened, int result);
