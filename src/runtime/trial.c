/* SPDX-License-Identifier: MIT */
/*
 * A run: the first task starts the program of each host, and waits for them.
 *
 *	root ── run_world ── scope ─┬─ run_host ── host->scope ── the user's function
 *	                            └─ run_host ── host->scope ── the user's function
 *
 * A program that has returned is judged by run_host, what is left behind once weft_run is over; all else
 * is found while it happens, between two tasks or by the engine.
 */
#include "runtime/trial.h"

#include "base/assert.h"
#include "core/dump.h"
#include "core/worker.h"
#include "runtime/guard.h"
#include "runtime/run.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool weft_simulating_;

/* The run of this process. */
static struct weft_sim *running;

const char *wf_failure_name(enum wf_failure failure)
{
	static const char *const names[] = {
		[WF_FAILURE_NONE] = "none",	    [WF_FAILURE_ALWAYS] = "always",
		[WF_FAILURE_HOST] = "host",	    [WF_FAILURE_DEADLOCK] = "deadlock",
		[WF_FAILURE_LIVELOCK] = "livelock", [WF_FAILURE_LIVENESS] = "liveness",
		[WF_FAILURE_LEAK] = "leak",	    [WF_FAILURE_DETERMINISM] = "determinism",
		[WF_FAILURE_START] = "start",	    [WF_FAILURE_CRASH] = "crash",
		[WF_FAILURE_HANG] = "hang",
	};

	return names[failure];
}

/* ---- Failing --------------------------------------------------------------------------------- */

/* The tasks, and which of the hosts there is which. */
static void list_tasks(const struct weft_sim *sim)
{
	wf_dump(wf_worker);
	for (uint32_t i = 0; i < sim->host_count; i++)
		wf_say("  host %u is \"%s\"", i, sim->hosts[i].name);
}

static void note_state(const struct weft_sim *sim)
{
	sim->outcome->steps = sim->world->steps;
	sim->outcome->hash = sim->world->hash;
	sim->outcome->time = weft_sim_now(sim);
}

_Noreturn static void fail(struct weft_sim *sim, enum wf_failure failure, const char *site,
			   const char *format, ...) __attribute__((format(printf, 4, 5), cold));

_Noreturn static void fail(struct weft_sim *sim, enum wf_failure failure, const char *site,
			   const char *format, ...)
{
	struct wf_outcome *outcome = sim->outcome;
	va_list arguments;

	note_state(sim);
	outcome->failure = failure;
	va_start(arguments, format);
	(void)vsnprintf(outcome->text, sizeof outcome->text, format, arguments); /* may be cut */
	va_end(arguments);
	(void)snprintf(outcome->site, sizeof outcome->site, "%s", site);
	if (wf_worker)
		list_tasks(sim);
	if (sim->what->ended)
		sim->what->ended(sim->what->user, sim, outcome);
	(void)fflush(NULL); /* what the program wrote; nobody is left to tell */
	_exit(WF_TRIAL_FAILED);
}

void weft_point_hit_(struct weft_point_ *point, bool holds)
{
	point->reached++;
	point->held += holds;
	if (holds || point->kind != WEFT_POINT_ALWAYS_)
		return;
	if (!running)
		wf_panic("%s, at %s, does not hold", point->text, point->site);
	fail(running, WF_FAILURE_ALWAYS, point->site, "%s", point->text);
}

/* The engine cannot go on. */
static void on_failure(struct wf_sim *world, const char *why)
{
	struct weft_sim *sim = world->user;
	bool is_livelock = world->steps_max && world->steps > world->steps_max;

	fail(sim, is_livelock ? WF_FAILURE_LIVELOCK : WF_FAILURE_DEADLOCK, "", "%s", why);
}

/* ---- Memory ---------------------------------------------------------------------------------- */

/* Fresh memory and freed memory hold what no program takes for its data, and each block that grows moves,
 * so that what relies on anything else shows. */
enum { FRESH = 0xa5, FREED = 0x5a };

