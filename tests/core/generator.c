/* SPDX-License-Identifier: MIT */
#include <weft/generator.h>

#include "core/torture.h"
#include "core/worker.h"
#include "harness/harness.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <weft/event.h>
#include <weft/run.h>

static struct weft_gen gen;
static struct weft_event go = WEFT_EVENT_INIT;
static int started, ended, yield_result;

/* Yields 0 to the number, less one. */
static int count(struct weft_gen *mine, void *number)
{
	int r = 0;

	started++;
	for (int i = 0; r == 0 && i < *(int *)number; i++)
		r = weft_gen_yield(mine, &i);
	yield_result = r;
	ended++;
	return r;
}

static int three = 3, million = 1000000;

/* Opens the generator, with counting to a number as its producer. */
static void open_count(struct weft_scope *scope, int *number)
{
	weft_scope_open(scope);
	wf_assert_result(weft_gen_open(&gen, scope, count, number), 0);
}

static void expect_next(int number)
{
	void *value = NULL;

	wf_assert_result(weft_gen_next(&gen, &value), 1);
	ck_assert_int_eq(*(int *)value, number);
}

static void expect_end(int result)
{
	void *value = &million;

	wf_assert_result(weft_gen_next(&gen, &value), result);
	ck_assert_ptr_eq(value, &million);
}

/* ---- What is refused ------------------------------------------------------------------------- */

/* A scope that is not open has no producer, and nothing works outside of tasks. */
WF_TEST(outside_a_task_nothing_works)
{
	struct weft_scope scope;
	void *value;

	weft_scope_open(&scope);
	wf_assert_result(weft_gen_open(&gen, &scope, count, &three), -EPERM);
	wf_assert_result(weft_gen_next(&gen, &value), -EPERM);
	wf_assert_result(weft_gen_yield(&gen, NULL), -EPERM);
	weft_gen_close(&gen);
	weft_gen_close(NULL);
}

/* Who is not the producer cannot yield. */
WF_TASK_TEST(only_the_producer_yields)
{
	struct weft_scope scope;

	open_count(&scope, &three);
	expect_next(0);
	wf_assert_result(weft_gen_yield(&gen, NULL), -EPERM);
	weft_gen_close(&gen);
	wf_assert_result(weft_scope_close(&scope), 0);
}

static int ask_oneself(struct weft_gen *mine, void *arg)
{
	void *value;

	(void)arg;
	return weft_gen_next(mine, &value);
}

/* A producer that asks itself would wait for ever, and is told so. */
WF_TASK_TEST(asking_oneself_is_a_deadlock)
{
	struct weft_scope scope;

	weft_scope_open_serving(&scope);
	wf_assert_result(weft_gen_open(&gen, &scope, ask_oneself, NULL), 0);
	expect_end(-EDEADLK);
	wf_assert_result(weft_scope_close(&scope), 0);
}

static int close_oneself(struct weft_gen *mine, void *arg)
{
	(void)arg;
	weft_gen_close(mine);
	return 0;
}

static int consume_what_closes_itself(void *arg)
{
	struct weft_scope scope;
	void *value;

	(void)arg;
	weft_scope_open(&scope);
	wf_assert_result(weft_gen_open_at(&gen, &scope, close_oneself, NULL, "here.c:1", "mine"),
			 0);
	return weft_gen_next(&gen, &value);
}

static int run_task(void *function)
{
	weft_function *const *task = function;

	return weft_run(*task, NULL, NULL);
}

/* A producer that closes itself ends the program, and is named with the place of its opening. */
WF_TEST(closing_oneself_aborts)
{
	weft_function *function = consume_what_closes_itself;
	struct wf_child child = wf_child(run_task, &function);

	ck_assert_int_eq(child.signal, SIGABRT);
	ck_assert_ptr_nonnull(strstr(child.errors, "\"mine\""));
	ck_assert_ptr_nonnull(strstr(child.errors, "here.c:1"));
}

static int ignore_the_end(struct weft_gen *mine, void *arg)
{
	(void)arg;
	for (;;)
		(void)(weft_gen_yield(mine, NULL) < 0);
	return 0;
}

