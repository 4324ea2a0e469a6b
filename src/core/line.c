/* SPDX-License-Identifier: MIT */
/* Lines of waiting tasks; core/line.h tells how they work. */
#include "core/line.h"

#include "core/select.h"

void wf_line_withdraw(struct wf_waiter *waiter)
{
	wf_line_leave(&wf_container(waiter, struct wf_line_wait, waiter)->place);
	wf_wait_settle(waiter, waiter->code);
}

int wf_line_wait(struct weft_line_ *line, struct wf_task *task, const void *object,
		 enum wf_wait_reason reason)
{
	struct wf_line_wait wait;

	wf_line_wait_init(&wait, task, object, reason);
	return (int)wf_line_wait_in(line, &wait);
}

void wf_line_settle(struct weft_place_ *place, int64_t result)
{
	struct wf_waiter *waiter = place->waiter;

	wf_line_leave(place);
	if (wf_unlikely(waiter->selects))
		wf_select_settle(waiter, wf_container(place, struct weft_case, wait.place),
				 (int)result);
	else
		wf_wait_settle(waiter, result);
}

void wf_line_settle_all(struct weft_line_ *line, int64_t result)
{
	while (line->first)
		wf_line_settle(line->first, result);
}
