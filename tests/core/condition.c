/* SPDX-License-Identifier: MIT */
#include <weft/condition.h>

#include "core/torture.h"
#include "harness/harness.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

static struct weft_condition condition = WEFT_CONDITION_INIT;
static struct weft_mutex mutex = WEFT_MUTEX_INIT;
static char log_text[64];

static int wait_plainly(void *ret_result)
{
	int r = weft_condition_wait(&condition, NULL);

	if (ret_result)
		*(int *)ret_result = r;
	return r;
}

static int wait_and_log(void *letter)
{
	int r = weft_mutex_lock(&mutex);

	if (r < 0)
		return r;
	r = weft_condition_wait(&condition, &mutex);
	if (r == 0)
		strncat(log_text, letter, 1);
	weft_mutex_unlock(&mutex);
	return r;
}

static char a[] = "a", b[] = "b", c[] = "c";

/* Outside of a task nobody can wait. */
WF_TEST(outside_a_task_nobody_waits)
{
	wf_assert_result(weft_condition_wait(&condition, NULL), -EPERM);
	weft_condition_signal(&condition);
	weft_condition_broadcast(&condition);
}

/* A stopped task does not wait, and keeps its mutex. */
WF_TASK_TEST(stopped_task_does_not_wait)
{
	struct weft_scope scope;

	wf_assert_result(weft_mutex_lock(&mutex), 0);
	weft_scope_open(&scope);
	weft_scope_cancel(&scope);
	wf_assert_result(weft_condition_wait(&condition, &mutex), -ECANCELED);
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
	weft_mutex_unlock(&mutex);
}

static int wait_without_the_mutex(void *arg)
{
	(void)arg;
	return weft_condition_wait(&condition, &mutex);
}

static int run_wait(void *arg)
{
	return weft_run(wait_without_the_mutex, arg, NULL);
}

/* Waiting with a mutex that one has not locked ends the program. */
WF_TEST(foreign_mutex_aborts)
{
	struct wf_child child = wf_child(run_wait, NULL);

	ck_assert_int_eq(child.signal, SIGABRT);
	ck_assert_ptr_nonnull(strstr(child.errors, "mutex"));
}

/* A signal that nobody waits for is none. */
WF_TASK_TEST(signal_is_not_kept)
{
	weft_condition_signal(&condition);
	weft_condition_broadcast(&condition);
	WEFT_DEADLINE(weft_after(WEFT_MILLISECOND))
		wf_assert_result(weft_condition_wait(&condition, NULL), WEFT_EDEADLINE);
}

/* A signal wakes the one that has waited longest, and a broadcast all. */
WF_TASK_TEST(signal_wakes_one_broadcast_all)
{
	struct weft_scope scope;

	weft_scope_open(&scope);
	spawn(&scope, wait_and_log, a);
	spawn(&scope, wait_and_log, b);
	spawn(&scope, wait_and_log, c);
	settle();
	ck_assert_ptr_null(mutex.owner);
	weft_condition_signal(&condition);
	settle();
	ck_assert_str_eq(log_text, "a");
	weft_condition_broadcast(&condition);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_str_eq(log_text, "abc");
	ck_assert_ptr_null(mutex.owner);
}

/* Who was signalled runs when it has the mutex, not before. */
WF_TASK_TEST(signalled_waiter_locks_first)
{
	struct weft_scope scope;

	weft_scope_open(&scope);
	spawn(&scope, wait_and_log, a);
	settle();
	wf_assert_result(weft_mutex_lock(&mutex), 0);
	weft_condition_signal(&condition);
	settle();
	ck_assert_str_eq(log_text, "");
	weft_mutex_unlock(&mutex);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_str_eq(log_text, "a");
}

/* A waiter that is stopped waits for its mutex before it returns: its unlock is none of another's. */
WF_TASK_TEST(stopped_waiter_locks_again)
{
	struct weft_scope scope;

	weft_scope_open(&scope);
	spawn(&scope, wait_and_log, a);
	settle();
	wf_assert_result(weft_mutex_lock(&mutex), 0);
	WEFT_SHIELD(weft_after(WEFT_SECOND)) {
		weft_scope_cancel(&scope);
		settle();
		ck_assert_ptr_nonnull(mutex.line.first);
	}
	weft_mutex_unlock(&mutex);
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
	ck_assert_ptr_null(mutex.owner);
	ck_assert_str_eq(log_text, "");
}

/* So does one that was signalled, and is cancelled while it waits for the mutex: it has the signal. */
WF_TASK_TEST(locking_again_is_not_interrupted)
{
	struct weft_scope scope;

	weft_scope_open(&scope);
	spawn(&scope, wait_and_log, a);
	settle();
	wf_assert_result(weft_mutex_lock(&mutex), 0);
	weft_condition_signal(&condition);
	settle();
	weft_scope_cancel(&scope);
	ck_assert_ptr_nonnull(mutex.line.first);
	weft_mutex_unlock(&mutex);
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
	ck_assert_str_eq(log_text, "a");
}

/* A signal that was given to a waiter counts, though that is cancelled before it runs; one that comes
 * after the cancel goes to the next in line. */
WF_TASK_TEST(signal_and_cancel_exclude_each_other)
{
	struct weft_scope scope, doomed;
	int results[2] = { 1, 1 };

	weft_scope_open(&doomed);
	spawn(&doomed, wait_plainly, &results[0]);
	settle();
	weft_condition_signal(&condition);
	weft_scope_cancel(&doomed);
	wf_assert_result(weft_scope_close(&doomed), -ECANCELED);
	wf_assert_result(results[0], 0);

	weft_scope_open(&scope);
	weft_scope_open(&doomed);
	spawn(&doomed, wait_plainly, &results[0]);
	settle();
	spawn(&scope, wait_plainly, &results[1]);
	settle();
	weft_scope_cancel(&doomed);
	weft_condition_signal(&condition);
	wf_assert_result(weft_scope_close(&doomed), -ECANCELED);
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(results[0], -ECANCELED);
	wf_assert_result(results[1], 0);
}

static int flag;

static int set_flag(void *arg)
{
	(void)arg;
	for (int i = 0; i < 1000; i++) {
		while (flag)
			wf_assert_result(weft_condition_wait(&condition, NULL), 0);
		flag = 1;
		weft_condition_broadcast(&condition);
	}
	return 0;
}

static int clear_flag(void *arg)
{
	(void)arg;
	for (int i = 0; i < 1000; i++) {
		while (!flag)
			wf_assert_result(weft_condition_wait(&condition, NULL), 0);
		flag = 0;
		weft_condition_broadcast(&condition);
	}
	return 0;
}

/* Without a mutex nothing runs between the test and the wait, also when checkpoints yield each time:
 * no signal is lost. */
WF_TASK_TEST(test_and_wait_are_one)
{
	struct weft_scope scope;

	weft_scope_open_until(&scope, weft_after(10 * WEFT_SECOND));
	spawn(&scope, set_flag, NULL);
	spawn(&scope, clear_flag, NULL);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_int_eq(flag, 0);
}

/* Takes one of the tokens, or puts one: a bounded buffer of four. */
static void torture_step(void *object, struct wf_random *random)
{
	int *tokens = object;
	bool puts = wf_random_next(random) % 2;
	int r = weft_mutex_lock(&mutex);

	if (r < 0)
		return;
	while (r == 0 && *tokens == (puts ? 4 : 0)) {
		r = weft_condition_wait(&condition, &mutex);
		if (wf_random_next(random) % 64 == 0)
			r = -ECANCELED; /* so that an end comes, also when all want the same */
	}
	holds(r == 0 || r == -ECANCELED);
	if (r == 0) {
		*tokens += puts ? 1 : -1;
		weft_condition_broadcast(&condition);
	}
	holds(*tokens >= 0 && *tokens <= 4);
	weft_mutex_unlock(&mutex);
}

/* Whatever is cancelled, every waiter has the mutex when it goes on, and all come to an end. */
WF_TASK_TEST(torture)
{
	for (uint64_t seed = 0; seed < TORTURE_ROUNDS; seed++) {
		int tokens = 2;

		torture_run(torture_step, &tokens, seed);
		ck_assert_ptr_null(mutex.owner);
		ck_assert_ptr_null(condition.line.first);
	}
}

WF_MAIN("core/condition")
