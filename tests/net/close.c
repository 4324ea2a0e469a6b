/* SPDX-License-Identifier: MIT */
/* How connections end: by the peer, by weft_shutdown, by weft_close. weft_finish is in finish.c. */
#include "net/crowd.h"

#include <stdlib.h>
#include <weft/serve.h>

enum { MEGABYTE = 1 << 20 };

/* ---- The peer ends --------------------------------------------------------------------------- */

/* A peer that ends its output can still be written to. */
WF_TASK_TEST(half_closed_peer_still_hears)
{
	char byte;
	int peer;
	struct weft_conn *conn = open_tcp_pair(&peer);

	ck_assert_int_eq(shutdown(peer, SHUT_WR), 0);
	ck_assert_int_eq(weft_read(conn, &byte, 1), 0);
	wf_assert_result(weft_write(conn, "still here", 10, NULL), 0);
	peer_hear(peer, "still here");
	weft_close(conn);
	peer_close(peer);
}

static void check_gone(ssize_t result)
{
	if (result != -EPIPE && result != -ECONNRESET)
		wf_assert_result(result, -ECONNRESET);
}

/* A peer that resets the connection in the middle of a write shows as an error, with the count of
 * what was sent; there is no SIGPIPE, which would end this process. */
WF_TASK_TEST(reset_in_a_write)
{
	struct call call = { .bytes = 16 * MEGABYTE };
	struct weft_scope scope;
	int peer;

	call.memory = calloc(1, call.bytes);
	call.conn = open_tcp_pair(&peer);
	weft_scope_open(&scope);
	SPAWN(&scope, call_write, &call);
	rest(5);
	ck_assert(!call.ended);
	peer_reset(peer);
	wf_assert_result(weft_scope_close(&scope), 0);
	check_gone(call.result);
	ck_assert_uint_gt(call.done, 0);
	ck_assert_uint_lt(call.done, call.bytes);
	check_gone(weft_write(call.conn, "x", 1, NULL));
	weft_close(call.conn);
	free(call.memory);
}

/* The same for a Unix socket, whose peer is just closed. */
WF_TASK_TEST(closed_peer_in_a_write)
{
	struct call call = { .bytes = 16 * MEGABYTE };
	struct weft_scope scope;
	int peer;

	call.memory = calloc(1, call.bytes);
	call.conn = open_pair(&peer);
	weft_scope_open(&scope);
	SPAWN(&scope, call_write, &call);
	rest(5);
	peer_close(peer);
	wf_assert_result(weft_scope_close(&scope), 0);
	check_gone(call.result);
	weft_close(call.conn);
	free(call.memory);
}

/* A reset wakes a task that reads. */
WF_TASK_TEST(reset_in_a_read)
{
	char byte;
	struct call call = { .memory = &byte, .bytes = 1 };
	struct weft_scope scope;
	int peer;

	call.conn = open_tcp_pair(&peer);
	weft_scope_open(&scope);
	SPAWN(&scope, call_read, &call);
	rest(5);
	peer_reset(peer);
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(call.result, -ECONNRESET);
	weft_close(call.conn);
}

/* ---- We end ---------------------------------------------------------------------------------- */

/* After a shutdown the peer reads to the end, and what it sends is read. */
WF_TASK_TEST(shutdown_ends_the_output_only)
{
	char buffer[8];
	int peer;
	struct weft_conn *conn = open_tcp_pair(&peer);

	wf_assert_result(weft_write(conn, "last", 4, NULL), 0);
	wf_assert_result(weft_shutdown(conn), 0);
	peer_hear(peer, "last");
	peer_hear_end(peer);
	peer_say(peer, "answer");
	ck_assert_int_eq(weft_read(conn, buffer, sizeof buffer), 6);
	wf_assert_result(weft_write(conn, "x", 1, NULL), -EPIPE);
	weft_close(conn);
	peer_close(peer);
}

static void check_shutdown_in_a_write(struct weft_conn *(*open)(int *ret_peer))
{
	struct call call = { .bytes = 16 * MEGABYTE };
	struct weft_scope scope;
	int peer;

	call.memory = calloc(1, call.bytes);
	call.conn = open(&peer);
	weft_scope_open(&scope);
	SPAWN(&scope, call_write, &call);
	rest(5);
	ck_assert(!call.ended);
	wf_assert_result(weft_shutdown(call.conn), 0);
	rest(5);
	ck_assert(call.ended);
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(call.result, -EPIPE);
	ck_assert_uint_lt(call.done, call.bytes);
	weft_close(call.conn);
	peer_close(peer);
	free(call.memory);
}

