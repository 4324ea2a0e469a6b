/* SPDX-License-Identifier: MIT */
/*
 * A server, made of nothing but tasks and scopes:
 *
 *	outer scope
 *	  ├─ the caller: accepts
 *	  ├─ stopper: waits for the soft stop, sleeps for the grace period, cancels the connections
 *	  ├─ signals: makes the soft stop of SIGINT or SIGTERM, if asked to
 *	  └─ connections (a serving scope): one task each
 *
 * A server that parks has its connections in a lot of the connections' scope between two bursts of
 * input: one task for each burst.
 *
 * The accepting task has low priority and yields after each connection: what has been accepted is
 * finished before more is taken on, and a handler that need not wait runs to its end while its
 * stack is warm.
 */
#include <weft/serve.h>

#include "io/system.h"
#include "net/conn.h"
#include "net/listen.h"

#include <errno.h>
#include <signal.h>
#include <weft/event.h>
#include <weft/scope.h>
#include <weft/signals.h>
#include <weft/task.h>

/* Between two attempts to get what is short: descriptors, memory. */
static const weft_time RETRY_NS = 20 * WEFT_MILLISECOND;
static const weft_time GRACE_DEFAULT_NS = 10 * WEFT_SECOND;

struct server {
	struct weft_listener *listener;
	weft_handler *handler;
	void *arg;
	weft_time grace_ns;
	weft_time idle_ns;
	uint32_t live, max;
	struct weft_event room;	      /* set while live < max */
	struct weft_signals *signals; /* if it stops on them */
	bool grace_over;	      /* the connections were cancelled after a soft stop */
	struct weft_lot *lot;	      /* of all connections, parked or not */
	bool parks;
	bool starts_at_once; /* an accepted connection has brought its request along */
	void (*ended)(struct weft_conn *conn, int why, void *arg);
	struct weft_scope outer;
	struct weft_scope connections;
};

static const struct weft_serve_options default_options;

static uint32_t connections_default(struct wf_poller *poller)
{
	enum { RESERVED = 64, LEAST = 16 };
	uint64_t limit = poller->system->descriptors_max(poller);

	if (limit <= RESERVED + LEAST)
		return LEAST;
	limit -= RESERVED;
	return limit > UINT32_MAX ? UINT32_MAX : (uint32_t)limit;
}

/* ---- Connections ----------------------------------------------------------------------------- */

static struct server *server_of(const struct weft_conn *conn)
{
	return conn->watch.parked.lot->arg;
}

static void leave(struct server *server, struct weft_conn *conn, int why)
{
	if (server->ended)
		server->ended(conn, why, server->arg);
	conn->watch.file.is_served = false;
	conn->watch.file.bits &= (uint8_t)~WF_CONN_CLOSED;
	weft_close(conn);
	if (server->live-- == server->max)
		weft_event_set(&server->room);
}

static int serve_one(void *arg)
{
	struct weft_conn *conn = arg;
	struct server *server = server_of(conn);
	int r = server->handler(conn, server->arg);

	leave(server, conn, r);
	return r;
}

/* Keeps its task while there is no memory to do without. */
static int park(struct server *server, struct weft_conn *conn)
{
	int r;

	while ((r = wf_watch_park(server->lot, &conn->watch)) == -ENOMEM)
		if ((r = weft_sleep(RETRY_NS)) < 0)
			break;
	return r;
}

/* Calls the handler; again while it leaves input behind that it has not seen, unless that is stopped. */
static int handle(struct server *server, struct weft_conn *conn)
{
	int r = server->handler(conn, server->arg);

	while (r >= 0 && wf_conn_has_unseen(conn)) {
		r = weft_yield();
		if (r == 0)
			r = wf_lot_admit(server->lot);
		if (r == 0)
			r = server->handler(conn, server->arg);
	}
	return r;
}

/* Lets the handler have what has come, if it has, and parks the connection again unless it has ended. */
static int serve_burst(void *arg)
{
	struct weft_conn *conn = arg;
	struct server *server = server_of(conn);
	int r = 0;

	if (wf_conn_fetch(conn) != -EAGAIN)
		r = handle(server, conn);
	if (r >= 0 && !conn->watch.file.ended) {
		r = park(server, conn);
		if (r == 0)
			return 0;
		if (r == WEFT_ECLOSED)
			r = 0; /* by the handler */
	}
	leave(server, conn, r);
	return r;
}

/* What the lot runs. A parking that has ended for another reason than input ends the connection. */
static int on_input(struct weft_watch *watch, int why, void *arg)
{
	struct weft_conn *conn = wf_conn_of(watch);

	if (why == 0)
		return serve_burst(conn);
	leave(arg, conn, why);
	return 0;
}

static int begin(struct server *server, struct weft_conn *conn)
{
	if (!server->parks)
		return weft_spawn(&server->connections, serve_one, conn);
	if (server->starts_at_once)
		return weft_spawn(&server->connections, serve_burst, conn);
	return wf_watch_park(server->lot, &conn->watch);
}

static bool is_stop(int code)
{
	return code == -ECANCELED || code == WEFT_EDEADLINE || code == WEFT_ESTOPPING;
}

/* Gives an accepted connection its task, or parks it. While memory for one is short it waits: the connection has
 * been promised to its peer. */
static int start(struct server *server, struct weft_conn *conn)
{
	int r;

	conn->watch.parked.lot = server->lot;
	conn->watch.file.is_served = true;
	if (++server->live == server->max)
		weft_event_clear(&server->room);
	while ((r = begin(server, conn)) < 0) {
		if (r == -ENOMEM || r == -EAGAIN)
			r = weft_sleep(RETRY_NS);
		if (r < 0) {
			leave(server, conn, r);
			return is_stop(r) ? r : weft_yield(); /* one connection is not the server */
		}
	}
	return weft_yield();
}

