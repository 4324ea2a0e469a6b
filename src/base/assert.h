/* SPDX-License-Identifier: MIT */
/*
 * Assertions state what must be true; they never judge what the outside world decides. A breach is
 * a bug in the program: one line on standard error, then abort().
 *
 * wf_assert is always on. wf_assert_slow is for checks that cost more than the code they guard: on
 * only with WF_DEBUG, and otherwise compiled, so that it keeps up with the code, but never run.
 */
#pragma once

#include "base/compiler.h"

/* Writes "weft: <text>" as one line to standard error and aborts. Text beyond 504 bytes is cut, and
 * control characters show as '?', so that it stays one line. Works where little does: on any
 * thread, on a task's stack with about 4 KiB left, in a signal handler. */
_Noreturn void wf_panic(const char *format, ...) __attribute__((format(printf, 1, 2), cold));

/* The same without the end. */
void wf_say(const char *format, ...) __attribute__((format(printf, 1, 2), cold));

_Noreturn void wf_assert_failed(const char *condition, const char *file, int line,
				const char *function) __attribute__((cold));

#define wf_assert(condition)              \
	(wf_likely(condition) ? (void)0 : \
				wf_assert_failed(#condition, __FILE__, __LINE__, __func__))

#ifdef WF_DEBUG
#define wf_assert_slow(condition) wf_assert(condition)
#else
#define wf_assert_slow(condition) ((void)sizeof((condition) ? 1 : 0))
#endif
