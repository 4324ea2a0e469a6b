/* SPDX-License-Identifier: MIT */
/* What tasks and waits need of scopes; see weft/scope.h for the idea. */
#pragma once

#include "core/task.h"
#include "core/timer.h"

#include <weft/scope.h>

/* Opens a worker's root scope, on behalf of its keeper. */
void wf_scope_open_root(struct weft_worker *worker);

/* The next scope in a walk over all that are beneath `top`, which it begins with; NULL at the end. */
struct weft_scope *wf_scope_next(const struct weft_scope *scope, const struct weft_scope *top);

/* Adds a new child, which has been filled in. */
void wf_scope_adopt(struct weft_scope *scope, struct wf_task *child);

/* Removes a child that ended, and judges its result. */
void wf_scope_child_ended(struct weft_scope *scope, struct wf_task *child, int result);

/* The deadline of a scope has passed: stops everything beneath it. */
void wf_scope_expire(struct weft_scope *scope);

/* Arms the timer of the nearest deadline, before a task beneath it suspends. */
static inline void wf_scope_arm(struct weft_scope *scope, struct wf_timers *timers)
{
	struct weft_scope *holder = scope->deadline_scope;

	if (holder && !wf_timer_is_armed(&holder->timer) && !holder->stop)
		wf_timers_arm(timers, &holder->timer);
}
