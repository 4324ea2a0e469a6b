/* SPDX-License-Identifier: MIT */
/* Deadlines and shields. */
#include "core/common.h"
#include "harness/harness.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <weft/event.h>
#include <weft/run.h>

/* What ends a wait that nothing else would end. */
static int wait_for_ever(void)
{
	return weft_sleep_until(WEFT_FOREVER);
}

static int sleep_for_ever(void *ret_result)
{
	*(int *)ret_result = wait_for_ever();
	return *(int *)ret_result;
}

/* ---- Deadlines ------------------------------------------------------------------------------- */

/* A deadline ends a wait, never early, and the scope closes with its code. */
WF_TASK_TEST(deadline_ends_a_wait)
{
	for (int i = 1; i <= 20; i++) {
		weft_time deadline = weft_after(i * 100 * WEFT_MICROSECOND);
		struct weft_scope scope;

		weft_scope_open_until(&scope, deadline);
		wf_assert_result(wait_for_ever(), WEFT_EDEADLINE);
		ck_assert_int_ge(weft_now(), deadline);
		wf_assert_result(weft_yield(), WEFT_EDEADLINE);
		wf_assert_result(weft_scope_close(&scope), WEFT_EDEADLINE);
		wf_assert_result(weft_yield(), 0);
	}
}

/* A deadline reaches the children of its scope. */
WF_TASK_TEST(deadline_reaches_children)
{
	struct weft_scope scope;
	int results[3] = { 0 };

	weft_scope_open_until(&scope, weft_after(WEFT_MILLISECOND));
	for (int i = 0; i < 3; i++)
		spawn(&scope, sleep_for_ever, &results[i]);
	wf_assert_result(weft_scope_close(&scope), WEFT_EDEADLINE);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(results[i], WEFT_EDEADLINE);
	ck_assert_uint_eq(weft_scope_failures(&scope), 0);
}

/* A deadline in the past fails the first checkpoint. */
WF_TASK_TEST(past_deadline_fails_at_once)
{
	struct weft_event event = { .set = true };

	WEFT_DEADLINE(weft_now() - WEFT_SECOND)
		wf_assert_result(weft_event_wait(&event), WEFT_EDEADLINE);
	WEFT_DEADLINE(0)
		wf_assert_result(weft_yield(), WEFT_EDEADLINE);
	WEFT_DEADLINE(INT64_MIN)
		wf_assert_result(weft_sleep(1), WEFT_EDEADLINE);
	wf_assert_result(weft_yield(), 0);
}

/* No deadline is WEFT_FOREVER. */
WF_TASK_TEST(forever_does_not_fire)
{
	WEFT_DEADLINE(WEFT_FOREVER)
		wf_assert_result(weft_sleep(WEFT_MILLISECOND), 0);
}

/* A loop of yields notices the deadline, though it never sleeps. */
WF_TASK_TEST(yields_notice_the_deadline)
{
	weft_time deadline = weft_after(2 * WEFT_MILLISECOND);
	int r = 0;

	WEFT_DEADLINE(deadline)
		while (r == 0)
			r = weft_yield();
	wf_assert_result(r, WEFT_EDEADLINE);
	ck_assert_int_ge(weft_now(), deadline);
}

/* A loop of operations that never wait notices the deadline. */
WF_TASK_TEST(ready_operations_notice_the_deadline)
{
	struct weft_event event = { .set = true };
	int r = 0;

	WEFT_DEADLINE(weft_after(2 * WEFT_MILLISECOND))
		while (r == 0)
			r = weft_event_wait(&event);
	wf_assert_result(r, WEFT_EDEADLINE);
}

/* A scope that was closed in time leaves no timer behind. */
WF_TASK_TEST(closed_scope_does_not_fire)
{
	for (int i = 0; i < 10; i++) {
		struct weft_scope scope;
		int r;

		weft_scope_open_until(&scope, weft_after(2 * WEFT_MILLISECOND));
		r = weft_sleep(10 * WEFT_MICROSECOND);	  /* arms the timer */
		ck_assert(r == 0 || r == WEFT_EDEADLINE); /* the machine may be slow */
		r = weft_scope_close(&scope);
		ck_assert(r == 0 || r == WEFT_EDEADLINE);
		memset(&scope, 0xa5, sizeof scope);
	}
	wf_assert_result(weft_sleep(5 * WEFT_MILLISECOND), 0);
}

/* ---- Nesting --------------------------------------------------------------------------------- */

