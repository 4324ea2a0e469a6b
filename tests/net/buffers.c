/* SPDX-License-Identifier: MIT */
/* How few buffers serve many connections, and what happens without memory for one. */
#include "net/fill.h"

/* ---- Few buffers ----------------------------------------------------------------------------- */

enum { CLIENTS = 50 };

static int hear_message(void *arg)
{
	struct stream *stream = arg;
	struct weft_input input = { 0 };

	while (input.bytes < 20)
		ck_assert_int_gt(weft_fill(stream->conn, &input), 0);
	ck_assert_uint_eq(input.bytes, 20);
	check_stream(input.data, 0, 20);
	weft_consume(stream->conn, 20);
	stream->ended = true;
	return 0;
}

static int serve_slow_clients(void *arg)
{
	static struct stream streams[CLIENTS];
	unsigned char bytes[20];
	struct weft_scope scope;

	(void)arg;
	memset(streams, 0, sizeof streams);
	fill_stream(bytes, 0, sizeof bytes);
	weft_scope_open(&scope);
	for (int i = 0; i < CLIENTS; i++) {
		streams[i].conn = open_pair(&streams[i].peer);
		SPAWN(&scope, hear_message, &streams[i]);
	}
	for (size_t part = 0; part < 20; part += 5) {
		for (int i = 0; i < CLIENTS; i++) {
			ck_assert(!streams[i].ended);
			peer_send(streams[i].peer, bytes + part, 5);
		}
		for (int i = 0; i < 1000 && (i < 5 || buffers_in_use() > 0); i++)
			rest(1);
		ck_assert_uint_eq(buffers_in_use(), 0);
	}
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_uint_le(weft_worker_self()->buffers.peak, weft_worker_self()->buffers.max);
	for (int i = 0; i < CLIENTS; i++) {
		weft_close(streams[i].conn);
		peer_close(streams[i].peer);
	}
	return 0;
}

/* One buffer, or two, serve fifty connections that each hold part of a message; also when a task
 * suspends on its way into the line, where it must not miss a buffer that is given back meanwhile. */
WF_TEST(slow_clients_hold_no_buffer)
{
	run_with(serve_slow_clients, 0, 1);
	run_with(serve_slow_clients, 0, 2);
	ck_assert_int_eq(setenv("WEFT_YIELD_ALWAYS", "1", 1), 0);
	run_with(serve_slow_clients, 0, 1);
	run_with(serve_slow_clients, 0, 2);
}

static int order[CLIENTS], order_count;

static int hold_buffer(void *arg)
{
	struct stream *stream = arg;
	struct weft_input input;

	ck_assert_int_eq(weft_fill(stream->conn, &input), 6);
	order[order_count++] = (int)stream->step;
	ck_assert_uint_le(buffers_in_use(), 2);
	wf_assert_result(weft_sleep(WEFT_MILLISECOND), 0);
	ck_assert_uint_eq(input.bytes, 6);
	check_stream(input.data, stream->step, 6);
	weft_consume(stream->conn, 6);
	return 0;
}

static int wait_in_line(void *arg)
{
	static struct stream streams[20];
	unsigned char bytes[6];
	struct weft_scope scope;

	(void)arg;
	order_count = 0;
	weft_scope_open(&scope);
	for (size_t i = 0; i < 20; i++) {
		streams[i] = (struct stream){ .step = i };
		streams[i].conn = open_pair(&streams[i].peer);
		fill_stream(bytes, i, sizeof bytes);
		peer_send(streams[i].peer, bytes, sizeof bytes);
		SPAWN(&scope, hold_buffer, &streams[i]);
	}
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_int_eq(order_count, 20);
	for (int i = 0; i < 20; i++) {
		ck_assert_int_eq(order[i], i);
		weft_close(streams[i].conn);
		peer_close(streams[i].peer);
	}
	ck_assert_uint_ge(weft_worker_self()->buffers.waits, 18);
	return 0;
}

/* When tasks hold all the buffers the others wait in line, and lose nothing. */
WF_TEST(buffers_are_given_in_order)
{
	run_with(wait_in_line, 0, 2);
}

/* A connection with input, while another one holds the only buffer. */
struct line {
	struct weft_conn *holder, *conn;
	int holder_peer, peer;
};

static void form_line(struct line *line)
{
	line->holder = open_pair(&line->holder_peer);
	line->conn = open_pair(&line->peer);
	peer_say(line->holder_peer, "held");
	peer_say(line->peer, "abc");
	expect_input(line->holder, 4, "held");
}

static void leave_line(struct line *line)
{
	weft_close(line->holder);
	peer_close(line->holder_peer);
	peer_close(line->peer);
}

