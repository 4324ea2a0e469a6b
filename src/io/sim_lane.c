/* SPDX-License-Identifier: MIT */
/*
 * What travels between simulated sockets, and what it does where it arrives; io/sim_socket.h draws it.
 *
 * A parcel arrives after those before it, its link's latency after it was sent, and not before the link
 * has had the time for its bytes. On a link without latency it arrives while it is sent, without an
 * event. Where a link is cut, a lane is held, and planned anew when the link is healed.
 */
#include "io/sim_socket.h"

#include "base/assert.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* How long a sender waits for an answer to what it has sent: what Linux's 15 retransmissions take. */
static const weft_time PATIENCE_NS = 924 * WEFT_SECOND;

static void arrivals(struct wf_sim *sim, void *object, uint64_t value);
static void plan_patience(struct wf_sim *sim, struct wf_sim_socket *to);

/* NULL between Unix sockets, which have no network between them. */
static struct wf_sim_link *link_to(struct wf_sim *sim, const struct wf_sim_socket *to)
{
	return wf_sim_is_unix(to) ? NULL : wf_sim_net_link(&sim->net, to->peer_host, to->host);
}

weft_time wf_sim_latency(struct wf_sim *sim, const struct wf_sim_link *link)
{
	if (link->latency_max_ns <= link->latency_min_ns)
		return link->latency_min_ns;
	return (weft_time)wf_sim_draw(sim, WF_SIM_NETWORK, (uint64_t)link->latency_min_ns,
				      (uint64_t)link->latency_max_ns);
}

static bool is_instant(const struct wf_sim_link *link)
{
	return !link || (link->latency_min_ns == 0 && link->latency_max_ns == 0 &&
			 link->bandwidth_bytes == 0 && !link->is_cut);
}

/* ---- Pipes: bytes ---------------------------------------------------------------------------- */

static uint32_t held_by(const struct wf_sim_pipe *pipe)
{
	return pipe->arrived + pipe->on_way + pipe->corked;
}

uint32_t wf_sim_pipe_room(const struct wf_sim_pipe *pipe)
{
	uint32_t used = held_by(pipe) + pipe->taken;

	return used < pipe->capacity ? pipe->capacity - used : 0;
}

/* Copies from the ring, `offset` bytes behind its first. */
static void copy_out(const struct wf_sim_pipe *pipe, uint32_t offset, uint8_t *bytes,
		     uint32_t count)
{
	uint32_t start = (pipe->first + offset) & (pipe->size - 1);
	uint32_t whole = pipe->size - start < count ? pipe->size - start : count;

	memcpy(bytes, pipe->ring + start, whole);
	memcpy(bytes + whole, pipe->ring, count - whole);
}

static void grow_pipe(struct wf_sim_pipe *pipe, uint32_t bytes)
{
	uint32_t size = pipe->size ? pipe->size : 1024, held = held_by(pipe);
	uint8_t *ring;

	while (size < bytes)
		size *= 2;
	ring = wf_sim_allocate(size);
	if (held > 0)
		copy_out(pipe, 0, ring, held);
	free(pipe->ring);
	pipe->ring = ring;
	pipe->size = size;
	pipe->first = 0;
}

void wf_sim_pipe_put(struct wf_sim_pipe *pipe, const void *bytes, uint32_t count)
{
	uint32_t held = held_by(pipe), start, whole;

	if (count == 0)
		return;
	if (held + count > pipe->size)
		grow_pipe(pipe, held + count);
	start = (pipe->first + held) & (pipe->size - 1);
	whole = pipe->size - start < count ? pipe->size - start : count;
	memcpy(pipe->ring + start, bytes, whole);
	memcpy(pipe->ring, (const uint8_t *)bytes + whole, count - whole);
	pipe->corked += count;
}

void wf_sim_pipe_peek(const struct wf_sim_pipe *pipe, void *buffer, uint32_t count)
{
	wf_assert(count <= pipe->arrived);
	if (count > 0)
		copy_out(pipe, 0, buffer, count);
}

static void discard(struct wf_sim_pipe *pipe)
{
	free(pipe->ring);
	pipe->ring = NULL;
	pipe->size = pipe->first = 0;
	pipe->arrived = pipe->on_way = pipe->corked = 0;
}

void wf_sim_socket_take(struct wf_sim *sim, struct wf_sim_socket *socket, uint32_t count)
{
	struct wf_sim_pipe *pipe = &socket->input;

	wf_assert(count <= pipe->arrived);
	if (count == 0)
		return;
	pipe->first = (pipe->first + count) & (pipe->size - 1);
	pipe->arrived -= count;
	if (!socket->peer->is_open || socket->peer->is_dead)
		return;
	pipe->taken += count;
	wf_sim_socket_send(sim, socket->peer, WF_PARCEL_ROOM, count);
}

/* ---- Failing --------------------------------------------------------------------------------- */

static void clear_lane(struct wf_sim_socket *to)
{
	to->lane.count = 0;
	wf_list_remove(&to->lane.in_held);
}

static void answer_with_reset(struct wf_sim *sim, struct wf_sim_socket *socket)
{
	if (socket->has_reset || !socket->peer || socket->peer->is_dead)
		return;
	socket->has_reset = true;
	wf_sim_socket_send(sim, socket->peer, WF_PARCEL_RESET, 0);
}

/* The connection fails at this end. What was on the way is lost, and the other end is not told. */
static void fail(struct wf_sim *sim, struct wf_sim_socket *socket, int error)
{
	if (socket->is_dead)
		return;
	socket->is_dead = true;
	socket->error = error;
	clear_lane(socket->peer);
	socket->peer->input.on_way = socket->peer->input.corked = 0;
	wf_sim_socket_touch(sim, socket);
}

void wf_sim_socket_reset(struct wf_sim *sim, struct wf_sim_socket *socket)
{
	if (socket->is_dead)
		return;
	socket->is_dead = true;
	discard(&socket->input);
	answer_with_reset(sim, socket);
	wf_sim_socket_touch(sim, socket);
}

/* ---- Arriving -------------------------------------------------------------------------------- */

static void arrive_data(struct wf_sim *sim, struct wf_sim_socket *to, uint32_t bytes)
{
	const struct wf_sim_link *back;

	to->input.on_way -= bytes;
	to->input.arrived += bytes;
	wf_sim_listener_admit(sim, to);
	wf_sim_socket_touch(sim, to);
	if (wf_sim_is_unix(to))
		return;
	/* The acknowledgement is told of only where it cannot come. */
	back = wf_sim_net_link(&sim->net, to->host, to->peer_host);
	if (back->is_cut)
		wf_sim_socket_send(sim, to->peer, WF_PARCEL_ROOM, 0);
}

static void arrive_room(struct wf_sim *sim, struct wf_sim_socket *to, uint32_t bytes)
{
	to->peer->input.taken -= bytes;
	if (bytes == 0 || !to->wants_room_since)
		return;
	to->wants_room_since = 0;
	wf_sim_socket_touch(sim, to);
}

/* What has arrived before stays readable on Linux. */
static void arrive_reset(struct wf_sim *sim, struct wf_sim_socket *to)
{
	to->is_dead = true;
	to->error = to->has_ended ? EPIPE : ECONNRESET;
	if (sim->net.harsh_resets)
		discard(&to->input);
	wf_sim_socket_touch(sim, to);
}

void wf_sim_socket_lose(struct wf_sim *sim, struct wf_sim_socket *socket)
{
	if (socket->state != WF_SIM_PAIRED || socket->is_dead)
		return;
	arrive_reset(sim, socket);
	answer_with_reset(sim, socket);
}

static void arrive(struct wf_sim *sim, struct wf_sim_socket *to, enum wf_sim_parcel_kind kind,
		   uint32_t bytes)
{
	if (to->is_dead) {
		if (kind == WF_PARCEL_DATA || kind == WF_PARCEL_END || kind == WF_PARCEL_ACCEPTED)
			answer_with_reset(sim, to);
		return;
	}
	switch (kind) {
	case WF_PARCEL_DATA:
		if (to->is_open)
			arrive_data(sim, to, bytes);
		else
			wf_sim_socket_reset(sim, to);
		return;
	case WF_PARCEL_END:
		to->has_ended = true;
		wf_sim_listener_admit(sim, to);
		wf_sim_socket_touch(sim, to);
		return;
	case WF_PARCEL_ROOM:
		arrive_room(sim, to, bytes);
		return;
	case WF_PARCEL_RESET:
		arrive_reset(sim, to);
		return;
	case WF_PARCEL_ACCEPTED:
		to->state = WF_SIM_PAIRED;
		if (to->is_open)
			wf_sim_socket_touch(sim, to);
		else
			wf_sim_socket_reset(sim, to);
		return;
	case WF_PARCEL_REFUSED:
		wf_sim_dial_fail(sim, to, ECONNREFUSED);
		return;
	}
}

/* ---- Travelling ------------------------------------------------------------------------------ */

static struct wf_sim_parcel *parcel_at(struct wf_sim_lane *lane, uint32_t index)
{
	return &lane->ring[(lane->first + index) & (lane->size - 1)];
}

