/* SPDX-License-Identifier: MIT */
/*
 * Cancelled means it did not happen. Operations are stopped at every point of their lives:
 *
 *	before they start; while they are suspended before they wait; while they wait; in the turn
 *	in which they become ready, before the engine has seen that and after; by a cancel, a
 *	deadline, a close
 *
 * and afterwards nothing is missing and nothing has happened twice. Streams say so byte by byte:
 * what the operations report and what is still in the socket add up to what was sent. Each trial
 * draws its schedule from a seed, which a test that fails prints.
 */
#include "base/random.h"
#include "net/full.h"
#include "net/peer.h"

#include <stdlib.h>

enum { TRIALS = 3000, WRITE_MAX = 400 * 1000 };

/* ---- A trial --------------------------------------------------------------------------------- */

enum way {
	BY_CANCEL,
	BY_POSTED_CANCEL, /* between the engine's look at the world and the tasks that it woke */
	BY_DEADLINE,
	WAYS_WITHOUT_CLOSE,
	BY_CLOSE = WAYS_WITHOUT_CLOSE,
	BY_POSTED_CLOSE,
	WAYS,
};

/* One operation, in a task and a scope of its own, and how it is stopped. */
struct trial {
	struct wf_random random;
	void (*operate)(struct trial *trial);
	struct weft_conn *conn;
	struct weft_listener *listener;
	const char *address;
	unsigned char *memory;
	size_t bytes;
	ssize_t result;
	size_t done;

	struct weft_scope all, scope;
	weft_time within;
	enum way way;
	bool early; /* cancelled before it starts */
	bool started, ended, post_ran;
};

static unsigned draw(struct trial *trial, unsigned below)
{
	return (unsigned)(wf_random_next(&trial->random) % below);
}

/* Lets some of what may happen happen: nothing, a few runs of other tasks, looks of the engine at
 * the world. */
static void drift(struct trial *trial)
{
	switch (draw(trial, 3)) {
	case 0:
		return;
	case 1:
		for (unsigned i = draw(trial, 4); i > 0; i--)
			wf_assert_result(weft_yield(), 0);
		return;
	default:
		wf_assert_result(weft_sleep(draw(trial, 50) * WEFT_MICROSECOND), 0);
	}
}

static int perform(void *arg)
{
	struct trial *trial = arg;
	int r;

	weft_scope_open_until(&trial->scope,
			      trial->way == BY_DEADLINE ? weft_after(trial->within) : WEFT_FOREVER);
	if (trial->early)
		weft_scope_cancel(&trial->scope);
	trial->started = true;
	trial->operate(trial);
	r = weft_scope_close(&trial->scope);
	(void)r; /* the operation's own result is what counts */
	trial->ended = true;
	return 0;
}

static unsigned latest_seed;

static void print_seed(int status, void *arg)
{
	(void)arg;
	if (status != 0)
		(void)fprintf(stderr, "the seed of the latest trial is %u\n", latest_seed);
}

/* Draws a schedule and starts the operation. */
static void begin(struct trial *trial, unsigned seed, unsigned ways)
{
	if (seed == 0)
		ck_assert_int_eq(on_exit(print_seed, NULL), 0);
	latest_seed = seed;
	wf_random_seed(&trial->random, seed);
	trial->way = draw(trial, ways);
	trial->within = draw(trial, 60) * WEFT_MICROSECOND;
	trial->early = trial->way == BY_CANCEL && draw(trial, 8) == 0;
	trial->started = trial->ended = trial->post_ran = false;
	weft_scope_open(&trial->all);
	SPAWN(&trial->all, perform, trial);
	drift(trial);
}

static void stop(void *arg)
{
	struct trial *trial = arg;

	if (trial->way < WAYS_WITHOUT_CLOSE)
		weft_scope_cancel(&trial->scope);
	else
		weft_close(trial->conn);
	trial->post_ran = true;
}

/* Stops the operation and waits for its end. Afterwards `result` and `done` are there. */
static void finish(struct trial *trial)
{
	bool posted = trial->way == BY_POSTED_CANCEL || trial->way == BY_POSTED_CLOSE;

	while (!trial->started) /* an object may not be closed before it is used, nor a scope before
				   it is open */
		wf_assert_result(weft_yield(), 0);
	if (posted)
		wf_assert_result(weft_post(weft_worker_self(), stop, trial), 0);
	else if (trial->way != BY_DEADLINE)
		stop(trial);
	wf_assert_result(weft_scope_close(&trial->all), 0);
	while (posted && !trial->post_ran)
		wf_assert_result(weft_sleep(WEFT_MICROSECOND), 0);
}

/* Checks that a result is the code of the way in which the operation was stopped. */
static void check_code(const struct trial *trial, ssize_t result)
{
	static const int codes[WAYS] = {
		[BY_CANCEL] = -ECANCELED,	  [BY_POSTED_CANCEL] = -ECANCELED,
		[BY_DEADLINE] = WEFT_EDEADLINE,	  [BY_CLOSE] = WEFT_ECLOSED,
		[BY_POSTED_CLOSE] = WEFT_ECLOSED,
	};

	wf_assert_result(result, codes[trial->way]);
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* A stream, of which `copy` keeps our end open when the connection is closed. */
struct stream {
	int peer, copy;
	size_t sent, received;
};

static struct weft_conn *reopen(const struct stream *stream)
{
	struct weft_conn *conn;

	wf_assert_result(weft_conn_from_fd(dup(stream->copy), &conn), 0);
	return conn;
}

static void open_stream(struct stream *stream, struct trial *trial,
			struct weft_conn *(*open)(int *ret_peer))
{
	*stream = (struct stream){ 0 };
	trial->conn = open(&stream->peer);
	stream->copy = dup(weft_conn_fd(trial->conn));
	trial->memory = malloc(WRITE_MAX);
}

static void close_stream(struct stream *stream, struct trial *trial)
{
	weft_close(trial->conn);
	peer_close(stream->copy);
	peer_close(stream->peer);
	free(trial->memory);
}

static void operate_read(struct trial *trial)
{
	trial->result = weft_read(trial->conn, trial->memory, trial->bytes);
	trial->done = trial->result > 0 ? (size_t)trial->result : 0;
}

static void operate_read_full(struct trial *trial)
{
	trial->result = weft_read_full(trial->conn, trial->memory, trial->bytes, &trial->done);
}

static void send_some(struct stream *stream, size_t bytes)
{
	unsigned char piece[256];

	fill_stream(piece, stream->sent, bytes);
	peer_send(stream->peer, piece, bytes);
	stream->sent += bytes;
}

/* Takes in what is in the socket, a little or, with `all`, everything that was sent. */
static void take_in(struct stream *stream, int fd, bool all)
{
	static unsigned char piece[32 * 1024];

	do {
		ssize_t n = recv(fd, piece, sizeof piece, MSG_DONTWAIT);

		if (n < 0 && all)
			rest(1); /* it is on its way, or lost; the test has a time limit */
		if (n <= 0)
			continue;
		check_stream(piece, stream->received, (size_t)n);
		stream->received += (size_t)n;
	} while (all && stream->received < stream->sent);
}

static void try_reads(struct weft_conn *(*open)(int *ret_peer), void (*operate)(struct trial *))
{
	struct trial trial = { .operate = operate };
	struct stream stream;

	open_stream(&stream, &trial, open);
	for (unsigned i = 0; i < TRIALS; i++) {
		trial.bytes = 1 + i * 7 % 64;
		memset(trial.memory, 0x5a, 64);
		begin(&trial, i, WAYS);
		send_some(&stream, draw(&trial, 100));
		drift(&trial);
		finish(&trial);
		check_stream(trial.memory, stream.received, trial.done);
		for (size_t at = trial.done; at < 64; at++) /* and nothing behind is touched */
			ck_assert_uint_eq(trial.memory[at], 0x5a);
		stream.received += trial.done;
		if (trial.done < (operate == operate_read ? 1 : trial.bytes))
			check_code(&trial, trial.result);
		if (trial.way >= BY_CLOSE)
			trial.conn = reopen(&stream);
		if (stream.sent - stream.received > 2000)
			take_in(&stream, stream.copy, true);
	}
	take_in(&stream, stream.copy, true);
	ck_assert_uint_eq(stream.received, stream.sent);
	close_stream(&stream, &trial);
}

/* Every byte that was sent is returned by a read or still in the socket, in order. */
WF_TASK_TEST(read_over_unix)
{
	try_reads(open_pair, operate_read);
}

/* The same over TCP. */
WF_TASK_TEST(read_over_tcp)
{
	try_reads(open_tcp_pair, operate_read);
}

/* A compound read counts the bytes that it took, whatever stopped it. */
WF_TASK_TEST(read_full_over_unix)
{
	try_reads(open_pair, operate_read_full);
}

/* Memory is not written to after a read has returned. */
WF_TASK_TEST(read_leaves_the_memory_alone_afterwards)
{
	struct trial trial = { .operate = operate_read, .bytes = 64 };
	struct stream stream;

	open_stream(&stream, &trial, open_pair);
	for (unsigned i = 0; i < 300; i++) {
		begin(&trial, i, WAYS_WITHOUT_CLOSE);
		finish(&trial);
		check_code(&trial, trial.result);
		memset(trial.memory, 0x5a, 64);
		send_some(&stream, 64);
		drift(&trial);
		for (size_t at = 0; at < 64; at++)
			ck_assert_uint_eq(trial.memory[at], 0x5a);
		take_in(&stream, stream.copy, true);
	}
	close_stream(&stream, &trial);
}

static void check_idle_calls(struct weft_conn *conn, int code)
{
	struct weft_conn *dialled;
	size_t done = 99;
	char byte;

	wf_assert_result(weft_dial("nonsense", &dialled), code);
	wf_assert_result(weft_read(conn, &byte, 0), code);
	wf_assert_result(weft_read_full(conn, &byte, 0, &done), code);
	ck_assert_uint_eq(done, 0);
	wf_assert_result(weft_writev(conn, NULL, -1, NULL), code);
}

static void call_idly(void *conn)
{
	check_idle_calls(conn, -EPERM);
}

/* Calls that have nothing to wait for, or are wrong, are checkpoints like all others. */
WF_TASK_TEST(calls_without_work_are_checkpoints)
{
	struct weft_scope scope;
	int peer;
	struct weft_conn *conn = open_pair(&peer);

	weft_scope_open(&scope);
	weft_scope_cancel(&scope);
	check_idle_calls(conn, -ECANCELED);
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
	/* And, like all others, for tasks: a post is none. */
	wf_assert_result(weft_post(weft_worker_self(), call_idly, conn), 0);
	rest(5);
	weft_close(conn);
	peer_close(peer);
}

/* ---- Writing --------------------------------------------------------------------------------- */

static void operate_write(struct trial *trial)
{
	trial->result = weft_write(trial->conn, trial->memory, trial->bytes, &trial->done);
}

/* In pieces, some of them empty. */
static void operate_writev(struct trial *trial)
{
	struct iovec vector[100];
	size_t each = trial->bytes / 99 + 1, at = 0;

	for (int i = 0; i < 100; i++) {
		size_t left = trial->bytes - at;
		size_t length = i % 10 == 3 && i < 99 ? 0 : left < each ? left : each;

		vector[i] = (struct iovec){ trial->memory + at, i == 99 ? left : length };
		at += vector[i].iov_len;
	}
	trial->result = weft_writev(trial->conn, vector, 100, &trial->done);
}

/* Each write is of `most` bytes at the most, which must be more than the socket holds: then it takes
 * several attempts, between which the peer makes room. */
static void try_writes(struct weft_conn *(*open)(int *ret_peer), void (*operate)(struct trial *),
		       unsigned trials, unsigned most)
{
	struct trial trial = { .operate = operate };
	struct stream stream;
	int small = 4096;

	open_stream(&stream, &trial, open);
	ck_assert_int_eq(setsockopt(stream.copy, SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
	for (unsigned i = 0; i < trials; i++) {
		trial.bytes = 1 + i * 104729 % most;
		fill_stream(trial.memory, stream.sent, trial.bytes);
		begin(&trial, i, WAYS);
		for (unsigned looks = draw(&trial, 5); looks > 0; looks--) {
			take_in(&stream, stream.peer, false);
			drift(&trial);
		}
		finish(&trial);
		memset(trial.memory, 0x5a, trial.bytes); /* it is ours again */
		stream.sent += trial.done;
		if (trial.done < trial.bytes)
			check_code(&trial, trial.result);
		if (trial.way >= BY_CLOSE)
			trial.conn = reopen(&stream);
		if (draw(&trial, 2))
			take_in(&stream, stream.peer, true);
	}
	take_in(&stream, stream.peer, true);
	rest(1);
	take_in(&stream, stream.peer, false); /* nothing that was not counted comes after that */
	ck_assert_uint_eq(stream.received, stream.sent);
	close_stream(&stream, &trial);
}

/* What a write says it sent is what the peer receives, to the byte. */
WF_TASK_TEST(write_over_unix)
{
	try_writes(open_pair, operate_write, TRIALS, 30000);
}

/* The same over TCP. */
WF_TASK_TEST(write_over_tcp)
{
	try_writes(open_tcp_pair, operate_write, TRIALS / 6, WRITE_MAX);
}

/* The same for vectors. */
WF_TASK_TEST(writev_over_tcp)
{
	try_writes(open_tcp_pair, operate_writev, TRIALS / 6, WRITE_MAX);
}

/* ---- Accepting and connecting ---------------------------------------------------------------- */

static void operate_accept(struct trial *trial)
{
	trial->result = weft_accept(trial->listener, &trial->conn);
}

/* Checks that a connection is the one of that peer, and closes both. */
static void check_and_close(struct weft_conn *conn, int peer)
{
	peer_say(peer, "x");
	peer_hear(weft_conn_fd(conn), "x");
	weft_close(conn);
	peer_close(peer);
}

/* Every connection that was made is accepted once, in order: a stopped accept has taken none. */
WF_TASK_TEST(accept_takes_each_once)
{
	struct trial trial = { .operate = operate_accept };
	char text[WEFT_ADDRESS_TEXT_MAX];
	unsigned first = 0, last = 0;
	int peers[64];

	trial.listener = wf_listen_loopback(text);
	for (unsigned i = 0; i < TRIALS; i++) {
		begin(&trial, i, WAYS_WITHOUT_CLOSE);
		if (last - first < 64 && draw(&trial, 2))
			peers[last++ % 64] = peer_dial(text);
		drift(&trial);
		finish(&trial);
		if (trial.result == 0)
			check_and_close(trial.conn, peers[first++ % 64]);
		else
			check_code(&trial, trial.result);
	}
	while (first < last) {
		wf_assert_result(weft_accept(trial.listener, &trial.conn), 0);
		check_and_close(trial.conn, peers[first++ % 64]);
	}
	weft_listener_close(trial.listener);
}

static void operate_dial(struct trial *trial)
{
	trial->result = weft_dial(trial->address, &trial->conn);
}

static void try_dials(const char *address, struct weft_listener *listener)
{
	struct trial trial = { .operate = operate_dial, .address = address };

	for (unsigned i = 0; i < TRIALS; i++) {
		struct weft_address peer;
		struct weft_conn *conn;

		begin(&trial, i, WAYS_WITHOUT_CLOSE);
		finish(&trial);
		if (trial.result == 0) {
			wf_assert_result(weft_conn_peer(trial.conn, &peer), 0);
			weft_close(trial.conn);
		} else {
			check_code(&trial, trial.result);
		}
		for (int n = 0; listener && n == 0;) { /* its backlog shall not fill up */
			WEFT_DEADLINE(weft_now())
				n = weft_accept(listener, &conn);
			if (n == 0)
				weft_close(conn);
			else
				wf_assert_result(n, WEFT_EDEADLINE);
		}
	}
}

/* A dial that is stopped leaves no descriptor (the harness looks), one that succeeds is connected. */
WF_TASK_TEST(dial_leaves_nothing)
{
	char text[WEFT_ADDRESS_TEXT_MAX];
	struct weft_listener *listener = wf_listen_loopback(text);

	try_dials(text, listener);
	weft_listener_close(listener);
}

/* The same when there is no answer, so that each one is stopped. */
WF_TASK_TEST(dial_without_an_answer_leaves_nothing)
{
	struct full_listener full;

	open_full_listener(&full);
	try_dials(full.text, NULL);
	close_full_listener(&full);
}

/* ---- Sleeping and joining -------------------------------------------------------------------- */

static void operate_sleep(struct trial *trial)
{
	weft_time until = weft_after(draw(trial, 60) * WEFT_MICROSECOND);

	trial->result = weft_sleep_until(until);
	trial->done = weft_now() >= until;
}

/* A sleep ends with 0 when its time has come, and with the code of the stop otherwise. */
WF_TASK_TEST(sleep_is_over_or_stopped)
{
	struct trial trial = { .operate = operate_sleep };

	for (unsigned i = 0; i < TRIALS; i++) {
		begin(&trial, i, WAYS_WITHOUT_CLOSE);
		finish(&trial);
		if (trial.result == 0)
			ck_assert_uint_eq(trial.done, 1);
		else
			check_code(&trial, trial.result);
	}
}

static int sleep_and_leave(void *arg)
{
	struct trial *trial = arg;
	int r = weft_sleep(draw(trial, 3) ? (weft_time)draw(trial, 40) * WEFT_MICROSECOND :
					    WEFT_FOREVER);

	trial->done++;
	return r;
}

static void operate_join(struct trial *trial)
{
	unsigned spawned = 0;
	struct weft_scope scope;

	trial->done = 0;
	weft_scope_open(&scope);
	for (unsigned i = draw(trial, 5); i > 0; i--)
		spawned += weft_spawn(&scope, sleep_and_leave, trial) == 0;
	trial->result = weft_scope_close(&scope);
	ck_assert_uint_eq(trial->done, spawned);
}

/* A join waits for every child, also when it is stopped, and then tells the stop. */
WF_TASK_TEST(join_waits_for_all)
{
	struct trial trial = { .operate = operate_join };

	for (unsigned i = 0; i < TRIALS; i++) {
		begin(&trial, i, WAYS_WITHOUT_CLOSE);
		drift(&trial);
		finish(&trial);
		if (trial.result != 0)
			check_code(&trial, trial.result);
	}
}

WF_MAIN("net/cancel")
