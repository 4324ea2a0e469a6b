/* SPDX-License-Identifier: MIT */
/*
 * What the scenarios share.
 *
 * Programs on all hosts share the scenario's memory. So a scenario keeps books that no real system could:
 * what each side has done, compared across the network, each time something happens.
 *
 * Most runs have two halves. In the first, things go wrong, and what comes of a request is a result or an
 * error. Then the world is calm, and after some time to recover whatever begins has to succeed.
 */
#pragma once

#include <errno.h>
#include <string.h>
#include <weft/sim.h>
#include <weft/weft.h>

static const weft_time CALM_AT = 30 * WEFT_SECOND;
static const weft_time RECOVERED_AT = 45 * WEFT_SECOND;
static const weft_time RUN_FOR = 60 * WEFT_SECOND;

/* The world of the run. */
static struct weft_sim *world;

static inline bool is_stop(int code)
{
	return code == -ECANCELED || code == WEFT_EDEADLINE || code == WEFT_ESTOPPING;
}

/* The network broke a connection, or there was no memory: what a program may expect of a bad day. */
static inline bool is_mishap(int code)
{
	return code == -ECONNRESET || code == -EPIPE || code == -ETIMEDOUT ||
	       code == -EHOSTUNREACH || code == -ENOBUFS || code == -ENOMEM;
}

/* What a dial may come to besides. */
static inline bool is_refusal(int code)
{
	return is_mishap(code) || code == -ECONNREFUSED || code == -ENETUNREACH ||
	       code == -EADDRNOTAVAIL || code == -EMFILE || code == -ENFILE || code == -ENOSPC;
}

/* Whether nothing goes wrong any more, and what went wrong before is over. */
static inline bool has_recovered(void)
{
	return weft_sim_now(world) >= RECOVERED_AT;
}

static inline bool one_in(uint64_t count)
{
	return weft_sim_choose(world, 1, count) == 1;
}

/* Sleeps, and sees that it is neither too short nor much too long. */
static inline int sleep_well(weft_time duration_ns)
{
	weft_time begin = weft_now();
	int r = weft_sleep(duration_ns);

	weft_always(r < 0 || weft_now() - begin >= duration_ns, "no sleep is too short");
	weft_always(weft_now() - begin <= duration_ns + 50 * WEFT_MILLISECOND,
		    "no sleep is much too long");
	return r;
}

/* Once it listens nothing ends a server but a stop; memory it needs for the beginning. */
static inline int serve_once(const char *address, weft_handler *handler,
			     const struct weft_serve_options *options)
{
	struct weft_listener *listener;
	int r = weft_listen(address, &options->listen, &listener);

	if (r < 0)
		return r;
	r = weft_serve_listener(listener, handler, NULL, options);
	weft_always(r == 0 || is_stop(r) || r == -ENOMEM, "no mishap ends a server that listens");
	return r;
}

/* Serves until stopped, and again when it could not begin. */
static inline int serve_for_ever(const char *address, weft_handler *handler,
				 const struct weft_serve_options *options)
{
	int r;

	while ((r = serve_once(address, handler, options)) < 0 && !is_stop(r))
		if (sleep_well(WEFT_SECOND) < 0)
			break;
	return 0;
}

static inline void calm_down(struct weft_sim *sim, void *arg)
{
	(void)arg;
	weft_sim_calm(sim);
}

/* The usual run: a minute, bad at first. */
static inline void run_in_two_halves(struct weft_sim *sim)
{
	world = sim;
	weft_sim_swarm(sim);
	weft_sim_at(sim, CALM_AT, calm_down, NULL);
	weft_sim_run_for(sim, RUN_FOR, RUN_FOR);
}
