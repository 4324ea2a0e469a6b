/* SPDX-License-Identifier: MIT */
/* Memory that is short, and memory that is given back: every block of the runtime, from start to
 * end, with tasks and connections in between. */
#include "core/common.h"
#include "core/worker.h"
#include "io/watch.h"
#include "net/conn.h"
#include "net/peer.h"

#include <signal.h>
#include <stdio.h>
#include <weft/event.h>
#include <weft/park.h>
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

enum { BURST = 20 * 1000 };

/* So many tasks at once, each of which has its stack. */
static void burst(int count)
{
	struct weft_scope scope;

	weft_event_clear(&go);
	weft_scope_open(&scope);
	for (int i = 0; i < count; i++)
		quietly(weft_spawn(&scope, wait_for_go, NULL) == 0);
	wf_assert_result(weft_sleep(WEFT_MILLISECOND), 0);
	weft_event_set(&go);
	wf_assert_result(weft_scope_close(&scope), 0);
}

static struct weft_stats stats_now(void)
{
	struct weft_stats stats;

	wf_assert_result(weft_stats(&stats), 0);
	return stats;
}

/* Control blocks and slabs of stacks that a burst needed go back, by and by. */
WF_TASK_TEST(idle_blocks_and_slabs_are_released)
{
	struct weft_worker *worker = weft_worker_self();
	struct wf_poller_ops ops = *worker->poller->ops;
	struct weft_stats before, peak, after;

	real_ops = worker->poller->ops;
	ops.now = now_ahead;
	ops.wait = wait_ahead;
	worker->poller->ops = &ops;
	before = stats_now();
	burst(scaled(BURST));
	peak = stats_now();
	ck_assert_uint_gt(peak.stacks, before.stacks);
	ck_assert_uint_ge(peak.bytes_tasks, (uint64_t)scaled(BURST) * sizeof(struct wf_task));
	for (int i = 0; i < 200; i++) {
		ahead += WEFT_SECOND;
		wf_assert_result(weft_sleep(WEFT_MILLISECOND), 0);
	}
	after = stats_now();
	ck_assert_uint_le(after.stacks,
			  2 * WF_SLAB_SLOTS); /* the warm ones may lie in another one */
	ck_assert_uint_le(after.bytes_tasks, WF_CHUNKS_KEPT * WF_CHUNK_BYTES);
	ck_assert_uint_le(after.bytes_stacks,
			  (WF_WARM_STACKS + 1) * (uint64_t)sysconf(_SC_PAGESIZE));
	worker->poller->ops = real_ops;
}

/* Bytes of memory that this process has. */
static long resident_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	long all, resident;

	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(fscanf(file, "%ld %ld", &all, &resident), 2);
	ck_assert_int_eq(fclose(file), 0);
	return resident * sysconf(_SC_PAGESIZE);
}

/* Five seconds after 20,000 tasks have ended the process has no more memory than a fifth above what it
 * had before. */
WF_TASK_TEST(a_burst_leaves_no_memory_behind)
{
	long before, peak, after;

	if (wf_is_slow() || WF_IS_EMULATED)
		wf_skip("a tool keeps memory of its own");
	burst(100); /* brings in code and tables that stay */
	before = resident_bytes();
	burst(BURST);
	peak = after = resident_bytes();
	ck_assert_int_gt(peak, 2 * before);
	for (int i = 0; i < 50 && after > before + before / 5; i++) {
		wf_assert_result(weft_sleep(100 * WEFT_MILLISECOND), 0);
		after = resident_bytes();
	}
	ck_assert_int_le(after, before + before / 5);
}

/* ---- What the counters say ------------------------------------------------------------------- */

static int stay_parked(struct weft_watch *watch, int why, void *arg)
{
	(void)watch;
	(void)arg;
	wf_assert_result(why, -ECANCELED);
	return 0;
}

enum { WATCHES = 10 };

/* Connections and watches are counted with their bytes while they are open, and those parked. */
WF_TASK_TEST(watches_are_counted)
{
	const struct weft_stats before = stats_now();
	struct weft_conn *conns[WATCHES];
	struct weft_watch *watches[WATCHES];
	struct weft_scope scope;
	struct weft_lot *lot;
	int peers[WATCHES];

	weft_scope_open(&scope);
	wf_assert_result(weft_lot_open(&scope, stay_parked, NULL, WEFT_FOREVER, &lot), 0);
	for (int i = 0; i < WATCHES; i++) {
		conns[i] = open_pair(&peers[i]);
		wf_assert_result(weft_watch_open(peers[i], NULL, &watches[i]), 0);
	}
	ck_assert_uint_eq(stats_now().bytes_watches - before.bytes_watches,
			  WATCHES * (sizeof(struct weft_conn) + sizeof(struct weft_watch)));
	for (uint64_t i = 0; i < WATCHES; i++) {
		ck_assert_uint_eq(stats_now().parked, 2 * i);
		wf_assert_result(weft_park(lot, weft_conn_watch(conns[i])), 0);
		wf_assert_result(weft_park(lot, watches[i]), 0);
	}
	ck_assert_uint_eq(stats_now().parked, 2 * WATCHES);
	weft_scope_cancel(&scope);
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
	ck_assert_uint_eq(stats_now().parked, 0);
	for (int i = 0; i < WATCHES; i++) {
		weft_close(conns[i]);
		weft_watch_close(watches[i]);
		peer_close(peers[i]);
	}
	ck_assert_uint_eq(stats_now().bytes_watches, before.bytes_watches);
}

