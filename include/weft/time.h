/* SPDX-License-Identifier: MIT */
/*
 * Time and chance. Both come from the engine, so that a simulated run replays from its seed.
 *
 * A point in time is absolute nanoseconds on a monotonic clock. No function takes a timeout: a
 * deadline is a property of the code around the call (see scope.h).
 */
#pragma once

#include <stdint.h>
#include <weft/error.h>

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

typedef int64_t weft_time;

#define WEFT_FOREVER INT64_MAX
#define WEFT_MICROSECOND ((weft_time)1000)
#define WEFT_MILLISECOND ((weft_time)1000000)
#define WEFT_SECOND ((weft_time)1000000000)

/* The time now. Never suspends. Outside weft_run: -EPERM, which is a time long past. */
weft_time weft_now(void);

/* The time `duration_ns` from now; WEFT_FOREVER if that lies beyond it. Never suspends. Outside
 * weft_run: -EPERM. */
weft_time weft_after(weft_time duration_ns);

/* Suspends for at least `duration_ns`, or until the given time; a duration of 0 or a time that has
 * passed is a weft_yield. A checkpoint: 0, -ECANCELED, WEFT_EDEADLINE; -EPERM outside a task. */
int weft_sleep(weft_time duration_ns) WEFT_MUST_USE;
int weft_sleep_until(weft_time when) WEFT_MUST_USE;

/* 64 random bits from the worker's generator (xoshiro256**, seeded by the engine or by
 * weft_options.seed). Not for secrets. Never suspends; 0 outside weft_run. */
uint64_t weft_random(void);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop
