/* SPDX-License-Identifier: MIT */
/* A scenario of a server that echoes and a client, for what scenarios say of their worlds. */
#pragma once

#include "runtime/simulation.h"

#include <errno.h>

static struct weft_sim_host *server_host, *client_host;
static struct weft_sim *world;

/* What a test wants of its scenario. */
static void (*arrange)(struct weft_sim *sim);
static weft_function *client;

/* The programs' time since the beginning. */
static inline weft_time passed(void)
{
	return weft_sim_now(world);
}

/* A server that echoes, and a client; a millisecond between them. */
static inline void pair(struct weft_sim *sim)
{
	static const struct weft_sim_link link = { .latency_min_ns = WEFT_MILLISECOND,
						   .latency_max_ns = WEFT_MILLISECOND };

	world = sim;
	server_host = weft_sim_host(sim, "server", "10.0.0.1", serve, sim);
	client_host = weft_sim_host(sim, "client", "10.0.0.2", client, sim);
	weft_sim_link_set(sim, NULL, NULL, &link);
	if (arrange)
		arrange(sim);
}

#define EXPECT_SOUND(a_client, arrangement)                                    \
	do {                                                                   \
		client = (a_client);                                           \
		arrange = (arrangement);                                       \
		(void)expect(pair, "--seeds 1..50", 0, "50 runs");             \
		(void)expect(pair, "--seeds 1..5 --check-determinism", 0, ""); \
	} while (0)

static inline struct weft_conn *dial(void)
{
	struct weft_conn *conn = NULL;
	int r;

	wf_assert_result(weft_sleep(10 * WEFT_MILLISECOND), 0); /* the server listens by then */
	r = weft_dial("10.0.0.1:80", &conn);
	weft_always(r == 0, "the server is there");
	return conn;
}

/* One round; how long it took, or an error. */
static inline weft_time ping(struct weft_conn *conn)
{
	weft_time start = weft_now();
	char bytes[4];
	int r = (int)weft_write(conn, "ping", 4, NULL);

	if (r >= 0)
		r = (int)weft_read_full(conn, bytes, 4, NULL);
	return r < 0 ? r : weft_now() - start;
}
