/* SPDX-License-Identifier: MIT */
/* Scenarios that fail or not, for what is said of them: of one host, and of a client that asks a server. */
#pragma once

#include "runtime/simulation.h"

#include <errno.h>

/* What a test wants of its scenario. */
static weft_function *function;

static inline int succeed(void *arg)
{
	(void)arg;
	return 0;
}

/* One host, which runs `function`. */
static inline void lonely(struct weft_sim *sim)
{
	weft_sim_host(sim, "lonely", "10.0.0.1", function, sim);
}

static inline void lonely_in_swarm(struct weft_sim *sim)
{
	lonely(sim);
	weft_sim_swarm(sim);
}

static inline int give_up(void *arg)
{
	(void)arg;
	return -ECONNRESET;
}

static struct weft_event never;

static inline int wait_for_ever(void *arg)
{
	(void)arg;
	return weft_event_wait(&never);
}

/* ---- A client that asks a server, each for itself ready for mishaps -------------------------------- */

static bool promises, was_refused, was_reset;

static inline void ask(void)
{
	struct weft_conn *conn;
	char bytes[4];
	int r = weft_dial("10.0.0.1:80", &conn);

	was_refused |= r == -ECONNREFUSED;
	if (r < 0)
		return;
	for (int i = 0; i < 5 && r >= 0; i++) {
		r = (int)weft_write(conn, "ping", 4, NULL);
		if (r >= 0)
			r = (int)weft_read_full(conn, bytes, 4, NULL);
		was_reset |= r == -EHOSTUNREACH;
	}
	weft_close(conn);
	weft_always(!(promises && was_refused && was_reset), "one mishap is enough");
}

static inline int ask_often(void *arg)
{
	(void)arg;
	for (int i = 0; i < 60; i++) {
		WEFT_DEADLINE(weft_after(10 * WEFT_SECOND))
			ask();
		if (weft_sleep(WEFT_SECOND) < 0)
			break;
	}
	return 0;
}

static inline void asking(struct weft_sim *sim)
{
	promises = was_refused = was_reset = false;
	weft_sim_host(sim, "server", "10.0.0.1", serve, NULL);
	weft_sim_host(sim, "client", "10.0.0.2", ask_often, NULL);
	weft_sim_run_for(sim, 60 * WEFT_SECOND, 600 * WEFT_SECOND);
}

static inline void asking_in_swarm(struct weft_sim *sim)
{
	asking(sim);
	weft_sim_swarm(sim);
}
