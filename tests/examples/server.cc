/* SPDX-License-Identifier: MIT */
/* A server in C++: greets whoever connects. Compiled and run by headers_cxx.c. */
#include <weft/weft.h>

static int reply(weft_conn *conn, void *)
{
	return weft_finish(conn, "hello", 5);
}

static int app(void *address)
{
	weft_serve_options options = {};

	options.stop_on_signals = true;
	return weft_serve(static_cast<const char *>(address), reply, nullptr, &options);
}

int main(int, char **argv)
{
	return weft_run(app, argv[1], nullptr) != 0;
}
