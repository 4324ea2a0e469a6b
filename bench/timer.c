/* SPDX-License-Identifier: MIT */
/*
 * What a timer costs that is cancelled before it fires, as nearly every deadline is.
 *
 *   timer [--rounds N] [--timers N]
 *
 *   timer.fresh    arm a timer and disarm it, in an otherwise empty wheel
 *   timer.random   disarm and arm again a random one of a million
 *
 * Each beside the same on a bare wheel: an array of lists, no checks, everything inlined, and no
 * more than a working wheel needs: levels of 64 slots picked by the highest bit that differs from
 * the present, a time already past put into the present slot, and a bit for each slot in use, by
 * which the next one to fire would be found. The timers of both lie in arrays of the same layout and
 * are picked in the same order.
 */
#define _GNU_SOURCE 1
#include "figure.h"

#include "core/timer.h"

#include <stddef.h>

enum {
	TICK_BITS = 14,
	SLOT_BITS = 6,
	SLOTS = 1 << SLOT_BITS,
	LEVELS = 9,
	FRESH_TIMERS = 64, /* taken in turn, as by so many connections */
	FRESH_RUNS = 2000000,
	RANDOM_RUNS = 500000,
};

static const weft_time START = 1000 * WEFT_SECOND, SPAN = 60 * WEFT_SECOND;

/* --- the bare wheel ------------------------------------------------------------------------ */

struct bare_link {
	struct bare_link *next, *prev;
};

struct bare_timer {
	struct bare_link link;
	weft_time when;
	void (*fire)(struct bare_timer *timer);
};

_Static_assert(sizeof(struct bare_timer) == sizeof(struct weft_timer_), "timers of equal size");

static struct {
	uint64_t tick;
	uint64_t occupied[LEVELS];
	struct bare_link slots[LEVELS][SLOTS];
} bare;

static void bare_init(weft_time now)
{
	bare.tick = (uint64_t)now >> TICK_BITS;
	for (int i = 0; i < LEVELS * SLOTS; i++) {
		struct bare_link *head = &bare.slots[i / SLOTS][i % SLOTS];

		head->next = head->prev = head;
	}
}

static inline void bare_arm(struct bare_timer *timer)
{
	uint64_t tick = ((uint64_t)timer->when + (1 << TICK_BITS) - 1) >> TICK_BITS;
	struct bare_link *head, *last;
	int level, slot;

	tick = tick < bare.tick ? bare.tick : tick;
	level = (63 - __builtin_clzll((tick ^ bare.tick) | 1)) / SLOT_BITS;
	slot = (int)(tick >> (level * SLOT_BITS)) & (SLOTS - 1);
	head = &bare.slots[level][slot];
	last = head->prev;

	/* In this order, lest the compiler store the two links as one word of 16 bytes: reading
	 * that back in halves while it is still in the store buffer costs 2 ns. */
	timer->link.next = head;
	last->next = &timer->link;
	timer->link.prev = last;
	head->prev = &timer->link;
	bare.occupied[level] |= 1ull << slot;
}

static inline void bare_disarm(struct bare_timer *timer)
{
	timer->link.next->prev = timer->link.prev;
	timer->link.prev->next = timer->link.next;
}

/* --- the rounds: each returns nanoseconds for one timer ------------------------------------ */

static struct wf_timers timers;
static struct weft_timer_ *weft_many;
static struct bare_timer *bare_many;
static uint64_t many;

/* xorshift64: the same sequence for both, cheap enough not to be seen. */
static inline uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* One of the timers, and a new time for it, out of 64 random bits. */
static inline uint64_t pick(uint64_t random)
{
	return (random >> 32) * many >> 32;
}

static inline weft_time when_of(uint64_t random)
{
	return START + (weft_time)((random & UINT32_MAX) * (uint64_t)SPAN >> 32);
}

static void never(struct weft_timer_ *timer)
{
	(void)timer;
	abort();
}

static double weft_fresh(void)
{
	static struct weft_timer_ pool[FRESH_TIMERS];
	int64_t begin = clock_cpu_ns();

	for (int i = 0; i < FRESH_RUNS; i++) {
		struct weft_timer_ *timer = &pool[i % FRESH_TIMERS];

		timer->when = START + (weft_time)i * 30011;
		wf_timers_arm(&timers, timer);
		wf_timer_disarm(timer);
	}
	return (double)(clock_cpu_ns() - begin) / FRESH_RUNS;
}

