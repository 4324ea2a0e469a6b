/* SPDX-License-Identifier: MIT */
/* Breaches of the rules of scopes end the program, with a message: most are of the order in which
 * scopes are opened and closed. */
#include "core/common.h"
#include "core/worker.h"
#include "harness/harness.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <weft/run.h>

/* Runs a task that breaks the rules, in a child process. */
static int run_task(void *function)
{
	weft_function *const *task = function;

	return weft_run(*task, NULL, NULL);
}

static struct wf_child die(weft_function *function)
{
	struct wf_child child = wf_child(run_task, &function);

	ck_assert_int_eq(child.signal, SIGABRT);
	return child;
}

static int close_outer_first(void *arg)
{
	struct weft_scope outer, inner;

	(void)arg;
	weft_scope_open_at(&outer, WEFT_SCOPE_PLAIN, WEFT_FOREVER, "outer.c:1");
	weft_scope_open_at(&inner, WEFT_SCOPE_PLAIN, WEFT_FOREVER, "inner.c:2");
	return weft_scope_close(&outer);
}

/* Closing an outer scope before the inner one aborts, and names both. */
WF_TEST(wrong_order_aborts)
{
	struct wf_child child = die(close_outer_first);

	ck_assert_ptr_nonnull(strstr(child.errors, "outer.c:1"));
	ck_assert_ptr_nonnull(strstr(child.errors, "inner.c:2"));
}

static int close_foreign(void *scope)
{
	return weft_scope_close(scope);
}

static int let_a_child_close(void *arg)
{
	struct weft_scope scope;

	(void)arg;
	weft_scope_open_at(&scope, WEFT_SCOPE_PLAIN, WEFT_FOREVER, "mine.c:3");
	spawn(&scope, close_foreign, &scope);
	return weft_scope_close(&scope);
}

/* A child that closes the scope it lives in would wait for itself: it aborts, and names both tasks and
 * the scope. */
WF_TEST(joining_oneself_aborts)
{
	struct wf_child child = die(let_a_child_close);

	ck_assert_ptr_nonnull(strstr(child.errors, "\"close_foreign\""));
	ck_assert_ptr_nonnull(strstr(child.errors, "mine.c:3"));
	ck_assert_ptr_nonnull(strstr(child.errors, "\"main\""));
	ck_assert_ptr_nonnull(strstr(child.errors, "for itself"));
}

static int hold_open(void *arg)
{
	struct weft_scope scope;

	weft_scope_open_at(&scope, WEFT_SCOPE_PLAIN, WEFT_FOREVER, "mine.c:3");
	*(struct weft_scope **)arg = &scope;
	settle();
	return weft_scope_close(&scope);
}

static int let_another_close(void *arg)
{
	struct weft_scope scope, *held;

	(void)arg;
	weft_scope_open(&scope);
	spawn(&scope, hold_open, &held);
	wf_assert_result(weft_yield(), 0);
	spawn(&scope, close_foreign, held);
	return weft_scope_close(&scope);
}

/* Closing the scope of any other task aborts in the same way. */
WF_TEST(foreign_close_aborts)
{
	struct wf_child child = die(let_another_close);

	ck_assert_ptr_nonnull(strstr(child.errors, "\"close_foreign\""));
	ck_assert_ptr_nonnull(strstr(child.errors, "mine.c:3"));
	ck_assert_ptr_nonnull(strstr(child.errors, "\"hold_open\""));
	ck_assert_ptr_null(strstr(child.errors, "for itself"));
}

static int return_with_open_scope(void *arg)
{
	static struct weft_scope scope;

	(void)arg;
	weft_scope_open(&scope);
	return 0;
}

static int spawn_forgetful(void *arg)
{
	struct weft_scope scope;

	(void)arg;
	weft_scope_open(&scope);
	wf_assert_result(
		weft_spawn_at(&scope, return_with_open_scope, NULL, "here.c:4", "forgetful"), 0);
	return weft_scope_close(&scope);
}

