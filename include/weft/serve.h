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

#ifdef __cplusplus
extern "C" {
#endif

/* Serves one connection. A negative result is counted as a failure (weft_stats.failed) and does not
 * disturb the others. The connection is closed when it returns; it may close it earlier. */
typedef int weft_handler(struct weft_conn *conn, void *arg);

/* Zero, or no options, means the default. */
struct weft_serve_options {
	struct weft_listen_options listen;
	uint32_t connections_max; /* served at once, the rest waits in the backlog; default
				     the limit on descriptors less 64 */
	weft_time grace_ns;	  /* how long handlers may go on after a soft stop; default
				     10 s, negative for none */
	bool stop_on_signals;	  /* stop softly on SIGINT and SIGTERM; a second one ends
				     the grace period */
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