static int cancel_in_line(void *arg)
{
	struct line line;
	struct call calls[3];
	struct weft_scope scope, cancelled;

	(void)arg;
	form_line(&line);
	for (int i = 0; i < 3; i++)
		calls[i] = (struct call){ .conn = line.conn };
	weft_scope_open(&scope);
	weft_scope_open(&cancelled);
	SPAWN(&cancelled, call_fill, &calls[0]);
	rest(1);
	weft_scope_cancel(&cancelled);
	wf_assert_result(weft_scope_close(&cancelled), -ECANCELED);
	wf_assert_result(calls[0].result, -ECANCELED);
	weft_scope_open_until(&cancelled, weft_after(WEFT_MILLISECOND));
	SPAWN(&cancelled, call_fill, &calls[1]);
	wf_assert_result(weft_scope_close(&cancelled), WEFT_EDEADLINE);
	wf_assert_result(calls[1].result, WEFT_EDEADLINE);
	SPAWN(&scope, call_fill, &calls[2]);
	rest(1);
	ck_assert(!calls[2].ended);
	weft_consume(line.holder, 4);
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(calls[2].result, 3);
	weft_close(line.conn);
	leave_line(&line);
	return 0;
}

/* A cancel, or a deadline, in line takes the task out of it, and its input stays. */
WF_TEST(cancel_in_line_loses_nothing)
{
	run_with(cancel_in_line, 0, 1);
}

static int cancel_at_the_head(void *arg)
{
	struct line line;
	struct call call;
	struct weft_scope scope;

	(void)arg;
	form_line(&line);
	call = (struct call){ .conn = line.conn };
	weft_scope_open(&scope);
	SPAWN(&scope, call_fill, &call);
	rest(1);
	weft_consume(line.holder, 4); /* it has the buffer now, but has not run */
	weft_scope_cancel(&scope);
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
	ck_assert(call.result == -ECANCELED || call.result == 3);
	if (call.result == -ECANCELED) {
		ck_assert_uint_eq(buffers_in_use(), 0);
		expect_input(line.conn, 3, "abc");
	}
	weft_close(line.conn);
	leave_line(&line);
	return 0;
}

/* A cancel of a task that has been given a buffer, but has not run, loses neither. */
WF_TEST(cancel_at_the_head_of_the_line_loses_no_buffer)
{
	run_with(cancel_at_the_head, 0, 1);
}

static int read_beside_the_line(void *arg)
{
	struct line line;
	struct call call;
	struct weft_scope scope;
	struct weft_lot *lot;
	int called = 0;

	(void)arg;
	form_line(&line);
	call = (struct call){ .conn = line.conn };
	weft_scope_open(&scope);
	wf_assert_result(weft_lot_open(&scope, note_parking, &called, WEFT_FOREVER, &lot), 0);
	SPAWN(&scope, call_fill, &call);
	rest(1);
	expect_busy(line.conn);
	wf_assert_result(weft_park(lot, weft_conn_watch(line.conn)), -EBUSY);
	weft_consume(line.holder, 4);
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(call.result, 3);
	ck_assert_int_eq(called, 0);
	weft_close(line.conn);
	leave_line(&line);
	return 0;
}

/* A task in line is a reader: another one, and parking, are refused. */
WF_TEST(second_reader_is_refused_beside_the_line)
{
	run_with(read_beside_the_line, 0, 1);
}

static int close_in_line(void *arg)
{
	struct line line;
	struct call call;
	struct weft_scope scope;

	(void)arg;
	form_line(&line);
	call = (struct call){ .conn = line.conn };
	weft_scope_open(&scope);
	SPAWN(&scope, call_fill, &call);
	rest(1);
	weft_close(line.conn);
	rest(1);
	ck_assert(call.ended); /* though the buffer is still held */
	wf_assert_result(call.result, WEFT_ECLOSED);
	wf_assert_result(weft_scope_close(&scope), 0);
	leave_line(&line);
	return 0;
}

/* Closing a connection ends a fill that waits in line. */
WF_TEST(close_ends_a_fill_in_line)
{
	run_with(close_in_line, 0, 1);
}

/* ---- Memory ---------------------------------------------------------------------------------- */

/* Has the engine watch a connection, which takes memory the first time. */
static void have_watched(struct weft_conn *conn)
{
	char byte;

	WEFT_DEADLINE(weft_after(WEFT_MILLISECOND))
		wf_assert_result(weft_read(conn, &byte, 1), WEFT_EDEADLINE);
}

static int fill_without_memory(void *arg)
{
	struct wf_tally *tally = arg;
	struct weft_scope scope;
	struct weft_input input;
	struct call call;
	int peer;
	struct weft_conn *conn = open_pair(&peer);

	have_watched(conn);
	peer_say(peer, "abc");
	tally->fails_at = tally->calls + 1;
	wf_assert_result(weft_fill(conn, &input), -ENOMEM);
	expect_input(conn, 3, "abc");
	weft_scope_open(&scope);
	tally->fails_at = tally->calls + 1; /* to keep the rest elsewhere */
	call = (struct call){ .conn = conn };
	SPAWN(&scope, call_fill, &call);
	rest(2);
	ck_assert_uint_ge(tally->calls, tally->fails_at);
	ck_assert_uint_eq(buffers_in_use(), 1);
	peer_say(peer, "def");
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(call.result, 3);
	ck_assert_uint_eq(call.done, 6);
	weft_consume(conn, 3);
	peer_say(peer, "ghi");
	expect_input(conn, 3, "defghi");
	weft_close(conn);
	peer_close(peer);
	return 0;
}

/* Without memory for a buffer it says so; without memory to keep a rest the buffer is kept; in
 * neither case is input lost. */
WF_TEST(lack_of_memory_loses_nothing)
{
	run_with(fill_without_memory, 0, 0);
}

WF_MAIN("net/buffers")
