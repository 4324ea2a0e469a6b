/* SPDX-License-Identifier: MIT */
#include <weft/time.h>

#include "core/common.h"
#include "harness/harness.h"

#include <errno.h>
#include <string.h>
#include <weft/run.h>

/* ---- The clock ------------------------------------------------------------------------------- */

/* The clock does not go back. */
WF_TASK_TEST(now_does_not_go_back)
{
	weft_time last = weft_now();

	for (int i = 0; i < 10000; i++) {
		weft_time now = weft_now();

		ck_assert_int_ge(now, last);
		last = now;
	}
	ck_assert_int_gt(last, 0);
}

/* weft_after stops at WEFT_FOREVER, and a negative duration is the past. */
WF_TASK_TEST(after_saturates)
{
	weft_time now = weft_now();

	ck_assert_int_eq(weft_after(WEFT_FOREVER), WEFT_FOREVER);
	ck_assert_int_eq(weft_after(WEFT_FOREVER - 1), WEFT_FOREVER);
	ck_assert_int_eq(weft_after(WEFT_FOREVER - now), WEFT_FOREVER);
	ck_assert_int_lt(weft_after(WEFT_FOREVER - now - 10 * WEFT_SECOND), WEFT_FOREVER);
	ck_assert_int_ge(weft_after(WEFT_SECOND), now + WEFT_SECOND);
	ck_assert_int_lt(weft_after(-WEFT_SECOND), weft_now());
	ck_assert_int_lt(weft_after(INT64_MIN), 0);
}

/* Outside weft_run there is no time: now is long past, whatever is added to it. */
WF_TEST(no_time_outside_weft_run)
{
	static const weft_time durations[] = { 0, 1, WEFT_SECOND, -1, WEFT_FOREVER, INT64_MIN };

	ck_assert_int_eq(weft_now(), -EPERM);
	for (size_t i = 0; i < sizeof durations / sizeof *durations; i++)
		ck_assert_int_eq(weft_after(durations[i]), -EPERM);
}

/* ---- Sleeping -------------------------------------------------------------------------------- */

/* A sleep is never shorter than asked for. */
WF_TASK_TEST(sleep_is_never_early)
{
	for (int i = 0; i < 100; i++) {
		weft_time start = weft_now();
		weft_time duration = (weft_time)(weft_random() % (2 * WEFT_MILLISECOND));

		wf_assert_result(weft_sleep(duration), 0);
		ck_assert_int_ge(weft_now(), start + duration);
		start = weft_now();
		wf_assert_result(weft_sleep_until(start + duration), 0);
		ck_assert_int_ge(weft_now(), start + duration);
	}
}

static char order[64];
static weft_time base;

/* Sleeps so many milliseconds, then writes down the number. */
static int sleep_and_log(void *digit)
{
	int r = weft_sleep_until(base + (*(const char *)digit - '0') * WEFT_MILLISECOND);

	strncat(order, digit, 1);
	return r;
}

/* Sleepers wake in the order of their times. */
WF_TASK_TEST(sleepers_wake_in_order)
{
	static char digits[] = "5293718";
	struct weft_scope scope;

	base = weft_after(50 * WEFT_MILLISECOND); /* when all of them are asleep */
	weft_scope_open(&scope);
	for (char *digit = digits; *digit; digit++)
		spawn(&scope, sleep_and_log, digit);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_str_eq(order, "1235789");
}

static int count_yields(void *count)
{
	for (; *(int *)count < 100; ++*(int *)count)
		wf_assert_result(weft_yield(), 0);
	return 0;
}

/* Whether a sleep is a yield: the others that are ready run once, and nobody looks at the clock. */
static void check_is_yield(int (*sleep)(weft_time), weft_time time)
{
	struct weft_stats before, after;
	struct weft_scope scope;
	int count = 0;

	weft_scope_open(&scope);
	spawn(&scope, count_yields, &count);
	wf_assert_result(weft_yield(), 0);
	wf_assert_result(weft_stats(&before), 0);
	for (int i = 1; i <= 20; i++) {
		wf_assert_result(sleep(time), 0);
		ck_assert_int_eq(count, i);
	}
	wf_assert_result(weft_stats(&after), 0);
	ck_assert_uint_le(after.turns - before.turns, 4);
	wf_assert_result(weft_scope_close(&scope), 0);
}

