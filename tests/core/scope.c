/* SPDX-License-Identifier: MIT */
/* What a scope makes of its children: results, failures, joins, and the order of things. Stops are
 * in stop.c, deadlines in deadline.c, and breaches of the rules in order.c. */
#include "base/compiler.h"
#include "core/common.h"
#include "harness/harness.h"

#include <errno.h>
#include <weft/run.h>

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

static int return_number(void *number)
{
	return *(int *)number;
}

/* Returns what ends the sleep. */
static int sleep_for_ever(void *ret_result)
{
	int r = weft_sleep_until(WEFT_FOREVER);

	if (ret_result)
		*(int *)ret_result = r;
	return r;
}

/* Goes on for a while, whatever happens, and then returns the number. */
static int return_late(void *number)
{
	WEFT_SHIELD(weft_after(WEFT_SECOND))
		wf_assert_result(weft_sleep(2 * WEFT_MILLISECOND), 0);
	return *(int *)number;
}

/* ---- Results --------------------------------------------------------------------------------- */

/* A scope without children, and one whose children succeed, closes with 0. */
WF_TASK_TEST(success_is_zero)
{
	struct weft_scope scope;

	weft_scope_open(&scope);
	wf_assert_result(weft_scope_close(&scope), 0);
	weft_scope_open(&scope);
	spawn(&scope, nothing, NULL);
	spawn(&scope, return_number, &(int){ 7 });
	wf_assert_result(weft_scope_close(&scope), 0);
}

/* The first failure is the result, not the later ones. */
WF_TASK_TEST(first_failure_is_the_result)
{
	struct weft_scope scope;

	weft_scope_open(&scope);
	spawn(&scope, return_late, &(int){ -EPIPE });
	spawn(&scope, return_number, &(int){ -EIO });
	spawn(&scope, return_number, &(int){ -ENXIO });
	wf_assert_result(weft_scope_close(&scope), -EIO);
}

/* A scope that was cancelled, and whose children stopped for that, closes with -ECANCELED. */
WF_TASK_TEST(own_cancel_is_the_result)
{
	struct weft_scope scope;

	weft_scope_open(&scope);
	spawn(&scope, sleep_for_ever, NULL);
	weft_scope_cancel(&scope);
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
}

/* A failure counts more than a cancel, also one that comes after it. */
WF_TASK_TEST(failure_beats_cancel)
{
	struct weft_scope scope;

	weft_scope_open(&scope);
	spawn(&scope, return_late, &(int){ -EIO });
	weft_scope_cancel(&scope);
	wf_assert_result(weft_scope_close(&scope), -EIO);
}

/* A failure counts more than the deadline of the scope. */
WF_TASK_TEST(failure_beats_deadline)
{
	struct weft_scope scope;

	weft_scope_open_until(&scope, weft_after(WEFT_MILLISECOND));
	spawn(&scope, return_late, &(int){ -EIO });
	wf_assert_result(weft_scope_close(&scope), -EIO);
}

/* A deadline that fired is the result, even if the scope is cancelled later. */
WF_TASK_TEST(deadline_is_the_result)
{
	struct weft_scope scope;

	weft_scope_open_until(&scope, weft_after(WEFT_MILLISECOND));
	spawn(&scope, sleep_for_ever, NULL);
	wf_assert_result(weft_sleep(WEFT_SECOND), WEFT_EDEADLINE);
	weft_scope_cancel(&scope);
	wf_assert_result(weft_scope_close(&scope), WEFT_EDEADLINE);
}

/* The stop of an outer scope is the result of the inner one, with the outer one's code. */
WF_TASK_TEST(outer_stop_is_the_result)
{
	struct weft_scope outer, inner;

	weft_scope_open(&outer);
	weft_scope_open(&inner);
	weft_scope_cancel(&outer);
	wf_assert_result(weft_scope_close(&inner), -ECANCELED);
	wf_assert_result(weft_scope_close(&outer), -ECANCELED);

	weft_scope_open_until(&outer, weft_after(WEFT_MILLISECOND));
	weft_scope_open(&inner);
	spawn(&inner, sleep_for_ever, NULL);
	wf_assert_result(weft_scope_close(&inner), WEFT_EDEADLINE);
	wf_assert_result(weft_scope_close(&outer), WEFT_EDEADLINE);
}

