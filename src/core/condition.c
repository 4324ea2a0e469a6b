/* SPDX-License-Identifier: MIT */
/* A condition: nothing but the line of those who wait. */
#include <weft/condition.h>

#include "core/line.h"
#include "core/mutex.h"

#include <errno.h>

int weft_condition_wait(struct weft_condition *condition, struct weft_mutex *mutex)
{
	struct wf_task *task = wf_task_self();
	int r;

	if (!task)
		return -EPERM;
	r = wf_checkpoint_before_wait(task); /* lets no other task run if it grants */
	if (r < 0)
		return r;
	if (mutex)
		weft_mutex_unlock(mutex);
	r = wf_line_wait(&condition->line, task, condition, WF_WAIT_CONDITION);
	if (mutex)
		wf_mutex_relock(mutex, task);
	return r;
}

void weft_condition_signal(struct weft_condition *condition)
{
	if (condition->line.first)
		wf_line_settle(condition->line.first, 0);
}

void weft_condition_broadcast(struct weft_condition *condition)
{
	wf_line_settle_all(&condition->line, 0);
}
