/* SPDX-License-Identifier: MIT */
#include <weft/test.h>

#include "core/common.h"

#include <errno.h>
#include <string.h>
#include <weft/event.h>
#include <weft/time.h>

static int rounds;

static int work(void *arg)
{
	(void)arg;
	for (int i = 0; i < 100; i++) {
		rounds++;
		wf_assert_result(weft_yield(), 0);
	}
	return weft_sleep(20 * WEFT_MILLISECOND);
}

/* It returns when the others have done what they can, and not when time has passed. */
WF_TASK_TEST(idle_is_when_all_others_wait)
{
	struct weft_scope scope;
	weft_time before = weft_now();

	weft_scope_open(&scope);
	for (int i = 0; i < 3; i++)
		spawn(&scope, work, NULL);
	wf_assert_result(weft_test_wait_idle(), 0);
	ck_assert_int_eq(rounds, 300);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_int_ge(weft_now() - before, 20 * WEFT_MILLISECOND);
}

static int wait_idle(void *arg)
{
	++*(int *)arg;
	return weft_test_wait_idle();
}

/* Several that wait for it do not wait for each other. */
WF_TASK_TEST(several_go_on_together)
{
	struct weft_scope scope;
	int calls = 0;

	weft_scope_open(&scope);
	for (int i = 0; i < 3; i++)
		spawn(&scope, wait_idle, &calls);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_int_eq(calls, 3);
}

static int stay_busy(void *arg)
{
	int r;

	while ((r = weft_yield()) == 0)
		continue;
	(void)arg;
	return r;
}

/* While another task is busy it waits, and a stop ends that. */
WF_TASK_TEST(a_stop_ends_it)
{
	struct weft_scope scope;

	weft_scope_open_until(&scope, weft_after(10 * WEFT_MILLISECOND));
	spawn(&scope, stay_busy, NULL);
	wf_assert_result(weft_test_wait_idle(), WEFT_EDEADLINE);
	wf_assert_result(weft_scope_close(&scope), WEFT_EDEADLINE);
}

static int sleep_long(void *arg)
{
	*(int *)arg = weft_sleep(3600 * WEFT_SECOND);
	return 0;
}

static int advance(void *arg)
{
	struct weft_scope scope;
	weft_time before = weft_now();
	int slept = 1;

	(void)arg;
	weft_scope_open(&scope);
	spawn(&scope, sleep_long, &slept);
	wf_assert_result(weft_test_wait_idle(), 0);
	ck_assert_int_eq(slept, 1);
	wf_assert_result(weft_test_advance(3599 * WEFT_SECOND), 0);
	wf_assert_result(weft_test_wait_idle(), 0);
	ck_assert_int_eq(slept, 1);
	wf_assert_result(weft_test_advance(2 * WEFT_SECOND), 0);
	wf_assert_result(weft_test_wait_idle(), 0);
	ck_assert_int_eq(slept, 0);
	ck_assert_int_lt(weft_now() - before, 3602 * WEFT_SECOND);
	wf_assert_result(weft_test_advance(-1), -EINVAL);
	wf_assert_result(weft_test_advance(WEFT_FOREVER), -EINVAL);
	return weft_scope_close(&scope);
}

/* A clock that is made up goes where it is told to. */
WF_TEST(the_clock_is_moved_by_hand)
{
	wf_assert_result(weft_run(advance, NULL, &(struct weft_options){ .engine = "sim" }), 0);
}

static int advance_the_world(void *arg)
{
	(void)arg;
	if (strcmp(weft_engine_name(), "sim") != 0)
		wf_assert_result(weft_test_advance(1), WEFT_EENGINE);
	return 0;
}

/* The world's clock is nobody's to move, and outside of weft_run there is none. */
WF_TEST(not_everywhere)
{
	wf_assert_result(weft_test_wait_idle(), -EPERM);
	wf_assert_result(weft_test_advance(1), -EPERM);
	RUN(advance_the_world);
}

WF_MAIN("core/test")
