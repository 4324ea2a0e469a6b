/* SPDX-License-Identifier: MIT */
/* Waiting for the first of several cases; core/select.h tells how it works. */
#include "core/select.h"

#include "base/compiler.h"
#include "core/line.h"
#include "core/worker.h"

#include <errno.h>

_Static_assert(sizeof(struct weft_case) == 64, "a cache line");

/* ---- Choosing -------------------------------------------------------------------------------- */

/* True with a chance of one in `ready`. A product, not a remainder: a division would cost more than the
 * number. */
static bool is_chosen(struct weft_worker *worker, uint32_t ready)
{
	uint64_t number = ready == 1 ? 0 : wf_random_next(&worker->random) >> 32;

	return number * ready >> 32 == 0;
}

/*
 * Takes one of the cases that are ready: each with the same chance, as each one that is found displaces
 * the one before with a chance of one in their number so far. By chance and not in turn: a counter that
 * all selects share falls into step with programs that select in a pattern, and one of their cases is
 * never reached.
 *
 * Returns its index; -EAGAIN if none is ready; or why one of them can never be.
 */
static int take_one(struct weft_worker *worker, struct weft_case *cases, int count)
{
	uint32_t ready = 0;
	int chosen = -EAGAIN;

	if (wf_unlikely(count < 1))
		return -EINVAL;
	for (int i = 0; i < count; i++) {
		int r = cases[i].kind->is_ready(&cases[i]);

		if (wf_unlikely(r < 0))
			return r;
		if (r > 0 && is_chosen(worker, ++ready))
			chosen = i;
	}
	if (chosen >= 0)
		cases[chosen].result = cases[chosen].kind->take(&cases[chosen]);
	return chosen;
}

int weft_try_select(struct weft_case *cases, int count)
{
	struct weft_worker *worker = wf_worker;

	return worker ? take_one(worker, cases, count) : -EPERM;
}

/* ---- Waiting --------------------------------------------------------------------------------- */

struct select {
	struct wf_waiter waiter;
	struct weft_case *cases;
	int count; /* of those that have been enlisted */
};

/* The waiter is settled: so whatever the cases have to say is ignored. */
static void withdraw_all_but(struct select *select, const struct weft_case *happened)
{
	for (int i = 0; i < select->count; i++)
		if (&select->cases[i] != happened)
			select->cases[i].kind->withdraw(&select->cases[i]);
}

void wf_select_settle(struct wf_waiter *waiter, struct weft_case *happened, int result)
{
	struct select *select = wf_container(waiter, struct select, waiter);

	if (wf_unlikely(waiter->state == WF_WAIT_SETTLED))
		return;
	happened->result = result;
	wf_wait_settle(waiter, happened - select->cases);
	withdraw_all_but(select, happened);
}

static void withdraw(struct wf_waiter *waiter)
{
	wf_wait_settle(waiter, waiter->code);
	withdraw_all_but(wf_container(waiter, struct select, waiter), NULL);
}

void wf_case_join(struct weft_case *this, struct weft_line_ *line, struct wf_waiter *waiter)
{
	this->wait.place.waiter = waiter;
	wf_line_join(line, &this->wait.place);
}

void wf_case_leave(struct weft_case *this)
{
	wf_line_leave(&this->wait.place);
}

static int wait_for_one(struct wf_task *task, struct weft_case *cases, int count)
{
	struct select select = {
		.waiter = { .task = task,
			    .object = cases,
			    .withdraw = withdraw,
			    .reason = WF_WAIT_SELECT,
			    .selects = true },
		.cases = cases,
	};

	while (select.count < count) {
		struct weft_case *next = &cases[select.count];
		int r = next->kind->enlist(next, &select.waiter);

		if (wf_unlikely(r < 0)) {
			select.waiter.state = WF_WAIT_SETTLED;
			withdraw_all_but(&select, NULL);
			return r;
		}
		select.count++;
	}
	return (int)wf_wait(&select.waiter);
}

int weft_select(struct weft_case *cases, int count)
{
	struct wf_task *task;
	int r = wf_checkpoint_self(&task);

	if (wf_unlikely(r < 0))
		return r;
	r = take_one(task->worker, cases, count);
	return r == -EAGAIN ? wait_for_one(task, cases, count) : r;
}

/* ---- Time ------------------------------------------------------------------------------------ */

/* The worker's reading of the clock may be as old as the task has been running; one that tries again
 * and again must see time pass. */
static int until_is_ready(struct weft_case *this)
{
	weft_time when = this->wait.until.timer.when;

	return when <= wf_worker->now || when <= weft_now();
}

static int until_take(struct weft_case *this)
{
	(void)this;
	return 0;
}

static void until_fire(struct weft_timer_ *timer)
{
	struct weft_case *this = wf_container(timer, struct weft_case, wait.until.timer);

	wf_select_settle(this->wait.until.waiter, this, 0);
}

static int until_enlist(struct weft_case *this, struct wf_waiter *waiter)
{
	this->wait.until.waiter = waiter;
	if (this->wait.until.timer.when != WEFT_FOREVER)
		wf_timers_arm(&waiter->task->worker->timers, &this->wait.until.timer);
	return 0;
}

static void until_withdraw(struct weft_case *this)
{
	wf_timer_disarm(&this->wait.until.timer);
}

struct weft_case weft_case_until(weft_time when)
{
	static const struct wf_case_kind kind = { until_is_ready, until_take, until_enlist,
						  until_withdraw };

	return (struct weft_case){
		.kind = &kind,
		.wait.until.timer = { .when = when, .fire = until_fire },
	};
}

/* ---- Never ----------------------------------------------------------------------------------- */

static int never_is_ready(struct weft_case *this)
{
	(void)this;
	return 0;
}

static int never_enlist(struct weft_case *this, struct wf_waiter *waiter)
{
	(void)this, (void)waiter;
	return 0;
}

static void never_withdraw(struct weft_case *this)
{
	(void)this;
}

struct weft_case weft_case_never(void)
{
	static const struct wf_case_kind kind = { .is_ready = never_is_ready,
						  .enlist = never_enlist,
						  .withdraw = never_withdraw };

	return (struct weft_case){ .kind = &kind };
}
