/* SPDX-License-Identifier: MIT */
#include <weft/task.h>

#include "core/common.h"
#include "harness/harness.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <weft/event.h>
#include <weft/run.h>

static char a[] = "a", b[] = "b", c[] = "c", x[] = "x", low_text[] = "L";
static char log_text[256];

static void log_add(const char *text)
{
	ck_assert_uint_lt(strlen(log_text) + strlen(text), sizeof log_text);
	strcat(log_text, text);
}

static int log_arg(void *text)
{
	log_add(text);
	return 0;
}

/* Calls a function in a plain thread, and waits for it. */
static void in_thread(void *(*function)(void *arg), void *arg)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, function, arg), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

/* ---- Spawning -------------------------------------------------------------------------------- */

/* Tasks start in the order of spawning, when the caller suspends and not before. */
WF_TASK_TEST(tasks_start_in_order)
{
	struct weft_scope scope;

	weft_scope_open(&scope);
	spawn(&scope, log_arg, a);
	spawn(&scope, log_arg, b);
	spawn(&scope, log_arg, c);
	ck_assert_str_eq(log_text, "");
	wf_assert_result(weft_yield(), 0);
	ck_assert_str_eq(log_text, "abc");
	wf_assert_result(weft_scope_close(&scope), 0);
}

static int yield_between(void *text)
{
	log_add(text);
	wf_assert_result(weft_yield(), 0);
	log_add(text);
	return 0;
}

/* Tasks that yield take turns. */
WF_TASK_TEST(tasks_take_turns)
{
	struct weft_scope scope;

	weft_scope_open(&scope);
	spawn(&scope, yield_between, a);
	spawn(&scope, yield_between, b);
	spawn(&scope, yield_between, c);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_str_eq(log_text, "abcabc");
}

static int return_number(void *number)
{
	return *(int *)number;
}

/* The scope sees a negative result, and no other. */
WF_TASK_TEST(results_reach_the_scope)
{
	struct weft_scope scope;

	weft_scope_open(&scope);
	spawn(&scope, return_number, &(int){ 5 });
	wf_assert_result(weft_scope_close(&scope), 0);
	weft_scope_open(&scope);
	spawn(&scope, return_number, &(int){ -EIO });
	wf_assert_result(weft_scope_close(&scope), -EIO);
}

static int check_names(void *arg)
{
	(void)arg;
	ck_assert_str_eq(weft_task_name(), "check_names");
	weft_task_name_set("another name");
	wf_assert_result(weft_yield(), 0);
	ck_assert_str_eq(weft_task_name(), "another name");
	return 0;
}

/* A task has the name of its function until it is given another one. */
WF_TASK_TEST(tasks_have_names)
{
	struct weft_scope scope;

	ck_assert_str_eq(weft_task_name(), "main");
	weft_scope_open(&scope);
	spawn(&scope, check_names, NULL);
	spawn(&scope, check_names, NULL);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_str_eq(weft_task_name(), "main");
}

/* Outside a task there is no name, and setting one does nothing. */
WF_TEST(no_name_outside_a_task)
{
	weft_task_name_set("nobody");
	weft_task_priority_set(WEFT_PRIORITY_LOW);
	ck_assert_ptr_null(weft_task_name());
}

/* ---- Copies ---------------------------------------------------------------------------------- */

struct words {
	char text[WEFT_COPY_MAX];
};

static int expect_words(void *arg)
{
	struct words *words = arg;

	ck_assert_str_eq(words->text, "before");
	strcpy(words->text, "mine");
	wf_assert_result(weft_yield(), 0);
	ck_assert_str_eq(words->text, "mine");
	return 0;
}

/* Each task gets its own copy of the arguments, as they were when it was spawned. */
WF_TASK_TEST(copy_is_made_at_once)
{
	static struct words words = { "before" };
	struct weft_scope scope;

	weft_scope_open(&scope);
	wf_assert_result(weft_spawn_copy(&scope, expect_words, &words, sizeof words), 0);
	wf_assert_result(weft_spawn_copy(&scope, expect_words, &words, strlen("before") + 1), 0);
	strcpy(words.text, "after");
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_str_eq(words.text, "after");
}

