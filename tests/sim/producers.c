/* SPDX-License-Identifier: MIT */
/*
 * Producers and consumers over two channels, with random cancels and deadlines, and no network.
 *
 * Each element is booked when it is offered, when its sender learns what became of it, and when it is
 * received. An element that was sent is received once, one that was not sent never; those of a producer
 * arrive at each consumer in order; what is buffered when a channel is closed still arrives. Then the
 * elements go through a pool of tasks, generators, a future each, and a value that is of interest only as
 * long as it is the latest. No wake-up is lost: the program ends by itself.
 */
#include "scenario.h"

enum { PRODUCERS = 3, CONSUMERS = 2, ELEMENTS = 24, CHANNELS = 2, PLACES = 2, CAPACITY_MAX = 3 };

enum fate { UNKNOWN, SENT, NOT_SENT };

struct element {
	uint32_t producer, number;
};

static struct books {
	enum fate fates[PRODUCERS][ELEMENTS];
	uint8_t received[PRODUCERS][ELEMENTS];
	uint32_t next[CONSUMERS][PRODUCERS][CHANNELS]; /* the least number that may still come */
	uint32_t in_pool, done;
	uint32_t received_count, processed;
	uint32_t latest_seen;
} books;

static struct weft_chan *channels[CHANNELS];
static struct weft_event is_over = WEFT_EVENT_INIT;
static uint32_t progress; /* the storage of `latest` */
static struct weft_latest latest;
static struct weft_pool pool;
static struct weft_scope *at_risk[PRODUCERS + CONSUMERS]; /* what may be cancelled now */

static weft_time soon(void)
{
	return weft_after(
		(weft_time)weft_sim_choose(world, 1, UINT64_C(1) << weft_sim_choose(world, 1, 24)));
}

/* ---- Producers ------------------------------------------------------------------------------- */

/* Sends to any channel. */
static int send_somewhere(const struct element *element)
{
	struct weft_case cases[] = {
		weft_case_send(channels[0], element),
		weft_case_until(soon()),
		weft_case_send(channels[1], element),
		weft_case_never(),
	};
	int i = weft_select(cases, 4);

	weft_sometimes(i == 1, "a select comes to its time while it sends");
	return i < 0 ? i : i == 1 ? -EAGAIN : cases[i].result;
}

static int send_one(const struct element *element)
{
	switch (weft_sim_choose(world, 1, 4)) {
	case 1:
		return weft_chan_send(channels[0], element);
	case 2:
		return weft_chan_try_send(channels[1], element);
	case 3:
		return weft_chan_send(channels[1], element);
	default:
		return send_somewhere(element);
	}
}

static int produce(void *arg)
{
	uint32_t self = *(uint32_t *)arg;

	for (uint32_t i = 0; i < ELEMENTS; i++) {
		struct element element = { self, i };
		struct weft_scope scope;
		int r;

		weft_scope_open_until(&scope, one_in(2) ? soon() : WEFT_FOREVER);
		at_risk[self] = one_in(2) ? &scope : NULL; /* who is not must not wait for ever */
		r = send_one(&element);
		at_risk[self] = NULL;
		weft_scope_leave(&scope);
		element.number = ELEMENTS; /* it was copied, or is not wanted any more */
		books.fates[self][i] = r == 0 ? SENT : NOT_SENT;
		weft_always(r == 0 || r == -EAGAIN || r == -ECANCELED || r == WEFT_EDEADLINE,
			    "a send fails for a known reason");
		weft_always(r == 0 || !books.received[self][i],
			    "what was not sent is not received");
		weft_sometimes(r == -ECANCELED, "a send is cancelled");
		weft_sometimes(r == WEFT_EDEADLINE, "a send comes to its deadline");
		if (one_in(8) && weft_sleep_until(soon()) < 0)
			break;
	}
	return 0;
}

/* ---- Consumers ------------------------------------------------------------------------------- */

/* 0 with an element, WEFT_ECLOSED from the channel that was received from, or an error. */
static int receive_somewhere(struct element *ret_element, uint32_t *ret_channel, const bool *closed)
{
	struct weft_case cases[CHANNELS + 1];
	int i;

	for (int c = 0; c < CHANNELS; c++)
		cases[c] = closed[c] ? weft_case_never() : weft_case_recv(channels[c], ret_element);
	cases[CHANNELS] = one_in(2) ? weft_case_until(soon()) : weft_case_never();
	i = weft_select(cases, CHANNELS + 1);
	if (i < 0 || i == CHANNELS)
		return i < 0 ? i : -EAGAIN;
	*ret_channel = (uint32_t)i;
	return cases[i].result;
}

static int receive_one(struct element *ret_element, uint32_t *ret_channel, const bool *closed)
{
	int r = 0;

	*ret_channel = (uint32_t)weft_sim_choose(world, 0, CHANNELS - 1);
	switch (closed[*ret_channel] ? 3 : weft_sim_choose(world, 1, 3)) {
	case 1:
		WEFT_DEADLINE(soon()) /* the element may be in the other one */
			r = weft_chan_recv(channels[*ret_channel], ret_element);
		return r;
	case 2:
		return weft_chan_try_recv(channels[*ret_channel], ret_element);
	default:
		return receive_somewhere(ret_element, ret_channel, closed);
	}
}

