/* SPDX-License-Identifier: MIT */
#include <weft/chan.h>

#include "core/common.h"
#include "harness/harness.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <weft/run.h>

static struct weft_chan *make(size_t element_bytes, uint32_t capacity)
{
	struct weft_chan *chan;

	wf_assert_result(weft_chan_new(element_bytes, capacity, &chan), 0);
	return chan;
}

static void send_number(struct weft_chan *chan, long number)
{
	wf_assert_result(weft_chan_send(chan, &number), 0);
}

static long recv_number(struct weft_chan *chan)
{
	long number = -1;

	wf_assert_result(weft_chan_recv(chan, &number), 0);
	return number;
}

static struct weft_chan_stats stats_of(const struct weft_chan *chan)
{
	struct weft_chan_stats stats;

	weft_chan_stats(chan, &stats);
	return stats;
}

/* ---- What is refused ------------------------------------------------------------------------- */

/* Elements of no bytes, of too many, too many of them, and too much of both are refused. */
WF_TASK_TEST(bad_sizes_are_refused)
{
	struct weft_chan *chan = NULL;

	wf_assert_result(weft_chan_new(0, 1, &chan), -EINVAL);
	wf_assert_result(weft_chan_new(WEFT_CHAN_ELEMENT_MAX + 1, 0, &chan), -EINVAL);
	wf_assert_result(weft_chan_new(SIZE_MAX, 1, &chan), -EINVAL);
	wf_assert_result(weft_chan_new(1, WEFT_CHAN_CAPACITY_MAX + 1, &chan), -EINVAL);
	wf_assert_result(weft_chan_new(1, UINT32_MAX, &chan), -EINVAL);
	wf_assert_result(weft_chan_new(1025, WEFT_CHAN_CAPACITY_MAX, &chan), -EINVAL);
	ck_assert_ptr_null(chan);
	weft_chan_free(chan);
}

/* The bounds themselves are not. */
WF_TASK_TEST(bounds_are_allowed)
{
	static char big[WEFT_CHAN_ELEMENT_MAX], got[WEFT_CHAN_ELEMENT_MAX];
	struct weft_chan *chan = make(sizeof big, 2);

	memset(big, 7, sizeof big);
	wf_assert_result(weft_chan_send(chan, big), 0);
	wf_assert_result(weft_chan_recv(chan, got), 0);
	ck_assert_mem_eq(big, got, sizeof big);
	weft_chan_free(chan);
	chan = make(1, WEFT_CHAN_CAPACITY_MAX);
	ck_assert_uint_eq(stats_of(chan).capacity, WEFT_CHAN_CAPACITY_MAX);
	weft_chan_free(chan);
}

static struct weft_chan *shared;

static int make_short_of_memory(void *arg)
{
	struct wf_tally *tally = arg;

	tally->fails_at = tally->calls + 1;
	wf_assert_result(weft_chan_new(8, 8, &shared), -ENOMEM);
	shared = make(8, 8);
	weft_chan_free(shared);
	return 0;
}

/* Without memory there is no channel, and nothing is left behind. */
WF_TEST(no_memory)
{
	struct wf_tally tally = { 0 };
	struct weft_options options = { .allocator = wf_tally_allocator(&tally) };

	wf_assert_result(weft_run(make_short_of_memory, &tally, &options), 0);
	ck_assert_uint_eq(tally.blocks, 0);
}

/* Outside a run there are no channels. */
WF_TEST(outside_a_run)
{
	wf_assert_result(weft_chan_new(8, 8, &shared), -EPERM);
}

static void use_from_the_loop(void *arg)
{
	long number = 1, *done = arg;

	wf_assert_result(weft_chan_send(shared, &number), -EPERM);
	wf_assert_result(weft_chan_recv(shared, &number), -EPERM);
	wf_assert_result(weft_chan_try_recv(shared, &number), -EAGAIN);
	wf_assert_result(weft_chan_try_send(shared, &number), 0);
	*done = 1;
}

/* A posted function, which is no task, can only try. */
WF_TASK_TEST(posted_functions_can_try)
{
	long done = 0;

	shared = make(sizeof done, 1);
	wf_assert_result(weft_post(weft_worker_self(), use_from_the_loop, &done), 0);
	ck_assert_int_eq(recv_number(shared), 1);
	ck_assert_int_eq(done, 1);
	weft_chan_free(shared);
}

static int use_from_another_worker(void *arg)
{
	long number = 0;

	(void)arg;
	wf_assert_result(weft_chan_send(shared, &number), -EPERM);
	wf_assert_result(weft_chan_recv(shared, &number), -EPERM);
	wf_assert_result(weft_chan_try_send(shared, &number), -EPERM);
	wf_assert_result(weft_chan_try_recv(shared, &number), -EPERM);
	return 0;
}

static void *run_another_worker(void *arg)
{
	wf_assert_result(weft_run(use_from_another_worker, NULL, NULL), 0);
	return arg;
}

/* A channel is of no use to another worker. */
WF_TASK_TEST(another_worker_is_refused)
{
	pthread_t thread;

	shared = make(sizeof(long), 1);
	ck_assert_int_eq(pthread_create(&thread, NULL, run_another_worker, NULL), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_uint_eq(stats_of(shared).sent, 0);
	weft_chan_free(shared);
}

static int close_shared(void *arg)
{
	(void)arg;
	weft_chan_close(shared);
	return 0;
}

static int free_shared(void *arg)
{
	(void)arg;
	weft_chan_free(shared);
	return 0;
}

/* What a thread does to a channel that is none of its own, as a worker or as none. */
struct misuse {
	weft_function *function;
	bool by_worker;
};

static void *misuse_in_thread(void *arg)
{
	const struct misuse *misuse = arg;
	int r = misuse->by_worker ? weft_run(misuse->function, NULL, NULL) : misuse->function(NULL);

	return r == 0 ? arg : NULL;
}

static int let_misuse(void *misuse)
{
	pthread_t thread;

	shared = make(sizeof(long), 1);
	ck_assert_int_eq(pthread_create(&thread, NULL, misuse_in_thread, misuse), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	return 0;
}

static int run_misuse(void *misuse)
{
	return weft_run(let_misuse, misuse, NULL);
}

/* Closing or freeing a channel on another worker, or on a plain thread, ends the program. */
WF_TEST(foreign_end_aborts)
{
	for (int i = 0; i < 4; i++) {
		struct misuse misuse = { i / 2 ? free_shared : close_shared, i % 2 };
		struct wf_child child = wf_child(run_misuse, &misuse);

		ck_assert_int_eq(child.signal, SIGABRT);
		ck_assert_ptr_nonnull(strstr(child.errors, "chan->worker == wf_worker"));
	}
}

/* ---- Freeing --------------------------------------------------------------------------------- */

static int receiver(void *chan)
{
	(void)recv_number(chan);
	return 0;
}

static int sender(void *chan)
{
	send_number(chan, 1);
	return 0;
}

static int free_under(weft_function *waits)
{
	struct weft_scope scope;

	shared = make(sizeof(long), 0);
	weft_scope_open(&scope);
	spawn(&scope, waits, shared);
	settle();
	weft_chan_free(shared);
	return weft_scope_close(&scope);
}

static int free_under_receiver(void *arg)
{
	(void)arg;
	return free_under(receiver);
}

static int free_under_sender(void *arg)
{
	(void)arg;
	return free_under(sender);
}

static int run_in_child(void *function)
{
	weft_function **free_it = function;

	return weft_run(*free_it, NULL, NULL);
}

/* Freeing a channel in which a task waits ends the program, which names the task and what it does. */
WF_TEST(free_under_a_wait_panics)
{
	static weft_function *const ways[] = { free_under_receiver, free_under_sender };
	static const char *const does[] = { "waits to receive", "waits to send" };

	for (int i = 0; i < 2; i++) {
		weft_function *way = ways[i];
		struct wf_child child = wf_child(run_in_child, &way);

		ck_assert_int_eq(child.signal, SIGABRT);
		ck_assert_ptr_nonnull(strstr(child.errors, "task \"waits\""));
		ck_assert_ptr_nonnull(strstr(child.errors, does[i]));
	}
}

/* What is buffered goes with the channel. */
WF_TASK_TEST(free_drops_what_is_buffered)
{
	struct weft_chan *chan = make(sizeof(long), 4);

	send_number(chan, 1);
	weft_chan_free(chan);
	weft_chan_free(NULL);
}

/* ---- Closing --------------------------------------------------------------------------------- */

static int results[8];

static int send_and_note(void *index)
{
	long number = 100 + (int *)index - results;

	*(int *)index = weft_chan_send(shared, &number);
	return 0;
}

static int recv_and_note(void *index)
{
	long number = -1;

	*(int *)index = weft_chan_recv(shared, &number);
	return 0;
}

/* Nothing can be sent on a closed channel; what it holds can be received. */
WF_TASK_TEST(closed_channel_drains)
{
	struct weft_chan *chan = make(sizeof(long), 2);
	long number = 3;

	send_number(chan, 1);
	send_number(chan, 2);
	weft_chan_close(chan);
	weft_chan_close(chan);
	wf_assert_result(weft_chan_send(chan, &number), WEFT_ECLOSED);
	wf_assert_result(weft_chan_try_send(chan, &number), WEFT_ECLOSED);
	ck_assert_int_eq(recv_number(chan), 1);
	wf_assert_result(weft_chan_try_recv(chan, &number), 0);
	ck_assert_int_eq(number, 2);
	wf_assert_result(weft_chan_recv(chan, &number), WEFT_ECLOSED);
	wf_assert_result(weft_chan_try_recv(chan, &number), WEFT_ECLOSED);
	ck_assert_int_eq(number, 2);
	weft_chan_free(chan);
}

/* Closing wakes every sender, whose element was not sent; the buffer keeps what was. */
WF_TASK_TEST(close_wakes_senders)
{
	struct weft_scope scope;

	shared = make(sizeof(long), 1);
	send_number(shared, 1);
	weft_scope_open(&scope);
	for (int i = 0; i < 3; i++)
		spawn(&scope, send_and_note, &results[i]);
	settle();
	ck_assert_uint_eq(stats_of(shared).senders, 3);
	weft_chan_close(shared);
	ck_assert_uint_eq(stats_of(shared).senders, 0);
	wf_assert_result(weft_scope_close(&scope), 0);
	for (int i = 0; i < 3; i++)
		wf_assert_result(results[i], WEFT_ECLOSED);
	ck_assert_uint_eq(stats_of(shared).sent, 1);
	ck_assert_int_eq(recv_number(shared), 1);
	weft_chan_free(shared);
}

/* Closing wakes every receiver; those that woke need the channel no longer. */
WF_TASK_TEST(close_wakes_receivers)
{
	struct weft_scope scope;

	shared = make(sizeof(long), 1);
	weft_scope_open(&scope);
	for (int i = 0; i < 3; i++)
		spawn(&scope, recv_and_note, &results[i]);
	settle();
	ck_assert_uint_eq(stats_of(shared).receivers, 3);
	weft_chan_close(shared);
	weft_chan_free(shared);
	wf_assert_result(weft_scope_close(&scope), 0);
	for (int i = 0; i < 3; i++)
		wf_assert_result(results[i], WEFT_ECLOSED);
}

/* ---- Order and elements ---------------------------------------------------------------------- */

static int send_ten(void *chan)
{
	for (long i = 0; i < 10; i++)
		send_number(chan, i);
	weft_chan_close(chan);
	return 0;
}

/* Elements come out in the order they went in, whatever the capacity, until the channel closes. */
WF_TASK_TEST(order_is_kept)
{
	for (uint32_t capacity = 0; capacity < 12; capacity++) {
		struct weft_chan *chan = make(sizeof(long), capacity);
		struct weft_scope scope;
		long number;

		weft_scope_open(&scope);
		spawn(&scope, send_ten, chan);
		for (long i = 0; i < 10; i++)
			ck_assert_int_eq(recv_number(chan), i);
		wf_assert_result(weft_chan_recv(chan, &number), WEFT_ECLOSED);
		wf_assert_result(weft_scope_close(&scope), 0);
		ck_assert_uint_le(stats_of(chan).length_peak, capacity);
		weft_chan_free(chan);
	}
}

/* Senders that wait are served in the order of their coming, behind what is buffered. */
WF_TASK_TEST(waiting_senders_come_in_order)
{
	struct weft_scope scope;

	shared = make(sizeof(long), 2);
	send_number(shared, 1);
	send_number(shared, 2);
	weft_scope_open(&scope);
	for (int i = 0; i < 3; i++)
		spawn(&scope, send_and_note, &results[i]);
	settle();
	ck_assert_int_eq(recv_number(shared), 1);
	ck_assert_uint_eq(stats_of(shared).length, 2); /* the room is the first sender's */
	ck_assert_int_eq(recv_number(shared), 2);
	for (long i = 100; i < 103; i++)
		ck_assert_int_eq(recv_number(shared), i);
	wf_assert_result(weft_scope_close(&scope), 0);
	weft_chan_free(shared);
}

static long firsts[3];

static int recv_into(void *place)
{
	*(long *)place = recv_number(shared);
	return 0;
}

/* Receivers that wait are served in the order of their coming. */
WF_TASK_TEST(waiting_receivers_come_in_order)
{
	struct weft_scope scope;

	shared = make(sizeof(long), 5);
	weft_scope_open(&scope);
	for (int i = 0; i < 3; i++)
		spawn(&scope, recv_into, &firsts[i]);
	settle();
	for (long i = 0; i < 3; i++)
		send_number(shared, i);
	ck_assert_uint_eq(stats_of(shared).length_peak, 0); /* handed over, not buffered */
	wf_assert_result(weft_scope_close(&scope), 0);
	for (long i = 0; i < 3; i++)
		ck_assert_int_eq(firsts[i], i);
	weft_chan_free(shared);
}

static int send_bytes(void *bytes)
{
	return weft_chan_send(shared, bytes);
}

/* Elements of any size arrive whole, next to nothing else's bytes, and at any address. */
WF_TASK_TEST(elements_of_any_size)
{
	static const size_t sizes[] = { 1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 24, 31, 100, 4097 };
	static char from[4200], to[4200];

	for (size_t i = 0; i < sizeof from; i++)
		from[i] = (char)(i * 7 + 1);
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
		for (uint32_t capacity = 0; capacity < 3; capacity++) {
			struct weft_scope scope;

			shared = make(sizes[i], capacity);
			weft_scope_open(&scope);
			for (int k = 0; k < 4; k++)
				spawn(&scope, send_bytes, from + 1 + k);
			for (int k = 0; k < 4; k++) {
				memset(to, 0, sizeof to);
				wf_assert_result(weft_chan_recv(shared, to + 3), 0);
				ck_assert_mem_eq(to + 3, from + 1 + k, sizes[i]);
				ck_assert(to[2] == 0 && to[3 + sizes[i]] == 0);
			}
			wf_assert_result(weft_scope_close(&scope), 0);
			weft_chan_free(shared);
		}
}

/* Trying never waits, and leaves everything as it was if it would have to. */
WF_TASK_TEST(trying_never_waits)
{
	struct weft_chan *chan = make(sizeof(long), 1);
	struct weft_stats before, after;
	long number = 5;

	wf_assert_result(weft_stats(&before), 0);
	wf_assert_result(weft_chan_try_recv(chan, &number), -EAGAIN);
	ck_assert_int_eq(number, 5);
	wf_assert_result(weft_chan_try_send(chan, &number), 0);
	wf_assert_result(weft_chan_try_send(chan, &number), -EAGAIN);
	number = 0;
	wf_assert_result(weft_chan_try_recv(chan, &number), 0);
	ck_assert_int_eq(number, 5);
	wf_assert_result(weft_stats(&after), 0);
	ck_assert_uint_eq(before.switches, after.switches);
	weft_chan_free(chan);
}

/* The counts say what has been going on. */
WF_TASK_TEST(stats_count)
{
	struct weft_scope scope;
	struct weft_chan_stats stats;

	shared = make(sizeof(long), 2);
	weft_scope_open(&scope);
	spawn(&scope, recv_and_note, &results[0]);
	settle();
	for (int i = 1; i < 5; i++)
		spawn(&scope, send_and_note, &results[i]);
	settle();
	stats = stats_of(shared);
	ck_assert_uint_eq(stats.sent, 3);
	ck_assert_uint_eq(stats.received, 1);
	ck_assert_uint_eq(stats.send_waits, 1);
	ck_assert_uint_eq(stats.recv_waits, 1);
	ck_assert_uint_eq(stats.length, 2);
	ck_assert_uint_eq(stats.length_peak, 2);
	ck_assert_uint_eq(stats.element_bytes, sizeof(long));
	ck_assert_uint_eq(stats.senders, 1);
	ck_assert_uint_eq(stats.receivers, 0);
	for (int i = 1; i < 4; i++)
		(void)recv_number(shared);
	wf_assert_result(weft_scope_close(&scope), 0);
	weft_chan_free(shared);
}

/* ---- Stops ----------------------------------------------------------------------------------- */

/* A cancelled receive has taken nothing: what is sent later is there for others. */
WF_TASK_TEST(cancelled_receive_takes_nothing)
{
	struct weft_scope scope;
	long number = 1;

	shared = make(sizeof(long), 1);
	weft_scope_open(&scope);
	spawn(&scope, recv_and_note, &results[0]);
	settle();
	weft_scope_cancel(&scope);
	wf_assert_result(weft_chan_try_send(shared, &number), 0);
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
	wf_assert_result(results[0], -ECANCELED);
	ck_assert_int_eq(recv_number(shared), 1);
	weft_chan_free(shared);
}

/* A cancelled send has sent nothing; those behind it move up. */
WF_TASK_TEST(cancelled_send_sends_nothing)
{
	struct weft_scope outer, inner;

	shared = make(sizeof(long), 0);
	weft_scope_open(&outer);
	weft_scope_open(&inner);
	spawn(&outer, send_and_note, &results[0]);
	settle();
	spawn(&inner, send_and_note, &results[1]);
	settle();
	spawn(&outer, send_and_note, &results[2]);
	settle();
	weft_scope_cancel(&inner);
	wf_assert_result(weft_scope_close(&inner), -ECANCELED);
	wf_assert_result(results[1], -ECANCELED);
	ck_assert_int_eq(recv_number(shared), 100);
	ck_assert_int_eq(recv_number(shared), 102);
	wf_assert_result(weft_scope_close(&outer), 0);
	weft_chan_free(shared);
}

/* A deadline ends both kinds of wait. */
WF_TASK_TEST(deadline_ends_waits)
{
	struct weft_chan *chan = make(sizeof(long), 0);
	long number = 1;

	WEFT_DEADLINE(weft_after(WEFT_MILLISECOND))
		wf_assert_result(weft_chan_send(chan, &number), WEFT_EDEADLINE);
	WEFT_DEADLINE(weft_after(WEFT_MILLISECOND))
		wf_assert_result(weft_chan_recv(chan, &number), WEFT_EDEADLINE);
	ck_assert_uint_eq(stats_of(chan).sent, 0);
	weft_chan_free(chan);
}

/* Who was served before the stop keeps what it got. */
WF_TASK_TEST(served_before_the_stop)
{
	struct weft_scope scope;
	long number = 7;

	shared = make(sizeof(long), 0);
	weft_scope_open(&scope);
	spawn(&scope, recv_into, &firsts[0]);
	settle();
	wf_assert_result(weft_chan_try_send(shared, &number), 0);
	weft_scope_cancel(&scope);
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
	ck_assert_int_eq(firsts[0], 7);
	weft_chan_free(shared);
}

/* A task in a stopped scope neither sends nor receives, though it could. */
WF_TASK_TEST(stopped_task_is_refused)
{
	struct weft_chan *chan = make(sizeof(long), 2);
	struct weft_scope scope;
	long number = 1;

	send_number(chan, 1);
	weft_scope_open(&scope);
	weft_scope_cancel(&scope);
	wf_assert_result(weft_chan_send(chan, &number), -ECANCELED);
	wf_assert_result(weft_chan_recv(chan, &number), -ECANCELED);
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
	ck_assert_uint_eq(stats_of(chan).length, 1);
	weft_chan_free(chan);
}

WF_MAIN("core/chan")
