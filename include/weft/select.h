/* SPDX-License-Identifier: MIT */
/*
 * Waiting for the first of several things:
 *
 *	struct weft_case cases[] = {
 *		weft_case_recv(jobs, &job),
 *		weft_case_event(&quit),
 *		weft_case_until(weft_after(WEFT_SECOND)),
 *	};
 *	int i = weft_select(cases, 3);
 *
 * Exactly one of the cases happens, and `cases[i].result` tells how. If several could, one of them is
 * chosen, each with the same chance. If none can, the task waits; the first that can then happens, and
 * the others are left as if they had never been waited for.
 *
 * Cases may be used again, in any select of the same worker but one at a time.
 */
#pragma once

#include <stdint.h>
#include <weft/error.h>
#include <weft/line.h>
#include <weft/scope.h>
#include <weft/time.h>

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

struct weft_chan;
struct weft_event;
struct weft_watch;
struct wf_case_kind;
struct wf_op;

/* All fields but `result` are private. */
struct weft_case {
	/* Of the case that happened: 0; WEFT_ECLOSED if its channel is closed, or its watch was
	 * meanwhile; or what the engine says of the descriptor. */
	int result;
	const struct wf_case_kind *kind;
	void *object; /* a channel, an event, a watch */
	union {
		struct weft_place_ place;
		struct weft_case_timer_ {
			struct weft_timer_ timer;
			struct wf_waiter *waiter;
		} until;
		struct weft_case_op_ {
			struct wf_op *op;
			struct wf_waiter *waiter;
		} ready;
	} wait;
};

/* The cases there are. None of these functions suspends or fails; what is given must outlive the
 * select. */

/* An element is received, or sent: as weft_chan_recv and weft_chan_send (chan.h). A closed channel
 * counts as ready, with WEFT_ECLOSED. */
struct weft_case weft_case_recv(struct weft_chan *chan, void *ret_element);
struct weft_case weft_case_send(struct weft_chan *chan, const void *element);

/* The event is set. */
struct weft_case weft_case_event(struct weft_event *event);

/* The time has come. */
struct weft_case weft_case_until(weft_time when);

/* The descriptor has input or its end, or has room for output: it is not read or written. Input of a
 * connection that weft_fill has received and nobody has consumed counts. Closing the watch while a task
 * waits ends the select, with WEFT_ECLOSED. While a task waits nobody else may read, or write,
 * respectively. */
struct weft_case weft_case_readable(struct weft_watch *watch);
struct weft_case weft_case_writable(struct weft_watch *watch);

/* Nothing: it takes the place of a case that is no longer wanted. */
struct weft_case weft_case_never(void);

/* Waits for one of the cases and returns its index. A checkpoint: -ECANCELED, WEFT_EDEADLINE, and then
 * nothing has happened; -EPERM outside a task, or if a channel or a watch is another worker's; -EINVAL
 * without a case. If a case can be neither taken nor waited for, why: -EBUSY if the watch is parked, or a task
 * reads, or writes, respectively; -ENOMEM; what the engine says of the descriptor. */
int weft_select(struct weft_case *cases, int count) WEFT_MUST_USE;

/* The same if a case can happen now; otherwise -EAGAIN. Never suspends; also in a posted function. */
int weft_try_select(struct weft_case *cases, int count) WEFT_MUST_USE;

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop
