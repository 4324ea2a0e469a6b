/* SPDX-License-Identifier: MIT */
/*
 * Signals as something a task waits for.
 *
 * An open set blocks its signals in the calling thread (signalfd(2) sees only blocked ones), until the
 * last set that holds them is closed. A signal that several sets hold is taken by one of them. Threads started before that keep their own mask: open the
 * set before starting threads.
 */
#pragma once

#include <weft/error.h>

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

struct weft_signals;

/* Opens a set of signals, given as numbers ended by a 0. Never suspends. -EINVAL for a number that
 * is no signal or cannot be caught, -EMFILE, -ENOMEM; -EPERM outside a task. */
int weft_signals_open(const int *numbers, struct weft_signals **ret_signals) WEFT_MUST_USE;

/* Waits for one of them and returns its number. A checkpoint: -ECANCELED, WEFT_EDEADLINE; -EBUSY
 * if another task waits on the same set, WEFT_ECLOSED if it is closed meanwhile; -EPERM outside a
 * task. */
int weft_signals_wait(struct weft_signals *signals) WEFT_MUST_USE;

/* Closes the set; NULL is allowed. Never suspends. */
void weft_signals_close(struct weft_signals *signals);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop
