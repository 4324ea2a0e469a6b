/* SPDX-License-Identifier: MIT */
/*
 * Connecting in the simulated network, and the queues of listeners.
 *
 *	connect ── SYN ──> no listener: REFUSED <──
 *	               ──> room in the backlog: a socket without a descriptor in the queue, ACCEPTED <──
 *	               ──> backlog full, or link cut: lost, and sent again after 1, 2, 4 ... seconds
 *
 * Unix sockets connect at once, or are told that the backlog is full.
 */
#include "io/sim_socket.h"

#include <errno.h>

/* Linux sends a SYN seven times; then it has waited for 1 + 2 + ... + 64 seconds. */
enum { SYNS_MAX = 7 };

/* How long it looks for a host that is not there. */
static const weft_time SEARCH_NS = 3 * WEFT_SECOND;

/* ---- Backlogs -------------------------------------------------------------------------------- */

/* As the kernel counts: one more than was asked for. */
static bool is_full(const struct wf_sim_socket *listener)
{
	return listener->queued > listener->backlog;
}

void wf_sim_listener_admit(struct wf_sim *sim, struct wf_sim_socket *child)
{
	struct wf_sim_socket *listener = child->listener;

	if (!child->is_deferred || !listener)
		return;
	child->is_deferred = false;
	wf_list_remove(&child->in_queue);
	wf_list_push_back(&listener->queue, &child->in_queue);
	listener->queued++;
	wf_sim_socket_touch(sim, listener);
}

static void deferral_ends(struct wf_sim *sim, void *child, uint64_t value)
{
	(void)value;
	wf_sim_listener_admit(sim, child);
	wf_sim_socket_drop(sim, child);
}

/* A connection comes in, which the queue holds. */
static void enqueue(struct wf_sim *sim, struct wf_sim_socket *listener,
		    struct wf_sim_socket *dialer)
{
	struct wf_sim_socket *child = wf_sim_socket_new(sim, listener->host, listener->family);

	child->state = WF_SIM_PAIRED;
	child->local = dialer->remote;
	child->remote = dialer->local;
	child->listener = listener;
	child->is_deferred = true;
	wf_list_push_back(&listener->deferred, &child->in_queue);
	wf_sim_socket_pair(sim, child, dialer);
	if (listener->defer_s > 0)
		wf_sim_socket_plan(sim, child, sim->now + listener->defer_s * WEFT_SECOND,
				   deferral_ends, 0);
	else
		wf_sim_listener_admit(sim, child);
}

static void turn_away(struct wf_sim *sim, struct wf_list *queue)
{
	struct wf_list *node;

	while ((node = wf_list_pop_front(queue)) != NULL)
		wf_sim_listener_abort(sim, wf_container(node, struct wf_sim_socket, in_queue));
}

void wf_sim_listener_abort(struct wf_sim *sim, struct wf_sim_socket *child)
{
	child->listener = NULL;
	child->is_deferred = false;
	child->is_open = false;
	if (wf_sim_is_unix(child))
		wf_sim_socket_part(sim, child, true);
	else
		wf_sim_socket_reset(sim, child);
	wf_sim_socket_drop(sim, child);
}

struct wf_sim_socket *wf_sim_listener_take(struct wf_sim_socket *listener)
{
	struct wf_list *node = wf_list_pop_front(&listener->queue);
	struct wf_sim_socket *child;

	if (!node)
		return NULL;
	listener->queued--;
	child = wf_container(node, struct wf_sim_socket, in_queue);
	child->listener = NULL;
	return child;
}

void wf_sim_listener_close(struct wf_sim *sim, struct wf_sim_socket *listener)
{
	turn_away(sim, &listener->queue);
	turn_away(sim, &listener->deferred);
}

/* ---- Connecting ------------------------------------------------------------------------------ */

static void send_syn(struct wf_sim *sim, struct wf_sim_socket *socket, uint32_t number);

weft_time wf_sim_dial_deadline(const struct wf_sim_socket *socket)
{
	return socket->dialed_at + ((1 << SYNS_MAX) - 1) * WEFT_SECOND;
}

void wf_sim_dial_fail(struct wf_sim *sim, struct wf_sim_socket *socket, int error)
{
	socket->state = WF_SIM_FAILED;
	socket->is_dead = true; /* to what may come from there still */
	socket->error = error;
	if (wf_list_is_empty(&socket->in_bound)) { /* the port was found for this connect */
		wf_sim_name_release(sim, socket);
		wf_sim_name_unnamed(&socket->local, socket->family);
	}
	wf_sim_socket_touch(sim, socket);
}

/* Of a connect one event is planned at a time, none when it has ended. */
static bool goes_on(const struct wf_sim_socket *socket)
{
	return socket->state == WF_SIM_DIALING && socket->is_open;
}

