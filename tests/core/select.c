/* SPDX-License-Identifier: MIT */
#include <weft/select.h>

#include "core/common.h"
#include "harness/harness.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <weft/chan.h>
#include <weft/event.h>
#include <weft/run.h>

static struct weft_chan *make(uint32_t capacity)
{
	struct weft_chan *chan;

	wf_assert_result(weft_chan_new(sizeof(long), capacity, &chan), 0);
	return chan;
}

static struct weft_chan_stats stats_of(const struct weft_chan *chan)
{
	struct weft_chan_stats stats;

	weft_chan_stats(chan, &stats);
	return stats;
}

static struct weft_chan *chans[4];
static struct weft_event event;
static long numbers[4];
static int results[4]; /* of selects in tasks of their own */

/* Four channels, and a case to receive from each. */
static void make_four(uint32_t capacity, struct weft_case cases[4])
{
	for (int i = 0; i < 4; i++) {
		chans[i] = make(capacity);
		cases[i] = weft_case_recv(chans[i], &numbers[i]);
	}
}

static void free_four(void)
{
	for (int i = 0; i < 4; i++)
		weft_chan_free(chans[i]);
}

/* No line of the four channels, nor of the event, has anybody in it. */
static void check_nobody_waits(void)
{
	for (int i = 0; i < 4; i++) {
		ck_assert_uint_eq(stats_of(chans[i]).senders, 0);
		ck_assert_uint_eq(stats_of(chans[i]).receivers, 0);
	}
	ck_assert_ptr_null(event.line.first);
	ck_assert_ptr_null(event.line.last);
}

/* ---- What is refused ------------------------------------------------------------------------- */

/* A select needs a case. */
WF_TASK_TEST(no_case)
{
	struct weft_case one = weft_case_never();

	wf_assert_result(weft_select(&one, 0), -EINVAL);
	wf_assert_result(weft_select(&one, -1), -EINVAL);
	wf_assert_result(weft_try_select(&one, 0), -EINVAL);
}

/* There is no select outside a task; trying needs a run at least. */
WF_TEST(outside_a_run)
{
	struct weft_case one = weft_case_event(&event);

	event.set = true;
	wf_assert_result(weft_select(&one, 1), -EPERM);
	wf_assert_result(weft_try_select(&one, 1), -EPERM);
}

static void select_in_the_loop(void *arg)
{
	struct weft_case cases[] = { weft_case_send(chans[0], &numbers[0]) };

	(void)arg;
	wf_assert_result(weft_select(cases, 1), -EPERM);
	results[0] = weft_try_select(cases, 1);
}

/* A posted function can try. */
WF_TASK_TEST(posted_functions_can_try)
{
	results[0] = -1;
	chans[0] = make(1);
	wf_assert_result(weft_post(weft_worker_self(), select_in_the_loop, NULL), 0);
	wf_assert_result(weft_chan_recv(chans[0], &numbers[1]), 0);
	wf_assert_result(results[0], 0);
	weft_chan_free(chans[0]);
}

static int select_foreign(void *arg)
{
	struct weft_case cases[] = { weft_case_never(), weft_case_recv(chans[0], &numbers[0]) };

	(void)arg;
	wf_assert_result(weft_select(cases, 2), -EPERM);
	cases[1] = weft_case_send(chans[0], &numbers[0]);
	wf_assert_result(weft_select(cases, 2), -EPERM);
	return 0;
}

static void *run_another_worker(void *arg)
{
	wf_assert_result(weft_run(select_foreign, NULL, NULL), 0);
	return arg;
}