/* A copy is at most WEFT_COPY_MAX bytes; more is refused, and nothing is spawned. */
WF_TASK_TEST(large_copy_is_refused)
{
	static char bytes[WEFT_COPY_MAX + 1];
	struct weft_scope scope;

	weft_scope_open(&scope);
	wf_assert_result(weft_spawn_copy(&scope, log_arg, bytes, sizeof bytes), -EINVAL);
	wf_assert_result(weft_spawn_copy(&scope, log_arg, bytes, SIZE_MAX), -EINVAL);
	wf_assert_result(weft_spawn_copy(&scope, log_arg, bytes, WEFT_COPY_MAX), 0);
	wf_assert_result(weft_scope_close(&scope), 0);
}

/* ---- Limits ---------------------------------------------------------------------------------- */

static int hit_the_limit(void *arg)
{
	struct weft_scope scope;

	(void)arg;
	weft_scope_open(&scope);
	spawn(&scope, log_arg, a);
	spawn(&scope, log_arg, b);
	wf_assert_result(weft_spawn(&scope, log_arg, x), -EAGAIN);
	wf_assert_result(weft_spawn_copy(&scope, log_arg, x, 2), -EAGAIN);
	wf_assert_result(weft_yield(), 0); /* the two end */
	spawn(&scope, log_arg, c);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_str_eq(log_text, "abc");
	return 0;
}

/* At tasks_max no more tasks are spawned until some have ended. */
WF_TEST(tasks_are_limited)
{
	struct weft_options options = { .tasks_max = 3 };

	wf_assert_result(weft_run(hit_the_limit, NULL, &options), 0);
}

static struct weft_event go;

static int wait_and_count(void *count)
{
	wf_assert_result(weft_event_wait(&go), 0);
	++*(int *)count;
	return 0;
}

/* A hundred thousand tasks are alive at once, each with a stack of its own. */
WF_TASK_TEST(many_tasks_at_once)
{
	const int many = scaled(100000);
	struct weft_stats stats;
	struct weft_scope scope;
	int count = 0;

	weft_scope_open(&scope);
	for (int i = 0; i < many; i++)
		spawn(&scope, wait_and_count, &count);
	wf_assert_result(weft_yield(), 0);
	wf_assert_result(weft_stats(&stats), 0);
	ck_assert_uint_eq(stats.tasks, (unsigned)many + 1);
	ck_assert_uint_ge(stats.stacks, (unsigned)many + 1);
	ck_assert_int_eq(count, 0);
	weft_event_set(&go);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_int_eq(count, many);
}

static int count_one(void *count)
{
	++*(int *)count;
	return 0;
}

/* Tasks that come one after another share a stack, and so do tasks that end before the next one
 * starts. */
WF_TASK_TEST(short_tasks_share_stacks)
{
	struct weft_stats stats;
	struct weft_scope scope;
	uint64_t stacks;
	int count = 0;

	wf_assert_result(weft_stats(&stats), 0);
	stacks = stats.stacks;
	for (int i = 0; i < 1000; i++) {
		weft_scope_open(&scope);
		spawn(&scope, count_one, &count);
		wf_assert_result(weft_scope_close(&scope), 0);
	}
	wf_assert_result(weft_stats(&stats), 0);
	ck_assert_uint_eq(stats.stacks, stacks);
	ck_assert_int_eq(count, 1000);
}

struct burst {
	int tasks;
	weft_time took_ns; /* of processor time, for spawning them */
};

static weft_time cpu_used(void)
{
	struct timespec used;

	ck_assert_int_eq(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used), 0);
	return used.tv_sec * WEFT_SECOND + used.tv_nsec;
}

static int spawn_in_one_go(void *arg)
{
	struct burst *burst = arg;
	struct weft_scope scope;
	weft_time start;
	int count = 0;

	weft_scope_open(&scope);
	start = cpu_used();
	for (int i = 0; i < burst->tasks; i++)
		quietly(weft_spawn(&scope, count_one, &count) == 0);
	burst->took_ns = cpu_used() - start;
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_int_eq(count, burst->tasks);
	return 0;
}

/* The best of five runs, for the time varies with what else the machine does; none finds a stack in
 * its pool. */
static weft_time cost_of_spawning(int tasks)
{
	weft_time best = WEFT_FOREVER;

	for (int i = 0; i < 5; i++) {
		struct burst burst = { .tasks = tasks };

		wf_run_test(spawn_in_one_go, &burst);
		best = burst.took_ns < best ? burst.took_ns : best;
	}
	return best;
}

/* Four times as many tasks, spawned before any of them runs, take about four times as long, and a
 * little more for the caches: their number is not in what each one costs. */
