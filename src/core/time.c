/* SPDX-License-Identifier: MIT */
/* Time, chance and sleeping: the public face of the worker's clock, generator and timers. */
#include <weft/time.h>

#include "core/timer.h"
#include "core/worker.h"

#include <errno.h>

weft_time weft_now(void)
{
	struct weft_worker *worker = wf_worker;

	return worker ? worker->poller->ops->now(worker->poller) : -EPERM;
}

weft_time weft_after(weft_time duration_ns)
{
	weft_time now = weft_now();

	if (now < 0)
		return now;
	return duration_ns > WEFT_FOREVER - now ? WEFT_FOREVER : now + duration_ns;
}

uint64_t weft_random(void)
{
	return wf_worker ? wf_random_next(&wf_worker->random) : 0;
}

struct sleep {
	struct wf_waiter waiter;
	struct weft_timer_ timer;
};

static void wake(struct weft_timer_ *timer)
{
	wf_wait_settle(&wf_container(timer, struct sleep, timer)->waiter, 0);
}

static void withdraw(struct wf_waiter *waiter)
{
	struct sleep *sleep = wf_container(waiter, struct sleep, waiter);

	wf_timer_disarm(&sleep->timer);
	wf_wait_settle(waiter, waiter->code);
}

int weft_sleep_until(weft_time when)
{
	struct wf_task *task = wf_task_self();
	struct sleep sleep = {
		.waiter = { .task = task, .withdraw = withdraw, .reason = WF_WAIT_SLEEP },
		.timer = { .when = when, .fire = wake },
	};
	int r;

	if (!task)
		return -EPERM;
	if (when <= weft_now())
		return weft_yield();
	r = wf_checkpoint(task);
	if (r < 0)
		return r;
	if (when != WEFT_FOREVER)
		wf_timers_arm(&task->worker->timers, &sleep.timer);
	return (int)wf_wait(&sleep.waiter);
}

int weft_sleep(weft_time duration_ns)
{
	return duration_ns > 0 ? weft_sleep_until(weft_after(duration_ns)) : weft_yield();
}
