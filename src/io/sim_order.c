/* SPDX-License-Identifier: MIT */
/*
 * Who runs next in a simulation.
 *
 * By priorities (WF_SIM_PCT) each task has a random one, and of the ready tasks the one with the highest
 * runs. At a few steps, the *changes*, the task that has just run falls beneath all that have not fallen;
 * among the fallen the number of the change counts, not its time. So a bug that needs d orderings is found
 * with a known chance (S. Burckhardt et al., ASPLOS 2010), with these reservations:
 *
 * - A task that has been ready longest, and was passed over PASSED_MOST times, runs once. Else a task that
 *   looks for something by yields would for ever keep away the one that brings it about. A bug that needs
 *   somebody to wait for longer at a stretch is missed.
 * - Only the first LOOK_MOST ready tasks are looked at, so that a step costs the same however many there are.
 * - Tasks that have the same control block, one after the other, have the same priority. A fall ends with
 *   the task that fell.
 */
#include "core/task.h"
#include "core/worker.h"
#include "io/sim.h"

enum {
	LOOK_MOST = 64,
	PASSED_MOST = 1000,
};

static struct wf_task *task_of(struct wf_queue_node *node)
{
	return wf_container(node, struct wf_task, ready);
}

/* ---- Priorities ------------------------------------------------------------------------------ */

/* Nothing of it stays when the task's control block goes to a new one. */
static void rise(struct wf_sim *sim, uint64_t id)
{
	for (uint32_t i = 0; i < sim->changes; i++)
		if (sim->fallen[i] == id)
			sim->fallen[i] = 0;
}

static void fall(struct wf_sim *sim)
{
	for (uint32_t i = 0; i < sim->changes; i++) {
		if (sim->change_at[i] != sim->steps)
			continue;
		rise(sim, sim->last);
		sim->fallen[i] = sim->last;
	}
}

/* A bijective mix for each seed, so that all orders of some tasks come up. */
static uint64_t mix(uint64_t seed, uint64_t id)
{
	uint64_t mixed = (id * 0x9e3779b97f4a7c15 ^ seed) * 0xd6e8feb86659fd93;

	mixed = (mixed ^ mixed >> 32) * 0xd6e8feb86659fd93;
	return mixed ^ mixed >> 32;
}

/* A task without a stack has not run, and so has not fallen. */
static uint64_t priority_of(const struct wf_sim *sim, const struct wf_task *task)
{
	uint64_t id = wf_task_id(task), priority = mix(sim->seed, id);

	for (uint32_t i = 0; i < sim->changes && task->stack; i++)
		if (sim->fallen[i] == id)
			return i;
	return priority < WF_SIM_CHANGES_MAX ? WF_SIM_CHANGES_MAX : priority;
}

static struct wf_queue_node *choose_highest(struct wf_sim *sim, const struct wf_queue *ready)
{
	struct wf_queue_node *before = NULL, *last = NULL;
	uint64_t best = 0;
	int looked = 0;

	for (struct wf_queue_node *node = ready->head; node && looked++ < LOOK_MOST;
	     last = node, node = node->next) {
		uint64_t priority = priority_of(sim, task_of(node));

		if (node == ready->head || priority > best) {
			best = priority;
			before = last;
		}
	}
	return before;
}

static struct wf_queue_node *choose_by_priority(struct wf_sim *sim, const struct wf_queue *ready)
{
	uint32_t *passed = &sim->passed[task_of(ready->head)->priority];
	struct wf_queue_node *before = *passed < PASSED_MOST ? choose_highest(sim, ready) : NULL;

	*passed = before ? *passed + 1 : 0;
	return before;
}

/* ---- Any ------------------------------------------------------------------------------------- */

static struct wf_queue_node *choose_any(struct wf_sim *sim, const struct wf_queue *ready)
{
	struct wf_queue_node *before = NULL;
	uint64_t count = 0, skip;

	for (const struct wf_queue_node *node = ready->head; node && count < LOOK_MOST;
	     node = node->next)
		count++;
	skip = wf_sim_draw(sim, WF_SIM_SCHEDULE, 0, count - 1);
	for (uint64_t i = 0; i < skip; i++)
		before = before ? before->next : ready->head;
	return before;
}

/* ---- The choice ------------------------------------------------------------------------------ */

static struct wf_queue_node *choose(struct wf_sim *sim, const struct wf_queue *ready)
{
	if (sim->strategy == WF_SIM_PCT)
		return choose_by_priority(sim, ready);
	if (sim->strategy == WF_SIM_FIFO || !ready->head->next)
		return NULL;
	return choose_any(sim, ready);
}

struct wf_queue_node *wf_sim_choose_task(struct wf_sim *sim, const struct wf_queue *ready)
{
	struct wf_queue_node *before;
	const struct wf_task *next;

	fall(sim);
	before = choose(sim, ready);
	next = task_of(before ? before->next : ready->head);
	sim->last = wf_task_id(next);
	if (!next->stack)
		rise(sim, sim->last);
	return before;
}
