/* SPDX-License-Identifier: MIT */
/*
 * Channels: a ring of elements between two lines of tasks.
 *
 *	senders ──> [ first ... length elements ] ──> receivers
 *
 * Receivers wait only while nothing is buffered and nobody waits to send, senders only while there is
 * no room and nobody waits to receive. So at most one of the lines is occupied, and elements keep their
 * order: what is buffered first, then what the senders bring, in theirs. The exception is a select that
 * waits both to send and to receive; it is alone in the channel, as anyone else would have met it.
 *
 * Whoever finds a partner waiting moves the element between the two at once, and settles the partner.
 */
#include <weft/chan.h>

#include "base/assert.h"
#include "core/line.h"
#include "core/select.h"

#include <errno.h>
#include <string.h>

struct weft_chan {
	struct weft_line_ receivers, senders;
	struct weft_worker *worker;
	uint32_t element_bytes, capacity;
	uint32_t first, length; /* the oldest element in the ring, and how many there are */
	bool closed;
	uint32_t length_peak;
	uint64_t sent;
	uint64_t send_waits, recv_waits;
	char ring[];
};

/* ---- Elements -------------------------------------------------------------------------------- */

/* A length the compiler knows is a move or two; elements need no alignment for that. */
static inline void copy(void *to, const void *from, size_t bytes)
{
	if (bytes == 8)
		memcpy(to, from, 8);
	else if (bytes == 4)
		memcpy(to, from, 4);
	else if (bytes == 16)
		memcpy(to, from, 16);
	else
		memcpy(to, from, bytes);
}

static inline void *slot(struct weft_chan *chan, uint32_t index)
{
	if (index >= chan->capacity)
		index -= chan->capacity;
	return chan->ring + (size_t)index * chan->element_bytes;
}

static inline void push(struct weft_chan *chan, const void *element)
{
	copy(slot(chan, chan->first + chan->length), element, chan->element_bytes);
	if (++chan->length > chan->length_peak)
		chan->length_peak = chan->length;
}

static inline void pop(struct weft_chan *chan, void *ret_element)
{
	copy(ret_element, slot(chan, chan->first), chan->element_bytes);
	chan->first = chan->first + 1 == chan->capacity ? 0 : chan->first + 1;
	chan->length--;
}

/* Sends without waiting, or returns -EAGAIN. */
static inline int offer(struct weft_chan *chan, const void *element)
{
	struct weft_place_ *receiver = chan->receivers.first;

	if (wf_unlikely(chan->closed))
		return WEFT_ECLOSED;
	if (receiver) {
		copy(receiver->element, element, chan->element_bytes);
		wf_line_settle(receiver, 0);
	} else if (chan->length < chan->capacity) {
		push(chan, element);
	} else {
		return -EAGAIN;
	}
	chan->sent++;
	return 0;
}

/* Receives without waiting, or returns -EAGAIN. The room that this makes is the first sender's. */
static inline int take(struct weft_chan *chan, void *ret_element)
{
	struct weft_place_ *sender = chan->senders.first;

	if (chan->length > 0) {
		pop(chan, ret_element);
		if (sender)
			push(chan, sender->element);
	} else if (sender) {
		copy(ret_element, sender->element, chan->element_bytes);
	} else {
		return chan->closed ? WEFT_ECLOSED : -EAGAIN;
	}
	if (sender) {
		chan->sent++;
		wf_line_settle(sender, 0);
	}
	return 0;
}

/* ---- Calls ----------------------------------------------------------------------------------- */

int weft_chan_new(size_t element_bytes, uint32_t capacity, struct weft_chan **ret_chan)
{
	struct weft_worker *worker = wf_worker;
	struct weft_chan *chan;

	if (!worker)
		return -EPERM;
	if (element_bytes == 0 || element_bytes > WEFT_CHAN_ELEMENT_MAX ||
	    capacity > WEFT_CHAN_CAPACITY_MAX || capacity > WEFT_CHAN_BUFFER_MAX / element_bytes)
		return -EINVAL;
	chan = wf_memory_new(&worker->memory, sizeof *chan + capacity * element_bytes);
	if (!chan)
		return -ENOMEM;
	*chan = (struct weft_chan){
		.worker = worker,
		.element_bytes = (uint32_t)element_bytes,
		.capacity = capacity,
	};
	*ret_chan = chan;
	return 0;
}

/* The calling task, if it may use the channel. */
static inline struct wf_task *user_of(const struct weft_chan *chan)
{
	return wf_likely(chan->worker == wf_worker) ? wf_task_self() : NULL;
}

static int wait_in(struct weft_line_ *line, void *element, struct wf_task *task,
		   const struct weft_chan *chan, enum wf_wait_reason reason)
{
	struct wf_line_wait wait;

	wf_line_wait_init(&wait, task, chan, reason);
	wait.place.element = element;
	return (int)wf_line_wait_in(line, &wait);
}

int weft_chan_send(struct weft_chan *chan, const void *element)
{
	struct wf_task *task = user_of(chan);
	int r = task ? wf_checkpoint(task) : -EPERM;

	if (wf_unlikely(r < 0))
		return r;
	r = offer(chan, element);
	if (r != -EAGAIN)
		return r;
	chan->send_waits++;
	return wait_in(&chan->senders, (void *)(uintptr_t)element, task, chan, WF_WAIT_SEND);
}

int weft_chan_recv(struct weft_chan *chan, void *ret_element)
{
	struct wf_task *task = user_of(chan);
	int r = task ? wf_checkpoint(task) : -EPERM;

	if (wf_unlikely(r < 0))
		return r;
	r = take(chan, ret_element);
	if (r != -EAGAIN)
		return r;
	chan->recv_waits++;
	return wait_in(&chan->receivers, ret_element, task, chan, WF_WAIT_RECV);
}

int weft_chan_try_send(struct weft_chan *chan, const void *element)
{
	return chan->worker == wf_worker ? offer(chan, element) : -EPERM;
}

int weft_chan_try_recv(struct weft_chan *chan, void *ret_element)
{
	return chan->worker == wf_worker ? take(chan, ret_element) : -EPERM;
}

void weft_chan_close(struct weft_chan *chan)
{
	wf_assert(chan->worker == wf_worker); /* another thread must go through weft_post */
	chan->closed = true;
	wf_line_settle_all(&chan->senders, WEFT_ECLOSED);
	wf_line_settle_all(&chan->receivers, WEFT_ECLOSED);
}

/* ---- The end, and looking at it --------------------------------------------------------------- */

static void assert_unused(const struct weft_line_ *line, const char *what)
{
	const struct wf_task *task;

	if (wf_likely(!line->first))
		return;
	task = line->first->waiter->task;
	wf_panic("a channel is freed in which task \"%s\" (spawned at %s) waits to %s; close the "
		 "channel, and join the tasks that use it first",
		 task->name, task->site, what);
}

void weft_chan_free(struct weft_chan *chan)
{
	if (!chan)
		return;
	wf_assert(chan->worker == wf_worker);
	assert_unused(&chan->senders, "send");
	assert_unused(&chan->receivers, "receive");
	wf_memory_free(&chan->worker->memory, chan,
		       sizeof *chan + (size_t)chan->capacity * chan->element_bytes);
}

static uint32_t count(const struct weft_line_ *line)
{
	uint32_t places = 0;

	for (const struct weft_place_ *place = line->first; place; place = place->next)
		places++;
	return places;
}

void weft_chan_stats(const struct weft_chan *chan, struct weft_chan_stats *ret_stats)
{
	*ret_stats = (struct weft_chan_stats){
		.sent = chan->sent,
		.received = chan->sent - chan->length,
		.send_waits = chan->send_waits,
		.recv_waits = chan->recv_waits,
		.length = chan->length,
		.length_peak = chan->length_peak,
		.capacity = chan->capacity,
		.element_bytes = chan->element_bytes,
		.senders = count(&chan->senders),
		.receivers = count(&chan->receivers),
	};
}

/* ---- Cases of a select ----------------------------------------------------------------------- */

static int recv_is_ready(struct weft_case *this)
{
	const struct weft_chan *chan = this->object;

	if (wf_unlikely(chan->worker != wf_worker))
		return -EPERM;
	return chan->length > 0 || chan->senders.first || chan->closed;
}

static int recv_take(struct weft_case *this)
{
	return take(this->object, this->wait.place.element);
}

static int recv_enlist(struct weft_case *this, struct wf_waiter *waiter)
{
	struct weft_chan *chan = this->object;

	chan->recv_waits++;
	wf_case_join(this, &chan->receivers, waiter);
	return 0;
}

struct weft_case weft_case_recv(struct weft_chan *chan, void *ret_element)
{
	static const struct wf_case_kind kind = { recv_is_ready, recv_take, recv_enlist,
						  wf_case_leave };

	return (struct weft_case){ .kind = &kind,
				   .object = chan,
				   .wait.place.element = ret_element };
}

static int send_is_ready(struct weft_case *this)
{
	const struct weft_chan *chan = this->object;

	if (wf_unlikely(chan->worker != wf_worker))
		return -EPERM;
	return chan->length < chan->capacity || chan->receivers.first || chan->closed;
}

static int send_take(struct weft_case *this)
{
	return offer(this->object, this->wait.place.element);
}

static int send_enlist(struct weft_case *this, struct wf_waiter *waiter)
{
	struct weft_chan *chan = this->object;

	chan->send_waits++;
	wf_case_join(this, &chan->senders, waiter);
	return 0;
}

struct weft_case weft_case_send(struct weft_chan *chan, const void *element)
{
	static const struct wf_case_kind kind = { send_is_ready, send_take, send_enlist,
						  wf_case_leave };

	return (struct weft_case){ .kind = &kind,
				   .object = chan,
				   .wait.place.element = (void *)(uintptr_t)element };
}
