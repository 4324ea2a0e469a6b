/* SPDX-License-Identifier: MIT */
/* Stops in good order on SIGINT or SIGTERM, by hand: takes no new connection, lets the handlers that
 * run finish within two seconds, and exits with 0. (weft_serve_options.stop_on_signals does this.)
 *
 *	graceful [ADDRESS] */
#include <signal.h>
#include <stdio.h>
#include <weft/weft.h>

static int handle(struct weft_conn *conn, void *arg)
{
	char byte;
	ssize_t n = weft_read(conn, &byte, 1);
	int r = n < 0 ? (int)n : weft_sleep(200 * WEFT_MILLISECOND);

	(void)arg;
	return r < 0 ? r : weft_finish(conn, "done\n", 5);
}

static int server(void *arg)
{
	const struct weft_serve_options options = { .grace_ns = 2 * WEFT_SECOND };

	return weft_serve(arg, handle, NULL, &options);
}

static int app(void *arg)
{
	static const int numbers[] = { SIGINT, SIGTERM, 0 };
	struct weft_signals *signals;
	struct weft_scope scope;
	int r = weft_signals_open(numbers, &signals);
	int joined;

	if (r < 0)
		return r;
	weft_scope_open(&scope);
	r = weft_spawn(&scope, server, arg);
	if (r == 0) {
		printf("graceful: serving %s\n", (const char *)arg);
		(void)fflush(stdout);
		r = weft_signals_wait(signals);
	}
	if (r > 0)
		puts("graceful: stopping");
	weft_scope_stop(&scope);
	joined = weft_scope_close(&scope);
	weft_signals_close(signals);
	if (joined < 0)
		return joined;
	if (r > 0)
		puts("graceful: stopped");
	return r < 0 ? r : 0;
}

int main(int argc, char **argv)
{
	char *address = argc > 1 ? argv[1] : "127.0.0.1:10002";
	int r = weft_run(app, address, NULL);

	if (r < 0)
		(void)fprintf(stderr, "graceful: %s: %s\n", address, weft_strerror(r));
	return r < 0;
}
