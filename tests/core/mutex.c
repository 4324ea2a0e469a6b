/* SPDX-License-Identifier: MIT */
#include <weft/mutex.h>

#include "core/torture.h"
#include "core/worker.h"
#include "harness/harness.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <weft/condition.h>

static struct weft_mutex mutex = WEFT_MUTEX_INIT;
static char log_text[64];

/* Locks, notes its letter, and lets others run before it unlocks. */
static int lock_and_log(void *letter)
{
	int r = weft_mutex_lock(&mutex);

	if (r < 0)
		return r;
	strncat(log_text, letter, 1);
	settle();
	weft_mutex_unlock(&mutex);
	return 0;
}

static int lock(void *ret_result)
{
	int r = *(int *)ret_result = weft_mutex_lock(&mutex);

	if (r == 0)
		weft_mutex_unlock(&mutex);
	return r;
}

static char a[] = "a", b[] = "b", c[] = "c";

/* ---- What is refused ------------------------------------------------------------------------- */

/* Outside of a task nothing is locked. */
WF_TEST(outside_a_task_nothing_is_locked)
{
	wf_assert_result(weft_mutex_lock(&mutex), -EPERM);
	wf_assert_result(weft_mutex_try_lock(&mutex), -EPERM);
	ck_assert_ptr_null(mutex.owner);
}

/* Who has the mutex cannot lock it again, and still has it then. */
WF_TASK_TEST(second_lock_is_a_deadlock)
{
	wf_assert_result(weft_mutex_lock(&mutex), 0);
	wf_assert_result(weft_mutex_lock(&mutex), -EDEADLK);
	wf_assert_result(weft_mutex_try_lock(&mutex), -EAGAIN);
	weft_mutex_unlock(&mutex);
	ck_assert_ptr_null(mutex.owner);
}

static int try_lock(void *arg)
{
	(void)arg;
	wf_assert_result(weft_mutex_try_lock(&mutex), -EAGAIN);
	return 0;
}

/* What another task has locked is not to be had by trying. */
WF_TASK_TEST(trying_does_not_wait)
{
	struct weft_scope scope;

	wf_assert_result(weft_mutex_try_lock(&mutex), 0);
	weft_scope_open(&scope);
	spawn(&scope, try_lock, NULL);
	wf_assert_result(weft_scope_close(&scope), 0);
	weft_mutex_unlock(&mutex);
}

/* A stopped task gets no mutex, though nobody has it. */
WF_TASK_TEST(stopped_task_gets_none)
{
	struct weft_scope scope;

	weft_scope_open(&scope);
	weft_scope_cancel(&scope);
	wf_assert_result(weft_mutex_lock(&mutex), -ECANCELED);
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
	ck_assert_ptr_null(mutex.owner);
}

static int unlock(void *arg)
{
	(void)arg;
	weft_mutex_unlock(&mutex);
	return 0;
}

static int let_another_unlock(void *arg)
{
	struct weft_scope scope;

	(void)arg;
	weft_task_name_set("holder");
	wf_assert_result(weft_mutex_lock(&mutex), 0);
	weft_scope_open(&scope);
	wf_assert_result(weft_spawn_at(&scope, unlock, NULL, "thief.c:1", "thief"), 0);
	return weft_scope_close(&scope);
}

static int run_task(void *function)
{
	weft_function *const *task = function;

	return weft_run(*task, NULL, NULL);
}

/* Unlocking what another task has locked ends the program, and names both. */
WF_TEST(foreign_unlock_aborts)
{
	weft_function *function = let_another_unlock;
	struct wf_child child = wf_child(run_task, &function);

	ck_assert_int_eq(child.signal, SIGABRT);
	ck_assert_ptr_nonnull(strstr(child.errors, "\"thief\" (spawned at thief.c:1) unlocks"));
	ck_assert_ptr_nonnull(strstr(child.errors, "\"holder\""));
}

/* So does unlocking what nobody has locked. */
WF_TEST(needless_unlock_aborts)
{
	weft_function *function = unlock;
	struct wf_child child = wf_child(run_task, &function);

	ck_assert_int_eq(child.signal, SIGABRT);
	ck_assert_ptr_nonnull(strstr(child.errors, "\"main\""));
}

static struct weft_condition changed = WEFT_CONDITION_INIT;

static int end_after_lock(void *arg)
{
	(void)arg;
	return weft_mutex_lock(&mutex);
}

static int end_after_try_lock(void *arg)
{
	(void)arg;
	return weft_mutex_try_lock(&mutex);
}

static int end_after_relock(void *arg)
{
	int r = weft_mutex_lock(&mutex);

	(void)arg;
	return r < 0 ? r : weft_condition_wait(&changed, &mutex);
}

/* Has the task named "heir" end with the mutex; it had to wait for that if it could. */
static int let_end(weft_function *function)
{
	struct weft_scope scope;

	wf_assert_result(weft_mutex_lock(&mutex), 0);
	weft_scope_open(&scope);
	if (function == end_after_try_lock)
		weft_mutex_unlock(&mutex);
	wf_assert_result(weft_spawn_at(&scope, function, NULL, "heir.c:1", "heir"), 0);
	settle();
	if (mutex.owner == wf_task_self())
		weft_mutex_unlock(&mutex);
	settle();
	weft_condition_signal(&changed);
	return weft_scope_close(&scope);
}

static int let_end_after_lock(void *arg)
{
	(void)arg;
	return let_end(end_after_lock);
}

static int let_end_after_try_lock(void *arg)
{
	(void)arg;
	return let_end(end_after_try_lock);
}

static int let_end_after_relock(void *arg)
{
	(void)arg;
	return let_end(end_after_relock);
}

/* A task that ends with a mutex ends the program, which names it, however it has come to the mutex: its
 * control block would be that of another task, which would have the mutex then. */
WF_TEST(ending_with_a_mutex_aborts)
{
	weft_function *const ways[] = { let_end_after_lock, let_end_after_try_lock,
					let_end_after_relock, end_after_lock };

	for (int i = 0; i < 4; i++) {
		weft_function *function = ways[i];
		struct wf_child child = wf_child(run_task, &function);

		ck_assert_int_eq(child.signal, SIGABRT);
		ck_assert_ptr_nonnull(strstr(child.errors, "with a mutex still locked"));
		ck_assert_ptr_nonnull(strstr(
			child.errors, i < 3 ? "\"heir\" (spawned at heir.c:1)" : "\"main\""));
	}
}

/* A task may have many mutexes, and unlock them in any order. */
WF_TASK_TEST(many_mutexes_are_counted)
{
	static struct weft_mutex many[300];

	for (int i = 0; i < 300; i++)
		wf_assert_result(weft_mutex_lock(&many[i]), 0);
	for (int i = 0; i < 300; i++)
		weft_mutex_unlock(&many[i]);
}

/* ---- The line -------------------------------------------------------------------------------- */

/* The mutex is had in the order in which it was asked for, by one at a time. */
WF_TASK_TEST(first_come_first_served)
{
	struct weft_scope scope;

	wf_assert_result(weft_mutex_lock(&mutex), 0);
	weft_scope_open(&scope);
	spawn(&scope, lock_and_log, a);
	spawn(&scope, lock_and_log, b);
	spawn(&scope, lock_and_log, c);
	settle();
	weft_mutex_unlock(&mutex);
	settle();
	ck_assert_str_eq(log_text, "a");
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_str_eq(log_text, "abc");
	ck_assert_ptr_null(mutex.owner);
}

/* Who unlocks a mutex that others wait for does not get it back before them. */
WF_TASK_TEST(unlocking_hands_over)
{
	struct weft_scope scope;

	wf_assert_result(weft_mutex_lock(&mutex), 0);
	weft_scope_open(&scope);
	spawn(&scope, lock_and_log, a);
	settle();
	weft_mutex_unlock(&mutex);
	wf_assert_result(weft_mutex_try_lock(&mutex), -EAGAIN);
	wf_assert_result(weft_mutex_lock(&mutex), 0);
	ck_assert_str_eq(log_text, "a");
	weft_mutex_unlock(&mutex);
	wf_assert_result(weft_scope_close(&scope), 0);
}

/* A waiter that is cancelled leaves the line, wherever in it; the others get the mutex. */
WF_TASK_TEST(cancelled_waiter_leaves_the_line)
{
	for (int gone = 0; gone < 3; gone++) {
		struct weft_scope scope, doomed;
		int results[3] = { 1, 1, 1 };

		wf_assert_result(weft_mutex_lock(&mutex), 0);
		weft_scope_open(&scope);
		weft_scope_open(&doomed);
		for (int i = 0; i < 3; i++)
			spawn(i == gone ? &doomed : &scope, lock, &results[i]);
		settle();
		weft_scope_cancel(&doomed);
		wf_assert_result(weft_scope_close(&doomed), -ECANCELED);
		weft_mutex_unlock(&mutex);
		wf_assert_result(weft_scope_close(&scope), 0);
		for (int i = 0; i < 3; i++)
			wf_assert_result(results[i], i == gone ? -ECANCELED : 0);
		ck_assert_ptr_null(mutex.owner);
		ck_assert_ptr_null(mutex.line.first);
	}
}

