/* SPDX-License-Identifier: MIT */
/* Dials every address at once and keeps the first connection; the others are called off.
 *
 *	first ADDRESS... */
#include <errno.h>
#include <stdio.h>
#include <weft/weft.h>

struct race {
	struct weft_scope scope;
	struct weft_conn *winner;
};

struct runner {
	struct race *race;
	const char *address;
};

static int run(void *arg)
{
	const struct runner *runner = arg;
	struct race *race = runner->race;
	struct weft_conn *conn;
	int r = weft_dial(runner->address, &conn);

	if (r < 0) {
		printf("%s: %s\n", runner->address, weft_error_name(r));
		return 0; /* the others may still make it */
	}
	printf("%s: connected\n", runner->address);
	if (race->winner)
		weft_close(conn);
	else
		race->winner = conn;
	weft_scope_cancel(&race->scope);
	return 0;
}

static int app(void *arg)
{
	struct race race = { .winner = NULL };
	int r = 0;

	weft_scope_open_until(&race.scope, weft_after(5 * WEFT_SECOND));
	for (char **address = arg; *address && r == 0; address++) {
		struct runner runner = { &race, *address };

		r = weft_spawn_copy(&race.scope, run, &runner, sizeof runner);
	}
	if (r < 0)
		weft_scope_cancel(&race.scope);
	r = weft_scope_close(&race.scope); /* waits; the winner's cancel shows as -ECANCELED */
	if (!race.winner)
		return r < 0 ? r : -ENOTCONN; /* every one has said why */
	weft_close(race.winner);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		(void)fputs("usage: first ADDRESS...\n", stderr);
		return 2;
	}
	return weft_run(app, argv + 1, NULL) < 0;
}
