/* SPDX-License-Identifier: MIT */
#include "harness/harness.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <weft/scope.h>
#include <weft/signals.h>
#include <weft/task.h>
#include <weft/time.h>

#define SPAWN(scope, function, arg) wf_assert_result(weft_spawn((scope), (function), (arg)), 0)

static const int user_signals[] = { SIGUSR1, SIGUSR2, 0 };

static struct weft_signals *open_set(void)
{
	struct weft_signals *signals;

	wf_assert_result(weft_signals_open(user_signals, &signals), 0);
	return signals;
}

static bool is_blocked(int number)
{
	sigset_t mask;

	ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, NULL, &mask), 0);
	return sigismember(&mask, number) == 1;
}

static void send_signal(int number)
{
	ck_assert_int_eq(raise(number), 0);
}

static void rest(int ms)
{
	wf_assert_result(weft_sleep(ms * WEFT_MILLISECOND), 0);
}

/* A wait in a task of its own. */
struct wait {
	struct weft_signals *signals;
	int result;
	bool ended;
};

static int wait_once(void *arg)
{
	struct wait *wait = arg;

	wait->result = weft_signals_wait(wait->signals);
	wait->ended = true;
	return 0;
}

/* ---- What comes ------------------------------------------------------------------------------ */

/* A signal that has come already is returned at once. */
WF_TASK_TEST(wait_returns_the_number)
{
	struct weft_signals *signals = open_set();

	send_signal(SIGUSR1);
	ck_assert_int_eq(weft_signals_wait(signals), SIGUSR1);
	weft_signals_close(signals);
}

/* A signal that comes later wakes the task that waits. */
WF_TASK_TEST(a_signal_wakes_the_waiter)
{
	struct wait wait = { .signals = open_set() };
	struct weft_scope scope;

	weft_scope_open(&scope);
	SPAWN(&scope, wait_once, &wait);
	rest(5);
	ck_assert(!wait.ended);
	send_signal(SIGUSR2);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_int_eq(wait.result, SIGUSR2);
	weft_signals_close(wait.signals);
}

/* Each signal of the set is reported once. */
WF_TASK_TEST(two_signals)
{
	struct weft_signals *signals = open_set();
	int first, second, third = 0;

	send_signal(SIGUSR2);
	send_signal(SIGUSR1);
	first = weft_signals_wait(signals);
	second = weft_signals_wait(signals);
	WEFT_DEADLINE(weft_after(10 * WEFT_MILLISECOND))
		third = weft_signals_wait(signals);
	ck_assert(first == SIGUSR1 || first == SIGUSR2);
	ck_assert_int_eq(first + second, SIGUSR1 + SIGUSR2);
	wf_assert_result(third, WEFT_EDEADLINE);
	weft_signals_close(signals);
}

/* ---- The mask -------------------------------------------------------------------------------- */

/* The signals are blocked while the set is open, and no others. */
WF_TASK_TEST(mask_is_restored)
{
	struct weft_signals *signals = open_set();

	wf_need_world("signal masks");
	ck_assert(is_blocked(SIGUSR1) && is_blocked(SIGUSR2));
	ck_assert(!is_blocked(SIGTERM));
	weft_signals_close(signals);
	ck_assert(!is_blocked(SIGUSR1) && !is_blocked(SIGUSR2));
}

/* What the thread had blocked before stays blocked. */
WF_TASK_TEST(blocked_before_stays_blocked)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, &mask, NULL), 0);
	weft_signals_close(open_set());
	ck_assert(!is_blocked(SIGUSR1));
	ck_assert(is_blocked(SIGUSR2));
}

static const int term_signals[] = { SIGTERM, 0 };
static const int mixed_signals[] = { SIGUSR1, SIGTERM, 0 };

/* Opens two sets that both hold SIGTERM. */
static void open_two(struct weft_signals *ret_sets[2])
{
	wf_assert_result(weft_signals_open(term_signals, &ret_sets[0]), 0);
	wf_assert_result(weft_signals_open(mixed_signals, &ret_sets[1]), 0);
}

/* A signal that two sets hold stays blocked until both are closed, whichever goes first. */
WF_TASK_TEST(mask_is_restored_by_the_last_set)
{
	wf_need_world("signal masks");
	for (int first = 0; first < 2; first++) {
		struct weft_signals *sets[2];

		open_two(sets);
		weft_signals_close(sets[first]);
		ck_assert(is_blocked(SIGTERM));
		ck_assert_int_eq(is_blocked(SIGUSR1), first == 0);
		weft_signals_close(sets[!first]);
		ck_assert(!is_blocked(SIGTERM) && !is_blocked(SIGUSR1));
	}
}

/* What the thread had blocked before both sets stays blocked after them. */
WF_TASK_TEST(blocked_before_two_sets_stays_blocked)
{
	struct weft_signals *sets[2];
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, &mask, NULL), 0);
	open_two(sets);
	weft_signals_close(sets[0]);
	weft_signals_close(sets[1]);
	ck_assert(is_blocked(SIGTERM));
	ck_assert(!is_blocked(SIGUSR1));
}

/* A set that is closed takes along the signals that only it holds, and leaves the others theirs. */
WF_TASK_TEST(pending_ones_stay_for_another_set)
{
	struct weft_signals *sets[2];
	int number = 0;

	open_two(sets);
	send_signal(SIGTERM);
	send_signal(SIGUSR1);
	weft_signals_close(sets[1]);
	ck_assert(!is_blocked(SIGUSR1));
	WEFT_DEADLINE(weft_after(WEFT_SECOND))
		number = weft_signals_wait(sets[0]);
	ck_assert_int_eq(number, SIGTERM);
	weft_signals_close(sets[0]);
}

/* Signals that came and were not waited for do not strike when the set is closed; their default
 * action would end the process. */
WF_TASK_TEST(pending_ones_go_with_the_set)
{
	struct weft_signals *signals = open_set();

	send_signal(SIGUSR1);
	send_signal(SIGUSR2);
	weft_signals_close(signals);
	ck_assert(!is_blocked(SIGUSR1));
}

/* A set opened again sees new signals only. */
WF_TASK_TEST(a_set_can_be_opened_again)
{
	struct weft_signals *signals = open_set();
	int number = 0;

	send_signal(SIGUSR1);
	weft_signals_close(signals);
	signals = open_set();
	send_signal(SIGUSR2);
	WEFT_DEADLINE(weft_after(WEFT_SECOND))
		number = weft_signals_wait(signals);
	ck_assert_int_eq(number, SIGUSR2);
	weft_signals_close(signals);
}

/* ---- Misuse ---------------------------------------------------------------------------------- */

/* A second waiter is refused, and the first goes on waiting. */
WF_TASK_TEST(second_waiter_is_busy)
{
	struct wait wait = { .signals = open_set() };
	struct weft_scope scope;

	weft_scope_open(&scope);
	SPAWN(&scope, wait_once, &wait);
	rest(5);
	wf_assert_result(weft_signals_wait(wait.signals), -EBUSY);
	send_signal(SIGUSR1);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_int_eq(wait.result, SIGUSR1);
	weft_signals_close(wait.signals);
}

/* What is no signal, or cannot be caught, is refused, and the mask is left alone. */
WF_TASK_TEST(bad_numbers_are_refused)
{
	static const int bad[] = { -1, 65, 1000, INT_MAX, SIGKILL, SIGSTOP };

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		const int numbers[] = { SIGUSR1, bad[i], 0 };
		struct weft_signals *signals;

		wf_assert_result(weft_signals_open(numbers, &signals), -EINVAL);
		ck_assert(!is_blocked(SIGUSR1));
	}
}

/* A set belongs to a task. */
WF_TEST(outside_a_task_it_is_refused)
{
	struct weft_signals *signals;

	wf_assert_result(weft_signals_open(user_signals, &signals), -EPERM);
}

/* Closing nothing does nothing. */
WF_TASK_TEST(null_is_closed)
{
	weft_signals_close(NULL);
}

/* ---- Ends ------------------------------------------------------------------------------------ */

/* A close ends the wait of another task. */
WF_TASK_TEST(close_ends_the_wait)
{
	struct wait wait = { .signals = open_set() };
	struct weft_scope scope;

	weft_scope_open(&scope);
	SPAWN(&scope, wait_once, &wait);
	rest(5);
	weft_signals_close(wait.signals);
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(wait.result, WEFT_ECLOSED);
}

static int close_before_it_waits(void *arg)
{
	struct wait wait = { .signals = open_set() };
	struct weft_scope scope;

	(void)arg;
	weft_scope_open(&scope);
	SPAWN(&scope, wait_once, &wait);
	wf_assert_result(weft_yield(), 0);
	weft_signals_close(wait.signals);
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(wait.result, WEFT_ECLOSED);
	return 0;
}

/* A close reaches a task that has called wait and is suspended before it waits: a checkpoint may do
 * that, and always does with this variable. */
WF_TEST(close_ends_a_wait_that_begins)
{
	ck_assert_int_eq(setenv("WEFT_YIELD_ALWAYS", "1", 1), 0);
	RUN(close_before_it_waits);
}

/* A cancel ends the wait, and takes no signal away. */
WF_TASK_TEST(cancel_loses_no_signal)
{
	struct wait wait = { .signals = open_set() };
	struct weft_scope scope;

	weft_scope_open(&scope);
	SPAWN(&scope, wait_once, &wait);
	rest(5);
	weft_scope_cancel(&scope);
	send_signal(SIGUSR1);
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
	wf_assert_result(wait.result, -ECANCELED);
	ck_assert_int_eq(weft_signals_wait(wait.signals), SIGUSR1);
	weft_signals_close(wait.signals);
}

/* A soft stop is no cancel: waiting goes on. */
WF_TASK_TEST(soft_stop_lets_it_wait)
{
	struct wait wait = { .signals = open_set() };
	struct weft_scope scope;

	weft_scope_open(&scope);
	SPAWN(&scope, wait_once, &wait);
	rest(5);
	weft_scope_stop(&scope);
	rest(5);
	ck_assert(!wait.ended);
	send_signal(SIGUSR1);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_int_eq(wait.result, SIGUSR1);
	weft_signals_close(wait.signals);
}

/* ---- Shortage -------------------------------------------------------------------------------- */

/* Without a descriptor the open fails and changes nothing. */
WF_TASK_TEST(no_descriptor_left)
{
	struct rlimit before, none;
	struct weft_signals *signals;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 3;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	wf_assert_result(weft_signals_open(user_signals, &signals), -EMFILE);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	ck_assert(!is_blocked(SIGUSR1));
}

static int open_without_memory(void *arg)
{
	struct wf_tally *tally = arg;
	struct weft_signals *signals;

	tally->fails_at = tally->calls + 1;
	wf_assert_result(weft_signals_open(user_signals, &signals), -ENOMEM);
	ck_assert(!is_blocked(SIGUSR1));
	return 0;
}

/* The same without memory. */
WF_TEST(no_memory_left)
{
	struct wf_tally tally = { 0 };
	struct weft_options options = { .allocator = wf_tally_allocator(&tally) };

	wf_assert_result(weft_run(open_without_memory, &tally, &options), 0);
	ck_assert_uint_eq(tally.blocks, 0);
}

WF_MAIN("io/signals")
