/* SPDX-License-Identifier: MIT */
/* What the handler of a server that parks finds when it is called: the input that has come, by whatever
 * call it reads. */
#include "core/blocks.h"
#include "net/conn.h"
#include "net/peer.h"

#include <weft/select.h>
#include <weft/serve.h>

struct house {
	weft_handler *handler;
	char text[WEFT_ADDRESS_TEXT_MAX];
	struct weft_listener *listener;
	struct weft_scope scope;
	int calls;
	int last; /* result of the handler's first receive */
};

static int serve(void *arg)
{
	struct house *house = arg;
	const struct weft_serve_options options = { .parks = true };

	return weft_serve_listener(house->listener, house->handler, house, &options);
}

static void open_house(struct house *house, weft_handler *handler)
{
	house->handler = handler;
	house->listener = wf_listen_loopback(house->text);
	weft_scope_open(&house->scope);
	SPAWN(&house->scope, serve, house);
}

static void close_house(struct house *house)
{
	weft_scope_cancel(&house->scope);
	wf_assert_result(weft_scope_close(&house->scope), -ECANCELED);
}

static void expect_calls(const struct house *house, int calls)
{
	for (int i = 0; i < 1000 && house->calls < calls; i++)
		rest(1);
	rest(5);
	ck_assert_int_eq(house->calls, calls);
}

/* The call of that number has answered with a text. */
static void expect_answer(const struct house *house, int calls, int peer, const char *text)
{
	char heard[16];

	/* The peer's kernel may hold back a small segment until the one before it is acknowledged. */
	for (int i = 0; i < 1000 && recv(peer, heard, sizeof heard, MSG_PEEK | MSG_DONTWAIT) <= 0;
	     i++)
		rest(1);
	expect_calls(house, calls);
	peer_hear(peer, text);
}

/* ---- weft_read ------------------------------------------------------------------------------- */

static int read_once(struct weft_conn *conn, void *arg)
{
	struct house *house = arg;
	char bytes[4];
	ssize_t n = weft_read(conn, bytes, sizeof bytes);

	house->calls++;
	house->last = (int)n;
	return n > 0 ? weft_write(conn, bytes, (size_t)n, NULL) : (int)n;
}

/* A handler may read by weft_read: it gets the bytes in order, and nothing twice; as long as it leaves
 * some of the burst it is called again. */
WF_TASK_TEST(weft_read_gets_the_burst)
{
	struct house house = { 0 };
	int peer;

	open_house(&house, read_once);
	peer = peer_dial(house.text);
	peer_say(peer, "ab");
	expect_answer(&house, 1, peer, "ab");
	peer_say(peer, "cdefgh");
	expect_answer(&house, 3, peer, "cdefgh");
	peer_say(peer, "i");
	expect_answer(&house, 4, peer, "i");
	peer_close(peer);
	expect_calls(&house, 5);
	wf_assert_result(house.last, 0);
	close_house(&house);
}

/* A reset is told once, by the first receive. */
WF_TASK_TEST(weft_read_gets_the_reset)
{
	struct house house = { 0 };
	int peer;

	open_house(&house, read_once);
	peer = peer_dial(house.text);
	peer_say(peer, "ab");
	expect_answer(&house, 1, peer, "ab");
	peer_reset(peer);
	expect_calls(&house, 2);
	wf_assert_result(house.last, -ECONNRESET);
	close_house(&house);
}

static int read_after_filling(struct weft_conn *conn, void *arg)
{
	struct house *house = arg;
	struct weft_input input;
	ssize_t n = weft_fill(conn, &input);
	char bytes[3];

	house->calls++;
	if (n <= 0)
		return (int)n;
	ck_assert_int_eq(weft_read(conn, bytes, 1), 1);
	n = weft_fill(conn, &input); /* waits for more */
	ck_assert_int_eq(n, 1);
	ck_assert_uint_eq(input.bytes, 2);
	ck_assert_int_eq(weft_read(conn, bytes + 1, 2), 2);
	return weft_write(conn, bytes, 3, NULL);
}

/* Both ways of reading see one stream, and the first result is not told twice. */
WF_TASK_TEST(both_ways_see_one_stream)
{
	struct house house = { 0 };
	int peer;

	open_house(&house, read_after_filling);
	peer = peer_dial(house.text);
	for (int round = 1; round <= 3; round++) {
		peer_say(peer, "xy");
		expect_calls(&house, round);
		peer_say(peer, "z");
		expect_answer(&house, round, peer, "xyz");
	}
	peer_close(peer);
	close_house(&house);
}

