/* SPDX-License-Identifier: MIT */
/* What a scenario says of its world is so. */
#include "runtime/simulation.h"

#include <errno.h>
#include <signal.h>

static struct weft_sim_host *server_host, *client_host;
static struct weft_sim *world;

/* What a test wants of its scenario. */
static void (*arrange)(struct weft_sim *sim);
static weft_function *client;

/* The programs' time since the beginning. */
static weft_time passed(void)
{
	return weft_sim_now(world);
}

static int serve_one(struct weft_conn *conn, void *arg)
{
	char bytes[64];
	ssize_t n;

	(void)arg;
	while ((n = weft_read(conn, bytes, sizeof bytes)) > 0)
		if (weft_write(conn, bytes, (size_t)n, NULL) < 0)
			break;
	return 0;
}

static int serve(void *arg)
{
	int r;

	while ((r = weft_serve("10.0.0.1:80", serve_one, arg, NULL)) < 0 && r != -ECANCELED)
		if (weft_sleep(WEFT_SECOND) < 0)
			break;
	return 0;
}

/* A server that echoes, and a client; a millisecond between them. */
static void pair(struct weft_sim *sim)
{
	static const struct weft_sim_link link = { .latency_min_ns = WEFT_MILLISECOND,
						   .latency_max_ns = WEFT_MILLISECOND };

	world = sim;
	server_host = weft_sim_host(sim, "server", "10.0.0.1", serve, sim);
	client_host = weft_sim_host(sim, "client", "10.0.0.2", client, sim);
	weft_sim_link_set(sim, NULL, NULL, &link);
	if (arrange)
		arrange(sim);
}

#define EXPECT_SOUND(a_client, arrangement)                                    \
	do {                                                                   \
		client = (a_client);                                           \
		arrange = (arrangement);                                       \
		(void)expect(pair, "--seeds 1..50", 0, "50 runs");             \
		(void)expect(pair, "--seeds 1..5 --check-determinism", 0, ""); \
	} while (0)

static struct weft_conn *dial(void)
{
	struct weft_conn *conn = NULL;
	int r;

	wf_assert_result(weft_sleep(10 * WEFT_MILLISECOND), 0); /* the server listens by then */
	r = weft_dial("10.0.0.1:80", &conn);
	weft_always(r == 0, "the server is there");
	return conn;
}

/* One round; how long it took, or an error. */
static weft_time ping(struct weft_conn *conn)
{
	weft_time start = weft_now();
	char bytes[4];
	int r = (int)weft_write(conn, "ping", 4, NULL);

	if (r >= 0)
		r = (int)weft_read_full(conn, bytes, 4, NULL);
	return r < 0 ? r : weft_now() - start;
}

/* ---- Links ----------------------------------------------------------------------------------- */

static int ping_in_two(void *arg)
{
	struct weft_conn *conn = dial();
	weft_time took = ping(conn);

	(void)arg;
	weft_always(took >= 2 * WEFT_MILLISECOND && took < 3 * WEFT_MILLISECOND,
		    "there and back takes two milliseconds");
	weft_close(conn);
	return 0;
}

/* A link has the latency that it was given. */
WF_TEST(link_has_its_latency)
{
	EXPECT_SOUND(ping_in_two, NULL);
}

static void keep_links(struct weft_sim *sim)
{
	weft_sim_strategy(sim, WEFT_SIM_FIFO);
	weft_sim_swarm(sim);
}

static int ping_or_fail(void *arg)
{
	struct weft_conn *conn;
	weft_time took;

	(void)arg;
	WEFT_DEADLINE(weft_after(10 * WEFT_SECOND)) {
		if (weft_sleep(10 * WEFT_MILLISECOND) < 0 || weft_dial("10.0.0.1:80", &conn) < 0)
			return 0;
		took = ping(conn);
		weft_always(took < 0 || took >= 2 * WEFT_MILLISECOND, "a set link is left alone");
		weft_close(conn);
	}
	return 0;
}

/* The swarm leaves a link alone that the scenario has set. */
WF_TEST(set_link_is_left_alone)
{
	EXPECT_SOUND(ping_or_fail, keep_links);
}

static int ping_through_partition(void *arg)
{
	struct weft_conn *conn = dial();
	weft_time took;

	weft_sim_partition(arg, client_host, server_host);
	WEFT_DEADLINE(weft_after(WEFT_SECOND))
		weft_always(ping(conn) == WEFT_EDEADLINE, "nothing comes through a partition");
	weft_sim_rejoin(arg, client_host, server_host);
	took = ping(conn);
	weft_always(took > 0 && took < WEFT_SECOND, "everything comes when it is healed");
	weft_close(conn);
	return 0;
}

/* What is sent during a partition comes when it is healed. */
WF_TEST(partition_holds_what_is_sent)
{
	EXPECT_SOUND(ping_through_partition, NULL);
}

static void cut_one_way(struct weft_sim *sim)
{
	weft_sim_cut_during(sim, server_host, client_host, WEFT_SECOND, 3 * WEFT_SECOND);
}

static int ping_through_cut(void *arg)
{
	struct weft_conn *conn = dial();
	weft_time took;

	(void)arg;
	wf_assert_result(weft_sleep(2 * WEFT_SECOND - passed()), 0);
	took = ping(conn);
	weft_always(took >= WEFT_SECOND && passed() < 4 * WEFT_SECOND, "a cut lasts to its end");
	weft_close(conn);
	return 0;
}

/* A cut that was planned begins and ends at its times, and has one direction. */
WF_TEST(planned_cut_has_an_end)
{
	EXPECT_SOUND(ping_through_cut, cut_one_way);
}

static void reset_soon(struct weft_sim *sim)
{
	weft_sim_reset_at(sim, client_host, server_host, WEFT_SECOND);
}

static int ping_until_reset(void *arg)
{
	struct weft_conn *conn = dial();
	char byte;

	(void)arg;
	weft_always(weft_read(conn, &byte, 1) == -ECONNRESET, "the connection is reset");
	weft_always(passed() >= WEFT_SECOND && passed() < 2 * WEFT_SECOND, "at its time");
	weft_close(conn);
	return 0;
}

/* A reset that was planned reaches those who wait. */
WF_TEST(planned_reset_comes)
{
	EXPECT_SOUND(ping_until_reset, reset_soon);
}

static void reset_harshly(struct weft_sim *sim)
{
	weft_sim_harsh_resets(sim, true);
}

/* Has the answer come, and resets the connection before it is read. */
static int read_after_reset(void *arg, int expected)
{
	struct weft_conn *conn = dial();
	char bytes[4];

	wf_assert_result(weft_write(conn, "ping", 4, NULL), 0);
	wf_assert_result(weft_sleep(100 * WEFT_MILLISECOND), 0);
	weft_sim_reset(arg, client_host, server_host);
	wf_assert_result(weft_sleep(100 * WEFT_MILLISECOND), 0);
	weft_always(weft_read(conn, bytes, 4) == expected, "unread input is what it should be");
	weft_close(conn);
	return 0;
}

static int read_the_answer(void *arg)
{
	return read_after_reset(arg, 4);
}

static int read_the_reset(void *arg)
{
	return read_after_reset(arg, -ECONNRESET);
}

/* A reset leaves what has come unread, unless it is a harsh one. */
WF_TEST(harsh_reset_takes_unread_input)
{
	EXPECT_SOUND(read_the_answer, NULL);
	EXPECT_SOUND(read_the_reset, reset_harshly);
}

static void limit_client(struct weft_sim *sim)
{
	weft_sim_limit(sim, client_host, 2, 100);
}

static int dial_three(void *arg)
{
	struct weft_conn *first = dial(), *second = dial(), *third;

	(void)arg;
	weft_always(weft_dial("10.0.0.1:80", &third) == -EMFILE, "two descriptors are the limit");
	weft_close(first);
	weft_close(second);
	return 0;
}

/* A host has as many descriptors as it may. */
WF_TEST(descriptors_are_limited)
{
	EXPECT_SOUND(dial_three, limit_client);
}

/* ---- Programs -------------------------------------------------------------------------------- */

static int wait_for_stop(void *arg)
{
	weft_sim_stop(arg, client_host);
	weft_always(weft_stop_wait() == WEFT_ESTOPPING, "the stop has come");
	return WEFT_ESTOPPING;
}

/* A host is stopped softly; that its program says so is no failure. */
WF_TEST(program_is_stopped)
{
	EXPECT_SOUND(wait_for_stop, NULL);
}

static void cancel_client(struct weft_sim *sim, void *arg)
{
	(void)arg;
	weft_sim_cancel(sim, client_host);
}

static void cancel_soon(struct weft_sim *sim)
{
	weft_sim_at(sim, 5 * WEFT_SECOND, cancel_client, NULL);
}

static int sleep_for_ever(void *arg)
{
	int r = weft_sleep_until(WEFT_FOREVER);

	(void)arg;
	weft_always(passed() >= 5 * WEFT_SECOND && passed() < 6 * WEFT_SECOND,
		    "an action comes at its time");
	return r;
}