/* A scope's own cancel counts more than the stop of an outer one. */
WF_TASK_TEST(own_cancel_beats_outer_stop)
{
	struct weft_scope outer, inner;

	weft_scope_open_until(&outer, weft_after(WEFT_MILLISECOND));
	weft_scope_open(&inner);
	wf_assert_result(weft_sleep(WEFT_SECOND), WEFT_EDEADLINE);
	weft_scope_cancel(&inner);
	wf_assert_result(weft_scope_close(&inner), -ECANCELED);
	wf_assert_result(weft_scope_close(&outer), WEFT_EDEADLINE);
}

static int fail_in_a_scope(void *number)
{
	struct weft_scope scope;

	weft_scope_open(&scope);
	spawn(&scope, return_number, number);
	return weft_scope_close(&scope);
}

/* A failure travels up from scope to scope, as the results of tasks. */
WF_TASK_TEST(failure_travels_up)
{
	struct weft_scope scope;

	weft_scope_open(&scope);
	spawn(&scope, fail_in_a_scope, &(int){ -EIO });
	wf_assert_result(weft_scope_close(&scope), -EIO);
}

/* ---- Failures -------------------------------------------------------------------------------- */

/* A failing child cancels its siblings. */
WF_TASK_TEST(failure_cancels_siblings)
{
	struct weft_scope scope;
	int results[2] = { 0 };

	weft_scope_open(&scope);
	spawn(&scope, sleep_for_ever, &results[0]);
	spawn(&scope, return_number, &(int){ -EIO });
	spawn(&scope, sleep_for_ever, &results[1]);
	wf_assert_result(weft_scope_close(&scope), -EIO);
	ck_assert_int_eq(results[0], -ECANCELED);
	ck_assert_int_eq(results[1], -ECANCELED);
}

/* A failing child cancels the code between open and close. */
WF_TASK_TEST(failure_cancels_the_body)
{
	struct weft_scope scope;

	weft_scope_open(&scope);
	spawn(&scope, return_number, &(int){ -EIO });
	wf_assert_result(weft_sleep_until(WEFT_FOREVER), -ECANCELED);
	wf_assert_result(weft_yield(), -ECANCELED);
	wf_assert_result(weft_scope_close(&scope), -EIO);
	wf_assert_result(weft_yield(), 0);
}

/* A child that was stopped through its scope has not failed; one that says so unasked has. */
WF_TASK_TEST(stopped_child_has_not_failed)
{
	struct weft_scope scope;

	weft_scope_open(&scope);
	spawn(&scope, sleep_for_ever, NULL);
	spawn(&scope, sleep_for_ever, NULL);
	weft_scope_cancel(&scope);
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
	ck_assert_uint_eq(weft_scope_failures(&scope), 0);

	weft_scope_open(&scope);
	spawn(&scope, return_number, &(int){ -ECANCELED });
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
	ck_assert_uint_eq(weft_scope_failures(&scope), 1);
}

static int miss_own_deadline(void *arg)
{
	(void)arg;
	WEFT_DEADLINE(weft_after(WEFT_MILLISECOND))
		return weft_sleep(WEFT_SECOND);
	return 0;
}

/* A child that gives up for a deadline of its own has failed. */
WF_TASK_TEST(child_with_its_own_deadline_fails)
{
	struct weft_scope scope;

	weft_scope_open(&scope);
	spawn(&scope, miss_own_deadline, NULL);
	wf_assert_result(weft_scope_close(&scope), WEFT_EDEADLINE);
	ck_assert_uint_eq(weft_scope_failures(&scope), 1);
}

