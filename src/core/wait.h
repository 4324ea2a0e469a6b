/* SPDX-License-Identifier: MIT */
/*
 * The one way in which a task waits.
 *
 * A waiter lives on the stack of the task that waits and says what for, and how to withdraw: I/O
 * operations, sleeps, events and joins all embed one. Its life:
 *
 *	wf_wait ──> ARMED ──────────────────────────────> SETTLED ──> wf_wait returns
 *	              │                                     ^
 *	              └─ wf_wait_interrupt ─> REQUESTED ────┘
 *
 * Whoever has the result calls wf_wait_settle, exactly once; from then on nobody but the task
 * touches the waiter. A stop of the scope, a deadline or a close only *requests* the end: withdraw
 * then settles the waiter with `code`, or lets an operation that cannot be taken back complete with
 * what it did. So a wait that got its result keeps it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <weft/time.h>

struct wf_task;

enum wf_wait_reason {
	WF_WAIT_JOIN,
	WF_WAIT_SLEEP,
	WF_WAIT_STOP,
	WF_WAIT_EVENT,
	WF_WAIT_MUTEX,
	WF_WAIT_CONDITION,
	WF_WAIT_SEMAPHORE,
	WF_WAIT_GROUP,
	WF_WAIT_LATEST,
	WF_WAIT_FUTURE,
	WF_WAIT_POOL,
	WF_WAIT_GENERATOR,
	WF_WAIT_SEND,
	WF_WAIT_RECV,
	WF_WAIT_SELECT,
	WF_WAIT_ACCEPT,
	WF_WAIT_CONNECT,
	WF_WAIT_READ,
	WF_WAIT_WRITE,
	WF_WAIT_SIGNAL,
	WF_WAIT_BUFFER,
	WF_WAIT_IDLE,
	WF_WAIT_REASONS,
};

enum wf_wait_state { WF_WAIT_ARMED, WF_WAIT_REQUESTED, WF_WAIT_SETTLED };

struct wf_waiter {
	struct wf_task *task;
	const void *object; /* what is waited for, for people who look */
	/* Takes the waiter back, and settles it with `code` now or later. NULL: cannot be
	 * interrupted. */
	void (*withdraw)(struct wf_waiter *waiter);
	int64_t result;	  /* once settled */
	int code;	  /* why it was interrupted, or 0 */
	uint8_t reason;	  /* enum wf_wait_reason */
	uint8_t state;	  /* enum wf_wait_state */
	bool ends_softly; /* a soft stop interrupts it, too */
	bool selects;	  /* it is that of a select (core/select.h), which has several places */
};

/* Suspends the calling task until the waiter, which the caller has filled in and published, is
 * settled; returns its result. */
int64_t wf_wait(struct wf_waiter *waiter);

/* Gives a waiter its result and makes its task ready. Never suspends. */
void wf_wait_settle(struct wf_waiter *waiter, int64_t result);

/* Asks the wait of a task, if it is in one that can be interrupted, to end with `code`. Never
 * suspends. */
void wf_wait_interrupt(struct wf_task *task, int code);
