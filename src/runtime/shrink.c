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

/* Less going wrong changes how many things are left, and not what happens to them. */
static bool is_same_but_for_numbers(const char *a, const char *b)
{
	static const char digits[] = "0123456789";

	for (;; a++, b++) {
		a += strspn(a, digits);
		b += strspn(b, digits);
		if (*a != *b || !*a)
			return *a == *b;
	}
}

static bool is_same(const struct wf_outcome *a, const struct wf_outcome *b)
{
	return a->failure == b->failure && is_same_but_for_numbers(a->text, b->text) &&
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

static bool is_namesake(const struct weft_sim *sim, uint32_t number)
{
	for (uint32_t i = 0; i < sim->host_count; i++)
		if (i != number && strcmp(sim->hosts[i].name, sim->hosts[number].name) == 0)
			return true;
	return false;
}

/* The name that it has; one that others have, too, says little. */
static void print_host(const struct weft_sim *sim, uint32_t number)
{
	uint32_t ipv4 = number < sim->host_count ? sim->world->net.hosts[number].ipv4 : 0;

	if (ipv4 == 0)
		printf(", NULL");
	else if (is_namesake(sim, number))
		printf(", %s /* %u.%u.%u.%u */", sim->hosts[number].name, ipv4 >> 24,
		       ipv4 >> 16 & 255, ipv4 >> 8 & 255, ipv4 & 255);
	else
		printf(", %s", sim->hosts[number].name);
}

static void print_fault(const struct weft_sim *sim, const struct wf_sim_fault *fault)
{
	printf("\tweft_sim_fail_nth(sim");
	print_host(sim, fault->host);
	printf(", ");
	print_operation(fault->op);
	if (fault->error < 0)
		printf(", %" PRIu64 ", -%s);\n", fault->count, weft_error_name(fault->error));
	else
		printf(", %" PRIu64 ", %d);\n", fault->count, fault->error);
}

static void print_mishap(const struct weft_sim *sim, const struct wf_mishap *mishap)
{
	if (mishap->kind == WF_MISHAP_FAULT) {
		print_fault(sim, &mishap->fault);
		return;
	}
	printf("\tweft_sim_%s(sim", mishap->kind == WF_MISHAP_CUT ? "cut_during" : "reset_at");
	print_host(sim, mishap->from);
	print_host(sim, mishap->to);
	printf(", %" PRId64, mishap->begin);
	if (mishap->kind == WF_MISHAP_CUT)
		printf(", %" PRId64, mishap->end);
	printf(");\n");
}

static bool is_same_link(const struct wf_sim_link *a, const struct wf_sim_link *b)
{
	return a->latency_min_ns == b->latency_min_ns && a->latency_max_ns == b->latency_max_ns &&
	       a->bandwidth_bytes == b->bandwidth_bytes && a->segment_min == b->segment_min &&
	       a->segment_max == b->segment_max && a->capacity_bytes == b->capacity_bytes;
}

/* Whether every link is like the first, and none the scenario's. */
static bool are_same_links(const struct weft_sim *sim)
{
	const struct wf_sim_link *first = wf_sim_net_link(&sim->world->net, 0, 1);

	for (uint32_t a = 0; a < sim->host_count; a++)
		for (uint32_t b = 0; b < sim->host_count; b++)
			if (a != b &&
			    ((sim->set_links[a] >> b & 1) ||
			     !is_same_link(wf_sim_net_link(&sim->world->net, a, b), first)))
				return false;
	return true;
}

/* Between hosts of those numbers; one that is none stands for every host. */
static void print_link(const struct weft_sim *sim, uint32_t from, uint32_t to,
		       const struct wf_sim_link *link)
{
	printf("\tweft_sim_link_set(sim");
	print_host(sim, from);
	print_host(sim, to);
	printf(", &(struct weft_sim_link){ %" PRId64 ", %" PRId64 ", %" PRIu64 ", %u, %u, %u });\n",
	       link->latency_min_ns, link->latency_max_ns, link->bandwidth_bytes, link->segment_min,
	       link->segment_max, link->capacity_bytes);
}

/* Those that swarm mode has set. */
static void print_links(const struct weft_sim *sim)
{
	struct wf_sim_net *net = &sim->world->net;

	if (!sim->is_swarm || sim->host_count < 2)
		return;
	if (are_same_links(sim)) {
		print_link(sim, WF_SIM_ANY_HOST, WF_SIM_ANY_HOST, wf_sim_net_link(net, 0, 1));
		return;
	}
	for (uint32_t a = 0; a < sim->host_count; a++)
		for (uint32_t b = 0; b < sim->host_count; b++)
			if (a != b && !(sim->set_links[a] >> b & 1))
				print_link(sim, a, b, wf_sim_net_link(net, a, b));
}

static void print_world(const struct weft_sim *sim)
{
	static const char *const strategies[] = { "FIFO", "RANDOM", "PCT" };

	printf("\tweft_sim_strategy(sim, WEFT_SIM_%s);\n", strategies[sim->world->strategy]);
	if (sim->credit != WF_CREDIT)
		printf("\tweft_sim_credit(sim, %u);\n", sim->credit);
	if (sim->world->net.harsh_resets)
		printf("\tweft_sim_harsh_resets(sim, true);\n");
	print_links(sim);
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