/* A serving scope counts failures and goes on: neither its children nor its result suffer. */
WF_TASK_TEST(serving_scope_counts_failures)
{
	struct weft_scope scope;
	struct weft_stats stats;
	int result = 1, failure = -EIO;

	weft_scope_open_serving(&scope);
	spawn(&scope, sleep_for_ever, &result);
	for (int i = 0; i < 3; i++)
		spawn(&scope, return_number, &failure);
	spawn(&scope, nothing, NULL);
	settle();
	ck_assert_uint_eq(weft_scope_failures(&scope), 3);
	ck_assert_int_eq(result, 1);
	spawn(&scope, return_number, &(int){ -EPIPE });
	settle();
	ck_assert_uint_eq(weft_scope_failures(&scope), 4);
	wf_assert_result(weft_stats(&stats), 0);
	ck_assert_uint_eq(stats.failed, 4);
	weft_scope_cancel(&scope);
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
	ck_assert_int_eq(result, -ECANCELED);
}

/* A serving scope that nobody stopped closes with 0, whatever its children returned. */
WF_TASK_TEST(serving_scope_closes_with_zero)
{
	struct weft_scope scope;

	weft_scope_open_serving(&scope);
	spawn(&scope, return_number, &(int){ -EIO });
	wf_assert_result(weft_scope_close(&scope), 0);
}

/* ---- Spawning into a scope ------------------------------------------------------------------- */

/* Spawning into a scope that has been stopped returns the code of the stop. */
WF_TASK_TEST(stopped_scope_takes_no_tasks)
{
	struct weft_scope outer, inner;

	weft_scope_open(&outer);
	weft_scope_open(&inner);
	weft_scope_cancel(&outer);
	wf_assert_result(weft_spawn(&outer, nothing, NULL), -ECANCELED);
	wf_assert_result(weft_spawn(&inner, nothing, NULL), -ECANCELED);
	wf_assert_result(weft_spawn_copy(&inner, nothing, "x", 1), -ECANCELED);
	wf_assert_result(weft_scope_close(&inner), -ECANCELED);
	wf_assert_result(weft_scope_close(&outer), -ECANCELED);
}

/* Spawning into a scope that is past its deadline returns WEFT_EDEADLINE, even if nothing has
 * waited for the deadline yet. */
WF_TASK_TEST(expired_scope_takes_no_tasks)
{
	struct weft_scope scope;

	weft_scope_open_until(&scope, weft_now() - WEFT_SECOND);
	wf_assert_result(weft_spawn(&scope, nothing, NULL), WEFT_EDEADLINE);
	wf_assert_result(weft_spawn_copy(&scope, nothing, "x", 1), WEFT_EDEADLINE);
	wf_assert_result(weft_scope_close(&scope), WEFT_EDEADLINE);
}

/* A scope that was closed takes no tasks, cannot be closed again, and ignores stops. */
WF_TASK_TEST(closed_scope_is_inert)
{
	struct weft_scope scope;

	weft_scope_open(&scope);
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(weft_spawn(&scope, nothing, NULL), -EPERM);
	wf_assert_result(weft_scope_close(&scope), -EPERM);
	weft_scope_leave(&scope);
	weft_scope_cancel(&scope);
	weft_scope_stop(&scope);
	wf_assert_result(weft_yield(), 0);
}

struct chain {
	struct weft_scope *scope;
	int left, *count;
};

static int spawn_sibling(void *arg)
{
	struct chain *chain = arg;
	struct chain next = { chain->scope, chain->left - 1, chain->count };

	++*chain->count;
	if (chain->left > 0)
		wf_assert_result(weft_spawn_copy(chain->scope, spawn_sibling, &next, sizeof next),
				 0);
	return 0;
}

/* A child may spawn siblings into the scope it lives in, and close waits for those, too. */
WF_TASK_TEST(child_spawns_siblings)
{
	struct weft_scope scope;
	int count = 0;
	struct chain chain = { &scope, 1000, &count };

	weft_scope_open(&scope);
	wf_assert_result(weft_spawn_copy(&scope, spawn_sibling, &chain, sizeof chain), 0);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_int_eq(count, 1001);
}

static int close_a_scope(void *arg)
{
	struct weft_scope *scope = arg;

	weft_scope_open(scope);
	spawn(scope, nothing, NULL);
	return weft_scope_close(scope);
}

