/* SPDX-License-Identifier: MIT */
/* Calls that other threads post to a worker. */
#include "core/common.h"
#include "core/worker.h"
#include "harness/harness.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <weft/event.h>
#include <weft/run.h>

static pthread_t start_thread(void *(*function)(void *arg), void *arg)
{
	pthread_t thread;

	wf_need_world("threads");
	ck_assert_int_eq(pthread_create(&thread, NULL, function, arg), 0);
	return thread;
}

static void join_thread(pthread_t thread)
{
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

/* Posts, and tries again while the worker has no room. */
static void post(struct weft_worker *worker, void (*function)(void *arg), void *arg)
{
	int r;

	while ((r = weft_post(worker, function, arg)) == -EAGAIN)
		(void)sched_yield();
	quietly(r == 0);
}

static void set_event(void *event)
{
	weft_event_set(event);
}

static void count_one(void *count)
{
	++*(int *)count;
}

/* ---- From the worker itself ------------------------------------------------------------------ */

static pthread_t seen_thread;
static int seen_yield;

static void look_around(void *arg)
{
	seen_thread = pthread_self();
	seen_yield = weft_yield();
	ck_assert_ptr_null(weft_task_name());
	ck_assert_ptr_nonnull(weft_worker_self());
	(void)arg;
}

/* A posted call runs soon, on the worker's thread, between tasks: it must not suspend. */
WF_TASK_TEST(call_runs_between_tasks)
{
	wf_assert_result(weft_post(weft_worker_self(), look_around, NULL), 0);
	ck_assert_int_eq(seen_yield, 0);
	wf_assert_result(weft_sleep(WEFT_MILLISECOND), 0);
	ck_assert_int_eq(seen_yield, -EPERM);
	ck_assert(pthread_equal(seen_thread, pthread_self()));
}

static void cancel_scope(void *scope)
{
	weft_scope_cancel(scope);
}

/* A posted call may cancel a scope. */
WF_TASK_TEST(call_cancels_a_scope)
{
	struct weft_scope scope;

	weft_scope_open(&scope);
	wf_assert_result(weft_post(weft_worker_self(), cancel_scope, &scope), 0);
	wf_assert_result(weft_sleep(10 * WEFT_SECOND), -ECANCELED);
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
}

static int count_in_a_task(void *count)
{
	++*(int *)count;
	return 0;
}

struct spawning {
	struct weft_scope scope;
	struct weft_event done;
	int count;
};

static void spawn_one(void *arg)
{
	struct spawning *spawning = arg;

	spawn(&spawning->scope, count_in_a_task, &spawning->count);
	weft_event_set(&spawning->done);
}

/* A posted call may spawn tasks. */
WF_TASK_TEST(call_spawns_a_task)
{
	struct spawning spawning = { .count = 0 };

	weft_scope_open(&spawning.scope);
	wf_assert_result(weft_post(weft_worker_self(), spawn_one, &spawning), 0);
	wf_assert_result(weft_event_wait(&spawning.done), 0);
	wf_assert_result(weft_scope_close(&spawning.scope), 0);
	ck_assert_int_eq(spawning.count, 1);
}

static int post_beyond_the_limit(void *arg)
{
	struct weft_worker *worker = weft_worker_self();
	int count = 0;

	for (int round = 1; round <= 3; round++) {
		for (int i = 0; i < 4; i++)
			wf_assert_result(weft_post(worker, count_one, &count), 0);
		wf_assert_result(weft_post(worker, count_one, &count), -EAGAIN);
		wf_assert_result(weft_post(worker, count_one, &count), -EAGAIN);
		wf_assert_result(weft_sleep(WEFT_MILLISECOND), 0);
		ck_assert_int_eq(count, 4 * round);
	}
	return arg != NULL;
}

/* At posts_max further posts are refused, until those before have run. */
WF_TEST(posts_are_limited)
{
	struct weft_options options = { .posts_max = 4 };

	wf_assert_result(weft_run(post_beyond_the_limit, NULL, &options), 0);
}

static int posted_late;

static int post_and_return(void *arg)
{
	wf_assert_result(weft_post(weft_worker_self(), count_one, &posted_late), 0);
	return arg != NULL;
}

/* What was posted before the first task returned runs before weft_run does. */
WF_TEST(last_posts_run)
{
	RUN(post_and_return);
	ck_assert_int_eq(posted_late, 1);
}

static void count_and_post(void *count)
{
	count_one(count);
	if (*(int *)count < 5)
		wf_assert_result(weft_post(weft_worker_self(), count_and_post, count), 0);
}

static int post_a_chain(void *arg)
{
	wf_assert_result(weft_post(weft_worker_self(), count_and_post, &posted_late), 0);
	return arg != NULL;
}

/* So does what those last calls post: what was accepted runs. */
WF_TEST(posts_of_the_last_posts_run)
{
	RUN(post_a_chain);
	ck_assert_int_eq(posted_late, 5);
}

struct relay {
	struct weft_worker *worker;
	struct weft_event done;
	int left;
};

static void post_again(void *arg)
{
	struct relay *relay = arg;

	if (relay->left-- > 0)
		wf_assert_result(weft_post(relay->worker, post_again, relay), 0);
	else
		weft_event_set(&relay->done);
}

/* A posted call may post the next one. */
WF_TASK_TEST(call_posts_another)
{
	struct relay relay = { .worker = weft_worker_self(), .left = 100 };

	post_again(&relay);
	wf_assert_result(weft_event_wait(&relay.done), 0);
}

/* ---- From other threads ---------------------------------------------------------------------- */

enum { THREADS = 8, POSTS_MAX = 12500 };

/* Valgrind runs one thread at a time, and changes rarely. */
static int patient(int count)
{
	return wf_on_valgrind() ? count / 50 : count;
}

struct poster {
	struct weft_worker *worker;
	struct weft_event *all_done;
	int *posters_left;
	int next; /* the number of the call that is to run next */
	struct call {
		struct poster *poster;
		int number;
	} calls[POSTS_MAX];
};

static void expect_number(void *arg)
{
	struct call *call = arg;
	struct poster *poster = call->poster;

	quietly(call->number == poster->next);
	if (++poster->next == patient(POSTS_MAX) && --*poster->posters_left == 0)
		weft_event_set(poster->all_done);
}

static void *post_numbers(void *arg)
{
	struct poster *poster = arg;

	for (int i = 0; i < patient(POSTS_MAX); i++) {
		poster->calls[i] = (struct call){ poster, i };
		post(poster->worker, expect_number, &poster->calls[i]);
	}
	return NULL;
}

/* A hundred thousand calls posted by eight threads all run, those of a thread in order. */
WF_TASK_TEST(threads_post_many)
{
	static struct poster posters[THREADS];
	struct weft_event all_done = WEFT_EVENT_INIT;
	int left = THREADS;
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++) {
		posters[i].worker = weft_worker_self();
		posters[i].all_done = &all_done;
		posters[i].posters_left = &left;
		threads[i] = start_thread(post_numbers, &posters[i]);
	}
	wf_assert_result(weft_event_wait(&all_done), 0);
	for (int i = 0; i < THREADS; i++)
		join_thread(threads[i]);
}

