/* SPDX-License-Identifier: MIT */
/* A server and a client of it in one process. C11, and C++17, too. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <weft/weft.h>

static int greet(struct weft_conn *conn, void *arg)
{
	(void)arg;
	return weft_finish(conn, "hello", 5);
}

static int serve(void *listener)
{
	return weft_serve_listener((struct weft_listener *)listener, greet, NULL, NULL);
}

static int call(struct weft_listener *listener)
{
	char text[WEFT_ADDRESS_TEXT_MAX], reply[16] = "";
	struct weft_address address;
	struct weft_conn *conn;
	int r = weft_listener_address(listener, &address);

	if (r == 0)
		r = weft_dial(weft_address_format(&address, text), &conn);
	if (r < 0)
		return r;
	r = weft_read_full(conn, reply, sizeof reply - 1, NULL);
	weft_close(conn);
	if (r != WEFT_EEOF)
		return r;
	printf("%s from weft %s\n", reply, weft_version());
	return strcmp(reply, "hello") == 0 ? 0 : -EPROTO;
}

static int app(void *arg)
{
	struct weft_listener *listener;
	struct weft_scope scope;
	int r = weft_listen("127.0.0.1:0", NULL, &listener), joined;

	(void)arg;
	if (r < 0)
		return r;
	weft_scope_open(&scope);
	r = weft_spawn(&scope, serve, listener);
	if (r == 0)
		r = call(listener);
	else
		weft_listener_close(listener);
	weft_scope_stop(&scope);
	joined = weft_scope_close(&scope);
	return r < 0 ? r : joined;
}

int main(void)
{
	int r = weft_run(app, NULL, NULL);

	if (r < 0)
		fprintf(stderr, "server: %s\n", weft_strerror(r));
	return r < 0;
}