static double bare_fresh(void)
{
	static struct bare_timer pool[FRESH_TIMERS];
	int64_t begin = clock_cpu_ns();

	for (int i = 0; i < FRESH_RUNS; i++) {
		struct bare_timer *timer = &pool[i % FRESH_TIMERS];

		timer->when = START + (weft_time)i * 30011;
		bare_arm(timer);
		__asm__ volatile("" : : : "memory"); /* so that the two do happen */
		bare_disarm(timer);
	}
	return (double)(clock_cpu_ns() - begin) / FRESH_RUNS;
}

/* The first half is not measured: it fills the caches, which hold what the other wheel left there. */
static double weft_random_runs(uint64_t seed)
{
	int64_t begin = 0;

	for (int i = -RANDOM_RUNS; i < RANDOM_RUNS; i++) {
		uint64_t random = next_random(&seed);
		struct weft_timer_ *timer = &weft_many[pick(random)];

		if (i == 0)
			begin = clock_cpu_ns();
		wf_timer_disarm(timer);
		timer->when = when_of(random);
		wf_timers_arm(&timers, timer);
	}
	return (double)(clock_cpu_ns() - begin) / RANDOM_RUNS;
}

static double bare_random_runs(uint64_t seed)
{
	int64_t begin = 0;

	for (int i = -RANDOM_RUNS; i < RANDOM_RUNS; i++) {
		uint64_t random = next_random(&seed);
		struct bare_timer *timer = &bare_many[pick(random)];

		if (i == 0)
			begin = clock_cpu_ns();
		bare_disarm(timer);
		timer->when = when_of(random);
		bare_arm(timer);
	}
	return (double)(clock_cpu_ns() - begin) / RANDOM_RUNS;
}

/* Arms a million timers in each wheel, at the same random times. */
static void arm_many(void)
{
	uint64_t seed = 1;

	weft_many = calloc(many, sizeof *weft_many);
	bare_many = calloc(many, sizeof *bare_many);
	if (!weft_many || !bare_many)
		fail("no memory");
	for (uint64_t i = 0; i < many; i++) {
		weft_many[i].fire = never;
		weft_many[i].when = bare_many[i].when = when_of(next_random(&seed));
		wf_timers_arm(&timers, &weft_many[i]);
		bare_arm(&bare_many[i]);
	}
}

/* No timer was lost from either wheel. */
static void check_many(void)
{
	uint64_t weft_count = 0, bare_count = 0;

	for (int i = 0; i < LEVELS * SLOTS; i++) {
		struct bare_link *head = &bare.slots[i / SLOTS][i % SLOTS];

		for (struct bare_link *at = head->next; at != head; at = at->next)
			bare_count++;
	}
	for (uint64_t i = 0; i < many; i++)
		weft_count += weft_many[i].link.next &&
			      weft_many[i].link.next->prev == &weft_many[i].link;
	if (weft_count != many || bare_count != many)
		fail("timers were lost");
}

int main(int argc, char **argv)
{
	long rounds = option(argc, argv, "--rounds", 11);

	many = (uint64_t)option(argc, argv, "--timers", 1000000);
	wf_timers_init(&timers, START);
	bare_init(START);
	for (long i = 0; i < rounds; i++) {
		if (i % 2) {
			figure("timer.fresh.bare", bare_fresh(), "ns");
			figure("timer.fresh.weft", weft_fresh(), "ns");
		} else {
			figure("timer.fresh.weft", weft_fresh(), "ns");
			figure("timer.fresh.bare", bare_fresh(), "ns");
		}
	}
	arm_many();
	(void)weft_random_runs(7); /* shuffles the lists, which are in the order of arming */
	(void)bare_random_runs(7);
	for (long i = 0; i < rounds; i++) {
		uint64_t seed = (uint64_t)i + 42;

		if (i % 2) {
			figure("timer.random.bare", bare_random_runs(seed), "ns");
			figure("timer.random.weft", weft_random_runs(seed), "ns");
		} else {
			figure("timer.random.weft", weft_random_runs(seed), "ns");
			figure("timer.random.bare", bare_random_runs(seed), "ns");
		}
	}
	check_many();
	return 0;
}