struct waker {
	struct weft_worker *worker;
	struct weft_event *event;
};

static void *sleep_and_post(void *arg)
{
	struct waker *waker = arg;
	struct timespec a_moment = { .tv_nsec = 2 * WEFT_MILLISECOND };

	(void)nanosleep(&a_moment, NULL);
	post(waker->worker, set_event, waker->event);
	return NULL;
}

/* A post wakes a worker that sleeps: many times over, within the test's time limit, though nothing
 * else would wake it. */
WF_TASK_TEST(post_wakes_a_sleeper)
{
	for (int i = 0; i < 20; i++) {
		struct weft_event event = WEFT_EVENT_INIT;
		struct waker waker = { weft_worker_self(), &event };
		weft_time start = weft_now();
		pthread_t thread = start_thread(sleep_and_post, &waker);

		wf_assert_result(weft_event_wait(&event), 0);
		ck_assert_int_lt(weft_now() - start, WEFT_SECOND);
		join_thread(thread);
	}
}

/* The next post wakes the worker though an earlier one was run before its own wake had come. */
WF_TASK_TEST(late_wake_does_not_swallow_the_next)
{
	struct weft_event event = WEFT_EVENT_INIT;
	struct waker waker = { weft_worker_self(), &event };
	pthread_t thread;

	/* What a poster does that was overtaken between its push and this. */
	atomic_store(&weft_worker_self()->woken, true);
	weft_worker_self()->poller->ops->wake(weft_worker_self()->poller);
	wf_assert_result(weft_sleep(WEFT_MILLISECOND), 0);
	thread = start_thread(sleep_and_post, &waker);
	wf_assert_result(weft_event_wait(&event),
			 0); /* no timer is armed that would wake it, too */
	join_thread(thread);
}

/* A thread that ends the program's last task, and that nobody joins; static, for it may outlive the
 * test. */
static struct ender {
	struct weft_worker *worker;
	struct weft_event event;
	const struct wf_poller_ops *ops;
	atomic_bool has_run, wake_ended;
	atomic_int threads; /* of which weft_post has not returned */
} ender;

/* Comes when the call has run, and in time for nothing. */
static void wake_too_late(struct wf_poller *poller)
{
	struct timespec a_moment = { .tv_nsec = 20 * WEFT_MILLISECOND };

	while (!atomic_load(&ender.has_run))
		(void)sched_yield();
	(void)nanosleep(&a_moment, NULL);
	ender.ops->wake(poller);
	atomic_store(&ender.wake_ended, true);
}

static void *post_the_end(void *arg)
{
	post(ender.worker, set_event, &ender.event);
	atomic_fetch_sub(&ender.threads, 1);
	return arg;
}

static void start_ender(void)
{
	ender.worker = weft_worker_self();
	ender.event = (struct weft_event)WEFT_EVENT_INIT;
	atomic_fetch_add(&ender.threads, 1);
	ck_assert_int_eq(pthread_detach(start_thread(post_the_end, NULL)), 0);
}

static int wait_for_the_end(void *arg)
{
	start_ender();
	wf_assert_result(weft_event_wait(&ender.event), 0);
	return arg != NULL;
}

/* A worker that stays awake runs the call although its wake has not come. */
static int end_before_the_wake(void *arg)
{
	static struct wf_poller_ops ops;
	struct wf_poller *poller = weft_worker_self()->poller;

	ender.ops = poller->ops;
	ops = *poller->ops;
	ops.wake = wake_too_late;
	poller->ops = &ops;
	start_ender();
	while (!ender.event.set)
		quietly(weft_yield() == 0);
	atomic_store(&ender.has_run, true);
	return arg != NULL;
}

/* The last call may end the last task while the post is still under way: weft_run waits for it, and
 * does not take the worker away beneath it. */
WF_TEST(post_outlives_the_last_task)
{
	RUN(end_before_the_wake);
	ck_assert(atomic_load(&ender.wake_ended));
	while (atomic_load(&ender.threads) > 0)
		(void)sched_yield();
}

/* The same as it happens by itself, many times over, for the tools that see memory misused. */
WF_TEST(posts_race_with_the_end)
{
	for (int i = 0; i < patient(500); i++)
		RUN(wait_for_the_end);
	while (atomic_load(&ender.threads) > 0)
		(void)sched_yield();
}

struct ping {
	struct weft_worker *worker;
	atomic_int asked;
	struct weft_event *event;
};

static void answer(void *arg)
{
	struct ping *ping = arg;

	atomic_fetch_add(&ping->asked, 1);
	weft_event_set(ping->event);
}

enum { PINGS = 20000 };

static void *ask_again_and_again(void *arg)
{
	struct ping *ping = arg;

	for (int i = 0; i < patient(PINGS); i++) {
		post(ping->worker, answer, ping);
		while (atomic_load(&ping->asked) <= i)
			(void)sched_yield();
	}
	return NULL;
}

/* Posts that come one at a time, to a worker that now sleeps and now does not, are never forgotten. */
WF_TASK_TEST(posts_race_with_sleep)
{
	struct weft_event event = WEFT_EVENT_INIT;
	struct ping ping = { .worker = weft_worker_self(), .event = &event };
	pthread_t thread = start_thread(ask_again_and_again, &ping);

	while (atomic_load(&ping.asked) < patient(PINGS)) {
		quietly(weft_event_wait(&event) == 0);
		weft_event_clear(&event);
		for (int i = atomic_load(&ping.asked) % 200; i > 0; i--)
			quietly(weft_yield() == 0);
	}
	join_thread(thread);
}

WF_MAIN("core/post")
