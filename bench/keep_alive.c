/* SPDX-License-Identifier: MIT */
/*
 * The keep-alive ping-pong server on weft: every request gets the same 43 bytes, and the connection
 * stays. Its twins are bare_epoll and bare_uring with --keep-alive.
 *
 *   keep_alive [--park] ADDRESS:PORT
 *
 * Without --park each connection has a task, which waits in weft_read; with it the connections are
 * parked between two requests.
 */
#define _GNU_SOURCE 1 /* memmem */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <weft/weft.h>

static const char REPLY[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nPong!";

/* How many heads end in the input, and in `ret_bytes` how long they are. */
static int count_heads(const char *text, size_t bytes, size_t *ret_bytes)
{
	const char *at = text, *end;
	int count = 0;

	while ((end = memmem(at, (size_t)(text + bytes - at), "\r\n\r\n", 4)) != NULL) {
		at = end + 4;
		count++;
	}
	*ret_bytes = (size_t)(at - text);
	return count;
}

static int answer(struct weft_conn *conn, int count)
{
	int r = 0;

	for (int i = 0; i < count && r == 0; i++)
		r = weft_write(conn, REPLY, sizeof REPLY - 1, NULL);
	return r;
}

static int serve(struct weft_conn *conn, void *arg)
{
	char head[1024];
	size_t got = 0, used;
	ssize_t n;

	(void)arg;
	while ((n = weft_read(conn, head + got, sizeof head - got)) > 0) {
		int r;

		got += (size_t)n;
		r = answer(conn, count_heads(head, got, &used));
		if (r < 0)
			return r;
		got -= used;
		memmove(head, head + used, got);
		if (got == sizeof head)
			return -EMSGSIZE;
	}
	return (int)n;
}

static int serve_burst(struct weft_conn *conn, void *arg)
{
	struct weft_input input;
	ssize_t n = weft_fill(conn, &input);
	size_t used;
	int count;

	(void)arg;
	if (n <= 0)
		return (int)n;
	count = count_heads(input.data, input.bytes, &used);
	weft_consume(conn, used);
	return answer(conn, count);
}

static bool parks;

static int app(void *arg)
{
	struct weft_serve_options options = { .stop_on_signals = true, .parks = parks };

	printf("listening on %s (%s)\n", (const char *)arg, weft_engine_name());
	(void)fflush(stdout);
	return weft_serve(arg, parks ? serve_burst : serve, NULL, &options);
}

int main(int argc, char **argv)
{
	int r;

	parks = argc == 3 && strcmp(argv[1], "--park") == 0;
	if (argc != 2 + parks) {
		(void)fprintf(stderr, "keep_alive [--park] ADDRESS:PORT\n");
		return 2;
	}
	r = weft_run(app, argv[argc - 1], NULL);
	if (r < 0)
		(void)fprintf(stderr, "keep_alive: %s\n", weft_strerror(r));
	return r < 0;
}