static int fill_one(void *arg)
{
	struct call *call = arg;
	struct weft_input input;

	call->result = weft_fill(call->conn, &input);
	return 0;
}

static int count_buffers(void *arg)
{
	enum { BYTES = 4096 };
	const struct wf_tally *tally = arg;
	struct call calls[2] = { { 0 } };
	struct weft_scope scope;
	int peers[2];

	weft_scope_open(&scope);
	for (int i = 0; i < 2; i++)
		calls[i].conn = open_pair(&peers[i]);
	peer_say(peers[0], "abc");
	SPAWN(&scope, fill_one, &calls[0]);
	rest(1);
	ck_assert_uint_eq(stats_now().buffers, 1);
	ck_assert_uint_eq(stats_now().bytes_buffers, BYTES);
	ck_assert_uint_eq(stats_now().buffer_waits, 0);
	peer_say(peers[1], "defg");
	SPAWN(&scope, fill_one, &calls[1]); /* in line, for the only one */
	rest(1);
	ck_assert_uint_eq(stats_now().buffers, 1);
	ck_assert_uint_eq(stats_now().buffer_waits, 1);
	SPAWN(&scope, fill_one, &calls[0]); /* waits for more, and keeps what it has elsewhere */
	rest(2);
	ck_assert_int_eq(calls[1].result, 4);
	ck_assert_uint_eq(stats_now().buffers, 1);
	ck_assert_uint_eq(stats_now().buffers_peak, 1);
	ck_assert_uint_eq(stats_now().bytes_buffers, BYTES + sizeof(struct wf_block) + 3);
	weft_consume(calls[1].conn, 4);
	ck_assert_uint_eq(stats_now().buffers, 0);
	peer_say(peers[0], "d");
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_uint_eq(stats_now().buffers, 1);
	weft_consume(calls[0].conn, 4);
	ck_assert_uint_eq(stats_now().buffers, 0);
	ck_assert_uint_eq(stats_now().bytes_buffers, BYTES); /* it is kept for the next one */
	ck_assert_uint_eq(stats_now().bytes_allocated, tally->bytes);
	for (int i = 0; i < 2; i++) {
		weft_close(calls[i].conn);
		peer_close(peers[i]);
	}
	return 0;
}

/* Buffers are counted while they are lent, input that is kept elsewhere with its bytes, and tasks that
 * had to wait for one. */
WF_TEST(buffers_are_counted)
{
	struct wf_tally tally = { 0 };
	struct weft_options options = { .allocator = wf_tally_allocator(&tally),
					.buffer_bytes = 4096,
					.buffers_max = 1 };

	wf_assert_result(weft_run(count_buffers, &tally, &options), 0);
	ck_assert_uint_eq(tally.blocks, 0);
}

/* Stacks count with a page each while they are in use or kept warm, tasks with their control blocks. */
WF_TASK_TEST(stacks_and_tasks_are_counted)
{
	enum { TASKS = 50 };
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	struct weft_stats stats;
	struct weft_scope scope;

	ck_assert_uint_eq(stats_now().bytes_stacks, page);
	ck_assert_uint_eq(stats_now().bytes_tasks, sizeof(struct wf_task));
	weft_event_clear(&go);
	weft_scope_open(&scope);
	for (int i = 0; i < TASKS; i++)
		wf_assert_result(weft_spawn(&scope, wait_for_go, NULL), 0);
	wf_assert_result(weft_sleep(WEFT_MILLISECOND), 0);
	stats = stats_now();
	ck_assert_uint_eq(stats.tasks, TASKS + 1);
	ck_assert_uint_eq(stats.bytes_stacks, (TASKS + 1) * page);
	ck_assert_uint_eq(stats.bytes_tasks, (TASKS + 1) * sizeof(struct wf_task));
	weft_event_set(&go);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_uint_eq(stats_now().bytes_stacks, (TASKS + 1) * page);
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
