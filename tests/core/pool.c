/* SPDX-License-Identifier: MIT */
#include <weft/pool.h>

#include "core/torture.h"
#include "core/worker.h"
#include "harness/harness.h"

#include <errno.h>
#include <string.h>
#include <weft/event.h>
#include <weft/run.h>

/* Counts the tasks that run, and those that ran. */
static int running, running_peak, ran;
static struct weft_event go = WEFT_EVENT_INIT;

static int run_until_told(void *arg)
{
	int r;

	(void)arg;
	running_peak = ++running > running_peak ? running : running_peak;
	r = weft_event_wait(&go);
	running--;
	ran++;
	return r;
}

static int return_number(void *number)
{
	return *(int *)number;
}

/* ---- What is refused ------------------------------------------------------------------------- */

/* Outside of a task nothing is spawned or waited for. */
WF_TEST(outside_a_task_nothing_happens)
{
	static struct weft_pool pool = WEFT_POOL_INIT(NULL, 1);

	wf_assert_result(weft_pool_spawn(&pool, run_until_told, NULL), -EPERM);
	wf_assert_result(weft_pool_wait_all(&pool), -EPERM);
}

/* A pool without places takes no task, and is idle. */
WF_TASK_TEST(no_places_take_no_task)
{
	struct weft_scope scope;
	struct weft_pool pool = WEFT_POOL_INIT(&scope, 0);

	weft_scope_open(&scope);
	wf_assert_result(weft_pool_spawn(&pool, run_until_told, NULL), -EINVAL);
	wf_assert_result(weft_pool_wait_all(&pool), 0);
	wf_assert_result(weft_scope_close(&scope), 0);
}

/* A stopped task spawns nothing. */
WF_TASK_TEST(stopped_task_spawns_nothing)
{
	struct weft_scope scope, stopped;
	struct weft_pool pool = WEFT_POOL_INIT(&scope, 1);

	weft_scope_open(&scope);
	weft_scope_open(&stopped);
	weft_scope_cancel(&stopped);
	wf_assert_result(weft_pool_spawn(&pool, run_until_told, NULL), -ECANCELED);
	wf_assert_result(weft_pool_wait_all(&pool), -ECANCELED);
	wf_assert_result(weft_scope_close(&stopped), -ECANCELED);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_uint_eq(pool.taken, 0);
}

/* A pool whose scope is stopped spawns nothing, and the place stays free. */
WF_TASK_TEST(stopped_scope_takes_no_task)
{
	struct weft_scope scope;
	struct weft_pool pool = WEFT_POOL_INIT(&scope, 1);

	weft_scope_open(&scope);
	weft_scope_cancel(&scope);
	WEFT_SHIELD(weft_after(WEFT_SECOND)) {
		wf_assert_result(weft_pool_spawn(&pool, run_until_told, NULL), -ECANCELED);
		wf_assert_result(weft_pool_spawn(&pool, run_until_told, NULL), -ECANCELED);
		wf_assert_result(weft_pool_wait_all(&pool), 0);
	}
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
	wf_assert_result(weft_pool_spawn(&pool, run_until_told, NULL), -EPERM);
}

static int run_without_memory(void *arg)
{
	struct wf_tally *tally = arg;
	struct weft_scope scope;
	struct weft_pool pool = WEFT_POOL_INIT(&scope, 1);

	weft_scope_open(&scope);
	weft_event_set(&go);
	tally->fails_at = tally->calls + 1;
	wf_assert_result(weft_pool_spawn(&pool, run_until_told, NULL), -ENOMEM);
	wf_assert_result(weft_pool_wait_all(&pool), 0);
	wf_assert_result(weft_pool_spawn(&pool, run_until_told, NULL), 0);
	ck_assert_int_eq(ran, 0);
	return weft_scope_close(&scope);
}

/* Without memory nothing is spawned, and the place is free for the next attempt. */
WF_TEST(no_memory_leaves_the_place_free)
{
	struct wf_tally tally = { 0 };
	struct weft_options options = { .allocator = wf_tally_allocator(&tally) };

	wf_assert_result(weft_run(run_without_memory, &tally, &options), 0);
	ck_assert_int_eq(ran, 1);
	ck_assert_uint_eq(tally.bytes, 0);
}

static int wait_inside(void *pool)
{
	wf_assert_result(weft_pool_wait_all(pool), -EDEADLK);
	return 0;
}

/* A task of the pool cannot wait for itself. */
WF_TASK_TEST(waiting_inside_is_a_deadlock)
{
	struct weft_scope scope;
	struct weft_pool pool = WEFT_POOL_INIT(&scope, 1);

	weft_scope_open(&scope);
	wf_assert_result(weft_pool_spawn(&pool, wait_inside, &pool), 0);
	wf_assert_result(weft_pool_wait_all(&pool), 0);
	wf_assert_result(weft_scope_close(&scope), 0);
}

