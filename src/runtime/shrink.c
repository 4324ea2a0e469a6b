/* SPDX-License-Identifier: MIT */
#include "runtime/shrink.h"

#include "base/assert.h"
#include "core/worker.h"
#include "runtime/jobs.h"
#include "runtime/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TRIES_MAX = 5000, MOVE_MOST = 8, MOVE_AMONG = 16, EXIT_SHRUNK = 1 };

struct shrinking {
	struct wf_case what;	  /* the smallest that fails, its list of mishaps being `mishaps` */
	struct wf_outcome wanted; /* as which it must fail */
	struct wf_mishaps mishaps;
	struct wf_mishap *rest; /* room for a part of them */
	uint32_t tries, seconds;
};

/* ---- Trying ---------------------------------------------------------------------------------- */

static bool is_same(const struct wf_outcome *a, const struct wf_outcome *b)
{
	return a->failure == b->failure && strcmp(a->text, b->text) == 0 &&
	       strcmp(a->site, b->site) == 0;
}

static bool fails_so(struct shrinking *shrinking, const struct wf_case *what)
{
	static struct wf_failed failed; /* too large for a small stack */

	return shrinking->tries++ < TRIES_MAX &&
	       wf_batch_try(what, shrinking->seconds, &failed, NULL) == 0 &&
	       is_same(&failed.outcome, &shrinking->wanted);
}

/* Leaves out the mishaps from one number to another, if the run still fails. */
static bool leave_out(struct shrinking *shrinking, uint32_t from, uint32_t to)
{
	struct wf_mishaps *all = &shrinking->mishaps;
	struct wf_case what = shrinking->what;

	memcpy(shrinking->rest, all->list, from * sizeof *all->list);
	memcpy(shrinking->rest + from, all->list + to, (all->count - to) * sizeof *all->list);
	what.mishaps = shrinking->rest;
	what.mishap_count = all->count - (to - from);
	if (!fails_so(shrinking, &what))
		return false;
	all->count = what.mishap_count;
	memcpy(all->list, shrinking->rest, all->count * sizeof *all->list);
	return true;
}

/* Leaves out one of so many parts; false if each is needed. */
static bool leave_out_part(struct shrinking *shrinking, uint32_t parts)
{
	uint32_t count = shrinking->mishaps.count;

	for (uint32_t i = 0; i < parts; i++)
		if (leave_out(shrinking, (uint32_t)((uint64_t)count * i / parts),
			      (uint32_t)((uint64_t)count * (i + 1) / parts)))
			return true;
	return false;
}

static void minimise(struct shrinking *shrinking)
{
	uint32_t parts = 2;

	if (shrinking->mishaps.count == 0 || leave_out(shrinking, 0, shrinking->mishaps.count))
		return;
	while (shrinking->mishaps.count > 1 && parts <= shrinking->mishaps.count) {
		uint32_t count = shrinking->mishaps.count;

		if (leave_out_part(shrinking, parts))
			parts = parts > 2 ? parts - 1 : 2;
		else if (parts == count)
			break;
		else
			parts = 2 * parts < count ? 2 * parts : count;
	}
}

/* Without one mishap there are more or fewer operations, and another fault may hit the wrong one: so it is
 * tried sooner and later. */
static bool leave_out_and_move(struct shrinking *shrinking, uint32_t out, uint32_t moved)
{
	struct wf_mishap *mishap = &shrinking->mishaps.list[moved];
	const struct wf_mishap before = *mishap;

	if (out == moved || mishap->kind != WF_MISHAP_FAULT)
		return false;
	for (uint64_t by = 1; by <= MOVE_MOST; by++) {
		mishap->fault.count = before.fault.count + by;
		if (leave_out(shrinking, out, out + 1))
			return true;
		mishap->fault.count = before.fault.count - by;
		if (by < before.fault.count && leave_out(shrinking, out, out + 1))
			return true;
	}
	*mishap = before;
	return false;
}

static bool leave_out_one(struct shrinking *shrinking)
{
	uint32_t count = shrinking->mishaps.count;

	for (uint32_t out = 0; out < count && count <= MOVE_AMONG; out++)
		for (uint32_t moved = 0; moved < count; moved++)
			if (leave_out_and_move(shrinking, out, moved))
				return true;
	return false;
}

static void make_plain(struct shrinking *shrinking, struct wf_case what)
{
	what.mishaps = shrinking->mishaps.list;
	what.mishap_count = shrinking->mishaps.count;
	if (fails_so(shrinking, &what))
		shrinking->what = what;
}

static void shrink(struct shrinking *shrinking)
{
	struct wf_case what;

	minimise(shrinking);
	while (leave_out_one(shrinking))
		minimise(shrinking);
	what = shrinking->what;
	what.plain_order = true;
	make_plain(shrinking, what);
	what = shrinking->what;
	what.plain_links = true;
	make_plain(shrinking, what);
	minimise(shrinking); /* a plain world may need less */
	shrinking->what.mishaps = shrinking->mishaps.list;
	shrinking->what.mishap_count = shrinking->mishaps.count;
}

/* ---- Printing: what can be pasted into the scenario in place of weft_sim_swarm ------------------ */

/* The constant of weft/sim.h. */
static void print_operation(uint8_t op)
{
	printf("WEFT_SIM_");
	for (const char *name = wf_sim_op_name(op); *name; name++)
		putchar(*name >= 'a' && *name <= 'z' ? *name - 'a' + 'A' : *name);
}

static void print_fault(const struct weft_sim *sim, const struct wf_sim_fault *fault)
{
	printf("\tweft_sim_fail_nth(sim, %s, ",
	       fault->host < sim->host_count ? sim->hosts[fault->host].name : "NULL");
	print_operation(fault->op);
	if (fault->error < 0)
		printf(", %" PRIu64 ", -%s);\n", fault->count, weft_error_name(fault->error));
	else
		printf(", %" PRIu64 ", %d);\n", fault->count, fault->error);
}

static void print_mishap(const struct weft_sim *sim, const struct wf_mishap *mishap)
{
	const char *from = sim->hosts[mishap->from].name, *to = sim->hosts[mishap->to].name;

	switch (mishap->kind) {
	case WF_MISHAP_FAULT:
		print_fault(sim, &mishap->fault);
		break;
	case WF_MISHAP_CUT:
		printf("\tweft_sim_cut_during(sim, %s, %s, %" PRId64 ", %" PRId64 ");\n", from, to,
		       mishap->begin, mishap->end);
		break;
	case WF_MISHAP_RESET:
		printf("\tweft_sim_reset_at(sim, %s, %s, %" PRId64 ");\n", from, to, mishap->begin);
		break;
	}
}

static void print_link(const struct weft_sim *sim, uint32_t from, uint32_t to)
{
	const struct wf_sim_link *link = wf_sim_net_link(&sim->world->net, from, to);

	if (from == to || sim->set_links[from] >> to & 1)
		return;
	printf("\tweft_sim_link_set(sim, %s, %s, &(struct weft_sim_link){ %" PRId64 ", %" PRId64
	       ", %" PRIu64 ", %u, %u, %u });\n",
	       sim->hosts[from].name, sim->hosts[to].name, link->latency_min_ns,
	       link->latency_max_ns, link->bandwidth_bytes, link->segment_min, link->segment_max,
	       link->capacity_bytes);
}

static void print_world(const struct weft_sim *sim)
{
	static const char *const strategies[] = { "FIFO", "RANDOM", "PCT" };

	printf("\tweft_sim_strategy(sim, WEFT_SIM_%s);\n", strategies[sim->world->strategy]);
	if (sim->credit != WF_CREDIT)
		printf("\tweft_sim_credit(sim, %u);\n", sim->credit);
	if (sim->world->net.harsh_resets)
		printf("\tweft_sim_harsh_resets(sim, true);\n");
	for (uint32_t a = 0; sim->is_swarm && a < sim->host_count; a++)
		for (uint32_t b = 0; b < sim->host_count; b++)
			print_link(sim, a, b);
}

/* The world is made once more, and not run, to know what is in it. */
static void print_case(const struct wf_case *what)
{
	static struct weft_sim sim; /* too large for a small stack */
	struct wf_outcome outcome;

	wf_world_init(&sim, what, &outcome);
	what->scenario(&sim);
	wf_swarm(&sim);
	print_world(&sim);
	for (uint32_t i = 0; i < what->mishap_count; i++)
		print_mishap(&sim, &what->mishaps[i]);
	wf_world_done(&sim);
}

static void print_result(const struct shrinking *shrinking, uint32_t recorded)
{
	printf("%u of %u mishaps make seed %" PRIu64 " fail, after %u tries (%s: %s).\n"
	       "Put this in place of weft_sim_swarm(sim), with the names that your hosts have, and "
	       "replay the seed:\n\n",
	       shrinking->mishaps.count, recorded, shrinking->what.seed, shrinking->tries,
	       wf_failure_name(shrinking->wanted.failure), shrinking->wanted.text);
	print_case(&shrinking->what);
}

int wf_shrink(weft_sim_scenario *scenario, uint64_t seed, uint32_t seconds)
{
	struct shrinking shrinking = { .what = { .scenario = scenario, .seed = seed },
				       .seconds = seconds };
	static struct wf_failed failed; /* too large for a small stack */
	uint32_t recorded;
	int status = EXIT_SHRUNK;

	if (wf_batch_try(&shrinking.what, seconds, &failed, &shrinking.mishaps) < 0 ||
	    failed.outcome.failure == WF_FAILURE_NONE) {
		printf("seed %" PRIu64 " does not fail\n", seed);
		free(shrinking.mishaps.list);
		return 0;
	}
	shrinking.wanted = failed.outcome;
	recorded = shrinking.mishaps.count;
	shrinking.rest = malloc((recorded + 1) * sizeof *shrinking.rest);
	if (!shrinking.rest)
		wf_panic("the simulator has no memory");
	shrinking.what.is_planned = true;
	shrinking.what.mishaps = shrinking.mishaps.list;
	shrinking.what.mishap_count = recorded;
	if (fails_so(&shrinking, &shrinking.what)) {
		shrink(&shrinking);
		print_result(&shrinking, recorded);
	} else
		printf("seed %" PRIu64
		       " does not fail in the same way with its %u mishaps as a plan; it "
		       "cannot be shrunk\n",
		       seed, recorded);
	free(shrinking.rest);
	free(shrinking.mishaps.list);
	return status;
}
