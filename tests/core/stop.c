/* SPDX-License-Identifier: MIT */
/* Cancels and soft stops: what they reach, and what they do to those who do not listen. */
#include "core/common.h"
#include "harness/harness.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <weft/event.h>
#include <weft/run.h>

static int sleep_for_ever(void *ret_result)
{
	int r = weft_sleep_until(WEFT_FOREVER);

	if (ret_result)
		*(int *)ret_result = r;
	return r;
}

static int wait_for_stop(void *ret_result)
{
	*(int *)ret_result = weft_stop_wait();
	return *(int *)ret_result;
}

/* ---- Cancels --------------------------------------------------------------------------------- */

/* After a cancel every checkpoint fails, again and again, until the scope is left. */
WF_TASK_TEST(cancel_is_level_triggered)
{
	struct weft_event event = { .set = true };
	struct weft_scope scope;

	weft_scope_open(&scope);
	weft_scope_cancel(&scope);
	for (int i = 0; i < 3; i++) {
		wf_assert_result(weft_yield(), -ECANCELED);
		wf_assert_result(weft_sleep(1), -ECANCELED);
		wf_assert_result(weft_sleep_until(0), -ECANCELED);
		wf_assert_result(weft_event_wait(&event), -ECANCELED);
		wf_assert_result(weft_stop_wait(), -ECANCELED);
	}
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
	wf_assert_result(weft_yield(), 0);
}

/* Cancelling twice is harmless. */
WF_TASK_TEST(cancel_is_idempotent)
{
	struct weft_scope scope;

	weft_scope_open(&scope);
	spawn(&scope, sleep_for_ever, NULL);
	settle();
	weft_scope_cancel(&scope);
	weft_scope_cancel(&scope);
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
}

/* A scope that is opened beneath a cancelled one is cancelled from the start. */
WF_TASK_TEST(new_scope_inherits_the_cancel)
{
	struct weft_scope outer, inner;

	weft_scope_open(&outer);
	weft_scope_cancel(&outer);
	weft_scope_open(&inner);
	wf_assert_result(weft_yield(), -ECANCELED);
	wf_assert_result(weft_scope_close(&inner), -ECANCELED);
	wf_assert_result(weft_scope_close(&outer), -ECANCELED);
}

/* A cancel of an inner scope does not touch the outer one, nor a scope beside it. */
WF_TASK_TEST(cancel_stays_beneath)
{
	struct weft_scope outer, inner;
	int result = 0;

	weft_scope_open(&outer);
	spawn(&outer, sleep_for_ever, &result);
	weft_scope_open(&inner);
	weft_scope_cancel(&inner);
	wf_assert_result(weft_scope_close(&inner), -ECANCELED);
	settle();
	ck_assert_int_eq(result, 0);
	weft_scope_cancel(&outer);
	wf_assert_result(weft_scope_close(&outer), -ECANCELED);
	ck_assert_int_eq(result, -ECANCELED);
}

/* A child that was spawned but has not run yet still runs, and finds its scope cancelled. */
WF_TASK_TEST(cancel_before_the_first_run)
{
	struct weft_scope scope;
	int result = 0;

	weft_scope_open(&scope);
	spawn(&scope, sleep_for_ever, &result);
	weft_scope_cancel(&scope);
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
	ck_assert_int_eq(result, -ECANCELED);
}

static int started, cancelled;

/* A tree of tasks: `depth` levels below this one, with `width` children each, in inner scopes. */
struct tree {
	int depth, width;
};

static int grow_tree(void *arg)
{
	struct tree *tree = arg;
	struct tree below = { tree->depth - 1, tree->width };
	struct weft_scope outer, scope;

	started++;
	weft_scope_open(&outer);
	weft_scope_open(&scope);
	for (int i = 0; i < tree->width && tree->depth > 0; i++)
		wf_assert_result(weft_spawn_copy(&scope, grow_tree, &below, sizeof below), 0);
	cancelled += weft_sleep_until(WEFT_FOREVER) == -ECANCELED;
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
	return weft_scope_close(&outer);
}

