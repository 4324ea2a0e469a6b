/* SPDX-License-Identifier: MIT */
#include <weft/event.h>
#include <weft/run.h>

#include "core/worker.h"
#include "harness/harness.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <weft/run.h>

static int return_number(void *number)
{
	return *(int *)number;
}

static int must_not_run(void *arg)
{
	ck_abort_msg("a runtime that did not start ran something (%p)", arg);
	return 0;
}

/* ---- Results and options --------------------------------------------------------------------- */

/* weft_run passes the argument in and the result out, whatever its sign. */
WF_TEST(result_is_passed_out)
{
	static const int numbers[] = { 0, 1, 42, -1, -EIO, INT32_MAX, INT32_MIN };

	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		int number = numbers[i];

		wf_assert_result(weft_run(return_number, &number, NULL), number);
	}
}

/* Options that are all zero are the default ones. */
WF_TEST(zero_options_are_the_default)
{
	struct weft_options options = { 0 };

	wf_assert_result(weft_run(return_number, &(int){ 3 }, &options), 3);
}

/* A stack size that is too small or too large is refused, and the function does not run. */
WF_TEST(bad_stack_size_is_refused)
{
	static const size_t sizes[] = { 1, 4096, 16 * 1024 - 1, SIZE_MAX };

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		struct weft_options options = { .stack_bytes = sizes[i] };

		wf_assert_result(weft_run(must_not_run, NULL, &options), WEFT_EOPTION);
	}
}

/* The least stack size is enough to run tasks. */
WF_TEST(least_stack_size_works)
{
	struct weft_options options = { .stack_bytes = 16 * 1024 };

	wf_assert_result(weft_run(return_number, &(int){ 3 }, &options), 3);
}

/* An engine that does not exist is refused, by option and by WEFT_ENGINE; the option counts more. */
WF_TEST(unknown_engine_is_refused)
{
	struct weft_options options = { .engine = "perpetuum mobile" };

	wf_assert_result(weft_run(must_not_run, NULL, &options), WEFT_EOPTION);
	ck_assert_int_eq(setenv("WEFT_ENGINE", "perpetuum mobile", 1), 0);
	wf_assert_result(weft_run(must_not_run, NULL, NULL), WEFT_EOPTION);
	options.engine = "epoll";
	wf_assert_result(weft_run(return_number, &(int){ 3 }, &options), 3);
	ck_assert_int_eq(setenv("WEFT_ENGINE", "", 1), 0);
	wf_assert_result(weft_run(return_number, &(int){ 3 }, NULL), 3);
}

/* A guard that does not exist is refused. */
WF_TEST(unknown_guard_is_refused)
{
	ck_assert_int_eq(setenv("WEFT_GUARD", "dog", 1), 0);
	wf_assert_result(weft_run(must_not_run, NULL, NULL), WEFT_EOPTION);
	ck_assert_int_eq(setenv("WEFT_GUARD", "", 1), 0);
	wf_assert_result(weft_run(return_number, &(int){ 3 }, NULL), 3);
}

static int tell_guard(void *ret_guard)
{
	struct weft_stats stats;

	wf_assert_result(weft_stats(&stats), 0);
	*(enum weft_guard *)ret_guard = stats.guard;
	return 0;
}

/* WEFT_GUARD chooses the guard, or a lesser one; weft_stats tells which. */
WF_TEST(guard_can_be_chosen)
{
	static const char *const names[] = { "light", "mprotect", "canary" };
	enum weft_guard guard;

	for (int wanted = WEFT_GUARD_LIGHT; wanted <= WEFT_GUARD_CANARY; wanted++) {
		ck_assert_int_eq(setenv("WEFT_GUARD", names[wanted], 1), 0);
		wf_run_test(tell_guard, &guard);
		if (wanted == WEFT_GUARD_LIGHT)
			ck_assert(guard == WEFT_GUARD_LIGHT || guard == WEFT_GUARD_MPROTECT);
		else
			ck_assert_int_eq(guard, wanted);
	}
}

/* Without descriptors there is no runtime, and what was opened is closed again. */
WF_TEST(without_descriptors_it_fails)
{
	struct rlimit limit;
	int highest = dup(0);

	wf_need_world("need of descriptors");
	ck_assert_int_ge(highest, 0);
	ck_assert_int_eq(close(highest), 0);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	for (int room = 0; room < 2; room++) {
		struct rlimit few = { (rlim_t)(highest + room), limit.rlim_max };

		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
		wf_assert_result(weft_run(must_not_run, NULL, NULL), -EMFILE);
	}
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	wf_assert_result(weft_run(return_number, &(int){ 3 }, NULL), 3);
}

/* One runtime can follow another, with any options. */
WF_TEST(runs_follow_each_other)
{
	for (int i = 0; i < 100; i++) {
		struct weft_options options = { .stack_bytes = (size_t)(16 + i) * 1024 };

		wf_assert_result(weft_run(return_number, &i, &options), i);
	}
}

/* ---- The end --------------------------------------------------------------------------------- */

static int ended_with;

static int sleep_for_ever(void *arg)
{
	ended_with = weft_sleep_until(WEFT_FOREVER);
	return arg != NULL;
}

