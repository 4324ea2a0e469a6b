/* SPDX-License-Identifier: MIT */
/* Prints the primes below a number: a chain of tasks, each of which lets pass what its prime does not
 * divide.
 *
 *	sieve LIMIT */
#include <stdio.h>
#include <stdlib.h>
#include <weft/weft.h>

enum { LIMIT_MAX = 10000, PRIMES_MAX = 1229 };

/* The channel i brings, in order, what the first i primes do not divide. */
static struct weft_chan *chans[PRIMES_MAX + 1];

struct filter {
	struct weft_chan *in, *out;
	int prime;
};

static int count_up(void *arg)
{
	int limit = *(int *)arg;
	int r = 0;

	for (int number = 2; number < limit && r == 0; number++)
		r = weft_chan_send(chans[0], &number);
	weft_chan_close(chans[0]);
	return r;
}

static int filter(void *arg)
{
	const struct filter *self = arg;
	int number, r;

	while ((r = weft_chan_recv(self->in, &number)) == 0)
		if (number % self->prime != 0 && (r = weft_chan_send(self->out, &number)) < 0)
			break;
	weft_chan_close(self->out);
	return r == WEFT_ECLOSED ? 0 : r;
}

/* What comes through the whole chain is a prime, and makes it longer. */
static int print_primes(struct weft_scope *scope)
{
	int prime, r;

	for (int i = 0; (r = weft_chan_recv(chans[i], &prime)) == 0; i++) {
		struct filter next = { .in = chans[i], .prime = prime };

		printf("%d\n", prime);
		r = weft_chan_new(sizeof prime, 0, &chans[i + 1]);
		if (r < 0)
			return r;
		next.out = chans[i + 1];
		r = weft_spawn_copy(scope, filter, &next, sizeof next);
		if (r < 0)
			return r;
	}
	return r == WEFT_ECLOSED ? 0 : r;
}

static int app(void *limit)
{
	struct weft_scope scope;
	int r = weft_chan_new(sizeof(int), 0, &chans[0]);
	int joined;

	if (r < 0)
		return r;
	weft_scope_open(&scope);
	r = weft_spawn(&scope, count_up, limit);
	if (r == 0)
		r = print_primes(&scope);
	if (r < 0)
		weft_scope_cancel(&scope);
	joined = weft_scope_close(&scope);
	for (int i = 0; i <= PRIMES_MAX; i++)
		weft_chan_free(chans[i]); /* nobody is left to use them */
	return r < 0 ? r : joined;
}

int main(int argc, char **argv)
{
	int limit = argc == 2 ? atoi(argv[1]) : 0;
	int r;

	if (limit < 1 || limit > LIMIT_MAX) {
		(void)fprintf(stderr, "usage: sieve LIMIT, at most %d\n", LIMIT_MAX);
		return 2;
	}
	r = weft_run(app, &limit, NULL);
	if (r < 0)
		(void)fprintf(stderr, "sieve: %s\n", weft_strerror(r));
	return r < 0;
}