static void cancel_tree(struct tree tree, int expected)
{
	struct weft_scope scope;

	weft_scope_open(&scope);
	wf_assert_result(weft_spawn_copy(&scope, grow_tree, &tree, sizeof tree), 0);
	while (started < expected)
		wf_assert_result(weft_yield(), 0);
	settle();
	ck_assert_int_eq(cancelled, 0);
	weft_scope_cancel(&scope);
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
	ck_assert_int_eq(cancelled, expected);
	ck_assert_uint_eq(weft_scope_failures(&scope), 0);
}

/* A cancel reaches every task of a tree, each in scopes within scopes. */
WF_TASK_TEST(cancel_reaches_a_tree)
{
	cancel_tree((struct tree){ .depth = 4, .width = 4 }, 1 + 4 + 16 + 64 + 256);
}

/* A cancel reaches ten thousand tasks that are each the child of another: nothing recurses. */
WF_TASK_TEST(cancel_reaches_deep)
{
	int depth = scaled(10000);

	cancel_tree((struct tree){ .depth = depth, .width = 1 }, depth + 1);
}

/* A cancel reaches fifty thousand children of one scope. */
WF_TASK_TEST(cancel_reaches_wide)
{
	int width = scaled(50000);

	cancel_tree((struct tree){ .depth = 1, .width = width }, width + 1);
}

static int fail_deep_down(void *arg)
{
	int *depth = arg;
	int below = *depth - 1;
	struct weft_scope scope;

	if (*depth == 0)
		return -EIO;
	weft_scope_open(&scope);
	spawn(&scope, fail_deep_down, &below);
	return weft_scope_close(&scope);
}

/* A failure travels up through a thousand tasks, and cancels what it passes. */
WF_TASK_TEST(failure_travels_far_up)
{
	struct weft_scope scope;
	int result = 0;

	weft_scope_open(&scope);
	spawn(&scope, sleep_for_ever, &result);
	spawn(&scope, fail_deep_down, &(int){ 1000 });
	wf_assert_result(weft_scope_close(&scope), -EIO);
	ck_assert_int_eq(result, -ECANCELED);
}

/* ---- Soft stops ------------------------------------------------------------------------------ */

/* A soft stop ends weft_stop_wait, wherever it is called beneath the scope; everything else goes
 * on. */
WF_TASK_TEST(soft_stop_ends_stop_wait)
{
	struct weft_scope outer, inner;
	int results[2] = { 0 }, sleeper = 0;

	weft_scope_open(&outer);
	spawn(&outer, wait_for_stop, &results[0]);
	spawn(&outer, sleep_for_ever, &sleeper);
	weft_scope_open(&inner);
	spawn(&inner, wait_for_stop, &results[1]);
	settle();
	ck_assert_int_eq(results[0], 0);
	weft_scope_stop(&outer);
	settle();
	ck_assert_int_eq(results[0], WEFT_ESTOPPING);
	ck_assert_int_eq(results[1], WEFT_ESTOPPING);
	ck_assert_int_eq(sleeper, 0);
	wf_assert_result(weft_sleep(1), 0);
	wf_assert_result(weft_scope_close(&inner), 0);
	weft_scope_cancel(&outer);
	wf_assert_result(weft_scope_close(&outer), -ECANCELED);
}

/* A soft stop holds for scopes and tasks that come later; stopping twice is harmless. */
WF_TASK_TEST(soft_stop_is_inherited)
{
	struct weft_scope outer, inner;
	int results[2] = { 0 };

	weft_scope_open(&outer);
	weft_scope_stop(&outer);
	weft_scope_stop(&outer);
	spawn(&outer, wait_for_stop, &results[0]);
	weft_scope_open(&inner);
	spawn(&inner, wait_for_stop, &results[1]);
	wf_assert_result(weft_stop_wait(), WEFT_ESTOPPING);
	wf_assert_result(weft_scope_close(&inner), 0);
	wf_assert_result(weft_scope_close(&outer), 0);
	ck_assert_int_eq(results[0], WEFT_ESTOPPING);
	ck_assert_int_eq(results[1], WEFT_ESTOPPING);
}

