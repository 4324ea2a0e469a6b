/* SPDX-License-Identifier: MIT */
/* What a scenario does to the links between its hosts, and the mishaps that it plans. */
#include "runtime/sim.h"

#include "base/assert.h"

/* ---- Links ----------------------------------------------------------------------------------- */

static weft_time at_least(weft_time time, weft_time least)
{
	return time > least ? time : least;
}

static weft_time at_most(weft_time time, weft_time most)
{
	return time < most ? time : most;
}

/* A bound that is given moves the default of the other one. */
struct wf_sim_link wf_world_link_of(const struct weft_sim_link *link)
{
	struct wf_sim_link of = {
		.latency_min_ns = link->latency_min_ns,
		.latency_max_ns = link->latency_max_ns,
		.bandwidth_bytes = link->bandwidth,
		.segment_min = link->segment_min ? link->segment_min : 1,
		.segment_max = link->segment_max ? link->segment_max : 1460,
		.capacity_bytes = link->capacity,
	};

	if (of.latency_max_ns == 0)
		of.latency_max_ns = at_least(2 * WEFT_MILLISECOND, of.latency_min_ns);
	if (of.latency_min_ns == 0)
		of.latency_min_ns = at_most(100 * WEFT_MICROSECOND, of.latency_max_ns);
	if (of.segment_max < of.segment_min)
		of.segment_max = of.segment_min;
	return of;
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

static void check_link(const struct weft_sim_link *link)
{
	if (link->latency_min_ns < 0 || link->latency_max_ns < 0)
		wf_panic("weft_sim_link_set: a latency of %lld to %lld ns is none; take 0 for the "
			 "default, or more",
			 (long long)link->latency_min_ns, (long long)link->latency_max_ns);
	if (link->latency_max_ns > 0 && link->latency_min_ns > link->latency_max_ns)
		wf_panic("weft_sim_link_set: latency_min_ns is %lld, and latency_max_ns %lld; make "
			 "the maximum the larger one, or leave it 0",
			 (long long)link->latency_min_ns, (long long)link->latency_max_ns);
	if (link->segment_max > 0 && link->segment_min > link->segment_max)
		wf_panic("weft_sim_link_set: segment_min is %u, and segment_max %u; make the "
			 "maximum the larger one, or leave it 0",
			 link->segment_min, link->segment_max);
}

static void set_link(struct weft_sim *sim, uint32_t from, uint32_t to, const void *link)
{
	wf_world_link(sim, from, to, link);
	sim->set_links[from] |= UINT64_C(1) << to;
}

void weft_sim_link_set(struct weft_sim *sim, struct weft_sim_host *from, struct weft_sim_host *to,
		       const struct weft_sim_link *link)
{
	check_link(link);
	wf_world_links(sim, from, to, set_link, link);
}

/*
 * Cuts of one link overlap: one that is planned lasts from its beginning to its end, one by hand until it
 * is healed by hand, which ends all there are. The link is cut as long as any of them is.
 */
static bool is_cut(const struct weft_sim *sim, uint32_t from, uint32_t to)
{
	bool is = sim->cut_links[from] >> to & 1;

	for (uint32_t i = 0; i < sim->mishaps.count && !is; i++) {
		const struct wf_mishap *mishap = &sim->mishaps.list[i];

		is = mishap->is_on && mishap->from == from && mishap->to == to;
	}
	return is;
}

static void cut_link(struct weft_sim *sim, uint32_t from, uint32_t to, const void *none)
{
	(void)none;
	sim->cut_links[from] |= UINT64_C(1) << to;
	wf_sim_net_cut(sim->world, from, to);
}

void weft_sim_cut(struct weft_sim *sim, struct weft_sim_host *from, struct weft_sim_host *to)
{
	wf_world_links(sim, from, to, cut_link, NULL);
}

static void heal_link(struct weft_sim *sim, uint32_t from, uint32_t to, const void *none)
{
	(void)none;
	sim->cut_links[from] &= ~(UINT64_C(1) << to);
	for (uint32_t i = 0; i < sim->mishaps.count; i++) {
		struct wf_mishap *mishap = &sim->mishaps.list[i];

		if (mishap->from == from && mishap->to == to)
			mishap->is_on = false;
	}
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
		wf_sim_grow(mishaps->list, mishaps->count, &mishaps->room, sizeof *mishaps->list);
	mishaps->list[mishaps->count++] = *mishap;
}

/* In a calm world none begins. */
static void begin_mishap(struct wf_sim *world, void *object, uint64_t number)
{
	struct weft_sim *sim = object;
	struct wf_mishap *mishap = &sim->mishaps.list[number];

	if (sim->is_calm)
		return;
	if (mishap->kind == WF_MISHAP_RESET) {
		wf_sim_net_reset(world, mishap->from, mishap->to);
		return;
	}
	mishap->is_on = true;
	wf_sim_net_cut(world, mishap->from, mishap->to);
}

static void end_cut(struct wf_sim *world, void *object, uint64_t number)
{
	const struct weft_sim *sim = object;
	struct wf_mishap *mishap = &sim->mishaps.list[number];

	if (!mishap->is_on)
		return;
	mishap->is_on = false;
	if (!is_cut(sim, mishap->from, mishap->to))
		wf_sim_net_heal(world, mishap->from, mishap->to);
}

void wf_world_plan(struct weft_sim *sim, uint32_t number)
{
	const struct wf_mishap *mishap = &sim->mishaps.list[number];

	if (mishap->kind == WF_MISHAP_FAULT) {
		wf_sim_fault_plan(sim->world, mishap->fault);
		return;
	}
	wf_sim_plan(sim->world, wf_world_time(sim, mishap->begin), begin_mishap, sim, number);
	if (mishap->kind == WF_MISHAP_CUT)
		wf_sim_plan(sim->world, wf_world_time(sim, mishap->end), end_cut, sim, number);
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
	if (begin > end)
		wf_panic("weft_sim_cut_during(%lld, %lld): a cut ends after it has begun; give "
			 "the earlier time first",
			 (long long)begin, (long long)end);
	wf_world_links(sim, from, to, plan_mishap,
		       &(struct wf_mishap){ .kind = WF_MISHAP_CUT, .begin = begin, .end = end });
}

void weft_sim_reset_at(struct weft_sim *sim, struct weft_sim_host *a, struct weft_sim_host *b,
		       weft_time time)
{
	wf_world_links(sim, a, b, plan_mishap,
		       &(struct wf_mishap){ .kind = WF_MISHAP_RESET, .begin = time });
}

/* What is no fault would be none, or would have an operation succeed that was never done. */
static void check_fault(const char *call, enum weft_sim_operation operation, uint64_t count,
			int error)
{
	if ((unsigned)operation > WEFT_SIM_ALLOCATE)
		wf_panic("%s: there is no operation %d; take one of enum weft_sim_operation", call,
			 (int)operation);
	if (count == 0)
		wf_panic("%s(%s, 0): operations are counted from 1", call,
			 wf_sim_op_name((enum wf_sim_op)operation));
	if (error == 0 || (error > 0 && operation != WEFT_SIM_SEND))
		wf_panic("%s(%s, ..., %d): an error is a negative number, like -ECONNRESET", call,
			 wf_sim_op_name((enum wf_sim_op)operation), error);
}

static void plan_fault(struct weft_sim *sim, const struct weft_sim_host *host,
		       enum weft_sim_operation operation, uint64_t count, int error,
		       bool and_all_after)
{
	check_fault(and_all_after ? "weft_sim_fail_from" : "weft_sim_fail_nth", operation, count,
		    error);
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