static int leave_a_task(void *arg)
{
	wf_assert_result(weft_spawn(&weft_worker_self()->root, sleep_for_ever, NULL), 0);
	wf_assert_result(weft_yield(), 0);
	return arg == NULL ? 7 : 8;
}

/* What is left when the function returns is cancelled and joined; the result stays its own. */
WF_TEST(what_is_left_is_cancelled)
{
	wf_assert_result(weft_run(leave_a_task, NULL, NULL), 7);
	ck_assert_int_eq(ended_with, -ECANCELED);
}

/* ---- Looking at it --------------------------------------------------------------------------- */

static struct weft_event go;

static int wait_for_go(void *arg)
{
	(void)arg;
	return weft_event_wait(&go);
}

static void expect_tasks(uint64_t alive, uint64_t peak, uint64_t spawned, uint64_t failed)
{
	struct weft_stats stats;

	wf_assert_result(weft_stats(&stats), 0);
	ck_assert_uint_eq(stats.tasks, alive);
	ck_assert_uint_eq(stats.tasks_peak, peak);
	ck_assert_uint_eq(stats.spawned, spawned);
	ck_assert_uint_eq(stats.failed, failed);
}

/* weft_stats counts tasks: alive, at most, ever, and failed. */
WF_TASK_TEST(stats_count_tasks)
{
	struct weft_scope scope;

	expect_tasks(1, 1, 1, 0);
	weft_scope_open_serving(&scope);
	for (int i = 0; i < 5; i++)
		wf_assert_result(weft_spawn(&scope, wait_for_go, NULL), 0);
	expect_tasks(6, 6, 6, 0);
	weft_event_set(&go);
	wf_assert_result(weft_scope_close(&scope), 0);
	expect_tasks(1, 6, 6, 0);
	weft_scope_open_serving(&scope);
	wf_assert_result(weft_spawn(&scope, return_number, &(int){ -EIO }), 0);
	wf_assert_result(weft_spawn(&scope, return_number, &(int){ 5 }), 0);
	wf_assert_result(weft_scope_close(&scope), 0);
	expect_tasks(1, 6, 8, 1);
	weft_scope_open(&scope);
	weft_event_clear(&go);
	wf_assert_result(weft_spawn(&scope, wait_for_go, NULL), 0);
	weft_scope_cancel(&scope);
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
	expect_tasks(1, 6, 9, 1);
}

static int yield_times(void *times)
{
	for (int i = 0; i < *(int *)times; i++)
		wf_assert_result(weft_yield(), 0);
	return 0;
}

/* weft_stats counts switches and turns. */
WF_TASK_TEST(stats_count_switches)
{
	struct weft_stats before, after;
	struct weft_scope scope;

	weft_scope_open(&scope);
	wf_assert_result(weft_spawn(&scope, yield_times, &(int){ 1000 }), 0);
	wf_assert_result(weft_stats(&before), 0);
	wf_assert_result(yield_times(&(int){ 1000 }), 0);
	wf_assert_result(weft_stats(&after), 0);
	ck_assert_uint_ge(after.switches - before.switches, 1990);
	wf_assert_result(weft_scope_close(&scope), 0);
	before = after;
	wf_assert_result(weft_sleep(WEFT_MILLISECOND), 0);
	wf_assert_result(weft_stats(&after), 0);
	ck_assert_uint_gt(after.turns, before.turns);
}

static int tell_stack(void *ret_stats)
{
	wf_assert_result(weft_stats(ret_stats), 0);
	return 0;
}

/* weft_stats tells how large stacks are, and that there is one for each task. */
WF_TEST(stats_tell_of_stacks)
{
	struct weft_options options = { .stack_bytes = 100 * 1000 };
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct weft_stats stats;

	wf_assert_result(weft_run(tell_stack, &stats, &options), 0);
	ck_assert_uint_ge(stats.stack_bytes, 100 * 1000 + WF_GUARD_BYTES_MIN);
	ck_assert_uint_le(stats.stack_bytes, 100 * 1000 + WF_GUARD_BYTES_MIN + 3 * page);
	ck_assert_uint_ge(stats.stacks, 1);
}

static int tell_engine(void *arg)
{
	*(const char **)arg = weft_engine_name();
	return 0;
}

/* The engine has a name while it runs: the one that was asked for, else io_uring where it works. */
WF_TEST(engine_has_a_name)
{
	const struct weft_options uring = { .engine = "uring" };
	const char *wanted = getenv("WEFT_ENGINE"), *name = NULL;

	if (!wanted || !*wanted)
		wanted = weft_run(tell_engine, &name, &uring) == 0 ? "uring" : "epoll";
	wf_assert_result(weft_run(tell_engine, &name, NULL), 0);
	ck_assert_str_eq(name, wanted);
}

/* Outside there is no engine, no worker, and nothing to look at. */
WF_TEST(nothing_to_see_outside)
{
	struct weft_stats stats;

	ck_assert_ptr_null(weft_engine_name());
	ck_assert_ptr_null(weft_worker_self());
	wf_assert_result(weft_stats(&stats), -EPERM);
}

/* The library knows the version it was built as. */
WF_TEST(version_is_known)
{
	ck_assert_str_eq(weft_version(), WF_VERSION);
}

WF_MAIN("runtime/run")
