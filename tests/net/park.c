/* SPDX-License-Identifier: MIT */
/* Connections that are parked: what may be done with them meanwhile, and what they cost. */
#include "net/conn.h"
#include "net/peer.h"

#include <pthread.h>
#include <weft/park.h>

/* ---- A guest --------------------------------------------------------------------------------- */

struct guest {
	struct weft_conn *conn;
	int peer;
	int calls;
	int why;
	ssize_t result; /* of a read in the call */
	char byte;	/* that it read */
	bool reads;
	bool parks;
	struct weft_lot *lot;
};

static int meet(struct weft_watch *watch, int why, void *arg)
{
	struct guest *guest = weft_watch_user(watch);

	(void)arg;
	guest->calls++;
	guest->why = why;
	if (guest->reads)
		guest->result = weft_read(guest->conn, &guest->byte, 1);
	if (guest->parks)
		wf_assert_result(weft_park(guest->lot, watch), 0);
	return 0;
}

static struct weft_lot *open_lot(struct weft_scope *scope)
{
	struct weft_lot *lot;

	wf_assert_result(weft_lot_open(scope, meet, NULL, WEFT_FOREVER, &lot), 0);
	return lot;
}

static void introduce(struct guest *guest, struct weft_lot *lot, bool tcp)
{
	guest->lot = lot;
	guest->conn = tcp ? open_tcp_pair(&guest->peer) : open_pair(&guest->peer);
	weft_conn_user_set(guest->conn, guest);
}

static void park(struct guest *guest)
{
	struct weft_watch *watch = weft_conn_watch(guest->conn);

	ck_assert_ptr_eq(weft_watch_user(watch), weft_conn_user(guest->conn));
	ck_assert_int_eq(weft_watch_fd(watch), weft_conn_fd(guest->conn));
	wf_assert_result(weft_park(guest->lot, watch), 0);
}

static void expect_calls(const struct guest *guest, int calls)
{
	for (int i = 0; i < 1000 && guest->calls < calls; i++)
		rest(1);
	rest(2);
	ck_assert_int_eq(guest->calls, calls);
}

/* ---- What ends a parking --------------------------------------------------------------------- */

/* Input calls a parked connection, which finds it, for TCP and Unix sockets. */
WF_TASK_TEST(input_calls)
{
	for (int tcp = 0; tcp < 2; tcp++) {
		struct guest guest = { .reads = true, .parks = true };
		struct weft_scope scope;

		weft_scope_open(&scope);
		introduce(&guest, open_lot(&scope), tcp);
		park(&guest);
		for (int i = 1; i <= 10; i++) {
			char byte = (char)('a' + i);

			peer_send(guest.peer, &byte, 1);
			expect_calls(&guest, i);
			wf_assert_result(guest.why, 0);
			wf_assert_result(guest.result, 1);
			ck_assert_int_eq(guest.byte, byte);
		}
		guest.parks = false;
		peer_close(guest.peer);
		expect_calls(&guest, 11);
		wf_assert_result(guest.why, 0);
		wf_assert_result(guest.result, 0);
		wf_assert_result(weft_scope_close(&scope), 0);
		weft_close(guest.conn);
	}
}

/* A read that leaves something behind is followed by another call, though no input comes any more:
 * one byte a call, to the end. */
WF_TASK_TEST(what_was_not_read_calls_again)
{
	for (int tcp = 0; tcp < 2; tcp++) {
		struct guest guest = { .reads = true, .parks = true };
		struct weft_scope scope;

		weft_scope_open(&scope);
		introduce(&guest, open_lot(&scope), tcp);
		peer_say(guest.peer, "six by");
		park(&guest);
		expect_calls(&guest, 6);
		ck_assert_int_eq(guest.byte, 'y');
		guest.parks = false;
		peer_close(guest.peer);
		expect_calls(&guest, 7);
		wf_assert_result(guest.result, 0);
		wf_assert_result(weft_scope_close(&scope), 0);
		weft_close(guest.conn);
	}
}

/* A reset calls, and reading tells of it. */
WF_TASK_TEST(reset_calls)
{
	struct guest guest = { .reads = true };
	struct weft_scope scope;

	weft_scope_open(&scope);
	introduce(&guest, open_lot(&scope), true);
	park(&guest);
	rest(1);
	peer_reset(guest.peer);
	expect_calls(&guest, 1);
	wf_assert_result(guest.why, 0);
	wf_assert_result(guest.result, -ECONNRESET);
	weft_close(guest.conn);
	wf_assert_result(weft_scope_close(&scope), 0);
}

/* A guest whose peer says more between the report and the read. */
struct late {
	struct weft_conn *conn;
	struct weft_lot *lot;
	int peer;
	int calls;
	int why;
	char heard[64];
	size_t count;
};