static bool is_shortage(int error)
{
	return error == -EMFILE || error == -ENFILE || error == -ENOBUFS || error == -ENOMEM;
}

static uint32_t room_of(const struct server *server)
{
	return server->max > server->live ? server->max - server->live : 0;
}

/* Accepts until stopped; returns why it ended, never 0. */
static int accept_all(struct server *server)
{
	int r = 0;

	while (r >= 0) {
		struct weft_conn *conn;

		/* Not when stopping: then the accept says so, and the listener is closed at once. */
		if (server->live >= server->max && !server->outer.stopping)
			r = weft_event_wait(&server->room);
		if (r == 0)
			r = wf_listener_accept(server->listener, room_of(server), &conn);
		if (r == 0)
			r = start(server, conn);
		else if (is_shortage(r))
			r = weft_sleep(RETRY_NS);
	}
	return r;
}

/* ---- Stopping -------------------------------------------------------------------------------- */

static void end_grace(struct server *server)
{
	server->grace_over = true;
	weft_scope_cancel(&server->connections);
}

static int stopper(void *arg)
{
	struct server *server = arg;
	int r = weft_stop_wait();

	if (r != WEFT_ESTOPPING)
		return r;
	weft_event_set(&server->room); /* an acceptor that waits for room shall see the stop */
	r = server->grace_ns > 0 ? weft_sleep(server->grace_ns) : 0;
	if (r == 0)
		end_grace(server);
	return r;
}

/* What fails here must not end the server, as nobody has asked for it. */
static int wait_for_signal(const struct server *server)
{
	int r;

	while ((r = weft_signals_wait(server->signals)) < 0 && !is_stop(r))
		if ((r = weft_sleep(RETRY_NS)) < 0)
			break;
	return r;
}

static int signals(void *arg)
{
	struct server *server = arg;
	int r = wait_for_signal(server);

	if (r > 0) {
		weft_scope_stop(&server->outer);
		r = wait_for_signal(server);
	}
	if (r > 0)
		end_grace(server);
	return r;
}

/* ---- The whole ------------------------------------------------------------------------------- */

/* Accepts and serves; returns when every connection has ended. */
static int run(struct server *server)
{
	struct wf_task *task = wf_task_self();
	uint8_t priority = task->priority;
	int r, joined;

	weft_scope_open_serving(&server->connections);
	r = weft_lot_open(&server->connections, on_input, server, server->idle_ns, &server->lot);
	if (r == 0) {
		weft_task_priority_set(WEFT_PRIORITY_LOW);
		r = accept_all(server);
		task->priority = priority;
	}
	weft_listener_close(server->listener);
	server->listener = NULL;
	if (r != WEFT_ESTOPPING)
		weft_scope_cancel(&server->connections);
	joined = weft_scope_close(&server->connections);
	(void)joined; /* failures were counted, and a cancel here was our own or shows in r */
	/* The end of the grace may also find a connection that waits for the memory of a task. */
	return r == WEFT_ESTOPPING || server->grace_over ? 0 : r;
}

static int serve(struct server *server)
{
	int r, joined;

	if (server->max == 0)
		server->max = connections_default(wf_worker->poller);
	weft_scope_open(&server->outer);
	r = weft_spawn(&server->outer, stopper, server);
	if (r == 0 && server->signals)
		r = weft_spawn(&server->outer, signals, server);
	if (r == 0)
		r = run(server);
	weft_scope_cancel(&server->outer);
	joined = weft_scope_close(&server->outer);
	(void)joined; /* the helpers end with it; what ended the server is in r */
	return r;
}

/* Opened before anything is promised to anybody: from then on a signal stops in good order. */
static int open_signals(const struct weft_serve_options *options, struct weft_signals **ret_signals)
{
	static const int numbers[] = { SIGINT, SIGTERM, 0 };

	*ret_signals = NULL;
	return options->stop_on_signals ? weft_signals_open(numbers, ret_signals) : 0;
}

static int serve_with(struct weft_listener *listener, struct weft_signals *signals,
		      weft_handler *handler, void *arg, const struct weft_serve_options *options)
{
	struct server server = {
		.listener = listener,
		.signals = signals,
		.handler = handler,
		.arg = arg,
		.grace_ns = options->grace_ns ? options->grace_ns : GRACE_DEFAULT_NS,
		.max = options->connections_max,
		.parks = options->parks,
		.starts_at_once = options->listen.defer_accept_s > 0,
		.idle_ns = options->idle_ns ? options->idle_ns : WEFT_FOREVER,
		.ended = options->ended,
		.room = { .set = true },
	};
	int r = wf_task_self() ? serve(&server) : -EPERM;

	weft_listener_close(server.listener); /* NULL when it has run */
	weft_signals_close(signals);
	return r;
}

int weft_serve_listener(struct weft_listener *listener, weft_handler *handler, void *arg,
			const struct weft_serve_options *options)
{
	const struct weft_serve_options *o = options ? options : &default_options;
	struct weft_signals *signals;
	int r = open_signals(o, &signals);

	if (r == 0)
		return serve_with(listener, signals, handler, arg, o);
	weft_listener_close(listener);
	return r;
}

int weft_serve(const char *address, weft_handler *handler, void *arg,
	       const struct weft_serve_options *options)
{
	const struct weft_serve_options *o = options ? options : &default_options;
	struct weft_listener *listener;
	struct weft_signals *signals;
	int r = open_signals(o, &signals);

	if (r < 0)
		return r;
	r = weft_listen(address, &o->listen, &listener);
	if (r == 0)
		return serve_with(listener, signals, handler, arg, o);
	weft_signals_close(signals);
	return r;
}
