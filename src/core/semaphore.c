/* SPDX-License-Identifier: MIT */
/*
 * A semaphore: a count, and the line of those who found it at 0. What is released while somebody is in
 * line goes to the first there and is not counted; so who finds a count passes nobody.
 */
#include <weft/semaphore.h>

#include "base/assert.h"
#include "core/line.h"

#include <errno.h>

int weft_semaphore_acquire(struct weft_semaphore *semaphore)
{
	struct wf_task *task;
	int r = wf_checkpoint_self(&task);

	if (r < 0 || weft_semaphore_try_acquire(semaphore) == 0)
		return r;
	return wf_line_wait(&semaphore->line, task, semaphore, WF_WAIT_SEMAPHORE);
}

int weft_semaphore_try_acquire(struct weft_semaphore *semaphore)
{
	if (semaphore->count == 0)
		return -EAGAIN;
	semaphore->count--;
	return 0;
}

void weft_semaphore_release(struct weft_semaphore *semaphore)
{
	if (semaphore->line.first) {
		wf_line_settle(semaphore->line.first, 0);
		return;
	}
	wf_assert(semaphore->count < UINT32_MAX);
	semaphore->count++;
}