/* An inner deadline that is earlier ends the inner block only. */
WF_TASK_TEST(inner_deadline_ends_the_inner_block)
{
	WEFT_DEADLINE(weft_after(10 * WEFT_SECOND)) {
		struct weft_scope inner;

		weft_scope_open_until(&inner, weft_after(WEFT_MILLISECOND));
		wf_assert_result(wait_for_ever(), WEFT_EDEADLINE);
		wf_assert_result(weft_scope_close(&inner), WEFT_EDEADLINE);
		wf_assert_result(weft_sleep(1), 0);
	}
	wf_assert_result(weft_yield(), 0);
}

/* An outer deadline that is earlier ends the wait in the inner block, and shows again at the next
 * checkpoint in the outer one. */
WF_TASK_TEST(outer_deadline_shows_again)
{
	struct weft_scope outer;
	int r = 0;

	weft_scope_open_until(&outer, weft_after(WEFT_MILLISECOND));
	WEFT_DEADLINE(weft_after(10 * WEFT_SECOND))
		r = wait_for_ever();
	wf_assert_result(r, WEFT_EDEADLINE);
	wf_assert_result(weft_sleep(1), WEFT_EDEADLINE);
	wf_assert_result(weft_scope_close(&outer), WEFT_EDEADLINE);
}

/* Deadlines one within the other fire from the inside out, each at its time. */
WF_TASK_TEST(deadlines_fire_inside_out)
{
	weft_time first = weft_after(WEFT_MILLISECOND);
	weft_time second = first + WEFT_MILLISECOND;
	struct weft_scope outer, inner;

	weft_scope_open_until(&outer, second);
	weft_scope_open_until(&inner, first);
	wf_assert_result(wait_for_ever(), WEFT_EDEADLINE);
	ck_assert_int_ge(weft_now(), first);
	wf_assert_result(weft_scope_close(&inner), WEFT_EDEADLINE);
	wf_assert_result(wait_for_ever(), WEFT_EDEADLINE);
	ck_assert_int_ge(weft_now(), second);
	wf_assert_result(weft_scope_close(&outer), WEFT_EDEADLINE);
}

static int sleep_a_little(void *ret_result)
{
	*(int *)ret_result = weft_sleep(3 * WEFT_MILLISECOND);
	return 0;
}

/* A child lives under the deadline of the scope it was spawned into, not of the code around the
 * spawn. */
WF_TASK_TEST(child_inherits_from_its_scope)
{
	struct weft_scope late, early;
	int late_result = 1, early_result = 1;

	weft_scope_open(&late);
	weft_scope_open_until(&early, weft_after(WEFT_MILLISECOND));
	WEFT_DEADLINE(weft_after(10 * WEFT_MICROSECOND))
		spawn(&late, sleep_a_little, &late_result);
	WEFT_SHIELD(weft_after(WEFT_SECOND))
		spawn(&early, sleep_for_ever, &early_result);
	wf_assert_result(weft_scope_close(&early), WEFT_EDEADLINE);
	wf_assert_result(weft_scope_close(&late), 0);
	ck_assert_int_eq(late_result, 0);
	ck_assert_int_eq(early_result, WEFT_EDEADLINE);
}

/* ---- Blocks ---------------------------------------------------------------------------------- */

static int leave_by_return(void)
{
	WEFT_DEADLINE(weft_after(WEFT_MILLISECOND))
		return 7;
	return 8;
}

static int leave_by_goto(void)
{
	WEFT_DEADLINE(weft_after(WEFT_MILLISECOND)) {
		WEFT_DEADLINE(weft_after(2 * WEFT_MILLISECOND))
			goto out;
	}
	return 8;
out:
	return 7;
}

/* A deadline block can be left by its end, break, continue, return and goto; outside of it the
 * deadline does not hold. */
WF_TASK_TEST(block_can_be_left)
{
	int rounds = 0;

	WEFT_DEADLINE(weft_after(WEFT_MILLISECOND))
		rounds++;
	WEFT_DEADLINE(weft_after(WEFT_MILLISECOND)) {
		rounds++;
		break;
	}
	for (int i = 0; i < 3; i++) {
		WEFT_DEADLINE(weft_after(WEFT_MILLISECOND)) {
			rounds++;
			continue; /* of the block: it is left */
		}
		rounds++;
	}
	ck_assert_int_eq(rounds, 8);
	ck_assert_int_eq(leave_by_return(), 7);
	ck_assert_int_eq(leave_by_goto(), 7);
	wf_assert_result(weft_sleep(3 * WEFT_MILLISECOND), 0);
}

/* Outside a task a block runs without a deadline. */
WF_TEST(block_outside_a_task_runs)
{
	int rounds = 0;

	WEFT_DEADLINE(0)
		rounds++;
	WEFT_SHIELD(0)
		rounds++;
	ck_assert_int_eq(rounds, 2);
}

/* ---- Shields --------------------------------------------------------------------------------- */

/* Within a shield a cancel of an outer scope is not felt, whether it came before or comes now;
 * after the shield it is. */
