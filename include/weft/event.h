/* SPDX-License-Identifier: MIT */
/*
 * An event is a flag that tasks can wait for. It belongs to one worker; a plain thread sets it
 * through weft_post (run.h). It needs no clean-up, but must outlive its waiters.
 */
#pragma once

#include <stdbool.h>
#include <weft/error.h>
#include <weft/line.h>

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

/* All fields are private. */
struct weft_event {
	struct weft_line_ line;
	bool set;
};

/* clang-format off */
#define WEFT_EVENT_INIT { WEFT_LINE_INIT_, false }
/* clang-format on */

/* Sets the flag and wakes every waiter. Never suspends. */
void weft_event_set(struct weft_event *event);

/* Clears the flag. Never suspends. */
void weft_event_clear(struct weft_event *event);

/* Waits until the flag is set; at once if it is. A checkpoint: 0, -ECANCELED, WEFT_EDEADLINE;
 * -EPERM outside a task. */
int weft_event_wait(struct weft_event *event) WEFT_MUST_USE;

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop
