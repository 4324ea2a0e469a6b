/* SPDX-License-Identifier: MIT */
/* Memory that is short, and memory that is given back: every block of the runtime, from start to
 * end, with tasks and connections in between. */
#include "core/worker.h"
#include "harness/harness.h"

#include <errno.h>
#include <signal.h>
#include <weft/event.h>
#include <weft/net.h>
#include <weft/run.h>
#include <weft/signals.h>

/* ---- One allocation after another ------------------------------------------------------------ */

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

static int spawn_some(void *arg)
{
	char copied[100] = { 0 };
	struct weft_scope scope;
	int r = 0;

	(void)arg;
	weft_scope_open(&scope);
	for (int i = 0; i < 40 && r == 0; i++)
		r = weft_spawn(&scope, nothing, NULL);
	for (int i = 0; i < 40 && r == 0; i++)
		r = weft_spawn_copy(&scope, nothing, copied, sizeof copied);
	wf_assert_result(weft_scope_close(&scope), 0);
	return r;
}

/* More tasks at once than a slab has stacks, and than a chunk has blocks. */
static int spawn_many(void *arg)
{
	struct weft_scope scope;
	int r = 0;

	(void)arg;
	weft_scope_open(&scope);
	for (int i = 0; i < 600 && r == 0; i++)
		r = weft_spawn(&scope, nothing, NULL);
	wf_assert_result(weft_scope_close(&scope), 0);
	return r;
}

static int dial_and_read(void *address)
{
	struct weft_conn *conn;
	char byte;
	int r = weft_dial(address, &conn);

	if (r < 0)
		return r;
	r = (int)weft_read(conn, &byte, 1);
	weft_close(conn);
	return r < 0 && r != -ECONNRESET ? r : 0;
}

/* Listens, dials, accepts, and says one byte. */
static int talk(void *arg)
{
	char text[WEFT_ADDRESS_TEXT_MAX];
	struct weft_listener *listener;
	struct weft_address address;
	struct weft_scope scope;
	struct weft_conn *conn;
	int r = weft_listen("127.0.0.1:0", NULL, &listener), joined;

	(void)arg;
	if (r < 0)
		return r;
	wf_assert_result(weft_listener_address(listener, &address), 0);
	(void)weft_address_format(&address, text);
	weft_scope_open(&scope);
	r = weft_spawn(&scope, dial_and_read, text);
	if (r == 0)
		r = weft_accept(listener, &conn);
	if (r == 0) {
		r = weft_write(conn, "x", 1, NULL);
		weft_close(conn);
	}
	if (r < 0)
		weft_scope_cancel(&scope);
	weft_listener_close(listener);
	joined = weft_scope_close(&scope);
	/* A dial that failed has cancelled the accept, and is the cause. */
	return joined < 0 && joined != -ECANCELED ? joined : r;
}

static int wait_signal_set(void *arg)
{
	struct weft_signals *signals;
	int r = weft_signals_open((const int[]){ SIGUSR1, SIGUSR2, 0 }, &signals);

	(void)arg;
	if (r == 0)
		weft_signals_close(signals);
	return r;
}

/* Fails each allocation of a program in turn, until it needs no more. Each time the program says
 * -ENOMEM or does without; and in the end nothing is held. */
static void fail_each_allocation(weft_function *function)
{
	int r = -ENOMEM;

	for (unsigned long n = 1;; n++) {
		struct wf_tally tally = { .fails_at = n };
		struct weft_options options = { .allocator = wf_tally_allocator(&tally) };

		r = weft_run(function, NULL, &options);
		ck_assert_uint_eq(tally.blocks, 0);
		ck_assert_uint_eq(tally.bytes, 0);
		if (tally.calls < n)
			break;
		ck_assert(r == -ENOMEM || r == 0);
		ck_assert_uint_lt(n, 1000);
	}
	wf_assert_result(r, 0);
}

/* Starting, and spawning tasks. */
WF_TEST(spawn_survives_shortage)
{
	fail_each_allocation(spawn_some);
}

/* Spawning until another slab of stacks is needed. */
WF_TEST(second_slab_survives_shortage)
{
	fail_each_allocation(spawn_many);
}

/* Listening, dialling, accepting. */
WF_TEST(network_survives_shortage)
{
	fail_each_allocation(talk);
}

/* Opening a set of signals. */
WF_TEST(signals_survive_shortage)
{
	fail_each_allocation(wait_signal_set);
}

