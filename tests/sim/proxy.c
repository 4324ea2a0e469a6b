/* SPDX-License-Identifier: MIT */
/*
 * Clients talk to a server through a proxy, each stream on two connections.
 *
 * The proxy is one task for each pair of connections: it selects between them, passes on what has come, and
 * passes on the end of each direction by itself. The server behind it parks its connections, and sends each
 * byte back changed. What comes back is a function of the stream and the place, as far as it comes; in a
 * calm world all of it comes, and then the end.
 */
#include "scenario.h"

#include <sys/uio.h>

enum { HOSTS = 2, LENGTH_MAX = 1500, PIECE_MAX = 200 };

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

/* One of the two connections of a stream. */
struct side {
	struct weft_conn *conn;
	size_t kept; /* input that was shown and not consumed */
	bool has_ended;
};

/* Sends bytes in two pieces, sometimes when there is room for some. */
static int send_on(struct weft_conn *conn, const char *bytes, size_t count)
{
	size_t first = weft_sim_choose(world, 0, count);
	const struct iovec pieces[] = {
		{ .iov_base = (void *)(uintptr_t)bytes, .iov_len = first },
		{ .iov_base = (void *)(uintptr_t)(bytes + first), .iov_len = count - first },
	};
	struct weft_case room[] = { weft_case_never(), weft_case_writable(weft_conn_watch(conn)) };
	int i = one_in(3) ? weft_select(room, 2) : 1;

	if (i < 0)
		return i;
	weft_always(i == 1, "what never happens does not");
	return room[1].result < 0 ? room[1].result : weft_writev(conn, pieces, 2, NULL);
}

/* Copies what has come, and leaves nothing. */
static int pass_copy(struct side *from, struct side *to)
{
	char bytes[PIECE_MAX];
	ssize_t n = weft_read(from->conn, bytes, sizeof bytes);

	if (n < 0)
		return (int)n;
	from->has_ended = n == 0;
	from->kept -= from->kept < (size_t)n ? from->kept : (size_t)n;
	return n > 0 ? send_on(to->conn, bytes, (size_t)n) : 0;
}

/* Sends from the buffer of the input, and may leave a part of it there. */
static int pass_input(struct side *from, struct side *to)
{
	struct weft_input input;
	ssize_t n = weft_fill(from->conn, &input);
	size_t count;
	int r = 0;

	if (n < 0)
		return (int)n;
	from->has_ended = n == 0;
	count = one_in(2) || n == 0 ? input.bytes : weft_sim_choose(world, 0, input.bytes);
	if (count > 0)
		r = send_on(to->conn, input.data, count);
	if (r == 0)
		weft_consume(from->conn, count);
	from->kept = input.bytes - count;
	weft_sometimes(from->kept > 0, "input is kept in the proxy");
	return r;
}

/* Passes on what has come, or the end. */
static int pass_on(struct side *from, struct side *to)
{
	weft_time begin = weft_now();
	int r;

	/* To fill is to wait for more than is kept. */
	r = from->kept > 0 || one_in(2) ? pass_copy(from, to) : pass_input(from, to);
	weft_sometimes(weft_now() - begin > WEFT_SECOND, "the proxy waits for a slow side");
	if (r == 0 && from->has_ended)
		r = weft_shutdown(to->conn);
	return r;
}

/* Until the end has come from both sides. */
static int pass_all(struct side sides[2])
{
	int r = 0;

	while (r == 0 && !(sides[0].has_ended && sides[1].has_ended)) {
		struct weft_case cases[2];
		int i;

		for (int side = 0; side < 2; side++)
			cases[side] = sides[side].has_ended ?
					      weft_case_never() :
					      weft_case_readable(weft_conn_watch(sides[side].conn));
		i = weft_select(cases, 2);
		if (i < 0)
			return i;
		weft_always(!sides[i].has_ended, "a side that has ended is not selected");
		r = cases[i].result < 0 ? cases[i].result : pass_on(&sides[i], &sides[!i]);
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
