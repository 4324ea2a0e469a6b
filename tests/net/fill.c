/* SPDX-License-Identifier: MIT */
/* What weft_fill shows of the input, beside all that can come between. */
#include "net/fill.h"

#include <signal.h>
#include <weft/park.h>

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

WF_MAIN("net/fill")
