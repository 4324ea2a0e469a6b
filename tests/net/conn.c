/* SPDX-License-Identifier: MIT */
/* Connections: reading, writing, and where they come from. How they end is tested in close.c. */
#include "net/peer.h"

#include <fcntl.h>
#include <stdlib.h>

enum { MEGABYTE = 1 << 20 };

/* ---- Reading --------------------------------------------------------------------------------- */

/* A read returns what is there, however much was asked for, and at most that. */
WF_TASK_TEST(read_returns_what_is_there)
{
	char buffer[16];
	int peer;
	struct weft_conn *conn = open_pair(&peer);

	peer_say(peer, "abcdef");
	ck_assert_int_eq(weft_read(conn, buffer, 4), 4);
	ck_assert_mem_eq(buffer, "abcd", 4);
	ck_assert_int_eq(weft_read(conn, buffer, sizeof buffer), 2);
	ck_assert_mem_eq(buffer, "ef", 2);
	weft_close(conn);
	peer_close(peer);
}

/* A read waits for the first byte, and not for more. */
WF_TASK_TEST(read_waits_for_some)
{
	char buffer[16];
	struct call call = { .memory = buffer, .bytes = sizeof buffer };
	struct weft_scope scope;
	int peer;

	call.conn = open_tcp_pair(&peer);
	weft_scope_open(&scope);
	SPAWN(&scope, call_read, &call);
	rest(5);
	ck_assert(!call.ended);
	peer_say(peer, "x");
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_int_eq(call.result, 1);
	ck_assert_int_eq(buffer[0], 'x');
	weft_close(call.conn);
	peer_close(peer);
}

/* The end of the input is 0, each time, and comes after all that was sent. */
WF_TASK_TEST(end_of_input_is_zero)
{
	char buffer[16];
	int peer;
	struct weft_conn *conn = open_tcp_pair(&peer);

	peer_say(peer, "abc");
	peer_close(peer);
	rest(1);
	ck_assert_int_eq(weft_read(conn, buffer, sizeof buffer), 3);
	ck_assert_int_eq(weft_read(conn, buffer, sizeof buffer), 0);
	ck_assert_int_eq(weft_read(conn, buffer, sizeof buffer), 0);
	weft_close(conn);
}

/* An end that comes after a read that took everything wakes the next one. */
WF_TASK_TEST(end_of_input_wakes_the_reader)
{
	char buffer[16];
	struct call call = { .memory = buffer, .bytes = sizeof buffer };
	struct weft_scope scope;
	int peer;

	call.conn = open_tcp_pair(&peer);
	peer_say(peer, "abc");
	ck_assert_int_eq(weft_read(call.conn, buffer, sizeof buffer), 3);
	weft_scope_open(&scope);
	SPAWN(&scope, call_read, &call);
	rest(5);
	ck_assert(!call.ended);
	peer_close(peer);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_int_eq(call.result, 0);
	weft_close(call.conn);
}

/* A full read takes as many pieces as it needs, and leaves what follows. */
WF_TASK_TEST(read_full_collects_pieces)
{
	char buffer[6];
	struct call call = { .memory = buffer, .bytes = sizeof buffer };
	struct weft_scope scope;
	int peer;

	call.conn = open_pair(&peer);
	weft_scope_open(&scope);
	SPAWN(&scope, call_read_full, &call);
	peer_say(peer, "ab");
	rest(2);
	peer_say(peer, "c");
	rest(2);
	ck_assert(!call.ended);
	peer_say(peer, "defgh");
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(call.result, 0);
	ck_assert_uint_eq(call.done, 6);
	ck_assert_mem_eq(buffer, "abcdef", 6);
	ck_assert_int_eq(weft_read(call.conn, buffer, sizeof buffer), 2);
	weft_close(call.conn);
	peer_close(peer);
}

/* A full read that meets the end says so, and how far it came. */
WF_TASK_TEST(read_full_meets_the_end)
{
	char buffer[10];
	size_t done = 99;
	int peer;
	struct weft_conn *conn = open_pair(&peer);

	peer_say(peer, "abc");
	peer_close(peer);
	wf_assert_result(weft_read_full(conn, buffer, sizeof buffer, &done), WEFT_EEOF);
	ck_assert_uint_eq(done, 3);
	ck_assert_mem_eq(buffer, "abc", 3);
	wf_assert_result(weft_read_full(conn, buffer, sizeof buffer, &done), WEFT_EEOF);
	ck_assert_uint_eq(done, 0);
	wf_assert_result(weft_read_full(conn, buffer, 1, NULL), WEFT_EEOF);
	weft_close(conn);
}

