/* SPDX-License-Identifier: MIT */
/* weft_finish: the last bytes arrive, whatever the peer does. */
#include "net/crowd.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* Data and end arrive. */
WF_TASK_TEST(data_and_end_arrive)
{
	char buffer[100];
	int peer;
	struct weft_conn *conn = open_tcp_pair(&peer);

	peer_say(peer, "request");
	ck_assert_int_eq(weft_read(conn, buffer, sizeof buffer), 7);
	wf_assert_result(weft_finish(conn, "reply", 5), 0);
	peer_hear(peer, "reply");
	peer_hear_end(peer);
	weft_close(conn);
	peer_close(peer);
}

static unsigned segments_received(int fd)
{
	struct tcp_info info;
	socklen_t length = sizeof info;

	ck_assert_int_eq(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
	if (length <= offsetof(struct tcp_info, tcpi_segs_in))
		wf_skip("the emulator does not pass TCP_INFO on");
	return info.tcpi_segs_in;
}

/* When all input has been read, the end travels on the segment with the data. */
WF_TASK_TEST(one_segment_for_data_and_end)
{
	char buffer[100];
	int peer;
	struct weft_conn *conn = open_tcp_pair(&peer);
	unsigned before;

	wf_need_world("TCP_INFO");
	peer_say(peer, "request");
	ck_assert_int_eq(weft_read(conn, buffer, sizeof buffer), 7);
	rest(60); /* a delayed acknowledgement is none of ours */
	before = segments_received(peer);
	wf_assert_result(weft_finish(conn, "reply", 5), 0);
	peer_hear(peer, "reply");
	peer_hear_end(peer);
	ck_assert_uint_eq(segments_received(peer) - before, 1);
	weft_close(conn);
	peer_close(peer);
}

/* A read of exactly what was sent has read all, too: there is nothing to wait for. */
WF_TASK_TEST(exact_read_is_all)
{
	char buffer[7];
	int peer;
	struct weft_conn *conn = open_tcp_pair(&peer);
	weft_time start = weft_now();

	peer_say(peer, "request");
	wf_assert_result(weft_read_full(conn, buffer, sizeof buffer, NULL), 0);
	wf_assert_result(weft_finish(conn, "reply", 5), 0);
	ck_assert_int_lt(weft_now() - start, 500 * WEFT_MILLISECOND);
	peer_hear(peer, "reply");
	peer_hear_end(peer);
	weft_close(conn);
	peer_close(peer);
}

/* No bytes at all: just the end. */
WF_TASK_TEST(end_without_data)
{
	int peer;
	struct weft_conn *conn = open_tcp_pair(&peer);

	peer_say(peer, "not read");
	wf_assert_result(weft_finish(conn, NULL, 0), 0);
	peer_hear_end(peer);
	weft_close(conn);
	peer_close(peer);
}

/* Afterwards only weft_close may be used. */
WF_TASK_TEST(afterwards_it_is_closed)
{
	const struct iovec vector = { .iov_base = (char[]){ 'x' }, .iov_len = 1 };
	struct weft_address address;
	char byte;
	int peer;
	struct weft_conn *conn = open_tcp_pair(&peer);

	wf_assert_result(weft_finish(conn, "x", 1), 0);
	wf_assert_result(weft_read(conn, &byte, 1), WEFT_ECLOSED);
	wf_assert_result(weft_read_full(conn, &byte, 1, NULL), WEFT_ECLOSED);
	wf_assert_result(weft_write(conn, "x", 1, NULL), WEFT_ECLOSED);
	wf_assert_result(weft_writev(conn, &vector, 1, NULL), WEFT_ECLOSED);
	wf_assert_result(weft_shutdown(conn), WEFT_ECLOSED);
	wf_assert_result(weft_conn_peer(conn, &address), WEFT_ECLOSED);
	wf_assert_result(weft_finish(conn, "x", 1), WEFT_ECLOSED);
	weft_close(conn);
	peer_close(peer);
}

/* A peer that has gone is an error, and the connection is closed all the same. */
WF_TASK_TEST(peer_has_gone)
{
	char byte;
	int peer, r;
	struct weft_conn *conn = open_tcp_pair(&peer);

	peer_reset(peer);
	rest(1);
	r = weft_finish(conn, "x", 1);
	ck_assert(r == -ECONNRESET || r == -EPIPE);
	wf_assert_result(weft_read(conn, &byte, 1), WEFT_ECLOSED);
	weft_close(conn);
}

/* Among hundreds of descriptors that are ready the reply and the end leave at once, not when the engine
 * has its next turn. */
WF_TASK_TEST(reply_leaves_at_once_in_a_crowd)
{
	struct crowd crowd;
	char byte;
	int peer;
	ssize_t n = 0;
	struct weft_conn *conn = open_tcp_pair(&peer);

	WEFT_DEADLINE(weft_after(WEFT_MILLISECOND)) /* so the engine watches it */
		n = weft_read(conn, &byte, 1);
	wf_assert_result(n, WEFT_EDEADLINE);
	peer_say(peer, "q");
	wf_assert_result(weft_read(conn, &byte, 1), 1);
	gather(&crowd);
	stir(&crowd);
	wf_assert_result(weft_finish(conn, "reply", 5), 0);
	peer_hear(peer, "reply");
	peer_hear_end(peer);
	disperse(&crowd);
	weft_close(conn);
	peer_close(peer);
}

/* ---- Unread input ---------------------------------------------------------------------------- */

enum { REPLY_BYTES = 5000, REQUEST_BYTES = 8000 };

/* Sends more than the server reads, and wants the whole reply. */
static int ask_verbosely(void *arg)
{
	char *memory = calloc(1, REQUEST_BYTES);
	size_t done = 0;
	struct weft_conn *conn;

	wf_assert_result(weft_dial(arg, &conn), 0);
	wf_assert_result(weft_write(conn, memory, REQUEST_BYTES, NULL), 0);
	wf_assert_result(weft_read_full(conn, memory, REQUEST_BYTES, &done), WEFT_EEOF);
	ck_assert_uint_eq(done, REPLY_BYTES);
	check_stream(memory, 0, REPLY_BYTES);
	weft_close(conn);
	free(memory);
	return 0;
}

static int answer_hastily(void *arg)
{
	struct weft_conn *conn = arg;
	char request[10], *reply = malloc(REPLY_BYTES);
	ssize_t n;

	fill_stream(reply, 0, REPLY_BYTES);
	n = weft_read(conn, request, 1 + weft_random() % sizeof request);
	ck_assert_int_gt(n, 0);
	wf_assert_result(weft_finish(conn, reply, REPLY_BYTES), 0);
	weft_close(conn);
	free(reply);
	return 0;
}

/* Closing on unread input would make the kernel reset the connection and drop the reply. Of many
 * such replies every one arrives complete. */
WF_TASK_TEST(no_reply_is_lost_to_unread_input)
{
	char text[WEFT_ADDRESS_TEXT_MAX];
	struct weft_listener *listener = wf_listen_loopback(text);

	for (int round = 0; round < 20; round++) {
		struct weft_scope scope;

		weft_scope_open(&scope);
		for (int i = 0; i < 50; i++)
			SPAWN(&scope, ask_verbosely, text);
		for (int i = 0; i < 50; i++) {
			struct weft_conn *conn;

			wf_assert_result(weft_accept(listener, &conn), 0);
			SPAWN(&scope, answer_hastily, conn);
		}
		wf_assert_result(weft_scope_close(&scope), 0);
	}
	weft_listener_close(listener);
}

/* What has come since the last read is unread, too, whether that read had to wait or not. */
static void check_late_input(bool waits)
{
	char buffer[100];
	int peer;
	struct weft_conn *conn = open_tcp_pair(&peer);
	ssize_t n = 0;

	if (waits) {
		WEFT_DEADLINE(weft_after(WEFT_MILLISECOND))
			n = weft_read(conn, buffer, sizeof buffer);
		wf_assert_result(n, WEFT_EDEADLINE);
	}
	peer_say(peer, "request");
	ck_assert_int_eq(weft_read(conn, buffer, sizeof buffer), 7);
	peer_say(peer, " and more of it");
	rest(2);
	ck_assert_int_eq(shutdown(peer, SHUT_WR), 0);
	wf_assert_result(weft_finish(conn, "reply", 5), 0);
	peer_hear(peer, "reply");
	peer_hear_end(peer);
	weft_close(conn);
	peer_close(peer);
}

WF_TASK_TEST(late_input_loses_no_reply)
{
	check_late_input(false);
}

WF_TASK_TEST(late_input_after_a_wait_loses_no_reply)
{
	check_late_input(true);
}

/* A connection whose last read took all there was. */
static struct weft_conn *open_drained(int *ret_peer)
{
	char buffer[100];
	struct weft_conn *conn = open_tcp_pair(ret_peer);

	peer_say(*ret_peer, "request");
	ck_assert_int_eq(weft_read(conn, buffer, sizeof buffer), 7);
	return conn;
}

static void check_reply(struct weft_conn *conn, int peer)
{
	ck_assert_int_eq(shutdown(peer, SHUT_WR), 0);
	wf_assert_result(weft_finish(conn, "timed out", 9), 0);
	peer_hear(peer, "timed out");
	peer_hear_end(peer);
	weft_close(conn);
	peer_close(peer);
}

/* A read that a deadline refused has not looked: what an earlier one found does not count. */
WF_TASK_TEST(late_input_after_a_refused_read_loses_no_reply)
{
	char byte;
	ssize_t n = 0;
	int peer;
	struct weft_conn *conn = open_drained(&peer);

	peer_say(peer, " and more of it");
	rest(2);
	WEFT_DEADLINE(weft_now() - WEFT_SECOND)
		n = weft_read(conn, &byte, 1);
	wf_assert_result(n, WEFT_EDEADLINE);
	check_reply(conn, peer);
}

/* Input may come while a task computes, and no turn of the engine tells of it. */
WF_TASK_TEST(late_input_while_computing_loses_no_reply)
{
	int peer;
	struct weft_conn *conn = open_drained(&peer);
	weft_time start = clock_ns();

	while (clock_ns() - start < 5 * WEFT_MILLISECOND)
		continue;
	peer_say(peer, " and more of it");
	while (clock_ns() - start < 10 * WEFT_MILLISECOND)
		continue;
	check_reply(conn, peer);
}

/* ---- Hostile peers --------------------------------------------------------------------------- */

struct flood {
	int fd;
	unsigned pause_us;
	size_t piece;
	atomic_bool over;
};

/* Sends until the connection breaks, and reads nothing. */
static void *flood(void *arg)
{
	struct flood *flood = arg;
	static const char memory[16 * 1024];

	while (!atomic_load(&flood->over) &&
	       send(flood->fd, memory, flood->piece, MSG_NOSIGNAL) > 0)
		(void)usleep(flood->pause_us);
	return NULL;
}

/* Finishes a connection whose peer sends for ever; returns how long that took. */
static weft_time finish_flooded(unsigned pause_us, size_t piece)
{
	struct flood state = { .pause_us = pause_us, .piece = piece };
	struct weft_conn *conn = open_tcp_pair(&state.fd);
	pthread_t thread;
	weft_time start, took;

	wf_need_world("threads");
	ck_assert_int_eq(pthread_create(&thread, NULL, flood, &state), 0);
	rest(5);
	start = weft_now();
	wf_assert_result(weft_finish(conn, "reply", 5), 0);
	took = weft_now() - start;
	weft_close(conn);
	atomic_store(&state.over, true);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	peer_close(state.fd);
	return took;
}

/* A peer that floods is heard out for a bounded amount only. */
WF_TASK_TEST(flood_is_cut_by_bytes)
{
	ck_assert_int_lt(finish_flooded(0, 16 * 1024), WEFT_SECOND);
}

/* A peer that drips is heard out for a bounded time only. */
WF_TASK_TEST(drip_is_cut_by_time)
{
	weft_time took = finish_flooded(5000, 1);

	ck_assert_int_ge(took, 900 * WEFT_MILLISECOND);
	ck_assert_int_lt(took, 2 * WEFT_SECOND);
}

/* A peer that has sent and then says nothing more, not even its end, holds us no longer. */
WF_TASK_TEST(silent_peer_is_cut_by_time)
{
	int peer;
	struct weft_conn *conn = open_tcp_pair(&peer);
	weft_time start = weft_now();

	peer_say(peer, "request");
	wf_assert_result(weft_finish(conn, "reply", 5), 0);
	ck_assert_int_lt(weft_now() - start, 2 * WEFT_SECOND);
	peer_hear(peer, "reply");
	weft_close(conn);
	peer_close(peer);
}

/* ---- While another task is at it ------------------------------------------------------------- */

/* A task that writes keeps a finish out, with nothing sent and nothing closed. */
WF_TASK_TEST(writer_keeps_it_out)
{
	struct call call = { .bytes = 4 << 20 };
	char *received = malloc(call.bytes);
	struct weft_scope scope;
	int peer;

	call.memory = malloc(call.bytes);
	fill_stream(call.memory, 0, call.bytes);
	call.conn = open_pair(&peer);
	weft_scope_open(&scope);
	SPAWN(&scope, call_write, &call);
	rest(2);
	wf_assert_result(weft_finish(call.conn, "x", 1), -EBUSY);
	weft_scope_cancel(&scope);
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
	weft_close(call.conn);
	ck_assert_int_eq(peer_receive_all(peer, received, call.bytes), (ssize_t)call.done);
	check_stream(received, 0, call.done);
	peer_close(peer);
	free(call.memory);
	free(received);
}

static int finish(void *arg)
{
	struct call *call = arg;

	call->result = weft_finish(call->conn, "reply", 5);
	call->ended = true;
	return 0;
}

/* A close ends a finish that drains. */
WF_TASK_TEST(close_ends_the_drain)
{
	struct call call = { 0 };
	struct weft_scope scope;
	weft_time start = weft_now();
	int peer;

	call.conn = open_tcp_pair(&peer);
	peer_say(peer, "request");
	weft_scope_open(&scope);
	SPAWN(&scope, finish, &call);
	rest(5);
	ck_assert(!call.ended);
	weft_close(call.conn);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_int_lt(weft_now() - start, 500 * WEFT_MILLISECOND);
	wf_assert_result(call.result, 0);
	peer_hear(peer, "reply");
	peer_close(peer);
}

WF_MAIN("net/finish")