static int hear_late(struct weft_watch *watch, int why, void *arg)
{
	struct late *late = arg;
	char byte;
	ssize_t n;

	late->why = why;
	if (why < 0)
		return 0;
	if (late->calls++ < 2) /* the kernel tells of this, too, and it is received now */
		peer_say(late->peer, "more");
	ck_assert_int_eq(recv(weft_conn_fd(late->conn), &byte, 1, MSG_PEEK | MSG_DONTWAIT), 1);
	n = weft_read(late->conn, late->heard + late->count, sizeof late->heard - late->count);
	ck_assert_int_gt(n, 0);
	late->count += (size_t)n;
	wf_assert_result(weft_park(late->lot, watch), 0);
	return 0;
}

/* What has been received already, and is reported only then, neither calls a connection that was parked
 * meanwhile nor keeps it from being idle: the next call is the end of the idle time. */
WF_TASK_TEST(late_report_keeps_nobody_busy)
{
	for (int tcp = 0; tcp < 2; tcp++) {
		struct late late = { 0 };
		struct weft_scope scope;
		weft_time parked;

		late.conn = tcp ? open_tcp_pair(&late.peer) : open_pair(&late.peer);
		weft_scope_open_until(&scope, weft_after(10 * WEFT_SECOND));
		wf_assert_result(
			weft_lot_open(&scope, hear_late, &late, 60 * WEFT_MILLISECOND, &late.lot),
			0);
		parked = weft_now();
		wf_assert_result(weft_park(late.lot, weft_conn_watch(late.conn)), 0);
		rest(2);
		peer_say(late.peer, "one");
		wf_assert_result(weft_scope_close(&scope), 0);
		wf_assert_result(late.why, WEFT_EDEADLINE);
		ck_assert_int_ge(weft_now() - parked, 60 * WEFT_MILLISECOND);
		ck_assert_uint_eq(late.count, 3 + 4 * (size_t)(late.calls < 2 ? late.calls : 2));
		weft_close(late.conn);
		peer_close(late.peer);
	}
}

static int close_again(struct weft_watch *watch, int why, void *arg)
{
	struct guest *guest = weft_watch_user(watch);

	(void)arg;
	guest->calls++;
	guest->why = why;
	weft_close(guest->conn);
	weft_close(guest->conn);
	return 0;
}

static int close_while_parked(void *arg)
{
	struct guest guest = { 0 };
	struct weft_scope scope;
	struct weft_lot *lot;

	(void)arg;
	weft_scope_open(&scope);
	wf_assert_result(weft_lot_open(&scope, close_again, NULL, WEFT_FOREVER, &lot), 0);
	introduce(&guest, lot, true);
	park(&guest);
	rest(1);
	weft_close(guest.conn);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_int_eq(guest.calls, 1);
	wf_assert_result(guest.why, WEFT_ECLOSED);
	peer_hear_end(guest.peer);
	peer_close(guest.peer);
	return 0;
}

/* The call that tells of a close may close, too, and again: the connection is given back once. */
WF_TEST(closing_again_is_harmless)
{
	struct wf_tally tally = { 0 };
	struct weft_options options = { .allocator = wf_tally_allocator(&tally) };

	wf_assert_result(weft_run(close_while_parked, NULL, &options), 0);
	ck_assert_uint_eq(tally.blocks, 0);
}

/* Closing a parked connection calls once, and its memory stays until then. */
WF_TASK_TEST(close_calls)
{
	struct guest guest = { .reads = true };
	struct weft_scope scope;

	weft_scope_open(&scope);
	introduce(&guest, open_lot(&scope), true);
	park(&guest);
	rest(1);
	weft_close(guest.conn);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_int_eq(guest.calls, 1);
	wf_assert_result(guest.why, WEFT_ECLOSED);
	wf_assert_result(guest.result, WEFT_ECLOSED);
	peer_hear_end(guest.peer);
	peer_close(guest.peer);
}

/* ---- What else may be done ------------------------------------------------------------------- */

static int call_fill(void *arg)
{
	struct call *call = arg;
	struct weft_input input;

	call->result = weft_fill(call->conn, &input);
	call->ended = true;
	return 0;
}

/* While a task reads, by weft_read or weft_fill, its connection cannot be parked. */
WF_TASK_TEST(parking_what_is_read_is_refused)
{
	for (int fills = 0; fills < 2; fills++) {
		struct guest guest = { 0 };
		struct call call = { .memory = &guest.byte, .bytes = 1 };
		struct weft_scope scope;

		weft_scope_open(&scope);
		introduce(&guest, open_lot(&scope), false);
		call.conn = guest.conn;
		SPAWN(&scope, fills ? call_fill : call_read, &call);
		rest(1);
		wf_assert_result(weft_park(guest.lot, weft_conn_watch(guest.conn)), -EBUSY);
		peer_say(guest.peer, "x");
		wf_assert_result(weft_scope_close(&scope), 0);
		wf_assert_result(call.result, 1);
		ck_assert_int_eq(guest.calls, 0);
		weft_close(guest.conn);
		peer_close(guest.peer);
	}
}