/* A deadline ends the wait. */
WF_TASK_TEST(deadline_ends_the_wait)
{
	struct weft_scope scope;
	int result = 1;

	wf_assert_result(weft_mutex_lock(&mutex), 0);
	weft_scope_open_until(&scope, weft_after(WEFT_MILLISECOND));
	spawn(&scope, lock, &result);
	wf_assert_result(weft_scope_close(&scope), WEFT_EDEADLINE);
	wf_assert_result(result, WEFT_EDEADLINE);
	weft_mutex_unlock(&mutex);
	ck_assert_ptr_null(mutex.owner);
}

/* If the first in line is cancelled and the mutex unlocked before it runs, the next one has it. */
WF_TASK_TEST(cancel_then_unlock_passes_on)
{
	struct weft_scope scope, doomed;
	int results[2] = { 1, 1 };

	wf_assert_result(weft_mutex_lock(&mutex), 0);
	weft_scope_open(&scope);
	weft_scope_open(&doomed);
	spawn(&doomed, lock, &results[0]);
	settle();
	spawn(&scope, lock, &results[1]);
	settle();
	weft_scope_cancel(&doomed);
	weft_mutex_unlock(&mutex);
	wf_assert_result(weft_scope_close(&doomed), -ECANCELED);
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(results[0], -ECANCELED);
	wf_assert_result(results[1], 0);
}

/* If it is cancelled when it has the mutex already, but has not run, it has it all the same. */
WF_TASK_TEST(unlock_then_cancel_keeps)
{
	struct weft_scope doomed;
	int result = 1;

	wf_assert_result(weft_mutex_lock(&mutex), 0);
	weft_scope_open(&doomed);
	spawn(&doomed, lock, &result);
	settle();
	weft_mutex_unlock(&mutex);
	weft_scope_cancel(&doomed);
	wf_assert_result(weft_scope_close(&doomed), -ECANCELED);
	wf_assert_result(result, 0);
	ck_assert_ptr_null(mutex.owner);
}

/* ---- Cost and torture ------------------------------------------------------------------------ */

static int lock_under_seccomp(void *arg)
{
	(void)arg;
	wf_worker->credit =
		UINT32_MAX; /* no turn of the loop in between: it may look at the engine */
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) < 0)
		syscall(SYS_exit, 2);
	for (int i = 0; i < 1000; i++) {
		if (weft_mutex_lock(&mutex) < 0)
			syscall(SYS_exit, 1);
		weft_mutex_unlock(&mutex);
	}
	syscall(SYS_exit, 0); /* the only way out that is allowed */
	return 0;
}

/* Locking and unlocking what nobody else wants makes no system call. */
WF_TEST(no_system_call)
{
	weft_function *function = lock_under_seccomp;
	struct wf_child child;

	if (WF_IS_INSTRUMENTED || wf_on_valgrind() || WF_IS_EMULATED)
		wf_skip("a tool makes system calls of its own");
	child = wf_child(run_task, &function);
	if (child.status == 2)
		wf_skip("seccomp is not to be had here");
	ck_assert_int_eq(child.signal, 0);
	ck_assert_int_eq(child.status, 0);
}

static void torture_step(void *inside, struct wf_random *random)
{
	int *count = inside;
	int r = weft_mutex_lock(&mutex);

	holds(r == 0 || r == -ECANCELED);
	if (r < 0)
		return;
	holds(++*count == 1);
	if (wf_random_next(random) % 2)
		r = weft_yield();
	holds((r == 0 || r == -ECANCELED) && *count == 1); /* stopped or not, it has the mutex */
	--*count;
	weft_mutex_unlock(&mutex);
}

/* Whatever is cancelled, one task at most has the mutex, and in the end none. */
WF_TASK_TEST(torture)
{
	for (uint64_t seed = 0; seed < TORTURE_ROUNDS; seed++) {
		int inside = 0;

		torture_run(torture_step, &inside, seed);
		ck_assert_int_eq(inside, 0);
		ck_assert_ptr_null(mutex.owner);
		ck_assert_ptr_null(mutex.line.first);
	}
}

WF_MAIN("core/mutex")
