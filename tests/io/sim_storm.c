/* SPDX-License-Identifier: MIT */
/*
 * Storms in the simulated network: hosts that talk while links are cut, connections reset, and system calls
 * fail. Whatever happens, bytes arrive as they were sent or not at all, everything comes to an end, and
 * nothing is left.
 */
#include "io/world.h"

#include <weft/task.h>

enum {
	HOSTS = 3,
	CLIENTS = 3,	    /* on each host */
	CONVERSATIONS = 25, /* of each client, one after the other */
	BLOWS = 40,	    /* to the network */
	BYTES_MAX = 20000,  /* sent by each side */
	SEEDS = 100,
	PIECE = 700,
};

static const char *const addresses[] = { "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80" };

static uint64_t completed; /* conversations, of all seeds */

static uint64_t draw(uint64_t min, uint64_t max)
{
	return wf_sim_draw(world, WF_SIM_PROGRAM, min, max);
}

/* What is sent at each place of each stream. */
static uint8_t byte_at(uint32_t place)
{
	return (uint8_t)(place * 2654435761U >> 24);
}

/* Sends so many bytes; 0, or why not. */
static int talk(struct weft_conn *conn, uint32_t bytes)
{
	uint8_t piece[PIECE];
	int r = 0;

	for (uint32_t done = 0; r == 0 && done < bytes; done += PIECE) {
		uint32_t count = bytes - done < PIECE ? bytes - done : PIECE;

		for (uint32_t i = 0; i < count; i++)
			piece[i] = byte_at(done + i);
		r = weft_write(conn, piece, count, NULL);
	}
	return r;
}

/* Receives to the end; the bytes, or an error. */
static ssize_t listen_to(struct weft_conn *conn)
{
	uint8_t piece[PIECE];
	uint32_t place = 0;
	ssize_t n;

	while ((n = weft_read(conn, piece, 1 + draw(0, PIECE - 1))) > 0)
		for (ssize_t i = 0; i < n; i++)
			quietly(piece[i] == byte_at(place++));
	return n < 0 ? n : (ssize_t)place;
}

/* Hears the client out, and answers. */
static int answer(void *arg)
{
	struct weft_conn *conn = *(struct weft_conn **)arg;

	if (listen_to(conn) >= 0)
		(void)talk(conn, (uint32_t)draw(0, BYTES_MAX)); /* in a storm, or not */
	weft_close(conn);
	return 0;
}

static void accept_all(struct weft_listener *listener)
{
	struct weft_scope scope;
	struct weft_conn *conn;
	int r = 0;

	weft_scope_open_serving(&scope);
	while (r != -ECANCELED) {
		r = weft_accept(listener, &conn);
		if (r == 0 && weft_spawn_copy(&scope, answer, &conn, sizeof conn) < 0)
			weft_close(conn);
		if (r < 0 && r != -ECANCELED)
			r = weft_sleep(WEFT_MILLISECOND);
	}
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
}

static int serve(void *arg)
{
	struct weft_listener *listener;
	int r = -1;

	be_at((uint8_t)(uintptr_t)arg);
	while (r < 0 && r != -ECANCELED) {
		r = weft_listen("0.0.0.0:80", NULL, &listener);
		if (r < 0)
			r = weft_sleep(WEFT_MILLISECOND) == -ECANCELED ? -ECANCELED : -1;
	}
	if (r < 0)
		return 0;
	accept_all(listener);
	weft_listener_close(listener);
	return 0;
}

static void converse(void)
{
	struct weft_conn *conn;
	int r = weft_dial(addresses[draw(0, HOSTS - 1)], &conn);

	if (r < 0)
		return;
	if (talk(conn, (uint32_t)draw(0, BYTES_MAX)) == 0 &&
	    (draw(0, 9) == 0 || weft_shutdown(conn) == 0) && draw(0, 9) > 0 && listen_to(conn) >= 0)
		completed++;
	weft_close(conn);
}

