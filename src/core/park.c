/* SPDX-License-Identifier: MIT */
/* Lots, and the tasks that follow a parking; core/park.h tells how it works. */
#include "core/park.h"

#include "base/assert.h"
#include "core/scope.h"
#include "core/worker.h"

#include <errno.h>

enum {
	TICK_BITS = 24,
	STARTS_MAX = 256, /* tasks that have not run yet, beyond which no more are started but */
	STARTS_LEAST = 8, /* so many in one turn */
};

/* Until there may be memory for a task, or room among the tasks. */
static const weft_time RETRY_NS = 10 * WEFT_MILLISECOND;

/* Longer is for ever: 32 bits of ticks are more than two years, and must tell before from after. */
static const weft_time IDLE_NS_MAX = WEFT_SECOND * 3600 * 24 * 365;

/* ---- Lots ------------------------------------------------------------------------------------ */

/* When something has been parked for too long; never early, for its tick counts as not over. */
static weft_time expiry_of(const struct wf_parked *parked, weft_time now)
{
	uint64_t tick = (uint64_t)now >> TICK_BITS;
	int32_t ago = (int32_t)((uint32_t)tick - parked->since); /* -1 if `now` is an old reading */

	return (weft_time)((tick - (uint64_t)(int64_t)ago + 1) << TICK_BITS) + parked->lot->idle_ns;
}

static bool is_timed(const struct weft_lot *lot)
{
	return lot->idle_ns <= IDLE_NS_MAX;
}

/* Arms the timer of a lot for the one that has been there longest. */
static void arm(struct weft_lot *lot, struct weft_worker *worker)
{
	struct wf_list *first = wf_list_first(&lot->parked);

	if (!first || !is_timed(lot) || wf_timer_is_armed(&lot->timer))
		return;
	lot->timer.when = expiry_of(wf_container(first, struct wf_parked, node), worker->now);
	wf_timers_arm(&worker->timers, &lot->timer);
}

/* The worker's reading of the clock is as old as the task that parks has been running. */
static uint32_t tick_of_parking(const struct weft_lot *lot, const struct weft_worker *worker)
{
	struct wf_poller *poller = worker->poller;

	return is_timed(lot) ? (uint32_t)((uint64_t)poller->ops->now(poller) >> TICK_BITS) : 0;
}

static void expire(struct weft_timer_ *timer)
{
	struct weft_lot *lot = wf_container(timer, struct weft_lot, timer);
	struct weft_worker *worker = lot->scope->owner->worker;
	struct wf_list *first;

	while ((first = wf_list_first(&lot->parked)) != NULL) {
		struct wf_parked *parked = wf_container(first, struct wf_parked, node);

		if (worker->now < expiry_of(parked, worker->now))
			break;
		wf_parked_end(parked, WEFT_EDEADLINE);
	}
	arm(lot, worker);
}

int wf_lot_open(struct weft_scope *scope, weft_time idle_ns, struct weft_lot **ret_lot)
{
	struct weft_worker *worker = wf_worker;
	struct weft_lot *lot;

	if (!worker || !scope->owner || scope->owner->worker != worker)
		return -EPERM;
	lot = wf_memory_new(&worker->memory, sizeof *lot);
	if (!lot)
		return -ENOMEM;
	*lot = (struct weft_lot){
		.scope = scope,
		.next = scope->lots,
		.idle_ns = idle_ns,
		.timer.fire = expire,
	};
	wf_list_init(&lot->parked);
	scope->lots = lot;
	*ret_lot = lot;
	return 0;
}

void wf_lots_free(struct weft_scope *scope)
{
	while (scope->lots) {
		struct weft_lot *lot = scope->lots;

		wf_assert(wf_list_is_empty(&lot->parked));
		wf_timer_disarm(&lot->timer);
		scope->lots = lot->next;
		wf_memory_free(&scope->owner->worker->memory, lot, sizeof *lot);
	}
}

/* ---- Parking --------------------------------------------------------------------------------- */

int wf_lot_admit(struct weft_lot *lot)
{
	struct weft_worker *worker = wf_worker;
	struct weft_scope *scope = lot->scope;

	if (!worker || scope->owner->worker != worker)
		return -EPERM;
	if (!scope->stop && worker->now >= scope->deadline)
		wf_scope_expire(scope->deadline_scope);
	if (scope->stop)
		return scope->stop;
	return scope->stopping ? WEFT_ESTOPPING : 0;
}

void wf_park(struct weft_lot *lot, struct wf_parked *parked)
{
	struct weft_worker *worker = wf_worker;

	parked->lot = lot;
	parked->why = WF_PARKED_WAITS;
	parked->since = tick_of_parking(lot, worker);
	wf_list_push_back(&lot->parked, &parked->node);
	lot->scope->live++;
	worker->parked++;
	arm(lot, worker);
	wf_scope_arm(lot->scope, &worker->timers);
}

void wf_parked_end(struct wf_parked *parked, int why)
{
	struct weft_worker *worker = parked->lot->scope->owner->worker;

	if (wf_list_is_empty(&parked->node) || parked->why != WF_PARKED_WAITS)
		return;
	parked->why = why;
	wf_list_remove(&parked->node);
	wf_list_push_back(&worker->due, &parked->node);
	worker->parked--;
}

void wf_lots_end(struct weft_scope *scope, int why)
{
	for (struct weft_lot *lot = scope->lots; lot; lot = lot->next)
		while (!wf_list_is_empty(&lot->parked))
			wf_parked_end(wf_container(lot->parked.next, struct wf_parked, node), why);
}

/* ---- What follows ---------------------------------------------------------------------------- */

static int run(void *arg)
{
	struct wf_parked *parked = arg;

	return parked->lot->run(parked, parked->why, parked->lot);
}

static bool start(struct wf_parked *parked)
{
	struct weft_lot *lot = parked->lot;

	if (wf_task_start(lot->scope, run, parked, lot->site, lot->name) < 0)
		return false;
	wf_list_remove(&parked->node);
	lot->scope->live--; /* its place is the task's now */
	return true;
}

/* Nothing to do: the turn that fires it looks at the list again. */
static void look_again(struct weft_timer_ *timer)
{
	(void)timer;
}

/* Not all at once: what is ready already, and the engine, have their turn in between. */
static bool may_start_more(const struct weft_worker *worker, int started)
{
	return started < STARTS_LEAST || worker->unstarted < STARTS_MAX;
}

void wf_parked_start(struct weft_worker *worker)
{
	if (wf_timer_is_armed(&worker->due_timer))
		return;
	for (int i = 0; !wf_list_is_empty(&worker->due) && may_start_more(worker, i); i++)
		if (!start(wf_container(worker->due.next, struct wf_parked, node))) {
			worker->due_timer.when = worker->now + RETRY_NS;
			worker->due_timer.fire = look_again;
			wf_timers_arm(&worker->timers, &worker->due_timer);
			return;
		}
}