/* A soft stop goes through shields, both ways: those that wait already, and those that come. */
WF_TASK_TEST(soft_stop_passes_shields)
{
	struct weft_scope scope, shield;
	int result = 0;

	weft_scope_open(&scope);
	weft_scope_open_shield(&shield, weft_after(10 * WEFT_SECOND));
	spawn(&shield, wait_for_stop, &result);
	settle();
	weft_scope_stop(&scope);
	wf_assert_result(weft_scope_close(&shield), 0);
	ck_assert_int_eq(result, WEFT_ESTOPPING);
	WEFT_SHIELD(weft_after(10 * WEFT_SECOND))
		wf_assert_result(weft_stop_wait(), WEFT_ESTOPPING);
	wf_assert_result(weft_scope_close(&scope), 0);
}

/* A soft stop stays beneath its scope. */
WF_TASK_TEST(soft_stop_stays_beneath)
{
	struct weft_scope outer, inner;
	int result = 0;

	weft_scope_open(&outer);
	spawn(&outer, wait_for_stop, &result);
	weft_scope_open(&inner);
	weft_scope_stop(&inner);
	wf_assert_result(weft_scope_close(&inner), 0);
	settle();
	ck_assert_int_eq(result, 0);
	weft_scope_cancel(&outer);
	wf_assert_result(weft_scope_close(&outer), -ECANCELED);
	ck_assert_int_eq(result, -ECANCELED);
}

/* weft_stop_wait obeys cancels and deadlines, which count more than the soft stop. */
WF_TASK_TEST(stop_wait_obeys_the_scope)
{
	struct weft_scope scope;

	WEFT_DEADLINE(weft_after(WEFT_MILLISECOND))
		wf_assert_result(weft_stop_wait(), WEFT_EDEADLINE);
	weft_scope_open(&scope);
	weft_scope_stop(&scope);
	weft_scope_cancel(&scope);
	wf_assert_result(weft_stop_wait(), -ECANCELED);
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
}

static int return_number(void *number)
{
	return *(int *)number;
}

/* A child that returns WEFT_ESTOPPING has failed only if nobody asked it to stop. */
WF_TASK_TEST(stopping_child_has_not_failed)
{
	struct weft_scope scope;

	weft_scope_open(&scope);
	weft_scope_stop(&scope);
	spawn(&scope, return_number, &(int){ WEFT_ESTOPPING });
	wf_assert_result(weft_scope_close(&scope), 0);
	weft_scope_open(&scope);
	spawn(&scope, return_number, &(int){ WEFT_ESTOPPING });
	wf_assert_result(weft_scope_close(&scope), WEFT_ESTOPPING);
}

/* ---- Those who do not listen ----------------------------------------------------------------- */

static int runs;

static int count_runs(void *arg)
{
	(void)arg;
	while (weft_yield() == 0)
		runs++;
	return 0;
}

/* Every refused checkpoint lets the other tasks run: who ignores a cancel freezes nobody. */
WF_TASK_TEST(refused_checkpoints_yield)
{
	struct weft_scope outer, inner;

	weft_scope_open(&outer);
	spawn(&outer, count_runs, NULL);
	weft_scope_open(&inner);
	settle();
	weft_scope_cancel(&inner);
	for (int i = 0; i < 100; i++) {
		struct weft_event event = { .set = true };
		int before = runs;

		wf_assert_result(i % 2 ? weft_event_wait(&event) : weft_sleep(1), -ECANCELED);
		ck_assert_int_gt(runs, before);
	}
	wf_assert_result(weft_scope_close(&inner), -ECANCELED);
	weft_scope_cancel(&outer);
	wf_assert_result(weft_scope_close(&outer), -ECANCELED);
}

