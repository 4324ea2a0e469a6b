/* SPDX-License-Identifier: MIT */
/*
 * A mutex keeps other tasks out of what must not be seen half done, across checkpoints: between two
 * checkpoints a task runs alone anyway, and needs none. It belongs to one worker, needs no clean-up,
 * and must outlive its waiters. The task that has locked it unlocks it, before it ends: one that does not
 * ends the program.
 */
#pragma once

#include <weft/error.h>
#include <weft/line.h>

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

struct wf_task;

/* All fields are private. */
struct weft_mutex {
	struct weft_line_ line; /* of those who want it */
	struct wf_task *owner;	/* NULL when nobody has it; then nobody is in line */
};

/* clang-format off */
#define WEFT_MUTEX_INIT { WEFT_LINE_INIT_, 0 }
/* clang-format on */

/* Locks the mutex; waits in line while another task has it. A checkpoint: 0, or not locked:
 * -ECANCELED, WEFT_EDEADLINE, -EDEADLK if the caller has it already; -EPERM outside a task. */
int weft_mutex_lock(struct weft_mutex *mutex) WEFT_MUST_USE;

/* Locks the mutex if nobody has it, else -EAGAIN; also if the caller has it. Never suspends. -EPERM
 * outside a task. */
int weft_mutex_try_lock(struct weft_mutex *mutex) WEFT_MUST_USE;

/* Unlocks the mutex, or hands it to the first in line: nobody who comes later can have it before.
 * Never suspends. Ends the program if the caller does not have it. */
void weft_mutex_unlock(struct weft_mutex *mutex);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop
