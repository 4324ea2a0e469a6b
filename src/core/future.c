/* SPDX-License-Identifier: MIT */
/* A future: a result, the line of those who wait for it, and the callbacks that were left for it. */
#include <weft/future.h>

#include "core/line.h"

#include <errno.h>

static int settle(struct weft_future *future, int code, void *value)
{
	struct weft_future_callback *callback = future->first;

	if (future->settled)
		return -EALREADY;
	future->settled = true;
	future->code = code;
	future->value = value;
	future->first = future->last = NULL;
	wf_line_settle_all(&future->line, code);
	while (callback) {
		struct weft_future_callback *next = callback->next; /* before it is used again */

		callback->function(code, value, callback->arg);
		callback = next;
	}
	return 0;
}

int weft_future_settle(struct weft_future *future, void *value)
{
	return settle(future, 0, value);
}

int weft_future_fail(struct weft_future *future, int code)
{
	return code < 0 ? settle(future, code, NULL) : -EINVAL;
}

int weft_future_await(struct weft_future *future, void **ret_value)
{
	struct wf_task *task;
	int r = wf_checkpoint_self(&task);

	if (r == 0)
		r = future->settled ? future->code :
				      wf_line_wait(&future->line, task, future, WF_WAIT_FUTURE);
	if (r == 0 && ret_value)
		*ret_value = future->value;
	return r;
}

bool weft_future_is_settled(const struct weft_future *future)
{
	return future->settled;
}

void weft_future_then(struct weft_future *future, struct weft_future_callback *callback)
{
	if (future->settled) {
		callback->function(future->code, future->value, callback->arg);
		return;
	}
	callback->next = NULL;
	if (future->last)
		future->last->next = callback;
	else
		future->first = callback;
	future->last = callback;
}