static int close_what_ignores_it(void *arg)
{
	struct weft_scope scope;
	void *value;

	(void)arg;
	weft_scope_open(&scope);
	wf_assert_result(weft_gen_open(&gen, &scope, ignore_the_end, NULL), 0);
	wf_assert_result(weft_gen_next(&gen, &value), 1);
	weft_gen_close(&gen);
	return weft_scope_close(&scope);
}

/* A producer that ignores 1,000 times that nobody wants more ends the program, and is named. */
WF_TEST(ignoring_the_end_aborts)
{
	weft_function *function = close_what_ignores_it;
	struct wf_child child = wf_child(run_task, &function);

	ck_assert_int_eq(child.signal, SIGABRT);
	ck_assert_ptr_nonnull(strstr(child.errors, "\"ignore_the_end\""));
	ck_assert_ptr_nonnull(strstr(child.errors, "WEFT_ECLOSED"));
}

static int wait_then_yield(struct weft_gen *mine, void *value)
{
	int r = weft_event_wait(&go);

	return r < 0 ? r : weft_gen_yield(mine, value);
}

static int ask(void *ret_result)
{
	void *value;

	*(int *)ret_result = weft_gen_next(&gen, &value);
	return 0;
}

/* While one task waits for a value, a second one is refused. */
WF_TASK_TEST(second_consumer_is_refused)
{
	struct weft_scope scope;
	int results[2] = { 7, 7 };

	weft_scope_open(&scope);
	wf_assert_result(weft_gen_open(&gen, &scope, wait_then_yield, NULL), 0);
	spawn(&scope, ask, &results[0]);
	settle();
	spawn(&scope, ask, &results[1]);
	settle();
	wf_assert_result(results[1], -EBUSY);
	weft_event_set(&go);
	settle();
	wf_assert_result(results[0], 1);
	weft_gen_close(&gen);
	wf_assert_result(weft_scope_close(&scope), 0);
}

/* A producer that cannot be started is tried again at the next call. */
WF_TASK_TEST(failed_start_may_be_repeated)
{
	struct weft_scope scope, inner;

	open_count(&scope, &three);
	weft_scope_open(&inner);
	wf_worker->tasks_max = wf_worker->tasks;
	expect_end(-EAGAIN);
	wf_worker->tasks_max = 1000;
	expect_next(0);
	weft_gen_close(&gen);
	wf_assert_result(weft_scope_close(&inner), 0);
	wf_assert_result(weft_scope_close(&scope), 0);
}

/* ---- Values ---------------------------------------------------------------------------------- */

/* The values come one by one, then the end, again and again. */
WF_TASK_TEST(values_then_the_end)
{
	struct weft_scope scope;

	open_count(&scope, &three);
	for (int i = 0; i < 3; i++)
		expect_next(i);
	expect_end(0);
	expect_end(0);
	ck_assert_int_eq(ended, 1);
	weft_gen_close(&gen);
	wf_assert_result(weft_scope_close(&scope), 0);
}

/* The producer does not run before it is asked, and no further than it is asked for. */
WF_TASK_TEST(producer_is_lazy)
{
	struct weft_scope scope;

	open_count(&scope, &three);
	settle();
	ck_assert_int_eq(started, 0);
	expect_next(0);
	expect_next(1);
	expect_next(2);
	settle();
	ck_assert_int_eq(ended, 0);
	expect_end(0);
	ck_assert_int_eq(ended, 1);
	wf_assert_result(weft_scope_close(&scope), 0);
}

static int fail_after_one(struct weft_gen *mine, void *value)
{
	int r = weft_gen_yield(mine, value);

	return r < 0 ? r : -EIO;
}

/* The failure of the producer is the consumer's, at each call, and the scope's. */
WF_TASK_TEST(failure_reaches_the_consumer)
{
	struct weft_scope scope;

	weft_scope_open_serving(&scope);
	wf_assert_result(weft_gen_open(&gen, &scope, fail_after_one, &three), 0);
	expect_next(3);
	expect_end(-EIO);
	expect_end(-EIO);
	ck_assert_uint_eq(weft_scope_failures(&scope), 1);
	wf_assert_result(weft_scope_close(&scope), 0);
}

/* The stop of the scope ends the producer, and the consumer in it. */
WF_TASK_TEST(stop_ends_the_producer)
{
	struct weft_scope scope;

	open_count(&scope, &three);
	expect_next(0);
	weft_scope_cancel(&scope);
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
	wf_assert_result(yield_result, -ECANCELED);
	expect_end(-ECANCELED);
}

/* A consumer that misses its deadline misses no value: it is kept for the next call. */
WF_TASK_TEST(stopped_consumer_loses_no_value)
{
	struct weft_scope scope;

	weft_scope_open(&scope);
	wf_assert_result(weft_gen_open(&gen, &scope, wait_then_yield, &three), 0);
	WEFT_DEADLINE(weft_after(WEFT_MILLISECOND))
		expect_end(WEFT_EDEADLINE);
	weft_event_set(&go);
	settle();
	expect_next(3);
	expect_end(0);
	wf_assert_result(weft_scope_close(&scope), 0);
}

/* A value that was handed over before the consumer was cancelled is the consumer's. */
WF_TASK_TEST(value_beats_a_later_cancel)
{
	struct weft_scope scope, doomed;
	int result = 7;

	weft_scope_open(&scope);
	wf_assert_result(weft_gen_open(&gen, &scope, wait_then_yield, &three), 0);
	weft_scope_open(&doomed);
	spawn(&doomed, ask, &result);
	settle();
	weft_event_set(&go);
	while (gen.asker.first)
		wf_assert_result(weft_yield(), 0);
	weft_scope_cancel(&doomed);
	wf_assert_result(weft_scope_close(&doomed), -ECANCELED);
	wf_assert_result(result, 1);
	weft_gen_close(&gen);
	wf_assert_result(weft_scope_close(&scope), 0);
}

struct asked {
	int result, *value;
};

/* Asks, and runs only when no task of normal priority is ready. */
static int ask_and_be_late(void *arg)
{
	struct asked *asked = arg;
	void *value;

	weft_task_priority_set(WEFT_PRIORITY_LOW);
	asked->result = weft_gen_next(&gen, &value);
	asked->value = value;
	return 0;
}

static int yield_two(struct weft_gen *mine, void *values)
{
	int r = weft_event_wait(&go);

	for (int i = 0; r == 0 && i < 2; i++)
		r = weft_gen_yield(mine, (int *)values + i);
	return r;
}

/* A value that was handed to a consumer stays that one's, though another consumer gets the next one before
 * it runs. */
WF_TASK_TEST(second_consumer_gets_the_next_value)
{
	static int values[] = { 1, 2 };
	struct asked asked = { 0 };
	struct weft_scope scope;

	weft_scope_open(&scope);
	wf_assert_result(weft_gen_open(&gen, &scope, yield_two, values), 0);
	spawn(&scope, ask_and_be_late, &asked);
	while (!gen.asker.first)
		wf_assert_result(weft_yield(), 0);
	weft_event_set(&go);
	while (gen.asker.first)
		wf_assert_result(weft_yield(), 0);
	expect_next(2);
	ck_assert_int_eq(asked.result, 0); /* it has not run yet */
	weft_gen_close(&gen);
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(asked.result, 1);
	ck_assert_int_eq(*asked.value, 1);
}

/* A value that is offered by a producer that was stopped meanwhile is not to be had. */
WF_TASK_TEST(stopped_producer_takes_its_value_along)
{
	struct weft_scope scope;

	weft_scope_open_serving(&scope);
	wf_assert_result(weft_gen_open(&gen, &scope, wait_then_yield, &three), 0);
	WEFT_DEADLINE(weft_after(WEFT_MILLISECOND))
		expect_end(WEFT_EDEADLINE);
	weft_event_set(&go);
	settle();
	ck_assert(gen.offers);
	WEFT_SHIELD(weft_after(WEFT_SECOND)) {
		weft_scope_cancel(&scope);
		expect_end(-ECANCELED);
	}
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
}

/* ---- Closing --------------------------------------------------------------------------------- */

/* Half way: the producer is told, and has returned when the close returns; it has not failed. */
WF_TASK_TEST(close_half_way)
{
	struct weft_scope scope;

	open_count(&scope, &million);
	expect_next(0);
	weft_gen_close(&gen);
	wf_assert_result(yield_result, WEFT_ECLOSED);
	ck_assert_int_eq(ended, 1);
	expect_end(WEFT_ECLOSED);
	weft_gen_close(&gen);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_uint_eq(weft_scope_failures(&scope), 0);
}

/* What has not started never starts. */
WF_TASK_TEST(close_before_the_start)
{
	struct weft_scope scope;

	open_count(&scope, &three);
	weft_gen_close(&gen);
	expect_end(WEFT_ECLOSED);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_int_eq(started, 0);
}

static int close_slowly(struct weft_gen *mine, void *value)
{
	int r = weft_gen_yield(mine, value);

	WEFT_SHIELD(weft_after(WEFT_SECOND))
		wf_assert_result(weft_event_wait(&go), 0);
	ended++;
	return r < 0 ? -EIO : 0;
}

static int close_it(void *arg)
{
	(void)arg;
	weft_gen_close(&gen);
	ck_assert_int_eq(ended, 1);
	return 0;
}

/* The close waits for the producer, whatever is cancelled meanwhile; so does a second one. */
WF_TASK_TEST(close_is_not_interrupted)
{
	struct weft_scope scope, closers;

	weft_scope_open(&scope);
	wf_assert_result(weft_gen_open(&gen, &scope, close_slowly, &three), 0);
	expect_next(3);
	weft_scope_open(&closers);
	spawn(&closers, close_it, NULL);
	spawn(&closers, close_it, NULL);
	settle();
	weft_scope_cancel(&closers);
	WEFT_SHIELD(weft_after(WEFT_SECOND))
		settle();
	ck_assert_int_eq(ended, 0);
	weft_event_set(&go);
	wf_assert_result(weft_scope_close(&closers), -ECANCELED);
	ck_assert_int_eq(ended, 1);
	wf_assert_result(weft_scope_close(&scope), 0);
}

/* A consumer that waits when another task closes is told so, and nothing is yielded after that. */
WF_TASK_TEST(close_ends_the_wait)
{
	struct weft_scope scope;
	int result = 7;

	weft_scope_open(&scope);
	wf_assert_result(weft_gen_open(&gen, &scope, wait_then_yield, NULL), 0);
	spawn(&scope, ask, &result);
	settle();
	spawn(&scope, close_it, NULL);
	ended = 1;
	settle();
	wf_assert_result(result, WEFT_ECLOSED);
	weft_event_set(&go);
	wf_assert_result(weft_scope_close(&scope), 0);
}

/* ---- Delegation ------------------------------------------------------------------------------ */

static int count_twice(struct weft_gen *mine, void *number)
{
	int r = count(mine, number);

	return r < 0 ? r : count(mine, number);
}

/* A producer delegates to a function by calling it with the same generator. */
WF_TASK_TEST(function_is_delegated_to)
{
	struct weft_scope scope;

	weft_scope_open(&scope);
	wf_assert_result(weft_gen_open(&gen, &scope, count_twice, &three), 0);
	for (int i = 0; i < 6; i++)
		expect_next(i % 3);
	expect_end(0);
	wf_assert_result(weft_scope_close(&scope), 0);
}

static struct weft_gen inner;

static int delegate(struct weft_gen *mine, void *arg)
{
	int r = weft_gen_delegate(mine, &inner);

	return r < 0 ? r : count(mine, arg);
}

/* It delegates to a generator: its values come first, then its own. */
WF_TASK_TEST(generator_is_delegated_to)
{
	struct weft_scope scope;
	int two = 2;

	weft_scope_open(&scope);
	wf_assert_result(weft_gen_open(&inner, &scope, count, &three), 0);
	wf_assert_result(weft_gen_open(&gen, &scope, delegate, &two), 0);
	for (int i = 0; i < 5; i++)
		expect_next(i % 3);
	expect_end(0);
	wf_assert_result(weft_scope_close(&scope), 0);
}

/* Closing the outer one half way closes the inner one. */
WF_TASK_TEST(close_reaches_the_inner_one)
{
	struct weft_scope scope;

	weft_scope_open(&scope);
	wf_assert_result(weft_gen_open(&inner, &scope, count, &million), 0);
	wf_assert_result(weft_gen_open(&gen, &scope, delegate, NULL), 0);
	expect_next(0);
	weft_gen_close(&gen);
	ck_assert_int_eq(ended, 1);
	wf_assert_result(yield_result, WEFT_ECLOSED);
	wf_assert_result(weft_scope_close(&scope), 0);
}

/* The failure of the inner one is that of the outer one. */
WF_TASK_TEST(failure_of_the_inner_one_is_passed_on)
{
	struct weft_scope scope;

	weft_scope_open_serving(&scope);
	wf_assert_result(weft_gen_open(&inner, &scope, fail_after_one, &three), 0);
	wf_assert_result(weft_gen_open(&gen, &scope, delegate, NULL), 0);
	expect_next(3);
	expect_end(-EIO);
	wf_assert_result(weft_scope_close(&scope), 0);
}

/* A producer that is stopped while it delegates closes the generator it delegates to. */
WF_TASK_TEST(stop_of_a_delegation_closes_the_inner_one)
{
	struct weft_scope inner_scope, outer_scope;

	weft_scope_open(&inner_scope);
	weft_scope_open(&outer_scope);
	wf_assert_result(weft_gen_open(&inner, &inner_scope, count, &million), 0);
	wf_assert_result(weft_gen_open(&gen, &outer_scope, delegate, NULL), 0);
	expect_next(0);
	weft_scope_cancel(&outer_scope);
	wf_assert_result(weft_scope_close(&outer_scope), -ECANCELED);
	wf_assert_result(yield_result, WEFT_ECLOSED);
	wf_assert_result(weft_scope_close(&inner_scope), 0);
}

static int delegate_to_oneself(struct weft_gen *mine, void *arg)
{
	(void)arg;
	return weft_gen_delegate(mine, mine);
}

/* A generator cannot delegate to itself; it is left as it is. */
WF_TASK_TEST(delegation_to_oneself)
{
	struct weft_scope scope;

	weft_scope_open_serving(&scope);
	wf_assert_result(weft_gen_open(&gen, &scope, delegate_to_oneself, NULL), 0);
	expect_end(-EDEADLK);
	wf_assert_result(weft_scope_close(&scope), 0);
}

/* ---- Torture --------------------------------------------------------------------------------- */

static int yield_in_order(struct weft_gen *mine, void *arg)
{
	struct wf_random *random = arg;
	int r = 0;

	for (intptr_t i = 1; r == 0; i++) {
		if (wf_random_next(random) % 2)
			r = weft_yield();
		if (r == 0)
			r = weft_gen_yield(mine, (void *)i);
	}
	return r;
}

static void torture_step(void *last, struct wf_random *random)
{
	void *value = NULL;
	int r = weft_gen_next(&gen, &value);

	(void)random;
	holds(r == 1 || r == -ECANCELED || r == -EBUSY);
	if (r == 1)
		holds((intptr_t)value == ++*(intptr_t *)last);
}

/* Whatever consumer is cancelled, and whoever asks, each value is had once and in order. */
WF_TASK_TEST(torture)
{
	for (uint64_t seed = 0; seed < TORTURE_ROUNDS; seed++) {
		struct wf_random random;
		struct weft_scope scope;
		intptr_t last = 0;

		wf_random_seed(&random, ~seed);
		weft_scope_open(&scope);
		wf_assert_result(weft_gen_open(&gen, &scope, yield_in_order, &random), 0);
		torture_run(torture_step, &last, seed);
		ck_assert_int_gt(last, 10);
		weft_gen_close(&gen);
		wf_assert_result(weft_scope_close(&scope), 0);
	}
}

WF_MAIN("core/generator")
