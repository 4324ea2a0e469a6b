/* SPDX-License-Identifier: MIT */
/* Properties that must hold once in all runs together. They are those of a whole program: so this is one. */
#include "runtime/simulation.h"

static int hope(void *sim)
{
	weft_sometimes(weft_sim_choose(sim, 1, 10) == 11, "eleven comes");
	weft_sometimes(weft_sim_choose(sim, 1, 10) == 7, "seven comes");
	if (weft_sim_choose(sim, 1, 10) == 11)
		weft_reachable("behind eleven");
	return 0;
}

static void hoping(struct weft_sim *sim)
{
	weft_sim_host(sim, "lonely", "10.0.0.1", hope, sim);
}

/* What never held, and what was never reached, fails the whole: once enough seeds have been run. */
WF_TEST(hope_must_come_true)
{
	const char *text;

	text = expect(hoping, "--seeds 1..100 --jobs 2", 1, "never held: eleven comes, at tests/");
	ck_assert_ptr_nonnull(strstr(text, "never reached: behind eleven"));
	ck_assert_ptr_null(strstr(text, "seven comes"));
	(void)expect(hoping, "--seeds 1..99", 0, "0 failed");
	(void)expect(hoping, "--seeds 1..99 --check-determinism", 0, "99 runs");
}

static bool is_hopeful;

static int hope_for_little(void *arg)
{
	(void)arg;
	weft_sometimes(is_hopeful, "there is hope");
	return 0;
}

static void hoping_for_little(struct weft_sim *sim)
{
	weft_sim_host(sim, "lonely", "10.0.0.1", hope_for_little, sim);
}

/* What held in an earlier call of weft_sim_main says nothing of the next one. */
WF_TEST(each_call_counts_anew)
{
	char words[] = "--replay 1 --quiet", *arguments[ARGUMENTS_MAX];
	int count = split(words, arguments);

	is_hopeful = true;
	ck_assert_int_eq(weft_sim_main(count, arguments, hoping_for_little), 0);
	is_hopeful = false;
	(void)expect(hoping_for_little, "--seeds 1..100", 1, "never held: there is hope");
}

static int evaluated;

/* In a program that is not simulated a condition is not evaluated. */
WF_TEST(points_cost_nothing_in_production)
{
	weft_always(evaluated++, "never looked at");
	weft_sometimes(evaluated++, "never looked at");
	ck_assert_int_eq(evaluated, 0);
}

WF_MAIN("runtime/sim_points")
