/* SPDX-License-Identifier: MIT */
/* Input in borrowed buffers: what weft_fill shows, and how few buffers serve many connections. */
#include "net/conn.h"
#include "net/peer.h"

#include <signal.h>
#include <weft/park.h>

/* ---- Runs with few, small buffers ------------------------------------------------------------ */

/* Runs a function with all memory counted, which must come out even. */
static void run_with(weft_function *function, uint32_t buffer_bytes, uint32_t buffers_max)
{
	struct wf_tally tally = { 0 };
	struct weft_options options = {
		.allocator = wf_tally_allocator(&tally),
		.buffer_bytes = buffer_bytes,
		.buffers_max = buffers_max,
	};

	wf_assert_result(weft_run(function, &tally, &options), 0);
	ck_assert_uint_eq(tally.blocks, 0);
	ck_assert_uint_eq(tally.bytes, 0);
}

static uint32_t buffers_in_use(void)
{
	const struct wf_blocks *pool = &weft_worker_self()->buffers;

	return pool->count - pool->free_count;
}

/* Fills, and checks the count and what is shown then. */
static void expect_input(struct weft_conn *conn, ssize_t new_bytes, const char *text)
{
	struct weft_input input;

	wf_assert_result(weft_fill(conn, &input), new_bytes);
	ck_assert_uint_eq(input.bytes, strlen(text));
	ck_assert_int_eq(memcmp(input.data, text, input.bytes), 0);
}

static int call_fill(void *arg)
{
	struct call *call = arg;
	struct weft_input input = { 0 };

	call->result = weft_fill(call->conn, &input);
	call->done = input.bytes;
	call->ended = true;
	return 0;
}

/* ---- What is shown --------------------------------------------------------------------------- */

/* A message that is there is shown whole; what is not consumed is shown again with the next. */
WF_TASK_TEST(shows_all_there_is)
{
	int peer;
	struct weft_conn *conn = open_pair(&peer);

	peer_say(peer, "hello");
	expect_input(conn, 5, "hello");
	weft_consume(conn, 5);
	peer_say(peer, "one two");
	expect_input(conn, 7, "one two");
	weft_consume(conn, 4);
	weft_consume(conn, 0);
	peer_say(peer, " three");
	expect_input(conn, 6, "two three");
	weft_consume(conn, 9);
	weft_consume(conn, 0);
	weft_close(conn);
	peer_close(peer);
}

/* A message that comes byte by byte grows. */
WF_TASK_TEST(grows_byte_by_byte)
{
	static const char text[] = "slowly does it";
	int peer;
	struct weft_conn *conn = open_tcp_pair(&peer);
	char shown[sizeof text] = "";

	for (size_t i = 0; i < sizeof text - 1; i++) {
		peer_send(peer, &text[i], 1);
		shown[i] = text[i];
		expect_input(conn, 1, shown);
	}
	weft_consume(conn, sizeof text - 1);
	ck_assert_uint_eq(buffers_in_use(), 0);
	weft_close(conn);
	peer_close(peer);
}

/* It waits for input, and holds no buffer meanwhile, also with part of a message. */
WF_TASK_TEST(waits_without_a_buffer)
{
	struct weft_scope scope;
	int peer;
	struct weft_conn *conn = open_pair(&peer);
	struct call call = { .conn = conn };

	for (int with_rest = 0; with_rest < 2; with_rest++) {
		call.ended = false;
		weft_scope_open(&scope);
		SPAWN(&scope, call_fill, &call);
		rest(2);
		ck_assert(!call.ended);
		ck_assert_uint_eq(buffers_in_use(), 0);
		peer_say(peer, "abc");
		wf_assert_result(weft_scope_close(&scope), 0);
		wf_assert_result(call.result, 3);
		ck_assert_uint_eq(call.done, with_rest ? 6 : 3);
		ck_assert_uint_eq(buffers_in_use(), 1);
	}
	weft_consume(conn, 6);
	ck_assert_uint_eq(buffers_in_use(), 0);
	weft_close(conn);
	peer_close(peer);
}

/* At the end it shows what is left, as often as it is asked. */
WF_TASK_TEST(end_shows_the_rest)
{
	int peer;
	struct weft_conn *conn = open_tcp_pair(&peer);

	peer_say(peer, "half");
	peer_close(peer);
	expect_input(conn, 4, "half");
	weft_consume(conn, 1);
	expect_input(conn, 0, "alf");
	expect_input(conn, 0, "alf");
	weft_consume(conn, 3);
	expect_input(conn, 0, "");
	weft_close(conn);
}

/* A reset is told. */
WF_TASK_TEST(reset_is_told)
{
	int peer;
	struct weft_conn *conn = open_tcp_pair(&peer);
	struct weft_input input;

	peer_reset(peer);
	wf_assert_result(weft_fill(conn, &input), -ECONNRESET);
	weft_close(conn);
}

static void fill_posted(void *arg)
{
	struct call *call = arg;
	struct weft_input input;

	call->result = weft_fill(call->conn, &input);
	call->ended = true;
}

/* Outside of tasks there is no filling. */
WF_TASK_TEST(only_tasks_fill)
{
	int peer;
	struct weft_conn *conn = open_pair(&peer);
	struct call call = { .conn = conn };

	wf_assert_result(weft_post(weft_worker_self(), fill_posted, &call), 0);
	rest(1);
	ck_assert(call.ended);
	wf_assert_result(call.result, -EPERM);
	weft_close(conn);
	peer_close(peer);
}

/* ---- A full buffer --------------------------------------------------------------------------- */

enum { SMALL = 256, ROOM = SMALL - sizeof(struct wf_block) };

static int fill_up(void *arg)
{
	unsigned char bytes[ROOM + 10];
	struct weft_input input = { 0 };
	int peer;
	struct weft_conn *conn = open_pair(&peer);

	(void)arg;
	fill_stream(bytes, 0, sizeof bytes);
	peer_send(peer, bytes, sizeof bytes);
	while (input.bytes < ROOM)
		ck_assert_int_gt(weft_fill(conn, &input), 0);
	for (int i = 0; i < 3; i++)
		wf_assert_result(weft_fill(conn, &input), -EMSGSIZE);
	weft_consume(conn, 5);
	ck_assert_int_eq(weft_fill(conn, &input), 5);
	ck_assert_uint_eq(input.bytes, ROOM);
	check_stream(input.data, 5, ROOM);
	wf_assert_result(weft_fill(conn, &input), -EMSGSIZE);
	weft_consume(conn, ROOM);
	ck_assert_int_eq(weft_fill(conn, &input), 5);
	check_stream(input.data, ROOM + 5, 5);
	weft_close(conn);
	peer_close(peer);
	return 0;
}

/* A message that does not fit is told, again and again, and loses nothing. */
WF_TEST(full_buffer_is_told)
{
	run_with(fill_up, SMALL, 0);
}

static int note_parking(struct weft_watch *watch, int why, void *arg)
{
	(void)watch;
	*(int *)arg = 1 - why;
	return 0;
}

static int fill_up_and_park(void *arg)
{
	unsigned char bytes[ROOM];
	struct weft_input input = { 0 };
	struct weft_scope scope;
	struct weft_lot *lot;
	int peer, called = 0;
	struct weft_conn *conn = open_pair(&peer);

	(void)arg;
	fill_stream(bytes, 0, sizeof bytes);
	peer_send(peer, bytes, sizeof bytes);
	while (input.bytes < ROOM)
		ck_assert_int_gt(weft_fill(conn, &input), 0);
	weft_scope_open(&scope);
	wf_assert_result(weft_lot_open(&scope, note_parking, &called, WEFT_FOREVER, &lot), 0);
	wf_assert_result(weft_park(lot, weft_conn_watch(conn)), 0);
	peer_say(peer, "more");
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_int_eq(called, 1);
	wf_assert_result(weft_fill(conn, &input), -EMSGSIZE);
	weft_consume(conn, ROOM);
	expect_input(conn, 4, "more");
	weft_close(conn);
	peer_close(peer);
	return 0;
}

/* So is one that filled the buffer exactly before the connection was parked: that is not the end. */
WF_TEST(full_buffer_is_told_after_parking)
{
	run_with(fill_up_and_park, SMALL, 0);
}

/* A connection whose buffer is full. */
static struct weft_conn *open_full(int *ret_peer)
{
	struct weft_conn *conn = open_pair(ret_peer);
	struct weft_input input = { 0 };
	unsigned char bytes[ROOM];

