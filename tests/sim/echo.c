/* SPDX-License-Identifier: MIT */
/*
 * A server echoes; each client writes and reads at once, and is cancelled again and again.
 *
 * The byte at each place of a stream is a function of the stream and the place, so that a byte that is
 * lost, doubled or out of order shows at once, on either side. What is stopped by a cancel or a deadline
 * goes on where it was: a connection that is not broken carries every byte there and back. The clients end
 * their output, and read to the end of the input; the server ends with a byte of its own.
 */
#include "scenario.h"

enum { CLIENTS = 3, STREAMS_MAX = 256, LENGTH_MAX = 800, NUMBER_BYTES = 4, TRAILER = 1 };

static const weft_time PATIENCE = 14 * WEFT_SECOND;

/* What has become of a stream. */
struct stream {
	uint32_t length;  /* bytes the client has for it, its number included */
	uint32_t offered; /* of them, those given to weft_write */
	uint32_t sent;	  /* and those that were taken */
	uint32_t arrived; /* at the server */
	uint32_t echoed;  /* by it: given to weft_write */
	uint32_t back;	  /* at the client */
	int server_result;
	bool is_abandoned; /* by the client */
};

static struct stream streams[STREAMS_MAX];
static uint32_t stream_count;

static uint8_t byte_at(uint32_t number, uint32_t place)
{
	if (place < NUMBER_BYTES)
		return (uint8_t)(number >> 8 * place);
	return (uint8_t)((number * 2654435761U + place * 40503U) >> 9);
}

static void fill_in(uint8_t *bytes, uint32_t number, uint32_t place, size_t count)
{
	for (size_t i = 0; i < count; i++)
		bytes[i] = byte_at(number, place + (uint32_t)i);
}

static bool is_right(const void *bytes, uint32_t number, uint32_t place, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (((const uint8_t *)bytes)[i] != byte_at(number, place + (uint32_t)i))
			return false;
	return true;
}

/* From very soon to about a second. */
static weft_time some_time(void)
{
	return (weft_time)weft_sim_choose(world, 1, UINT64_C(1) << weft_sim_choose(world, 1, 30));
}

/* ---- The server ------------------------------------------------------------------------------ */

/* Reads in one of three ways, for a while: a count, 0 at the end, or an error. */
static ssize_t read_some(struct weft_conn *conn, uint8_t *bytes, size_t room)
{
	struct weft_input input;
	size_t done = 0;
	ssize_t n = 0;

	switch (weft_sim_choose(world, 1, 3)) {
	case 1:
		return weft_read(conn, bytes, weft_sim_choose(world, 1, room));
	case 2:
		n = weft_read_full(conn, bytes, weft_sim_choose(world, 1, room), &done);
		return done > 0 ? (ssize_t)done : n == WEFT_EEOF ? 0 : n;
	default:
		n = weft_fill(conn, &input);
		weft_always(n <= 0 || input.bytes >= (size_t)n, "new input is part of the input");
		if (n < 0 || input.bytes == 0)
			return n;
		weft_sometimes(n == 0, "the input ends with a part of it not consumed");
		done = input.bytes < room ? input.bytes : weft_sim_choose(world, 1, room);
		memcpy(bytes, input.data, done);
		weft_consume(conn, done);
		return (ssize_t)done;
	}
}

/* Writes all, with as many deadlines as that takes, until that of the caller. */
static int write_on(struct weft_conn *conn, const uint8_t *bytes, size_t count)
{
	size_t done = 0, part = 0;
	int r = 0;

	while (done < count && (r == 0 || (r == WEFT_EDEADLINE && weft_yield() == 0))) {
		WEFT_DEADLINE(weft_after(some_time()))
			r = weft_write(conn, bytes + done, count - done, &part);
		done += part;
		weft_sometimes(r == WEFT_EDEADLINE && part > 0, "the server is stopped in a write");
	}
	return r;
}

static int read_number(struct weft_conn *conn, uint32_t *ret_number)
{
	uint8_t bytes[NUMBER_BYTES];
	int r = weft_read_full(conn, bytes, sizeof bytes, NULL);

	if (r < 0)
		return r;
	*ret_number = bytes[0] | bytes[1] << 8U | bytes[2] << 16U | (uint32_t)bytes[3] << 24;
	weft_always(*ret_number < stream_count, "a stream begins with its number");
	streams[*ret_number].echoed = NUMBER_BYTES;
	streams[*ret_number].arrived = NUMBER_BYTES;
	return weft_write(conn, bytes, sizeof bytes, NULL);
}

