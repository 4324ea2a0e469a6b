/* SPDX-License-Identifier: MIT */
/* Dials addresses until one answers: the next one when the one before has failed, or has not answered
 * for a quarter of a second. The first connection wins; the other attempts are called off. All together
 * have a second.
 *
 *	parallel_dial ADDRESS... */
#include <errno.h>
#include <stdio.h>
#include <weft/weft.h>

struct outcome {
	const char *address;
	struct weft_conn *conn; /* NULL if there is none */
	int error;
};

struct attempt {
	const char *address;
	struct weft_chan *outcomes;
};

/* There is room for the outcome of every attempt, so that none can be lost, even in a stopped scope. */
static int dial(void *arg)
{
	const struct attempt *attempt = arg;
	struct outcome outcome = { .address = attempt->address };

	outcome.error = weft_dial(attempt->address, &outcome.conn);
	return weft_chan_try_send(attempt->outcomes, &outcome);
}

static int race(struct weft_scope *scope, char **addresses, struct weft_chan *outcomes,
		struct outcome *ret_winner)
{
	weft_time next_start = weft_now();
	struct outcome outcome;
	int running = 0;

	while (*addresses || running > 0) {
		struct attempt attempt = { *addresses, outcomes };
		struct weft_case cases[] = {
			weft_case_recv(outcomes, &outcome),
			*addresses ? weft_case_until(next_start) : weft_case_never(),
		};
		int i = weft_select(cases, 2);
		int r = i;

		if (i == 0 && outcome.error == 0) {
			*ret_winner = outcome;
			return 0;
		}
		if (i == 0) {
			printf("%s: %s\n", outcome.address, weft_error_name(outcome.error));
			running--;
			next_start = weft_now();
		}
		if (i == 1) {
			r = weft_spawn_copy(scope, dial, &attempt, sizeof attempt);
			addresses++;
			running++;
			next_start = weft_after(250 * WEFT_MILLISECOND);
		}
		if (r < 0)
			return r;
	}
	return -ENOTCONN; /* every one has said why */
}

/* Who connected at the same moment as the winner left its connection in the channel. */
static void close_losers(struct weft_chan *outcomes)
{
	struct outcome outcome;

	while (weft_chan_try_recv(outcomes, &outcome) == 0)
		weft_close(outcome.conn);
}

static int app(void *arg)
{
	char **addresses = arg;
	struct weft_chan *outcomes;
	struct weft_scope scope;
	struct outcome winner;
	uint32_t count = 0;
	int r;

	while (addresses[count])
		count++;
	r = weft_chan_new(sizeof(struct outcome), count, &outcomes);
	if (r < 0)
		return r;
	weft_scope_open_until(&scope, weft_after(WEFT_SECOND));
	r = race(&scope, addresses, outcomes, &winner);
	weft_scope_cancel(&scope);
	(void)!weft_scope_close(&scope); /* cancelled, or `r` says what else */
	close_losers(outcomes);
	weft_chan_free(outcomes);
	if (r < 0)
		return r;
	printf("%s: connected\n", winner.address);
	weft_close(winner.conn);
	return 0;
}

int main(int argc, char **argv)
{
	int r;

	if (argc < 2) {
		(void)fputs("usage: parallel_dial ADDRESS...\n", stderr);
		return 2;
	}
	r = weft_run(app, argv + 1, NULL);
	if (r < 0)
		(void)fprintf(stderr, "parallel_dial: %s\n", weft_strerror(r));
	return r < 0;
}