	fill_stream(bytes, 0, sizeof bytes);
	peer_send(*ret_peer, bytes, sizeof bytes);
	while (input.bytes < ROOM)
		ck_assert_int_gt(weft_fill(conn, &input), 0);
	wf_assert_result(weft_fill(conn, &input), -EMSGSIZE);
	return conn;
}

static int fill_full_when_stopped(void *arg)
{
	struct weft_input input;
	struct weft_scope scope;
	int peer;
	struct weft_conn *conn = open_full(&peer);

	(void)arg;
	weft_scope_open(&scope);
	weft_scope_cancel(&scope);
	for (int i = 0; i < 10; i++)
		wf_assert_result(weft_fill(conn, &input), -ECANCELED);
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
	WEFT_DEADLINE(1)
		wf_assert_result(weft_fill(conn, &input), WEFT_EDEADLINE);
	wf_assert_result(weft_fill(conn, &input), -EMSGSIZE);
	wf_assert_result(weft_finish(conn, NULL, 0), 0); /* it closes the descriptor */
	wf_assert_result(weft_fill(conn, &input), WEFT_ECLOSED);
	weft_close(conn);
	peer_close(peer);
	return 0;
}

/* A full buffer hides neither the stop of the scope nor the end of the connection. */
WF_TEST(full_buffer_hides_no_stop)
{
	run_with(fill_full_when_stopped, SMALL, 0);
}

static int fill_full_for_ever(void *arg)
{
	struct weft_input input;
	struct weft_scope scope;
	int peer;
	struct weft_conn *conn = open_full(&peer);

	(void)arg;
	weft_scope_open(&scope);
	weft_scope_cancel(&scope);
	for (int i = 0; i < 2000; i++)
		if (weft_fill(conn, &input) != -ECANCELED)
			return 0;
	return 0;
}

static int run_with_small_buffers(void *arg)
{
	struct weft_options options = { .buffer_bytes = SMALL };

	return weft_run(fill_full_for_ever, arg, &options);
}

/* A task that goes on filling a full buffer although it is cancelled is ended with the program, as at any
 * other checkpoint. */
WF_TEST(full_buffer_spins_nobody)
{
	struct wf_child child = wf_child(run_with_small_buffers, NULL);

	ck_assert_int_eq(child.signal, SIGABRT);
	ck_assert_ptr_nonnull(strstr(child.errors, "checkpoint"));
}

static int note_run(void *arg)
{
	*(bool *)arg = true;
	return 0;
}

static int fill_full_and_let_run(void *arg)
{
	struct weft_input input;
	struct weft_scope scope;
	int peer;
	struct weft_conn *conn = open_full(&peer);
	bool ran = false;

	(void)arg;
	weft_scope_open(&scope);
	SPAWN(&scope, note_run, &ran);
	for (int i = 0; i < 1000 && !ran; i++)
		wf_assert_result(weft_fill(conn, &input), -EMSGSIZE);
	ck_assert(ran);
	wf_assert_result(weft_scope_close(&scope), 0);
	weft_close(conn);
	peer_close(peer);
	return 0;
}

/* A task that fills a full buffer again and again lets others run. */
WF_TEST(full_buffer_is_a_checkpoint)
{
	run_with(fill_full_and_let_run, SMALL, 0);
}

/* A buffer that could hold next to nothing is no option. */
WF_TEST(tiny_buffers_are_refused)
{
	static const uint32_t sizes[] = { 1, 16, SMALL - 1 };

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		struct weft_options options = { .buffer_bytes = sizes[i] };

		wf_assert_result(weft_run(fill_up, NULL, &options), WEFT_EOPTION);
	}
}

/* ---- With other calls ------------------------------------------------------------------------ */

/* weft_read takes what weft_fill has left first, and goes on with the stream. */
WF_TASK_TEST(read_goes_on_after_fill)
{
	char heard[16] = "";
	size_t done;
	int peer;
	struct weft_conn *conn = open_pair(&peer);

	peer_say(peer, "abcdef");
	expect_input(conn, 6, "abcdef");
	weft_consume(conn, 1);
	wf_assert_result(weft_read(conn, heard, 2), 2);
	ck_assert_str_eq(heard, "bc");
	wf_assert_result(weft_read(conn, heard, sizeof heard), 3);
	ck_assert_int_eq(memcmp(heard, "def", 3), 0);
	ck_assert_uint_eq(buffers_in_use(), 0);
	peer_say(peer, "ghi");
	expect_input(conn, 3, "ghi");
	peer_say(peer, "jkl");
	wf_assert_result(weft_read_full(conn, heard, 6, &done), 0);
	ck_assert_int_eq(memcmp(heard, "ghijkl", 6), 0);
	weft_close(conn);
	peer_close(peer);
}