/* Sleeping for no time is a yield. */
WF_TASK_TEST(sleep_for_no_time_yields)
{
	check_is_yield(weft_sleep, 0);
	check_is_yield(weft_sleep, -1);
	check_is_yield(weft_sleep, INT64_MIN);
}

/* Sleeping until a time that has passed is a yield. */
WF_TASK_TEST(sleep_until_the_past_yields)
{
	check_is_yield(weft_sleep_until, weft_now() - WEFT_SECOND);
	check_is_yield(weft_sleep_until, 0);
	check_is_yield(weft_sleep_until, INT64_MIN);
}

static int sleep_until(void *when)
{
	return weft_sleep_until(*(weft_time *)when);
}

/* A sleep for ever, or nearly so, ends by a cancel only; until then the worker is idle. */
WF_TASK_TEST(sleep_for_ever_is_idle)
{
	for (weft_time less = 0; less < 100000; less += 9999) {
		weft_time when = WEFT_FOREVER - less;
		struct weft_stats before, after;
		struct weft_scope scope;

		weft_scope_open(&scope);
		spawn(&scope, sleep_until, &when);
		settle();
		wf_assert_result(weft_stats(&before), 0);
		wf_assert_result(weft_sleep(2 * WEFT_MILLISECOND), 0);
		wf_assert_result(weft_stats(&after), 0);
		ck_assert_uint_le(after.turns - before.turns, 20);
		weft_scope_cancel(&scope);
		wf_assert_result(weft_scope_close(&scope), -ECANCELED);
	}
}

/* A long duration does not wrap around to the past. */
WF_TASK_TEST(long_sleep_does_not_end)
{
	static const weft_time durations[] = { WEFT_FOREVER, WEFT_FOREVER - 1, WEFT_FOREVER / 2 };

	for (size_t i = 0; i < sizeof durations / sizeof *durations; i++)
		WEFT_DEADLINE(weft_after(WEFT_MILLISECOND))
			wf_assert_result(weft_sleep(durations[i]), WEFT_EDEADLINE);
}

static int sleep_a_little(void *arg)
{
	(void)arg;
	return weft_sleep((weft_time)(weft_random() % (5 * WEFT_MILLISECOND)));
}

/* Ten thousand tasks sleep at once, each for a time of its own. */
WF_TASK_TEST(many_sleep)
{
	struct weft_scope scope;

	weft_scope_open(&scope);
	for (int i = scaled(10000); i > 0; i--)
		spawn(&scope, sleep_a_little, NULL);
	wf_assert_result(weft_scope_close(&scope), 0);
}

/* ---- Chance ---------------------------------------------------------------------------------- */

enum { DRAWS = 100 };

static int draw(void *numbers)
{
	for (int i = 0; i < DRAWS; i++)
		((uint64_t *)numbers)[i] = weft_random();
	return 0;
}

static void draw_with_seed(uint64_t seed, uint64_t numbers[DRAWS])
{
	struct weft_options options = { .seed = seed };

	wf_assert_result(weft_run(draw, numbers, &options), 0);
}

/* The same seed gives the same numbers, another one others; without a seed they differ each time, but in
 * the simulator. */
WF_TEST(random_replays_from_a_seed)
{
	uint64_t first[DRAWS], again[DRAWS], other[DRAWS];

	draw_with_seed(1234, first);
	draw_with_seed(1234, again);
	draw_with_seed(1235, other);
	ck_assert_mem_eq(first, again, sizeof first);
	ck_assert_mem_ne(first, other, sizeof first);
	draw_with_seed(0, first);
	draw_with_seed(0, again);
	ck_assert_int_eq(memcmp(first, again, sizeof first) == 0, wf_is_simulated());
}

/* Outside weft_run there is no chance. */
WF_TEST(no_chance_outside_weft_run)
{
	ck_assert_uint_eq(weft_random(), 0);
}

WF_MAIN("core/time")