/* A shutdown ends the write of another task; on a Unix socket the kernel would not wake it. */
WF_TASK_TEST(shutdown_ends_a_write)
{
	check_shutdown_in_a_write(open_pair);
	check_shutdown_in_a_write(open_tcp_pair);
}

/* A close is seen by the peer, in a cancelled scope too. */
WF_TASK_TEST(close_works_when_cancelled)
{
	int peer;
	struct weft_conn *conn = open_tcp_pair(&peer);
	struct weft_scope scope;

	weft_scope_open(&scope);
	weft_scope_cancel(&scope);
	weft_close(conn);
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
	peer_hear_end(peer);
	peer_close(peer);
}

/* Closing nothing does nothing. */
WF_TASK_TEST(null_is_closed)
{
	weft_close(NULL);
}

/* ---- A server's handler ends it -------------------------------------------------------------- */

static int close_itself(struct weft_conn *conn, void *served)
{
	char byte;
	int r = weft_read_full(conn, &byte, 1, NULL);

	if (r == 0)
		r = byte == 'w' ? weft_write(conn, "bye", 3, NULL) : weft_finish(conn, "bye", 3);
	weft_close(conn);
	++*(int *)served;
	return r < 0 ? r : weft_yield(); /* others may run before the server takes over */
}

struct server {
	struct weft_listener *listener;
	int served;
};

static int serve(void *arg)
{
	struct server *server = arg;

	return weft_serve_listener(server->listener, close_itself, &server->served, NULL);
}

static int ask_closing_handlers(void *arg)
{
	char text[WEFT_ADDRESS_TEXT_MAX];
	struct server server = { .listener = wf_listen_loopback(text) };
	struct weft_scope scope;

	(void)arg;
	weft_scope_open(&scope);
	SPAWN(&scope, serve, &server);
	for (int i = 0; i < 20; i++) {
		int peer = peer_dial(text);

		peer_say(peer, i % 2 ? "w" : "f");
		while (server.served <= i)
			rest(1);
		peer_hear(peer, "bye");
		peer_hear_end(peer);
		peer_close(peer);
	}
	weft_scope_stop(&scope);
	wf_assert_result(weft_scope_close(&scope), 0);
	return 0;
}

/* A handler may close its connection before its server does; the memory is released once. */
WF_TEST(handler_closes_its_connection)
{
	struct wf_tally tally = { 0 };
	struct weft_options options = { .allocator = wf_tally_allocator(&tally) };

	wf_assert_result(weft_run(ask_closing_handlers, NULL, &options), 0);
	ck_assert_uint_eq(tally.blocks, 0);
}

/* ---- We end while another task is at it ------------------------------------------------------ */

/* A close gives a task that reads WEFT_ECLOSED. */
WF_TASK_TEST(close_ends_a_read)
{
	char byte;
	struct call call = { .memory = &byte, .bytes = 1 };
	struct weft_scope scope;
	int peer;

	call.conn = open_pair(&peer);
	weft_scope_open(&scope);
	SPAWN(&scope, call_read, &call);
	rest(2);
	weft_close(call.conn);
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(call.result, WEFT_ECLOSED);
	peer_hear_end(peer);
	peer_close(peer);
}

/* A close gives a task that writes WEFT_ECLOSED, and the count of what was sent. */
WF_TASK_TEST(close_ends_a_write)
{
	struct call call = { .bytes = 4 * MEGABYTE };
	struct weft_scope scope;
	char *received;
	int peer;

	call.memory = malloc(call.bytes);
	received = malloc(call.bytes);
	fill_stream(call.memory, 0, call.bytes);
	call.conn = open_tcp_pair(&peer);
	weft_scope_open(&scope);
	SPAWN(&scope, call_write, &call);
	rest(2);
	weft_close(call.conn);
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(call.result, WEFT_ECLOSED);
	ck_assert_int_eq(peer_receive_all(peer, received, call.bytes), (ssize_t)call.done);
	check_stream(received, 0, call.done);
	peer_close(peer);
	free(call.memory);
	free(received);
}

/* Both a reader and a writer get it. */
WF_TASK_TEST(close_ends_both)
{
	char byte;
	struct call reader = { .memory = &byte, .bytes = 1 };
	struct call writer = { .bytes = 4 * MEGABYTE };
	struct weft_scope scope;
	int peer;

	writer.memory = calloc(1, writer.bytes);
	reader.conn = writer.conn = open_pair(&peer);
	weft_scope_open(&scope);
	SPAWN(&scope, call_read, &reader);
	SPAWN(&scope, call_write, &writer);
	rest(2);
	weft_close(reader.conn);
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(reader.result, WEFT_ECLOSED);
	wf_assert_result(writer.result, WEFT_ECLOSED);
	peer_close(peer);
	free(writer.memory);
}

