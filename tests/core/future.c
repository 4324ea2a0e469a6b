/* SPDX-License-Identifier: MIT */
#include <weft/future.h>

#include "core/torture.h"
#include "harness/harness.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <weft/run.h>

static struct weft_future future = WEFT_FUTURE_INIT;
static char log_text[64];
static char answer[] = "42";

struct awaited {
	int result;
	void *value;
};

static int await(void *arg)
{
	struct awaited *awaited = arg;

	return awaited->result = weft_future_await(&future, &awaited->value);
}

/* ---- What is refused ------------------------------------------------------------------------- */

/* Outside of a task one can settle and look, and not wait. */
WF_TEST(outside_a_task_nobody_waits)
{
	wf_assert_result(weft_future_await(&future, NULL), -EPERM);
	ck_assert(!weft_future_is_settled(&future));
	wf_assert_result(weft_future_settle(&future, NULL), 0);
	ck_assert(weft_future_is_settled(&future));
}

/* A future is settled once, whichever way; later attempts change nothing. */
WF_TASK_TEST(settled_once)
{
	struct weft_future failed = WEFT_FUTURE_INIT;
	void *value = NULL;

	wf_assert_result(weft_future_settle(&future, answer), 0);
	wf_assert_result(weft_future_settle(&future, NULL), -EALREADY);
	wf_assert_result(weft_future_fail(&future, -EIO), -EALREADY);
	wf_assert_result(weft_future_await(&future, &value), 0);
	ck_assert_ptr_eq(value, answer);

	wf_assert_result(weft_future_fail(&failed, -EIO), 0);
	wf_assert_result(weft_future_fail(&failed, -EPIPE), -EALREADY);
	wf_assert_result(weft_future_settle(&failed, answer), -EALREADY);
	value = NULL;
	wf_assert_result(weft_future_await(&failed, &value), -EIO);
	ck_assert_ptr_null(value);
}

/* A failure without a negative code is none. */
WF_TEST(failure_needs_a_code)
{
	wf_assert_result(weft_future_fail(&future, 0), -EINVAL);
	wf_assert_result(weft_future_fail(&future, EIO), -EINVAL);
	ck_assert(!weft_future_is_settled(&future));
}

/* A stopped task gets no value, though there is one. */
WF_TASK_TEST(stopped_task_gets_nothing)
{
	struct awaited awaited = { 0 };
	struct weft_scope scope;

	wf_assert_result(weft_future_settle(&future, answer), 0);
	weft_scope_open(&scope);
	weft_scope_cancel(&scope);
	wf_assert_result(await(&awaited), -ECANCELED);
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
	ck_assert_ptr_null(awaited.value);
}

/* A deadline ends the wait. */
WF_TASK_TEST(deadline_ends_the_wait)
{
	WEFT_DEADLINE(weft_after(WEFT_MILLISECOND))
		wf_assert_result(weft_future_await(&future, NULL), WEFT_EDEADLINE);
	ck_assert_ptr_null(future.line.first);
}

/* ---- Waiting --------------------------------------------------------------------------------- */

/* All who wait get the value. */
WF_TASK_TEST(all_get_the_value)
{
	struct awaited awaited[3] = { 0 };
	struct weft_scope scope;

	weft_scope_open(&scope);
	for (int i = 0; i < 3; i++)
		spawn(&scope, await, &awaited[i]);
	settle();
	wf_assert_result(weft_future_settle(&future, answer), 0);
	wf_assert_result(weft_scope_close(&scope), 0);
	for (int i = 0; i < 3; i++)
		ck_assert_ptr_eq(awaited[i].value, answer);
}

/* All who wait get the failure, and no value. */
WF_TASK_TEST(all_get_the_failure)
{
	struct awaited awaited[3] = { 0 };
	struct weft_scope scope;

	weft_scope_open_serving(&scope);
	for (int i = 0; i < 3; i++)
		spawn(&scope, await, &awaited[i]);
	settle();
	wf_assert_result(weft_future_fail(&future, -EIO), 0);
	wf_assert_result(weft_scope_close(&scope), 0);
	for (int i = 0; i < 3; i++) {
		wf_assert_result(awaited[i].result, -EIO);
		ck_assert_ptr_null(awaited[i].value);
	}
}

/* A waiter that is cancelled before gets nothing; one that is cancelled after has its value. */
WF_TASK_TEST(settle_and_cancel_exclude_each_other)
{
	for (int settled_first = 0; settled_first < 2; settled_first++) {
		struct awaited awaited[2] = { 0 };
		struct weft_scope scope, doomed;

		future = (struct weft_future)WEFT_FUTURE_INIT;
		weft_scope_open(&scope);
		weft_scope_open(&doomed);
		spawn(&doomed, await, &awaited[0]);
		spawn(&scope, await, &awaited[1]);
		settle();
		if (settled_first)
			wf_assert_result(weft_future_settle(&future, answer), 0);
		weft_scope_cancel(&doomed);
		if (!settled_first)
			wf_assert_result(weft_future_settle(&future, answer), 0);
		wf_assert_result(weft_scope_close(&doomed), -ECANCELED);
		wf_assert_result(weft_scope_close(&scope), 0);
		wf_assert_result(awaited[0].result, settled_first ? 0 : -ECANCELED);
		ck_assert_ptr_eq(awaited[0].value, settled_first ? answer : NULL);
		ck_assert_ptr_eq(awaited[1].value, answer);
	}
}

/* ---- Callbacks ------------------------------------------------------------------------------- */

static void log_letter(int result, void *value, void *letter)
{
	strncat(log_text, letter, 1);
	ck_assert(result < 0 ? !value : value == answer);
}

