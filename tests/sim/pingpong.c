/* SPDX-License-Identifier: MIT */
/*
 * Three clients ask a small server once a second, each time on a connection of its own. A client may be
 * cancelled, the server stopped by a signal and started again.
 *
 * Every request comes to one end: the right reply, an error, or a stop. A reply that is there is complete
 * and right, and the server knows of it. Some clients send more than the server reads; it has come when the
 * server finishes, and so the reply must arrive all the same. Once the world has recovered, every request is
 * answered.
 */
#include "scenario.h"

#include <signal.h>
#include <stdio.h>

enum { CLIENTS = 3, REQUESTS = 60, CONNECTIONS_MAX = 2, TEXT_MAX = 64, TAIL_MAX = 200 };

static const weft_time SERVER_PATIENCE = 3 * WEFT_SECOND;
static const weft_time TAIL_TIME = WEFT_SECOND; /* the most that a tail takes */
static const weft_time CLIENT_PATIENCE = 12 * WEFT_SECOND;

enum outcome { NONE, REPLY, ERROR, STOPPED, OUTCOMES };

static struct books {
	uint32_t live; /* handlers that run */
	uint32_t requests, replies;
	uint32_t outcomes[OUTCOMES];
	uint8_t requested[CLIENTS][REQUESTS],
		replied[CLIENTS][REQUESTS]; /* how often, by the server */
	bool cancelled[CLIENTS];
} books;

/* ---- The server ------------------------------------------------------------------------------ */

/* Reads a line, in small pieces: what comes behind it may stay unread. */
static int read_line(struct weft_conn *conn, char line[TEXT_MAX])
{
	size_t length = 0;

	while (length == 0 || line[length - 1] != '\n') {
		ssize_t n = weft_read(conn, line + length, length < TEXT_MAX - 8 ? 7 : 1);

		if (n <= 0)
			return n < 0 ? (int)n : WEFT_EEOF;
		length += (size_t)n;
		if (memchr(line, '\n', length))
			length = (size_t)((char *)memchr(line, '\n', length) - line) + 1;
		weft_always(length < TEXT_MAX - 1,
			    "no request is longer than those that were sent");
	}
	line[length] = 0;
	return 0;
}

static int answer(struct weft_conn *conn)
{
	char line[TEXT_MAX], reply[TEXT_MAX];
	unsigned client, number;
	char end;
	int r = read_line(conn, line);

	if (r < 0)
		return r;
	r = sscanf(line, "ping %u %u%c", &client, &number, &end);
	weft_always(r == 3 && client < CLIENTS && number < REQUESTS,
		    "a request arrives as it was sent");
	books.requests++;
	weft_always(++books.requested[client][number] == 1, "a request arrives once");
	if (end == '+' && weft_sleep(TAIL_TIME) < 0)
		return -ECANCELED;
	r = weft_finish(conn, reply, (size_t)sprintf(reply, "pong %u %u\n", client, number));
	if (r == 0) {
		books.replies++;
		books.replied[client][number]++;
	}
	return r;
}

static int pong(struct weft_conn *conn, void *arg)
{
	int r = 0;

	(void)arg;
	weft_always(++books.live <= CONNECTIONS_MAX,
		    "no more connections than the server may have");
	weft_sometimes(books.live == CONNECTIONS_MAX, "the server is full");
	WEFT_DEADLINE(weft_after(SERVER_PATIENCE))
		r = answer(conn);
	weft_always(r == 0 || r == WEFT_EEOF || is_stop(r) || is_mishap(r),
		    "the server knows the error");
	weft_sometimes(r == WEFT_EDEADLINE, "the server loses patience");
	books.live--;
	return r;
}

/* Serves again after a signal, as a service would be started again. */
static int server(void *arg)
{
	const struct weft_serve_options options = {
		.connections_max = CONNECTIONS_MAX,
		.stop_on_signals = true,
	};

	(void)arg;
	while (weft_sim_now(world) < RUN_FOR) {
		int r = weft_serve("10.0.0.1:80", pong, NULL, &options);

		weft_always(books.live == 0, "a server ends after its connections");
		weft_sometimes(r == 0 && weft_sim_now(world) < RUN_FOR,
			       "a signal stops the server");
		if (r < 0 && (is_stop(r) || weft_sleep(WEFT_SECOND) < 0))
			break;
	}
	return 0;
}

/* ---- The clients ----------------------------------------------------------------------------- */

/* Sends the request in one piece or two; with a tail, also what nobody asked for. */
static int send_request(struct weft_conn *conn, const char *request, size_t tail_bytes)
{
	static const char tail[TAIL_MAX];
	size_t length = strlen(request), first = weft_sim_choose(world, 0, length);
	int r = weft_write(conn, request, first, NULL);

	if (r == 0 && one_in(2))
		r = weft_yield();
	if (r == 0)
		r = weft_write(conn, request + first, length - first, NULL);
	if (r == 0 && tail_bytes > 0)
		r = weft_write(conn, tail, tail_bytes, NULL);
	return r;
}

