/* SPDX-License-Identifier: MIT */
/*
 * Connections that are parked by hand, over a Unix socket and over pairs, within one program.
 *
 * Each parking leads to exactly one call, also if the connection is closed or its time is over; between two
 * calls nobody owns a task. What the clients send comes back byte by byte, in whatever bursts it is read.
 * In a calm world a client that is not idle for too long gets all of it.
 */
#include "scenario.h"

enum { CLIENTS = 4, LENGTH_MAX = 400, PIECE_MAX = 100, CONNECTIONS_MAX = 4000 };

static const weft_time IDLE = WEFT_SECOND;
static const weft_time PATIENCE = 5 * WEFT_SECOND;
static const char ADDRESS[] = "unix:/run/lots";

/* A connection of the server. */
struct guest {
	struct weft_conn *conn;
	bool is_parked, is_live;
	bool is_closed; /* by another task */
	weft_time parked_at, closed_at;
};

static struct guest guests[CONNECTIONS_MAX];
static uint32_t guest_count, live;
static struct weft_lot *lot;
static struct weft_scope *service; /* of the lot, while it is open */

static uint8_t byte_at(uint32_t number, uint32_t place)
{
	return (uint8_t)((number * 2654435761U + place * 40503U) >> 7);
}

/* ---- The server ------------------------------------------------------------------------------ */

static void release(struct guest *guest)
{
	weft_always(guest->is_live && !guest->is_parked,
		    "a guest leaves once, and not while parked");
	guest->is_live = false;
	live--;
	if (!guest->is_closed)
		weft_close(guest->conn);
}

/* Parks a guest, or releases it. */
static void park(struct guest *guest)
{
	int r;

	guest->parked_at = weft_now();
	guest->is_parked = true;
	r = guest->is_closed ? WEFT_ECLOSED : weft_park(lot, weft_conn_watch(guest->conn));
	if (r == 0)
		return;
	weft_always(is_stop(r) || r == -ENOMEM || r == WEFT_ECLOSED,
		    "parking fails for a known reason");
	guest->is_parked = false;
	release(guest);
}

static int echo_some(struct guest *guest)
{
	uint8_t bytes[PIECE_MAX];
	ssize_t n = weft_read(guest->conn, bytes, weft_sim_choose(world, 1, sizeof bytes));

	if (n <= 0)
		return n < 0 ? (int)n : WEFT_EEOF;
	return guest->is_closed ? WEFT_ECLOSED : weft_write(guest->conn, bytes, (size_t)n, NULL);
}

static int on_input(struct weft_watch *watch, int why, void *arg)
{
	struct guest *guest = weft_watch_user(watch);
	weft_time stay = weft_now() - guest->parked_at;

	(void)arg;
	weft_always(guest->is_live && guest->is_parked, "each parking leads to one call");
	guest->is_parked = false;
	weft_always(why != WEFT_ECLOSED || guest->is_closed, "nothing is closed by itself");
	weft_always(why != WEFT_EDEADLINE || stay >= IDLE, "nobody is sent away early");
	weft_always(stay < IDLE + 100 * WEFT_MILLISECOND, "nobody stays for longer than he may");
	weft_always(!guest->is_closed || weft_now() - guest->closed_at < 100 * WEFT_MILLISECOND,
		    "what is closed ends at once");
	weft_sometimes(why == WEFT_EDEADLINE, "a guest is idle for too long");
	weft_sometimes(why == WEFT_ECLOSED, "a guest is closed while parked");
	weft_sometimes(why == WEFT_ESTOPPING, "a guest is parked when the service stops");
	if (why == 0 && !guest->is_closed)
		WEFT_DEADLINE(weft_after(WEFT_SECOND))
			why = echo_some(guest);
	if (why == 0)
		park(guest);
	else
		release(guest);
	return 0;
}

static void admit(struct weft_conn *conn)
{
	struct guest *guest = &guests[guest_count++];

	weft_always(guest_count < CONNECTIONS_MAX, "the scenario has room for all guests");
	*guest = (struct guest){ .conn = conn, .is_live = true };
	weft_conn_user_set(conn, guest);
	live++;
	park(guest);
}

static int accept_all(struct weft_listener *listener)
{
	struct weft_conn *conn;
	int r = 0;

	while (!is_stop(r)) {
		r = weft_accept(listener, &conn);
		if (r == 0)
			admit(conn);
		else if (!is_stop(r))
			r = sleep_well(20 * WEFT_MILLISECOND);
	}
	return r;
}

/* Closes a guest that is parked, now and then. */
static int reap(void *arg)
{
	(void)arg;
	while (weft_sleep((weft_time)weft_sim_choose(world, 100, 3000) * WEFT_MILLISECOND) == 0 &&
	       weft_sim_now(world) < CALM_AT) {
		struct guest *guest = guest_count > 0 ? &guests[guest_count - 1] : NULL;

		if (!guest || !guest->is_live || !guest->is_parked)
			continue;
		guest->is_closed = true;
		guest->closed_at = weft_now();
		weft_close(guest->conn);
	}
	return 0;
}