static char a[] = "a", b[] = "b", c[] = "c";

/* Callbacks are called at the settlement, in the order in which they were given, and once. */
WF_TEST(callbacks_are_called_in_order)
{
	struct weft_future_callback callbacks[] = { { log_letter, a, NULL },
						    { log_letter, b, NULL },
						    { log_letter, c, NULL } };

	for (int i = 0; i < 3; i++)
		weft_future_then(&future, &callbacks[i]);
	ck_assert_str_eq(log_text, "");
	wf_assert_result(weft_future_settle(&future, answer), 0);
	ck_assert_str_eq(log_text, "abc");
	wf_assert_result(weft_future_settle(&future, answer), -EALREADY);
	ck_assert_str_eq(log_text, "abc");
}

static void remember(int result, void *value, void *ret_result)
{
	ck_assert_ptr_null(value);
	*(int *)ret_result = result;
}

/* A callback is told of a failure, and one that is given later is called at once. */
WF_TEST(late_callback_is_called_at_once)
{
	int results[2] = { 0 };
	struct weft_future_callback early = { remember, &results[0], NULL };
	struct weft_future_callback late = { remember, &results[1], NULL };

	weft_future_then(&future, &early);
	wf_assert_result(weft_future_fail(&future, -EPIPE), 0);
	weft_future_then(&future, &late);
	wf_assert_result(results[0], -EPIPE);
	wf_assert_result(results[1], -EPIPE);
}

static struct weft_future chain[3] = { WEFT_FUTURE_INIT, WEFT_FUTURE_INIT, WEFT_FUTURE_INIT };

static void pass_on(int result, void *value, void *next)
{
	ck_assert_int_eq(result, 0);
	wf_assert_result(weft_future_settle(next, value), 0);
}

/* A callback may settle another future. */
WF_TASK_TEST(futures_make_a_chain)
{
	struct weft_future_callback links[] = { { pass_on, &chain[1], NULL },
						{ pass_on, &chain[2], NULL } };
	void *value;

	weft_future_then(&chain[1], &links[1]);
	weft_future_then(&chain[0], &links[0]);
	wf_assert_result(weft_future_settle(&chain[0], answer), 0);
	wf_assert_result(weft_future_await(&chain[2], &value), 0);
	ck_assert_ptr_eq(value, answer);
}

static void free_it(int result, void *value, void *block)
{
	(void)result, (void)value;
	free(block);
}

struct mortal {
	struct weft_future future;
	struct weft_future_callback callback;
};

/* A future and a callback may go away in the last callback. */
WF_TEST(callback_may_free_both)
{
	struct mortal *mortal = calloc(1, sizeof *mortal);

	ck_assert_ptr_nonnull(mortal);
	mortal->callback = (struct weft_future_callback){ free_it, mortal, NULL };
	weft_future_then(&mortal->future, &mortal->callback);
	wf_assert_result(weft_future_settle(&mortal->future, NULL), 0);
}

static void settle_future(void *arg)
{
	wf_assert_result(weft_future_settle(arg, answer), 0);
}

static void *post_from_thread(void *worker)
{
	wf_assert_result(weft_post(worker, settle_future, &future), 0);
	return NULL;
}

static int start_thread(void *ret_thread)
{
	ck_assert_int_eq(pthread_create(ret_thread, NULL, post_from_thread, weft_worker_self()), 0);
	return 0;
}

/* A plain thread settles a future by a posted call, which wakes the task that waits. */
WF_TASK_TEST(posted_call_settles)
{
	struct weft_scope scope;
	pthread_t thread;
	void *value = NULL;

	wf_need_world("threads");
	weft_scope_open(&scope);
	spawn(&scope, start_thread, &thread); /* runs when this task waits */
	wf_assert_result(weft_future_await(&future, &value), 0);
	ck_assert_ptr_eq(value, answer);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	wf_assert_result(weft_scope_close(&scope), 0);
}

static void count_call(int result, void *value, void *count)
{
	(void)result, (void)value;
	++*(int *)count;
}

struct storm {
	struct weft_future future;
	struct weft_future_callback callback;
	int waiters, calls;
};

/* Awaits, or settles; the last one to leave a settled future makes it anew. */
static void torture_step(void *object, struct wf_random *random)
{
	struct storm *storm = object;
	void *value = NULL;
	int r;

	if (wf_random_next(random) % 5 == 0) {
		bool was_settled = weft_future_is_settled(&storm->future);

		r = weft_future_settle(&storm->future, storm);
		holds(r == (was_settled ? -EALREADY : 0));
	} else {
		storm->waiters++;
		r = weft_future_await(&storm->future, &value);
		storm->waiters--;
		holds(r == 0 ? value == storm : r == -ECANCELED && !value);
	}
	holds(weft_future_is_settled(&storm->future) == (storm->calls == 1));
	if (storm->calls == 1 && storm->waiters == 0) {
		storm->future = (struct weft_future)WEFT_FUTURE_INIT;
		storm->calls = 0;
		weft_future_then(&storm->future, &storm->callback);
	}
}

/* Whatever is cancelled, who was not gets the value, and the callback is called once. */
WF_TASK_TEST(torture)
{
	for (uint64_t seed = 0; seed < TORTURE_ROUNDS; seed++) {
		struct storm storm = { .future = WEFT_FUTURE_INIT };

		storm.callback = (struct weft_future_callback){ count_call, &storm.calls, NULL };
		weft_future_then(&storm.future, &storm.callback);
		torture_run(torture_step, &storm, seed);
		ck_assert_int_eq(storm.waiters, 0);
		ck_assert_ptr_null(storm.future.line.first);
	}
}

WF_MAIN("core/future")