static void *resize(void *user, void *block, size_t old_bytes, size_t new_bytes)
{
	struct weft_sim *sim = user;
	size_t kept = old_bytes < new_bytes ? old_bytes : new_bytes;
	char *moved = NULL;

	if (new_bytes > 0) {
		if (sim->fails_memory && wf_sim_fault(sim->world, WF_SIM_ALLOCATE) != 0)
			return NULL;
		moved = malloc(new_bytes);
		if (!moved)
			wf_panic("the simulator has no memory");
		if (kept > 0)
			memcpy(moved, block, kept);
		memset(moved + kept, FRESH, new_bytes - kept);
	}
	if (old_bytes > 0)
		memset(block, FREED, old_bytes);
	free(block);
	sim->bytes += new_bytes - old_bytes;
	return moved;
}

/* ---- Programs -------------------------------------------------------------------------------- */

/* A stop is none of the program's doing; and with an allocation that was made to fail it may give up. */
static void judge(struct weft_sim_host *host)
{
	struct weft_sim *sim = host->sim;
	int result = host->scope.failure;

	if (result < 0 && (!sim->what->allocation || result != -ENOMEM))
		fail(sim, WF_FAILURE_HOST, host->site, "the program of host \"%s\" returned %s",
		     host->name, weft_error_name(result));
}

static int run_host(void *arg)
{
	struct weft_sim_host *host = arg;
	struct weft_sim *sim = host->sim;
	int r;

	wf_task_self()->host = host->number;
	weft_scope_open_at(&host->scope, WEFT_SCOPE_PLAIN, WEFT_FOREVER, host->site);
	sim->fails_memory = false;
	r = weft_spawn_at(&host->scope, host->function, host->arg, host->site, host->function_name);
	sim->fails_memory = true;
	if (r < 0)
		fail(sim, WF_FAILURE_START, host->site, "host \"%s\" has no task: %s", host->name,
		     weft_error_name(r));
	wf_world_begin(host);
	if (weft_scope_close(&host->scope) < 0)
		judge(host);
	return 0;
}

static int run_world(void *arg)
{
	struct weft_sim *sim = arg;
	struct weft_scope scope;
	int r = 0;

	sim->outcome->stack = &scope;
	wf_worker->credit_max = sim->credit;
	weft_scope_open(&scope);
	for (uint32_t i = 0; i < sim->host_count && r == 0; i++)
		r = weft_spawn(&scope, run_host, &sim->hosts[i]);
	if (r < 0)
		fail(sim, WF_FAILURE_START, "", "no task for a host: %s", weft_error_name(r));
	r = weft_scope_close(&scope);
	sim->fails_memory = false;
	return r;
}

/* ---- Time ------------------------------------------------------------------------------------ */

static void end_bound(struct wf_sim *world, void *object, uint64_t value)
{
	(void)world, (void)value;
	fail(object, WF_FAILURE_LIVENESS, "",
	     "tasks go on though everything was healed and every host asked to stop");
}

static void end_duration(struct wf_sim *world, void *object, uint64_t value)
{
	struct weft_sim *sim = object;

	(void)value;
	wf_sim_trace(world, "no mishaps from now on, all hosts are asked to stop");
	weft_sim_calm(sim);
	weft_sim_stop(sim, NULL);
	if (sim->bound_ns < WEFT_FOREVER - world->now)
		wf_sim_plan(world, world->now + sim->bound_ns, end_bound, sim, 0);
}

/* ---- Steps ----------------------------------------------------------------------------------- */

static void compare_hash(struct weft_sim *sim, const struct wf_hashes *hashes)
{
	uint64_t steps = sim->world->steps;

	if (steps > hashes->count ||
	    (steps <= WF_HASHES_MAX && hashes->list[steps - 1] != sim->world->hash))
		fail(sim, WF_FAILURE_DETERMINISM, "",
		     "two runs of the seed differ from step %llu on; what does the program take from "
		     "outside?",
		     (unsigned long long)steps);
}

static void follow_hash(struct weft_sim *sim, struct wf_hashes *hashes)
{
	if (sim->what->compares)
		compare_hash(sim, hashes);
	else {
		hashes->count = sim->world->steps;
		if (hashes->count <= WF_HASHES_MAX)
			hashes->list[hashes->count - 1] = sim->world->hash;
	}
}

/* The faults are written there as they happen, so that they survive a crash. */
static void lend_record(struct weft_sim *sim, struct wf_record *record)
{
	for (uint32_t i = sim->own_mishaps; i < sim->mishaps.count; i++)
		if (record->cut_count < WF_RECORD_CUTS)
			record->cuts[record->cut_count++] = sim->mishaps.list[i];
	sim->world->faults.record = record->faults;
	sim->world->faults.record_room = WF_RECORD_FAULTS;
}

