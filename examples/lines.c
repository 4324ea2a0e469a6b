/* SPDX-License-Identifier: MIT */
/* Sends back each line with its number. Made for many clients that are mostly silent: between two
 * bursts of input a client has no task, no stack and no buffer, only its connection and its count.
 *
 *	lines [ADDRESS [IDLE_MS]] */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/weft.h>

struct client {
	unsigned long lines;
};

static int answer(struct weft_conn *conn, unsigned long number, const char *line, size_t bytes)
{
	char text[24];
	int length = snprintf(text, sizeof text, "%lu ", number);
	const struct iovec reply[] = { { text, (size_t)length }, { (char *)line, bytes } };

	return weft_writev(conn, reply, 2, NULL);
}

static int answer_all(struct weft_conn *conn, struct client *client, struct weft_input input)
{
	const char *line = input.data, *last = input.data + input.bytes, *end;
	int r = 0;

	while (r == 0 && (end = memchr(line, '\n', (size_t)(last - line))) != NULL) {
		r = answer(conn, ++client->lines, line, (size_t)(end + 1 - line));
		line = end + 1;
	}
	weft_consume(conn, (size_t)(line - input.data)); /* part of a line stays */
	return r;
}

/* Called when input has come. To wait for more of it, it returns. */
static int serve(struct weft_conn *conn, void *arg)
{
	struct client *client = weft_conn_user(conn);
	struct weft_input input;
	ssize_t n;
	int r = 0;

	(void)arg;
	if (!client) {
		client = calloc(1, sizeof *client);
		if (!client)
			return -ENOMEM;
		weft_conn_user_set(conn, client);
	}
	n = weft_fill(conn, &input);
	if (n <= 0)
		return (int)n;
	WEFT_DEADLINE(weft_after(10 * WEFT_SECOND)) /* it holds a buffer: not for long */
		r = answer_all(conn, client, input);
	return r;
}

static void ended(struct weft_conn *conn, int why, void *arg)
{
	(void)why, (void)arg;
	free(weft_conn_user(conn));
}

static weft_time idle_ns = 60 * WEFT_SECOND;

static int app(void *arg)
{
	const struct weft_serve_options options = {
		.parks = true,
		.idle_ns = idle_ns,
		.ended = ended,
		.stop_on_signals = true,
	};

	printf("lines: serving %s\n", (const char *)arg);
	(void)fflush(stdout);
	return weft_serve(arg, serve, NULL, &options);
}

int main(int argc, char **argv)
{
	char *address = argc > 1 ? argv[1] : "127.0.0.1:10003";
	int r;

	if (argc > 2)
		idle_ns = atoi(argv[2]) * WEFT_MILLISECOND;
	if (idle_ns <= 0) {
		(void)fputs("usage: lines [ADDRESS [IDLE_MS]]\n", stderr);
		return 2;
	}
	r = weft_run(app, address, NULL);
	if (r < 0)
		(void)fprintf(stderr, "lines: %s: %s\n", address, weft_strerror(r));
	return r < 0;
}
