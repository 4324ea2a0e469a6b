/* SPDX-License-Identifier: MIT */
/* Parking without descriptors: lots, and the one task that follows each parking. */
#include "core/park.h"

#include "core/common.h"
#include "core/scope.h"
#include "core/worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <weft/event.h>
#include <weft/time.h>

/* ---- Something to park ----------------------------------------------------------------------- */

struct item {
	struct wf_parked parked;
	int calls;
	int why;	 /* of the last one */
	int place;	 /* among all calls */
	weft_time at;	 /* when it was called */
	int result;	 /* to return */
	int again;	 /* times to park again */
	weft_time until; /* the call sleeps so long */
};

static int calls; /* of all items */

static int note(struct wf_parked *parked, int why, struct weft_lot *lot)
{
	struct item *item = wf_container(parked, struct item, parked);

	item->calls++;
	item->why = why;
	item->place = calls++;
	item->at = weft_now();
	if (item->until)
		wf_assert_result(weft_sleep_until(item->until), 0);
	if (item->again > 0 && item->again--)
		wf_park(lot, parked);
	return item->result;
}

static struct weft_lot *open_lot(struct weft_scope *scope, weft_time idle_ns)
{
	struct weft_lot *lot;

	wf_assert_result(wf_lot_open(scope, idle_ns, &lot), 0);
	lot->run = note;
	lot->site = WEFT_HERE;
	lot->name = "note";
	return lot;
}

static void park(struct weft_lot *lot, struct item *item)
{
	wf_parked_init(&item->parked);
	wf_assert_result(wf_lot_admit(lot), 0);
	wf_park(lot, &item->parked);
}

static void sleep_ms(int ms)
{
	wf_assert_result(weft_sleep(ms * WEFT_MILLISECOND), 0);
}

/* ---- One call -------------------------------------------------------------------------------- */

/* What is parked runs nothing until its parking is ended, and then one task, however often it is
 * ended. */
WF_TASK_TEST(an_ended_parking_is_called_once)
{
	struct item item = { 0 };
	struct weft_scope scope;

	weft_scope_open(&scope);
	park(open_lot(&scope, WEFT_FOREVER), &item);
	sleep_ms(5);
	ck_assert_int_eq(item.calls, 0);
	wf_parked_end(&item.parked, 0);
	wf_parked_end(&item.parked, -EIO);
	sleep_ms(5);
	wf_parked_end(&item.parked, -EIO);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_int_eq(item.calls, 1);
	wf_assert_result(item.why, 0);
}

/* It can be parked again by its call, many times. */
WF_TASK_TEST(a_call_parks_again)
{
	struct item item = { .again = 100 };
	struct weft_scope scope;

	weft_scope_open(&scope);
	park(open_lot(&scope, WEFT_FOREVER), &item);
	for (int i = 1; i <= 101; i++) {
		wf_parked_end(&item.parked, 0);
		sleep_ms(1);
		ck_assert_int_eq(item.calls, i);
	}
	wf_assert_result(weft_scope_close(&scope), 0);
}

/* A scope waits for what is parked in it, and for the call that follows. */
WF_TASK_TEST(scope_waits_for_the_parked)
{
	weft_time start = weft_now();
	struct item item = { .until = start + 30 * WEFT_MILLISECOND };
	struct weft_scope scope;

	weft_scope_open(&scope);
	park(open_lot(&scope, WEFT_MILLISECOND), &item);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_int_eq(item.calls, 1);
	ck_assert_int_ge(weft_now(), item.until);
}

/* The result of a call is that of a task: a failure cancels what else is parked there. */
WF_TASK_TEST(a_failed_call_cancels_the_scope)
{
	struct item failing = { .result = -EIO }, other = { 0 };
	struct weft_scope scope;
	struct weft_lot *lot;

	weft_scope_open(&scope);
	lot = open_lot(&scope, WEFT_FOREVER);
	park(lot, &failing);
	park(open_lot(&scope, WEFT_FOREVER), &other);
	wf_parked_end(&failing.parked, 0);
	wf_assert_result(weft_scope_close(&scope), -EIO);
	wf_assert_result(other.why, -ECANCELED);
}

/* In a serving scope failures are counted, and the others stay. */
WF_TASK_TEST(a_serving_scope_counts_failed_calls)
{
	struct item failing = { .result = -EIO }, other = { 0 };
	struct weft_scope scope;
	struct weft_lot *lot;

	weft_scope_open_serving(&scope);
	lot = open_lot(&scope, WEFT_FOREVER);
	park(lot, &failing);
	park(lot, &other);
	wf_parked_end(&failing.parked, 0);
	sleep_ms(1);
	ck_assert_uint_eq(weft_scope_failures(&scope), 1);
	ck_assert_int_eq(other.calls, 0);
	wf_parked_end(&other.parked, 0);
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(other.why, 0);
}

/* ---- Idle time ------------------------------------------------------------------------------- */

/* Parks one for a while, and says how long it stayed. */
static weft_time stay(weft_time idle_ns)
{
	struct item item = { 0 };
	struct weft_scope scope;
	weft_time start;

	weft_scope_open(&scope);
	start = weft_now();
	park(open_lot(&scope, idle_ns), &item);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_int_eq(item.calls, 1);
	wf_assert_result(item.why, WEFT_EDEADLINE);
	return item.at - start;
}

/* The idle time is never cut short, and exceeded by a sixtieth of a second at most; the best of a few
 * tries, for other programs may keep the processor. */
WF_TASK_TEST(idle_time_is_kept)
{
	static const int times[] = { 0, 1, 5, 16, 17, 18, 40 };

	for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
		weft_time idle = times[i] * WEFT_MILLISECOND, best = WEFT_FOREVER;

		for (int try = 0; try < 5; try++) {
			weft_time took = stay(idle);

			ck_assert_int_ge(took, idle);
			best = took < best ? took : best;
		}
		ck_assert_int_le(best, idle + 20 * WEFT_MILLISECOND);
	}
}

static void spin(weft_time duration)
{
	struct timespec now;
	weft_time end = weft_now() + duration;

	do /* not by weft_now: on the simulator that stands still while a task runs */
		quietly(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
	while (now.tv_sec * WEFT_SECOND + now.tv_nsec < end);
}

/* The idle time begins with the parking, also when the task that parks has not let go of the
 * processor for long. */
WF_TASK_TEST(idle_time_begins_with_the_parking)
{
	struct item item = { 0 };
	struct weft_scope scope;
	weft_time start;

	weft_scope_open(&scope);
	spin(60 * WEFT_MILLISECOND);
	start = weft_now();
	park(open_lot(&scope, 30 * WEFT_MILLISECOND), &item);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_int_ge(item.at - start, 30 * WEFT_MILLISECOND);
}

/* Those of one lot expire in the order in which they were parked, each after its time. */
WF_TASK_TEST(idle_times_end_in_order)
{
	enum { COUNT = 30, IDLE = 60 };
	static struct item items[COUNT];
	static weft_time parked_at[COUNT];
	struct weft_scope scope;
	struct weft_lot *lot;

	weft_scope_open(&scope);
	lot = open_lot(&scope, IDLE * WEFT_MILLISECOND);
	for (int i = 0; i < COUNT; i++) {
		parked_at[i] = weft_now();
		park(lot, &items[i]);
		sleep_ms(4);
	}
	wf_assert_result(weft_scope_close(&scope), 0);
	for (int i = 0; i < COUNT; i++) {
		ck_assert_int_eq(items[i].calls, 1);
		ck_assert_int_eq(items[i].place, i);
		wf_assert_result(items[i].why, WEFT_EDEADLINE);
		ck_assert_int_ge(items[i].at - parked_at[i], IDLE * WEFT_MILLISECOND);
	}
}

/* Parking again starts the idle time anew, and the others keep theirs. */
WF_TASK_TEST(parking_again_starts_the_idle_time_anew)
{
	enum { IDLE = 50 };
	struct item item = { .again = 3 }, idle = { 0 };
	struct weft_scope scope;
	struct weft_lot *lot;
	weft_time start = weft_now(), last = start;

	weft_scope_open(&scope);
	lot = open_lot(&scope, IDLE * WEFT_MILLISECOND);
	park(lot, &item);
	park(lot, &idle);
	for (int i = 0; i < 3; i++) {
		sleep_ms(30);
		last = weft_now();
		wf_parked_end(&item.parked, 0);
		sleep_ms(1);
	}
	ck_assert_int_eq(item.calls, 3);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_int_eq(item.calls, 4);
	wf_assert_result(item.why, WEFT_EDEADLINE);
	ck_assert_int_ge(item.at - last, IDLE * WEFT_MILLISECOND);
	wf_assert_result(idle.why, WEFT_EDEADLINE);
	ck_assert_int_lt(idle.at, item.at);
}

/* Two lots have idle times of their own; in one for ever nothing expires. */
WF_TASK_TEST(lots_have_their_own_idle_times)
{
	struct item brief = { 0 }, lengthy = { 0 }, forever = { 0 };
	struct weft_scope scope;

	weft_scope_open(&scope);
	park(open_lot(&scope, WEFT_FOREVER), &forever);
	park(open_lot(&scope, 80 * WEFT_MILLISECOND), &lengthy);
	park(open_lot(&scope, WEFT_MILLISECOND), &brief);
	sleep_ms(50);
	ck_assert_int_eq(brief.calls, 1);
	ck_assert_int_eq(lengthy.calls, 0);
	sleep_ms(100);
	ck_assert_int_eq(lengthy.calls, 1);
	ck_assert_int_eq(forever.calls, 0);
	wf_parked_end(&forever.parked, 0);
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(forever.why, 0);
}

/* ---- Stops ----------------------------------------------------------------------------------- */

/* A soft stop ends the parking, and refuses another; the scope itself was not stopped. */
WF_TASK_TEST(soft_stop_ends_parkings)
{
	struct item item = { 0 };
	struct weft_scope scope;
	struct weft_lot *lot;

	weft_scope_open(&scope);
	lot = open_lot(&scope, WEFT_FOREVER);
	park(lot, &item);
	weft_scope_stop(&scope);
	sleep_ms(1);
	wf_assert_result(item.why, WEFT_ESTOPPING);
	wf_assert_result(wf_lot_admit(lot), WEFT_ESTOPPING);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_int_eq(item.calls, 1);
}

/* A cancel does; and one that was due for another reason keeps that. */
WF_TASK_TEST(cancel_ends_parkings)
{
	struct item item = { 0 }, due = { 0 };
	struct weft_scope scope;
	struct weft_lot *lot;

	weft_scope_open(&scope);
	lot = open_lot(&scope, WEFT_FOREVER);
	park(lot, &item);
	park(lot, &due);
	wf_parked_end(&due.parked, 0);
	weft_scope_cancel(&scope);
	wf_assert_result(wf_lot_admit(lot), -ECANCELED);
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
	ck_assert_int_eq(item.calls, 1);
	wf_assert_result(item.why, -ECANCELED);
	ck_assert_int_eq(due.calls, 1);
	wf_assert_result(due.why, 0);
}

/* So does the deadline of the scope, though no task waits in it. */
WF_TASK_TEST(deadline_ends_parkings)
{
	weft_time deadline = weft_after(20 * WEFT_MILLISECOND);
	struct item item = { 0 };
	struct weft_scope scope;
	struct weft_lot *lot;

	weft_scope_open_until(&scope, deadline);
	lot = open_lot(&scope, WEFT_FOREVER);
	park(lot, &item);
	wf_assert_result(weft_scope_close(&scope), WEFT_EDEADLINE);
	wf_assert_result(item.why, WEFT_EDEADLINE);
	ck_assert_int_ge(item.at, deadline);
}

/* And a deadline that a scope has from the one around it. */
WF_TASK_TEST(inherited_deadline_ends_parkings)
{
	weft_time deadline = weft_after(20 * WEFT_MILLISECOND);
	struct item item = { 0 };
	struct weft_scope outer, scope;

	weft_scope_open_until(&outer, deadline);
	weft_scope_open(&scope);
	park(open_lot(&scope, WEFT_FOREVER), &item);
	wf_assert_result(weft_scope_close(&scope), WEFT_EDEADLINE);
	wf_assert_result(item.why, WEFT_EDEADLINE);
	ck_assert_int_ge(item.at, deadline);
	wf_assert_result(weft_scope_close(&outer), WEFT_EDEADLINE);
}

/* A lot of a scope whose deadline has passed, though no checkpoint has noticed it, refuses. */
WF_TASK_TEST(passed_deadline_refuses)
{
	struct weft_scope scope;
	struct weft_lot *lot;

	weft_scope_open_until(&scope, 1);
	lot = open_lot(&scope, WEFT_FOREVER);
	wf_assert_result(wf_lot_admit(lot), WEFT_EDEADLINE);
	wf_assert_result(weft_scope_close(&scope), WEFT_EDEADLINE);
}

/* A stop of an outer scope reaches the lots of the inner ones; a cancel ends at shields, a soft stop
 * does not. */
WF_TASK_TEST(stops_reach_inner_lots)
{
	struct item plain = { 0 }, shielded = { 0 };
	struct weft_scope outer, inner, shield;

	weft_scope_open(&outer);
	weft_scope_open(&inner);
	park(open_lot(&inner, WEFT_FOREVER), &plain);
	weft_scope_open_shield(&shield, weft_after(10 * WEFT_SECOND));
	park(open_lot(&shield, WEFT_FOREVER), &shielded);
	weft_scope_cancel(&outer);
	sleep_ms(1);
	wf_assert_result(plain.why, -ECANCELED);
	ck_assert_int_eq(shielded.calls, 0);
	weft_scope_stop(&outer);
	wf_assert_result(weft_scope_close(&shield), 0);
	wf_assert_result(shielded.why, WEFT_ESTOPPING);
	wf_assert_result(weft_scope_close(&inner), -ECANCELED);
	wf_assert_result(weft_scope_close(&outer), -ECANCELED);
}

/* What is cancelled after a soft stop, before its call has run, is called once, with the first
 * reason. */
WF_TASK_TEST(first_reason_counts)
{
	struct item item = { 0 };
	struct weft_scope scope;

	weft_scope_open(&scope);
	park(open_lot(&scope, WEFT_FOREVER), &item);
	weft_scope_stop(&scope);
	weft_scope_cancel(&scope);
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
	ck_assert_int_eq(item.calls, 1);
	wf_assert_result(item.why, WEFT_ESTOPPING);
}

/* ---- Many ------------------------------------------------------------------------------------ */

static struct item *new_items(int count)
{
	struct item *items = calloc((size_t)count, sizeof *items);

	ck_assert_ptr_nonnull(items);
	return items;
}

static void check_all(const struct item *items, int count, int why)
{
	for (int i = 0; i < count; i++) {
		quietly(items[i].calls == 1);
		quietly(items[i].why == why);
	}
}

/* Ten thousand that are cancelled at once all get their call. */
WF_TASK_TEST(ten_thousand_cancelled_at_once)
{
	int count = scaled(10 * 1000);
	struct item *items = new_items(count);
	struct weft_scope scope;
	struct weft_lot *lot;

	weft_scope_open(&scope);
	lot = open_lot(&scope, WEFT_FOREVER);
	for (int i = 0; i < count; i++)
		park(lot, &items[i]);
	weft_scope_cancel(&scope);
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
	check_all(items, count, -ECANCELED);
	free(items);
}

/* Ten thousand that expire at once do, and hold other tasks up for a part of them only. */
WF_TASK_TEST(many_that_expire_let_others_run)
{
	int count = scaled(10 * 1000), seen_halfway = 0;
	struct item *items = new_items(count);
	struct weft_scope scope;
	struct weft_lot *lot;

	calls = 0;
	weft_scope_open(&scope);
	lot = open_lot(&scope, WEFT_MILLISECOND);
	for (int i = 0; i < count; i++)
		park(lot, &items[i]);
	while (calls < count) {
		seen_halfway += calls > 0;
		wf_assert_result(weft_sleep(1), 0);
	}
	ck_assert_int_ge(seen_halfway, count / 512); /* 256 wait to run at most */
	wf_assert_result(weft_scope_close(&scope), 0);
	check_all(items, count, WEFT_EDEADLINE);
	free(items);
}

/* ---- Shortage -------------------------------------------------------------------------------- */

static struct weft_event go;

static int wait_for_go(void *arg)
{
	(void)arg;
	return weft_event_wait(&go);
}

static int fill_up_and_end(void *arg)
{
	static struct item items[20];
	struct weft_scope scope;
	struct weft_lot *lot;

	(void)arg;
	weft_event_clear(&go);
	weft_scope_open(&scope);
	lot = open_lot(&scope, WEFT_FOREVER);
	for (int i = 0; i < 20; i++)
		park(lot, &items[i]);
	for (int i = 0; i < 2; i++)
		spawn(&scope, wait_for_go, NULL);
	wf_assert_result(weft_spawn(&scope, wait_for_go, NULL), -EAGAIN);
	for (int i = 0; i < 20; i++)
		wf_parked_end(&items[i].parked, 0);
	sleep_ms(30);
	ck_assert_int_eq(calls, 0);
	weft_event_set(&go);
	wf_assert_result(weft_scope_close(&scope), 0);
	check_all(items, 20, 0);
	return 0;
}

/* At the limit on tasks nothing is lost: what is due gets its task when there is room. */
WF_TEST(limit_on_tasks_loses_nothing)
{
	struct weft_options options = { .tasks_max = 3 };

	wf_assert_result(weft_run(fill_up_and_end, NULL, &options), 0);
}

/* How long it takes to call so many when there is room for a few tasks. */
static weft_time call_many_with_few_tasks(int count)
{
	struct item *items = new_items(count);
	struct weft_scope scope;
	struct weft_lot *lot;
	weft_time start;

	weft_scope_open(&scope);
	lot = open_lot(&scope, WEFT_FOREVER);
	for (int i = 0; i < count; i++)
		park(lot, &items[i]);
	start = weft_now();
	for (int i = 0; i < count; i++)
		wf_parked_end(&items[i].parked, 0);
	wf_assert_result(weft_scope_close(&scope), 0);
	start = weft_now() - start;
	check_all(items, count, 0);
	free(items);
	return start;
}

static int measure_calls_with_few_tasks(void *arg)
{
	weft_time best = WEFT_FOREVER;

	(void)arg;
	for (int i = 0; i < 3; i++) {
		weft_time took = call_many_with_few_tasks(500);

		best = took < best ? took : best;
	}
	ck_assert_int_lt(best, 250 * WEFT_MILLISECOND);
	return 0;
}

/* Nor does the limit make time pass: a task that ends makes room for the next one, so that 500 calls by
 * four tasks at once take less than a quarter of what a pause for each four would. */
WF_TEST(limit_on_tasks_takes_no_time)
{
	struct weft_options options = { .tasks_max = 5 };

	wf_assert_result(weft_run(measure_calls_with_few_tasks, NULL, &options), 0);
}

static bool is_short;

static void *resize_unless_short(void *user, void *block, size_t old_bytes, size_t new_bytes)
{
	return new_bytes && is_short ? NULL : wf_tally_resize(user, block, old_bytes, new_bytes);
}

static int end_without_memory(void *arg)
{
	enum { COUNT = 2000 };
	static struct item items[COUNT];
	struct weft_scope scope;
	struct weft_lot *lot;

	(void)arg;
	weft_scope_open(&scope);
	lot = open_lot(&scope, WEFT_FOREVER);
	for (int i = 0; i < COUNT; i++) {
		items[i].until = weft_after(50 * WEFT_MILLISECOND); /* so it holds its task */
		park(lot, &items[i]);
	}
	is_short = true;
	weft_scope_stop(&scope);
	sleep_ms(20);
	ck_assert_int_gt(calls, 0);
	ck_assert_int_lt(calls, COUNT);
	is_short = false;
	wf_assert_result(weft_scope_close(&scope), 0);
	check_all(items, COUNT, WEFT_ESTOPPING);
	return 0;
}

/* Without memory for tasks nothing is lost either, and nothing leaks. */
WF_TEST(lack_of_memory_loses_nothing)
{
	struct wf_tally tally = { 0 };
	struct weft_options options = { .allocator = { resize_unless_short, &tally } };

	wf_assert_result(weft_run(end_without_memory, NULL, &options), 0);
	ck_assert_uint_eq(tally.blocks, 0);
}

static int open_without_memory(void *arg)
{
	struct weft_scope scope;
	struct weft_lot *lot = arg;

	weft_scope_open(&scope);
	is_short = true;
	wf_assert_result(wf_lot_open(&scope, 0, &lot), -ENOMEM);
	ck_assert_ptr_eq(lot, arg);
	is_short = false;
	(void)open_lot(&scope, 0);
	(void)open_lot(&scope, WEFT_FOREVER);
	return weft_scope_close(&scope);
}

/* A lot needs memory to be opened, and gives it back with its scope. */
WF_TEST(lots_are_given_back)
{
	struct wf_tally tally = { 0 };
	struct weft_options options = { .allocator = { resize_unless_short, &tally } };

	wf_assert_result(weft_run(open_without_memory, NULL, &options), 0);
	ck_assert_uint_eq(tally.blocks, 0);
}

/* ---- Workers --------------------------------------------------------------------------------- */

static struct weft_lot *foreign_lot;
static struct weft_scope *foreign_scope;

static int use_foreign_lot(void *arg)
{
	struct weft_lot *lot;

	wf_assert_result(wf_lot_admit(foreign_lot), -EPERM);
	wf_assert_result(wf_lot_open(foreign_scope, 0, &lot), -EPERM);
	return arg != NULL;
}

static void *be_another_worker(void *arg)
{
	struct weft_lot *lot;

	wf_assert_result(wf_lot_admit(foreign_lot), -EPERM);
	wf_assert_result(wf_lot_open(foreign_scope, 0, &lot), -EPERM);
	wf_assert_result(weft_run(use_foreign_lot, arg, NULL), 0);
	return NULL;
}

/* A lot is its worker's: another thread is refused, with a worker of its own and without. */
WF_TASK_TEST(lots_belong_to_a_worker)
{
	struct weft_scope scope;
	pthread_t thread;

	weft_scope_open(&scope);
	foreign_scope = &scope;
	foreign_lot = open_lot(&scope, WEFT_FOREVER);
	ck_assert_int_eq(pthread_create(&thread, NULL, be_another_worker, NULL), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	wf_assert_result(weft_scope_close(&scope), 0);
}

/* A scope that was opened outside of tasks has no lots. */
WF_TEST(inert_scopes_have_no_lots)
{
	struct weft_scope scope;
	struct weft_lot *lot;

	weft_scope_open(&scope);
	wf_assert_result(wf_lot_open(&scope, 0, &lot), -EPERM);
	wf_assert_result(weft_scope_close(&scope), -EPERM);
}

WF_MAIN("core/park")