static int visit(void *arg)
{
	be_at((uint8_t)(uintptr_t)arg);
	for (int i = 0; i < CONVERSATIONS; i++)
		WEFT_DEADLINE(weft_after((weft_time)draw(1, 60) * WEFT_SECOND))
			converse();
	return 0;
}

static void heal_all(void)
{
	for (uint32_t from = 0; from < HOSTS; from++)
		for (uint32_t to = 0; to < HOSTS; to++)
			wf_sim_net_heal(world, from, to);
}

static int rage(void *arg)
{
	(void)arg;
	for (int i = 0; i < BLOWS; i++) {
		uint32_t from = (uint32_t)draw(0, HOSTS - 1), to = (uint32_t)draw(0, HOSTS - 1);

		switch (draw(0, 4)) {
		case 0:
			wf_sim_net_cut(world, from, to);
			break;
		case 1:
			wf_sim_net_reset(world, from, to);
			break;
		default:
			wf_sim_net_heal(world, from, to);
		}
		sleep_ms((int64_t)draw(1, draw(0, 20) ? 1000 : 1000000));
	}
	return 0;
}

static void make_world(uint64_t seed)
{
	world = wf_sim_of(wf_worker->poller);
	for (uint64_t i = 0; i < WF_SIM_STREAMS; i++)
		wf_random_seed(&world->streams[i], seed * WF_SIM_STREAMS + i);
	world->strategy = WF_SIM_RANDOM;
	world->net.harsh_resets = draw(0, 1);
	for (uint32_t i = 1; i < HOSTS; i++) {
		struct wf_sim_link link = {
			.latency_max_ns = (weft_time)draw(0, 50) * WEFT_MILLISECOND,
			.bandwidth_bytes = draw(0, 1) ? draw(1000, 1000000) : 0,
			.segment_max = draw(0, 1) ? (uint32_t)draw(1, 1460) : 0,
			.capacity_bytes = draw(0, 1) ? (uint32_t)draw(1, 5000) : 0,
		};

		ck_assert_int_ge(wf_sim_net_add_host(world, (10 << 24) + 1 + i, &link), 0);
	}
	wf_sim_swarm(world);
	for (uint32_t i = 0, calm = 1U << draw(0, 8); i < wf_sim_menu_lines; i++)
		world->faults.rates[i] /= calm; /* else few would come far */
}

/* After all events nothing is left: no descriptor, no socket, no port. */
static void expect_nothing_left(void)
{
	world->faults.is_over = true;
	heal_all();
	be_at(0);
	sleep_ms(2000 * 1000);
	ck_assert_uint_eq(world->net.open, 0);
	ck_assert(wf_list_is_empty(&world->net.all));
	for (uint32_t host = 0; host < HOSTS; host++)
		for (uint32_t i = 0; i < 65536 / 64; i++)
			quietly(world->net.hosts[host].ports[i] == 0);
}

static int storm(void *arg)
{
	struct weft_scope servers, clients;

	make_world(*(uint64_t *)arg);
	weft_scope_open(&servers);
	for (uintptr_t host = 0; host < HOSTS; host++)
		spawn(&servers, serve, (void *)host);
	weft_scope_open(&clients);
	spawn(&clients, rage, NULL);
	for (uintptr_t i = 0; i < (uintptr_t)HOSTS * CLIENTS; i++)
		spawn(&clients, visit, (void *)(i % HOSTS));
	wf_assert_result(weft_scope_close(&clients), 0);
	weft_scope_cancel(&servers);
	wf_assert_result(weft_scope_close(&servers), -ECANCELED);
	expect_nothing_left();
	return 0;
}

/* Bytes arrive as they were sent or not at all; in the end nothing is left. */
WF_TEST(storms)
{
	const struct weft_options options = { .engine = "sim" };

	for (uint64_t seed = 0; seed < SEEDS; seed++)
		wf_assert_result(weft_run(storm, &seed, &options), 0);
	ck_assert_uint_gt(completed, SEEDS); /* they were no standstills */
}

WF_MAIN("io/sim_storm")