static int wait_for_another(void *pool)
{
	wf_assert_result(weft_pool_wait_all(pool), 0);
	ck_assert_int_eq(ran, 1);
	return 0;
}

/* A task of another pool can wait. */
WF_TASK_TEST(another_pool_may_wait)
{
	struct weft_scope scope;
	struct weft_pool pool = WEFT_POOL_INIT(&scope, 1), other = WEFT_POOL_INIT(&scope, 1);

	weft_scope_open(&scope);
	wf_assert_result(weft_pool_spawn(&pool, run_until_told, NULL), 0);
	wf_assert_result(weft_pool_spawn(&other, wait_for_another, &pool), 0);
	settle();
	ck_assert_uint_eq(other.taken, 1);
	weft_event_set(&go);
	wf_assert_result(weft_scope_close(&scope), 0);
}

/* ---- Places ---------------------------------------------------------------------------------- */

struct spawner {
	struct weft_pool *pool;
	int count, spawned;
};

static int spawn_some(void *arg)
{
	struct spawner *spawner = arg;
	int r = 0;

	while (r == 0 && spawner->spawned < spawner->count) {
		r = weft_pool_spawn(spawner->pool, run_until_told, NULL);
		spawner->spawned += r == 0;
	}
	return r;
}

/* No more tasks run than there are places, and a place that becomes free is used. */
WF_TASK_TEST(places_are_the_limit)
{
	struct weft_scope scope;
	struct weft_pool pool = WEFT_POOL_INIT(&scope, 3);
	struct spawner spawner = { .pool = &pool, .count = 10 };

	weft_scope_open(&scope);
	spawn(&scope, spawn_some, &spawner);
	settle();
	settle();
	ck_assert_int_eq(spawner.spawned, 3);
	ck_assert_int_eq(running, 3);
	weft_event_set(&go);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_int_eq(ran, 10);
	ck_assert_int_eq(running_peak, 3);
	ck_assert_uint_eq(pool.taken, 0);
}

static int spawn_one(void *pool)
{
	wf_assert_result(weft_pool_spawn(pool, run_until_told, NULL), 0);
	return 0;
}

static int check_name(void *site)
{
	ck_assert_str_eq(weft_task_name(), "check_name");
	ck_assert_ptr_nonnull(strstr(wf_task_self()->site, site));
	return 0;
}

static char file[] = "tests/core/pool.c:";

/* The task has the name of the user's function, and the place of the call. */
WF_TASK_TEST(task_has_its_name)
{
	struct weft_scope scope;
	struct weft_pool pool = WEFT_POOL_INIT(&scope, 1);

	weft_scope_open(&scope);
	wf_assert_result(weft_pool_spawn(&pool, check_name, file), 0);
	wf_assert_result(weft_scope_close(&scope), 0);
}

/* The failure of a task is that of the scope, and frees the place. */
WF_TASK_TEST(failure_reaches_the_scope)
{
	struct weft_scope scope;
	struct weft_pool pool = WEFT_POOL_INIT(&scope, 1);

	weft_scope_open(&scope);
	wf_assert_result(weft_pool_spawn(&pool, return_number, &(int){ -EIO }), 0);
	WEFT_SHIELD(weft_after(WEFT_SECOND))
		wf_assert_result(weft_pool_wait_all(&pool), 0);
	ck_assert_uint_eq(weft_scope_failures(&scope), 1);
	wf_assert_result(weft_scope_close(&scope), -EIO);
}

/* Who waits for a place and is cancelled has none, and has spawned nothing; the next in line has it. */
WF_TASK_TEST(cancelled_spawner_leaves_the_line)
{
	struct weft_scope scope, doomed;
	struct weft_pool pool = WEFT_POOL_INIT(&scope, 1);
	struct spawner spawners[2] = { { &pool, 1, 0 }, { &pool, 1, 0 } };

	weft_scope_open(&scope);
	spawn(&scope, spawn_one, &pool);
	settle();
	weft_scope_open(&doomed);
	spawn(&doomed, spawn_some, &spawners[0]);
	settle();
	spawn(&scope, spawn_some, &spawners[1]);
	settle();
	weft_scope_cancel(&doomed);
	weft_event_set(&go);
	wf_assert_result(weft_scope_close(&doomed), -ECANCELED);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_int_eq(spawners[0].spawned, 0);
	ck_assert_int_eq(spawners[1].spawned, 1);
	ck_assert_int_eq(ran, 2);
}

/* A deadline ends the wait for a place. */
WF_TASK_TEST(deadline_ends_the_wait_for_a_place)
{
	struct weft_scope scope;
	struct weft_pool pool = WEFT_POOL_INIT(&scope, 1);

	weft_scope_open(&scope);
	wf_assert_result(weft_pool_spawn(&pool, run_until_told, NULL), 0);
	WEFT_DEADLINE(weft_after(WEFT_MILLISECOND))
		wf_assert_result(weft_pool_spawn(&pool, run_until_told, NULL), WEFT_EDEADLINE);
	WEFT_DEADLINE(weft_after(WEFT_MILLISECOND))
		wf_assert_result(weft_pool_wait_all(&pool), WEFT_EDEADLINE);
	weft_event_set(&go);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_int_eq(ran, 1);
}

/* Waiting for all takes those into account that are still to be spawned. */
WF_TASK_TEST(wait_all_waits_for_those_in_line)
{
	struct weft_scope scope;
	struct weft_pool pool = WEFT_POOL_INIT(&scope, 2);
	struct spawner spawner = { .pool = &pool, .count = 7 };

	weft_scope_open(&scope);
	spawn(&scope, spawn_some, &spawner);
	settle();
	weft_event_set(&go);
	wf_assert_result(weft_pool_wait_all(&pool), 0);
	ck_assert_int_eq(running, 0);
	ck_assert_int_eq(ran, 7);
	wf_assert_result(weft_scope_close(&scope), 0);
}

/* Waits for a place, and finds no room for a task then; leaves room for those who come later. */
static int fail_to_spawn(void *pool)
{
	wf_assert_result(weft_pool_spawn(pool, run_until_told, NULL), -EAGAIN);
	wf_worker->tasks_max = 1000;
	return 0;
}

/* Who has waited for a place and cannot spawn hands it on to the next in line. */
WF_TASK_TEST(failed_spawn_hands_its_place_on)
{
	struct weft_scope scope;
	struct weft_pool pool = WEFT_POOL_INIT(&scope, 1);
	struct spawner next = { .pool = &pool, .count = 1 };

	weft_scope_open(&scope);
	wf_assert_result(weft_pool_spawn(&pool, run_until_told, NULL), 0);
	spawn(&scope, fail_to_spawn, &pool);
	settle();
	spawn(&scope, spawn_some, &next);
	settle();
	wf_worker->tasks_max = 1;
	weft_event_set(&go);
	settle();
	settle();
	ck_assert_int_eq(next.spawned, 1);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_int_eq(ran, 2);
	ck_assert_uint_eq(pool.taken, 0);
}

/* If nobody is behind it the pool is idle, and who waits for that is told. */
WF_TASK_TEST(failed_spawn_may_be_the_last)
{
	struct weft_scope scope;
	struct weft_pool pool = WEFT_POOL_INIT(&scope, 1);

	weft_scope_open(&scope);
	wf_assert_result(weft_pool_spawn(&pool, run_until_told, NULL), 0);
	spawn(&scope, fail_to_spawn, &pool);
	settle();
	wf_worker->tasks_max = 1;
	weft_event_set(&go);
	WEFT_DEADLINE(weft_after(WEFT_SECOND))
		wf_assert_result(weft_pool_wait_all(&pool), 0);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_int_eq(ran, 1);
}

/* ---- Torture --------------------------------------------------------------------------------- */

static int run_a_little(void *arg)
{
	int r;

	(void)arg;
	running_peak = ++running > running_peak ? running : running_peak;
	r = weft_yield();
	running--;
	ran++;
	return r;
}

struct storm {
	struct weft_pool pool;
	int spawned;
};

static void torture_step(void *object, struct wf_random *random)
{
	struct storm *storm = object;
	int r;

	if (wf_random_next(random) % 8 == 0) {
		r = weft_pool_wait_all(&storm->pool);
		holds(r == 0 || r == -ECANCELED);
		return;
	}
	r = weft_pool_spawn(&storm->pool, run_a_little, NULL);
	holds(r == 0 || r == -ECANCELED);
	storm->spawned += r == 0;
}

/* Whatever is cancelled, what was spawned has run, never more at once than there are places, and in the
 * end all places are free. */
WF_TASK_TEST(torture)
{
	for (uint64_t seed = 0; seed < TORTURE_ROUNDS; seed++) {
		struct weft_scope scope;
		struct storm storm = { .pool = WEFT_POOL_INIT(&scope, 3) };

		ran = running_peak = 0;
		weft_scope_open(&scope);
		torture_run(torture_step, &storm, seed);
		wf_assert_result(weft_scope_close(&scope), 0);
		ck_assert_int_eq(ran, storm.spawned);
		ck_assert_int_eq(running_peak, 3);
		ck_assert_uint_eq(storm.pool.taken, 0);
		ck_assert_ptr_null(storm.pool.line.first);
		ck_assert_ptr_null(storm.pool.idle.first);
	}
}

WF_MAIN("core/pool")
