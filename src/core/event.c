/* SPDX-License-Identifier: MIT */
/* An event: a flag, and the line of those who wait for it. */
#include <weft/event.h>

#include "core/line.h"

#include <errno.h>

void weft_event_set(struct weft_event *event)
{
	event->set = true;
	wf_line_settle_all(&event->line, 0);
}

void weft_event_clear(struct weft_event *event)
{
	event->set = false;
}

int weft_event_wait(struct weft_event *event)
{
	struct wf_task *task = wf_task_self();
	int r;

	if (!task)
		return -EPERM;
	r = wf_checkpoint(task);
	if (r < 0 || event->set)
		return r;
	return wf_line_wait(&event->line, task, event, WF_WAIT_EVENT);
}
