/* SPDX-License-Identifier: MIT */
/* The simulator's clock, its choices, and the events it has planned; io/sim.h tells how it works. */
#include "io/sim.h"

#include "base/assert.h"
#include "base/compiler.h"
#include "core/dump.h"
#include "core/task.h"
#include "core/worker.h"

#include <endian.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/error.h>

enum {
	STEP_NS = 1000,
	LOOK_NS = 100, /* at the clock */
};

/* The clock begins a second after the earliest time there is: 0 and less have meanings of their own. */
static const weft_time START_NS = WEFT_SECOND;

struct wf_sim *wf_sim_of(struct wf_poller *poller)
{
	return poller->system == &wf_sim_system ?
		       wf_container(poller, struct wf_sim, ready.poller) :
		       NULL;
}

static struct wf_sim *sim_of(struct wf_poller *poller)
{
	return wf_container(poller, struct wf_sim, ready.poller);
}

/* ---- Memory ---------------------------------------------------------------------------------- */

void *wf_sim_grow(void *list, uint32_t count, uint32_t *room, size_t bytes)
{
	if (count < *room)
		return list;
	*room = *room ? 2 * *room : 16;
	list = realloc(list, *room * bytes);
	if (!list)
		wf_panic("the simulator has no memory");
	return list;
}

/* ---- Chance ---------------------------------------------------------------------------------- */

uint64_t wf_sim_draw(struct wf_sim *sim, enum wf_sim_stream stream, uint64_t min, uint64_t max)
{
	uint64_t drawn = wf_random_next(&sim->streams[stream]);
	uint64_t span = max - min + 1;

	if (min >= max)
		return min;
	/* The high half of a product: even enough, for no span here is near 2^64. */
	if (span > 0)
		drawn = min + (uint64_t)((unsigned __int128)drawn * span >> 64);
	wf_sim_note(sim, drawn);
	return drawn;
}

/* Up to 8 bytes as a number, the same on every machine. */
static uint64_t read_word(const unsigned char *bytes, size_t count)
{
	uint64_t word = 0;

	memcpy(&word, bytes, count);
	return le64toh(word);
}

void wf_sim_note_bytes(struct wf_sim *sim, const void *bytes, size_t count)
{
	const unsigned char *next = bytes;

	wf_sim_note(sim, count);
	for (; count >= 8; next += 8, count -= 8)
		wf_sim_note(sim, read_word(next, 8));
	if (count > 0)
		wf_sim_note(sim, read_word(next, count));
}

static uint64_t random_bits(struct wf_poller *poller)
{
	struct wf_sim *sim = sim_of(poller);
	uint64_t bits = wf_random_next(&sim->streams[WF_SIM_PROGRAM]);

	wf_sim_note(sim, bits);
	return bits;
}

/* ---- Events: a heap, the earliest first -------------------------------------------------------- */

static bool is_before(const struct wf_sim_event *a, const struct wf_sim_event *b)
{
	return a->time < b->time || (a->time == b->time && a->number < b->number);
}

void wf_sim_plan(struct wf_sim *sim, weft_time when,
		 void (*happen)(struct wf_sim *sim, void *object, uint64_t value), void *object,
		 uint64_t value)
{
	struct wf_sim_event event = { when > sim->now ? when : sim->now, sim->planned++, happen,
				      object, value };
	uint32_t place;

	sim->events =
		wf_sim_grow(sim->events, sim->event_count, &sim->event_room, sizeof *sim->events);
	place = sim->event_count++;
	while (place > 0 && is_before(&event, &sim->events[(place - 1) / 2])) {
		sim->events[place] = sim->events[(place - 1) / 2];
		place = (place - 1) / 2;
	}
	sim->events[place] = event;
}

static struct wf_sim_event take_first(struct wf_sim *sim)
{
	struct wf_sim_event first = sim->events[0];
	struct wf_sim_event last = sim->events[--sim->event_count];
	uint32_t place = 0, child;

	while ((child = 2 * place + 1) < sim->event_count) {
		if (child + 1 < sim->event_count &&
		    is_before(&sim->events[child + 1], &sim->events[child]))
			child++;
		if (!is_before(&sim->events[child], &last))
			break;
		sim->events[place] = sim->events[child];
		place = child;
	}
	sim->events[place] = last;
	return first;
}

static bool is_due(const struct wf_sim *sim)
{
	return sim->event_count > 0 && sim->events[0].time <= sim->now;
}

static void happen_due(struct wf_sim *sim)
{
	while (is_due(sim)) {
		struct wf_sim_event event = take_first(sim);

		event.happen(sim, event.object, event.value);
	}
}

/* ---- Steps ----------------------------------------------------------------------------------- */

uint8_t wf_sim_host(const struct wf_sim *sim)
{
	const struct wf_task *task = wf_task_self();

	return task ? task->host : sim->net.acting;
}

void wf_sim_trace(struct wf_sim *sim, const char *format, ...)
{
	uint8_t host = wf_sim_host(sim);
	const char *name;
	char text[256];
	va_list arguments;

	if (wf_likely(!sim->traces))
		return;
	va_start(arguments, format);
	(void)vsnprintf(text, sizeof text, format, arguments); /* cut, at worst */
	va_end(arguments);
	name = sim->net.hosts[host].name;
	if (name)
		wf_say("%10llu %14lld ns  %-8s %s", (unsigned long long)sim->steps,
		       (long long)sim->now, name, text);
	else
		wf_say("%10llu %14lld ns  host %u  %s", (unsigned long long)sim->steps,
		       (long long)sim->now, host, text);
}