static int echo_all(struct weft_conn *conn, uint32_t number)
{
	struct stream *stream = &streams[number];
	uint8_t bytes[128];
	int r = 0;

	while (r == 0) {
		ssize_t n = 0;

		WEFT_DEADLINE(weft_after(some_time()))
			n = read_some(conn, bytes, sizeof bytes);
		if (n == WEFT_EDEADLINE) {
			r = weft_yield(); /* says whether it was the deadline around it */
			continue;
		}
		if (n <= 0)
			return (int)n;
		weft_always(is_right(bytes, number, stream->arrived, (size_t)n),
			    "each byte arrives at its place");
		stream->arrived += (uint32_t)n;
		stream->echoed += (uint32_t)n;
		r = write_on(conn, bytes, (size_t)n);
	}
	return r;
}

static int echo(struct weft_conn *conn, void *arg)
{
	uint32_t number = STREAMS_MAX;
	int r = 0;

	(void)arg;
	WEFT_DEADLINE(weft_after(2 * PATIENCE)) {
		r = read_number(conn, &number);
		if (r == 0)
			r = echo_all(conn, number);
		if (r == 0) {
			weft_always(streams[number].arrived == streams[number].length ||
					    streams[number].is_abandoned,
				    "the end comes behind the last byte");
			r = weft_finish(conn, "E", TRAILER);
		}
	}
	if (number < STREAMS_MAX)
		streams[number].server_result = r;
	weft_always(r == 0 || r == WEFT_EEOF || is_stop(r) || is_mishap(r),
		    "the server knows the error");
	return r;
}

static int server(void *arg)
{
	const struct weft_serve_options options = { .grace_ns = 2 * PATIENCE };

	(void)arg;
	return serve_for_ever("10.0.0.1:80", echo, &options);
}

/* ---- A client -------------------------------------------------------------------------------- */

/* A connection, its two tasks, and the scopes in which they can be cancelled. */
struct client {
	struct weft_conn *conn;
	uint32_t number;
	struct weft_scope *reading, *writing;
	bool has_ended; /* the input, in good order */
	bool is_closed; /* by a third task */
};

/* A connection that a third task has closed is gone; whoever was waiting on it has been told. */
static ssize_t read_part(const struct client *client, uint8_t *bytes, size_t room)
{
	return client->is_closed ? WEFT_ECLOSED : weft_read(client->conn, bytes, room);
}

/* Reads once more although the scope is cancelled: what comes is exactly the next byte. */
static ssize_t read_in_shield(struct client *client, uint8_t *bytes, size_t room)
{
	ssize_t n = 0;

	WEFT_SHIELD(weft_after(some_time()))
		n = read_part(client, bytes, room);
	weft_sometimes(n > 0, "bytes come to a reader that is cancelled");
	return n;
}

static bool is_back(const struct client *client, const uint8_t *bytes, size_t count)
{
	const struct stream *stream = &streams[client->number];
	bool has_trailer = stream->back + count > stream->length;

	if (has_trailer)
		count--;
	return is_right(bytes, client->number, stream->back, count) &&
	       (!has_trailer || bytes[count] == 'E');
}

static int read_all(void *arg)
{
	struct client *client = arg;
	struct stream *stream = &streams[client->number];
	uint8_t bytes[100];
	int r = 0;

	while (r == 0) {
		struct weft_scope scope;
		ssize_t n;

		weft_scope_open_until(&scope, weft_after(some_time()));
		client->reading = &scope;
		n = read_part(client, bytes, weft_sim_choose(world, 1, sizeof bytes));
		client->reading = NULL;
		if (n == -ECANCELED)
			n = read_in_shield(client, bytes, sizeof bytes);
		weft_scope_leave(&scope);
		if (n > 0) {
			weft_always(is_back(client, bytes, (size_t)n),
				    "each byte comes back at its place");
			stream->back += (uint32_t)n;
		}
		client->has_ended = n == 0;
		if (n == 0)
			return 0;
		r = n > 0 || n == -ECANCELED || n == WEFT_EDEADLINE ? weft_yield() : (int)n;
	}
	return r;
}

static int write_all(void *arg)
{
	struct client *client = arg;
	struct stream *stream = &streams[client->number];
	uint8_t bytes[200];
	int r = 0;

	while (r == 0 && !client->is_closed && stream->sent < stream->length) {
		uint32_t left = stream->length - stream->sent;
		size_t count = weft_sim_choose(world, 1, left < sizeof bytes ? left : sizeof bytes);
		size_t done;
		struct weft_scope scope;

		fill_in(bytes, client->number, stream->sent, count);
		weft_scope_open_until(&scope, weft_after(some_time()));
		client->writing = &scope;
		stream->offered = stream->sent + (uint32_t)count;
		r = weft_write(client->conn, bytes, count, &done);
		stream->sent += (uint32_t)done;
		client->writing = NULL;
		weft_scope_leave(&scope);
		weft_sometimes(r == -ECANCELED && done > 0, "a client is cancelled in a write");
		if (is_stop(r))
			r = weft_yield();
		memset(bytes, 0, sizeof bytes); /* it may be used again on return */
	}
	if (r < 0)
		return r;
	return client->is_closed ? WEFT_ECLOSED : weft_shutdown(client->conn);
}

