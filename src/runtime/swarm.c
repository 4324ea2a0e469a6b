/* SPDX-License-Identifier: MIT */
/*
 * What the seed decides about a world, besides the faults of single operations (io/sim_fault.c): who runs
 * next, the links, and when they are cut and connections reset.
 *
 * Each kind has a generator of its own, and all is drawn before the run: so a run from which one kind is
 * taken away meets the rest unchanged.
 */
#include "runtime/sim.h"

#include "core/worker.h"

enum purpose { STRATEGY = 1, LINKS, MISHAPS, CREDIT };

static struct wf_random generator(const struct weft_sim *sim, enum purpose purpose)
{
	struct wf_random random;

	wf_random_seed(&random, sim->what->seed * 0x9e3779b97f4a7c15 + purpose);
	return random;
}

static uint64_t draw(struct wf_random *random, uint64_t min, uint64_t max)
{
	return min + wf_random_next(random) % (max - min + 1);
}

static bool one_in(struct wf_random *random, uint64_t count)
{
	return draw(random, 1, count) == 1;
}

/* Of any order of magnitude from 2^min to 2^max. */
static uint64_t draw_size(struct wf_random *random, uint64_t min, uint64_t max)
{
	uint64_t power = UINT64_C(1) << draw(random, min, max);

	return draw(random, power / 2, power);
}

/* ---- Who runs -------------------------------------------------------------------------------- */

/* For priorities, a few steps at which they change: early as often as late, as how many steps the run
 * will have is not known. */
static void set_strategy(struct weft_sim *sim)
{
	struct wf_random random = generator(sim, STRATEGY);
	struct wf_sim *world = sim->world;
	uint64_t strategy = draw(&random, WF_SIM_FIFO, WF_SIM_PCT);

	if (sim->what->plain_order)
		world->strategy = WF_SIM_FIFO;
	else if (!sim->has_strategy)
		world->strategy = (enum wf_sim_strategy)strategy;
	world->changes = (uint32_t)draw(&random, 0, WF_SIM_CHANGES_MAX);
	for (uint32_t i = 0; i < world->changes; i++)
		world->change_at[i] = draw_size(&random, 2, 16);
}

/* Small numbers are the ones that show what a task finds changed after a call that did not wait. */
static void set_credit(struct weft_sim *sim)
{
	struct wf_random random = generator(sim, CREDIT);
	bool is_small = one_in(&random, 2);
	uint32_t credit = (uint32_t)WF_CREDIT >> draw(&random, 0, 6);

	if (is_small && !sim->what->plain_order && !sim->has_credit)
		sim->credit = credit;
}

/* ---- Links ----------------------------------------------------------------------------------- */

static struct weft_sim_link draw_link(struct wf_random *random)
{
	struct weft_sim_link link = { 0 };

	link.latency_min_ns = (weft_time)draw_size(random, 10, 26); /* 1 us to 67 ms */
	link.latency_max_ns = link.latency_min_ns * (weft_time)draw(random, 1, 10);
	link.segment_max = (uint32_t)draw_size(random, 1, 12);
	if (one_in(random, 3))
		link.segment_min = link.segment_max;
	if (one_in(random, 4))
		link.bandwidth = draw_size(random, 13, 24);
	if (one_in(random, 3))
		link.capacity = (uint32_t)draw_size(random, 9, 16);
	return link;
}

/* In a plain world everything takes a millisecond, and arrives as it was sent. */
static const struct weft_sim_link plain_link = {
	.latency_min_ns = WEFT_MILLISECOND,
	.latency_max_ns = WEFT_MILLISECOND,
	.segment_min = 1 << 20,
};

static void set_links(struct weft_sim *sim)
{
	struct wf_random random = generator(sim, LINKS);
	bool harsh = one_in(&random, 2);

	if (!sim->has_resets && !sim->what->plain_links)
		sim->world->net.harsh_resets = harsh;
	for (uint32_t a = 0; a < sim->host_count; a++)
		for (uint32_t b = 0; b < sim->host_count; b++) {
			struct weft_sim_link link = draw_link(&random);

			if (a != b && !(sim->set_links[a] >> b & 1))
				wf_world_link(sim, a, b,
					      sim->what->plain_links ? &plain_link : &link);
		}
}

/* ---- Cuts and resets ------------------------------------------------------------------------- */

/* A cut lasts from some milliseconds to half of the run. */
static void draw_mishap(struct weft_sim *sim, struct wf_random *random, weft_time duration)
{
	uint32_t a = (uint32_t)draw(random, 0, sim->host_count - 1);
	uint32_t b = (a + (uint32_t)draw(random, 1, sim->host_count - 1)) % sim->host_count;
	weft_time begin = (weft_time)draw(random, 0, (uint64_t)duration);
	weft_time length = (weft_time)draw_size(random, 20, 40) % (duration / 2 + 1);
	uint64_t kind = draw(random, 0, 2);
	struct wf_mishap mishap = { .kind = kind == 0 ? WF_MISHAP_RESET : WF_MISHAP_CUT,
				    .from = (uint8_t)a,
				    .to = (uint8_t)b,
				    .begin = begin,
				    .end = begin + length };

	wf_mishaps_add(&sim->mishaps, &mishap);
	if (kind != 2)
		return;
	mishap.from = (uint8_t)b;
	mishap.to = (uint8_t)a;
	wf_mishaps_add(&sim->mishaps, &mishap);
}

static void draw_mishaps(struct weft_sim *sim)
{
	struct wf_random random = generator(sim, MISHAPS);
	weft_time duration =
		sim->duration_ns < 3600 * WEFT_SECOND ? sim->duration_ns : 60 * WEFT_SECOND;
	uint64_t count = one_in(&random, 3) ? 0 : draw(&random, 1, 6);

	if (sim->host_count < 2)
		return;
	for (uint64_t i = 0; i < count; i++)
		draw_mishap(sim, &random, duration);
}

static void add_planned(struct weft_sim *sim)
{
	for (uint32_t i = 0; i < sim->what->mishap_count; i++)
		wf_mishaps_add(&sim->mishaps, &sim->what->mishaps[i]);
}

void wf_swarm(struct weft_sim *sim)
{
	set_strategy(sim);
	sim->own_mishaps = sim->mishaps.count;
	if (sim->is_swarm) {
		set_credit(sim);
		set_links(sim);
		if (!sim->what->is_planned) {
			wf_sim_swarm(sim->world);
			draw_mishaps(sim);
		}
	}
	if (sim->what->is_planned)
		add_planned(sim);
	for (uint32_t i = sim->own_mishaps; i < sim->mishaps.count; i++)
		wf_world_plan(sim, i);
}