static void book(uint32_t self, const struct element *element, uint32_t channel)
{
	uint32_t *next = &books.next[self][element->producer][channel];

	weft_always(element->producer < PRODUCERS && element->number < ELEMENTS,
		    "an element arrives as it was sent");
	weft_always(books.fates[element->producer][element->number] != NOT_SENT,
		    "what was not sent does not arrive");
	weft_always(++books.received[element->producer][element->number] == 1,
		    "an element arrives once");
	weft_always(element->number >= *next, "those of a producer arrive in order");
	*next = element->number + 1;
	books.received_count++;
}

/* ---- What becomes of an element --------------------------------------------------------------- */

/* Yields the numbers below one that is given. */
static int count_up(struct weft_gen *gen, void *arg)
{
	uint32_t end = *(uint32_t *)arg;
	int r = 0;

	for (uint32_t i = 0; i < end && r == 0; i++) {
		if (one_in(3))
			(void)!weft_sleep_until(soon());
		r = weft_gen_yield(gen, &i);
	}
	return r == WEFT_ECLOSED ? 0 : r;
}

/* As often as it takes: who comes to a deadline gets the value the next time. */
static int next_value(struct weft_gen *gen, void **ret_value)
{
	int r = WEFT_EDEADLINE;

	while (r == WEFT_EDEADLINE) {
		WEFT_DEADLINE(soon())
			r = weft_gen_next(gen, ret_value);
		weft_sometimes(r == WEFT_EDEADLINE,
			       "a consumer of a generator comes to its deadline");
	}
	return r;
}

/* Sums up what a generator yields, and sometimes has enough before its end. */
static void sum_up(uint32_t end)
{
	uint32_t sum = 0, count = 0,
		 enough = one_in(2) ? end : (uint32_t)weft_sim_choose(world, 0, end);
	struct weft_scope scope;
	struct weft_gen gen;
	void *value;
	int r;

	weft_scope_open(&scope);
	r = weft_gen_open(&gen, &scope, count_up, &end);
	while (r >= 0 && count < enough && (r = next_value(&gen, &value)) > 0) {
		sum += *(uint32_t *)value;
		count++;
	}
	weft_always(r < 0 || (count == enough && sum == count * (count - 1) / 2),
		    "a generator yields each value once");
	weft_always(r >= 0 || r == -ENOMEM, "a generator fails for want of memory only");
	weft_gen_close(&gen);
	weft_scope_leave(&scope);
}

struct job {
	struct element element;
	struct weft_future future;
};

static struct job jobs[PRODUCERS * ELEMENTS];

static int work(void *arg)
{
	struct job *job = arg;

	weft_always(++books.in_pool <= PLACES, "a pool has its places");
	weft_sometimes(books.in_pool == PLACES, "a pool is full");
	if (one_in(2))
		(void)!weft_sleep_until(soon());
	sum_up(job->element.number % 5);
	books.done++;
	books.in_pool--;
	if (one_in(4))
		return weft_future_fail(&job->future, -EBADMSG);
	return weft_future_settle(&job->future, job);
}

static void process(const struct element *element)
{
	struct job *job = &jobs[books.processed++];
	void *value = NULL;
	int r;

	*job = (struct job){ *element, WEFT_FUTURE_INIT };
	r = weft_pool_spawn(&pool, work, job);
	weft_always(r == 0 || r == -ENOMEM, "a pool takes a task, or there is no memory");
	if (r < 0)
		return;
	r = weft_future_await(&job->future, &value);
	weft_always((r == 0 && value == job) || r == -EBADMSG, "a future has its result");
	weft_latest_set(&latest, &(uint32_t){ progress + 1 });
}

static int consume(void *arg)
{
	uint32_t self = *(uint32_t *)arg;
	bool closed[CHANNELS] = { false };

	while (!closed[0] || !closed[1]) {
		struct element element = { PRODUCERS, ELEMENTS };
		struct weft_scope scope;
		uint32_t channel;
		int r;

		weft_scope_open_until(&scope, one_in(2) ? soon() : WEFT_FOREVER);
		at_risk[PRODUCERS + self] = one_in(2) ? &scope : NULL;
		r = receive_one(&element, &channel, closed);
		at_risk[PRODUCERS + self] = NULL;
		weft_scope_leave(&scope);
		if (r == 0) {
			book(self, &element, channel);
			process(&element);
		} else
			weft_always(element.number == ELEMENTS,
				    "a receive that fails writes nothing");
		weft_sometimes(r == -ECANCELED, "a receive is cancelled");
		closed[channel] |= r == WEFT_ECLOSED;
		if (r < 0 && weft_yield() < 0)
			break;
	}
	return 0;
}

/* ---- Everything around it -------------------------------------------------------------------- */

