/* SPDX-License-Identifier: MIT */
/*
 * Clients talk to a server through a proxy, each stream on two connections.
 *
 * The proxy is one task for each pair of connections: it selects between them, reads from one only when it
 * has nothing left for the other, and passes on the end of each direction by itself. The server behind it
 * parks its connections, and sends each byte back changed. What comes back is a function of the stream and
 * the place, as far as it comes; in a calm world all of it comes, and then the end.
 */
#include "scenario.h"

#include <sys/uio.h>

enum { HOSTS = 2, LENGTH_MAX = 800, PIECE_MAX = 200 };

static const weft_time PATIENCE = 14 * WEFT_SECOND;
static const weft_time PROXY_PATIENCE = 20 * WEFT_SECOND;

static uint32_t stream_count;

static uint8_t byte_at(uint32_t number, uint32_t place)
{
	return (uint8_t)((number * 2654435761U + place * 40503U) >> 7);
}

static uint8_t changed(uint8_t byte)
{
	return byte ^ 0x5a;
}

/* ---- The server ------------------------------------------------------------------------------ */

/* Answers what has come, or leaves the rest for the next burst, or the end, to show again. */
static int answer(struct weft_conn *conn, void *arg)
{
	struct weft_input input;
	ssize_t n = weft_fill(conn, &input);
	size_t used = 0;
	int r = n < 0 ? (int)n : 0;

	(void)arg;
	weft_sometimes(n == 0 && input.bytes > 0, "a stream ends with a part of it kept");
	while (r == 0 && used < input.bytes && (n == 0 || !one_in(8))) {
		size_t left = input.bytes - used, count = left < PIECE_MAX ? left : PIECE_MAX;
		uint8_t bytes[PIECE_MAX];

		for (size_t i = 0; i < count; i++)
			bytes[i] = changed((uint8_t)input.data[used + i]);
		WEFT_DEADLINE(weft_after(PROXY_PATIENCE))
			r = weft_write(conn, bytes, count, NULL);
		used += count;
	}
	if (r == 0)
		weft_consume(conn, used);
	weft_always(r == 0 || is_stop(r) || is_mishap(r), "the server knows the error");
	return r;
}

static int server(void *arg)
{
	struct weft_serve_options options = {
		.parks = true,
		.idle_ns = 2 * PROXY_PATIENCE,
		.grace_ns = PROXY_PATIENCE,
		.listen = { .defer_accept_s = one_in(2) },
	};

	(void)arg;
	return serve_for_ever("10.0.0.2:80", answer, &options);
}

/* ---- The proxy ------------------------------------------------------------------------------- */

/* One of the two connections of a stream, and what is to be sent on it. */
struct side {
	struct weft_conn *conn;
	bool has_ended; /* its input has */
	bool is_shut;	/* its output is */
	size_t start, end;
	char bytes[PIECE_MAX];
};

static bool is_pending(const struct side *side)
{
	return side->start < side->end;
}

/* Reads a piece, by a copy or from the buffer of the input, of which a part may stay there. */
static ssize_t read_piece(struct weft_conn *conn, char *bytes)
{
	struct weft_input input;
	size_t count;
	ssize_t n;

	if (one_in(2))
		return weft_read(conn, bytes, PIECE_MAX);
	WEFT_DEADLINE(weft_after(WEFT_MILLISECOND)) /* more than what is kept may not come */
		n = weft_fill(conn, &input);
	if (n == WEFT_EDEADLINE)
		return weft_read(conn, bytes, PIECE_MAX);
	if (n < 0 || input.bytes == 0)
		return n;
	count = weft_sim_choose(world, 1, input.bytes < PIECE_MAX ? input.bytes : PIECE_MAX);
	memcpy(bytes, input.data, count);
	weft_consume(conn, count);
	weft_sometimes(count < input.bytes, "input is kept in the proxy");
	return (ssize_t)count;
}

static int take_in(struct side *from, struct side *to)
{
	ssize_t n = read_piece(from->conn, to->bytes);

	if (n < 0)
		return (int)n;
	from->has_ended = n == 0;
	to->start = 0;
	to->end = (size_t)n;
	return 0;
}

/* Sends in two pieces as much as there is room for in a moment: the other direction must not wait. */
static int send_out(struct side *side)
{
	size_t count = side->end - side->start, first = weft_sim_choose(world, 0, count), done = 0;
	const struct iovec pieces[] = {
		{ .iov_base = side->bytes + side->start, .iov_len = first },
		{ .iov_base = side->bytes + side->start + first, .iov_len = count - first },
	};
	int r = 0;

	WEFT_DEADLINE(weft_after(WEFT_MILLISECOND))
		r = weft_writev(side->conn, pieces, 2, &done);
	side->start += done;
	weft_always(r != 0 || done == count, "a write that succeeds is whole");
	weft_sometimes(r == WEFT_EDEADLINE && done > 0, "there is room for a part");
	return r == WEFT_EDEADLINE ? 0 : r;
}

/* Waits for what can be done next, and does it. */
static int step(struct side sides[2])
{
	struct weft_case cases[4];
	int i;

	for (int side = 0; side < 2; side++) {
		struct weft_watch *watch = weft_conn_watch(sides[side].conn);

		cases[side] = sides[side].has_ended || is_pending(&sides[!side]) ?
				      weft_case_never() :
				      weft_case_readable(watch);
		cases[2 + side] =
			is_pending(&sides[side]) ? weft_case_writable(watch) : weft_case_never();
	}
	i = weft_select(cases, 4);
	if (i < 0)
		return i;
	weft_sometimes(i >= 2, "the proxy waits for room");
	if (cases[i].result < 0)
		return cases[i].result;
	return i < 2 ? take_in(&sides[i], &sides[!i]) : send_out(&sides[i - 2]);
}