static int fill_after_reading(struct weft_conn *conn, void *arg)
{
	struct house *house = arg;
	struct weft_input input;
	char bytes[6];
	ssize_t n = weft_read(conn, bytes, 1);

	house->calls++;
	if (n <= 0)
		return (int)n;
	n = weft_fill(conn, &input);
	ck_assert_int_eq(n, 5);
	ck_assert_uint_eq(input.bytes, 5);
	memcpy(bytes + 1, input.data, 5);
	weft_consume(conn, 5);
	return weft_write(conn, bytes, 6, NULL);
}

/* After a weft_read that has left something unseen weft_fill shows that, and waits for no more. */
WF_TASK_TEST(weft_fill_shows_what_weft_read_has_left)
{
	struct house house = { 0 };
	int peer;

	open_house(&house, fill_after_reading);
	peer = peer_dial(house.text);
	for (int round = 1; round <= 3; round++) {
		peer_say(peer, "abcdef");
		expect_answer(&house, round, peer, "abcdef");
	}
	peer_close(peer);
	close_house(&house);
}

/* ---- A full buffer --------------------------------------------------------------------------- */

enum { SMALL = 256, ROOM = SMALL - sizeof(struct wf_block) };

static int make_room_first(struct weft_conn *conn, void *arg)
{
	struct house *house = arg;
	struct weft_input input;
	ssize_t n;

	if (++house->calls == 2)
		weft_consume(conn, ROOM);
	n = weft_fill(conn, &input);
	house->last = (int)n;
	return n < 0 ? (int)n : 0;
}

static int fill_up_between_calls(void *arg)
{
	static const char bytes[ROOM];
	struct house house = { 0 };
	int peer;

	(void)arg;
	open_house(&house, make_room_first);
	peer = peer_dial(house.text);
	peer_send(peer, bytes, ROOM);
	expect_calls(&house, 1);
	ck_assert_int_eq(house.last, ROOM);
	peer_say(peer, "more");
	expect_calls(&house, 2);
	wf_assert_result(house.last, 4);
	peer_close(peer);
	close_house(&house);
	return 0;
}

/* A handler that makes room before it fills is not told that there was none when it was called. */
WF_TEST(room_is_looked_for_when_filling)
{
	struct weft_options options = { .buffer_bytes = SMALL };

	wf_assert_result(weft_run(fill_up_between_calls, NULL, &options), 0);
}

/* ---- The only buffer --------------------------------------------------------------------------- */

/* Two connections and one buffer: the second one's handler holds it. */
struct queue {
	struct house house; /* first: the handler's argument */
	struct weft_conn *first;
	int peers[2];
	bool hold;
};

static int hold_the_buffer(struct weft_conn *conn, void *arg)
{
	struct queue *queue = arg;
	struct weft_input input;
	ssize_t n;
	int r = 0;

	queue->house.calls++;
	n = weft_fill(conn, &input);
	queue->house.last = (int)n;
	if (n <= 0)
		return (int)n;
	if (!queue->first) {
		queue->first = conn;
		return 0; /* a part of a message, that is kept without a buffer */
	}
	while (conn != queue->first && queue->hold && r == 0)
		r = weft_sleep(WEFT_MILLISECOND);
	weft_consume(conn, input.bytes);
	return r;
}

/* Afterwards the server receives for the first connection, and is in line for the buffer. */
static void open_queue(struct queue *queue)
{
	struct house *house = &queue->house;
	char bytes[4];

	queue->hold = true;
	open_house(house, hold_the_buffer);
	for (int i = 0; i < 2; i++)
		queue->peers[i] = peer_dial(house->text);
	peer_say(queue->peers[0], "abc");
	expect_calls(house, 1);
	peer_say(queue->peers[1], "x");
	expect_calls(house, 2);
	peer_say(queue->peers[0], "def");
	for (int i = 0; i < 1000 && recv(weft_conn_fd(queue->first), bytes, sizeof bytes,
					 MSG_PEEK | MSG_DONTWAIT) != 3;
	     i++)
		rest(1);
	expect_calls(house, 2);
}

static void close_queue(struct queue *queue)
{
	close_house(&queue->house);
	peer_close(queue->peers[0]);
	peer_close(queue->peers[1]);
}

static int read_during_the_first_receive(void *arg)
{
	struct queue queue = { 0 };
	char bytes[16];

	(void)arg;
	open_queue(&queue);
	wf_assert_result(weft_read(queue.first, bytes, sizeof bytes), -EBUSY);
	queue.hold = false;
	expect_calls(&queue.house, 3);
	ck_assert_int_eq(queue.house.last, 3);
	close_queue(&queue);
	return 0;
}