/* 0 if the reply came, and the end behind it. */
static int read_reply(struct weft_conn *conn, const char *expected)
{
	size_t length = strlen(expected), done;
	char reply[TEXT_MAX];
	int r = weft_read_full(conn, reply, length, &done);

	weft_always(memcmp(reply, expected, done) == 0, "a reply is right as far as it has come");
	if (r == 0) {
		ssize_t n = weft_read(conn, reply, sizeof reply);

		weft_always(n <= 0, "nothing comes behind a reply");
		r = n < 0 ? (int)n : 0;
	}
	return r;
}

/* Asks, and judges what came of it. */
static int ask(struct weft_conn *conn, uint32_t client, uint32_t number)
{
	size_t tail_bytes = one_in(3) ? weft_sim_choose(world, 1, TAIL_MAX) : 0;
	char request[TEXT_MAX], expected[TEXT_MAX];
	int sent, r;

	(void)sprintf(request, "ping %u %u%s\n", client, number, tail_bytes ? "+" : "");
	(void)sprintf(expected, "pong %u %u\n", client, number);
	sent = r = send_request(conn, request, tail_bytes);
	if (r == 0 || !is_stop(r)) /* a reply may be there although not all could be sent */
		r = read_reply(conn, expected);
	weft_always(r == 0 || r == WEFT_EEOF || is_stop(r) || is_mishap(r),
		    "the client knows the error");
	weft_always(r < 0 || books.requested[client][number] == 1, "a reply is that to a request");
	weft_always(r != WEFT_EEOF || sent < 0 || tail_bytes > 0 || !books.replied[client][number],
		    "what was finished without an error does not end early");
	weft_sometimes(r == 0 && tail_bytes > 0, "a reply to a request with a tail");
	return r;
}

static int ping(uint32_t client, uint32_t number)
{
	struct weft_conn *conn;
	int r = weft_dial("10.0.0.1:80", &conn);

	if (r < 0) {
		weft_always(is_stop(r) || is_refusal(r), "a dial fails for a known reason");
		return r;
	}
	r = ask(conn, client, number);
	weft_close(conn);
	return r;
}

static enum outcome outcome_of(int r)
{
	return r == 0 ? REPLY : r == -ECANCELED ? STOPPED : ERROR;
}

static int client(void *arg)
{
	uint32_t self = *(uint32_t *)arg;
	uint32_t begun = 0, ended = 0;

	for (uint32_t i = 0; i < REQUESTS && weft_sim_now(world) < RUN_FOR; i++) {
		bool must_succeed =
			has_recovered() && weft_sim_now(world) < RUN_FOR - CLIENT_PATIENCE;
		int r = 0;

		if (sleep_well(WEFT_SECOND) < 0)
			break;
		begun++;
		WEFT_DEADLINE(weft_after(CLIENT_PATIENCE))
			r = ping(self, i);
		books.outcomes[outcome_of(r)]++;
		ended++;
		weft_always(r == 0 || !must_succeed || books.cancelled[self],
			    "in a calm world every ping has its pong");
		weft_sometimes(r == 0 && must_succeed, "pings in a calm world");
		weft_sometimes(r == WEFT_EDEADLINE, "a client loses patience");
		weft_sometimes(r == -ECONNRESET, "a client's connection is reset");
		weft_sometimes(r == -EMFILE, "a client has no descriptor");
		weft_sometimes(r == WEFT_EEOF, "a reply ends early");
		weft_sometimes(r == -ECANCELED, "a client is cancelled in a request");
	}
	weft_always(begun == ended, "each request comes to an end");
	return 0;
}

/* ---- The world ------------------------------------------------------------------------------- */

static void compare(struct weft_sim *sim, void *arg)
{
	(void)sim, (void)arg;
	weft_always(books.outcomes[REPLY] <= books.requests, "no reply without a request");
	weft_always(books.replies <= books.requests, "the server replies to requests only");
}

static struct weft_sim_host *server_host, *last_host;

static void raise_there(struct weft_sim *sim, void *arg)
{
	(void)arg;
	weft_sim_signal(sim, server_host, SIGTERM);
}

static void cancel_last(struct weft_sim *sim, void *arg)
{
	(void)arg;
	books.cancelled[CLIENTS - 1] = true;
	weft_sim_cancel(sim, last_host);
}

static void scenario(struct weft_sim *sim)
{
	static const char *const addresses[] = { "10.0.0.2", "10.0.0.3", "10.0.0.4" };
	static uint32_t numbers[CLIENTS];

	books = (struct books){ 0 };
	run_in_two_halves(sim);
	server_host = weft_sim_host(sim, "server", "10.0.0.1", server, NULL);
	for (uint32_t i = 0; i < CLIENTS; i++) {
		numbers[i] = i;
		last_host = weft_sim_host(sim, "client", addresses[i], client, &numbers[i]);
	}
	if (one_in(3))
		weft_sim_at(sim, (weft_time)weft_sim_choose(sim, 0, (uint64_t)RUN_FOR), cancel_last,
			    NULL);
	if (one_in(3))
		weft_sim_at(sim, (weft_time)weft_sim_choose(sim, 0, (uint64_t)CALM_AT), raise_there,
			    NULL);
	weft_sim_check(sim, compare, NULL);
}

int main(int argc, char **argv)
{
	return weft_sim_main(argc, argv, scenario);
}