/* A task that returns with an open scope aborts, and both are named. */
WF_TEST(forgotten_scope_aborts)
{
	struct wf_child child = die(spawn_forgetful);

	ck_assert_ptr_nonnull(strstr(child.errors, "\"forgetful\""));
	ck_assert_ptr_nonnull(strstr(child.errors, "here.c:4"));
	ck_assert_ptr_nonnull(strstr(child.errors, "tests/core/order.c:"));
}

enum { FORGOTTEN_LINE = __LINE__ + 7 };

static int forget_a_scope_of_the_frame(void *arg)
{
	struct weft_scope scope;
	volatile struct weft_scope *gone = &scope;

	weft_scope_open(&scope);
	gone->owner = NULL; /* as the frames to come would write over it */
	return arg != NULL;
}

/* So does the function given to weft_run, and the message names the place that opened the scope:
 * it comes before anything walks into the frame that has gone. */
WF_TEST(scope_forgotten_by_the_first_task_aborts)
{
	struct wf_child child = die(forget_a_scope_of_the_frame);
	char place[64];

	(void)snprintf(place, sizeof place, "tests/core/order.c:%d still open", FORGOTTEN_LINE);
	ck_assert_ptr_nonnull(strstr(child.errors, "\"main\""));
	ck_assert_ptr_nonnull(strstr(child.errors, place));
}

static int open_twice(void *arg)
{
	struct weft_scope scope;

	(void)arg;
	weft_scope_open_at(&scope, WEFT_SCOPE_PLAIN, WEFT_FOREVER, "first.c:5");
	weft_scope_open_at(&scope, WEFT_SCOPE_PLAIN, WEFT_FOREVER, "again.c:6");
	return weft_scope_close(&scope);
}

/* Opening a scope that is open aborts, and names the task and both places. */
WF_TEST(second_open_aborts)
{
	struct wf_child child = die(open_twice);

	ck_assert_ptr_nonnull(strstr(child.errors, "\"main\""));
	ck_assert_ptr_nonnull(strstr(child.errors, "first.c:5"));
	ck_assert_ptr_nonnull(strstr(child.errors, "again.c:6"));
}

static void *cancel_foreign(void *scope)
{
	weft_scope_cancel(scope);
	return NULL;
}

static void *stop_foreign(void *scope)
{
	weft_scope_stop(scope);
	return NULL;
}

static int let_a_thread(void *(*function)(void *scope))
{
	struct weft_scope scope;
	pthread_t thread;

	weft_scope_open(&scope);
	ck_assert_int_eq(pthread_create(&thread, NULL, function, &scope), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	return weft_scope_close(&scope);
}

static int let_a_thread_cancel(void *arg)
{
	(void)arg;
	return let_a_thread(cancel_foreign);
}

static int let_a_thread_stop(void *arg)
{
	(void)arg;
	return let_a_thread(stop_foreign);
}

/* Cancelling or stopping a scope from another thread aborts: that thread must post. */
WF_TEST(stop_by_a_thread_aborts)
{
	ck_assert_ptr_nonnull(strstr(die(let_a_thread_cancel).errors, "weft: assertion"));
	ck_assert_ptr_nonnull(strstr(die(let_a_thread_stop).errors, "weft: assertion"));
}

static void fire_never(struct weft_timer_ *timer)
{
	(void)timer;
}

static int leave_a_timer(void *arg)
{
	static struct weft_timer_ timer = { .fire = fire_never };

	timer.when = weft_after(WEFT_SECOND);
	wf_timers_arm(&wf_worker->timers, &timer);
	return arg != NULL;
}

/* No timer outlives the tasks: the object that it lies in would be gone. */
WF_TEST(timer_left_behind_aborts)
{
	ck_assert_ptr_nonnull(strstr(die(leave_a_timer).errors, "wf_timers_next"));
}

WF_MAIN("core/order")