/* Another worker's channel makes the whole select fail. */
WF_TASK_TEST(another_worker_is_refused)
{
	pthread_t thread;

	chans[0] = make(1);
	ck_assert_int_eq(pthread_create(&thread, NULL, run_another_worker, NULL), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	weft_chan_free(chans[0]);
}

/* ---- One case happens ------------------------------------------------------------------------ */

/* Trying finds nothing, changes nothing, and waits for nothing. */
WF_TASK_TEST(trying_never_waits)
{
	struct weft_case cases[4];
	struct weft_stats before, after;

	make_four(0, cases);
	cases[1] = weft_case_send(chans[1], &numbers[1]);
	cases[2] = weft_case_event(&event);
	cases[3] = weft_case_until(weft_after(WEFT_SECOND));
	wf_assert_result(weft_stats(&before), 0);
	wf_assert_result(weft_try_select(cases, 4), -EAGAIN);
	event.set = true;
	wf_assert_result(weft_try_select(cases, 4), 2);
	wf_assert_result(weft_stats(&after), 0);
	ck_assert_uint_eq(before.switches, after.switches);
	check_nobody_waits();
	free_four();
}

/* What is ready is taken at once: only that, and only once. */
WF_TASK_TEST(ready_case_is_taken)
{
	struct weft_case cases[4];
	long number = 7;

	make_four(1, cases);
	wf_assert_result(weft_chan_send(chans[2], &number), 0);
	cases[2].result = 1;
	wf_assert_result(weft_select(cases, 4), 2);
	wf_assert_result(cases[2].result, 0);
	ck_assert_int_eq(numbers[2], 7);
	wf_assert_result(weft_try_select(cases, 4), -EAGAIN);
	free_four();
}

static int select_four(void *cases)
{
	results[0] = weft_select(cases, 4);
	return 0;
}

/* A waiting select takes what comes first, and has left the other lines by then: what comes for them
 * finds nobody. */
WF_TASK_TEST(first_to_come_wins)
{
	for (int i = 0; i < 4; i++) {
		struct weft_case cases[4];
		struct weft_scope scope;
		long number = 30 + i;

		make_four(0, cases);
		weft_scope_open(&scope);
		spawn(&scope, select_four, cases);
		settle();
		ck_assert_uint_eq(stats_of(chans[i]).receivers, 1);
		wf_assert_result(weft_chan_try_send(chans[i], &number), 0);
		check_nobody_waits();
		for (int k = 0; k < 4; k++)
			wf_assert_result(weft_chan_try_send(chans[k], &number), -EAGAIN);
		wf_assert_result(weft_scope_close(&scope), 0);
		wf_assert_result(results[0], i);
		wf_assert_result(cases[i].result, 0);
		ck_assert_int_eq(numbers[i], number);
		free_four();
	}
}

/* A waiting select sends to whoever receives first. */
WF_TASK_TEST(select_sends)
{
	struct weft_case cases[4];
	struct weft_scope scope;
	long number = 0;

	make_four(0, cases);
	for (int i = 0; i < 4; i++) {
		numbers[i] = 50 + i;
		cases[i] = weft_case_send(chans[i], &numbers[i]);
	}
	weft_scope_open(&scope);
	spawn(&scope, select_four, cases);
	settle();
	wf_assert_result(weft_chan_recv(chans[3], &number), 0);
	ck_assert_int_eq(number, 53);
	wf_assert_result(weft_chan_try_recv(chans[0], &number), -EAGAIN);
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(results[0], 3);
	ck_assert_uint_eq(stats_of(chans[3]).sent, 1);
	free_four();
}

static int send_four(void *arg)
{
	struct weft_case cases[4];
	long mine[4];

	(void)arg;
	for (int i = 0; i < 4; i++) {
		mine[i] = 60 + i;
		cases[i] = weft_case_send(chans[i], &mine[i]);
	}
	results[1] = weft_select(cases, 4);
	return 0;
}

/* Two selects meet: one case of each happens, and it is the same channel. */
WF_TASK_TEST(selects_meet)
{
	struct weft_case cases[4];
	struct weft_scope scope;

	make_four(0, cases);
	weft_scope_open(&scope);
	spawn(&scope, select_four, cases);
	spawn(&scope, send_four, NULL);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_int_ge(results[0], 0);
	wf_assert_result(results[1], results[0]);
	ck_assert_int_eq(numbers[results[0]], 60 + results[0]);
	check_nobody_waits();
	free_four();
}

/* ---- The same object twice ------------------------------------------------------------------- */

/* A select that both sends to and receives from a channel does not serve itself, but others; either
 * way. */
WF_TASK_TEST(no_rendezvous_with_itself)
{
	for (int sends = 0; sends < 2; sends++) {
		struct weft_case cases[4];
		struct weft_scope scope;
		long number = 9;

		make_four(0, cases);
		numbers[1] = 8;
		cases[1] = weft_case_send(chans[0], &numbers[1]);
		wf_assert_result(weft_try_select(cases, 2), -EAGAIN);
		weft_scope_open(&scope);
		spawn(&scope, select_four, cases);
		settle();
		ck_assert_uint_eq(stats_of(chans[0]).senders, 1);
		ck_assert_uint_eq(stats_of(chans[0]).receivers, 1);
		if (sends)
			wf_assert_result(weft_chan_send(chans[0], &number), 0);
		else
			wf_assert_result(weft_chan_recv(chans[0], &number), 0);
		check_nobody_waits();
		wf_assert_result(weft_scope_close(&scope), 0);
		wf_assert_result(results[0], sends ? 0 : 1);
		ck_assert_int_eq(sends ? numbers[0] : number, sends ? 9 : 8);
		free_four();
	}
}

/* Twice the same channel: one element for one of the two cases. */
WF_TASK_TEST(same_channel_twice)
{
	struct weft_case cases[4];
	struct weft_scope scope;
	long number = 9;

	make_four(0, cases);
	for (int i = 0; i < 4; i++)
		cases[i] = weft_case_recv(chans[0], &numbers[i]);
	weft_scope_open(&scope);
	spawn(&scope, select_four, cases);
	settle();
	ck_assert_uint_eq(stats_of(chans[0]).receivers, 4);
	wf_assert_result(weft_chan_try_send(chans[0], &number), 0);
	wf_assert_result(weft_chan_try_send(chans[0], &number), -EAGAIN);
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(results[0], 0);
	ck_assert_int_eq(numbers[0], 9);
	ck_assert_int_ne(numbers[1], 9);
	check_nobody_waits();
	free_four();
}

static int wait_for_event(void *arg)
{
	(void)arg;
	return weft_event_wait(&event);
}

/* Twice the same event, and another waiter behind: the event wakes the select once, and goes on. */
WF_TASK_TEST(same_event_twice)
{
	struct weft_case cases[] = { weft_case_event(&event), weft_case_event(&event),
				     weft_case_never(), weft_case_never() };
	struct weft_scope scope;

	weft_scope_open(&scope);
	spawn(&scope, select_four, cases);
	spawn(&scope, wait_for_event, NULL);
	settle();
	weft_event_set(&event);
	ck_assert_ptr_null(event.line.first);
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(results[0], 0);
}

static int select_both_ways(void *arg)
{
	struct weft_case cases[] = { weft_case_recv(chans[0], &numbers[0]),
				     weft_case_send(chans[1], &numbers[1]),
				     weft_case_event(&event) };

	(void)arg;
	wf_assert_result(weft_try_select(cases, 3), -EAGAIN);
	return weft_select(cases, 3) == 2 ? 0 : -EIO;
}

/* A select that waits is counted by each of its channels, on its side; one that only tries is not. */
WF_TASK_TEST(waits_are_counted)
{
	struct weft_scope scope;

	chans[0] = make(1);
	chans[1] = make(0);
	weft_scope_open(&scope);
	for (int i = 1; i <= 3; i++) {
		spawn(&scope, select_both_ways, NULL);
		settle();
		ck_assert_uint_eq(stats_of(chans[0]).recv_waits, i);
		ck_assert_uint_eq(stats_of(chans[1]).send_waits, i);
	}
	weft_event_set(&event);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_uint_eq(stats_of(chans[0]).send_waits, 0);
	ck_assert_uint_eq(stats_of(chans[1]).recv_waits, 0);
	weft_chan_free(chans[0]);
	weft_chan_free(chans[1]);
}

/* ---- Closing --------------------------------------------------------------------------------- */

/* A closed channel is ready, and says so; what it holds comes first. */
WF_TASK_TEST(closed_channel_is_ready)
{
	struct weft_case cases[4];
	long number = 5;

	make_four(1, cases);
	wf_assert_result(weft_chan_send(chans[1], &number), 0);
	weft_chan_close(chans[1]);
	wf_assert_result(weft_select(cases, 4), 1);
	wf_assert_result(cases[1].result, 0);
	ck_assert_int_eq(numbers[1], 5);
	wf_assert_result(weft_select(cases, 4), 1);
	wf_assert_result(cases[1].result, WEFT_ECLOSED);
	cases[1] = weft_case_send(chans[1], &number);
	wf_assert_result(weft_try_select(cases, 4), 1);
	wf_assert_result(cases[1].result, WEFT_ECLOSED);
	free_four();
}

/* Closing a channel under a select ends it, once, also if it waits there on both sides; all channels
 * may go then, before the task runs. */
WF_TASK_TEST(close_ends_a_select)
{
	struct weft_case cases[4];
	struct weft_scope scope;

	make_four(0, cases);
	cases[3] = weft_case_send(chans[2], &numbers[3]);
	weft_scope_open(&scope);
	spawn(&scope, select_four, cases);
	settle();
	weft_chan_close(chans[2]);
	check_nobody_waits();
	free_four();
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert(results[0] == 2 || results[0] == 3);
	wf_assert_result(cases[results[0]].result, WEFT_ECLOSED);
}

/* ---- Events and time ------------------------------------------------------------------------- */

/* An event ends a select. */
WF_TASK_TEST(event_wins)
{
	struct weft_case cases[4];
	struct weft_scope scope;

	make_four(0, cases);
	cases[1] = weft_case_event(&event);
	weft_scope_open(&scope);
	spawn(&scope, select_four, cases);
	settle();
	weft_event_set(&event);
	check_nobody_waits();
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(results[0], 1);
	wf_assert_result(cases[1].result, 0);
	free_four();
}

/* The earliest of several times ends a select, not before it has come. */
WF_TASK_TEST(time_wins)
{
	struct weft_case cases[4];
	weft_time when = weft_after(5 * WEFT_MILLISECOND);

	make_four(0, cases);
	cases[0] = weft_case_until(WEFT_FOREVER);
	cases[1] = weft_case_until(when + WEFT_SECOND);
	cases[2] = weft_case_until(when);
	wf_assert_result(weft_select(cases, 4), 2);
	wf_assert_result(cases[2].result, 0);
	ck_assert(weft_now() >= when);
	check_nobody_waits();
	free_four();
}

/* A task that only tries sees time pass. */
WF_TASK_TEST(time_passes_while_trying)
{
	struct weft_case cases[] = { weft_case_until(weft_after(WEFT_MILLISECOND)) };
	int r;

	do
		r = weft_try_select(cases, 1);
	while (r == -EAGAIN);
	wf_assert_result(r, 0);
}

/* A timer that lost fires no more: the select that follows waits for its own. */
WF_TASK_TEST(lost_timer_is_disarmed)
{
	struct weft_case cases[4];
	struct weft_scope scope;
	long number = 1;

	make_four(0, cases);
	cases[3] = weft_case_until(weft_after(5 * WEFT_MILLISECOND));
	weft_scope_open(&scope);
	spawn(&scope, select_four, cases);
	settle();
	wf_assert_result(weft_chan_send(chans[0], &number), 0);
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(results[0], 0);
	memset(&cases[3], 0xa5, sizeof cases[3]);
	wf_assert_result(weft_sleep(10 * WEFT_MILLISECOND), 0);
	free_four();
}

/* ---- Stops ----------------------------------------------------------------------------------- */

/* A stopped select has done nothing, and is in no line any more. */
WF_TASK_TEST(stopped_select_did_nothing)
{
	struct weft_case cases[4];
	long number = 1;

	make_four(0, cases);
	cases[1] = weft_case_send(chans[1], &number);
	cases[2] = weft_case_event(&event);
	cases[3] = weft_case_until(weft_after(WEFT_SECOND));
	WEFT_DEADLINE(weft_after(WEFT_MILLISECOND)) {
		wf_assert_result(weft_select(cases, 4), WEFT_EDEADLINE);
		check_nobody_waits();
		weft_event_set(&event);
		wf_assert_result(weft_select(cases, 4), WEFT_EDEADLINE); /* though it could */
	}
	wf_assert_result(weft_select(cases, 4), 2);
	ck_assert_uint_eq(stats_of(chans[1]).sent, 0);
	free_four();
}

/* Who was served before the stop keeps what it got. */
WF_TASK_TEST(served_before_the_stop)
{
	struct weft_case cases[4];
	struct weft_scope scope;
	long number = 77;

	make_four(0, cases);
	weft_scope_open(&scope);
	spawn(&scope, select_four, cases);
	settle();
	wf_assert_result(weft_chan_try_send(chans[3], &number), 0);
	weft_scope_cancel(&scope);
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
	wf_assert_result(results[0], 3);
	ck_assert_int_eq(numbers[3], 77);
	free_four();
}

/* ---- Fairness -------------------------------------------------------------------------------- */

/* Each of the cases that are ready happens as often as another, within 5 %, over many rounds. */
static void check_shares(const bool ready[4])
{
	struct weft_case cases[4];
	int rounds = WF_IS_INSTRUMENTED || wf_is_slow() ? 100000 : 1000000;
	int happened[4] = { 0 }, count = 0;

	make_four(1, cases);
	for (int i = 0; i < 4; i++)
		count += ready[i];
	for (int i = 0; i < rounds; i++) {
		int r;

		for (int k = 0; k < 4; k++)
			if (ready[k])
				(void)!weft_chan_try_send(chans[k], &numbers[0]);
		r = weft_select(cases, 4);
		quietly(r >= 0);
		happened[r]++;
	}
	for (int i = 0; i < 4; i++) {
		ck_assert_int_ge(happened[i] * 100L, ready[i] ? rounds / count * 95L : 0);
		ck_assert_int_le(happened[i] * 100L, ready[i] ? rounds / count * 105L : 0);
	}
	free_four();
}

/* Of four that are ready each happens a quarter of the time. */
WF_TASK_TEST(four_ready_share)
{
	check_shares((const bool[4]){ true, true, true, true });
}

/* Of two that are ready, beside two that are not, each happens half of the time. */
WF_TASK_TEST(two_ready_share)
{
	check_shares((const bool[4]){ false, true, false, true });
}

WF_MAIN("core/select")
