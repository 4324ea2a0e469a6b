/* SPDX-License-Identifier: MIT */
#include <weft/event.h>

#include "core/common.h"
#include "harness/harness.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <weft/run.h>

static struct weft_event event;
static char log_text[64];

static int wait_and_log(void *letter)
{
	int r = weft_event_wait(&event);

	if (r == 0)
		strncat(log_text, letter, 1);
	return r;
}

static int wait_for(void *awaited)
{
	return weft_event_wait(awaited);
}

static char a[] = "a", b[] = "b", c[] = "c", d[] = "d";

/* Setting the event wakes every waiter, in the order of their coming. */
WF_TASK_TEST(set_wakes_all_in_order)
{
	struct weft_scope scope;

	weft_scope_open(&scope);
	spawn(&scope, wait_and_log, a);
	spawn(&scope, wait_and_log, b);
	spawn(&scope, wait_and_log, c);
	settle();
	ck_assert_str_eq(log_text, "");
	weft_event_set(&event);
	ck_assert_str_eq(log_text, "");
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_str_eq(log_text, "abc");
}

/* While the event is set nobody waits. */
WF_TASK_TEST(set_event_is_passed)
{
	weft_event_set(&event);
	weft_event_set(&event);
	wf_assert_result(weft_event_wait(&event), 0);
	wf_assert_result(weft_event_wait(&event), 0);
}

/* A cleared event is waited for again. */
WF_TASK_TEST(cleared_event_is_waited_for)
{
	weft_event_set(&event);
	weft_event_clear(&event);
	weft_event_clear(&event);
	WEFT_DEADLINE(weft_after(WEFT_MILLISECOND))
		wf_assert_result(weft_event_wait(&event), WEFT_EDEADLINE);
}

/* Who was woken stays woken, though the event is cleared before it runs. */
WF_TASK_TEST(clearing_does_not_take_back)
{
	struct weft_scope scope;

	weft_scope_open(&scope);
	spawn(&scope, wait_and_log, a);
	settle();
	weft_event_set(&event);
	weft_event_clear(&event);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_str_eq(log_text, "a");
}

/* An event that was set may go away before those it woke have run. */
WF_TASK_TEST(event_may_go_when_set)
{
	struct weft_event *mortal = calloc(1, sizeof *mortal);
	struct weft_scope scope;

	ck_assert_ptr_nonnull(mortal);
	weft_scope_open(&scope);
	spawn(&scope, wait_for, mortal);
	spawn(&scope, wait_for, mortal);
	settle();
	weft_event_set(mortal);
	memset(mortal, 0xa5, sizeof *mortal);
	free(mortal);
	wf_assert_result(weft_scope_close(&scope), 0);
}

/* A waiter that is cancelled leaves its place in the row, at the front, in the middle, at the end;
 * the row closes up, and goes on behind it. */
WF_TASK_TEST(cancelled_waiter_leaves_the_row)
{
	static const char *const left[] = { "bcd", "acd", "abd" };

	for (int gone = 0; gone < 3; gone++) {
		struct weft_scope scopes[3];
		char *letters[] = { a, b, c };

		event = (struct weft_event)WEFT_EVENT_INIT;
		log_text[0] = 0;
		for (int i = 0; i < 3; i++)
			weft_scope_open(&scopes[i]);
		/* Into scopes that do not contain the one to be cancelled. */
		for (int i = 0; i < 3; i++)
			spawn(&scopes[i == gone ? 2 : 0], wait_and_log, letters[i]);
		settle();
		weft_scope_cancel(&scopes[2]);
		wf_assert_result(weft_scope_close(&scopes[2]), -ECANCELED);
		spawn(&scopes[0], wait_and_log, d);
		settle();
		weft_event_set(&event);
		wf_assert_result(weft_scope_close(&scopes[1]), 0);
		wf_assert_result(weft_scope_close(&scopes[0]), 0);
		ck_assert_str_eq(log_text, left[gone]);
		ck_assert_ptr_null(event.line.first);
		ck_assert_ptr_null(event.line.last);
	}
}

static int pass_on(void *arg)
{
	struct weft_event *events = arg;

	for (int i = 0; i < 1000; i++) {
		wf_assert_result(weft_event_wait(&events[0]), 0);
		weft_event_clear(&events[0]);
		weft_event_set(&events[1]);
	}
	return 0;
}

/* Two tasks hand a turn to each other by two events, and neither is lost. */
WF_TASK_TEST(events_hand_over)
{
	struct weft_event events[3] = { WEFT_EVENT_INIT, WEFT_EVENT_INIT, WEFT_EVENT_INIT };
	struct weft_scope scope;

	weft_scope_open(&scope);
	spawn(&scope, pass_on, &events[0]);
	spawn(&scope, pass_on, &events[1]);
	for (int i = 0; i < 1000; i++) {
		weft_event_set(&events[0]);
		wf_assert_result(weft_event_wait(&events[2]), 0);
		weft_event_clear(&events[2]);
	}
	wf_assert_result(weft_scope_close(&scope), 0);
}

/* Ten thousand tasks wait for one event. */
WF_TASK_TEST(many_wait_for_one)
{
	struct weft_scope scope;
	int many = scaled(10000);

	weft_scope_open(&scope);
	for (int i = 0; i < many; i++)
		spawn(&scope, wait_for, &event);
	settle();
	weft_event_set(&event);
	wf_assert_result(weft_scope_close(&scope), 0);
}

static struct weft_event shared = WEFT_EVENT_INIT;

static void *set_shared(void *arg)
{
	(void)arg;
	weft_event_set(&shared);
	return NULL;
}

static int set_from_a_thread(void *arg)
{
	struct weft_scope scope;
	pthread_t thread;

	weft_scope_open(&scope);
	spawn(&scope, wait_for, &shared);
	settle();
	ck_assert_int_eq(pthread_create(&thread, NULL, set_shared, NULL), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	(void)arg;
	return weft_scope_close(&scope);
}

static int run_set_from_a_thread(void *arg)
{
	(void)arg;
	return weft_run(set_from_a_thread, NULL, NULL);
}

/* A thread that wakes a task itself, rather than by weft_post, ends the program. */
WF_TEST(another_thread_must_post)
{
	struct wf_child child = wf_child(run_set_from_a_thread, NULL);

	ck_assert_int_eq(child.signal, SIGABRT);
	ck_assert_ptr_nonnull(strstr(child.errors, "worker"));
}

WF_MAIN("core/event")