static void push(struct wf_sim_lane *lane, struct wf_sim_parcel parcel)
{
	if (lane->count == lane->size) {
		uint32_t size = lane->size ? 2 * lane->size : 8;
		struct wf_sim_parcel *ring = wf_sim_allocate(size * sizeof *ring);

		for (uint32_t i = 0; i < lane->count; i++)
			ring[i] = *parcel_at(lane, i);
		free(lane->ring);
		lane->ring = ring;
		lane->size = size;
		lane->first = 0;
	}
	lane->ring[(lane->first + lane->count++) & (lane->size - 1)] = parcel;
}

static bool is_held(const struct wf_sim_lane *lane)
{
	return !wf_list_is_empty(&lane->in_held);
}

static void plan_first(struct wf_sim *sim, struct wf_sim_socket *to)
{
	struct wf_sim_lane *lane = &to->lane;

	if (lane->count == 0 || lane->is_planned || is_held(lane))
		return;
	lane->is_planned = true;
	wf_sim_socket_plan(sim, to, parcel_at(lane, 0)->time, arrivals, 0);
}

/* When something sent now has left, and its bytes have had their time on the link. */
static weft_time departure(struct wf_sim *sim, struct wf_sim_link *link, uint32_t bytes)
{
	weft_time start = sim->now > link->busy_until ? sim->now : link->busy_until;

	if (link->bandwidth_bytes == 0 || bytes == 0)
		return sim->now;
	link->busy_until =
		start + (weft_time)((uint64_t)bytes * WEFT_SECOND / link->bandwidth_bytes);
	return link->busy_until;
}

void wf_sim_socket_send(struct wf_sim *sim, struct wf_sim_socket *to, enum wf_sim_parcel_kind kind,
			uint32_t bytes)
{
	struct wf_sim_link *link = link_to(sim, to);
	struct wf_sim_lane *lane = &to->lane;
	weft_time time;

	if (lane->count == 0 && is_instant(link)) {
		arrive(sim, to, kind, bytes);
		return;
	}
	wf_assert(link);
	time = departure(sim, link, kind == WF_PARCEL_DATA ? bytes : 0) + wf_sim_latency(sim, link);
	push(lane, (struct wf_sim_parcel){ time, bytes, kind });
	plan_first(sim, to);
	plan_patience(sim, to);
}

void wf_sim_socket_uncork(struct wf_sim *sim, struct wf_sim_socket *to)
{
	const struct wf_sim_link *link = link_to(sim, to);
	struct wf_sim_pipe *pipe = &to->input;

	while (pipe->corked > 0) {
		uint32_t bytes = pipe->corked;

		if (link && link->segment_max > 0) {
			uint64_t most = wf_sim_draw(sim, WF_SIM_NETWORK,
						    link->segment_min ? link->segment_min : 1,
						    link->segment_max);

			bytes = most < bytes ? (uint32_t)most : bytes;
		}
		pipe->corked -= bytes;
		pipe->on_way += bytes;
		wf_sim_socket_send(sim, to, WF_PARCEL_DATA, bytes);
	}
}

/* ---- Links that are cut ------------------------------------------------------------------------ */

/* Word of room is not waited for by who has nothing to send. Who has asks for it again and again, from
 * then on; an acknowledgement is waited for in any case. */
static weft_time patience_for_room(const struct wf_sim_socket *to,
				   const struct wf_sim_parcel *parcel)
{
	weft_time since = to->wants_room_since;

	if (to->is_dead || (parcel->bytes > 0 && !since))
		return WEFT_FOREVER;
	return (parcel->bytes > 0 && since > parcel->time ? since : parcel->time) + PATIENCE_NS;
}

/* When somebody gives up because a parcel is held: who sent it, or, of word that comes back, who waits
 * for it. */
static weft_time patience_with(const struct wf_sim_socket *to, const struct wf_sim_parcel *parcel)
{
	switch (parcel->kind) {
	case WF_PARCEL_DATA:
	case WF_PARCEL_END:
		return to->peer->is_dead ? WEFT_FOREVER : parcel->time + PATIENCE_NS;
	case WF_PARCEL_ROOM:
		return patience_for_room(to, parcel);
	case WF_PARCEL_ACCEPTED:
	case WF_PARCEL_REFUSED:
		return to->is_dead ? WEFT_FOREVER : wf_sim_dial_deadline(to);
	case WF_PARCEL_RESET:
		break;
	}
	return WEFT_FOREVER;
}

