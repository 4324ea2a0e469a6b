/* SPDX-License-Identifier: MIT */
/* What a scenario does to its world. */
#include "runtime/sim.h"

#include "base/assert.h"
#include "core/worker.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS_MAX = 10 * 1000 * 1000, SIGNAL_MAX = 64 };

/* The operations of the public header are the simulator's own, one by one. */
_Static_assert((int)WEFT_SIM_SOCKET == WF_SIM_SOCKET && (int)WEFT_SIM_ACCEPT == WF_SIM_ACCEPT &&
		       (int)WEFT_SIM_CONNECTED == WF_SIM_CONNECTED &&
		       (int)WEFT_SIM_SEND == WF_SIM_SEND && (int)WEFT_SIM_CLOSE == WF_SIM_CLOSE &&
		       (int)WEFT_SIM_SIGNALS == WF_SIM_SIGNALS &&
		       (int)WEFT_SIM_ALLOCATE == WF_SIM_ALLOCATE &&
		       WF_SIM_ALLOCATE + 1 == WF_SIM_OPS,
	       "one list of operations");
_Static_assert((int)WEFT_SIM_FIFO == WF_SIM_FIFO && (int)WEFT_SIM_RANDOM == WF_SIM_RANDOM &&
		       (int)WEFT_SIM_PCT == WF_SIM_PCT,
	       "one list of strategies");

/* What the run begins with is not looked at any more. */
static void check_time(const struct weft_sim *sim, const char *call)
{
	if (sim->is_running)
		wf_panic("%s comes too late, the run has begun; call it in the scenario", call);
}

/* ---- Hosts ----------------------------------------------------------------------------------- */

static uint32_t parse_address(const char *name, const char *address)
{
	struct in_addr parsed;
	uint32_t ipv4;

	if (inet_pton(AF_INET, address, &parsed) != 1)
		wf_panic(
			"the address \"%s\" of the simulated host \"%s\" is none; write it as 10.0.0.1",
			address, name);
	ipv4 = ntohl(parsed.s_addr);
	if (ipv4 >> 24 != 10)
		wf_panic(
			"the address %s of the simulated host \"%s\" is not in 10.0.0.0/8; take one "
			"that is",
			address, name);
	return ipv4;
}

/* The simulator's world begins with one host; the first of the scenario moves in there. */
static int add_to_net(struct weft_sim *sim, uint32_t ipv4)
{
	struct wf_sim_link link = wf_world_link_of(&(struct weft_sim_link){ 0 });

	if (sim->host_count > 0)
		return wf_sim_net_add_host(sim->world, ipv4, &link);
	sim->world->net.hosts[0].ipv4 = ipv4;
	return 0;
}

struct weft_sim_host *weft_sim_host_at(struct weft_sim *sim, const char *name, const char *address,
				       weft_function *function, void *arg, const char *site,
				       const char *function_name)
{
	uint32_t ipv4 = parse_address(name, address);
	struct weft_sim_host *host = &sim->hosts[sim->host_count];
	int number;

	check_time(sim, "weft_sim_host");
	if (sim->host_count == WF_SIM_HOSTS_MAX)
		wf_panic("the simulated host \"%s\" is one too many; %d are the most", name,
			 WF_SIM_HOSTS_MAX);
	number = add_to_net(sim, ipv4);
	if (number < 0)
		wf_panic("no simulated host \"%s\" with the address %s: %s", name, address,
			 weft_error_name(number));
	sim->world->net.hosts[number].name = name;
	*host = (struct weft_sim_host){ .name = name,
					.site = site,
					.function_name = function_name,
					.function = function,
					.arg = arg,
					.sim = sim,
					.number = (uint8_t)number };
	sim->host_count++;
	return host;
}

static bool is_meant(const struct weft_sim_host *host, uint32_t number)
{
	return !host || host->number == number;
}

void wf_world_links(struct weft_sim *sim, const struct weft_sim_host *from,
		    const struct weft_sim_host *to, wf_world_link_call *call, const void *arg)
{
	for (uint32_t a = 0; a < sim->host_count; a++)
		for (uint32_t b = 0; b < sim->host_count; b++)
			if (a != b && is_meant(from, a) && is_meant(to, b))
				call(sim, a, b, arg);
}

/* The search for a port may stand beyond the new end. */
static void limit_ports(struct wf_sim_host *host, uint32_t ports)
{
	uint32_t most = (uint32_t)UINT16_MAX - host->port_first;

	host->port_last = (uint16_t)(host->port_first + (ports - 1 < most ? ports - 1 : most));
	if (host->port_next > host->port_last)
		host->port_next = host->port_first;
}

void weft_sim_limit(struct weft_sim *sim, struct weft_sim_host *host, uint32_t descriptors,
		    uint32_t ports)
{
	for (uint32_t i = 0; i < sim->host_count; i++) {
		struct wf_sim_host *limited = &sim->world->net.hosts[i];

		if (!is_meant(host, i))
			continue;
		if (descriptors > 0)
			limited->descriptors_max = descriptors;
		if (ports > 0)
			limit_ports(limited, ports);
	}
}

/* ---- Programs -------------------------------------------------------------------------------- */

/* The scope of a program that has ended is closed, and cannot be stopped. */
static void stop_program(struct weft_sim_host *host)
{
	host->is_stopped = true;
	if (host->scope.owner)
		weft_scope_stop(&host->scope);
}

