/* SPDX-License-Identifier: MIT */
/* Failing seeds are shrunk to what they need. */
#include "runtime/lonely.h"
#include "runtime/sim.h"

#include <signal.h>

/* Which has a bug that two mishaps together bring out. */
static void promising(struct weft_sim *sim)
{
	asking_in_swarm(sim);
	promises = true;
}

/* Shrinks the failing seeds that are reported, to so many mishaps or fewer; returns from how many at
 * most. */
static int shrink_all(weft_sim_scenario *scenario, const char *seeds, int fewest)
{
	char report[65536], command[300], count[256];
	int most = 0;

	strcpy(report, expect(scenario, seeds, 1, "always: "));
	for (const char *line = report; (line = strstr(line, "seed=")); line++) {
		const char *text;

		snprintf(command, sizeof command, "--shrink --replay %d", atoi(line + 5));
		text = expect(scenario, command, 1, "weft_sim_strategy(sim, WEFT_SIM_");
		ck_assert_int_le(atoi(text), fewest);
		ck_assert_ptr_nonnull(strstr(text, "\tweft_sim_fail_nth(sim, "));
		after(text, " of ", count);
		most = atoi(count) > most ? atoi(count) : most;
	}
	return most;
}

/* Of dozens of mishaps the two that a failure needs are found. */
WF_TEST(failure_shrinks_to_what_it_needs)
{
	ck_assert_int_ge(shrink_all(promising, "--seeds 1..1000", 3), 24);
}

static int crash_of_reset(void *arg)
{
	int r = ask_often(arg);

	if (was_reset)
		(void)raise(SIGKILL);
	return r;
}

static void crashing(struct weft_sim *sim)
{
	was_reset = false;
	weft_sim_host(sim, "server", "10.0.0.1", serve, NULL);
	weft_sim_host(sim, "client", "10.0.0.2", crash_of_reset, NULL);
	weft_sim_swarm(sim);
	weft_sim_run_for(sim, 60 * WEFT_SECOND, 600 * WEFT_SECOND);
}

/* What went wrong before a crash is known, too: here it takes one mishap. */
WF_TEST(crash_shrinks)
{
	const char *text = expect(crashing, "--seeds 1..200 --shrink", 1, "crash: signal 9");

	ck_assert_ptr_nonnull(strstr(text, "\n1 of "));
	ck_assert_ptr_nonnull(strstr(text, "-EHOSTUNREACH);"));
}

static int listen_often(void *arg)
{
	struct weft_listener *listeners[20];
	int failures = 0, successes = 0;

	(void)arg;
	for (int i = 0; i < 20; i++) {
		int r = weft_listen("10.0.0.1:0", NULL, &listeners[successes]);

		weft_always(r == 0 || successes != 3 || failures == 0, "not after three");
		failures += r < 0;
		successes += r == 0;
	}
	for (int i = 0; i < successes; i++)
		weft_listener_close(listeners[i]);
	return 0;
}

/* A mishap that is not needed is left out, though another one must then hit an earlier operation. */
WF_TEST(mishaps_are_moved)
{
	function = listen_often;
	ck_assert_int_ge(shrink_all(lonely_in_swarm, "--seeds 2001..4000", 2), 3);
}

static int leak_on_failure(void *arg)
{
	(void)arg;
	for (int i = 0; i < 40; i++) {
		struct weft_listener *kept, *second;

		if (weft_listen("10.0.0.1:0", NULL, &kept) < 0)
			continue;
		if (weft_listen("10.0.0.1:0", NULL, &second) < 0)
			continue; /* without closing the first */
		weft_listener_close(second);
		weft_listener_close(kept);
	}
	return 0;
}

/* A failure is the same one when less is left: the number of what leaks is no part of it. */
WF_TEST(leak_shrinks)
{
	function = leak_on_failure;
	(void)expect(lonely_in_swarm, "--seeds 1..60 --jobs 1 --shrink", 1, "\n1 of ");
}

static void three_in_swarm(struct weft_sim *sim)
{
	weft_sim_host(sim, "node", "10.0.0.1", succeed, NULL);
	weft_sim_host(sim, "node", "10.0.0.2", give_up, NULL);
	weft_sim_host(sim, "judge", "10.0.0.3", succeed, NULL);
	weft_sim_swarm(sim);
}

static void three_with_a_link(struct weft_sim *sim)
{
	static const struct weft_sim_link link = { .latency_min_ns = WEFT_SECOND };

	three_in_swarm(sim);
	weft_sim_link_set(sim, NULL, sim->hosts, &link);
}

/* A plain world is told in one line. Where the scenario has set a link the others are told one by one, and
 * hosts of one name by their addresses. */
WF_TEST(plain_links_are_printed)
{
	static const char plain[] =
		"&(struct weft_sim_link){ 1000000, 1000000, 0, 1048576, 1048576, 0 });\n";
	const char *text = expect(three_in_swarm, "--replay 1 --shrink", 1,
				  "\tweft_sim_link_set(sim, NULL, NULL, &");
	char line[256];

	ck_assert_str_eq(strstr(text, "&(struct"), plain);
	text = expect(three_with_a_link, "--replay 1 --shrink", 1, "");
	snprintf(line, sizeof line, "\tweft_sim_link_set(sim, judge, node /* 10.0.0.2 */, %s",
		 plain);
	ck_assert_ptr_nonnull(strstr(text, line));
	ck_assert_ptr_null(strstr(text, "NULL"));
	ck_assert_ptr_null(strstr(text, "10.0.0.1 */, &"));
}

/* What a run fails of by itself needs no mishap. */
WF_TEST(failure_without_mishaps_shrinks_to_none)
{
	function = give_up;
	(void)expect(lonely, "--replay 5 --shrink", 1, "0 of 0 mishaps make seed 5 fail");
}

/* A seed that does not fail is not shrunk. */
WF_TEST(sound_seed_is_not_shrunk)
{
	function = succeed;
	(void)expect(lonely, "--replay 5 --shrink", 0, "seed 5 does not fail");
}

WF_MAIN("runtime/sim_shrink")