static int cancel_now_and_then(void *arg)
{
	(void)arg;
	while (!is_over.set) {
		struct weft_scope *scope =
			at_risk[weft_sim_choose(world, 0, PRODUCERS + CONSUMERS - 1)];
		struct weft_case cases[] = { weft_case_until(soon()), weft_case_event(&is_over) };

		if (scope)
			weft_scope_cancel(scope);
		if (weft_select(cases, 2) < 0)
			break;
	}
	return 0;
}

/* Sees versions go up, and the last one. */
static int look(void *arg)
{
	uint64_t seen = 0;
	uint32_t value = 0, before = 0;
	int r;

	(void)arg;
	while ((r = weft_latest_wait(&latest, &seen, &value)) == 0) {
		weft_always(value > before && value == seen,
			    "each value is later than the one before");
		weft_sometimes(value > before + 1, "a reader skips values");
		before = value;
	}
	weft_always(r == WEFT_ECLOSED && before == progress, "the last value is seen");
	return 0;
}

static void audit(void)
{
	uint32_t sent = 0;

	for (int p = 0; p < PRODUCERS; p++)
		for (int i = 0; i < ELEMENTS; i++) {
			bool is_sent = books.fates[p][i] == SENT;

			sent += is_sent;
			weft_always(books.received[p][i] == is_sent,
				    "all that was sent has arrived");
		}
	weft_always(sent == books.received_count, "the books agree");
	weft_always(books.in_pool == 0, "the pool is empty");
	weft_always(books.done == progress, "each task of the pool has been waited for");
	weft_sometimes(sent > PRODUCERS * ELEMENTS / 2, "most is sent");
	weft_sometimes(sent < PRODUCERS * ELEMENTS / 2, "most is not sent");
}

/* The producers are waited for; then the channels are closed, and the consumers drain them. */
static int exchange(void *arg)
{
	static uint32_t numbers[] = { 0, 1, 2 };
	struct weft_scope around, producers, consumers;
	int r;

	(void)arg;
	weft_scope_open(&around);
	pool = (struct weft_pool)WEFT_POOL_INIT(&around, PLACES);
	r = weft_spawn(&around, look, NULL);
	weft_scope_open(&consumers);
	for (int i = 0; i < CONSUMERS && r == 0; i++)
		r = weft_spawn(&consumers, consume, &numbers[i]);
	weft_scope_open(&producers);
	for (int i = 0; i < PRODUCERS && r == 0; i++)
		r = weft_spawn(&producers, produce, &numbers[i]);
	if (r == 0)
		r = weft_spawn(&around, cancel_now_and_then, NULL);
	if (r == 0)
		r = weft_scope_close(&producers);
	weft_scope_leave(&producers);
	for (int i = 0; i < CHANNELS; i++)
		weft_chan_close(channels[i]);
	if (r == 0)
		r = weft_scope_close(&consumers);
	weft_scope_leave(&consumers);
	weft_event_set(&is_over);
	if (r == 0)
		r = weft_pool_wait_all(&pool);
	weft_latest_close(&latest);
	if (r == 0)
		r = weft_scope_close(&around);
	weft_scope_leave(&around);
	if (r == 0)
		audit();
	return r;
}

/* After each step: nobody waits for what is there. */
static void look_at_channels(struct weft_sim *sim, void *arg)
{
	(void)sim, (void)arg;
	for (int i = 0; i < CHANNELS; i++) {
		struct weft_chan_stats stats;

		if (!channels[i])
			continue;
		weft_chan_stats(channels[i], &stats);
		weft_always(stats.length <= stats.capacity, "a channel has its bound");
		weft_always(stats.senders == 0 || stats.length == stats.capacity,
			    "nobody waits to send while there is room");
		weft_always(stats.receivers == 0 || stats.length == 0,
			    "nobody waits to receive while there is an element");
		weft_always(stats.senders == 0 || stats.receivers == 0,
			    "nobody waits for the one who waits for him");
	}
}

static int program(void *arg)
{
	int r = 0;

	for (int i = 0; i < CHANNELS && r == 0; i++)
		while ((r = weft_chan_new(sizeof(struct element),
					  (uint32_t)weft_sim_choose(world, 0, CAPACITY_MAX),
					  &channels[i])) == -ENOMEM)
			if (weft_sleep(WEFT_SECOND) < 0)
				break;
	if (r == 0)
		r = exchange(arg);
	for (int i = 0; i < CHANNELS; i++) {
		weft_chan_free(channels[i]);
		channels[i] = NULL;
	}
	return r;
}

static void scenario(struct weft_sim *sim)
{
	world = sim;
	books = (struct books){ 0 };
	progress = 0;
	memset(channels, 0, sizeof channels);
	memset(at_risk, 0, sizeof at_risk);
	is_over = (struct weft_event)WEFT_EVENT_INIT;
	latest = (struct weft_latest)WEFT_LATEST_INIT(&progress, sizeof progress);
	weft_sim_host(sim, "program", "10.0.0.1", program, NULL);
	weft_sim_check(sim, look_at_channels, NULL);
	weft_sim_swarm(sim);
	weft_sim_run_for(sim, 10 * WEFT_SECOND, 10 * WEFT_SECOND);
}

int main(int argc, char **argv)
{
	return weft_sim_main(argc, argv, scenario);
}