static int cancel_now_and_then(void *arg)
{
	struct client *client = arg;
	int r;

	while ((r = weft_sleep(some_time())) == 0) {
		struct weft_scope *scope = one_in(2) ? client->reading : client->writing;

		if (scope)
			weft_scope_cancel(scope);
		if (weft_sim_now(world) < CALM_AT && !client->is_closed && one_in(60)) {
			client->is_closed = true;
			streams[client->number].is_abandoned = true;
			weft_close(client->conn);
			return 0;
		}
	}
	return r;
}

/* Reader and writer side by side, until both have come to their ends. */
static int converse(struct client *client)
{
	struct weft_scope around, both;
	int r;

	weft_scope_open(&around);
	weft_scope_open(&both);
	r = weft_spawn(&around, cancel_now_and_then, client);
	if (r == 0)
		r = weft_spawn(&both, write_all, client);
	if (r == 0)
		r = read_all(client);
	if (r < 0)
		weft_scope_cancel(&both);
	if (r == 0)
		r = weft_scope_close(&both);
	else
		weft_scope_leave(&both);
	weft_scope_cancel(&around);
	weft_scope_leave(&around);
	return r;
}

/* ---- The clients ----------------------------------------------------------------------------- */

static void judge(const struct client *client, int r)
{
	const struct stream *stream = &streams[client->number];
	bool is_whole = stream->back == stream->length + TRAILER;

	weft_always(r == 0 || is_stop(r) || is_mishap(r) || r == -ENOTCONN ||
			    (r == WEFT_ECLOSED && client->is_closed),
		    "the client knows the error");
	weft_sometimes(r == WEFT_ECLOSED, "a client is told that its connection is closed");
	weft_always(!client->has_ended || is_whole || r < 0 || stream->echoed == 0 ||
			    stream->server_result < 0,
		    "the input ends early only if the server failed");
	weft_sometimes(r == 0 && is_whole && client->has_ended, "a stream comes back whole");
	weft_sometimes(r == -ECONNRESET, "a stream is reset");
	weft_sometimes(is_stop(r), "a client loses patience");
}

static int converse_once(void)
{
	struct client client = { .number = stream_count };
	int r = weft_dial("10.0.0.1:80", &client.conn);

	if (r < 0) {
		weft_always(is_stop(r) || is_refusal(r), "a dial fails for a known reason");
		return r;
	}
	client.number = stream_count++;
	streams[client.number].length = (uint32_t)weft_sim_choose(world, NUMBER_BYTES, LENGTH_MAX);
	r = converse(&client);
	judge(&client, r);
	streams[client.number].is_abandoned = true;
	if (!client.is_closed)
		weft_close(client.conn);
	if (r == 0 && streams[client.number].back != streams[client.number].length + TRAILER)
		r = WEFT_EEOF;
	return r;
}

static int client(void *arg)
{
	(void)arg;
	while (weft_sleep((weft_time)weft_sim_choose(world, 500, 5000) * WEFT_MILLISECOND) == 0 &&
	       stream_count < STREAMS_MAX - CLIENTS) {
		bool must_succeed = has_recovered();
		int r = 0;

		if (weft_sim_now(world) >= RUN_FOR)
			return 0;
		WEFT_DEADLINE(weft_after(PATIENCE))
			r = converse_once();
		weft_always(r == 0 || !must_succeed || weft_sim_now(world) >= RUN_FOR,
			    "in a calm world every stream comes back");
		weft_sometimes(r == 0 && must_succeed, "streams in a calm world");
	}
	return 0;
}

/* ---- The world ------------------------------------------------------------------------------- */

static void compare(struct weft_sim *sim, void *arg)
{
	(void)sim, (void)arg;
	for (uint32_t i = stream_count < CLIENTS ? 0 : stream_count - CLIENTS; i < stream_count;
	     i++) {
		const struct stream *stream = &streams[i];

		weft_always(stream->back <= stream->echoed + TRAILER,
			    "nothing comes back before it is echoed");
		weft_always(stream->echoed <= stream->arrived,
			    "nothing is echoed before it arrives");
		weft_always(stream->arrived <= stream->offered,
			    "nothing arrives before it is sent");
		weft_always(stream->offered <= stream->length, "a stream has its length");
	}
}

static void scenario(struct weft_sim *sim)
{
	static const char *const addresses[] = { "10.0.0.2", "10.0.0.3", "10.0.0.4" };

	memset(streams, 0, sizeof streams);
	stream_count = 0;
	run_in_two_halves(sim);
	weft_sim_host(sim, "server", "10.0.0.1", server, NULL);
	for (int i = 0; i < CLIENTS; i++)
		weft_sim_host(sim, "client", addresses[i], client, NULL);
	weft_sim_check(sim, compare, NULL);
}

int main(int argc, char **argv)
{
	return weft_sim_main(argc, argv, scenario);
}
