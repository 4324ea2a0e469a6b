/* SPDX-License-Identifier: MIT */
/*
 * A wait group counts what is under way, and lets tasks wait until nothing is. For tasks, a scope does
 * that; this is for what is none, or is spread over several scopes. It belongs to one worker, needs no
 * clean-up, and must outlive its waiters.
 */
#pragma once

#include <stdint.h>
#include <weft/error.h>
#include <weft/line.h>

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

/* All fields are private. */
struct weft_wait_group {
	struct weft_line_ line;
	uint32_t count; /* under way */
};

/* clang-format off */
#define WEFT_WAIT_GROUP_INIT { WEFT_LINE_INIT_, 0 }
/* clang-format on */

/* Counts `count` more. Never suspends. Ends the program beyond UINT32_MAX. */
void weft_wait_group_add(struct weft_wait_group *group, uint32_t count);

/* Counts one less, and wakes every waiter if that was the last. Never suspends. Ends the program if
 * there was none. */
void weft_wait_group_done(struct weft_wait_group *group);

/* Waits until nothing is under way; at once if that is so. A checkpoint: 0, -ECANCELED,
 * WEFT_EDEADLINE; -EPERM outside a task. What is added after the last has gone is not waited for. */
int weft_wait_group_wait(struct weft_wait_group *group) WEFT_MUST_USE;

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop
