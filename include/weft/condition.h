/* SPDX-License-Identifier: MIT */
/*
 * A condition is where tasks wait until something may have changed:
 *
 *	while (r == 0 && !is_ready(state))
 *		r = weft_condition_wait(&changed, NULL);
 *
 * Nothing else runs between the test and the wait, so no signal is lost between them. A mutex is
 * needed only if the test, or what follows it, contains a checkpoint. A condition belongs to one worker,
 * needs no clean-up, and must outlive its waiters.
 */
#pragma once

#include <weft/error.h>
#include <weft/line.h>
#include <weft/mutex.h>

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

/* All fields are private. */
struct weft_condition {
	struct weft_line_ line;
};

/* clang-format off */
#define WEFT_CONDITION_INIT { WEFT_LINE_INIT_ }
/* clang-format on */

/* Unlocks the mutex, if not NULL, waits for a signal, and locks the mutex again: the caller has it
 * whatever the result, and waiting to have it again cannot be interrupted. A checkpoint: 0 when
 * signalled; -ECANCELED, WEFT_EDEADLINE if not; -EPERM outside a task. Ends the program if the
 * caller does not have the mutex. */
int weft_condition_wait(struct weft_condition *condition, struct weft_mutex *mutex) WEFT_MUST_USE;

/* Wakes the task that has waited longest, if any; one that is stopped before it runs has the signal all the
 * same. Never suspends. */
void weft_condition_signal(struct weft_condition *condition);

/* Wakes all that wait now. Never suspends. */
void weft_condition_broadcast(struct weft_condition *condition);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop
