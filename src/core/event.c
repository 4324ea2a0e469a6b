/* SPDX-License-Identifier: MIT */
/* An event: a flag, and the line of those who wait for it. */
#include <weft/event.h>

#include "core/line.h"
#include "core/select.h"

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
	struct wf_task *task;
	int r = wf_checkpoint_self(&task);

	if (r < 0 || event->set)
		return r;
	return wf_line_wait(&event->line, task, event, WF_WAIT_EVENT);
}

/* ---- The case of a select ---------------------------------------------------------------------- */

static int is_ready(struct weft_case *this)
{
	return ((struct weft_event *)this->object)->set;
}

static int take(struct weft_case *this)
{
	(void)this;
	return 0;
}

static int enlist(struct weft_case *this, struct wf_waiter *waiter)
{
	wf_case_join(this, &((struct weft_event *)this->object)->line, waiter);
	return 0;
}

struct weft_case weft_case_event(struct weft_event *event)
{
	static const struct wf_case_kind kind = { is_ready, take, enlist, wf_case_leave };

	return (struct weft_case){ .kind = &kind, .object = event };
}