/* A second reader is refused also while the server receives and no handler does, and takes nothing. */
WF_TEST(second_reader_during_the_first_receive_is_busy)
{
	struct weft_options options = { .buffers_max = 1 };

	wf_assert_result(weft_run(read_during_the_first_receive, NULL, &options), 0);
}

static int close_during_the_first_receive(void *arg)
{
	struct queue queue = { 0 };

	(void)arg;
	open_queue(&queue);
	weft_close(queue.first);
	expect_calls(&queue.house, 3); /* the buffer is still held */
	wf_assert_result(queue.house.last, WEFT_ECLOSED);
	close_queue(&queue);
	return 0;
}

/* Closing ends the server's own receive at once, as it ends a handler's: it does not wait for a buffer. */
WF_TEST(close_ends_the_first_receive)
{
	struct weft_options options = { .buffers_max = 1 };

	wf_assert_result(weft_run(close_during_the_first_receive, NULL, &options), 0);
}

/* ---- Handlers that do not read --------------------------------------------------------------- */

static int ignore_twice(struct weft_conn *conn, void *arg)
{
	struct house *house = arg;
	struct weft_input input;
	ssize_t n;

	if (++house->calls <= 2)
		return 0;
	n = weft_fill(conn, &input);
	if (n <= 0)
		return (int)n;
	n = weft_write(conn, input.data, input.bytes, NULL);
	weft_consume(conn, input.bytes);
	return (int)n;
}

/* Input that a handler has not looked at calls it again, and is all there when it looks. */
WF_TASK_TEST(ignored_input_is_kept)
{
	struct house house = { 0 };
	int peer;

	open_house(&house, ignore_twice);
	peer = peer_dial(house.text);
	peer_say(peer, "abc");
	expect_answer(&house, 3, peer, "abc");
	peer_close(peer);
	close_house(&house);
}

static int ignore(struct weft_conn *conn, void *arg)
{
	(void)conn;
	((struct house *)arg)->calls++;
	return 0;
}

/* The end of the input ends the connection, though the handler does not look at it. */
WF_TASK_TEST(ignored_end_is_the_end)
{
	struct house house = { 0 };
	int peer;

	open_house(&house, ignore);
	peer = peer_dial(house.text);
	ck_assert_int_eq(shutdown(peer, SHUT_WR), 0);
	expect_calls(&house, 1);
	peer_hear_end(peer);
	peer_close(peer);
	close_house(&house);
}

/* ---- In a select ----------------------------------------------------------------------------- */

/* Whether a select finds the connection readable: 0, or -EAGAIN. */
static int look(struct weft_conn *conn)
{
	struct weft_case readable = weft_case_readable(weft_conn_watch(conn));

	return weft_try_select(&readable, 1);
}

/* Selects, reads, selects again, and answers. */
static int select_and_echo(struct weft_conn *conn, void *arg)
{
	struct house *house = arg;
	struct weft_case readable = weft_case_readable(weft_conn_watch(conn));
	char bytes[8];
	ssize_t n;

	house->calls++;
	wf_assert_result(look(conn), 0);
	WEFT_DEADLINE(weft_after(WEFT_SECOND))
		wf_assert_result(weft_select(&readable, 1), 0);
	n = weft_read(conn, bytes, sizeof bytes);
	if (n <= 0)
		return (int)n;
	wf_assert_result(look(conn), -EAGAIN);
	return weft_write(conn, bytes, (size_t)n, NULL);
}

/* A handler that selects finds the burst it was called for at once, though the socket has nothing more, and
 * nothing when it has read that. */
WF_TASK_TEST(burst_is_readable)
{
	struct house house = { 0 };
	int peer;

	open_house(&house, select_and_echo);
	peer = peer_dial(house.text);
	peer_say(peer, "abc");
	expect_answer(&house, 1, peer, "abc");
	peer_say(peer, "de");
	expect_answer(&house, 2, peer, "de");
	peer_close(peer);
	expect_calls(&house, 3);
	close_house(&house);
}

/* What kept the server from receiving the burst is something to read, too, once. */
WF_TASK_TEST(failure_to_fetch_is_readable)
{
	struct weft_scope stopped;
	int peer;
	struct weft_conn *conn = open_tcp_pair(&peer);
	char byte;

	weft_scope_open(&stopped);
	weft_scope_cancel(&stopped);
	wf_assert_result(wf_conn_fetch(conn), -ECANCELED);
	wf_assert_result(weft_scope_close(&stopped), -ECANCELED);
	wf_assert_result(look(conn), 0);
	wf_assert_result(weft_read(conn, &byte, 1), -ECANCELED);
	wf_assert_result(look(conn), -EAGAIN);
	weft_close(conn);
	peer_close(peer);
}

WF_MAIN("net/burst")