WF_TASK_TEST(shield_keeps_a_cancel_out)
{
	struct weft_scope scope;

	weft_scope_open(&scope);
	WEFT_SHIELD(weft_after(10 * WEFT_SECOND)) {
		wf_assert_result(weft_yield(), 0);
		weft_scope_cancel(&scope);
		wf_assert_result(weft_sleep(WEFT_MILLISECOND), 0);
	}
	wf_assert_result(weft_yield(), -ECANCELED);
	WEFT_SHIELD(weft_after(10 * WEFT_SECOND))
		wf_assert_result(weft_sleep(WEFT_MILLISECOND), 0);
	wf_assert_result(weft_yield(), -ECANCELED);
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
}

static int cancel_soon(void *scope)
{
	wf_assert_result(weft_sleep(WEFT_MILLISECOND), 0);
	weft_scope_cancel(scope);
	return 0;
}

/* A wait within a shield outlasts a cancel of an outer scope. */
WF_TASK_TEST(shielded_wait_outlasts_a_cancel)
{
	struct weft_scope scope;

	weft_scope_open(&scope);
	spawn(&scope, cancel_soon, &scope);
	WEFT_SHIELD(weft_after(10 * WEFT_SECOND))
		wf_assert_result(weft_sleep(5 * WEFT_MILLISECOND), 0);
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
}

/* Within a shield an outer deadline is not felt; after it, it is. */
WF_TASK_TEST(shield_keeps_a_deadline_out)
{
	struct weft_scope scope;

	weft_scope_open_until(&scope, weft_after(WEFT_MILLISECOND));
	WEFT_SHIELD(weft_after(10 * WEFT_SECOND)) {
		wf_assert_result(weft_sleep(3 * WEFT_MILLISECOND), 0);
		wf_assert_result(weft_yield(), 0);
	}
	wf_assert_result(weft_yield(), WEFT_EDEADLINE);
	wf_assert_result(weft_scope_close(&scope), WEFT_EDEADLINE);
}

/* A shield has a deadline of its own, which holds. */
WF_TASK_TEST(shield_ends_at_its_deadline)
{
	struct weft_scope scope;

	weft_scope_open(&scope);
	weft_scope_cancel(&scope);
	WEFT_SHIELD(weft_after(WEFT_MILLISECOND)) {
		wf_assert_result(wait_for_ever(), WEFT_EDEADLINE);
		wf_assert_result(weft_yield(), WEFT_EDEADLINE);
	}
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
}

/* What lies within a shield is shielded too: scopes, tasks, deadlines; and can be cancelled. */
WF_TASK_TEST(shield_covers_what_is_within)
{
	struct weft_scope outer, shield, inner;
	int result = 1, cancelled = 1;

	weft_scope_open(&outer);
	weft_scope_open_shield(&shield, weft_after(10 * WEFT_SECOND));
	spawn(&shield, sleep_a_little, &result);
	weft_scope_open(&inner);
	spawn(&inner, sleep_for_ever, &cancelled);
	weft_scope_cancel(&outer);
	wf_assert_result(weft_sleep(WEFT_MILLISECOND), 0);
	ck_assert_int_eq(cancelled, 1);
	weft_scope_cancel(&inner);
	wf_assert_result(weft_scope_close(&inner), -ECANCELED);
	ck_assert_int_eq(cancelled, -ECANCELED);
	wf_assert_result(weft_scope_close(&shield), 0);
	ck_assert_int_eq(result, 0);
	wf_assert_result(weft_scope_close(&outer), -ECANCELED);
}

/* A shield can be cancelled itself. */
WF_TASK_TEST(shield_can_be_cancelled)
{
	struct weft_scope shield;

	weft_scope_open_shield(&shield, weft_after(10 * WEFT_SECOND));
	weft_scope_cancel(&shield);
	wf_assert_result(wait_for_ever(), -ECANCELED);
	wf_assert_result(weft_scope_close(&shield), -ECANCELED);
}

static int open_endless_shield(void *arg)
{
	struct weft_scope shield;

	(void)arg;
	weft_scope_open_shield(&shield, WEFT_FOREVER);
	return weft_scope_close(&shield);
}

static int run_endless_shield(void *arg)
{
	return weft_run(open_endless_shield, arg, NULL);
}

/* A shield without a deadline aborts, naming the place and the task. */
WF_TEST(endless_shield_aborts)
{
	struct wf_child child = wf_child(run_endless_shield, NULL);

	ck_assert_int_eq(child.signal, SIGABRT);
	ck_assert_ptr_nonnull(strstr(child.errors, "tests/core/deadline.c:"));
	ck_assert_ptr_nonnull(strstr(child.errors, "\"main\""));
}

WF_MAIN("core/deadline")