static void fail(struct wf_sim *sim, const char *why)
{
	if (sim->on_failure)
		sim->on_failure(sim, why);
	wf_dump(wf_worker);
	wf_panic("%s: seed=%llu step=%llu time=%lld ns", why, (unsigned long long)sim->seed,
		 (unsigned long long)sim->steps, (long long)sim->now);
}

/* What runs between two tasks sees no running one, and so cannot suspend. */
static void tell_of_step(struct wf_sim *sim, const struct wf_task *next)
{
	struct wf_task *running = wf_worker->current;

	if (sim->steps_max && sim->steps > sim->steps_max)
		fail(sim, "livelock: the steps are used up");
	if (!sim->on_step)
		return;
	wf_worker->current = NULL;
	sim->on_step(sim, next);
	wf_worker->current = running;
}

static struct wf_queue_node *choose(struct wf_poller *poller, const struct wf_queue *ready)
{
	struct wf_sim *sim = sim_of(poller);
	struct wf_queue_node *before = wf_sim_choose_task(sim, ready);
	const struct wf_task *next =
		wf_container(before ? before->next : ready->head, struct wf_task, ready);

	sim->steps++;
	sim->now += sim->step_ns;
	wf_sim_note(sim, (uint64_t)sim->now);
	wf_sim_note(sim, wf_task_id(next) << 8 | next->host);
	tell_of_step(sim, next);
	return before;
}

/* ---- The engine ------------------------------------------------------------------------------ */

/* Looking takes a moment, so that who looks until a time has come sees it come. */
static weft_time now(struct wf_poller *poller)
{
	return sim_of(poller)->now += LOOK_NS;
}

/* Moves the clock to the next thing that happens. Without any the program can never go on. */
static void jump(struct wf_sim *sim, weft_time deadline)
{
	weft_time next = sim->event_count > 0 ? sim->events[0].time : WEFT_FOREVER;

	if (next > deadline)
		next = deadline;
	if (next == WEFT_FOREVER)
		fail(sim, "deadlock: every task waits, and nothing is going to happen");
	if (next > sim->now)
		sim->now = next;
	wf_sim_note(sim, (uint64_t)sim->now);
}

static void wait_for_events(struct wf_poller *poller, weft_time deadline)
{
	struct wf_sim *sim = sim_of(poller);
	bool reported = false;

	happen_due(sim);
	while (wf_sim_net_report(sim))
		reported = true;
	if (reported || deadline <= sim->now || atomic_load(&wf_worker->woken))
		return;
	jump(sim, deadline);
	happen_due(sim);
	while (wf_sim_net_report(sim))
		continue;
}

static void close_file(struct wf_poller *poller, struct wf_file *file)
{
	struct wf_sim *sim = sim_of(poller);

	wf_ready_leave(&sim->ready, file);
	wf_sim_net_unwatch(sim, file);
	wf_ready_close(&sim->ready, file);
}

static void advance(struct wf_poller *poller, weft_time duration_ns)
{
	sim_of(poller)->now += duration_ns;
}

/* The one thread there is does not sleep. */
static void wake(struct wf_poller *poller)
{
	(void)poller;
}

static void done(struct wf_poller *poller)
{
	wf_ready_done(&sim_of(poller)->ready);
}

static void done_and_free(struct wf_poller *poller)
{
	done(poller);
	wf_sim_free(sim_of(poller));
}

#define OPS(how_it_ends)                                                                 \
	{                                                                                \
		.name = "sim", .done = (how_it_ends), .now = now, .random = random_bits, \
		.choose = choose, .advance = advance, .submit = wf_ready_submit,         \
		.cancel = wf_ready_cancel, .park = wf_ready_park, .close = close_file,   \
		.wait = wait_for_events, .wake = wake,                                   \
	}

static const struct wf_poller_ops ops = OPS(done);
static const struct wf_poller_ops freeing_ops = OPS(done_and_free);

struct wf_sim *wf_sim_new(uint64_t seed)
{
	struct wf_sim *sim = calloc(1, sizeof *sim);

	if (!sim)
		return NULL;
	sim->ready.poller = (struct wf_poller){ &ops, &wf_sim_system };
	sim->ready.watch = wf_sim_net_watch;
	sim->ready.wake_fd = -1;
	sim->seed = seed;
	sim->now = START_NS;
	sim->step_ns = STEP_NS;
	for (uint64_t i = 0; i < WF_SIM_STREAMS; i++)
		wf_random_seed(&sim->streams[i], seed * WF_SIM_STREAMS + i);
	wf_list_init(&sim->reports);
	if (wf_sim_net_init(sim) < 0) {
		free(sim);
		return NULL;
	}
	return sim;
}

void wf_sim_free(struct wf_sim *sim)
{
	if (!sim)
		return;
	wf_sim_net_done(sim);
	wf_sim_faults_done(&sim->faults);
	free(sim->events);
	free(sim);
}

struct wf_poller *wf_sim_start(struct wf_sim *sim, struct wf_memory *memory)
{
	wf_ready_init(&sim->ready, memory);
	sim->ready.first_fd = WF_SIM_FD;
	return &sim->ready.poller;
}

int wf_sim_engine_new(struct wf_memory *memory, struct wf_poller **ret_poller)
{
	struct wf_sim *sim = wf_sim_new(0);

	if (!sim)
		return -ENOMEM;
	sim->ready.poller.ops = &freeing_ops;
	*ret_poller = wf_sim_start(sim, memory);
	return 0;
}
