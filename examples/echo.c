/* SPDX-License-Identifier: MIT */
/* Sends back what it gets; a client that is silent for ten seconds is dropped.
 *
 *	echo [ADDRESS [IDLE_MS]] */
#include <stdio.h>
#include <stdlib.h>
#include <weft/weft.h>

static weft_time idle_ns = 10 * WEFT_SECOND;

static int echo(struct weft_conn *conn, void *arg)
{
	char buffer[4096];
	ssize_t n = 0;
	int r = 0;

	(void)arg;
	do {
		WEFT_DEADLINE(weft_after(idle_ns))
			n = weft_read(conn, buffer, sizeof buffer);
		if (n > 0)
			r = weft_write(conn, buffer, (size_t)n, NULL);
	} while (n > 0 && r == 0);
	if (n == WEFT_EDEADLINE)
		return weft_finish(conn, "idle\n", 5);
	return n < 0 ? (int)n : r;
}

static int app(void *arg)
{
	const struct weft_serve_options options = { .stop_on_signals = true };
	char text[WEFT_ADDRESS_TEXT_MAX];
	struct weft_listener *listener;
	struct weft_address address;
	int r = weft_listen(arg, NULL, &listener);

	if (r < 0)
		return r;
	if (weft_listener_address(listener, &address) == 0)
		printf("echo: listening on %s\n", weft_address_format(&address, text));
	(void)fflush(stdout);
	return weft_serve_listener(listener, echo, NULL, &options);
}

int main(int argc, char **argv)
{
	char *address = argc > 1 ? argv[1] : "127.0.0.1:10001";
	char why[WEFT_ADDRESS_TEXT_MAX];
	struct weft_address parsed;
	int r;

	if (argc > 2) {
		char *end;
		long idle_ms = strtol(argv[2], &end, 10);

		if (*end || idle_ms < 1 || idle_ms > 86400000) {
			(void)fprintf(stderr, "echo: \"%s\" is not 1 to 86400000 ms\n", argv[2]);
			return 2;
		}
		idle_ns = idle_ms * WEFT_MILLISECOND;
	}
	if (weft_address_parse(address, &parsed, why) < 0) {
		(void)fprintf(stderr, "echo: %s\n", why);
		return 2;
	}
	r = weft_run(app, address, NULL);
	if (r < 0)
		(void)fprintf(stderr, "echo: %s: %s\n", address, weft_strerror(r));
	return r < 0;
}
