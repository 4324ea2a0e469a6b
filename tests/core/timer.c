/* SPDX-License-Identifier: MIT */
#include "core/timer.h"

#include "base/compiler.h"
#include "base/random.h"
#include "core/common.h"
#include "harness/harness.h"

#include <stdlib.h>

static const weft_time TICK = (weft_time)1 << WF_TIMER_TICK_BITS;
static const weft_time YEAR = 365 * 24 * 3600 * WEFT_SECOND;

/* Not aligned to any slot of the wheel. */
static const weft_time START = 123456789 * WEFT_MICROSECOND;

enum { LOG_MAX = 100000 };

static struct wf_timers wheel;
static struct weft_timer_ *fired[LOG_MAX];
static int fired_count;

static void note(struct weft_timer_ *timer)
{
	quietly(!wf_timer_is_armed(timer));
	quietly(fired_count < LOG_MAX);
	fired[fired_count++] = timer;
}

static void begin(weft_time now)
{
	wf_timers_init(&wheel, now);
	fired_count = 0;
}

static void arm(struct weft_timer_ *timer, weft_time when)
{
	*timer = (struct weft_timer_){ .when = when, .fire = note };
	wf_timers_arm(&wheel, timer);
}

/* The first time at which a timer fires: its own, rounded up to a tick. */
static weft_time due(weft_time when)
{
	return (when + TICK - 1) / TICK * TICK;
}

/* Moves time as the scheduler does, from one wf_timers_next to the next, up to `end`. */
static int advance_by_next(weft_time end)
{
	weft_time next;
	int steps = 0;

	while ((next = wf_timers_next(&wheel)) <= end) {
		wf_timers_advance(&wheel, next);
		steps++;
	}
	wf_timers_advance(&wheel, end);
	return steps;
}

/* A timer fires at its own time, rounded up to a tick, and not a nanosecond before. */
WF_TEST(timer_fires_at_its_tick)
{
	for (weft_time distance = 1; distance < YEAR; distance = distance * 3 + 1) {
		struct weft_timer_ timer;
		weft_time when = START + distance;

		begin(START);
		arm(&timer, when);
		wf_timers_advance(&wheel, due(when) - 1);
		ck_assert_int_eq(fired_count, 0);
		wf_timers_advance(&wheel, due(when));
		ck_assert_int_eq(fired_count, 1);
		ck_assert_ptr_eq(fired[0], &timer);
	}
}

/* Timers fire in the order of their ticks, whatever the order of arming. */
WF_TEST(timers_fire_in_order)
{
	static const int order[] = { 5, 900, 2, 70, 300000, 1, 4000, 64, 63, 65 };
	enum { COUNT = sizeof order / sizeof *order };
	struct weft_timer_ timers[COUNT];

	begin(START);
	for (int i = 0; i < COUNT; i++)
		arm(&timers[i], START + order[i] * TICK);
	wf_timers_advance(&wheel, START + WEFT_SECOND * 10);
	ck_assert_int_eq(fired_count, COUNT);
	for (int i = 1; i < COUNT; i++)
		ck_assert_int_lt(fired[i - 1]->when, fired[i]->when);
}

/* A timer armed for the past fires at the next advance, even one to the present. */
WF_TEST(past_fires_at_once)
{
	static const weft_time past[] = { START, START - 1, START - WEFT_SECOND, 0, -1, INT64_MIN };

	for (size_t i = 0; i < sizeof past / sizeof *past; i++) {
		struct weft_timer_ timer;

		begin(START);
		wf_timers_advance(&wheel, START + TICK);
		arm(&timer, past[i]);
		ck_assert_int_le(wf_timers_next(&wheel), START + TICK);
		wf_timers_advance(&wheel, START + TICK);
		ck_assert_int_eq(fired_count, 1);
	}
}

/* A disarmed timer does not fire, and can be armed again. */
WF_TEST(disarmed_timer_does_not_fire)
{
	struct weft_timer_ timer;

	begin(START);
	arm(&timer, START + WEFT_SECOND);
	wf_timer_disarm(&timer);
	ck_assert(!wf_timer_is_armed(&timer));
	wf_timers_advance(&wheel, START + 2 * WEFT_SECOND);
	ck_assert_int_eq(fired_count, 0);
	arm(&timer, START + 3 * WEFT_SECOND);
	wf_timers_advance(&wheel, START + 4 * WEFT_SECOND);
	ck_assert_int_eq(fired_count, 1);
}

/* Disarming a timer that is not armed does nothing. */
WF_TEST(disarming_twice_is_harmless)
{
	struct weft_timer_ timer = { 0 }, other;

	begin(START);
	wf_timer_disarm(&timer);
	arm(&other, START + TICK);
	wf_timer_disarm(&other);
	wf_timer_disarm(&other);
	wf_timers_advance(&wheel, START + WEFT_SECOND);
	ck_assert_int_eq(fired_count, 0);
}

static struct weft_timer_ victims[3];

static void disarm_victims(struct weft_timer_ *timer)
{
	note(timer);
	for (int i = 0; i < 3; i++)
		wf_timer_disarm(&victims[i]);
}

/* A function that fires may disarm timers that are due at the same moment, and later ones. */
WF_TEST(firing_function_disarms_others)
{
	struct weft_timer_ killer = { .when = START + 100, .fire = disarm_victims };

	begin(START);
	wf_timers_arm(&wheel, &killer);
	arm(&victims[0], START + 100);
	arm(&victims[1], START + 50 * TICK);
	arm(&victims[2], START + 5000 * TICK);
	wf_timers_advance(&wheel, START + WEFT_SECOND);
	ck_assert_int_eq(fired_count, 1);
	ck_assert_ptr_eq(fired[0], &killer);
	ck_assert_int_eq(wf_timers_next(&wheel), WEFT_FOREVER);
}

static void arm_again(struct weft_timer_ *timer)
{
	note(timer);
	timer->when += 10 * TICK;
	if (fired_count < 5)
		wf_timers_arm(&wheel, timer);
}

/* A function that fires may arm its own timer again; it then fires at the new time. */
WF_TEST(firing_function_arms_itself)
{
	struct weft_timer_ timer = { .when = START + TICK, .fire = arm_again };
	weft_time first = due(START + TICK);

	begin(START);
	wf_timers_arm(&wheel, &timer);
	wf_timers_advance(&wheel, first + 10 * TICK - 1);
	ck_assert_int_eq(fired_count, 1);
	wf_timers_advance(&wheel, first + 10 * TICK);
	ck_assert_int_eq(fired_count, 2);
	wf_timers_advance(&wheel, first + WEFT_SECOND); /* one advance, several periods */
	ck_assert_int_eq(fired_count, 5);
}

static void arm_victims_for_the_past(struct weft_timer_ *timer)
{
	note(timer);
	arm(&victims[0], 0);
	arm(&victims[1], timer->when);
}

/* A timer that a firing function arms for the past fires at the next advance at the latest. */
WF_TEST(firing_function_arms_the_past)
{
	struct weft_timer_ timer = { .when = START, .fire = arm_victims_for_the_past };

	begin(START);
	wf_timers_arm(&wheel, &timer);
	wf_timers_advance(&wheel, START + TICK);
	wf_timers_advance(&wheel, START + TICK);
	ck_assert_int_eq(fired_count, 3);
}

/* A timer on any level of the wheel sinks through those below, and fires at its tick; the scheduler
 * is woken for that at most once a level. */
WF_TEST(timer_sinks_through_every_level)
{
	for (int level = 0; level < WF_TIMER_LEVELS - 1; level++) {
		struct weft_timer_ timer;
		weft_time distance = TICK << level * WF_TIMER_SLOT_BITS;
		weft_time when = START + 5 * distance + distance / 3 + 12345;

		begin(START);
		arm(&timer, when);
		ck_assert_int_le(advance_by_next(due(when) - 1), WF_TIMER_LEVELS);
		ck_assert_int_eq(fired_count, 0);
		ck_assert_int_eq(advance_by_next(due(when)), 1);
		ck_assert_int_eq(fired_count, 1);
	}
}

/* Without timers there is no next time, also when there were some. */
WF_TEST(next_is_never_without_timers)
{
	struct weft_timer_ timer;

	begin(START);
	ck_assert_int_eq(wf_timers_next(&wheel), WEFT_FOREVER);
	arm(&timer, START + YEAR);
	ck_assert_int_lt(wf_timers_next(&wheel), WEFT_FOREVER);
	wf_timer_disarm(&timer);
	ck_assert_int_eq(wf_timers_next(&wheel), WEFT_FOREVER);
}

/* The last times there are lie in the future like any other: they make nobody look at once. */
WF_TEST(end_of_time_is_far_away)
{
	for (weft_time distance = 0; distance < 3 * TICK; distance += TICK / 4) {
		struct weft_timer_ timer;

		begin(START);
		arm(&timer, WEFT_FOREVER - distance);
		ck_assert_int_gt(wf_timers_next(&wheel), START);
		ck_assert_int_le(advance_by_next(START + 200 * YEAR), WF_TIMER_LEVELS);
		ck_assert_int_eq(fired_count, 0);
		ck_assert_int_gt(wf_timers_next(&wheel), START + 200 * YEAR);
	}
}

/* ---- Against a model ------------------------------------------------------------------------- */

enum { MODEL_TIMERS = 200 };

static struct weft_timer_ model_timers[MODEL_TIMERS];
static weft_time model_due[MODEL_TIMERS]; /* when each fires; the past is now */
static struct wf_random chance;

static uint64_t below(uint64_t limit)
{
	return wf_random_next(&chance) % limit;
}

/* A distance in time, of any magnitude up to some 10 years. */
static weft_time any_distance(void)
{
	return (weft_time)(wf_random_next(&chance) >> (6 + below(58)));
}

static weft_time due_in_model(const struct weft_timer_ *timer)
{
	return model_due[timer - model_timers];
}

static weft_time first_due_in_model(void)
{
	weft_time first = WEFT_FOREVER;

	for (int i = 0; i < MODEL_TIMERS; i++)
		if (wf_timer_is_armed(&model_timers[i]) && model_due[i] < first)
			first = model_due[i];
	return first;
}

static void arm_both(struct weft_timer_ *timer, weft_time when, weft_time now)
{
	weft_time present = now / TICK * TICK;

	arm(timer, when);
	model_due[timer - model_timers] = due(when) < present ? present : due(when);
}

/* What was armed and is due fires, and nothing else does; in order. */
static void advance_both(weft_time now)
{
	bool is_due[MODEL_TIMERS], stays[MODEL_TIMERS];
	int expected = 0;

	for (int i = 0; i < MODEL_TIMERS; i++) {
		bool armed = wf_timer_is_armed(&model_timers[i]);

		is_due[i] = armed && model_due[i] <= now;
		stays[i] = armed && !is_due[i];
		expected += is_due[i];
	}
	fired_count = 0;
	wf_timers_advance(&wheel, now);
	ck_assert_int_eq(fired_count, expected);
	for (int i = 0; i < MODEL_TIMERS; i++)
		quietly(wf_timer_is_armed(&model_timers[i]) == stays[i]);
	for (int i = 0; i < fired_count; i++) {
		quietly(is_due[fired[i] - model_timers]);
		quietly(i == 0 || due_in_model(fired[i - 1]) <= due_in_model(fired[i]));
	}
}

/* The wheel does what an array of timers, searched as a whole, does. */
WF_TEST(wheel_is_like_its_model)
{
	weft_time now = START;

	begin(now);
	wf_random_seed(&chance, 2026);
	for (int step = 0; step < 60000; step++) {
		struct weft_timer_ *timer = &model_timers[below(MODEL_TIMERS)];
		weft_time next = wf_timers_next(&wheel);

		quietly(next <= first_due_in_model());
		if (below(8) == 0) {
			bool to_next = below(2) && next < WEFT_FOREVER && next > now;

			now = to_next ? next : now + any_distance() / 64;
			advance_both(now);
		} else if (wf_timer_is_armed(timer)) {
			wf_timer_disarm(timer);
		} else {
			weft_time distance = any_distance();

			arm_both(timer, below(10) ? now + distance : now - distance % now, now);
		}
	}
}

static int compare_due(const void *a, const void *b)
{
	weft_time left = due(((const struct weft_timer_ *)a)->when);
	weft_time right = due(((const struct weft_timer_ *)b)->when);

	return (left > right) - (left < right);
}

/* A hundred thousand timers within an hour all fire, in order, none early. */
WF_TEST(many_timers)
{
	enum { COUNT = 100000 };
	static struct weft_timer_ timers[COUNT], sorted[COUNT];

	wf_random_seed(&chance, 7);
	begin(START);
	for (int i = 0; i < COUNT; i++) {
		arm(&timers[i], START + (weft_time)below(3600 * (uint64_t)WEFT_SECOND));
		sorted[i] = timers[i];
	}
	qsort(sorted, COUNT, sizeof *sorted, compare_due);
	for (weft_time now = START; now <= START + 3601 * WEFT_SECOND; now += WEFT_SECOND / 3) {
		wf_timers_advance(&wheel, now);
		quietly(fired_count == 0 || due(fired[fired_count - 1]->when) <= now);
		quietly(fired_count == COUNT || due(sorted[fired_count].when) > now);
	}
	ck_assert_int_eq(fired_count, COUNT);
	for (int i = 0; i < COUNT; i++)
		quietly(due(fired[i]->when) == due(sorted[i].when));
}

WF_MAIN("core/timer")
