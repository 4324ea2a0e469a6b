/* SPDX-License-Identifier: MIT */
/*
 * A semaphore is a number of things to be had, one each. It belongs to one worker, needs no clean-up,
 * and must outlive its waiters. Whoever likes may release, a task or a posted function (run.h).
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
struct weft_semaphore {
	struct weft_line_ line; /* of those who want one */
	uint32_t count;		/* to be had; 0 while somebody is in line */
};

/* clang-format off */
#define WEFT_SEMAPHORE_INIT(count) { WEFT_LINE_INIT_, (count) }
/* clang-format on */

/* Takes one; waits in line while there is none. A checkpoint: 0, or not taken: -ECANCELED,
 * WEFT_EDEADLINE; -EPERM outside a task. */
int weft_semaphore_acquire(struct weft_semaphore *semaphore) WEFT_MUST_USE;

/* Takes one if there is one, else -EAGAIN. Never suspends. */
int weft_semaphore_try_acquire(struct weft_semaphore *semaphore) WEFT_MUST_USE;

/* Gives one back, or to the first in line: nobody who comes later can have it before. Never suspends.
 * Ends the program beyond UINT32_MAX. */
void weft_semaphore_release(struct weft_semaphore *semaphore);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop
