/* SPDX-License-Identifier: MIT */
/* Breaches of the order in which scopes are opened and closed end the program, with a message. */
#include "core/common.h"
#include "harness/harness.h"

#include <signal.h>
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

/* Closing the scope of another task aborts, and names the task and the scope. */
WF_TEST(foreign_close_aborts)
{
	struct wf_child child = die(let_a_child_close);

	ck_assert_ptr_nonnull(strstr(child.errors, "\"close_foreign\""));
	ck_assert_ptr_nonnull(strstr(child.errors, "mine.c:3"));
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

/* A task that returns with an open scope aborts, and both are named; so does the first task. */
WF_TEST(forgotten_scope_aborts)
{
	struct wf_child child = die(spawn_forgetful);

	ck_assert_ptr_nonnull(strstr(child.errors, "\"forgetful\""));
	ck_assert_ptr_nonnull(strstr(child.errors, "here.c:4"));
	ck_assert_ptr_nonnull(strstr(child.errors, "tests/core/order.c:"));
	child = die(return_with_open_scope);
	ck_assert_ptr_nonnull(strstr(child.errors, "\"main\""));
	ck_assert_ptr_nonnull(strstr(child.errors, "tests/core/order.c:"));
}

WF_MAIN("core/order")