/* A full read of nothing needs no input. */
WF_TASK_TEST(read_full_of_nothing)
{
	size_t done = 99;
	int peer;
	struct weft_conn *conn = open_pair(&peer);

	wf_assert_result(weft_read_full(conn, NULL, 0, &done), 0);
	ck_assert_uint_eq(done, 0);
	weft_close(conn);
	peer_close(peer);
}

/* Reading nothing is refused, for its result would be that of the end; with input and without. */
WF_TASK_TEST(read_of_nothing)
{
	char byte;
	int peer;
	struct weft_conn *conn = open_pair(&peer);

	wf_assert_result(weft_read(conn, &byte, 0), -EINVAL);
	peer_say(peer, "x");
	wf_assert_result(weft_read(conn, NULL, 0), -EINVAL);
	ck_assert_int_eq(weft_read(conn, &byte, 1), 1);
	weft_close(conn);
	peer_close(peer);
}

/* ---- Writing --------------------------------------------------------------------------------- */

/* Receives a stream in small, irregular pieces, with pauses. */
static int read_slowly(void *arg)
{
	struct call *call = arg;
	char *buffer = malloc(64 * 1024);
	ssize_t n;

	while ((n = weft_read(call->conn, buffer, 1 + weft_random() % (64 * 1024))) > 0) {
		check_stream(buffer, call->done, (size_t)n);
		call->done += (size_t)n;
		if (weft_random() % 4 == 0)
			wf_assert_result(weft_sleep(200 * WEFT_MICROSECOND), 0);
	}
	call->result = n;
	free(buffer);
	return 0;
}

/* A connection to ourselves, both ends of the runtime. */
static void open_both(struct weft_conn **ret_a, struct weft_conn **ret_b)
{
	char text[WEFT_ADDRESS_TEXT_MAX];
	struct weft_listener *listener = wf_listen_loopback(text);

	wf_assert_result(weft_dial(text, ret_a), 0);
	wf_assert_result(weft_accept(listener, ret_b), 0);
	weft_listener_close(listener);
}

/* Megabytes written at once reach a slow reader, all of them and in order. */
WF_TASK_TEST(write_of_megabytes)
{
	enum { BYTES = 8 * MEGABYTE };
	char *memory = malloc(BYTES);
	struct call reader = { 0 };
	struct weft_scope scope;
	struct weft_conn *writer;
	size_t done = 0;

	fill_stream(memory, 0, BYTES);
	open_both(&writer, &reader.conn);
	weft_scope_open(&scope);
	SPAWN(&scope, read_slowly, &reader);
	wf_assert_result(weft_write(writer, memory, BYTES, &done), 0);
	ck_assert_uint_eq(done, BYTES);
	weft_close(writer);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_int_eq(reader.result, 0);
	ck_assert_uint_eq(reader.done, BYTES);
	weft_close(reader.conn);
	free(memory);
}

/* A vector longer than one system call takes, with empty pieces and over a connection that takes a
 * few kilobytes at a time, is sent in order and not changed. */
WF_TASK_TEST(writev_of_many_pieces)
{
	enum { PIECES = 1000 };
	static struct iovec vector[PIECES], copy[PIECES];
	char *memory = malloc(PIECES * 3000);
	struct call reader = { 0 };
	struct weft_scope scope;
	struct weft_conn *writer;
	size_t bytes = 0, done;
	int small = 4096;

	fill_stream(memory, 0, PIECES * 3000);
	for (int i = 0; i < PIECES; i++) {
		size_t length = i % 5 ? weft_random() % 3000 : 0;

		copy[i] = vector[i] = (struct iovec){ length ? memory + bytes : NULL, length };
		bytes += length;
	}
	open_both(&writer, &reader.conn);
	ck_assert_int_eq(
		setsockopt(weft_conn_fd(writer), SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
	weft_scope_open(&scope);
	SPAWN(&scope, read_slowly, &reader);
	wf_assert_result(weft_writev(writer, vector, PIECES, &done), 0);
	ck_assert_uint_eq(done, bytes);
	ck_assert_mem_eq(vector, copy, sizeof copy);
	weft_close(writer);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_uint_eq(reader.done, bytes);
	weft_close(reader.conn);
	free(memory);
}

/* So are twenty thousand pieces of one byte. */
WF_TASK_TEST(writev_of_single_bytes)
{
	enum { PIECES = 20 * 1000 };
	static struct iovec vector[PIECES];
	static char memory[PIECES], received[PIECES];
	struct call reader = { .memory = received, .bytes = PIECES };
	struct weft_scope scope;
	struct weft_conn *writer;
	size_t done;

	fill_stream(memory, 0, PIECES);
	for (int i = 0; i < PIECES; i++)
		vector[i] = (struct iovec){ memory + i, 1 };
	open_both(&writer, &reader.conn);
	weft_scope_open(&scope);
	SPAWN(&scope, call_read_full, &reader);
	wf_assert_result(weft_writev(writer, vector, PIECES, &done), 0);
	ck_assert_uint_eq(done, PIECES);
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(reader.result, 0);
	check_stream(received, 0, PIECES);
	weft_close(writer);
	weft_close(reader.conn);
}

/* Nothing can be written, in each of its forms; less than nothing cannot. */
WF_TASK_TEST(write_of_nothing)
{
	static const struct iovec empty[3];
	size_t done = 99;
	int peer;
	struct weft_conn *conn = open_pair(&peer);

	wf_assert_result(weft_write(conn, NULL, 0, &done), 0);
	ck_assert_uint_eq(done, 0);
	wf_assert_result(weft_writev(conn, empty, 3, NULL), 0);
	wf_assert_result(weft_writev(conn, NULL, 0, NULL), 0);
	wf_assert_result(weft_writev(conn, empty, -1, NULL), -EINVAL);
	peer_close(peer);
	weft_close(conn);
}

/* The memory of a write belongs to the caller again when it returns. */
WF_TASK_TEST(written_memory_may_be_reused)
{
	char memory[] = "hello";
	int peer;
	struct weft_conn *conn = open_tcp_pair(&peer);

	wf_assert_result(weft_write(conn, memory, 5, NULL), 0);
	memset(memory, 'x', 5);
	peer_hear(peer, "hello");
	weft_close(conn);
	peer_close(peer);
}

/* ---- Two at once ----------------------------------------------------------------------------- */

/* A second reader is refused, and the first is served. */
WF_TASK_TEST(second_reader_is_busy)
{
	char byte = 0, other;
	struct call call = { .memory = &byte, .bytes = 1 };
	struct weft_scope scope;
	int peer;

	call.conn = open_pair(&peer);
	weft_scope_open(&scope);
	SPAWN(&scope, call_read, &call);
	rest(2);
	wf_assert_result(weft_read(call.conn, &other, 1), -EBUSY);
	wf_assert_result(weft_read_full(call.conn, &other, 1, NULL), -EBUSY);
	peer_say(peer, "x");
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_int_eq(byte, 'x');
	weft_close(call.conn);
	peer_close(peer);
}

/* A second writer is refused with nothing sent, and the first one's bytes arrive unbroken. */
WF_TASK_TEST(second_writer_is_busy)
{
	char *memory = malloc(4 * MEGABYTE), *received = malloc(4 * MEGABYTE);
	struct call call = { .memory = memory, .bytes = 4 * MEGABYTE };
	struct call reader = { 0 };
	struct weft_scope scope;
	size_t done = 99;

	fill_stream(memory, 0, call.bytes);
	open_both(&call.conn, &reader.conn);
	weft_scope_open(&scope);
	SPAWN(&scope, call_write, &call);
	rest(2);
	wf_assert_result(weft_write(call.conn, "y", 1, &done), -EBUSY);
	ck_assert_uint_eq(done, 0);
	wf_assert_result(weft_read_full(reader.conn, received, call.bytes, NULL), 0);
	check_stream(received, 0, call.bytes);
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(call.result, 0);
	weft_close(call.conn);
	weft_close(reader.conn);
	free(memory);
	free(received);
}

/* A writer that is refused and tries again, over and over, freezes nobody: its deadline comes. */
WF_TASK_TEST(busy_writer_meets_its_deadline)
{
	struct call call = { .memory = calloc(4, MEGABYTE), .bytes = 4 * MEGABYTE };
	weft_time deadline = weft_after(5 * WEFT_MILLISECOND);
	struct weft_scope scope;
	int peer, r = -EBUSY;

	call.conn = open_pair(&peer);
	weft_scope_open(&scope);
	SPAWN(&scope, call_write, &call);
	rest(1);
	WEFT_DEADLINE(deadline)
		while (r == -EBUSY)
			r = weft_write(call.conn, "y", 1, NULL);
	wf_assert_result(r, WEFT_EDEADLINE);
	ck_assert(!call.ended);
	weft_scope_cancel(&scope);
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
	weft_close(call.conn);
	peer_close(peer);
	free(call.memory);
}

static int count_turns(void *turns)
{
	while (weft_yield() == 0)
		++*(int *)turns;
	return 0;
}

/* A long write lets the other tasks run, though the kernel takes all at once, as it does when the
 * peer reads fast: after sixteen sends at the latest. Here each send takes 64 pieces. */
WF_TASK_TEST(long_write_takes_turns)
{
	enum { PIECES = 64, SENDS = 100 };
	static struct iovec vector[PIECES * SENDS];
	char letter = 'x';
	struct weft_scope scope;
	struct weft_conn *conn;
	int peer, turns = 0, before;
	size_t done;

	for (int i = 0; i < PIECES * SENDS; i++)
		vector[i] = (struct iovec){ &letter, 1 };
	conn = open_pair(&peer);
	weft_scope_open(&scope);
	SPAWN(&scope, count_turns, &turns);
	rest(1);
	before = turns;
	wf_assert_result(weft_writev(conn, vector, PIECES * SENDS, &done), 0);
	ck_assert_uint_eq(done, PIECES * SENDS);
	ck_assert_int_ge(turns - before, SENDS / 16);
	weft_scope_cancel(&scope);
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
	weft_close(conn);
	peer_close(peer);
}

static int write_stream(void *arg)
{
	struct call *call = arg;

	call->result = weft_write(call->conn, call->memory, call->bytes, NULL);
	wf_assert_result(weft_shutdown(call->conn), 0);
	return 0;
}

/* One task reads and another writes on the same connection, at both ends. */
WF_TASK_TEST(reader_and_writer_at_once)
{
	enum { BYTES = 2 * MEGABYTE };
	char *memory = malloc(BYTES);
	struct call readers[2] = { 0 }, writers[2] = { 0 };
	struct weft_scope scope;

	fill_stream(memory, 0, BYTES);
	open_both(&readers[0].conn, &readers[1].conn);
	weft_scope_open(&scope);
	for (int i = 0; i < 2; i++) {
		writers[i] = (struct call){ readers[i].conn, memory, BYTES, 0, 0, false };
		SPAWN(&scope, read_slowly, &readers[i]);
		SPAWN(&scope, write_stream, &writers[i]);
	}
	wf_assert_result(weft_scope_close(&scope), 0);
	for (int i = 0; i < 2; i++) {
		ck_assert_uint_eq(readers[i].done, BYTES);
		wf_assert_result(writers[i].result, 0);
		weft_close(readers[i].conn);
	}
	free(memory);
}

/* ---- Where connections come from ------------------------------------------------------------- */

static int dial_and_talk(void *arg)
{
	struct weft_conn *conn;
	char buffer[5];

	wf_assert_result(weft_dial(arg, &conn), 0);
	wf_assert_result(weft_write(conn, "hello", 5, NULL), 0);
	wf_assert_result(weft_read_full(conn, buffer, 5, NULL), 0);
	ck_assert_mem_eq(buffer, "world", 5);
	weft_close(conn);
	return 0;
}

static void check_family(const char *address)
{
	struct weft_listener *listener;
	struct weft_address local;
	struct weft_scope scope;
	struct weft_conn *conn;
	char text[WEFT_ADDRESS_TEXT_MAX], buffer[5];

	wf_assert_result(weft_listen(address, NULL, &listener), 0);
	wf_assert_result(weft_listener_address(listener, &local), 0);
	weft_scope_open(&scope);
	SPAWN(&scope, dial_and_talk, (void *)(uintptr_t)weft_address_format(&local, text));
	wf_assert_result(weft_accept(listener, &conn), 0);
	wf_assert_result(weft_read_full(conn, buffer, 5, NULL), 0);
	ck_assert_mem_eq(buffer, "hello", 5);
	wf_assert_result(weft_write(conn, "world", 5, NULL), 0);
	wf_assert_result(weft_scope_close(&scope), 0);
	weft_close(conn);
	weft_listener_close(listener);
}

/* Both ends talk over IPv4. */
WF_TASK_TEST(over_ipv4)
{
	check_family("127.0.0.1:0");
}

/* Both ends talk over IPv6. */
WF_TASK_TEST(over_ipv6)
{
	struct weft_listener *listener;

	if (weft_listen("[::1]:0", NULL, &listener) < 0)
		wf_skip("no IPv6 loopback");
	weft_listener_close(listener);
	check_family("[::1]:0");
}

/* Both ends talk over a Unix socket. */
WF_TASK_TEST(over_unix)
{
	char folder[] = "/tmp/weft-conn-XXXXXX", text[64];

	ck_assert_ptr_nonnull(mkdtemp(folder));
	(void)snprintf(text, sizeof text, "unix:%s/socket", folder);
	check_family(text);
	ck_assert_int_eq(rmdir(folder), 0); /* the socket file has gone */
}

/* A connected socket becomes a connection: non-blocking, and owned. */
WF_TASK_TEST(conn_from_fd)
{
	struct weft_conn *conn;
	int fds[2];

	wf_socketpair(fds);
	wf_assert_result(weft_conn_from_fd(fds[0], &conn), 0);
	ck_assert_int_eq(weft_conn_fd(conn), fds[0]);
	ck_assert_int_ne(fcntl(fds[0], F_GETFL) & O_NONBLOCK, 0);
	weft_close(conn);
	ck_assert_int_eq(fcntl(fds[0], F_GETFD), -1);
	peer_hear_end(fds[1]);
	peer_close(fds[1]);
}

/* What is no stream socket is refused, and stays the caller's. */
WF_TASK_TEST(conn_from_fd_refuses)
{
	struct weft_conn *conn;
	int pipe_fds[2], datagram;

	wf_need_world("descriptors but stream sockets");
	ck_assert_int_eq(pipe(pipe_fds), 0);
	datagram = socket(AF_INET, SOCK_DGRAM, 0);
	wf_assert_result(weft_conn_from_fd(pipe_fds[0], &conn), -ENOTSOCK);
	wf_assert_result(weft_conn_from_fd(datagram, &conn), -EPROTOTYPE);
	wf_assert_result(weft_conn_from_fd(-1, &conn), -EBADF);
	peer_close(pipe_fds[0]);
	peer_close(pipe_fds[1]);
	peer_close(datagram);
}

static int keep_flags(void *arg)
{
	struct wf_tally *tally = arg;
	struct weft_conn *conn;
	int fds[2];

	wf_socketpair(fds);
	tally->fails_at = tally->calls + 1;
	wf_assert_result(weft_conn_from_fd(fds[0], &conn), -ENOMEM);
	ck_assert_int_eq(fcntl(fds[0], F_GETFL) & O_NONBLOCK, 0);
	peer_close(fds[0]);
	peer_close(fds[1]);
	return 0;
}

/* Without memory the socket stays the caller's, and blocking. */
WF_TEST(conn_from_fd_without_memory)
{
	struct wf_tally tally = { 0 };
	struct weft_options options = { .allocator = wf_tally_allocator(&tally) };

	wf_assert_result(weft_run(keep_flags, &tally, &options), 0);
}

/* Connections belong to the runtime. */
WF_TEST(conn_from_fd_outside)
{
	struct weft_conn *conn;
	int fds[2];

	wf_socketpair(fds);
	wf_assert_result(weft_conn_from_fd(fds[0], &conn), -EPERM);
	peer_close(fds[0]);
	peer_close(fds[1]);
}

/* The peer's address is the one the peer is bound to. */
WF_TASK_TEST(peer_address)
{
	struct weft_address address, own = { .length = sizeof own.storage };
	char text[WEFT_ADDRESS_TEXT_MAX], own_text[WEFT_ADDRESS_TEXT_MAX];
	int peer;
	struct weft_conn *conn = open_tcp_pair(&peer);

	wf_assert_result(weft_conn_peer(conn, &address), 0);
	ck_assert_int_eq(getsockname(peer, (void *)own.storage.bytes, &own.length), 0);
	ck_assert_str_eq(weft_address_format(&address, text), weft_address_format(&own, own_text));
	peer_reset(peer);
	rest(1);
	wf_assert_result(weft_conn_peer(conn, &address), -ENOTCONN);
	weft_close(conn);
}

WF_MAIN("net/conn")
