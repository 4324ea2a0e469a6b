/* SPDX-License-Identifier: MIT */
/*
 * A mutex: its owner, and the line of those who want to be that. While somebody is in line there is
 * an owner, because unlocking makes one of the first in line. So a task that finds no owner may take
 * the mutex without looking at the line, and passes nobody.
 *
 * Each task counts the mutexes it owns. It must own none when it ends: its control block will be that of
 * another task, which would be the owner then.
 */
#include "core/mutex.h"

#include "base/assert.h"
#include "core/line.h"

#include <errno.h>

static inline void give_to(struct weft_mutex *mutex, struct wf_task *task)
{
	mutex->owner = task;
	task->mutexes++;
}

static bool take(struct weft_mutex *mutex, struct wf_task *task)
{
	if (mutex->owner)
		return false;
	give_to(mutex, task);
	return true;
}

int weft_mutex_lock(struct weft_mutex *mutex)
{
	struct wf_task *task;
	int r = wf_checkpoint_self(&task);

	if (r < 0 || take(mutex, task))
		return r;
	if (mutex->owner == task)
		return -EDEADLK;
	return wf_line_wait(&mutex->line, task, mutex, WF_WAIT_MUTEX);
}

int weft_mutex_try_lock(struct weft_mutex *mutex)
{
	struct wf_task *task = wf_task_self();

	if (!task)
		return -EPERM;
	return take(mutex, task) ? 0 : -EAGAIN;
}

void wf_mutex_relock(struct weft_mutex *mutex, struct wf_task *task)
{
	struct wf_line_wait wait;

	if (take(mutex, task))
		return;
	wf_line_wait_init(&wait, task, mutex, WF_WAIT_MUTEX);
	wait.waiter.withdraw = NULL; /* cannot be interrupted */
	(void)wf_line_wait_in(&mutex->line, &wait);
}

static _Noreturn void refuse_unlock(const struct wf_task *owner, const struct wf_task *task)
{
	wf_panic("task \"%s\" (spawned at %s) unlocks a mutex that task \"%s\" (spawned at %s) has "
		 "locked; only the task that locked it unlocks it",
		 task ? task->name : "none", task ? task->site : "nowhere",
		 owner ? owner->name : "none", owner ? owner->site : "nowhere");
}

void weft_mutex_unlock(struct weft_mutex *mutex)
{
	struct wf_task *task = wf_task_self();
	struct weft_place_ *first = mutex->line.first;

	if (wf_unlikely(!task || mutex->owner != task))
		refuse_unlock(mutex->owner, task);
	mutex->owner = NULL;
	task->mutexes--;
	if (!first)
		return;
	give_to(mutex, first->waiter->task);
	wf_line_settle(first, 0);
}