/* A program is cancelled by an action, at its time; that is no failure. */
WF_TEST(program_is_cancelled)
{
	EXPECT_SOUND(sleep_for_ever, cancel_soon);
}

static void raise_there(struct weft_sim *sim, void *arg)
{
	(void)arg;
	weft_sim_signal(sim, client_host, SIGHUP);
}

static void raise_soon(struct weft_sim *sim)
{
	weft_sim_at(sim, WEFT_SECOND, raise_there, NULL);
}

static int wait_for_signal(void *arg)
{
	static const int numbers[] = { SIGTERM, SIGHUP, 0 };
	struct weft_signals *signals;

	(void)arg;
	wf_assert_result(weft_signals_open(numbers, &signals), 0);
	weft_always(weft_signals_wait(signals) == SIGHUP, "the signal has come");
	weft_signals_close(signals);
	return 0;
}

/* A signal reaches the program that waits for it. */
WF_TEST(signal_is_raised)
{
	EXPECT_SOUND(wait_for_signal, raise_soon);
}

/* ---- Mishaps --------------------------------------------------------------------------------- */

static void fail_second(struct weft_sim *sim)
{
	weft_sim_fail_nth(sim, client_host, WEFT_SIM_SOCKET, 2, -ENOBUFS);
}

static int dial_three_times(void *arg)
{
	struct weft_conn *conn;

	(void)arg;
	weft_close(dial());
	weft_always(weft_dial("10.0.0.1:80", &conn) == -ENOBUFS, "the second one fails");
	weft_close(dial());
	return 0;
}

/* The operation of that number fails, and no other. */
WF_TEST(nth_operation_fails)
{
	EXPECT_SOUND(dial_three_times, fail_second);
}

static void fail_from_second(struct weft_sim *sim)
{
	weft_sim_fail_from(sim, client_host, WEFT_SIM_SOCKET, 2, -ENOBUFS);
}

static int dial_once_only(void *arg)
{
	struct weft_conn *conn;

	(void)arg;
	weft_close(dial());
	for (int i = 0; i < 3; i++)
		weft_always(weft_dial("10.0.0.1:80", &conn) == -ENOBUFS, "all others fail");
	return 0;
}

/* All operations from that number on fail. */
WF_TEST(operations_fail_from_a_number_on)
{
	EXPECT_SOUND(dial_once_only, fail_from_second);
}

/* ---- Time, chance, checks -------------------------------------------------------------------- */

static int choices[3];

static int choose(void *arg)
{
	for (int i = 0; i < 100; i++) {
		uint64_t chosen = weft_sim_choose(arg, 5, 7);

		weft_always(chosen >= 5 && chosen <= 7, "a choice is within its bounds");
		choices[chosen - 5]++;
	}
	weft_always(choices[0] && choices[1] && choices[2], "everything is chosen");
	weft_always(weft_sim_choose(arg, 3, 3) == 3, "there is no choice but one");
	return 0;
}

/* A choice keeps within its bounds, and both belong to it. */
WF_TEST(choice_is_within_bounds)
{
	EXPECT_SOUND(choose, NULL);
}

static uint64_t checked;

static void count_check(struct weft_sim *sim, void *arg)
{
	static weft_time last;

	(void)arg;
	weft_always(checked == 0 || weft_sim_now(sim) > last, "time goes on from step to step");
	last = weft_sim_now(sim);
	checked++;
}

static void check_steps(struct weft_sim *sim)
{
	checked = 0;
	weft_sim_check(sim, count_check, NULL);
}

static int yield_often(void *arg)
{
	uint64_t before = checked;

	(void)arg;
	for (int i = 0; i < 10; i++)
		wf_assert_result(weft_yield(), 0);
	weft_always(checked >= before + 10, "each step is checked");
	return 0;
}

/* A check is called after each step. */
WF_TEST(each_step_is_checked)
{
	EXPECT_SOUND(yield_often, check_steps);
}

static void reject_steps(struct weft_sim *sim, void *arg)
{
	(void)sim, (void)arg;
	weft_always(false, "a check speaks");
}

static void check_and_fail(struct weft_sim *sim)
{
	weft_sim_check(sim, reject_steps, NULL);
}

/* A check fails the run at the step after which it does not hold. */
WF_TEST(check_fails_the_run)
{
	client = yield_often;
	arrange = check_and_fail;
	(void)expect(pair, "--seeds 1", 1, "seed=1 step=1 ");
	(void)expect(pair, "--seeds 1", 1, "always: a check speaks");
}

/* The programs run by the strategy of the scenario; without one the seed takes it. */
static char order[64];

static int note(void *letter)
{
	strncat(order, letter, 1);
	return 0;
}

static int spawn_four(void *arg)
{
	static char letters[] = "abcd";
	struct weft_scope scope;

	(void)arg;
	order[0] = 0;
	weft_scope_open(&scope);
	for (int i = 0; i < 4; i++)
		wf_assert_result(weft_spawn(&scope, note, &letters[i]), 0);
	wf_assert_result(weft_scope_close(&scope), 0);
	weft_always(strcmp(order, "abcd") == 0, "first come, first served");
	return 0;
}

static void in_order(struct weft_sim *sim)
{
	weft_sim_strategy(sim, WEFT_SIM_FIFO);
}

static void at_random(struct weft_sim *sim)
{
	weft_sim_strategy(sim, WEFT_SIM_RANDOM);
}

static void by_priority(struct weft_sim *sim)
{
	weft_sim_strategy(sim, WEFT_SIM_PCT);
}

/* The strategy decides who runs, and without one the seed decides which it is. */
WF_TEST(strategy_is_obeyed)
{
	EXPECT_SOUND(spawn_four, in_order);
	arrange = at_random;
	(void)expect(pair, "--seeds 1..20", 1, "first come, first served");
	arrange = by_priority;
	(void)expect(pair, "--seeds 1..20", 1, "first come, first served");
	arrange = NULL;
	(void)expect(pair, "--seeds 1..40", 1, "first come, first served");
}

static int runs;

static int run_thrice(void *arg)
{
	(void)arg;
	for (int i = 0; i < 3; i++, runs++)
		wf_assert_result(weft_yield(), 0);
	return 0;
}

/* Waits that need not wait, beside a task that wants to run. */
static int pass_events(int runs_expected)
{
	struct weft_event event = WEFT_EVENT_INIT;
	struct weft_scope scope;

	runs = 0;
	weft_event_set(&event);
	weft_scope_open(&scope);
	wf_assert_result(weft_spawn(&scope, run_thrice, NULL), 0);
	for (int i = 0; i < 10; i++)
		wf_assert_result(weft_event_wait(&event), 0);
	weft_always(runs == runs_expected, "the other one ran as often as it should");
	return weft_scope_close(&scope);
}

static int pass_quickly(void *arg)
{
	(void)arg;
	return pass_events(0);
}

static int pass_in_turn(void *arg)
{
	(void)arg;
	return pass_events(3);
}

static void give_no_credit(struct weft_sim *sim)
{
	weft_sim_strategy(sim, WEFT_SIM_FIFO);
	weft_sim_credit(sim, 1);
}

/* A task does as many operations in a row as the scenario has it. */
WF_TEST(credit_is_kept)
{
	EXPECT_SOUND(pass_quickly, in_order);
	EXPECT_SOUND(pass_in_turn, give_no_credit);
}

/* ---- Worlds that cannot be --------------------------------------------------------------------- */

static const char *bad_address;

static void misplaced(struct weft_sim *sim)
{
	weft_sim_host(sim, "lost", bad_address, yield_often, sim);
}

static void twins(struct weft_sim *sim)
{
	weft_sim_host(sim, "first", "10.0.0.1", yield_often, sim);
	weft_sim_host(sim, "second", "10.0.0.1", yield_often, sim);
}

static void crowd(struct weft_sim *sim)
{
	char address[32];

	for (int i = 0; i < 65; i++) {
		snprintf(address, sizeof address, "10.0.1.%d", i);
		weft_sim_host(sim, "one", address, yield_often, sim);
	}
}

static void generous(struct weft_sim *sim)
{
	weft_sim_credit(sim, 65);
}

/* A world that cannot be ends the program, which says why. */
WF_TEST(impossible_worlds_are_refused)
{
	bad_address = "10.0.0";
	(void)expect(misplaced, "--seeds 1", 1, "of the simulated host \"lost\" is none");
	bad_address = "192.168.0.1";
	(void)expect(misplaced, "--seeds 1", 1, "is not in 10.0.0.0/8");
	(void)expect(twins, "--seeds 1", 1, "\"second\" with the address 10.0.0.1: EADDRINUSE");
	(void)expect(crowd, "--seeds 1", 1, "is one too many; 64 are the most");
	(void)expect(generous, "--seeds 1", 1, "take a number from 1 to 64");
}

WF_MAIN("runtime/sim_world")
