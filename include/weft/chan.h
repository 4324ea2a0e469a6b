/* SPDX-License-Identifier: MIT */
/*
 * A channel hands elements of one size from task to task, in the order of sending. It buffers up to
 * `capacity` of them; with a capacity of 0 each send waits for the receive that takes its element.
 *
 * An element is copied in and out, and belongs to one side at any time: a call that was stopped has
 * sent or received nothing. Whoever sends says when there is no more by closing the channel; what is
 * buffered can still be received.
 *
 * A channel belongs to the worker it was made on. Elsewhere sending and receiving return -EPERM, and
 * closing or freeing ends the program. A plain thread sends through weft_post (run.h).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <weft/error.h>

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

struct weft_chan;

#define WEFT_CHAN_ELEMENT_MAX 65536	/* bytes */
#define WEFT_CHAN_CAPACITY_MAX 1048576	/* elements */
#define WEFT_CHAN_BUFFER_MAX 1073741824 /* bytes, of all elements together */

/* Makes a channel for elements of that many bytes, which the caller frees before its worker ends.
 * Never suspends. -EINVAL for elements of no bytes, and beyond the bounds above; -ENOMEM; -EPERM
 * outside weft_run. */
int weft_chan_new(size_t element_bytes, uint32_t capacity,
		  struct weft_chan **ret_chan) WEFT_MUST_USE;

/* Sends a copy of `*element`: to a task that waits for one, else into the buffer; waits while that has
 * no room. A checkpoint: 0; WEFT_ECLOSED if the channel is, or was meanwhile, closed; -ECANCELED,
 * WEFT_EDEADLINE; -EPERM outside a task. It was sent only if the result is 0. */
int weft_chan_send(struct weft_chan *chan, const void *element) WEFT_MUST_USE;

/* Receives the oldest element into `*ret_element`; waits while there is none. A checkpoint: 0;
 * WEFT_ECLOSED if the channel is closed and nothing is left; -ECANCELED, WEFT_EDEADLINE; -EPERM
 * outside a task. One was taken only if the result is 0. */
int weft_chan_recv(struct weft_chan *chan, void *ret_element) WEFT_MUST_USE;

/* The same where it needs no waiting; otherwise -EAGAIN. Never suspend; also in a posted function. */
int weft_chan_try_send(struct weft_chan *chan, const void *element) WEFT_MUST_USE;
int weft_chan_try_recv(struct weft_chan *chan, void *ret_element) WEFT_MUST_USE;

/* Lets nobody send any more. Tasks that wait get WEFT_ECLOSED. Closing twice is harmless. Never
 * suspends. */
void weft_chan_close(struct weft_chan *chan);

/* Frees a channel, and what is still buffered in it; NULL is allowed. No task may wait in it, or be in
 * any other call on it: a task that waits ends the program. Never suspends. */
void weft_chan_free(struct weft_chan *chan);

struct weft_chan_stats {
	uint64_t sent;	      /* elements that were sent, */
	uint64_t received;    /* and received */
	uint64_t send_waits;  /* how often a task had to wait for room, a select included, */
	uint64_t recv_waits;  /* and for an element */
	uint32_t length;      /* elements buffered now, */
	uint32_t length_peak; /* and at most, ever */
	uint32_t capacity;
	uint32_t element_bytes;
	uint32_t senders;   /* tasks that wait for room now, */
	uint32_t receivers; /* and for an element */
};

/* What has become of a channel so far. Never suspends; takes a step for each task that waits. */
void weft_chan_stats(const struct weft_chan *chan, struct weft_chan_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop
