/* SPDX-License-Identifier: MIT */
/* An event: a flag and a list of those who wait for it. */
#include <weft/event.h>

#include "base/compiler.h"
#include "core/wait.h"
#include "core/worker.h"

#include <errno.h>

struct event_waiter {
	struct wf_waiter waiter;
	struct weft_event *event;
	struct event_waiter *next, *prev;
};

static void append(struct weft_event *event, struct event_waiter *entry)
{
	entry->prev = event->last;
	if (entry->prev)
		entry->prev->next = entry;
	else
		event->first = entry;
	event->last = entry;
}

static void withdraw(struct wf_waiter *waiter)
{
	struct event_waiter *entry = wf_container(waiter, struct event_waiter, waiter);
	struct weft_event *event = entry->event;

	if (entry->prev)
		entry->prev->next = entry->next;
	else
		event->first = entry->next;
	if (entry->next)
		entry->next->prev = entry->prev;
	else
		event->last = entry->prev;
	wf_wait_settle(waiter, waiter->code);
}

void weft_event_set(struct weft_event *event)
{
	struct event_waiter *entry = event->first;

	event->set = true;
	event->first = event->last = NULL;
	for (; entry; entry = entry->next)
		wf_wait_settle(&entry->waiter, 0);
}

void weft_event_clear(struct weft_event *event)
{
	event->set = false;
}

int weft_event_wait(struct weft_event *event)
{
	struct wf_task *task = wf_task_self();
	struct event_waiter entry = {
		.waiter = { .task = task,
			    .object = event,
			    .withdraw = withdraw,
			    .reason = WF_WAIT_EVENT },
		.event = event,
	};
	int r;

	if (!task)
		return -EPERM;
	r = wf_checkpoint(task);
	if (r < 0 || event->set)
		return r;
	append(event, &entry);
	return (int)wf_wait(&entry.waiter);
}