WF_TEST(burst_of_spawns_is_linear)
{
	weft_time few, many;

	if (WF_IS_INSTRUMENTED || wf_on_valgrind())
		wf_skip("a tool's own costs say nothing about ours");
	few = cost_of_spawning(50000);
	many = cost_of_spawning(200000);
	ck_assert_int_lt(many, 4 * few * 2);
}

/* ---- Where there is no task ------------------------------------------------------------------ */

/* Everything that may suspend says so, and so does what needs a runtime. */
static void *expect_eperm(void *arg)
{
	struct weft_event event = WEFT_EVENT_INIT;
	struct weft_stats stats;
	struct weft_scope scope;

	weft_scope_open(&scope);
	wf_assert_result(weft_spawn(&scope, log_arg, x), -EPERM);
	wf_assert_result(weft_spawn_copy(&scope, log_arg, x, 2), -EPERM);
	weft_scope_cancel(&scope);
	weft_scope_stop(&scope);
	wf_assert_result(weft_scope_close(&scope), -EPERM);
	weft_scope_leave(&scope);
	wf_assert_result(weft_yield(), -EPERM);
	wf_assert_result(weft_sleep(1), -EPERM);
	wf_assert_result(weft_sleep_until(1), -EPERM);
	wf_assert_result(weft_event_wait(&event), -EPERM);
	wf_assert_result(weft_stop_wait(), -EPERM);
	wf_assert_result(weft_stats(&stats), -EPERM);
	ck_assert_ptr_null(weft_worker_self());
	ck_assert_ptr_null(weft_engine_name());
	return arg;
}

/* Outside weft_run what may suspend returns -EPERM. */
WF_TEST(eperm_outside_weft_run)
{
	(void)expect_eperm(NULL);
}

/* After weft_run it is as before. */
WF_TEST(eperm_after_weft_run)
{
	wf_run_test(log_arg, a);
	(void)expect_eperm(NULL);
}

/* In a plain thread what may suspend returns -EPERM, also while another thread is in weft_run. */
WF_TASK_TEST(eperm_in_a_plain_thread)
{
	in_thread(expect_eperm, NULL);
}

struct foreign {
	struct weft_scope scope;
	struct weft_event event;
	struct weft_listener *listener;
	struct weft_conn *conn;
};

static int use_foreign(void *arg)
{
	struct foreign *foreign = arg;
	struct weft_conn *conn;
	size_t done;
	char byte = 0;

	wf_assert_result(weft_spawn(&foreign->scope, log_arg, x), -EPERM);
	wf_assert_result(weft_spawn_copy(&foreign->scope, log_arg, x, 2), -EPERM);
	wf_assert_result(weft_accept(foreign->listener, &conn), -EPERM);
	wf_assert_result((int)weft_read(foreign->conn, &byte, 1), -EPERM);
	wf_assert_result(weft_read_full(foreign->conn, &byte, 1, &done), -EPERM);
	ck_assert_uint_eq(done, 0);
	wf_assert_result(weft_write(foreign->conn, &byte, 1, &done), -EPERM);
	ck_assert_uint_eq(done, 0);
	return 0;
}

static void *use_foreign_in_a_plain_thread(void *arg)
{
	struct foreign *foreign = arg;

	wf_assert_result(use_foreign(foreign), 0);
	wf_assert_result(weft_scope_close(&foreign->scope), -EPERM);
	wf_assert_result(weft_event_wait(&foreign->event), -EPERM);
	return NULL;
}

static void *use_foreign_in_weft_run(void *foreign)
{
	wf_run_test(use_foreign, foreign);
	return NULL;
}

/* A plain thread that is handed objects of a worker gets -EPERM for them, and so does a task of
 * another worker. */
WF_TASK_TEST(eperm_for_the_objects_of_a_worker)
{
	static struct foreign foreign;
	char text[WEFT_ADDRESS_TEXT_MAX];
	int fds[2];

	wf_socketpair(fds);
	wf_assert_result(weft_conn_from_fd(fds[0], &foreign.conn), 0);
	foreign.listener = wf_listen_loopback(text);
	weft_scope_open(&foreign.scope);
	in_thread(use_foreign_in_a_plain_thread, &foreign);
	in_thread(use_foreign_in_weft_run, &foreign);
	wf_assert_result(weft_scope_close(&foreign.scope), 0);
	ck_assert_str_eq(log_text, "");
	weft_close(foreign.conn);
	weft_listener_close(foreign.listener);
	ck_assert_int_eq(close(fds[1]), 0);
}