struct closer {
	struct weft_conn *conn, *victim;
};

static int close_on_input(void *arg)
{
	struct closer *closer = arg;
	char byte;

	ck_assert_int_eq(weft_read(closer->conn, &byte, 1), 1);
	weft_close(closer->victim);
	return 0;
}

/* A full read that has got its first bytes, and whose connection is closed before it can run, is
 * told when it goes on. */
WF_TASK_TEST(close_ends_a_full_read_between_pieces)
{
	char buffer[8];
	struct call call = { .memory = buffer, .bytes = sizeof buffer };
	struct closer closer;
	struct weft_scope scope;
	int peer, closing_peer;

	closer.victim = call.conn = open_pair(&peer);
	closer.conn = open_pair(&closing_peer);
	weft_scope_open(&scope);
	SPAWN(&scope, call_read_full, &call);
	SPAWN(&scope, close_on_input, &closer);
	rest(2);
	/* Both become ready in one turn, in this order. */
	peer_say(closing_peer, "x");
	peer_say(peer, "abc");
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(call.result, WEFT_ECLOSED);
	ck_assert_uint_eq(call.done, 3);
	weft_close(closer.conn);
	peer_close(peer);
	peer_close(closing_peer);
}

static int close_before_it_waits(void *arg)
{
	char byte;
	struct call reader = { .memory = &byte, .bytes = 1 };
	struct call writer = { .memory = &byte, .bytes = 1 };
	struct weft_scope scope;
	int peer;

	(void)arg;
	reader.conn = writer.conn = open_pair(&peer);
	weft_scope_open(&scope);
	SPAWN(&scope, call_read, &reader);
	SPAWN(&scope, call_write, &writer);
	wf_assert_result(weft_yield(), 0);
	ck_assert(!reader.ended && !writer.ended);
	weft_close(reader.conn);
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(reader.result, WEFT_ECLOSED);
	wf_assert_result(writer.result, WEFT_ECLOSED);
	peer_close(peer);
	return 0;
}

/* A close reaches tasks that have called read and write and are suspended before they wait: a
 * checkpoint may do that, and always does with this variable. */
WF_TEST(close_ends_calls_that_begin)
{
	ck_assert_int_eq(setenv("WEFT_YIELD_ALWAYS", "1", 1), 0);
	RUN(close_before_it_waits);
}

/* The connection's memory goes when the last task has left: nothing is held afterwards. */
WF_TEST(close_in_use_leaves_no_memory)
{
	struct wf_tally tally = { 0 };
	struct weft_options options = { .allocator = wf_tally_allocator(&tally) };

	wf_assert_result(weft_run(close_ends_both_task, NULL, &options), 0);
	ck_assert_uint_eq(tally.blocks, 0);
	ck_assert_int_eq(setenv("WEFT_YIELD_ALWAYS", "1", 1), 0);
	wf_assert_result(weft_run(close_before_it_waits, NULL, &options), 0);
	ck_assert_uint_eq(tally.blocks, 0);
}

/* ---- In a crowd ------------------------------------------------------------------------------ */

static int note_close(struct weft_watch *watch, int why, void *arg)
{
	(void)watch;
	wf_assert_result(why, WEFT_ECLOSED);
	++*(int *)arg;
	return 0;
}

/* A connection that is closed among hundreds of descriptors that are ready ends at once: the peer sees
 * it before the engine has its next turn. TCP and Unix sockets. */
WF_TASK_TEST(closing_in_a_crowd_takes_effect_at_once)
{
	for (int tcp = 0; tcp < 2; tcp++) {
		int peer, calls = 0;
		struct weft_conn *conn = tcp ? open_tcp_pair(&peer) : open_pair(&peer);
		struct weft_scope scope;
		struct weft_lot *lot;
		struct crowd crowd;

		weft_scope_open(&scope);
		wf_assert_result(weft_lot_open(&scope, note_close, &calls, WEFT_FOREVER, &lot), 0);
		wf_assert_result(weft_park(lot, weft_conn_watch(conn)), 0);
		gather(&crowd);
		stir(&crowd);
		weft_close(conn);
		peer_hear_end(peer);
		disperse(&crowd);
		wf_assert_result(weft_scope_close(&scope), 0);
		ck_assert_int_eq(calls, 1);
		peer_close(peer);
	}
}

WF_MAIN("net/close")
