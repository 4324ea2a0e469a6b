/* SPDX-License-Identifier: MIT */
/*
 * A future is a result that comes later, once: a value, or a failure. Any number of tasks can wait for
 * it. It belongs to one worker; a plain thread settles it through weft_post (run.h). It needs no
 * clean-up, and must outlive its waiters, those that were woken included.
 */
#pragma once

#include <stdbool.h>
#include <weft/error.h>
#include <weft/line.h>

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

/* What is called when a future is settled: `function(result, value, arg)`, where `result` is 0 and
 * `value` that of the future, or the code of its failure and NULL. It must not suspend. The object is
 * the caller's, and must stay as it is until the call; from then on it may be used again. */
struct weft_future_callback {
	void (*function)(int result, void *value, void *arg);
	void *arg;
	struct weft_future_callback *next; /* private */
};

/* All fields are private. */
struct weft_future {
	struct weft_line_ line;
	struct weft_future_callback *first, *last;
	void *value;
	int code; /* of the failure, or 0 */
	bool settled;
};

/* clang-format off */
#define WEFT_FUTURE_INIT { WEFT_LINE_INIT_, 0, 0, 0, 0, false }
/* clang-format on */

/* Gives the future its value, which stays the caller's and may be NULL, wakes every waiter and calls
 * the callbacks. Never suspends. -EALREADY, and nothing happens, if it has been settled before. */
int weft_future_settle(struct weft_future *future, void *value) WEFT_MUST_USE;

/* The same with a failure: `code` is negative, else -EINVAL. */
int weft_future_fail(struct weft_future *future, int code) WEFT_MUST_USE;

/* Waits until the future is settled; at once if it is. Writes its value to `ret_value`, unless that is
 * NULL. A checkpoint: 0, the code of the failure, -ECANCELED, WEFT_EDEADLINE; -EPERM outside a task. */
int weft_future_await(struct weft_future *future, void **ret_value) WEFT_MUST_USE;

/* Whether it has been settled, either way. Never suspends. */
bool weft_future_is_settled(const struct weft_future *future);

/* Has the callback called once when the future is settled, after those that were given earlier; at once
 * if it is settled, be it just now, by whoever calls the others. Never suspends. */
void weft_future_then(struct weft_future *future, struct weft_future_callback *callback);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop
