/* SPDX-License-Identifier: MIT */
/* Hosts and the links between them are as a scenario has them. */
#include "runtime/pair.h"

#include <signal.h>

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

static void calm_down(struct weft_sim *sim, void *arg)
{
	(void)arg;
	weft_sim_calm(sim);
}

static void calm_soon(struct weft_sim *sim)
{
	weft_sim_cut_during(sim, server_host, client_host, WEFT_SECOND, 50 * WEFT_SECOND);
	weft_sim_reset_at(sim, server_host, client_host, 12 * WEFT_SECOND);
	weft_sim_fail_from(sim, client_host, WEFT_SIM_SEND, 2, -ENOBUFS);
	weft_sim_at(sim, 10 * WEFT_SECOND, calm_down, NULL);
}

static int ping_before_and_after(void *arg)
{
	struct weft_conn *conn = dial();

	(void)arg;
	weft_always(ping(conn) > 0, "at first all is well");
	weft_always(ping(conn) == -ENOBUFS, "then every send fails");
	wf_assert_result(weft_sleep(11 * WEFT_SECOND - passed()), 0);
	weft_always(ping(conn) > 0, "in a calm world nothing fails, and no link is cut");
	wf_assert_result(weft_sleep(13 * WEFT_SECOND - passed()), 0);
	weft_always(ping(conn) > 0, "what was planned for later does not happen");
	weft_close(conn);
	return 0;
}

/* In a calm world nothing goes wrong any more, while the programs go on. */
WF_TEST(calm_ends_all_mishaps)
{
	EXPECT_SOUND(ping_before_and_after, calm_soon);
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

/* ---- Worlds that cannot be --------------------------------------------------------------------- */

static const char *bad_address;

static void misplaced(struct weft_sim *sim)
{
	weft_sim_host(sim, "lost", bad_address, serve, sim);
}

static void twins(struct weft_sim *sim)
{
	weft_sim_host(sim, "first", "10.0.0.1", serve, sim);
	weft_sim_host(sim, "second", "10.0.0.1", serve, sim);
}

static void crowd(struct weft_sim *sim)
{
	char address[32];

	for (int i = 0; i < 65; i++) {
		snprintf(address, sizeof address, "10.0.1.%d", i);
		weft_sim_host(sim, "one", address, serve, sim);
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
