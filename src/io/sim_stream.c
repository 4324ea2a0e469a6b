/* SPDX-License-Identifier: MIT */
/* The system calls that move bytes through a simulated socket, and end that; the rest is in
 * io/sim_socket.c. */
#include "io/sim_socket.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

/* A send that is corked leaves by itself after that: tcp(7). */
static const weft_time CORK_NS = 200 * WEFT_MILLISECOND;

/* How soon after a false alarm the next report comes, at the latest. */
static const weft_time ALARM_NS = WEFT_MILLISECOND;

static void sound_alarm(struct wf_sim *sim, void *object, uint64_t value)
{
	(void)value;
	wf_sim_socket_touch(sim, object);
	wf_sim_socket_drop(sim, object);
}

/* Nothing was to be had, it was said in error: so there will be another report. */
void wf_sim_plan_alarm(struct wf_sim *sim, struct wf_sim_socket *socket)
{
	uint64_t after = wf_sim_draw(sim, WF_SIM_NETWORK, 1, (uint64_t)ALARM_NS);

	wf_sim_socket_plan(sim, socket, sim->now + (weft_time)after, sound_alarm, 0);
}

int wf_sim_take_error(struct wf_sim_socket *socket)
{
	int error = socket->error;

	socket->error = 0;
	return error;
}

/* A connection of TCP has a peer until it is over; Unix sockets remember theirs. */
bool wf_sim_has_peer(const struct wf_sim_socket *socket)
{
	if (socket->state != WF_SIM_PAIRED)
		return false;
	return wf_sim_is_unix(socket) || !(socket->is_dead || (socket->has_ended && socket->ends));
}

/* ---- Receiving ------------------------------------------------------------------------------- */

/* What a receive finds where there are no bytes. A Unix socket tells the error before the end. */
static int receive_nothing(struct wf_sim_socket *socket)
{
	switch (socket->state) {
	case WF_SIM_DIALING:
		return -EAGAIN;
	case WF_SIM_PAIRED:
	case WF_SIM_FAILED:
		if (socket->error && (wf_sim_is_unix(socket) || !socket->has_ended))
			return -wf_sim_take_error(socket);
		return socket->has_ended || socket->is_dead ? 0 : -EAGAIN;
	case WF_SIM_SIGNALFD:
		return -ENOTSOCK;
	default:
		return wf_sim_is_unix(socket) ? -EINVAL : -ENOTCONN;
	}
}

static ssize_t take_bytes(struct wf_sim *sim, struct wf_sim_socket *socket, void *buffer,
			  size_t bytes, int flags)
{
	uint32_t count = socket->input.arrived;

	if (count == 0)
		return receive_nothing(socket);
	if (count > bytes)
		count = (uint32_t)bytes;
	wf_sim_pipe_peek(&socket->input, buffer, count);
	wf_sim_note_bytes(sim, buffer, count);
	if (!(flags & MSG_PEEK))
		wf_sim_socket_take(sim, socket, count);
	return count;
}

/* Errors of a connection, as opposed to those of the moment. */
static bool is_fatal(int error)
{
	return error == -ECONNRESET || error == -EPIPE || error == -ETIMEDOUT ||
	       error == -EHOSTUNREACH;
}

static void fail_transfer(struct wf_sim *sim, struct wf_sim_socket *socket, int error)
{
	if (error == -EAGAIN)
		wf_sim_plan_alarm(sim, socket);
	if (is_fatal(error) && socket->state == WF_SIM_PAIRED)
		wf_sim_socket_reset(sim, socket);
}

ssize_t wf_sim_stream_receive(struct wf_poller *poller, int fd, void *buffer, size_t bytes,
			      int flags)
{
	struct wf_sim_socket *socket = NULL;
	struct wf_sim *sim;
	ssize_t n = wf_sim_call_begin(poller, WF_SIM_RECEIVE, fd, &sim, &socket);

	if (n < 0 && socket)
		fail_transfer(sim, socket, (int)n);
	else if (n == 0)
		n = take_bytes(sim, socket, buffer, bytes, flags);
	return wf_sim_call_end(sim, WF_SIM_RECEIVE, fd, n);
}

static ssize_t take_signal(struct wf_sim *sim, struct wf_sim_socket *socket, void *buffer,
			   size_t bytes)
{
	uint64_t *raised = &wf_sim_host_of(sim, socket)->signals;
	uint64_t ready = *raised & socket->signals;
	struct signalfd_siginfo info = { 0 };

	if (bytes < sizeof info)
		return -EINVAL;
	if (!ready)
		return -EAGAIN;
	*raised &= ~(ready & -ready);
	info.ssi_signo = (uint32_t)__builtin_ctzll(ready) + 1;
	memcpy(buffer, &info, sizeof info);
	return sizeof info;
}

ssize_t wf_sim_stream_read(struct wf_poller *poller, int fd, void *buffer, size_t bytes)
{
	struct wf_sim *sim = wf_container(poller, struct wf_sim, ready.poller);
	struct wf_sim_socket *socket;
	ssize_t n = wf_sim_socket_find(sim, fd, &socket);

	if (n == 0 && socket->state != WF_SIM_SIGNALFD)
		return wf_sim_stream_receive(poller, fd, buffer, bytes, 0);
	if (n == 0 && (n = wf_sim_fault(sim, WF_SIM_READ)) == 0)
		n = take_signal(sim, socket, buffer, bytes);
	else if (n == -EAGAIN)
		wf_sim_plan_alarm(sim, socket);
	return wf_sim_call_end(sim, WF_SIM_READ, fd, n);
}

/* ---- Sending --------------------------------------------------------------------------------- */

/* Why nothing can be sent, or 0. */
static int refuse_to_send(struct wf_sim_socket *socket)
{
	switch (socket->state) {
	case WF_SIM_PAIRED:
		if (!socket->ends && !socket->is_dead)
			return 0;
		__attribute__((fallthrough));
	case WF_SIM_FAILED:
		return socket->error && !wf_sim_is_unix(socket) ? -wf_sim_take_error(socket) :
								  -EPIPE;
	case WF_SIM_DIALING:
		return -EAGAIN;
	case WF_SIM_SIGNALFD:
		return -ENOTSOCK;
	default:
		return wf_sim_is_unix(socket) ? -ENOTCONN : -EPIPE;
	}
}

static void uncork_late(struct wf_sim *sim, void *object, uint64_t corkings)
{
	struct wf_sim_socket *to = object;

	if (to->input.corked > 0 && to->input.corkings == corkings && !to->peer->is_dead)
		wf_sim_socket_uncork(sim, to);
	wf_sim_socket_drop(sim, to);
}

/* What has been put into the pipe leaves, unless more is to come. */
static void let_go(struct wf_sim *sim, struct wf_sim_socket *to, bool more, bool was_corked)
{
	if (!more || wf_sim_is_unix(to)) {
		wf_sim_socket_uncork(sim, to);
	} else if (!was_corked) {
		to->input.corkings++;
		wf_sim_socket_plan(sim, to, sim->now + CORK_NS, uncork_late, to->input.corkings);
	}
}

/* Puts as much into the pipe as there is room for, at most `most` bytes. */
static size_t put_vector(struct wf_sim *sim, struct wf_sim_pipe *pipe, const struct iovec *vector,
			 int count, size_t most)
{
	size_t done = 0;

	for (int i = 0; i < count && done < most; i++) {
		size_t bytes = vector[i].iov_len, room = wf_sim_pipe_room(pipe);

		if (bytes > most - done)
			bytes = most - done;
		if (bytes > room)
			bytes = room;
		wf_sim_pipe_put(pipe, vector[i].iov_base, (uint32_t)bytes);
		wf_sim_note_bytes(sim, vector[i].iov_base, bytes);
		done += bytes;
		if (bytes == room)
			break;
	}
	return done;
}

