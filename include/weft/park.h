/* SPDX-License-Identifier: MIT */
/*
 * Waiting without a task: "run this function as a task when there is input".
 *
 * A descriptor that is parked owns no stack and no buffer, only its watch, about a hundred bytes.
 * It is parked in a *lot*, which says what is to be run, in which scope, and how long one may stay.
 *
 * Each parking leads to exactly one call of the lot's function, as a task of its own. When that
 * function has done what there was to do it parks the watch again, and returns: its locals are gone
 * then, the pointer given to weft_watch_open stays.
 *
 * A parked watch counts as a child of the lot's scope: closing the scope waits for it, and a stop of
 * the scope, a soft one too, ends its parking. Everything here belongs to the worker it was opened on.
 */
#pragma once

#include <weft/error.h>
#include <weft/scope.h>
#include <weft/time.h>

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

struct weft_lot;
struct weft_watch;

/* What a lot runs, with the argument given to weft_lot_open. `why` tells what ended the parking:
 *
 *	0		there may be input, or its end; or an error of the descriptor, which reading tells
 *	WEFT_EDEADLINE	it has been parked for the lot's idle time; or a deadline of the scope has passed
 *	WEFT_ESTOPPING	the scope was asked to stop
 *	-ECANCELED	the scope was cancelled
 *	WEFT_ECLOSED	the watch, or the connection it belongs to, was closed
 *
 * The result is the task's: a negative one is a failure in the lot's scope. */
typedef int weft_parked_function(struct weft_watch *watch, int why, void *arg);

/* Opens a lot in a scope, which releases it when it is closed. A watch may stay for `idle_ns`, and a
 * sixtieth of a second longer; WEFT_FOREVER for any time. Never suspends. -ENOMEM; -EPERM for an inert
 * scope or one of another worker. */
#define weft_lot_open(scope, function, arg, idle_ns, ret_lot) \
	weft_lot_open_at((scope), (function), (arg), (idle_ns), (ret_lot), WEFT_HERE, #function)
int weft_lot_open_at(struct weft_scope *scope, weft_parked_function *function, void *arg,
		     weft_time idle_ns, struct weft_lot **ret_lot, const char *site,
		     const char *name) WEFT_MUST_USE;

/* Makes a watch of a descriptor that can be polled: a socket, a pipe, a timerfd... The caller keeps
 * the descriptor and closes it after the watch; a connection has a watch already. Never suspends.
 * -EBADF, -EPERM if it is a file or a directory, or outside weft_run; -ENOMEM. */
int weft_watch_open(int fd, void *user, struct weft_watch **ret_watch) WEFT_MUST_USE;

/* Closes a watch made by weft_watch_open; if it is parked, the lot's function is run with
 * WEFT_ECLOSED, and the watch is valid until that returns; closing it there once more is harmless.
 * Never suspends; NULL is allowed. */
void weft_watch_close(struct weft_watch *watch);

/* Parks a watch until there is input. Never suspends. From then on another task may write to the
 * connection, not read. On failure it is not parked: the code of a stop of the scope, WEFT_ESTOPPING;
 * -EBUSY if it is parked already, a task is reading, or it is a server's (weft_serve), which parks it;
 * WEFT_ECLOSED; -EEXIST if the descriptor has another watch; -ENOMEM; -EPERM from another worker. */
int weft_park(struct weft_lot *lot, struct weft_watch *watch) WEFT_MUST_USE;

/* The pointer and the descriptor given to weft_watch_open, or those of the connection; -1 once it is
 * closed. Never suspend. */
void *weft_watch_user(const struct weft_watch *watch);
int weft_watch_fd(const struct weft_watch *watch);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop
