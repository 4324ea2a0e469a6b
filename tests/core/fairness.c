/* SPDX-License-Identifier: MIT */
/* Nobody starves: not by tasks that yield for ever, nor by operations that never have to wait. */
#include "core/common.h"
#include "harness/harness.h"

#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>
#include <weft/event.h>
#include <weft/run.h>

static bool enough;
static long rounds;

/* The hogs: each goes on until it is told that it is enough. */

static int yield_for_ever(void *arg)
{
	(void)arg;
	while (!enough) {
		rounds++;
		quietly(weft_yield() == 0);
	}
	return 0;
}

static int pass_set_event(void *arg)
{
	struct weft_event event = { .set = true };

	(void)arg;
	while (!enough) {
		rounds++;
		quietly(weft_event_wait(&event) == 0);
	}
	return 0;
}

/* Reads a byte at a time from a socket that is full, and fills it again. */
static int read_from_full_socket(void *arg)
{
	char filling[4096] = { 0 }, byte;
	struct weft_conn *conn;
	int fds[2];

	(void)arg;
	wf_socketpair(fds);
	wf_assert_result(weft_conn_from_fd(fds[0], &conn), 0);
	for (size_t n = 0; !enough; n++) {
		rounds++;
		if (n % sizeof filling == 0)
			ck_assert_int_eq(send(fds[1], filling, sizeof filling, 0), sizeof filling);
		quietly(weft_read(conn, &byte, 1) == 1);
	}
	weft_close(conn);
	ck_assert_int_eq(close(fds[1]), 0);
	return 0;
}

static weft_function *const hogs[] = { yield_for_ever, pass_set_event, read_from_full_socket };

enum { HOGS = sizeof hogs / sizeof *hogs };

/* Runs a function beside each kind of hog in turn; two of the kind. */
static void beside_each_hog(void (*function)(void))
{
	for (int i = 0; i < HOGS; i++) {
		struct weft_scope scope;

		enough = false;
		rounds = 0;
		weft_scope_open(&scope);
		wf_assert_result(weft_spawn(&scope, hogs[i], NULL), 0);
		wf_assert_result(weft_spawn(&scope, hogs[i], NULL), 0);
		function();
		ck_assert_int_gt(rounds, 0);
		enough = true;
		wf_assert_result(weft_scope_close(&scope), 0);
	}
}

static void take_turns(void)
{
	for (int i = 0; i < 1000; i++) {
		long before = rounds;

		wf_assert_result(weft_yield(), 0);
		ck_assert_int_le(rounds - before, 2 * 64);
	}
}

/* Another task gets its turn after at most 64 operations of each hog. */
WF_TASK_TEST(other_tasks_get_their_turn)
{
	beside_each_hog(take_turns);
}

static void sleep_some_times(void)
{
	for (int i = 0; i < 10; i++) {
		weft_time start = weft_now();

		wf_assert_result(weft_sleep(WEFT_MILLISECOND), 0);
		ck_assert_int_lt(weft_now() - start, WEFT_SECOND);
	}
}

/* Timers fire, and not much too late. */
WF_TASK_TEST(timers_fire)
{
	beside_each_hog(sleep_some_times);
}

static void miss_a_deadline(void)
{
	WEFT_DEADLINE(weft_after(WEFT_MILLISECOND))
		wf_assert_result(weft_sleep_until(WEFT_FOREVER), WEFT_EDEADLINE);
}

/* Deadlines fire. */
WF_TASK_TEST(deadlines_fire)
{
	beside_each_hog(miss_a_deadline);
}

struct posting {
	struct weft_worker *worker;
	struct weft_event event;
};

static void set_event(void *event)
{
	weft_event_set(event);
}

static void *post_set(void *arg)
{
	struct posting *posting = arg;

	wf_assert_result(weft_post(posting->worker, set_event, &posting->event), 0);
	return NULL;
}

static void wait_for_post(void)
{
	struct posting posting = { .worker = weft_worker_self() };
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, post_set, &posting), 0);
	wf_assert_result(weft_event_wait(&posting.event), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

/* Calls posted by another thread run. */
WF_TASK_TEST(posts_run)
{
	beside_each_hog(wait_for_post);
}

static int send_byte(void *fd)
{
	ck_assert_int_eq(send(*(int *)fd, "x", 1, 0), 1);
	return 0;
}

static void wait_for_input(void)
{
	struct weft_scope scope;
	struct weft_conn *conn;
	int fds[2];
	char byte;

	wf_socketpair(fds);
	wf_assert_result(weft_conn_from_fd(fds[0], &conn), 0);
	weft_scope_open(&scope);
	spawn(&scope, send_byte, &fds[1]);
	ck_assert_int_eq(weft_read(conn, &byte, 1), 1);
	wf_assert_result(weft_scope_close(&scope), 0);
	weft_close(conn);
	ck_assert_int_eq(close(fds[1]), 0);
}

/* Input is noticed. */
WF_TASK_TEST(input_is_noticed)
{
	beside_each_hog(wait_for_input);
}

static int yield_until_refused(void *ret_result)
{
	while ((*(int *)ret_result = weft_yield()) == 0)
		continue;
	return *(int *)ret_result;
}

static void cancel_one(void)
{
	struct weft_scope scope;
	int result = 0;

	weft_scope_open(&scope);
	spawn(&scope, yield_until_refused, &result);
	settle();
	weft_scope_cancel(&scope);
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
	ck_assert_int_eq(result, -ECANCELED);
}

/* Cancels are felt. */
WF_TASK_TEST(cancels_are_felt)
{
	beside_each_hog(cancel_one);
}

/* A task of low priority has its share beside a hog: one run in sixteen. */
WF_TASK_TEST(low_priority_has_its_share)
{
	struct weft_scope scope;
	long before;

	weft_scope_open(&scope);
	spawn(&scope, yield_for_ever, NULL);
	weft_task_priority_set(WEFT_PRIORITY_LOW);
	settle();
	before = rounds;
	for (int i = 0; i < 100; i++)
		wf_assert_result(weft_yield(), 0);
	ck_assert_int_le(rounds - before, 16 * 100);
	weft_task_priority_set(WEFT_PRIORITY_NORMAL);
	wf_assert_result(weft_sleep(WEFT_MILLISECOND), 0);
	enough = true;
	wf_assert_result(weft_scope_close(&scope), 0);
}

WF_MAIN("core/fairness")
