/* SPDX-License-Identifier: MIT */
/*
 * A hierarchical timer wheel: O(1) to arm and to disarm, no allocation, no clock of its own.
 *
 * Time is counted in ticks of 2^14 ns (16.4 us). Level L holds the timers whose tick first differs
 * from the present one in its L-th group of six bits, in the slot that group names:
 *
 *	tick   = | ... | group 2 | group 1 | group 0 |
 *	level 0: due within the present 64 ticks, one slot a tick
 *	level 1: due within the present 64*64 ticks, one slot for 64 ticks; and so on
 *
 * Moving time forward empties the slots it passes, level 0 by firing, the others by sorting their
 * timers into lower levels. A timer is moved at most once a level, and never fires early: its time
 * is rounded up to a tick, the present down.
 *
 * `occupied` may show a slot whose timers have all been disarmed; it is corrected when looked at.
 *
 * After G. Varghese and T. Lauck, "Hashed and hierarchical timing wheels" (1987).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <weft/scope.h>
#include <weft/time.h>

enum { WF_TIMER_TICK_BITS = 14, WF_TIMER_SLOT_BITS = 6, WF_TIMER_LEVELS = 9 };

struct wf_timers {
	uint64_t tick; /* the present */
	uint64_t occupied[WF_TIMER_LEVELS];
	struct weft_link_ slots[WF_TIMER_LEVELS][1 << WF_TIMER_SLOT_BITS]; /* heads of rings */
};

/* An empty wheel at the given time. */
void wf_timers_init(struct wf_timers *timers, weft_time now);

/* Arms a timer that is not armed; its `when` and `fire` are set. */
void wf_timers_arm(struct wf_timers *timers, struct weft_timer_ *timer);

static inline bool wf_timer_is_armed(const struct weft_timer_ *timer)
{
	return timer->link.next != NULL;
}

/* Disarms a timer if it is armed; a zeroed timer is not. */
static inline void wf_timer_disarm(struct weft_timer_ *timer)
{
	if (!wf_timer_is_armed(timer))
		return;
	timer->link.next->prev = timer->link.prev;
	timer->link.prev->next = timer->link.next;
	timer->link.next = NULL;
}

/* A time by which wf_timers_advance must be called, not after the first timer is due;
 * WEFT_FOREVER without timers. */
weft_time wf_timers_next(struct wf_timers *timers);

/* Moves the present forward and fires what is due, in order of ticks; each timer is disarmed before
 * its function is called, which may arm and disarm any. */
void wf_timers_advance(struct wf_timers *timers, weft_time now);