/* Until the end has been passed on to both sides. */
static int pass_all(struct side sides[2])
{
	int r = 0;

	while (r == 0 && !(sides[0].is_shut && sides[1].is_shut)) {
		r = step(sides);
		for (int side = 0; side < 2 && r == 0; side++) {
			if (!sides[!side].has_ended || is_pending(&sides[side]) ||
			    sides[side].is_shut)
				continue;
			sides[side].is_shut = true;
			r = weft_shutdown(sides[side].conn);
		}
	}
	return r;
}

static int proxy_one(struct weft_conn *conn, void *arg)
{
	struct side sides[2] = { { .conn = conn } };
	int r = 0;

	(void)arg;
	WEFT_DEADLINE(weft_after(PROXY_PATIENCE)) {
		r = weft_dial("10.0.0.2:80", &sides[1].conn);
		if (r < 0)
			return r;
		r = pass_all(sides);
	}
	weft_close(sides[1].conn);
	weft_always(r == 0 || is_stop(r) || is_mishap(r) || r == -ENOTCONN,
		    "the proxy knows the error");
	weft_sometimes(r == 0, "a stream ends well in the proxy");
	return r;
}

static int proxy(void *arg)
{
	const struct weft_serve_options options = { .grace_ns = PROXY_PATIENCE };

	(void)arg;
	return serve_for_ever("10.0.0.1:80", proxy_one, &options);
}

/* ---- The clients ----------------------------------------------------------------------------- */

struct stream {
	struct weft_conn *conn;
	uint32_t number, length;
};

static int send_all(void *arg)
{
	const struct stream *stream = arg;
	uint8_t bytes[PIECE_MAX];
	int r = 0;

	for (uint32_t sent = 0; sent < stream->length && r == 0;) {
		uint32_t left = stream->length - sent;
		size_t count = weft_sim_choose(world, 1, left < PIECE_MAX ? left : PIECE_MAX);

		for (size_t i = 0; i < count; i++)
			bytes[i] = byte_at(stream->number, sent++);
		r = weft_write(stream->conn, bytes, count, NULL);
		if (r == 0 && one_in(4))
			r = weft_sleep((weft_time)weft_sim_choose(world, 1, 200) *
				       WEFT_MILLISECOND);
	}
	return r < 0 ? r : weft_shutdown(stream->conn);
}

/* 0 if all came back, and then the end. */
static int receive_all(const struct stream *stream)
{
	uint8_t bytes[PIECE_MAX];
	uint32_t back = 0;
	ssize_t n;

	while ((n = weft_read(stream->conn, bytes, sizeof bytes)) > 0)
		for (ssize_t i = 0; i < n; i++, back++)
			weft_always(back < stream->length &&
					    bytes[i] == changed(byte_at(stream->number, back)),
				    "each byte comes back at its place");
	if (n < 0)
		return (int)n;
	return back < stream->length ? WEFT_EEOF : 0;
}

static int talk_once(void)
{
	struct stream stream = {
		.number = stream_count++,
		.length = (uint32_t)weft_sim_choose(world, 0, LENGTH_MAX),
	};
	struct weft_scope scope;
	int r = weft_dial("10.0.0.1:80", &stream.conn);

	if (r < 0) {
		weft_always(is_stop(r) || is_refusal(r), "a dial fails for a known reason");
		return r;
	}
	weft_scope_open(&scope);
	r = weft_spawn(&scope, send_all, &stream);
	if (r == 0)
		r = receive_all(&stream);
	if (r == 0)
		r = weft_scope_close(&scope);
	weft_scope_cancel(&scope);
	weft_scope_leave(&scope);
	weft_close(stream.conn);
	weft_always(r == 0 || r == WEFT_EEOF || is_stop(r) || is_mishap(r) || r == -ENOTCONN,
		    "the client knows the error");
	return r;
}

static int client(void *arg)
{
	(void)arg;
	while (weft_sim_now(world) < RUN_FOR) {
		bool must_succeed = has_recovered();
		int r = 0;

		WEFT_DEADLINE(weft_after(PATIENCE))
			r = talk_once();
		/* A soft stop ends what is parked. */
		weft_always(r == 0 || !must_succeed || weft_sim_now(world) >= RUN_FOR,
			    "in a calm world every stream comes back");
		weft_sometimes(r == 0 && must_succeed, "streams in a calm world");
		weft_sometimes(r == WEFT_EEOF, "a stream ends early");
		if (weft_sleep((weft_time)weft_sim_choose(world, 500, 5000) * WEFT_MILLISECOND) < 0)
			break;
	}
	return 0;
}

/* ---- The world ------------------------------------------------------------------------------- */

static void scenario(struct weft_sim *sim)
{
	static const char *const addresses[] = { "10.0.0.3", "10.0.0.4" };

	stream_count = 0;
	run_in_two_halves(sim);
	weft_sim_host(sim, "proxy", "10.0.0.1", proxy, NULL);
	weft_sim_host(sim, "server", "10.0.0.2", server, NULL);
	for (int i = 0; i < HOSTS; i++)
		weft_sim_host(sim, "client", addresses[i], client, NULL);
}

int main(int argc, char **argv)
{
	return weft_sim_main(argc, argv, scenario);
}
