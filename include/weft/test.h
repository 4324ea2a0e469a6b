/* SPDX-License-Identifier: MIT */
/*
 * For tests of programs: run them on the engine "sim" (weft_options.engine), whose clock jumps to the next
 * thing that happens when every task waits, and whose network is in memory.
 */
#pragma once

#include <weft/error.h>
#include <weft/time.h>

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

/* Waits until every other task waits, and nothing that has happened already will make one ready: what a
 * test wants to know before it looks. On any engine; if several tasks call it, they go on together. A
 * checkpoint: 0, -ECANCELED, WEFT_EDEADLINE; -EPERM outside a task. */
int weft_test_wait_idle(void) WEFT_MUST_USE;

/* Moves the clock of the engine "sim" forward; what is due by then happens when the task next suspends.
 * Never suspends. -EINVAL for a negative duration, or one that has no end; WEFT_EENGINE on another engine; -EPERM outside
 * weft_run. */
int weft_test_advance(weft_time duration_ns) WEFT_MUST_USE;

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop
