/* SPDX-License-Identifier: MIT */
/*
 * Everything that tasks wait for one after the other or all together: mutex, semaphore, condition, event,
 * wait group; with random cancels and deadlines, and no network.
 *
 * What excludes others does; what was not locked or taken is not held; a condition gives the mutex back
 * whatever happens; who waits for a moment gets it. Half of the waits cannot be cancelled and have no
 * deadline: a wake-up that is lost is one that the program waits for for ever.
 */
#include "scenario.h"

enum { WORKERS = 5, STEPS = 24, PERMITS = 2, PUTTERS = 2, PUTS = 16, ROOM = 2 };

static struct weft_mutex mutex;
static struct weft_semaphore semaphore;
static struct weft_event event, is_over;
static struct weft_wait_group group;

/* A buffer of numbers, behind a mutex of its own. */
static struct buffer {
	struct weft_mutex mutex;
	struct weft_condition not_full, not_empty;
	uint32_t numbers[ROOM];
	uint32_t count, put, got;
	const void *owner; /* who is in it */
} buffer;

static struct books {
	uint32_t locked, acquired;
	uint32_t sets;	/* of the event */
	uint32_t zeros; /* moments at which nothing was under way */
	uint32_t under_way;
	uint32_t happened;
} books;

static struct weft_scope *at_risk[WORKERS + 2 * PUTTERS];

static weft_time soon(void)
{
	return weft_after(
		(weft_time)weft_sim_choose(world, 1, UINT64_C(1) << weft_sim_choose(world, 1, 20)));
}

/* Lets others run, perhaps for a while; a stop does not matter here. */
static void linger(void)
{
	if (one_in(2))
		(void)!weft_yield();
	else if (one_in(2))
		(void)!weft_sleep_until(soon());
}

/* ---- Steps ----------------------------------------------------------------------------------- */

static int lock_step(void)
{
	int r = one_in(4) ? weft_mutex_try_lock(&mutex) : weft_mutex_lock(&mutex);

	if (r < 0)
		return r;
	weft_always(++books.locked == 1, "one task has the mutex");
	linger();
	weft_always(books.locked == 1, "nobody comes in while it is locked");
	if (one_in(8))
		weft_always(weft_mutex_lock(&mutex) < 0, "it cannot be locked twice");
	books.locked--;
	weft_mutex_unlock(&mutex);
	return 0;
}

static int acquire_step(void)
{
	int r = one_in(4) ? weft_semaphore_try_acquire(&semaphore) :
			    weft_semaphore_acquire(&semaphore);

	if (r < 0)
		return r;
	weft_always(++books.acquired <= PERMITS, "no more have one than there are");
	weft_sometimes(books.acquired == PERMITS, "all are taken");
	linger();
	books.acquired--;
	weft_semaphore_release(&semaphore);
	return 0;
}

static int event_step(void)
{
	uint32_t before = books.sets;
	bool was_set = event.set;
	int r;

	if (one_in(2)) {
		books.sets++;
		weft_event_set(&event);
		linger();
		weft_event_clear(&event);
		return 0;
	}
	r = weft_event_wait(&event);
	weft_always(r < 0 || was_set || books.sets > before,
		    "an event is waited for until it is set");
	return r;
}

static int group_step(void)
{
	uint32_t before = books.zeros;
	bool was_idle = books.under_way == 0;
	int r;

	if (one_in(2)) {
		weft_wait_group_add(&group, 1);
		books.under_way++;
		linger();
		books.zeros += --books.under_way == 0;
		weft_wait_group_done(&group);
		return 0;
	}
	r = weft_wait_group_wait(&group);
	weft_always(r < 0 || was_idle || books.zeros > before,
		    "a group is waited for until it is done");
	return r;
}

/* What is cancelled outside goes on inside a shield. */
static int shield_step(void)
{
	int r = 0;

	WEFT_SHIELD(soon())
		r = weft_event_wait(&event);
	weft_always(r == 0 || r == WEFT_EDEADLINE, "a shield keeps cancels out");
	return 0;
}

static int step(void)
{
	switch (weft_sim_choose(world, 1, 5)) {
	case 1:
		return lock_step();
	case 2:
		return acquire_step();
	case 3:
		return event_step();
	case 4:
		return shield_step();
	default:
		return group_step();
	}
}

/* Runs a step that may be cancelled, may come to a deadline, or neither. */
static int risk(struct weft_scope **place, int (*function)(void))
{
	uint64_t risk = weft_sim_choose(world, 1, 4);
	struct weft_scope scope;
	int r;

	weft_scope_open_until(&scope, risk == 1 ? soon() : WEFT_FOREVER);
	*place = risk == 2 ? &scope : NULL;
	r = function();
	*place = NULL;
	weft_scope_leave(&scope);
	weft_always(r == 0 || r == -EAGAIN || (r == WEFT_EDEADLINE && risk == 1) ||
			    (r == -ECANCELED && risk == 2),
		    "a wait fails for a known reason");
	weft_sometimes(r == WEFT_EDEADLINE, "a wait comes to its deadline");
	weft_sometimes(r == -ECANCELED, "a wait is cancelled");
	return r;
}

static int work(void *arg)
{
	for (int i = 0; i < STEPS; i++) {
		(void)risk(arg, step);
		linger();
	}
	return 0;
}

/* ---- The buffer ------------------------------------------------------------------------------ */

/* Waits for a condition; the caller has the buffer again afterwards, whatever the result. */
static int wait_in_buffer(struct weft_condition *condition)
{
	const void *self = buffer.owner;
	int r;

	buffer.owner = NULL;
	r = weft_condition_wait(condition, &buffer.mutex);
	weft_always(!buffer.owner, "who comes back from a condition is alone in the buffer");
	buffer.owner = self;
	return r;
}