static void expect_busy(struct weft_conn *conn)
{
	struct weft_input input;
	char byte;

	wf_assert_result(weft_fill(conn, &input), -EBUSY);
	wf_assert_result(weft_read(conn, &byte, 1), -EBUSY);
	wf_assert_result(weft_read_full(conn, &byte, 1, NULL), -EBUSY);
}

/* While a task fills nobody else reads: neither what it waits for nor what has been received. */
WF_TASK_TEST(second_reader_is_refused)
{
	struct weft_scope scope;
	int peer;
	struct weft_conn *conn = open_pair(&peer);
	struct call call = { .conn = conn };

	for (int with_rest = 0; with_rest < 2; with_rest++) {
		weft_scope_open(&scope);
		SPAWN(&scope, call_fill, &call);
		rest(1);
		expect_busy(conn);
		peer_say(peer, "abc");
		wf_assert_result(weft_scope_close(&scope), 0);
		wf_assert_result(call.result, 3);
		ck_assert_uint_eq(call.done, with_rest ? 6 : 3);
	}
	weft_close(conn);
	peer_close(peer);
}

/* And nobody fills while another task reads. */
WF_TASK_TEST(filler_is_refused_while_another_reads)
{
	struct weft_scope scope;
	struct weft_input input;
	int peer;
	char byte;
	struct weft_conn *conn = open_pair(&peer);
	struct call call = { .conn = conn, .memory = &byte, .bytes = 1 };

	weft_scope_open(&scope);
	SPAWN(&scope, call_read, &call);
	rest(1);
	wf_assert_result(weft_fill(conn, &input), -EBUSY);
	peer_say(peer, "a");
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(call.result, 1);
	weft_close(conn);
	peer_close(peer);
}

/* Closing ends a fill that waits, with part of a message and without. */
WF_TASK_TEST(close_ends_a_fill)
{
	for (int with_rest = 0; with_rest < 2; with_rest++) {
		struct weft_scope scope;
		int peer;
		struct weft_conn *conn = open_pair(&peer);
		struct call call = { .conn = conn };

		if (with_rest) {
			peer_say(peer, "rest");
			expect_input(conn, 4, "rest");
		}
		weft_scope_open(&scope);
		SPAWN(&scope, call_fill, &call);
		rest(1);
		weft_close(conn);
		wf_assert_result(weft_scope_close(&scope), 0);
		wf_assert_result(call.result, WEFT_ECLOSED);
		peer_close(peer);
	}
	ck_assert_uint_eq(buffers_in_use(), 0);
}

static int close_while_reading(void *arg)
{
	struct weft_scope scope;
	char byte;
	int peer;
	struct weft_conn *conn = open_pair(&peer);
	struct call call = { .conn = conn, .memory = &byte, .bytes = 1 };

	(void)arg;
	peer_say(peer, "rest");
	expect_input(conn, 4, "rest");
	weft_scope_open(&scope);
	SPAWN(&scope, call_read, &call);
	wf_assert_result(weft_yield(), 0); /* it is at its checkpoint, and has not read */
	weft_close(conn);
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(call.result, WEFT_ECLOSED);
	peer_close(peer);
	return 0;
}

/* Closing ends a read that has suspended on its way to input that is there. */
WF_TEST(close_ends_a_read_of_received_input)
{
	ck_assert_int_eq(setenv("WEFT_YIELD_ALWAYS", "1", 1), 0);
	run_with(close_while_reading, 0, 0);
}

static int close_unread(void *arg)
{
	int peers[3];
	struct weft_conn *conns[3] = { open_pair(&peers[0]), open_pair(&peers[1]),
				       open_pair(&peers[2]) };
	struct weft_input input;

	(void)arg;
	for (int i = 0; i < 3; i++) {
		peer_say(peers[i], "unread");
		expect_input(conns[i], 6, "unread");
	}
	WEFT_DEADLINE(weft_after(WEFT_MILLISECOND))
		wf_assert_result(weft_fill(conns[1], &input), WEFT_EDEADLINE);
	wf_assert_result(weft_finish(conns[2], "bye", 3), 0);
	for (int i = 0; i < 3; i++) {
		weft_close(conns[i]);
		peer_close(peers[i]);
	}
	return 0;
}

