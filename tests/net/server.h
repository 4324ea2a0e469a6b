/* SPDX-License-Identifier: MIT */
/* A server in a task of the test, and a peer that never stops sending. */
#pragma once

#include "net/peer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <weft/serve.h>

struct server {
	struct weft_serve_options options;
	char text[WEFT_ADDRESS_TEXT_MAX];
	struct weft_listener *listener;
	weft_handler *handler;
	struct weft_scope scope; /* stops the server */
	weft_time hold_ns;	 /* what some handlers wait for */
	int served;		 /* handlers that returned 0 */
	int running, running_most;
	int result;
	bool ended;
};

static inline int serve(void *arg)
{
	struct server *server = arg;

	server->result =
		weft_serve_listener(server->listener, server->handler, server, &server->options);
	server->ended = true;
	return 0;
}

static inline void start(struct server *server, weft_handler *handler)
{
	server->handler = handler;
	server->listener = wf_listen_loopback(server->text);
	weft_scope_open(&server->scope);
	SPAWN(&server->scope, serve, server);
}

/* Waits for the server's end, and checks its result. */
static inline void expect(struct server *server, int result)
{
	int r = weft_scope_close(&server->scope);

	if (r < 0)
		wf_assert_result(r, -ECANCELED);
	wf_assert_result(server->result, result);
}

static inline void stop(struct server *server)
{
	weft_scope_stop(&server->scope);
	expect(server, 0);
}

static inline uint64_t failures(void)
{
	struct weft_stats stats;

	wf_assert_result(weft_stats(&stats), 0);
	return stats.failed;
}

struct flood {
	int fd;
	atomic_bool over;
};

static inline void *flood(void *arg)
{
	struct flood *state = arg;
	static const char memory[64 * 1024];

	while (!atomic_load(&state->over) &&
	       send(state->fd, memory, sizeof memory, MSG_NOSIGNAL) > 0)
		continue;
	return NULL;
}