static void take_back_record(struct weft_sim *sim)
{
	sim->world->faults.record = NULL;
	sim->world->faults.record_count = sim->world->faults.record_room = 0;
}

static void on_step(struct wf_sim *world, const struct wf_task *next)
{
	struct weft_sim *sim = world->user;

	(void)next;
	note_state(sim); /* for the case that it crashes */
	if (sim->what->hashes)
		follow_hash(sim, sim->what->hashes);
	if (sim->what->record && world->faults.record_count > WF_RECORD_FAULTS / 2)
		fail(sim, WF_FAILURE_START, "", "more mishaps than can be recorded");
	for (uint32_t i = 0; i < sim->checks.count; i++)
		sim->checks.list[i].action(sim, sim->checks.list[i].arg);
	if (world->steps == sim->what->stop_at) {
		list_tasks(sim);
		(void)raise(SIGTRAP); /* without a debugger this ends the process */
	}
}

/* ---- The run --------------------------------------------------------------------------------- */

static void judge_end(struct weft_sim *sim, int result)
{
	struct wf_hashes *hashes = sim->what->hashes;

	note_state(sim);
	if (result < 0)
		fail(sim, WF_FAILURE_START, "", "the run did not begin: %s",
		     weft_error_name(result));
	if (sim->world->net.open > 0)
		fail(sim, WF_FAILURE_LEAK, "", "%u descriptors were not closed",
		     (unsigned)sim->world->net.open);
	if (sim->bytes > 0)
		fail(sim, WF_FAILURE_LEAK, "", "%zu bytes of memory were not freed", sim->bytes);
	if (!hashes)
		return;
	if (sim->what->compares &&
	    (hashes->count != sim->world->steps || hashes->last != sim->world->hash))
		fail(sim, WF_FAILURE_DETERMINISM, "", "two runs of the seed end in different ways");
	hashes->last = sim->world->hash;
}

static int open_world(const struct wf_run *run, const struct weft_options *options,
		      struct wf_memory *memory, struct wf_poller **ret_poller)
{
	struct weft_sim *sim = run->user;

	(void)options;
	*ret_poller = wf_sim_start(sim->world, memory);
	return 0;
}

/* Same result whatever the environment says, and asked for once in a process. */
static struct wf_run fixed_run(void)
{
	static struct wf_run run;

	if (run.guard_budget == 0) {
		run.guard = wf_guard_best();
		run.guard_budget = wf_guard_budget();
	}
	return run;
}

static int run(struct weft_sim *sim)
{
	struct weft_options options = { .allocator = { resize, sim } };
	struct wf_run run = fixed_run();

	run.open = open_world;
	run.user = sim;
	run.may_leak = true; /* it is told */
	return wf_run(&run, run_world, sim, &options);
}

static void set_up(struct weft_sim *sim)
{
	const struct wf_case *what = sim->what;

	sim->world->on_step = on_step;
	sim->world->on_failure = on_failure;
	what->scenario(sim);
	wf_swarm(sim);
	if (what->allocation)
		wf_sim_fault_plan(sim->world,
				  (struct wf_sim_fault){ .count = what->allocation,
							 .error = -ENOMEM,
							 .op = WF_SIM_ALLOCATE,
							 .host = WF_SIM_ANY_HOST,
							 .and_all_after = what->and_all_after });
	if (sim->duration_ns != WEFT_FOREVER)
		wf_sim_plan(sim->world, wf_world_time(sim, sim->duration_ns), end_duration, sim, 0);
	sim->is_running = true;
}

void wf_trial(const struct wf_case *what, struct wf_outcome *ret_outcome)
{
	static struct weft_sim sim; /* too large for a small stack */

	*ret_outcome = (struct wf_outcome){ .seed = what->seed,
					    .failed_allocation = what->allocation,
					    .and_all_after = what->and_all_after };
	wf_world_init(&sim, what, ret_outcome);
	running = &sim;
	set_up(&sim);
	if (what->record)
		lend_record(&sim, what->record);
	judge_end(&sim, run(&sim));
	ret_outcome->allocations = sim.world->faults.all[WF_SIM_ALLOCATE];
	if (what->ended)
		what->ended(what->user, &sim, ret_outcome);
	if (what->record)
		take_back_record(&sim);
	running = NULL;
	wf_world_done(&sim);
}