static ssize_t send_bytes(struct wf_sim *sim, struct wf_sim_socket *socket,
			  const struct iovec *vector, int count, size_t most, int flags)
{
	struct wf_sim_socket *to = socket->peer;
	size_t total = 0, done;
	bool was_corked;
	int r = refuse_to_send(socket);

	if (r < 0)
		return r;
	for (int i = 0; i < count; i++)
		total += vector[i].iov_len;
	was_corked = to->input.corked > 0;
	done = put_vector(sim, &to->input, vector, count, most);
	if (done < total && done < most) /* refused: what is corked does not wait for more */
		wf_sim_socket_want_room(sim, socket);
	let_go(sim, to, flags & MSG_MORE && !socket->wants_room_since, was_corked);
	return done > 0 || total == 0 ? (ssize_t)done : -EAGAIN;
}

ssize_t wf_sim_stream_send(struct wf_poller *poller, int fd, const struct iovec *vector, int count,
			   int flags)
{
	struct wf_sim_socket *socket = NULL;
	struct wf_sim *sim;
	int fault = wf_sim_call_begin(poller, WF_SIM_SEND, fd, &sim, &socket);
	ssize_t n = fault;

	if (fault < 0 && socket)
		fail_transfer(sim, socket, fault);
	else if (fault >= 0)
		n = send_bytes(sim, socket, vector, count, fault > 0 ? (size_t)fault : SIZE_MAX,
			       flags);
	return wf_sim_call_end(sim, WF_SIM_SEND, fd, n);
}

/* ---- Ending ---------------------------------------------------------------------------------- */

/* Behind what was sent. */
static void send_end(struct wf_sim *sim, struct wf_sim_socket *socket)
{
	if (socket->ends)
		return;
	socket->ends = true;
	socket->ended_first = !socket->has_ended;
	wf_sim_socket_uncork(sim, socket->peer);
	wf_sim_socket_send(sim, socket->peer, WF_PARCEL_END, 0);
}

/* A Unix socket's close reaches both directions of the other end at once. */
static void part_unix(struct wf_sim *sim, struct wf_sim_socket *socket, bool rudely)
{
	struct wf_sim_socket *peer = socket->peer;

	socket->is_dead = true;
	peer->has_ended = true;
	peer->ends = true;
	if (rudely)
		peer->error = ECONNRESET;
	wf_sim_socket_touch(sim, peer);
}

void wf_sim_socket_part(struct wf_sim *sim, struct wf_sim_socket *socket, bool rudely)
{
	if (wf_sim_is_unix(socket))
		part_unix(sim, socket, rudely);
	else if (rudely)
		wf_sim_socket_reset(sim, socket);
	else
		send_end(sim, socket);
}

static int end_output(struct wf_sim *sim, struct wf_sim_socket *socket)
{
	if (socket->state == WF_SIM_SIGNALFD)
		return -ENOTSOCK;
	if (!wf_sim_is_unix(socket) && !wf_sim_has_peer(socket))
		return socket->state == WF_SIM_LISTENING ? 0 : -ENOTCONN;
	if (socket->state != WF_SIM_PAIRED)
		return 0;
	send_end(sim, socket);
	if (!wf_sim_is_unix(socket)) /* which is told of nothing that it did itself */
		wf_sim_socket_touch(sim, socket);
	return 0;
}

int wf_sim_stream_shutdown(struct wf_poller *poller, int fd)
{
	struct wf_sim_socket *socket;
	struct wf_sim *sim;
	int r = wf_sim_call_begin(poller, WF_SIM_SHUTDOWN, fd, &sim, &socket);

	if (r == -ENOTCONN)
		wf_sim_socket_lose(sim, socket);
	else if (r == 0)
		r = end_output(sim, socket);
	return (int)wf_sim_call_end(sim, WF_SIM_SHUTDOWN, fd, r);
}
