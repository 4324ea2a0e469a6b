/* SPDX-License-Identifier: MIT */
#include <weft/semaphore.h>

#include "core/torture.h"
#include "harness/harness.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

static struct weft_semaphore semaphore = WEFT_SEMAPHORE_INIT(2);
static char log_text[64];

static int acquire_and_log(void *letter)
{
	int r = weft_semaphore_acquire(&semaphore);

	if (r == 0)
		strncat(log_text, letter, 1);
	return r;
}

static int acquire(void *ret_result)
{
	return *(int *)ret_result = weft_semaphore_acquire(&semaphore);
}

static char a[] = "a", b[] = "b", c[] = "c";

/* Outside of a task there is nothing to wait with, but to take and to give. */
WF_TEST(outside_a_task_nothing_waits)
{
	wf_assert_result(weft_semaphore_acquire(&semaphore), -EPERM);
	wf_assert_result(weft_semaphore_try_acquire(&semaphore), 0);
	weft_semaphore_release(&semaphore);
	ck_assert_uint_eq(semaphore.count, 2);
}

/* A stopped task takes nothing, though there is something. */
WF_TASK_TEST(stopped_task_takes_nothing)
{
	struct weft_scope scope;

	weft_scope_open(&scope);
	weft_scope_cancel(&scope);
	wf_assert_result(weft_semaphore_acquire(&semaphore), -ECANCELED);
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
	ck_assert_uint_eq(semaphore.count, 2);
}

static int release_too_much(void *arg)
{
	struct weft_semaphore full = WEFT_SEMAPHORE_INIT(UINT32_MAX);

	(void)arg;
	weft_semaphore_release(&full);
	return 0;
}

/* A count that would begin at 0 again ends the program. */
WF_TEST(overflow_aborts)
{
	struct wf_child child = wf_child(release_too_much, NULL);

	ck_assert_int_eq(child.signal, SIGABRT);
	ck_assert_ptr_nonnull(strstr(child.errors, "UINT32_MAX"));
}

/* What there is can be taken, and no more. */
WF_TASK_TEST(count_is_taken_down)
{
	wf_assert_result(weft_semaphore_acquire(&semaphore), 0);
	wf_assert_result(weft_semaphore_try_acquire(&semaphore), 0);
	wf_assert_result(weft_semaphore_try_acquire(&semaphore), -EAGAIN);
	WEFT_DEADLINE(weft_after(WEFT_MILLISECOND))
		wf_assert_result(weft_semaphore_acquire(&semaphore), WEFT_EDEADLINE);
	weft_semaphore_release(&semaphore);
	wf_assert_result(weft_semaphore_acquire(&semaphore), 0);
}

/* What is released goes to the first in line, and to nobody who comes later. */
WF_TASK_TEST(first_come_first_served)
{
	struct weft_scope scope;

	semaphore.count = 0;
	weft_scope_open(&scope);
	spawn(&scope, acquire_and_log, a);
	spawn(&scope, acquire_and_log, b);
	spawn(&scope, acquire_and_log, c);
	settle();
	weft_semaphore_release(&semaphore);
	weft_semaphore_release(&semaphore);
	wf_assert_result(weft_semaphore_try_acquire(&semaphore), -EAGAIN);
	settle();
	ck_assert_str_eq(log_text, "ab");
	weft_semaphore_release(&semaphore);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_str_eq(log_text, "abc");
	ck_assert_uint_eq(semaphore.count, 0);
}

/* The first in line was cancelled before the release: the next one gets it. It was cancelled after: it
 * has it. */
WF_TASK_TEST(release_and_cancel_exclude_each_other)
{
	for (int released_first = 0; released_first < 2; released_first++) {
		struct weft_scope scope, doomed;
		int results[2] = { 1, 1 };

		semaphore.count = 0;
		weft_scope_open(&scope);
		weft_scope_open(&doomed);
		spawn(&doomed, acquire, &results[0]);
		settle();
		spawn(&scope, acquire, &results[1]);
		settle();
		if (released_first)
			weft_semaphore_release(&semaphore);
		weft_scope_cancel(&doomed);
		weft_semaphore_release(&semaphore);
		wf_assert_result(weft_scope_close(&doomed), -ECANCELED);
		wf_assert_result(weft_scope_close(&scope), 0);
		wf_assert_result(results[0], released_first ? 0 : -ECANCELED);
		wf_assert_result(results[1], 0);
		ck_assert_uint_eq(semaphore.count, 0);
		ck_assert_ptr_null(semaphore.line.first);
	}
}

static void torture_step(void *inside, struct wf_random *random)
{
	int *count = inside;
	int r = weft_semaphore_acquire(&semaphore);

	holds(r == 0 || r == -ECANCELED);
	if (r < 0)
		return;
	holds(++*count <= 2);
	if (wf_random_next(random) % 2)
		r = weft_yield();
	holds((r == 0 || r == -ECANCELED) && *count > 0);
	--*count;
	weft_semaphore_release(&semaphore);
}

/* Whatever is cancelled, never more than the count are inside, and in the end all are back. */
WF_TASK_TEST(torture)
{
	for (uint64_t seed = 0; seed < TORTURE_ROUNDS; seed++) {
		int inside = 0;

		torture_run(torture_step, &inside, seed);
		ck_assert_int_eq(inside, 0);
		ck_assert_uint_eq(semaphore.count, 2);
		ck_assert_ptr_null(semaphore.line.first);
	}
}

WF_MAIN("core/semaphore")