/* From listening to the soft stop. */
static int serve_once_by_hand(void)
{
	struct weft_listener *listener;
	struct weft_scope scope;
	int r;

	weft_scope_open_serving(&scope);
	r = weft_lot_open(&scope, on_input, NULL, IDLE, &lot);
	if (r == 0)
		r = weft_listen(ADDRESS, NULL, &listener);
	if (r == 0) {
		service = &scope;
		r = accept_all(listener);
		service = NULL;
		weft_listener_close(listener);
		weft_scope_stop(&scope);
	}
	/* It waits for those who are called, and for those who are parked: the stop ends that. */
	(void)!weft_scope_close(&scope);
	weft_always(live == 0, "every guest has left");
	return r;
}

static int server(void *arg)
{
	(void)arg;
	while (weft_sim_now(world) < RUN_FOR) {
		int r = serve_once_by_hand();

		weft_sometimes(r == WEFT_ESTOPPING, "the service is stopped");
		if (weft_sleep(100 * WEFT_MILLISECOND) < 0)
			break;
	}
	return 0;
}

/* ---- The clients ----------------------------------------------------------------------------- */

/* By the socket file, or as the other end of a pair that is parked at once. */
static int arrive(struct weft_conn **ret_conn)
{
	struct weft_conn *guest;
	int r;

	if (one_in(2) || !service)
		return weft_dial(ADDRESS, ret_conn);
	r = weft_conn_pair(ret_conn, &guest);
	if (r == 0)
		admit(guest);
	return r;
}

static int talk(struct weft_conn *conn, bool *ret_idle)
{
	uint32_t number = guest_count, length = (uint32_t)weft_sim_choose(world, 0, LENGTH_MAX);
	int r = 0;

	for (uint32_t place = 0; place < length && r == 0;) {
		uint32_t left = length - place;
		size_t count = weft_sim_choose(world, 1, left < PIECE_MAX ? left : PIECE_MAX), done;
		uint8_t bytes[PIECE_MAX];

		for (size_t i = 0; i < count; i++)
			bytes[i] = byte_at(number, place + (uint32_t)i);
		r = weft_write(conn, bytes, count, NULL);
		if (r < 0)
			break;
		r = weft_read_full(conn, bytes, count, &done);
		for (size_t i = 0; i < done; i++)
			weft_always(bytes[i] == byte_at(number, place++),
				    "each byte comes back at its place");
		if (r == 0 && one_in(8)) {
			*ret_idle = true;
			r = weft_sleep((weft_time)weft_sim_choose(world, 500, 1500) *
				       WEFT_MILLISECOND);
		}
	}
	return r;
}

static int client(void *arg)
{
	(void)arg;
	while (weft_sim_now(world) < RUN_FOR) {
		bool must_succeed = has_recovered(), was_idle = false;
		struct weft_conn *conn;
		int r = 0;

		WEFT_DEADLINE(weft_after(PATIENCE)) {
			r = arrive(&conn);
			if (r == 0) {
				r = talk(conn, &was_idle);
				weft_close(conn);
			}
		}
		weft_always(r == 0 || r == WEFT_EEOF || r == -ENOENT || is_stop(r) || is_refusal(r),
			    "the client knows the error");
		weft_always(r == 0 || was_idle || !must_succeed || weft_sim_now(world) >= RUN_FOR,
			    "in a calm world everything comes back");
		weft_sometimes(r == 0 && must_succeed, "talks in a calm world");
		if (weft_sleep((weft_time)weft_sim_choose(world, 1, 3000) * WEFT_MILLISECOND) < 0)
			break;
	}
	return 0;
}

static int program(void *arg)
{
	struct weft_scope scope;
	int r;

	(void)arg;
	weft_scope_open(&scope);
	r = weft_spawn(&scope, server, NULL);
	if (r == 0)
		r = weft_spawn(&scope, reap, NULL);
	for (int i = 0; i < CLIENTS && r == 0; i++)
		r = weft_spawn(&scope, client, NULL);
	if (r == 0)
		r = weft_scope_close(&scope);
	weft_scope_leave(&scope);
	return r;
}

/* The service alone: the clients find it closed, and open again. */
static void stop_service(struct weft_sim *sim, void *arg)
{
	(void)sim, (void)arg;
	if (service)
		weft_scope_stop(service);
}

static void scenario(struct weft_sim *sim)
{
	guest_count = live = 0;
	service = NULL;
	run_in_two_halves(sim);
	weft_sim_host(sim, "program", "10.0.0.1", program, NULL);
	if (one_in(2))
		weft_sim_at(sim, (weft_time)weft_sim_choose(sim, 0, (uint64_t)CALM_AT),
			    stop_service, NULL);
}

int main(int argc, char **argv)
{
	return weft_sim_main(argc, argv, scenario);
}