static void give_up(struct wf_sim *sim, struct wf_sim_socket *to, enum wf_sim_parcel_kind kind)
{
	if (kind == WF_PARCEL_ACCEPTED || kind == WF_PARCEL_REFUSED)
		wf_sim_dial_fail(sim, to, ETIMEDOUT);
	else
		fail(sim, kind == WF_PARCEL_ROOM ? to : to->peer, ETIMEDOUT);
}

static void patience_ends(struct wf_sim *sim, void *object, uint64_t value)
{
	struct wf_sim_socket *to = object;
	struct wf_sim_lane *lane = &to->lane;

	(void)value;
	lane->is_timed = false;
	for (uint32_t i = 0; i < lane->count && is_held(lane); i++)
		if (patience_with(to, parcel_at(lane, i)) <= sim->now)
			give_up(sim, to, parcel_at(lane, i)->kind);
	plan_patience(sim, to);
	wf_sim_socket_drop(sim, to);
}

/* Of those who wait for what is held, the first to give up. */
static void plan_patience(struct wf_sim *sim, struct wf_sim_socket *to)
{
	struct wf_sim_lane *lane = &to->lane;
	weft_time end = WEFT_FOREVER;

	if (!is_held(lane) || lane->is_timed)
		return;
	for (uint32_t i = 0; i < lane->count; i++) {
		weft_time time = patience_with(to, parcel_at(lane, i));

		end = time < end ? time : end;
	}
	if (end == WEFT_FOREVER)
		return;
	lane->is_timed = true;
	wf_sim_socket_plan(sim, to, end, patience_ends, 0);
}

void wf_sim_socket_want_room(struct wf_sim *sim, struct wf_sim_socket *socket)
{
	if (!socket->wants_room_since)
		socket->wants_room_since = sim->now;
	plan_patience(sim, socket);
}

static void hold(struct wf_sim *sim, struct wf_sim_socket *to, struct wf_sim_link *link)
{
	wf_list_push_back(&link->held, &to->lane.in_held);
	plan_patience(sim, to);
}

/* Delivers what has arrived by now. */
static void arrivals(struct wf_sim *sim, void *object, uint64_t value)
{
	struct wf_sim_socket *to = object;
	struct wf_sim_lane *lane = &to->lane;
	struct wf_sim_link *link = link_to(sim, to);

	(void)value;
	lane->is_planned = false;
	if (lane->count > 0 && link && link->is_cut)
		hold(sim, to, link);
	while (lane->count > 0 && !is_held(lane) && parcel_at(lane, 0)->time <= sim->now) {
		struct wf_sim_parcel parcel = *parcel_at(lane, 0);

		lane->first++;
		lane->count--;
		arrive(sim, to, parcel.kind, parcel.bytes);
	}
	plan_first(sim, to);
	wf_sim_socket_drop(sim, to);
}

void wf_sim_net_cut(struct wf_sim *sim, uint32_t from, uint32_t to)
{
	wf_sim_net_link(&sim->net, from, to)->is_cut = true;
}

void wf_sim_net_heal(struct wf_sim *sim, uint32_t from, uint32_t to)
{
	struct wf_sim_link *link = wf_sim_net_link(&sim->net, from, to);
	struct wf_list *node;

	link->is_cut = false;
	while ((node = wf_list_pop_front(&link->held)) != NULL) {
		struct wf_sim_socket *socket =
			wf_container(node, struct wf_sim_socket, lane.in_held);
		struct wf_sim_lane *lane = &socket->lane;
		weft_time time = sim->now + wf_sim_latency(sim, link);

		for (uint32_t i = 0; i < lane->count; i++)
			if (parcel_at(lane, i)->time < time)
				parcel_at(lane, i)->time = time;
		plan_first(sim, socket);
	}
}

void wf_sim_net_reset(struct wf_sim *sim, uint32_t a, uint32_t b)
{
	const struct wf_list *all = &sim->net.all;

	for (struct wf_list *node = wf_list_first(all); node; node = wf_list_next(all, node)) {
		struct wf_sim_socket *socket = wf_container(node, struct wf_sim_socket, in_all);
		bool is_between = (socket->host == a && socket->peer_host == b) ||
				  (socket->host == b && socket->peer_host == a);

		if (!is_between || !socket->peer || wf_sim_is_unix(socket))
			continue;
		if (socket->state == WF_SIM_PAIRED)
			arrive(sim, socket, WF_PARCEL_RESET, 0);
		else if (socket->state == WF_SIM_DIALING) /* and accepted at the other end */
			wf_sim_dial_fail(sim, socket, ECONNREFUSED);
	}
}