static void dial_ends(struct wf_sim *sim, void *object, uint64_t value)
{
	struct wf_sim_socket *socket = object;

	if (goes_on(socket))
		wf_sim_dial_fail(sim, socket, (int)value);
	wf_sim_socket_drop(sim, socket);
}

static void syn_again(struct wf_sim *sim, void *object, uint64_t value)
{
	struct wf_sim_socket *socket = object;

	if (goes_on(socket))
		send_syn(sim, socket, (uint32_t)value);
	wf_sim_socket_drop(sim, socket);
}

static void lose_syn(struct wf_sim *sim, struct wf_sim_socket *socket, uint32_t number)
{
	weft_time next = socket->dialed_at + ((1 << (number + 1)) - 1) * WEFT_SECOND;

	if (number + 1 < SYNS_MAX)
		wf_sim_socket_plan(sim, socket, next, syn_again, number + 1);
	else
		wf_sim_socket_plan(sim, socket, next, dial_ends, ETIMEDOUT);
}

static void syn_arrives(struct wf_sim *sim, struct wf_sim_socket *socket, uint32_t number)
{
	const struct wf_sim_link *link =
		wf_sim_net_link(&sim->net, socket->host, socket->peer_host);
	struct wf_sim_socket *listener = NULL;

	if (!link->is_cut && socket->fate == 0)
		listener = wf_sim_name_listener(sim, socket->peer_host, &socket->remote);
	if (link->is_cut || (listener && is_full(listener))) {
		lose_syn(sim, socket, number);
	} else if (!listener) {
		wf_sim_socket_send(sim, socket, WF_PARCEL_REFUSED, 0);
	} else {
		enqueue(sim, listener, socket);
		wf_sim_socket_send(sim, socket, WF_PARCEL_ACCEPTED, 0);
	}
}

static void syn_is_there(struct wf_sim *sim, void *object, uint64_t value)
{
	struct wf_sim_socket *socket = object;

	if (goes_on(socket))
		syn_arrives(sim, socket, (uint32_t)value);
	wf_sim_socket_drop(sim, socket);
}

static void send_syn(struct wf_sim *sim, struct wf_sim_socket *socket, uint32_t number)
{
	weft_time latency =
		wf_sim_latency(sim, wf_sim_net_link(&sim->net, socket->host, socket->peer_host));

	if (latency == 0)
		syn_arrives(sim, socket, number);
	else
		wf_sim_socket_plan(sim, socket, sim->now + latency, syn_is_there, number);
}

static int dial_address(struct wf_sim *sim, struct wf_sim_socket *socket,
			const struct sockaddr *address, socklen_t length)
{
	int found = wf_sim_name_aim(sim, socket, address, length);

	if (found < 0)
		return found;
	socket->state = WF_SIM_DIALING;
	socket->is_dead = false;
	socket->error = 0;
	socket->dialed_at = sim->now;
	socket->fate = wf_sim_fault(sim, WF_SIM_CONNECTED);
	if (socket->fate == -ETIMEDOUT)
		wf_sim_socket_plan(sim, socket, wf_sim_dial_deadline(socket), dial_ends, ETIMEDOUT);
	else if (!found || socket->fate == -EHOSTUNREACH)
		wf_sim_socket_plan(sim, socket, sim->now + SEARCH_NS, dial_ends, EHOSTUNREACH);
	else
		send_syn(sim, socket, 0);
	return -EINPROGRESS;
}

static int dial_path(struct wf_sim *sim, struct wf_sim_socket *socket,
		     const struct sockaddr *address, socklen_t length)
{
	struct wf_sim_socket *listener;
	int r = wf_sim_name_aim_path(sim, socket, address, length, &listener);

	if (r < 0)
		return r;
	if (!listener || listener->state != WF_SIM_LISTENING)
		return -ECONNREFUSED;
	if (is_full(listener))
		return -EAGAIN;
	socket->state = WF_SIM_PAIRED;
	enqueue(sim, listener, socket);
	return 0;
}

int wf_sim_dial(struct wf_sim *sim, struct wf_sim_socket *socket, const struct sockaddr *address,
		socklen_t length)
{
	int error = socket->error;

	switch (socket->state) {
	case WF_SIM_FRESH:
		break;
	case WF_SIM_DIALING:
		return -EALREADY;
	case WF_SIM_FAILED: /* the failure is told once more, and then it is as new */
		socket->error = 0;
		if (!socket->peer)
			socket->state = WF_SIM_FRESH;
		return error ? -error : -ECONNABORTED;
	default:
		return wf_sim_is_unix(socket) && socket->state == WF_SIM_LISTENING ? -EINVAL :
										     -EISCONN;
	}
	return wf_sim_is_unix(socket) ? dial_path(sim, socket, address, length) :
					dial_address(sim, socket, address, length);
}
