/* SPDX-License-Identifier: MIT */
/* Hosts and their programs are as a scenario has them. */
#include "runtime/pair.h"

#include <signal.h>

/* ---- Limits ---------------------------------------------------------------------------------- */

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

static void limit_ports(struct weft_sim *sim, void *arg)
{
	(void)arg;
	weft_sim_limit(sim, client_host, 0, 2);
}

static void limit_ports_now(struct weft_sim *sim)
{
	limit_ports(sim, NULL);
}

static void limit_ports_soon(struct weft_sim *sim)
{
	weft_sim_at(sim, WEFT_SECOND, limit_ports, NULL);
}

static int dial_after_limit(void *arg)
{
	struct weft_conn *conns[4];

	(void)arg;
	for (int i = 0; i < 2; i++)
		conns[i] = dial();
	wf_assert_result(weft_sleep(2 * WEFT_SECOND), 0);
	for (int i = 2; i < 4; i++)
		weft_always(weft_dial("10.0.0.1:80", &conns[i]) == -EADDRNOTAVAIL,
			    "two ports are the limit, and in use");
	for (int i = 0; i < 2; i++)
		weft_close(conns[i]);
	return 0;
}

/* A host has as many ports for connections out as it may, also if the limit comes during the run; and
 * its descriptors are another limit, which 0 leaves alone. */
