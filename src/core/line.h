/* SPDX-License-Identifier: MIT */
/*
 * Lines of waiting tasks: what channels, mutexes, events and the like are made of.
 *
 *	line.first --> place --> place --> place <-- line.last
 *	                 |         |         |
 *	               waiter    waiter    waiter      (core/wait.h), each on its task's stack
 *
 * A task that cannot go on joins the line and waits. Whoever can let it go on settles its place, and
 * hands over what it waited for in the same breath: so nobody who comes later can take that, and a task
 * that wakes need not look again. A stop takes the place out of the line instead; as only one of the two
 * can happen, a task that was stopped got nothing.
 */
#pragma once

#include "base/compiler.h"
#include "core/wait.h"
#include "core/worker.h"

#include <stdbool.h>
#include <weft/line.h>

/* Joins a line at its end. */
static inline void wf_line_join(struct weft_line_ *line, struct weft_place_ *place)
{
	place->line = line;
	place->next = NULL;
	place->prev = line->last;
	if (line->last)
		line->last->next = place;
	else
		line->first = place;
	line->last = place;
}

/* Leaves the line, wherever in it. */
static inline void wf_line_leave(struct weft_place_ *place)
{
	struct weft_line_ *line = place->line;

	if (place->prev)
		place->prev->next = place->next;
	else
		line->first = place->next;
	if (place->next)
		place->next->prev = place->prev;
	else
		line->last = place->prev;
}

/* A task that waits in one line. */
struct wf_line_wait {
	struct wf_waiter waiter;
	struct weft_place_ place;
};

/* The `withdraw` of such a task. */
void wf_line_withdraw(struct wf_waiter *waiter);

/* Fills in what wf_line_wait_in needs: the calling task, and what it waits for. */
static inline void wf_line_wait_init(struct wf_line_wait *wait, struct wf_task *task,
				     const void *object, enum wf_wait_reason reason)
{
	wait->waiter.task = task;
	wait->waiter.object = object;
	wait->waiter.withdraw = wf_line_withdraw;
	wait->waiter.result = 0;
	wait->waiter.code = 0;
	wait->waiter.reason = (uint8_t)reason;
	wait->waiter.state = WF_WAIT_ARMED;
	wait->waiter.ends_softly = false;
	wait->waiter.selects = false;
	wait->place.waiter = &wait->waiter;
}

/* Waits at the end of the line until the place is settled; returns the result, or the code of a stop. */
static inline int64_t wf_line_wait_in(struct weft_line_ *line, struct wf_line_wait *wait)
{
	wf_line_join(line, &wait->place);
	return wf_wait(&wait->waiter);
}

/* The same for an object that hands nothing over but the turn. A task's checkpoint comes before. */
int wf_line_wait(struct weft_line_ *line, struct wf_task *task, const void *object,
		 enum wf_wait_reason reason);

/* Takes a place out of its line, and gives its waiter the result. Never suspends. */
void wf_line_settle(struct weft_place_ *place, int64_t result);

/* Settles all places there are now. Never suspends. */
void wf_line_settle_all(struct weft_line_ *line, int64_t result);