static int enter(const void *self)
{
	int r = weft_mutex_lock(&buffer.mutex);

	if (r < 0)
		return r;
	weft_always(!buffer.owner, "who has locked the buffer is alone in it");
	buffer.owner = self;
	return 0;
}

static void leave(const void *self)
{
	weft_always(buffer.owner == self, "nobody else has come into the buffer");
	buffer.owner = NULL;
	weft_mutex_unlock(&buffer.mutex);
}

static int put(void)
{
	int here = 0, r = enter(&here);

	if (r < 0)
		return r;
	while (r == 0 && buffer.count == ROOM)
		r = wait_in_buffer(&buffer.not_full);
	if (r == 0) {
		linger(); /* with the mutex */
		buffer.numbers[buffer.put % ROOM] = buffer.put;
		buffer.put++;
		weft_always(++buffer.count <= ROOM, "the buffer does not overflow");
		weft_condition_signal(&buffer.not_empty);
	}
	leave(&here);
	return r;
}

static int get(void)
{
	int here = 0, r = enter(&here);

	if (r < 0)
		return r;
	while (r == 0 && buffer.count == 0)
		r = wait_in_buffer(&buffer.not_empty);
	if (r == 0) {
		linger();
		weft_always(buffer.count > 0, "the buffer does not run dry");
		weft_always(buffer.numbers[buffer.got % ROOM] == buffer.got, "what is got is next");
		buffer.got++;
		buffer.count--;
		if (one_in(4))
			weft_condition_broadcast(&buffer.not_full);
		else
			weft_condition_signal(&buffer.not_full);
	}
	leave(&here);
	return r;
}

static int put_often(void *arg)
{
	for (int i = 0; i < PUTS;)
		i += risk(arg, put) == 0;
	return 0;
}

static int get_often(void *arg)
{
	for (int i = 0; i < PUTS;)
		i += risk(arg, get) == 0;
	return 0;
}

/* ---- Everything around it -------------------------------------------------------------------- */

static int cancel_now_and_then(void *arg)
{
	(void)arg;
	while (!is_over.set) {
		struct weft_scope *scope =
			at_risk[weft_sim_choose(world, 0, WORKERS + 2 * PUTTERS - 1)];
		struct weft_case cases[] = { weft_case_until(soon()), weft_case_event(&is_over) };

		if (scope)
			weft_scope_cancel(scope);
		if (weft_select(cases, 2) < 0)
			break;
	}
	return 0;
}

/* A worker that waits for the event alone would wait for ever. */
static int set_now_and_then(void *arg)
{
	(void)arg;
	while (!is_over.set && weft_sleep_until(soon()) == 0) {
		books.sets++;
		weft_event_set(&event);
		weft_event_clear(&event);
	}
	return 0;
}

static void audit(void)
{
	weft_always(buffer.put == PUTTERS * PUTS && buffer.got == buffer.put,
		    "all was put and got");
	weft_always(weft_mutex_try_lock(&mutex) == 0, "the mutex is free in the end");
	weft_mutex_unlock(&mutex);
	for (int i = 0; i < PERMITS; i++)
		weft_always(weft_semaphore_try_acquire(&semaphore) == 0,
			    "so is all of the semaphore");
	weft_always(weft_semaphore_try_acquire(&semaphore) == -EAGAIN, "and no more than that");
}

static int program(void *arg)
{
	struct weft_scope around, scope;
	int r;

	(void)arg;
	weft_scope_open(&around);
	r = weft_spawn(&around, cancel_now_and_then, NULL);
	if (r == 0)
		r = weft_spawn(&around, set_now_and_then, NULL);
	weft_scope_open(&scope);
	for (int i = 0; i < WORKERS && r == 0; i++)
		r = weft_spawn(&scope, work, &at_risk[i]);
	for (int i = 0; i < PUTTERS && r == 0; i++)
		r = weft_spawn(&scope, put_often, &at_risk[WORKERS + i]);
	for (int i = 0; i < PUTTERS && r == 0; i++)
		r = weft_spawn(&scope, get_often, &at_risk[WORKERS + PUTTERS + i]);
	if (r == 0)
		r = weft_scope_close(&scope);
	weft_scope_leave(&scope);
	weft_event_set(&is_over);
	if (r == 0)
		r = weft_scope_close(&around);
	weft_scope_leave(&around);
	if (r == 0)
		audit();
	return r;
}

static void scenario(struct weft_sim *sim)
{
	world = sim;
	books = (struct books){ 0 };
	memset(at_risk, 0, sizeof at_risk);
	mutex = (struct weft_mutex)WEFT_MUTEX_INIT;
	semaphore = (struct weft_semaphore)WEFT_SEMAPHORE_INIT(PERMITS);
	event = is_over = (struct weft_event)WEFT_EVENT_INIT;
	group = (struct weft_wait_group)WEFT_WAIT_GROUP_INIT;
	buffer = (struct buffer){ .mutex = WEFT_MUTEX_INIT,
				  .not_full = WEFT_CONDITION_INIT,
				  .not_empty = WEFT_CONDITION_INIT };
	weft_sim_host(sim, "program", "10.0.0.1", program, NULL);
	weft_sim_swarm(sim);
	weft_sim_run_for(sim, 10 * WEFT_SECOND, 10 * WEFT_SECOND);
}

int main(int argc, char **argv)
{
	return weft_sim_main(argc, argv, scenario);
}