WF_TEST(ports_are_limited)
{
	EXPECT_SOUND(dial_after_limit, limit_ports_now);
	EXPECT_SOUND(dial_after_limit, limit_ports_soon);
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

static int stop_client(void *sim)
{
	weft_sim_stop(sim, client_host);
	return 0;
}

static int end_client(void *sim)
{
	weft_sim_cancel(sim, client_host);
	return 0;
}

static int signal_client(void *sim)
{
	weft_sim_signal(sim, client_host, SIGTERM);
	return 0;
}

static int be_stopped(void *arg)
{
	(void)arg;
	weft_always(weft_stop_wait() == WEFT_ESTOPPING && passed() < WEFT_SECOND,
		    "the stop has come");
	return 0;
}

static int be_cancelled(void *arg)
{
	(void)arg;
	weft_always(weft_sleep(WEFT_SECOND) == -ECANCELED && passed() < WEFT_SECOND,
		    "the cancel has come");
	return -ECANCELED;
}

static int be_signalled(void *arg)
{
	static const int numbers[] = { SIGTERM, 0 };
	struct weft_signals *signals;

	(void)arg;
	wf_assert_result(weft_sleep(WEFT_MILLISECOND), 0);
	wf_assert_result(weft_signals_open(numbers, &signals), 0);
	weft_always(weft_signals_wait(signals) == SIGTERM && passed() < WEFT_SECOND,
		    "the signal has come");
	weft_signals_close(signals);
	return 0;
}

static weft_function *early;

/* The first host acts, perhaps before the second one has begun; as often the other way. */
static void early_bird(struct weft_sim *sim)
{
	world = sim;
	weft_sim_host(sim, "first", "10.0.0.1", early, sim);
	client_host = weft_sim_host(sim, "second", "10.0.0.2", client, sim);
}

static void asked_beforehand(struct weft_sim *sim)
{
	early_bird(sim);
	(void)early(sim);
}

static int wait_for_nothing(void *arg)
{
	(void)arg;
	return 0;
}

/* What is asked of a program that has not begun is not lost. */
WF_TEST(program_is_stopped_before_it_begins)
{
	static weft_function *const pairs[][2] = { { stop_client, be_stopped },
						   { end_client, be_cancelled } };

	for (size_t i = 0; i < 2; i++) {
		early = pairs[i][0];
		client = pairs[i][1];
		(void)expect(early_bird, "--seeds 1..100", 0, "100 runs");
		(void)expect(asked_beforehand, "--seeds 1..10", 0, "10 runs");
	}
}

static void signalled_beforehand(struct weft_sim *sim)
{
	early = wait_for_nothing;
	early_bird(sim);
	(void)signal_client(sim);
}

/* A signal that comes before its program has begun waits for it. */
WF_TEST(signal_before_the_beginning_is_kept)
{
	client = be_signalled;
	(void)expect(signalled_beforehand, "--seeds 1..20", 0, "20 runs");
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

/* What a test wants of its scenario. */
static void (*impossible)(struct weft_sim *sim);

static void attempt(struct weft_sim *sim)
{
	client_host = weft_sim_host(sim, "one", "10.0.1.1", serve, sim);
	impossible(sim);
}

static void attempt_later(struct weft_sim *sim, void *arg)
{
	(void)arg;
	impossible(sim);
}

static void attempt_too_late(struct weft_sim *sim)
{
	client_host = weft_sim_host(sim, "one", "10.0.1.1", serve, sim);
	weft_sim_at(sim, WEFT_SECOND, attempt_later, NULL);
}

static void give_credit(struct weft_sim *sim)
{
	weft_sim_credit(sim, 65);
}

static void give_no_strategy(struct weft_sim *sim)
{
	weft_sim_strategy(sim, (enum weft_sim_strategy)3);
}

static void fail_with_a_sign(struct weft_sim *sim)
{
	weft_sim_fail_nth(sim, client_host, WEFT_SIM_RECEIVE, 1, ECONNRESET);
}

static void fail_with_nothing(struct weft_sim *sim)
{
	weft_sim_fail_from(sim, NULL, WEFT_SIM_SEND, 1, 0);
}

static void fail_before_the_first(struct weft_sim *sim)
{
	weft_sim_fail_nth(sim, NULL, WEFT_SIM_SEND, 0, 1);
}

static void fail_the_unknown(struct weft_sim *sim)
{
	weft_sim_fail_nth(sim, NULL, (enum weft_sim_operation)16, 1, -EIO);
}

static void link_backwards(struct weft_sim *sim)
{
	weft_sim_link_set(sim, NULL, NULL, &(struct weft_sim_link){ 2000, 1000, 0, 0, 0, 0 });
}

static void link_in_the_past(struct weft_sim *sim)
{
	weft_sim_link_set(sim, NULL, NULL, &(struct weft_sim_link){ .latency_min_ns = -1 });
}

static void link_small_segments(struct weft_sim *sim)
{
	weft_sim_link_set(sim, NULL, NULL, &(struct weft_sim_link){ 0, 0, 0, 100, 10, 0 });
}

static void cut_backwards(struct weft_sim *sim)
{
	weft_sim_cut_during(sim, NULL, NULL, 2, 1);
}

static void signal_nothing(struct weft_sim *sim)
{
	weft_sim_signal(sim, NULL, 0);
}

static void run_backwards(struct weft_sim *sim)
{
	weft_sim_run_for(sim, -WEFT_SECOND, 0);
}

static void run_longer(struct weft_sim *sim)
{
	weft_sim_run_for(sim, WEFT_SECOND, WEFT_SECOND);
}

static void add_host(struct weft_sim *sim)
{
	weft_sim_host(sim, "late", "10.0.1.2", serve, sim);
}

/* A world that cannot be ends the program, which says why. */
WF_TEST(impossible_worlds_are_refused)
{
	static const struct {
		void (*impossible)(struct weft_sim *sim);
		const char *text;
	} cases[] = {
		{ give_credit, "take a number from 1 to 64" },
		{ give_no_strategy, "weft_sim_strategy(3): there is no such strategy" },
		{ fail_with_a_sign,
		  "weft_sim_fail_nth(receive, ..., 104): an error is a negative" },
		{ fail_with_nothing, "weft_sim_fail_from(send, ..., 0): an error is a negative" },
		{ fail_before_the_first, "operations are counted from 1" },
		{ fail_the_unknown, "there is no operation 16" },
		{ link_backwards, "latency_min_ns is 2000, and latency_max_ns 1000" },
		{ link_in_the_past, "a latency of -1 to 0 ns is none" },
		{ link_small_segments, "segment_min is 100, and segment_max 10" },
		{ cut_backwards, "weft_sim_cut_during(2, 1): a cut ends after it has begun" },
		{ signal_nothing, "weft_sim_signal(0): there is no such signal" },
		{ run_backwards, "a time is not negative" },
	};

	bad_address = "10.0.0";
	(void)expect(misplaced, "--seeds 1", 1, "of the simulated host \"lost\" is none");
	bad_address = "192.168.0.1";
	(void)expect(misplaced, "--seeds 1", 1, "is not in 10.0.0.0/8");
	(void)expect(twins, "--seeds 1", 1, "\"second\" with the address 10.0.0.1: EADDRINUSE");
	(void)expect(crowd, "--seeds 1", 1, "is one too many; 64 are the most");
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		impossible = cases[i].impossible;
		(void)expect(attempt, "--seeds 1", 1, cases[i].text);
	}
}

/* What would change nothing in a run that has begun is refused there. */
WF_TEST(what_comes_too_late_is_refused)
{
	static const struct {
		void (*impossible)(struct weft_sim *sim);
		const char *call;
	} cases[] = {
		{ weft_sim_swarm, "weft_sim_swarm" },
		{ give_credit, "weft_sim_credit" },
		{ give_no_strategy, "weft_sim_strategy" },
		{ run_longer, "weft_sim_run_for" },
		{ add_host, "weft_sim_host" },
	};
	char text[100];

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		impossible = cases[i].impossible;
		snprintf(text, sizeof text, "%s comes too late, the run has begun", cases[i].call);
		(void)expect(attempt_too_late, "--seeds 1", 1, text);
	}
}

WF_MAIN("runtime/sim_world")
