/* SPDX-License-Identifier: MIT */
/*
 * Two tasks that take turns, and at most one of them waits in its line:
 *
 *	asker	  the consumer is in weft_gen_next: the producer works on a value for it
 *	yielder	  the producer is in weft_gen_yield: it has handed its value over, or offers one because
 *		  the consumer that asked for it was stopped
 *
 * A value goes to the consumer's stack when it is settled, so that a second consumer, who comes before
 * the first one runs, finds nothing of it. An offer counts only while the producer is in line: one that was
 * stopped there takes its value along.
 */
#include <weft/generator.h>

#include "base/assert.h"
#include "core/line.h"
#include "core/scope.h"

#include <errno.h>

enum { ENDED, FRESH, STARTED }; /* weft_gen.state */

/* A consumer that waits. */
struct ask {
	struct wf_line_wait wait;
	void *value;
};

int weft_gen_open_at(struct weft_gen *gen, struct weft_scope *scope, weft_gen_function *function,
		     void *arg, const char *site, const char *name)
{
	if (!wf_worker || !scope->owner || scope->owner->worker != wf_worker)
		return -EPERM;
	*gen = (struct weft_gen){
		.scope = scope,
		.function = function,
		.arg = arg,
		.site = site,
		.name = name,
		.state = FRESH,
	};
	return 0;
}

/* ---- The producer ---------------------------------------------------------------------------- */

static int run_producer(void *arg)
{
	struct weft_gen *gen = arg;
	bool was_closed;
	int result;

	gen->producer = wf_task_self();
	result = gen->function(gen, gen->arg);
	was_closed = gen->closed;
	gen->producer = NULL;
	gen->state = ENDED;
	gen->result = result < 0 ? result : 0;
	wf_line_settle_all(&gen->asker, gen->result);
	wf_line_settle_all(&gen->closers, 0); /* from here on the generator may be gone */
	return was_closed ? 0 : result;
}

/* Gives the consumer that waits its value. */
static void hand_over(struct weft_gen *gen, void *value)
{
	struct weft_place_ *place = gen->asker.first;

	wf_container(place, struct ask, wait.place)->value = value;
	wf_line_settle(place, 1);
}

int weft_gen_yield(struct weft_gen *gen, void *value)
{
	struct wf_task *task = wf_task_self();
	uint32_t refusals;
	int r;

	if (!task || gen->producer != task)
		return -EPERM;
	refusals = task->refusals;
	r = wf_checkpoint(task);
	if (r < 0)
		return r;
	if (gen->closed)
		return wf_checkpoint_refuse(task, refusals, WEFT_ECLOSED);
	gen->offers = !gen->asker.first;
	if (gen->offers)
		gen->value = value;
	else
		hand_over(gen, value);
	return wf_line_wait(&gen->yielder, task, gen, WF_WAIT_GENERATOR);
}

int weft_gen_delegate(struct weft_gen *gen, struct weft_gen *other)
{
	void *value = NULL;
	int r;

	while ((r = weft_gen_next(other, &value)) > 0) {
		r = weft_gen_yield(gen, value);
		if (r < 0)
			break;
	}
	if (r < 0 && r != -EBUSY && r != -EDEADLK) /* somebody else's, or its own */
		weft_gen_close(other);
	return r;
}

/* ---- The consumer ---------------------------------------------------------------------------- */

/* Has the producer go on, or begin. If it is elsewhere, in a wait of its own, it goes on by itself. */
static int wake_producer(struct weft_gen *gen)
{
	int r;

	if (gen->yielder.first)
		wf_line_settle(gen->yielder.first, 0);
	if (gen->state != FRESH)
		return 0;
	r = weft_spawn_at(gen->scope, run_producer, gen, gen->site, gen->name);
	if (r == 0)
		gen->state = STARTED;
	return r;
}

/* Whether there is nothing to wait for: then `ret_r` is the result. */
static bool is_answered(struct weft_gen *gen, const struct wf_task *task, int *ret_r)
{
	if (gen->producer == task)
		*ret_r = -EDEADLK;
	else if (gen->closed)
		*ret_r = WEFT_ECLOSED;
	else if (gen->state == ENDED)
		*ret_r = gen->result;
	else if (gen->asker.first)
		*ret_r = -EBUSY;
	else
		return false;
	return true;
}

int weft_gen_next(struct weft_gen *gen, void **ret_value)
{
	struct wf_task *task;
	struct ask ask;
	int r = wf_checkpoint_self(&task);

	if (r < 0 || is_answered(gen, task, &r))
		return r;
	if (gen->yielder.first && gen->offers) {
		gen->offers = false;
		*ret_value = gen->value;
		return 1;
	}
	r = wake_producer(gen);
	if (r < 0)
		return r;
	wf_line_wait_init(&ask.wait, task, gen, WF_WAIT_GENERATOR);
	r = (int)wf_line_wait_in(&gen->asker, &ask.wait);
	if (r > 0)
		*ret_value = ask.value;
	return r;
}

static _Noreturn void refuse_close(const struct weft_gen *gen, const struct wf_task *task)
{
	wf_panic(
		"task \"%s\" (spawned at %s) closes the generator \"%s\" (opened at %s), and would "
		"wait for ever; a producer returns, and others close from a task",
		task ? task->name : "none", task ? task->site : "nowhere", gen->name, gen->site);
}

void weft_gen_close(struct weft_gen *gen)
{
	struct wf_task *task = wf_task_self();
	struct wf_line_wait wait;

	if (!gen)
		return;
	if (gen->state == STARTED && (!task || task == gen->producer))
		refuse_close(gen, task);
	gen->closed = true;
	wf_line_settle_all(&gen->asker, WEFT_ECLOSED);
	if (gen->state != STARTED)
		return;
	wf_line_settle_all(&gen->yielder, WEFT_ECLOSED);
	wf_line_wait_init(&wait, task, gen, WF_WAIT_GENERATOR);
	wait.waiter.withdraw = NULL; /* cannot be interrupted */
	(void)wf_line_wait_in(&gen->closers, &wait);
}