/* ---- Giving back ----------------------------------------------------------------------------- */

/* All memory is given back, and all of it came from the allocator that was given. */
WF_TEST(memory_is_given_back)
{
	struct wf_tally tally = { 0 };
	struct weft_options options = { .allocator = wf_tally_allocator(&tally) };

	wf_assert_result(weft_run(spawn_many, NULL, &options), 0);
	ck_assert_uint_gt(tally.calls, 0);
	ck_assert_uint_eq(tally.blocks, 0);
	wf_assert_result(weft_run(talk, NULL, &options), 0);
	ck_assert_uint_eq(tally.blocks, 0);
}

static struct wf_tally steady_tally;

static int spawn_again_and_again(void *arg)
{
	size_t held = 0;

	for (int round = 0; round < 20; round++) {
		wf_assert_result(spawn_many(arg), 0);
		wf_assert_result(spawn_some(arg), 0);
		if (round == 0)
			held = steady_tally.bytes;
		ck_assert_uint_eq(steady_tally.bytes, held);
	}
	return 0;
}

/* The same work done again takes no more memory than the first time. */
WF_TEST(memory_is_used_again)
{
	struct weft_options options = { .allocator = wf_tally_allocator(&steady_tally) };

	wf_assert_result(weft_run(spawn_again_and_again, NULL, &options), 0);
}

/* The engine, with a clock that can be set forward. */
static const struct wf_poller_ops *real_ops;
static weft_time ahead;

static weft_time now_ahead(struct wf_poller *poller)
{
	return real_ops->now(poller) + ahead;
}

static void wait_ahead(struct wf_poller *poller, weft_time deadline)
{
	bool is_time = deadline != 0 && deadline != WEFT_FOREVER;

	real_ops->wait(poller, is_time ? deadline - ahead : deadline);
}

static struct weft_event go;

static int wait_for_go(void *arg)
{
	(void)arg;
	return weft_event_wait(&go);
}

/* Stacks that are not used any more give their memory back within seconds, by and by. */
WF_TASK_TEST(idle_stacks_give_memory_back)
{
	struct weft_worker *worker = weft_worker_self();
	struct wf_poller_ops ops = *worker->poller->ops;
	struct weft_scope scope;

	real_ops = worker->poller->ops;
	ops.now = now_ahead;
	ops.wait = wait_ahead;
	worker->poller->ops = &ops;
	weft_scope_open(&scope);
	for (int i = 0; i < 500; i++)
		wf_assert_result(weft_spawn(&scope, wait_for_go, NULL), 0);
	wf_assert_result(weft_sleep(WEFT_MILLISECOND), 0);
	weft_event_set(&go);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_uint_gt(worker->stacks.warm_count, 400);
	for (int i = 0; i < 5; i++) {
		ahead += WEFT_SECOND;
		wf_assert_result(weft_sleep(WEFT_MILLISECOND), 0);
	}
	ck_assert_uint_le(worker->stacks.warm_count, WF_WARM_STACKS);
	worker->poller->ops = real_ops;
}

/* ---- Address space --------------------------------------------------------------------------- */

static int meet_the_limit(void *arg)
{
	enum { WANTED = 300 };
	struct weft_scope scope;
	int spawned = 0, r = 0;

	wf_limit_address_space(16 << 20); /* a slab is 65 MiB */
	weft_scope_open(&scope);
	while (spawned < WANTED && (r = weft_spawn(&scope, nothing, NULL)) == 0)
		spawned++;
	wf_assert_result(r, -ENOMEM);
	ck_assert_int_ge(spawned, 255);
	wf_assert_result(weft_scope_close(&scope), 0); /* what was spawned runs */
	wf_limit_address_space(SIZE_MAX);
	return spawn_many(arg);
}

/* When no stacks can be mapped spawning fails, and the program goes on; also later, with more. */
WF_TEST(spawn_survives_lack_of_address_space)
{
	RUN(meet_the_limit);
}

/* When not even the first stacks can be mapped, there is no runtime. */
WF_TEST(run_survives_lack_of_address_space)
{
	int r;

	wf_limit_address_space(16 << 20);
	r = weft_run(nothing, NULL, NULL);
	wf_limit_address_space(SIZE_MAX);
	wf_assert_result(r, -ENOMEM);
	RUN(nothing);
}

WF_MAIN("runtime/memory")
