/* SPDX-License-Identifier: MIT */
/*
 * A server in one call: listen, accept, one task for each connection.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <weft/error.h>
#include <weft/net.h>
#include <weft/time.h>

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

/* Serves one connection. A negative result is counted as a failure (weft_stats.failed) and does not
 * disturb the others. The connection is closed when it returns; it may close it earlier. */
typedef int weft_handler(struct weft_conn *conn, void *arg);

/* A server that parks calls the handler once for each burst of input, and between two calls the
 * connection owns no task, no stack and no buffer: about a hundred bytes. So
 *
 * - the handler is called when input has come, or the end of it. It reads what is there, best by one
 *   weft_fill, handles the messages that are complete, consumes them and returns 0. What is left, part
 *   of a message, is kept and shown again with what comes next;
 * - its locals do not survive parking. What shall belongs into an object of its own, by
 *   weft_conn_user_set; `ended` is the place to free that;
 * - it may go on reading, and suspend like any other handler: then it keeps its stack that long;
 * - the connection is closed when the input has ended, when it was closed or finished, when the
 *   result is negative, after `idle_ns` without input, and by a soft stop while it is parked. */

/* Zero, or no options, means the default. */
struct weft_serve_options {
	struct weft_listen_options listen;
	uint32_t connections_max; /* served at once, the rest waits in the backlog; default
				     the limit on descriptors less 64 */
	weft_time grace_ns;	  /* how long handlers may go on after a soft stop; default
				     10 s, negative for none */
	bool stop_on_signals;	  /* stop softly on SIGINT and SIGTERM; a second one ends
				     the grace period */
	bool parks;		  /* park connections between two bursts of input */
	weft_time idle_ns;	  /* how long one may be parked; default any time */
	/* Called with the handler's `arg` before a connection is released, parks or not; it must not
	 * suspend. `why` is the handler's last result, or what ended the parking: WEFT_EDEADLINE
	 * after `idle_ns`, WEFT_ESTOPPING, -ECANCELED. */
	void (*ended)(struct weft_conn *conn, int why, void *arg);
};

/* Serves connections on an address until its scope is stopped: a soft stop ends accepting and
 * gives the running handlers the grace period, then cancels them. A checkpoint. Returns 0 after a
 * soft stop, -ECANCELED or WEFT_EDEADLINE after those, or the error that made it give up: those of
 * weft_listen and weft_signals_open. Running out of descriptors or memory later is no such error: it
 * waits and goes on. */
int weft_serve(const char *address, weft_handler *handler, void *arg,
	       const struct weft_serve_options *options) WEFT_MUST_USE;

/* The same on a listener that is already open, which it closes; `options->listen` is not used. */
int weft_serve_listener(struct weft_listener *listener, weft_handler *handler, void *arg,
			const struct weft_serve_options *options) WEFT_MUST_USE;

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop
