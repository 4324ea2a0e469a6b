/* SPDX-License-Identifier: MIT */
/* What a scenario does to the links between its hosts, and the mishaps that it plans. */
#include "runtime/sim.h"

/* ---- Links ----------------------------------------------------------------------------------- */

struct wf_sim_link wf_world_link_of(const struct weft_sim_link *link)
{
	weft_time min = link->latency_min_ns ? link->latency_min_ns : 100 * WEFT_MICROSECOND;
	weft_time max = link->latency_max_ns ? link->latency_max_ns : 2 * WEFT_MILLISECOND;
	uint32_t segment_min = link->segment_min ? link->segment_min : 1;
	uint32_t segment_max = link->segment_max ? link->segment_max : 1460;

	return (struct wf_sim_link){
		.latency_min_ns = min,
		.latency_max_ns = max > min ? max : min,
		.bandwidth_bytes = link->bandwidth,
		.segment_min = segment_min,
		.segment_max = segment_max > segment_min ? segment_max : segment_min,
		.capacity_bytes = link->capacity,
	};
}

void wf_world_link(struct weft_sim *sim, uint32_t from, uint32_t to,
		   const struct weft_sim_link *link)
{
	struct wf_sim_link *old = wf_sim_net_link(&sim->world->net, from, to);
	struct wf_sim_link new = wf_world_link_of(link);

	/* What is on the way, and whether it is cut, stays. */
	old->latency_min_ns = new.latency_min_ns;
	old->latency_max_ns = new.latency_max_ns;
	old->bandwidth_bytes = new.bandwidth_bytes;
	old->segment_min = new.segment_min;
	old->segment_max = new.segment_max;
	old->capacity_bytes = new.capacity_bytes;
}

static void set_link(struct weft_sim *sim, uint32_t from, uint32_t to, const void *link)
{
	wf_world_link(sim, from, to, link);
	sim->set_links[from] |= UINT64_C(1) << to;
}

void weft_sim_link_set(struct weft_sim *sim, struct weft_sim_host *from, struct weft_sim_host *to,
		       const struct weft_sim_link *link)
{
	wf_world_links(sim, from, to, set_link, link);
}

static void cut_link(struct weft_sim *sim, uint32_t from, uint32_t to, const void *none)
{
	(void)none;
	wf_sim_net_cut(sim->world, from, to);
}

void weft_sim_cut(struct weft_sim *sim, struct weft_sim_host *from, struct weft_sim_host *to)
{
	wf_world_links(sim, from, to, cut_link, NULL);
}

static void heal_link(struct weft_sim *sim, uint32_t from, uint32_t to, const void *none)
{
	(void)none;
	wf_sim_net_heal(sim->world, from, to);
}

void weft_sim_heal(struct weft_sim *sim, struct weft_sim_host *from, struct weft_sim_host *to)
{
	wf_world_links(sim, from, to, heal_link, NULL);
}

void weft_sim_partition(struct weft_sim *sim, struct weft_sim_host *a, struct weft_sim_host *b)
{
	weft_sim_cut(sim, a, b);
	weft_sim_cut(sim, b, a);
}

void weft_sim_rejoin(struct weft_sim *sim, struct weft_sim_host *a, struct weft_sim_host *b)
{
	weft_sim_heal(sim, a, b);
	weft_sim_heal(sim, b, a);
}

static void reset_link(struct weft_sim *sim, uint32_t a, uint32_t b, const void *none)
{
	(void)none;
	wf_sim_net_reset(sim->world, a, b);
}

void weft_sim_reset(struct weft_sim *sim, struct weft_sim_host *a, struct weft_sim_host *b)
{
	wf_world_links(sim, a, b, reset_link, NULL);
}

void weft_sim_harsh_resets(struct weft_sim *sim, bool harsh)
{
	sim->world->net.harsh_resets = harsh;
	sim->has_resets = true;
}

/* ---- Mishaps --------------------------------------------------------------------------------- */

void wf_mishaps_add(struct wf_mishaps *mishaps, const struct wf_mishap *mishap)
{
	mishaps->list =
		wf_world_room(mishaps->list, mishaps->count, &mishaps->room, sizeof *mishaps->list);
	mishaps->list[mishaps->count++] = *mishap;
}

/* In a calm world none begins. */
static void begin_mishap(struct wf_sim *world, void *object, uint64_t number)
{
	struct weft_sim *sim = object;
	const struct wf_mishap *mishap = &sim->mishaps.list[number];

	if (sim->is_calm)
		return;
	if (mishap->kind == WF_MISHAP_CUT)
		wf_sim_net_cut(world, mishap->from, mishap->to);
	else
		wf_sim_net_reset(world, mishap->from, mishap->to);
}

static void end_mishap(struct wf_sim *world, void *object, uint64_t number)
{
	const struct weft_sim *sim = object;
	const struct wf_mishap *mishap = &sim->mishaps.list[number];

	wf_sim_net_heal(world, mishap->from, mishap->to);
}

void wf_world_plan(struct weft_sim *sim, uint32_t number)
{
	const struct wf_mishap *mishap = &sim->mishaps.list[number];

	if (mishap->kind == WF_MISHAP_FAULT) {
		wf_sim_fault_plan(sim->world, mishap->fault);
		return;
	}
	wf_sim_plan(sim->world, sim->begun + mishap->begin, begin_mishap, sim, number);
	if (mishap->kind == WF_MISHAP_CUT)
		wf_sim_plan(sim->world, sim->begun + mishap->end, end_mishap, sim, number);
}

static void plan_mishap(struct weft_sim *sim, uint32_t from, uint32_t to, const void *like)
{
	struct wf_mishap mishap = *(const struct wf_mishap *)like;

	mishap.from = (uint8_t)from;
	mishap.to = (uint8_t)to;
	wf_mishaps_add(&sim->mishaps, &mishap);
	wf_world_plan(sim, sim->mishaps.count - 1);
}

void weft_sim_cut_during(struct weft_sim *sim, struct weft_sim_host *from, struct weft_sim_host *to,
			 weft_time begin, weft_time end)
{
	wf_world_links(sim, from, to, plan_mishap,
		       &(struct wf_mishap){ .kind = WF_MISHAP_CUT, .begin = begin, .end = end });
}

void weft_sim_reset_at(struct weft_sim *sim, struct weft_sim_host *a, struct weft_sim_host *b,
		       weft_time time)
{
	wf_world_links(sim, a, b, plan_mishap,
		       &(struct wf_mishap){ .kind = WF_MISHAP_RESET, .begin = time });
}

static void plan_fault(struct weft_sim *sim, const struct weft_sim_host *host,
		       enum weft_sim_operation operation, uint64_t count, int error,
		       bool and_all_after)
{
	wf_sim_fault_plan(sim->world, (struct wf_sim_fault){
					      .count = count,
					      .error = error,
					      .op = (uint8_t)operation,
					      .host = host ? host->number : WF_SIM_ANY_HOST,
					      .and_all_after = and_all_after,
				      });
}

void weft_sim_fail_nth(struct weft_sim *sim, struct weft_sim_host *host,
		       enum weft_sim_operation operation, uint64_t count, int error)
{
	plan_fault(sim, host, operation, count, error, false);
}

void weft_sim_fail_from(struct weft_sim *sim, struct weft_sim_host *host,
			enum weft_sim_operation operation, uint64_t count, int error)
{
	plan_fault(sim, host, operation, count, error, true);
}

void weft_sim_calm(struct weft_sim *sim)
{
	weft_sim_heal(sim, NULL, NULL);
	sim->world->faults.is_over = true;
	sim->is_calm = true;
}
