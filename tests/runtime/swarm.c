/* SPDX-License-Identifier: MIT */
/* What swarm mode draws from a seed, and what of the scenario it leaves alone. */
#include "core/worker.h"
#include "harness/harness.h"
#include "runtime/trial.h"

enum { SEEDS = 100, MISHAPS_MAX = 12 };

static int succeed(void *arg)
{
	(void)arg;
	return 0;
}

static void two_hosts(struct weft_sim *sim)
{
	weft_sim_host(sim, "first", "10.0.0.1", succeed, NULL);
	weft_sim_host(sim, "second", "10.0.0.2", succeed, NULL);
	weft_sim_swarm(sim);
}

/* Sets a world up as a run of the case does. */
static void set_up(struct weft_sim *sim, const struct wf_case *what)
{
	static struct wf_outcome outcome;

	wf_world_init(sim, what, &outcome);
	what->scenario(sim);
	wf_swarm(sim);
}

static void check_mishap(const struct weft_sim *sim, const struct wf_mishap *mishap)
{
	ck_assert_uint_lt(mishap->from, sim->host_count);
	ck_assert_uint_lt(mishap->to, sim->host_count);
	ck_assert_uint_ne(mishap->from, mishap->to);
	ck_assert_int_ge(mishap->begin, 0);
	ck_assert_int_le(mishap->begin, 60 * WEFT_SECOND);
	ck_assert(mishap->kind == WF_MISHAP_RESET || mishap->end >= mishap->begin);
}

/* Some seeds bring cuts and resets, within the time of the run, and all of them are planned. */
WF_TEST(cuts_and_resets_are_drawn)
{
	uint32_t kinds[WF_MISHAP_RESET + 1] = { 0 }, quiet = 0;
	static struct weft_sim sim;

	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct wf_case what = { .scenario = two_hosts, .seed = seed };
		uint32_t events = 0;

		set_up(&sim, &what);
		ck_assert_uint_le(sim.mishaps.count, MISHAPS_MAX);
		for (uint32_t i = 0; i < sim.mishaps.count; i++) {
			check_mishap(&sim, &sim.mishaps.list[i]);
			kinds[sim.mishaps.list[i].kind]++;
			events += sim.mishaps.list[i].kind == WF_MISHAP_CUT ? 2 : 1;
		}
		ck_assert_uint_eq(sim.world->event_count, events);
		quiet += sim.mishaps.count == 0;
		wf_world_done(&sim);
	}
	ck_assert_uint_gt(kinds[WF_MISHAP_CUT], SEEDS / 2);
	ck_assert_uint_gt(kinds[WF_MISHAP_RESET], SEEDS / 4);
	ck_assert_uint_eq(kinds[WF_MISHAP_FAULT], 0);
	ck_assert(quiet > SEEDS / 10 && quiet < SEEDS / 2);
}

/* In how many of the seeds the world has each of these. */
struct tally {
	uint32_t small_credits, harsh, orders[WF_SIM_PCT + 1];
};

static struct tally tally_of(struct wf_case what)
{
	static struct weft_sim sim;
	struct tally tally = { 0 };

	for (what.seed = 1; what.seed <= SEEDS; what.seed++) {
		set_up(&sim, &what);
		tally.small_credits += sim.credit < WF_CREDIT;
		tally.harsh += sim.world->net.harsh_resets;
		tally.orders[sim.world->strategy]++;
		wf_world_done(&sim);
	}
	return tally;
}

/* Left to the seeds, all of that comes. */
WF_TEST(seeds_differ)
{
	struct tally tally = tally_of((struct wf_case){ .scenario = two_hosts });

	ck_assert(tally.small_credits > SEEDS / 5 && tally.small_credits < SEEDS);
	ck_assert(tally.harsh > SEEDS / 5 && tally.harsh < SEEDS);
	for (int i = 0; i <= WF_SIM_PCT; i++)
		ck_assert_uint_gt(tally.orders[i], SEEDS / 5);
}

static void decided(struct weft_sim *sim)
{
	two_hosts(sim);
	weft_sim_credit(sim, WF_CREDIT);
	weft_sim_harsh_resets(sim, false);
	weft_sim_strategy(sim, WEFT_SIM_RANDOM);
}

static void decided_otherwise(struct weft_sim *sim)
{
	two_hosts(sim);
	weft_sim_credit(sim, 1);
	weft_sim_harsh_resets(sim, true);
	weft_sim_strategy(sim, WEFT_SIM_PCT);
}

/* What the scenario has decided no seed changes. */
WF_TEST(scenario_decides)
{
	struct tally tally = tally_of((struct wf_case){ .scenario = decided });

	ck_assert_uint_eq(tally.small_credits, 0);
	ck_assert_uint_eq(tally.harsh, 0);
	ck_assert_uint_eq(tally.orders[WF_SIM_RANDOM], SEEDS);
	tally = tally_of((struct wf_case){ .scenario = decided_otherwise });
	ck_assert_uint_eq(tally.small_credits, SEEDS);
	ck_assert_uint_eq(tally.harsh, SEEDS);
	ck_assert_uint_eq(tally.orders[WF_SIM_PCT], SEEDS);
}

/* A plain world has the order of production, and no other resets. */
WF_TEST(plain_world_is_plain)
{
	struct tally tally = tally_of((struct wf_case){
		.scenario = two_hosts, .plain_order = true, .plain_links = true });

	ck_assert_uint_eq(tally.small_credits, 0);
	ck_assert_uint_eq(tally.harsh, 0);
	ck_assert_uint_eq(tally.orders[WF_SIM_FIFO], SEEDS);
}

/* With mishaps as a plan, those are the only ones. */
WF_TEST(plan_is_all)
{
	static const struct wf_mishap planned = {
		.kind = WF_MISHAP_CUT, .from = 1, .begin = 1, .end = 2
	};
	static struct weft_sim sim;

	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct wf_case what = { .scenario = two_hosts,
					.seed = seed,
					.is_planned = true,
					.mishaps = &planned,
					.mishap_count = 1 };

		set_up(&sim, &what);
		ck_assert_uint_eq(sim.mishaps.count, 1);
		ck_assert_uint_eq(sim.mishaps.list[0].from, 1);
		ck_assert_uint_eq(sim.world->event_count, 2);
		ck_assert(!sim.world->faults.is_swarm);
		wf_world_done(&sim);
	}
}

WF_MAIN("runtime/swarm")