/* ---- Priorities ------------------------------------------------------------------------------ */

static int log_low(void *text)
{
	weft_task_priority_set(WEFT_PRIORITY_LOW);
	wf_assert_result(weft_yield(), 0);
	log_add(text);
	return 0;
}

/* A low-priority task runs after the normal ones that are ready. */
WF_TASK_TEST(low_priority_runs_last)
{
	struct weft_scope scope;

	weft_scope_open(&scope);
	spawn(&scope, log_low, low_text);
	spawn(&scope, yield_between, a);
	spawn(&scope, yield_between, b);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_str_eq(log_text, "ababL");
}

static bool low_ended;
static int normal_runs;

static int low(void *arg)
{
	(void)arg;
	weft_task_priority_set(WEFT_PRIORITY_LOW);
	for (int i = 0; i < 100; i++) {
		int before = normal_runs;

		wf_assert_result(weft_yield(), 0);
		ck_assert_int_le(normal_runs - before, 16);
		ck_assert_int_ge(normal_runs - before, 8);
	}
	low_ended = true;
	return 0;
}

static int yield_until_low_ended(void *arg)
{
	(void)arg;
	while (!low_ended) {
		normal_runs++;
		wf_assert_result(weft_yield(), 0);
	}
	return 0;
}

/* While normal tasks are always ready, a low one runs at least once in 16 runs, and not much more
 * often. */
WF_TASK_TEST(low_priority_is_not_starved)
{
	struct weft_scope scope;

	weft_scope_open(&scope);
	for (int i = 0; i < 3; i++)
		spawn(&scope, yield_until_low_ended, NULL);
	spawn(&scope, low, NULL);
	wf_assert_result(weft_scope_close(&scope), 0);
}

static int raise_again(void *text)
{
	weft_task_priority_set(WEFT_PRIORITY_LOW);
	weft_task_priority_set(WEFT_PRIORITY_NORMAL);
	return yield_between(text);
}

/* A task that is normal again is scheduled like the others; and a child starts as normal, whatever
 * its spawner is. */
WF_TASK_TEST(priority_can_be_raised)
{
	struct weft_scope scope;

	weft_task_priority_set(WEFT_PRIORITY_LOW);
	weft_scope_open(&scope);
	spawn(&scope, raise_again, a);
	spawn(&scope, yield_between, b);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_str_eq(log_text, "abab");
}

static int set_priority(void *number)
{
	weft_task_priority_set(*(enum weft_priority *)number);
	return 0;
}

static int run_with_priority(void *number)
{
	return weft_run(set_priority, number, NULL);
}

/* There are two priorities; any other number aborts. */
WF_TEST(unknown_priority_aborts)
{
	static const int numbers[] = { 2, -1, 256 };

	for (int i = 0; i < 3; i++) {
		struct wf_child child = wf_child(run_with_priority, &(int){ numbers[i] });

		ck_assert_int_eq(child.signal, SIGABRT);
		ck_assert_ptr_nonnull(strstr(child.errors, "priority"));
	}
}

/* ---- Several runtimes ------------------------------------------------------------------------ */

/* A thread that is inside weft_run cannot start another one. */
WF_TASK_TEST(nested_run_is_refused)
{
	wf_assert_result(weft_run(log_arg, x, NULL), -EALREADY);
	ck_assert_str_eq(log_text, "");
}

static int work(void *arg)
{
	struct weft_scope scope;
	int count = 0;

	for (int round = 0; round < 50; round++) {
		weft_scope_open(&scope);
		for (int i = 0; i < 20; i++)
			spawn(&scope, count_one, &count);
		wf_assert_result(weft_sleep(20 * WEFT_MICROSECOND), 0);
		wf_assert_result(weft_scope_close(&scope), 0);
	}
	*(int *)arg = count;
	return 0;
}

static void *run_work(void *count)
{
	wf_run_test(work, count);
	return NULL;
}

/* Threads run a runtime each, at the same time, and do not notice each other. */
WF_TEST(threads_run_side_by_side)
{
	enum { THREADS = 4 };
	pthread_t threads[THREADS];
	int counts[THREADS] = { 0 };

	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, run_work, &counts[i]), 0);
	for (int i = 0; i < THREADS; i++) {
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
		ck_assert_int_eq(counts[i], 1000);
	}
}

WF_MAIN("core/task")
