/* SPDX-License-Identifier: MIT */
/*
 * What it costs to hand an element of 8 bytes from task to task: processor time for each.
 *
 *   channels [--rounds N]
 *
 *   channels.pair      one task sends, another receives; nothing is buffered
 *   channels.buffered  the same with a buffer of 64
 *   channels.select    one task selects over four channels, to each of which another task sends
 *   channels.ring      a token goes round a ring of 10,000 tasks a thousand times; each hop
 *   channels.shares    four channels are always ready: by how much the one that a select favours most
 *                      or least departs from its share, in a million selects
 */
#define _GNU_SOURCE 1
#include "figure.h"

#include <weft/weft.h>

enum { ELEMENTS = 1000000, BUFFER = 64, CHANNELS = 4, RING = 10000, LAPS = 1000 };

static struct weft_chan *make(uint32_t capacity)
{
	struct weft_chan *chan;

	if (weft_chan_new(sizeof(int64_t), capacity, &chan) < 0)
		fail("weft_chan_new");
	return chan;
}

static void spawn(struct weft_scope *scope, weft_function *function, void *arg)
{
	if (weft_spawn(scope, function, arg) < 0)
		fail("weft_spawn");
}

static void join(struct weft_scope *scope)
{
	if (weft_scope_close(scope) < 0)
		fail("weft_scope_close");
}

/* ---- Two tasks ------------------------------------------------------------------------------- */

struct stream {
	struct weft_chan *chan;
	int64_t count;
};

static int produce(void *arg)
{
	const struct stream *stream = arg;

	for (int64_t i = 0; i < stream->count; i++) {
		int r = weft_chan_send(stream->chan, &i);

		if (r < 0)
			return r;
	}
	return 0;
}

static int consume(void *arg)
{
	const struct stream *stream = arg;

	for (int64_t i = 0; i < stream->count; i++) {
		int64_t element;
		int r = weft_chan_recv(stream->chan, &element);

		if (r < 0)
			return r;
		if (element != i)
			fail("an element is lost");
	}
	return 0;
}

static void measure_pair(const char *name, uint32_t capacity)
{
	struct stream stream = { make(capacity), ELEMENTS };
	struct weft_scope scope;
	int64_t begin = clock_cpu_ns();

	weft_scope_open(&scope);
	spawn(&scope, produce, &stream);
	spawn(&scope, consume, &stream);
	join(&scope);
	figure(name, (double)(clock_cpu_ns() - begin) / ELEMENTS, "ns");
	weft_chan_free(stream.chan);
}

/* ---- Select ---------------------------------------------------------------------------------- */

static void measure_select(void)
{
	struct stream streams[CHANNELS];
	struct weft_scope scope;
	int64_t begin = clock_cpu_ns();

	weft_scope_open(&scope);
	for (int i = 0; i < CHANNELS; i++) {
		streams[i] = (struct stream){ make(0), ELEMENTS / CHANNELS };
		spawn(&scope, produce, &streams[i]);
	}
	for (int n = 0; n < ELEMENTS; n++) {
		int64_t element;
		struct weft_case cases[CHANNELS] = {
			weft_case_recv(streams[0].chan, &element),
			weft_case_recv(streams[1].chan, &element),
			weft_case_recv(streams[2].chan, &element),
			weft_case_recv(streams[3].chan, &element),
		};

		if (weft_select(cases, CHANNELS) < 0)
			fail("weft_select");
	}
	join(&scope);
	figure("channels.select", (double)(clock_cpu_ns() - begin) / ELEMENTS, "ns");
	for (int i = 0; i < CHANNELS; i++)
		weft_chan_free(streams[i].chan);
}

static void measure_shares(void)
{
	struct weft_case cases[CHANNELS];
	struct weft_chan *chans[CHANNELS];
	long happened[CHANNELS] = { 0 };
	double worst = 0;
	int64_t element = 0;

	for (int i = 0; i < CHANNELS; i++) {
		chans[i] = make(1);
		cases[i] = weft_case_recv(chans[i], &element);
	}
	for (int n = 0; n < ELEMENTS; n++) {
		int i;

		for (int k = 0; k < CHANNELS; k++)
			(void)!weft_chan_try_send(chans[k], &element); /* -EAGAIN: it is ready */
		i = weft_select(cases, CHANNELS);
		if (i < 0)
			fail("weft_select");
		happened[i]++;
	}
	for (int i = 0; i < CHANNELS; i++) {
		double share = (double)happened[i] * CHANNELS / ELEMENTS;
		double off = share > 1 ? share - 1 : 1 - share;

		worst = off > worst ? off : worst;
		weft_chan_free(chans[i]);
	}
	figure("channels.shares", 100 * worst, "%");
}

/* ---- A ring ---------------------------------------------------------------------------------- */

static struct weft_chan *ring[RING + 1]; /* the last is the first */

static int pass_on(void *arg)
{
	struct weft_chan **chans = arg;
	int64_t token;
	int r = 0;

	for (int i = 0; i < LAPS && r == 0; i++) {
		r = weft_chan_recv(chans[0], &token);
		token++;
		if (r == 0 && token < (int64_t)LAPS * RING)
			r = weft_chan_send(chans[1], &token);
	}
	return r;
}

static void measure_ring(void)
{
	struct weft_scope scope;
	int64_t token = 0, begin;

	for (int i = 0; i < RING; i++)
		ring[i] = make(0);
	ring[RING] = ring[0];
	weft_scope_open(&scope);
	for (int i = 0; i < RING; i++)
		spawn(&scope, pass_on, &ring[i]);
	if (weft_yield() < 0)
		fail("weft_yield");
	begin = clock_cpu_ns();
	if (weft_chan_send(ring[0], &token) < 0)
		fail("weft_chan_send");
	join(&scope);
	figure("channels.ring", (double)(clock_cpu_ns() - begin) / ((double)LAPS * RING), "ns");
	for (int i = 0; i < RING; i++)
		weft_chan_free(ring[i]);
}

static int run(void *arg)
{
	long rounds = *(long *)arg;

	for (long i = 0; i < rounds; i++) {
		measure_pair("channels.pair", 0);
		measure_pair("channels.buffered", BUFFER);
		measure_select();
		measure_ring();
	}
	measure_shares();
	return 0;
}

int main(int argc, char **argv)
{
	long rounds = option(argc, argv, "--rounds", 3);

	return weft_run(run, &rounds, NULL) < 0;
}
