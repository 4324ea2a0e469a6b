/* SPDX-License-Identifier: MIT */
/* Answers with "Pong!", politely after the request, or blindly at once: pong [--blind] [ADDRESS] */
#include <stdio.h>
#include <string.h>
#include <weft/weft.h>

static const char reply[] = "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nPong!\r\n";
static bool is_blind;

static int pong(struct weft_conn *conn, void *arg)
{
	char head[4096];
	size_t length = 0;

	(void)arg;
	WEFT_DEADLINE(weft_after(10 * WEFT_SECOND))
		while (!is_blind && (length < 4 || memcmp(head + length - 4, "\r\n\r\n", 4) != 0)) {
			ssize_t n = weft_read(conn, head + length, sizeof head - length);

			if (n <= 0)
				return n < 0 ? (int)n : WEFT_EEOF;
			length += (size_t)n;
		}
	return is_blind ? weft_write(conn, reply, sizeof reply - 1, NULL) :
			  weft_finish(conn, reply, sizeof reply - 1);
}

static int app(void *address)
{
	const struct weft_serve_options options = {
		.listen = { .backlog = 5000, .defer_accept_s = is_blind ? 0 : 1 },
		.stop_on_signals = true,
	};

	printf("pong: serving %s\n", (char *)address);
	(void)fflush(stdout);
	int r = weft_serve(address, pong, NULL, &options);
	if (r < 0)
		(void)fprintf(stderr, "pong: %s: %s\n", (char *)address, weft_strerror(r));
	return r;
}

int main(int argc, char **argv)
{
	is_blind = argc > 1 && strcmp(argv[1], "--blind") == 0;
	return weft_run(app, argc > 1 + is_blind ? argv[1 + is_blind] : "127.0.0.1:10000", NULL) <
	       0;
}