static int count_late(void *count)
{
	wf_assert_result(weft_sleep(WEFT_MILLISECOND), 0);
	++*(int *)count;
	return 0;
}

/* A task that is spawned from elsewhere when the last child has ended, but close has not returned
 * yet, is joined, too; once close has returned nothing can be spawned. */
WF_TASK_TEST(close_waits_for_latecomers)
{
	for (int turns = 0; turns < 10; turns++) {
		struct weft_scope scope, closing = { 0 };
		int count = 0, expected = 0;

		weft_scope_open(&scope);
		spawn(&scope, close_a_scope, &closing);
		for (int i = 0; i < turns; i++)
			wf_assert_result(weft_yield(), 0);
		for (int i = 0; i < 3; i++) {
			int r = weft_spawn(&closing, count_late, &count);

			ck_assert(r == 0 || r == -EPERM);
			expected += r == 0;
			wf_assert_result(weft_yield(), 0);
		}
		wf_assert_result(weft_scope_close(&scope), 0);
		ck_assert_int_eq(count, expected);
	}
}

/* ---- Closing --------------------------------------------------------------------------------- */

static int cancel_after_a_while(void *scope)
{
	wf_assert_result(weft_sleep(WEFT_MILLISECOND), 0);
	weft_scope_cancel(scope);
	return 0;
}

static int set_late(void *flag)
{
	WEFT_SHIELD(weft_after(WEFT_SECOND))
		wf_assert_result(weft_sleep(5 * WEFT_MILLISECOND), 0);
	*(int *)flag = 1;
	return 0;
}

/* Close goes on waiting when the scope, or an outer one, is cancelled meanwhile. */
WF_TASK_TEST(close_is_not_interrupted)
{
	struct weft_scope outer, inner;
	int ended = 0;

	weft_scope_open(&outer);
	spawn(&outer, cancel_after_a_while, &outer);
	weft_scope_open(&inner);
	spawn(&inner, set_late, &ended);
	wf_assert_result(weft_scope_close(&inner), -ECANCELED);
	ck_assert_int_eq(ended, 1);
	wf_assert_result(weft_scope_close(&outer), -ECANCELED);
}

/* Leaving a scope cancels its children and waits for them. */
WF_TASK_TEST(leave_cancels_and_joins)
{
	struct weft_scope scope;
	int result = 0;

	weft_scope_open(&scope);
	spawn(&scope, sleep_for_ever, &result);
	weft_scope_leave(&scope);
	ck_assert_int_eq(result, -ECANCELED);
	wf_assert_result(weft_yield(), 0);
	weft_scope_leave(&scope);
}

static void return_early(int *result, bool close)
{
	WEFT_SCOPE_AUTO(scope);

	weft_scope_open(&scope);
	spawn(&scope, sleep_for_ever, result);
	if (!close)
		return;
	weft_scope_cancel(&scope);
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
}

/* An automatic scope is left on the way out of its block, unless it was closed. */
WF_TASK_TEST(automatic_scope_is_left)
{
	int results[2] = { 0 };

	return_early(&results[0], false);
	ck_assert_int_eq(results[0], -ECANCELED);
	return_early(&results[1], true);
	ck_assert_int_eq(results[1], -ECANCELED);
	wf_assert_result(weft_yield(), 0);
}

/* Writes over where the next frames will be, so that nothing there is zero by chance. */
static WF_NOINLINE void soil_the_stack(void)
{
	volatile unsigned char soil[2048];

	for (size_t i = 0; i < sizeof soil; i++)
		soil[i] = 0xa5;
}

static WF_NOINLINE int return_before_opening(bool give_up)
{
	WEFT_SCOPE_AUTO(scope);

	if (give_up)
		return 7;
	weft_scope_open(&scope);
	return weft_scope_close(&scope);
}

/* An automatic scope that has not been opened is none to be left. */
WF_TASK_TEST(automatic_scope_may_stay_unopened)
{
	soil_the_stack();
	ck_assert_int_eq(return_before_opening(true), 7);
	wf_assert_result(return_before_opening(false), 0);
	wf_assert_result(weft_yield(), 0);
}

WF_MAIN("core/scope")