static void cancel_program(struct weft_sim_host *host)
{
	host->is_cancelled = true;
	if (host->scope.owner)
		weft_scope_cancel(&host->scope);
}

void wf_world_begin(struct weft_sim_host *host)
{
	host->has_begun = true;
	if (host->is_stopped)
		stop_program(host);
	if (host->is_cancelled)
		cancel_program(host);
}

void weft_sim_stop(struct weft_sim *sim, struct weft_sim_host *host)
{
	for (uint32_t i = 0; i < sim->host_count; i++)
		if (is_meant(host, i))
			stop_program(&sim->hosts[i]);
}

void weft_sim_cancel(struct weft_sim *sim, struct weft_sim_host *host)
{
	for (uint32_t i = 0; i < sim->host_count; i++)
		if (is_meant(host, i))
			cancel_program(&sim->hosts[i]);
}

/* One that comes before the program waits for it there, as a blocked one does. */
void weft_sim_signal(struct weft_sim *sim, struct weft_sim_host *host, int number)
{
	if (number < 1 || number > SIGNAL_MAX)
		wf_panic("weft_sim_signal(%d): there is no such signal; take one like SIGTERM",
			 number);
	for (uint32_t i = 0; i < sim->host_count; i++) {
		if (!is_meant(host, i))
			continue;
		if (!sim->hosts[i].has_begun)
			sim->world->net.hosts[i].signals |= UINT64_C(1) << (number - 1);
		wf_sim_net_signal(sim->world, i, number);
	}
}

/* ---- Time and chance ------------------------------------------------------------------------- */

weft_time wf_world_time(const struct weft_sim *sim, weft_time time)
{
	return time > WEFT_FOREVER - sim->begun ? WEFT_FOREVER : sim->begun + time;
}

static void act(struct wf_sim *world, void *object, uint64_t action)
{
	struct weft_sim *sim = object;
	struct wf_call call = sim->actions.list[action];

	(void)world;
	call.action(sim, call.arg);
}

static uint32_t add_call(struct wf_calls *calls, weft_sim_action *action, void *arg)
{
	calls->list = wf_sim_grow(calls->list, calls->count, &calls->room, sizeof *calls->list);
	calls->list[calls->count] = (struct wf_call){ action, arg };
	return calls->count++;
}

void weft_sim_at(struct weft_sim *sim, weft_time time, weft_sim_action *action, void *arg)
{
	uint32_t number = add_call(&sim->actions, action, arg);

	wf_sim_plan(sim->world, wf_world_time(sim, time), act, sim, number);
}

weft_time weft_sim_now(const struct weft_sim *sim)
{
	return sim->world->now - sim->begun;
}

uint64_t weft_sim_choose(struct weft_sim *sim, uint64_t min, uint64_t max)
{
	return wf_sim_draw(sim->world, WF_SIM_PROGRAM, min, max);
}

/* ---- The rest -------------------------------------------------------------------------------- */

void weft_sim_swarm(struct weft_sim *sim)
{
	check_time(sim, "weft_sim_swarm");
	sim->is_swarm = true;
}

void weft_sim_strategy(struct weft_sim *sim, enum weft_sim_strategy strategy)
{
	check_time(sim, "weft_sim_strategy");
	if ((unsigned)strategy > WEFT_SIM_PCT)
		wf_panic("weft_sim_strategy(%d): there is no such strategy; take one of enum "
			 "weft_sim_strategy",
			 (int)strategy);
	sim->world->strategy = (enum wf_sim_strategy)strategy;
	sim->has_strategy = true;
}

void weft_sim_credit(struct weft_sim *sim, uint32_t operations)
{
	check_time(sim, "weft_sim_credit");
	if (operations < 1 || operations > WF_CREDIT)
		wf_panic("weft_sim_credit(%u): take a number from 1 to %d", operations, WF_CREDIT);
	sim->credit = operations;
	sim->has_credit = true;
}

void weft_sim_check(struct weft_sim *sim, weft_sim_action *check, void *arg)
{
	(void)add_call(&sim->checks, check, arg);
}

void weft_sim_run_for(struct weft_sim *sim, weft_time duration_ns, weft_time bound_ns)
{
	check_time(sim, "weft_sim_run_for");
	if (duration_ns < 0 || bound_ns < 0)
		wf_panic("weft_sim_run_for(%lld, %lld): a time is not negative; take WEFT_FOREVER "
			 "for a run without that end",
			 (long long)duration_ns, (long long)bound_ns);
	sim->duration_ns = duration_ns;
	sim->bound_ns = bound_ns;
}

void weft_sim_steps_max(struct weft_sim *sim, uint64_t steps)
{
	sim->world->steps_max = steps;
}

void wf_world_init(struct weft_sim *sim, const struct wf_case *what, struct wf_outcome *outcome)
{
	struct wf_sim *world = wf_sim_new(what->seed);

	if (!world)
		wf_panic("the simulator has no memory");
	*sim = (struct weft_sim){
		.world = world,
		.what = what,
		.outcome = outcome,
		.begun = world->now,
		.duration_ns = 60 * WEFT_SECOND,
		.bound_ns = 60 * WEFT_SECOND,
		.credit = WF_CREDIT,
	};
	world->user = sim;
	world->traces = what->traces;
	world->steps_max = STEPS_MAX;
}

void wf_world_done(struct weft_sim *sim)
{
	free(sim->checks.list);
	free(sim->actions.list);
	free(sim->mishaps.list);
	wf_sim_free(sim->world);
}
