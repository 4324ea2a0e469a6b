/* SPDX-License-Identifier: MIT */
/* The timer wheel; core/timer.h tells how it works. */
#include "core/timer.h"

#include "base/assert.h"
#include "base/compiler.h"

#include <stddef.h>

enum { SLOTS = 1 << WF_TIMER_SLOT_BITS, SLOT_MASK = SLOTS - 1 };

static uint64_t tick_up(weft_time when)
{
	uint64_t ns = when > 0 ? (uint64_t)when : 0;

	return (ns + (1u << WF_TIMER_TICK_BITS) - 1) >> WF_TIMER_TICK_BITS;
}

void wf_timers_init(struct wf_timers *timers, weft_time now)
{
	timers->tick = (uint64_t)now >> WF_TIMER_TICK_BITS;
	for (int level = 0; level < WF_TIMER_LEVELS; level++) {
		timers->occupied[level] = 0;
		for (int i = 0; i < SLOTS; i++) {
			struct weft_link_ *slot = &timers->slots[level][i];

			slot->next = slot->prev = slot;
		}
	}
}

void wf_timers_arm(struct wf_timers *timers, struct weft_timer_ *timer)
{
	uint64_t tick = tick_up(timer->when);
	struct weft_link_ *slot, *last;
	int level, index;

	wf_assert_slow(!wf_timer_is_armed(timer));
	tick = tick < timers->tick ? timers->tick : tick;
	level = (63 - __builtin_clzll((tick ^ timers->tick) | 1)) / WF_TIMER_SLOT_BITS;
	index = (int)(tick >> (level * WF_TIMER_SLOT_BITS)) & SLOT_MASK;

	/* In this order: the compiler must not store the timer's two links as one word, because
	 * reading one of them back soon would then wait for the store to reach the cache. */
	slot = &timers->slots[level][index];
	last = slot->prev;
	timer->link.next = slot;
	last->next = &timer->link;
	timer->link.prev = last;
	slot->prev = &timer->link;
	timers->occupied[level] |= 1ull << index;
}

/* The slot that comes first, and the tick it begins at; false if no timer is armed. Every timer of
 * a level is later than every one of the levels below it, so the lowest slot in use is the first. */
static bool first_slot(struct wf_timers *timers, int *ret_level, int *ret_index, uint64_t *ret_tick)
{
	for (int level = 0; level < WF_TIMER_LEVELS; level++) {
		while (timers->occupied[level]) {
			int shift = level * WF_TIMER_SLOT_BITS;
			int index = __builtin_ctzll(timers->occupied[level]);
			struct weft_link_ *slot = &timers->slots[level][index];

			if (slot->next == slot) {
				timers->occupied[level] &= ~(1ull << index);
				continue;
			}
			*ret_level = level;
			*ret_index = index;
			*ret_tick =
				(timers->tick >> shift & ~(uint64_t)SLOT_MASK) + (uint64_t)index;
			*ret_tick <<= shift;
			return true;
		}
	}
	return false;
}

weft_time wf_timers_next(struct wf_timers *timers)
{
	uint64_t tick;
	int level, index;

	if (!first_slot(timers, &level, &index, &tick))
		return WEFT_FOREVER;
	/* The last time there is, rounded up to a tick, is no time any more. */
	if (tick > (uint64_t)WEFT_FOREVER >> WF_TIMER_TICK_BITS)
		return WEFT_FOREVER;
	return (weft_time)(tick << WF_TIMER_TICK_BITS);
}

/* Takes the timers of a slot one by one, so that what a fired one arms or disarms is seen. */
static void empty_slot(struct wf_timers *timers, int level, struct weft_link_ *slot)
{
	struct weft_link_ due = *slot;

	due.next->prev = due.prev->next = &due;
	slot->next = slot->prev = slot;
	while (due.next != &due) {
		struct weft_timer_ *timer = wf_container(due.next, struct weft_timer_, link);

		wf_timer_disarm(timer);
		if (level == 0)
			timer->fire(timer);
		else
			wf_timers_arm(timers, timer);
	}
}

void wf_timers_advance(struct wf_timers *timers, weft_time now)
{
	uint64_t target = (uint64_t)now >> WF_TIMER_TICK_BITS;
	uint64_t tick;
	int level, index;

	while (first_slot(timers, &level, &index, &tick) && tick <= target) {
		if (timers->tick < tick)
			timers->tick = tick;
		timers->occupied[level] &= ~(1ull << index);
		empty_slot(timers, level, &timers->slots[level][index]);
	}
	if (timers->tick < target)
		timers->tick = target;
}
