/* SPDX-License-Identifier: MIT */
#include <weft/latest.h>

#include "core/torture.h"
#include "harness/harness.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <weft/run.h>

struct pair {
	int number, square;
};

static struct pair storage = { 1, 1 };
static struct weft_latest latest = WEFT_LATEST_INIT(&storage, sizeof storage);

static void set(int number)
{
	const struct pair pair = { number, number * number };

	weft_latest_set(&latest, &pair);
}

/* Waits for one value after the version that there is; 0 and the number, or the code. */
struct reader {
	int result, number;
};

static int read_next(void *arg)
{
	struct reader *reader = arg;
	uint64_t seen = weft_latest_get(&latest, NULL);
	struct pair pair = { 0 };

	reader->result = weft_latest_wait(&latest, &seen, &pair);
	reader->number = pair.number;
	return reader->result;
}

/* Outside of a task one can look and set, and not wait. */
WF_TEST(outside_a_task_nobody_waits)
{
	uint64_t seen = UINT64_MAX;
	struct pair pair;

	wf_assert_result(weft_latest_wait(&latest, &seen, &pair), -EPERM);
	ck_assert_uint_eq(seen, UINT64_MAX);
	set(3);
	ck_assert_uint_eq(weft_latest_get(&latest, &pair), 1);
	ck_assert_int_eq(pair.square, 9);
}

/* A stopped task gets no value, though there is a new one, and its version stays. */
WF_TASK_TEST(stopped_reader_gets_nothing)
{
	struct pair pair = { 7, 7 };
	uint64_t seen = 0;
	struct weft_scope scope;

	set(2);
	weft_scope_open(&scope);
	weft_scope_cancel(&scope);
	wf_assert_result(weft_latest_wait(&latest, &seen, &pair), -ECANCELED);
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
	ck_assert_uint_eq(seen, 0);
	ck_assert_int_eq(pair.number, 7);
}

static int set_after_close(void *arg)
{
	(void)arg;
	weft_latest_close(&latest);
	set(1);
	return 0;
}

static int run_set_after_close(void *arg)
{
	return weft_run(set_after_close, arg, NULL);
}

/* Setting what has been closed ends the program, and names the task. */
WF_TEST(set_after_close_aborts)
{
	struct wf_child child = wf_child(run_set_after_close, NULL);

	ck_assert_int_eq(child.signal, SIGABRT);
	ck_assert_ptr_nonnull(strstr(child.errors, "\"main\""));
	ck_assert_ptr_nonnull(strstr(child.errors, "weft_latest_set"));
}

/* What is there before the first set counts as seen by who has seen version 0, and can be had. */
WF_TASK_TEST(first_value_is_version_zero)
{
	struct pair pair;
	uint64_t seen = UINT64_MAX;

	wf_assert_result(weft_latest_wait(&latest, &seen, &pair), 0);
	ck_assert_uint_eq(seen, 0);
	ck_assert_int_eq(pair.number, 1);
	WEFT_DEADLINE(weft_after(WEFT_MILLISECOND))
		wf_assert_result(weft_latest_wait(&latest, &seen, &pair), WEFT_EDEADLINE);
	ck_assert_uint_eq(seen, 0);
}

/* Setting wakes all readers, and each gets the value that is the latest when it runs. */
WF_TASK_TEST(set_wakes_all_with_the_latest)
{
	struct reader readers[3] = { 0 };
	struct weft_scope scope;

	weft_scope_open(&scope);
	for (int i = 0; i < 3; i++)
		spawn(&scope, read_next, &readers[i]);
	settle();
	set(2);
	set(3);
	wf_assert_result(weft_scope_close(&scope), 0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(readers[i].number, 3);
}

/* A reader that is slow skips values, and none twice. */
WF_TASK_TEST(slow_reader_skips)
{
	struct pair pair;
	uint64_t seen = 0;

	for (int i = 2; i < 10; i++)
		set(i);
	wf_assert_result(weft_latest_wait(&latest, &seen, &pair), 0);
	ck_assert_int_eq(pair.number, 9);
	ck_assert_uint_eq(seen, 8);
	WEFT_DEADLINE(weft_after(WEFT_MILLISECOND))
		wf_assert_result(weft_latest_wait(&latest, &seen, NULL), WEFT_EDEADLINE);
}

/* A close ends the waits; who has not seen the last value sees it first. */
WF_TASK_TEST(last_value_comes_before_the_end)
{
	struct reader readers[2] = { 0 };
	struct weft_scope scope;
	struct pair pair;
	uint64_t seen = 0;

	weft_scope_open_serving(&scope);
	spawn(&scope, read_next, &readers[0]);
	settle();
	set(2);
	weft_latest_close(&latest);
	weft_latest_close(&latest);
	spawn(&scope, read_next, &readers[1]);
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(readers[0].result, 0);
	ck_assert_int_eq(readers[0].number, 2);
	wf_assert_result(readers[1].result, WEFT_ECLOSED);

	wf_assert_result(weft_latest_wait(&latest, &seen, &pair), 0);
	ck_assert_int_eq(pair.number, 2);
	wf_assert_result(weft_latest_wait(&latest, &seen, &pair), WEFT_ECLOSED);
	ck_assert_uint_eq(weft_latest_get(&latest, NULL), 1);
}

/* Readers that wait when it is closed get WEFT_ECLOSED. */
WF_TASK_TEST(close_ends_the_waits)
{
	struct reader readers[2] = { 0 };
	struct weft_scope scope;

	weft_scope_open_serving(&scope);
	spawn(&scope, read_next, &readers[0]);
	spawn(&scope, read_next, &readers[1]);
	settle();
	weft_latest_close(&latest);
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(readers[0].result, WEFT_ECLOSED);
	wf_assert_result(readers[1].result, WEFT_ECLOSED);
}

/* A reader that is cancelled leaves the line; one that was woken before has its value. */
WF_TASK_TEST(set_and_cancel_exclude_each_other)
{
	for (int set_first = 0; set_first < 2; set_first++) {
		struct reader readers[2] = { 0 };
		struct weft_scope scope, doomed;

		weft_scope_open(&scope);
		weft_scope_open(&doomed);
		spawn(&doomed, read_next, &readers[0]);
		spawn(&scope, read_next, &readers[1]);
		settle();
		if (set_first)
			set(5);
		weft_scope_cancel(&doomed);
		if (!set_first)
			set(5);
		wf_assert_result(weft_scope_close(&doomed), -ECANCELED);
		wf_assert_result(weft_scope_close(&scope), 0);
		wf_assert_result(readers[0].result, set_first ? 0 : -ECANCELED);
		ck_assert_int_eq(readers[0].number, set_first ? 5 : 0);
		ck_assert_int_eq(readers[1].number, 5);
		ck_assert_ptr_null(latest.line.first);
	}
}

struct follower {
	struct wf_random random;
	uint64_t seen;
	int result;
};

/* Reads until the end, and takes its time between. */
static int follow(void *arg)
{
	struct follower *follower = arg;
	uint64_t before = 0;
	struct pair pair;
	int r;

	while ((r = weft_latest_wait(&latest, &follower->seen, &pair)) == 0) {
		holds(follower->seen > before && pair.number == (int)follower->seen);
		before = follower->seen;
		for (uint64_t pauses = wf_random_next(&follower->random) % 8; pauses > 0; pauses--)
			wf_assert_result(weft_yield(), 0);
	}
	follower->result = r;
	return 0;
}

/* However slow readers are, each sees versions in order, each at most once, with its own value, and the last
 * one before the end. */
WF_TASK_TEST(readers_follow_to_the_end)
{
	enum { READERS = 8, VALUES = 500 };

	for (uint64_t seed = 0; seed < TORTURE_ROUNDS; seed++) {
		struct follower followers[READERS] = { 0 };
		struct weft_scope scope;

		torture_seed = seed;
		latest = (struct weft_latest)WEFT_LATEST_INIT(&storage, sizeof storage);
		weft_scope_open(&scope);
		for (uint64_t i = 0; i < READERS; i++) {
			wf_random_seed(&followers[i].random, seed * READERS + i);
			spawn(&scope, follow, &followers[i]);
		}
		for (int i = 1; i <= VALUES; i++) {
			set(i);
			if (wf_random_next(&followers[0].random) % 2)
				wf_assert_result(weft_yield(), 0);
		}
		weft_latest_close(&latest);
		wf_assert_result(weft_scope_close(&scope), 0);
		for (int i = 0; i < READERS; i++) {
			wf_assert_result(followers[i].result, WEFT_ECLOSED);
			ck_assert_uint_eq(followers[i].seen, VALUES);
		}
	}
}

/* The number of each value is its version. */
static void torture_step(void *object, struct wf_random *random)
{
	uint64_t seen = weft_latest_get(&latest, NULL), before = seen;
	struct pair pair;
	int r;

	(void)object;
	if (wf_random_next(random) % 3 == 0) {
		set((int)seen + 1);
		return;
	}
	r = weft_latest_wait(&latest, &seen, &pair);
	holds(r == 0 || r == -ECANCELED);
	holds(r < 0 ? seen == before : seen > before && pair.number == (int)seen);
}

/* Whatever is cancelled, a reader gets a version that is newer than what it had seen, with its value; and in
 * the end nobody is in line. */
WF_TASK_TEST(torture)
{
	for (uint64_t seed = 0; seed < TORTURE_ROUNDS; seed++) {
		torture_run(torture_step, NULL, seed);
		ck_assert_ptr_null(latest.line.first);
	}
}

WF_MAIN("core/latest")