/* While it is parked it cannot be read, and reading it disturbs nothing. */
WF_TASK_TEST(reading_what_is_parked_is_refused)
{
	struct guest guest = { 0 };
	struct weft_input input;
	struct weft_scope scope;
	char byte;

	weft_scope_open(&scope);
	introduce(&guest, open_lot(&scope), false);
	park(&guest);
	wf_assert_result(weft_read(guest.conn, &byte, 1), -EBUSY);
	wf_assert_result(weft_read_full(guest.conn, &byte, 1, NULL), -EBUSY);
	wf_assert_result(weft_fill(guest.conn, &input), -EBUSY);
	peer_say(guest.peer, "x");
	expect_calls(&guest, 1);
	wf_assert_result(weft_read(guest.conn, &byte, 1), 1);
	wf_assert_result(weft_scope_close(&scope), 0);
	weft_close(guest.conn);
	peer_close(guest.peer);
}

/* Nor while input that was received earlier waits in it. */
WF_TASK_TEST(reading_what_is_parked_with_input_is_refused)
{
	struct guest guest = { 0 };
	struct weft_input input;
	struct weft_scope scope;
	char byte;

	weft_scope_open(&scope);
	introduce(&guest, open_lot(&scope), false);
	peer_say(guest.peer, "ab");
	ck_assert_int_eq(weft_fill(guest.conn, &input), 2);
	park(&guest);
	wf_assert_result(weft_read(guest.conn, &byte, 1), -EBUSY);
	peer_say(guest.peer, "c");
	expect_calls(&guest, 1);
	wf_assert_result(weft_fill(guest.conn, &input), 1);
	ck_assert_uint_eq(input.bytes, 3);
	ck_assert_int_eq(memcmp(input.data, "abc", 3), 0);
	wf_assert_result(weft_scope_close(&scope), 0);
	weft_close(guest.conn);
	peer_close(guest.peer);
}

static void *hear_slowly(void *arg)
{
	static unsigned char heard[1 << 20];
	struct guest *guest = arg;

	(void)usleep(20 * 1000);
	ck_assert_int_eq(peer_receive_all(guest->peer, heard, sizeof heard), sizeof heard);
	check_stream(heard, 0, sizeof heard);
	return NULL;
}

/* While it is parked it can be written to, also more than the kernel takes at once. */
WF_TASK_TEST(writing_what_is_parked_works)
{
	static unsigned char memory[1 << 20];
	struct guest guest = { 0 };
	struct weft_scope scope;
	pthread_t thread;

	wf_need_world("threads");
	fill_stream(memory, 0, sizeof memory);
	weft_scope_open(&scope);
	introduce(&guest, open_lot(&scope), true);
	park(&guest);
	ck_assert_int_eq(pthread_create(&thread, NULL, hear_slowly, &guest), 0);
	wf_assert_result(weft_write(guest.conn, memory, sizeof memory, NULL), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(guest.calls, 0);
	peer_say(guest.peer, "x");
	expect_calls(&guest, 1);
	wf_assert_result(weft_scope_close(&scope), 0);
	weft_close(guest.conn);
	peer_close(guest.peer);
}

/* ---- Many ------------------------------------------------------------------------------------ */

enum { COUNT = 1000 };
static struct guest guests[COUNT];

static int park_many(void *arg)
{
	struct wf_tally *tally = arg;
	struct weft_scope scope;
	struct weft_lot *lot;
	size_t blocks, bytes;

	weft_scope_open(&scope);
	lot = open_lot(&scope);
	blocks = tally->blocks;
	bytes = tally->bytes;
	for (int i = 0; i < COUNT; i++) {
		introduce(&guests[i], lot, false);
		park(&guests[i]);
	}
	/* Besides, there is a pointer for each descriptor, in blocks for 512 of them. */
	ck_assert_uint_le(tally->blocks - blocks, COUNT + 2 * COUNT / 512 + 2);
	ck_assert_uint_le(tally->bytes - bytes, COUNT * 104 + (2 * COUNT + 1024) * sizeof(void *));
	weft_scope_cancel(&scope);
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
	for (int i = 0; i < COUNT; i++) {
		ck_assert_int_eq(guests[i].calls, 1);
		wf_assert_result(guests[i].why, -ECANCELED);
		weft_close(guests[i].conn);
		peer_close(guests[i].peer);
	}
	return 0;
}

/* A parked connection has one block of at most 104 bytes, and no other memory; a thousand that are
 * cancelled at once all get their call. */
WF_TEST(a_parked_connection_is_one_block)
{
	struct wf_tally tally = { 0 };
	struct weft_options options = { .allocator = wf_tally_allocator(&tally) };

	ck_assert_uint_le(sizeof(struct weft_conn), 104);
	need_descriptors(2 * COUNT + 100);
	wf_assert_result(weft_run(park_many, &tally, &options), 0);
	ck_assert_uint_eq(tally.blocks, 0);
}

WF_MAIN("net/park")
