/* SPDX-License-Identifier: MIT */
#include <weft/wait_group.h>

#include "core/torture.h"
#include "harness/harness.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <weft/run.h>

static struct weft_wait_group group = WEFT_WAIT_GROUP_INIT;

static int wait_for_all(void *ret_result)
{
	return *(int *)ret_result = weft_wait_group_wait(&group);
}

/* Outside of a task nobody can wait. */
WF_TEST(outside_a_task_nobody_waits)
{
	wf_assert_result(weft_wait_group_wait(&group), -EPERM);
}

static int be_done_once_too_often(void *arg)
{
	(void)arg;
	weft_wait_group_add(&group, 1);
	weft_wait_group_done(&group);
	weft_wait_group_done(&group);
	return 0;
}

static int run_too_often(void *arg)
{
	return weft_run(be_done_once_too_often, arg, NULL);
}

/* Counting below zero ends the program, and names the task. */
WF_TEST(below_zero_aborts)
{
	struct wf_child child = wf_child(run_too_often, NULL);

	ck_assert_int_eq(child.signal, SIGABRT);
	ck_assert_ptr_nonnull(strstr(child.errors, "\"main\""));
	ck_assert_ptr_nonnull(strstr(child.errors, "weft_wait_group_done"));
}

static int add_too_much(void *arg)
{
	(void)arg;
	weft_wait_group_add(&group, UINT32_MAX);
	weft_wait_group_add(&group, 1);
	return 0;
}

/* So does a count that would begin at 0 again. */
WF_TEST(overflow_aborts)
{
	ck_assert_int_eq(wf_child(add_too_much, NULL).signal, SIGABRT);
}

/* Where nothing is under way nobody waits; a stopped task is told so all the same. */
WF_TASK_TEST(nothing_is_not_waited_for)
{
	struct weft_scope scope;

	wf_assert_result(weft_wait_group_wait(&group), 0);
	weft_wait_group_add(&group, 0);
	wf_assert_result(weft_wait_group_wait(&group), 0);
	weft_scope_open(&scope);
	weft_scope_cancel(&scope);
	wf_assert_result(weft_wait_group_wait(&group), -ECANCELED);
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
}

/* The last one wakes all waiters, no earlier one does. */
WF_TASK_TEST(last_wakes_all)
{
	struct weft_scope scope;
	int results[2] = { 1, 1 };

	weft_wait_group_add(&group, 3);
	weft_scope_open(&scope);
	spawn(&scope, wait_for_all, &results[0]);
	spawn(&scope, wait_for_all, &results[1]);
	for (int i = 0; i < 3; i++) {
		settle();
		ck_assert_int_eq(results[0] + results[1], 2);
		weft_wait_group_done(&group);
	}
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_int_eq(results[0] + results[1], 0);
}

/* Who was woken stays woken, though more is added before it runs. */
WF_TASK_TEST(adding_does_not_take_back)
{
	struct weft_scope scope;
	int result = 1;

	weft_wait_group_add(&group, 1);
	weft_scope_open(&scope);
	spawn(&scope, wait_for_all, &result);
	settle();
	weft_wait_group_done(&group);
	weft_wait_group_add(&group, 1);
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(result, 0);
	WEFT_DEADLINE(weft_after(WEFT_MILLISECOND))
		wf_assert_result(weft_wait_group_wait(&group), WEFT_EDEADLINE);
}

/* A waiter that is cancelled leaves the line; the others are woken. */
WF_TASK_TEST(cancelled_waiter_leaves_the_line)
{
	struct weft_scope scope, doomed;
	int results[2] = { 1, 1 };

	weft_wait_group_add(&group, 1);
	weft_scope_open(&scope);
	weft_scope_open(&doomed);
	spawn(&doomed, wait_for_all, &results[0]);
	spawn(&scope, wait_for_all, &results[1]);
	settle();
	weft_scope_cancel(&doomed);
	weft_wait_group_done(&group);
	wf_assert_result(weft_scope_close(&doomed), -ECANCELED);
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(results[0], -ECANCELED);
	wf_assert_result(results[1], 0);
	ck_assert_ptr_null(group.line.first);
}

/* Adds, lets others run, and is done; or waits for all. */
static void torture_step(void *under_way, struct wf_random *random)
{
	int *count = under_way;
	int r;

	if (wf_random_next(random) % 4 == 0) {
		r = weft_wait_group_wait(&group);
		holds(r == 0 || r == -ECANCELED);
		return;
	}
	weft_wait_group_add(&group, 1);
	++*count;
	r = weft_yield();
	holds((r == 0 || r == -ECANCELED) && group.count == (uint32_t)*count);
	--*count;
	weft_wait_group_done(&group);
}

/* Whatever is cancelled, the count is right, and nobody is left waiting. */
WF_TASK_TEST(torture)
{
	for (uint64_t seed = 0; seed < TORTURE_ROUNDS; seed++) {
		int under_way = 0;

		torture_run(torture_step, &under_way, seed);
		ck_assert_uint_eq(group.count, 0);
		ck_assert_ptr_null(group.line.first);
	}
}

WF_MAIN("core/wait_group")