/* A task that goes on although a checkpoint refuses it, so many times. */
struct ignorance {
	void (*stop)(struct weft_scope *scope);
	int (*checkpoint)(struct weft_listener *listener);
	int code; /* of each refusal */
	int closes_with;
	int times;
};

static int ignore_refusals(void *arg)
{
	const struct ignorance *ignorance = arg;
	char text[WEFT_ADDRESS_TEXT_MAX];
	struct weft_listener *listener = wf_listen_loopback(text);
	struct weft_scope scope;

	weft_scope_open(&scope);
	ignorance->stop(&scope);
	for (int i = 0; i < ignorance->times; i++)
		quietly(ignorance->checkpoint(listener) == ignorance->code);
	wf_assert_result(weft_scope_close(&scope), ignorance->closes_with);
	weft_listener_close(listener);
	return 0;
}

static int spawn_ignorant(void *arg)
{
	struct weft_scope scope;

	weft_scope_open(&scope);
	wf_assert_result(weft_spawn_at(&scope, ignore_refusals, arg, "there.c:5", "ignorant"), 0);
	return weft_scope_close(&scope);
}

static int run_ignorant(void *arg)
{
	return weft_run(spawn_ignorant, arg, NULL);
}

/* The thousandth refused checkpoint in a row ends the program and names the task, where it was
 * spawned, and what it ignored; one less does not. */
static void check_the_thousandth(struct ignorance ignorance)
{
	struct wf_child child;

	ignorance.times = 999;
	child = wf_child(run_ignorant, &ignorance);
	ck_assert_int_eq(child.status, 0);
	ignorance.times = 1000;
	child = wf_child(run_ignorant, &ignorance);
	ck_assert_int_eq(child.signal, SIGABRT);
	ck_assert_ptr_nonnull(strstr(child.errors, "\"ignorant\""));
	ck_assert_ptr_nonnull(strstr(child.errors, "there.c:5"));
	ck_assert_ptr_nonnull(strstr(child.errors, weft_error_name(ignorance.code)));
}

static int yield_once(struct weft_listener *listener)
{
	(void)listener;
	return weft_yield();
}

/* A cancel is not to be ignored. */
WF_TEST(thousandth_refusal_aborts)
{
	check_the_thousandth(
		(struct ignorance){ weft_scope_cancel, yield_once, -ECANCELED, -ECANCELED, 0 });
}

static int wait_for_stop_once(struct weft_listener *listener)
{
	(void)listener;
	return weft_stop_wait();
}

static int accept_once(struct weft_listener *listener)
{
	struct weft_conn *conn;

	return weft_accept(listener, &conn);
}

/* Nor is a soft stop, by those whom it refuses. */
WF_TEST(thousandth_soft_refusal_aborts)
{
	check_the_thousandth(
		(struct ignorance){ weft_scope_stop, wait_for_stop_once, WEFT_ESTOPPING, 0, 0 });
	check_the_thousandth(
		(struct ignorance){ weft_scope_stop, accept_once, WEFT_ESTOPPING, 0, 0 });
}

/* Refusals count in a row only: a checkpoint that succeeds starts anew. */
WF_TASK_TEST(success_forgives_refusals)
{
	for (int round = 0; round < 5; round++) {
		struct weft_scope scope;

		weft_scope_open(&scope);
		weft_scope_cancel(&scope);
		for (int i = 0; i < 500; i++)
			wf_assert_result(weft_yield(), -ECANCELED);
		wf_assert_result(weft_scope_close(&scope), -ECANCELED);
		wf_assert_result(weft_yield(), 0);
	}
}

/* A scope that is left takes its refusals with it: a task may poll in any number of blocks whose
 * deadline has passed, each of which refuses it. */
WF_TASK_TEST(left_scopes_forgive_refusals)
{
	for (int i = 0; i < 5000; i++) {
		WEFT_DEADLINE(0)
			quietly(weft_yield() == WEFT_EDEADLINE);
	}
}

WF_MAIN("core/stop")
