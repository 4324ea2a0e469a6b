/* SPDX-License-Identifier: MIT */
/*
 * One chat, on every engine: what each side sends and gets, in its order, is the same with the kernel's
 * network and with the simulated one.
 *
 *	client 3:  dial, request, reply, (pause), two requests, two replies, half-close, farewell, end
 *	server 3:        request, reply,          two requests, two replies, end, farewell
 *
 * A client draws what it does from a seed; what the server does is told by the requests. Each side keeps
 * a trace, which is a hash of all bytes and results as it has them. Only how the bytes were cut up, and
 * who of several came first, are the network's affair, and are left out of it.
 */
#include "base/compiler.h"
#include "base/random.h"
#include "core/common.h"
#include "net/server.h"

enum { CLIENTS = 6, ROUNDS_MAX = 6, BATCH_MAX = 3, SMALL = 4096, LARGE = 300000, CHATS = 12 };

/* How a connection ends. */
enum ending {
	GOES_ON,
	CLOSES,	     /* the client closes */
	HALF_CLOSES, /* the client ends its output, and hears a farewell */
	IS_FINISHED, /* the server ends it with the reply */
	ENDINGS,
};

struct request {
	uint32_t client, body_bytes, reply_bytes;
	uint32_t ending;
};

struct chat {
	struct server server;
	uint64_t seed;
	uint64_t clients[CLIENTS], servers[CLIENTS]; /* the traces */
};

struct client {
	struct chat *chat;
	uint32_t number;
	uint64_t *trace;
	struct wf_random random;
	struct weft_conn *conn;
};

static const char farewell[] = "farewell";

/* ---- Traces ---------------------------------------------------------------------------------- */

static void note(uint64_t *trace, const void *bytes, size_t count)
{
	const unsigned char *next = bytes;

	for (size_t i = 0; i < count; i++)
		*trace = (*trace ^ next[i]) * 0x100000001b3;
}

static void note_result(uint64_t *trace, int64_t result)
{
	note(trace, &result, sizeof result);
}

/* ---- Both sides ------------------------------------------------------------------------------ */

/* Sends bytes of the stream, from a place that both sides know. */
static void send_stream(struct weft_conn *conn, uint64_t *trace, size_t place, size_t bytes)
{
	char *memory = calloc(bytes + 1, 1);
	int r;

	fill_stream(memory, place, bytes);
	r = weft_write(conn, memory, bytes, NULL);
	note(trace, memory, bytes);
	note_result(trace, r);
	free(memory);
}

/* Receives them in pieces as they come. */
static void receive_stream(struct weft_conn *conn, uint64_t *trace, size_t place, size_t bytes)
{
	char memory[SMALL];
	size_t done = 0;
	ssize_t n = 0;

	while (done < bytes) {
		size_t most = 1 + weft_random() % sizeof memory;

		n = weft_read(conn, memory, most < bytes - done ? most : bytes - done);
		if (n <= 0)
			break;
		check_stream(memory, place + done, (size_t)n);
		note(trace, memory, (size_t)n);
		done += (size_t)n;
	}
	note_result(trace, done < bytes ? n : 0);
}

static void expect_end(struct weft_conn *conn, uint64_t *trace)
{
	char byte;

	for (int i = 0; i < 2; i++) /* it can be had again */
		note_result(trace, weft_read(conn, &byte, 1));
}

/* ---- The server ------------------------------------------------------------------------------ */

static int reply_with_end(struct weft_conn *conn, uint64_t *trace, const struct request *request)
{
	char *memory = calloc(request->reply_bytes + 1, 1);
	int r;

	fill_stream(memory, request->client, request->reply_bytes);
	r = weft_finish(conn, memory, request->reply_bytes);
	note_result(trace, r);
	free(memory);
	return r;
}

/* After the client's end. */
static int part(struct weft_conn *conn, uint64_t *trace, uint32_t ending)
{
	int r = 0;

	expect_end(conn, trace);
	if (ending == HALF_CLOSES)
		r = weft_finish(conn, farewell, sizeof farewell);
	note_result(trace, r);
	return r;
}

static int answer(struct weft_conn *conn, void *arg)
{
	struct chat *chat = wf_container((struct server *)arg, struct chat, server);
	struct request request = { 0 };
	uint64_t *trace;
	int r;

	for (;;) {
		uint32_t ending = request.ending;

		r = weft_read_full(conn, &request, sizeof request, NULL);
		ck_assert_uint_lt(request.client, CLIENTS);
		trace = &chat->servers[request.client];
		note_result(trace, r);
		if (r == WEFT_EEOF)
			return part(conn, trace, ending);
		if (r < 0)
			return r;
		note(trace, &request, sizeof request);
		receive_stream(conn, trace, request.client, request.body_bytes);
		if (request.ending == IS_FINISHED)
			return reply_with_end(conn, trace, &request);
		send_stream(conn, trace, request.client, request.reply_bytes);
	}
}

/* ---- A client -------------------------------------------------------------------------------- */

static uint32_t draw(struct client *client, uint32_t count)
{
	return (uint32_t)(wf_random_next(&client->random) % count);
}

static uint32_t draw_size(struct client *client, uint32_t most)
{
	static const uint32_t sizes[] = { 0, 1, 100, 1460, SMALL, 65536, LARGE };
	uint32_t size = sizes[draw(client, sizeof sizes / sizeof *sizes)];

	size = draw(client, 2) ? size : draw(client, size + 1);
	return size < most ? size : most;
}

/* Sometimes it waits, or listens though nothing was asked. */
static void dawdle(struct client *client)
{
	char byte;
	ssize_t n = 0;

	if (draw(client, 2))
		wf_assert_result(weft_sleep(draw(client, 3) * WEFT_MILLISECOND / 2), 0);
	if (draw(client, 4) > 0)
		return;
	WEFT_DEADLINE(weft_after(WEFT_MILLISECOND / 4))
		n = weft_read(client->conn, &byte, 1);
	note_result(client->trace, n);
}

/* Sends some requests, and hears the replies; more than one only where all fit on the way, for until
 * the last one is sent nobody hears. */
static void converse(struct client *client, enum ending ending)
{
	uint32_t replies[BATCH_MAX], count = 1 + draw(client, BATCH_MAX);
	uint32_t most = count > 1 ? SMALL : LARGE;

	for (uint32_t i = 0; i < count; i++) {
		struct request request = { .client = client->number,
					   .body_bytes = draw_size(client, most),
					   .ending = i + 1 < count ? GOES_ON : ending };

		replies[i] = request.reply_bytes = draw_size(client, most);
		note_result(client->trace,
			    weft_write(client->conn, &request, sizeof request, NULL));
		send_stream(client->conn, client->trace, client->number, request.body_bytes);
	}
	for (uint32_t i = 0; i < count; i++)
		receive_stream(client->conn, client->trace, client->number, replies[i]);
}

static void end(struct client *client, enum ending ending)
{
	char heard[sizeof farewell];

	if (ending == HALF_CLOSES) {
		note_result(client->trace, weft_shutdown(client->conn));
		note_result(client->trace, weft_write(client->conn, "x", 1, NULL));
		note_result(client->trace, weft_read_full(client->conn, heard, sizeof heard, NULL));
		note(client->trace, heard, sizeof heard);
	}
	if (ending != CLOSES)
		expect_end(client->conn, client->trace);
	weft_close(client->conn);
}

static int talk(void *arg)
{
	struct client *client = arg;
	uint32_t rounds = 1 + draw(client, ROUNDS_MAX);
	enum ending ending = CLOSES + draw(client, ENDINGS - CLOSES);

	wf_assert_result(weft_dial(client->chat->server.text, &client->conn), 0);
	for (uint32_t i = 0; i < rounds; i++) {
		dawdle(client);
		converse(client, i + 1 < rounds ? GOES_ON : ending);
	}
	end(client, ending);
	return 0;
}

/* ---- A chat ---------------------------------------------------------------------------------- */

static void talk_at_once(struct chat *chat)
{
	struct client clients[CLIENTS];
	struct weft_scope scope;

	weft_scope_open(&scope);
	for (uint32_t i = 0; i < CLIENTS; i++) {
		clients[i] =
			(struct client){ .chat = chat, .number = i, .trace = &chat->clients[i] };
		wf_random_seed(&clients[i].random, chat->seed * CLIENTS + i);
		SPAWN(&scope, talk, &clients[i]);
	}
	wf_assert_result(weft_scope_close(&scope), 0);
}

static int hold_chat(void *arg)
{
	struct chat *chat = arg;
	struct weft_conn *conn;

	start(&chat->server, answer);
	talk_at_once(chat);
	stop(&chat->server);
	ck_assert_uint_eq(failures(), 0);
	wf_assert_result(weft_dial(chat->server.text, &conn), -ECONNREFUSED);
	return 0;
}

/* The traces of a seed's chat on an engine; false if there is no such engine here. */
static bool run_chat(const char *engine, uint64_t seed, struct chat *ret_chat)
{
	int r;

	*ret_chat = (struct chat){ .seed = seed };
	r = weft_run(hold_chat, ret_chat, &(struct weft_options){ .engine = engine });
	if (r == WEFT_EENGINE || r == WEFT_EOPTION) /* the machine's, or the build's lack */
		return false;
	wf_assert_result(r, 0);
	return true;
}

static void compare(const char *engine, const struct chat *chat, const struct chat *other)
{
	for (int i = 0; i < CLIENTS; i++) {
		if (chat->clients[i] != other->clients[i])
			ck_abort_msg("seed %lu: client %d fares otherwise on %s",
				     (unsigned long)chat->seed, i, engine);
		if (chat->servers[i] != other->servers[i])
			ck_abort_msg("seed %lu: client %d is served otherwise on %s",
				     (unsigned long)chat->seed, i, engine);
	}
}

/* Every chat has the same traces on all engines. */
WF_TEST(engines_agree)
{
	static const char *const engines[] = { "uring", "sim" };

	for (uint64_t seed = 1; seed <= CHATS; seed++) {
		struct chat first, other;

		ck_assert(run_chat("epoll", seed, &first));
		for (size_t i = 0; i < sizeof engines / sizeof *engines; i++)
			if (run_chat(engines[i], seed, &other))
				compare(engines[i], &first, &other);
	}
}

/* Chats of two seeds have not: the traces tell something. */
WF_TEST(seeds_differ)
{
	struct chat first, other;

	ck_assert(run_chat("sim", 1, &first) && run_chat("sim", 2, &other));
	for (int i = 0; i < CLIENTS; i++) {
		ck_assert_uint_ne(first.clients[i], other.clients[i]);
		ck_assert_uint_ne(first.servers[i], other.servers[i]);
	}
}

WF_MAIN("net/differential")
