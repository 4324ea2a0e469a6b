/* SPDX-License-Identifier: MIT */
/* Servers go on after mishaps that simulations have shown to end them. */
#include "runtime/simulation.h"

#include <errno.h>
#include <signal.h>

static struct weft_sim_host *server_host;
static struct weft_sim *world;
static uint64_t failing; /* the number of the operation that fails */
static int error;

static int say_nothing(struct weft_conn *conn, void *arg)
{
	(void)conn, (void)arg;
	return 0;
}

/* A server that a signal stops after five seconds, and nothing else before. */
static int serve_until_signal(void *arg)
{
	const struct weft_serve_options options = { .stop_on_signals = true };
	int r = weft_serve("10.0.0.1:80", say_nothing, arg, &options);

	weft_always(r == 0, "the server has been stopped");
	weft_always(weft_sim_now(world) >= 5 * WEFT_SECOND, "by the signal");
	return 0;
}

static int dial_in_vain(void *arg)
{
	struct weft_conn *conn;
	char byte;

	(void)arg;
	for (int i = 0; i < 3; i++) {
		wf_assert_result(weft_sleep(WEFT_SECOND), 0);
		weft_always(weft_dial("10.0.0.1:80", &conn) == 0, "the server is there");
		weft_always(weft_read(conn, &byte, 1) == 0, "and closes the connection");
		weft_close(conn);
	}
	return 0;
}

static void raise_there(struct weft_sim *sim, void *arg)
{
	(void)arg;
	weft_sim_signal(sim, server_host, SIGTERM);
}

static void watch_fails(struct weft_sim *sim)
{
	world = sim;
	server_host = weft_sim_host(sim, "server", "10.0.0.1", serve_until_signal, NULL);
	weft_sim_host(sim, "client", "10.0.0.2", dial_in_vain, NULL);
	weft_sim_fail_nth(sim, server_host, WEFT_SIM_WATCH, failing, error);
	weft_sim_at(sim, 5 * WEFT_SECOND, raise_there, NULL);
}

/* A server that cannot watch its signals or its listener for the moment waits and goes on. */
WF_TEST(watch_that_fails_ends_no_server)
{
	static const int errors[] = { -ENOMEM, -ENOSPC };

	for (failing = 1; failing <= 2; failing++)
		for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
			error = errors[i];
			(void)expect(watch_fails, "--seeds 1..50", 0, "50 runs");
		}
}

WF_MAIN("runtime/sim_serve")