/* Input that nobody has consumed goes with its connection, wherever it lies. */
WF_TEST(unread_input_is_given_back)
{
	run_with(close_unread, 0, 0);
}

#ifndef WF_DEBUG
enum { CAN_LEAVE_OPEN = true };
#else
enum { CAN_LEAVE_OPEN = false };
#endif

static int leave_open(void *arg)
{
	static struct weft_conn *left; /* so that nobody takes it for lost */

	left = open_pair((int *)arg);
	((int *)arg)[1] = weft_conn_fd(left);
	peer_say(*(int *)arg, "unread");
	expect_input(left, 6, "unread");
	return 0;
}

/* A connection that was left open with input unread is a fault of the program, but not one that ends
 * it: only a build for debugging says so. */
WF_TEST(connection_left_open_ends_nothing)
{
	int fds[2];

	wf_need_world("descriptors that outlive it");
	if (!CAN_LEAVE_OPEN)
		wf_skip("this build looks for connections that are left open");
	wf_run_test(leave_open, fds);
	peer_close(fds[0]);
	peer_close(fds[1]);
}

/* ---- Cancellation ---------------------------------------------------------------------------- */

struct stream {
	struct weft_conn *conn;
	struct weft_scope scope;
	size_t place; /* consumed so far */
	size_t step;  /* to consume at once */
	int peer;
	bool ended;
};

static int follow_stream(void *arg)
{
	struct stream *stream = arg;
	struct weft_input input;
	ssize_t n;

	while ((n = weft_fill(stream->conn, &input)) > 0) {
		size_t bytes = input.bytes < stream->step ? input.bytes / 2 : stream->step;

		check_stream(input.data, stream->place, input.bytes);
		weft_consume(stream->conn, bytes);
		stream->place += bytes;
	}
	if (n == 0) {
		check_stream(input.data, stream->place, input.bytes);
		stream->place += input.bytes;
		weft_consume(stream->conn, input.bytes);
		stream->ended = true;
	} else {
		wf_assert_result(n, -ECANCELED);
	}
	return 0;
}

/* Lets a reader get so far as some turns take it, then cancels it. */
static void follow_for(struct stream *stream, int turns)
{
	int r;

	weft_scope_open(&stream->scope);
	SPAWN(&stream->scope, follow_stream, stream);
	for (int i = 0; i < turns; i++)
		wf_assert_result(weft_yield(), 0);
	weft_scope_cancel(&stream->scope);
	r = weft_scope_close(&stream->scope);
	wf_assert_result(r, -ECANCELED);
}

static int cancel_and_go_on(void *arg)
{
	enum { ROUNDS = 3000 };
	struct stream stream = { .step = 7 };
	unsigned char bytes[40];
	size_t sent = 0;

	(void)arg;
	stream.conn = open_pair(&stream.peer);
	for (int i = 0; i < ROUNDS; i++) {
		size_t count = (size_t)(i * 7) % sizeof bytes;

		fill_stream(bytes, sent, count);
		peer_send(stream.peer, bytes, count);
		sent += count;
		follow_for(&stream, i % 9);
		if (sent - stream.place > 150) /* so the small buffer suffices */
			follow_for(&stream, 100);
	}
	peer_close(stream.peer);
	for (int i = 0; i < 1000 && !stream.ended; i++)
		follow_for(&stream, 100);
	ck_assert(stream.ended);
	ck_assert_uint_eq(stream.place, sent);
	weft_close(stream.conn);
	return 0;
}

/* A reader that is cancelled, at whichever checkpoint, loses no byte: the next one goes on there.
 * With one buffer, and with every checkpoint suspending. */
WF_TEST(cancelling_loses_no_byte)
{
	run_with(cancel_and_go_on, 0, 1);
	ck_assert_int_eq(setenv("WEFT_YIELD_ALWAYS", "1", 1), 0);
	run_with(cancel_and_go_on, 0, 1);
}

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

WF_MAIN("net/fill")
