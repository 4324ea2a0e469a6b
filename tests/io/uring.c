/* SPDX-License-Identifier: MIT */
/* The engine on io_uring: rings that are too small, cancels that meet completions, and kernels that
 * refuse it. */
#include "core/common.h"
#include "core/worker.h"
#include "net/peer.h"

#ifdef WF_URING
#include "io/ready.h"
#include "io/uring.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <weft/event.h>
#include <weft/park.h>

/* ---- Runs on this engine --------------------------------------------------------------------- */

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

static void need_uring(void)
{
	struct weft_options options = { .engine = "uring" };

	if (weft_run(nothing, NULL, &options) == WEFT_EENGINE)
		wf_skip("the kernel, or what runs this, has no io_uring");
}

static void run_on_uring(weft_function *function)
{
	struct wf_tally tally = { 0 };
	struct weft_options options = { .engine = "uring",
					.allocator = wf_tally_allocator(&tally) };

	need_uring();
	wf_assert_result(weft_run(function, NULL, &options), 0);
	ck_assert_uint_eq(tally.blocks, 0);
}

/* Runs a function with a ring of that size. */
static void run_with_ring(weft_function *function, uint32_t submissions, uint32_t completions)
{
	static struct weft_worker worker;
	struct wf_tally tally = { 0 };
	struct weft_allocator allocator = wf_tally_allocator(&tally);
	struct wf_worker_options options = {
		.stacks = { .page_bytes = (size_t)sysconf(_SC_PAGESIZE),
			    .guard = WEFT_GUARD_CANARY },
		.allocator = &allocator,
	};
	struct wf_poller *poller;

	need_uring();
	wf_assert_result(wf_worker_init(&worker, &options), 0);
	wf_assert_result(wf_uring_new_sized(&worker.memory, submissions, completions, &poller), 0);
	wf_random_seed(&worker.random, 1);
	wf_assert_result(wf_worker_run(&worker, poller, function, NULL), 0);
	poller->ops->done(poller);
	wf_worker_done(&worker);
	ck_assert_uint_eq(tally.blocks, 0);
}

/* ---- Small rings ----------------------------------------------------------------------------- */

enum { CONNS = 1000, ROUNDS = 5 };

static struct client {
	struct weft_conn *conn;
	int peer;
	size_t place; /* bytes received so far */
	int calls;    /* of one that parks */
} clients[CONNS];

static struct weft_lot *lot;

static void hear_byte(struct client *client)
{
	char bytes[16];
	ssize_t n = weft_read(client->conn, bytes, sizeof bytes);

	if (n <= 0)
		ck_abort_msg("the read returned %s", weft_error_name((int)n));
	check_stream(bytes, client->place, (size_t)n);
	client->place += (size_t)n;
}

static int read_rounds(void *arg)
{
	struct client *client = arg;

	while (client->place < ROUNDS)
		hear_byte(client);
	return 0;
}

static int be_called(struct weft_watch *watch, int why, void *arg)
{
	struct client *client = weft_watch_user(watch);

	(void)arg;
	if (why != 0)
		ck_abort_msg("the parking ended with %s", weft_error_name(why));
	client->calls++;
	hear_byte(client);
	if (client->place < ROUNDS)
		wf_assert_result(weft_park(lot, watch), 0);
	return 0;
}

static int count_received(int count)
{
	int received = 0;

	for (int i = 0; i < count; i++)
		received += (int)clients[i].place;
	return received;
}

/* Half of them are read by tasks, half are parked; all become ready in the same turn. */
static int hear_all(void *arg)
{
	int count = WF_IS_INSTRUMENTED || wf_on_valgrind() ? CONNS / 4 : CONNS;
	struct weft_scope scope;

	(void)arg;
	memset(clients, 0, sizeof clients);
	weft_scope_open(&scope);
	wf_assert_result(weft_lot_open(&scope, be_called, NULL, WEFT_FOREVER, &lot), 0);
	for (int i = 0; i < count; i++) {
		struct client *client = &clients[i];

		client->conn = open_pair(&client->peer);
		weft_conn_user_set(client->conn, client);
		if (i % 2)
			SPAWN(&scope, read_rounds, client);
		else
			wf_assert_result(weft_park(lot, weft_conn_watch(client->conn)), 0);
	}
	rest(1);
	for (int round = 0; round < ROUNDS; round++) {
		unsigned char byte = byte_at((size_t)round);

		for (int i = 0; i < count; i++)
			quietly(send(clients[i].peer, &byte, 1, MSG_NOSIGNAL) == 1);
		for (int i = 0; i < 1000 && count_received(count) < count * (round + 1); i++)
			rest(2);
		ck_assert_int_eq(count_received(count), count * (round + 1));
	}
	wf_assert_result(weft_scope_close(&scope), 0);
	for (int i = 0; i < count; i++) {
		quietly(clients[i].place == ROUNDS);
		quietly(clients[i].calls == (i % 2 ? 0 : ROUNDS));
		weft_close(clients[i].conn);
		quietly(close(clients[i].peer) == 0);
	}
	return 0;
}

/* A thousand descriptors become ready at once, and there is room for 64 completions: none is lost,
 * none is reported twice, though the polls end and are made anew. */
WF_TEST(completions_outrun_the_ring)
{
	need_descriptors(2 * CONNS + 100);
	run_with_ring(hear_all, 32, 64);
}

/* The same with room for eight submissions. */
WF_TEST(submissions_outrun_the_ring)
{
	need_descriptors(2 * CONNS + 100);
	run_with_ring(hear_all, 8, 4096);
	run_with_ring(hear_all, 8, 16);
}

static int cancel_all(void *arg)
{
	enum { COUNT = 200 };
	static struct call calls[COUNT];
	static char bytes[COUNT];
	static int peers[COUNT];
	struct weft_scope scope;

	(void)arg;
	for (int round = 0; round < 5; round++) {
		weft_scope_open(&scope);
		for (int i = 0; i < COUNT; i++) {
			calls[i] = (struct call){ open_pair(&peers[i]), &bytes[i], 1, 0, 0, false };
			SPAWN(&scope, call_read, &calls[i]);
		}
		rest(1);
		for (int i = 0; i < COUNT; i += 2)
			quietly(send(peers[i], "x", 1, MSG_NOSIGNAL) == 1);
		for (int i = 0; i < COUNT; i++)
			weft_close(
				calls[i].conn); /* more polls to be taken back than submissions */
		wf_assert_result(weft_scope_close(&scope), 0);
		for (int i = 0; i < COUNT; i++) {
			/* Closing looks at what has come: a reader may have its byte. */
			quietly(calls[i].result == WEFT_ECLOSED ||
				(i % 2 == 0 && calls[i].result == 1 && bytes[i] == 'x'));
			quietly(close(peers[i]) == 0);
		}
	}
	return 0;
}

/* Many polls are taken back at once, with completions of theirs under way that find no room. */
WF_TEST(closing_outruns_the_ring)
{
	run_with_ring(cancel_all, 8, 16);
}

/* Whether the engine still knows a file by that number. */
static bool is_known(int fd)
{
	struct wf_ready *ready = wf_container(weft_worker_self()->poller, struct wf_ready, poller);

	return ready->chunks[fd / WF_READY_CHUNK]->files[fd % WF_READY_CHUNK];
}

static int close_after_overflow(void *arg)
{
	enum { COUNT = 100 };
	static struct weft_conn *conns[COUNT];
	static int peers[COUNT];
	char byte;
	int number;

	(void)arg;
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < COUNT; i++) {
			conns[i] = open_pair(&peers[i]);
			WEFT_DEADLINE(weft_after(1000))
				quietly(weft_read(conns[i], &byte, 1) == WEFT_EDEADLINE);
		}
		for (int i = 0; i < COUNT; i++) /* nobody waits for these */
			quietly(send(peers[i], "x", 1, MSG_NOSIGNAL) == 1);
		rest(1);
		for (int i = 0; i < COUNT; i++) {
			if (i % 3 == 0)
				quietly(weft_read(conns[i], &byte, 1) == 1);
			number = weft_conn_fd(conns[i]);
			weft_close(conns[i]);
			quietly(!is_known(number));
			quietly(close(peers[i]) == 0);
		}
	}
	return 0;
}

/* Polls that end for lack of room while nobody waits are forgotten with their connections, and the
 * numbers can be used again. */
WF_TEST(polls_that_ended_are_forgotten)
{
	run_with_ring(close_after_overflow, 8, 16);
}

/* ---- Cancels that meet completions ----------------------------------------------------------- */

struct race {
	struct weft_conn *conn;
	struct weft_scope scope;
	struct weft_event again;
	size_t received;
	int cancelled;
	bool over;
};

/* Reads one byte at a time, in a scope that is cancelled now and then, and opened anew. */
static int read_and_be_cancelled(void *arg)
{
	struct race *race = arg;

	while (!race->over) {
		unsigned char byte;
		ssize_t n;
		int r;

		weft_scope_open(&race->scope);
		n = weft_read(race->conn, &byte, 1);
		r = weft_scope_close(&race->scope);
		quietly(r == 0 || r == -ECANCELED);
		if (n == 1)
			quietly(byte == byte_at(race->received++));
		else
			quietly(n == -ECANCELED && ++race->cancelled);
	}
	return 0;
}

static void send_byte(int peer, size_t place)
{
	unsigned char byte = byte_at(place);

	quietly(send(peer, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1);
}

static int race_tries;

/* A byte is sent before or after the cancel, with a turn of the loop or of the tasks between, or none. */
static int race_cancels(void *arg)
{
	int tries = WF_IS_INSTRUMENTED || wf_on_valgrind() ? race_tries / 50 : race_tries;
	struct wf_random random;
	struct weft_scope scope;
	struct race race = { 0 };
	size_t sent = 0;
	int peer;

	(void)arg;
	wf_random_seed(&random, 20260101);
	race.conn = open_pair(&peer);
	weft_scope_open(&scope);
	SPAWN(&scope, read_and_be_cancelled, &race);
	quietly(weft_yield() == 0);
	for (int i = 0; i < tries; i++) {
		uint64_t chance = wf_random_next(&random);

		if (chance & 1)
			send_byte(peer, sent++);
		if ((chance >> 1 & 3) == 1)
			quietly(weft_yield() == 0);
		if ((chance >> 3 & 15) == 1)
			quietly(weft_sleep(1) == 0);
		weft_scope_cancel(&race.scope);
		if (chance >> 7 & 1)
			send_byte(peer, sent++);
		quietly(weft_yield() == 0);
		while (sent - race.received > 50)
			quietly(weft_yield() == 0);
	}
	while (race.received < sent)
		quietly(weft_sleep(1000) == 0);
	race.over = true;
	weft_scope_cancel(&race.scope);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_uint_eq(race.received, sent);
	ck_assert_int_gt(race.cancelled, tries / 10);
	weft_close(race.conn);
	peer_close(peer);
	return 0;
}

/* A million cancels of a read that a byte is on its way to, fewer under tools: each byte is received
 * exactly once. */
WF_TEST(cancels_lose_no_byte)
{
	race_tries = 1000 * 1000;
	run_on_uring(race_cancels);
}

/* The same with a ring that is always full. */
WF_TEST(cancels_lose_no_byte_with_a_small_ring)
{
	race_tries = 100 * 1000;
	run_with_ring(race_cancels, 1, 2);
}

static int reuse_numbers(void *arg)
{
	(void)arg;
	for (int round = 0; round < 5000; round++) {
		struct weft_scope scope;
		unsigned char byte = 0;
		struct call calls[2] = { { 0 } };
		int peers[2], number;

		calls[0].conn = open_pair(&peers[0]);
		calls[0].memory = calls[1].memory = &byte;
		calls[0].bytes = calls[1].bytes = 1;
		number = weft_conn_fd(calls[0].conn);
		weft_scope_open(&scope);
		SPAWN(&scope, call_read, &calls[0]);
		if (round % 2)
			quietly(weft_sleep(1) == 0);
		else
			quietly(weft_yield() == 0);
		peer_send(peers[0], "!", 1); /* a completion is under way */
		weft_close(calls[0].conn);
		calls[1].conn = open_pair(&peers[1]);
		quietly(weft_conn_fd(calls[1].conn) == number);
		SPAWN(&scope, call_read, &calls[1]);
		quietly(weft_sleep(1) == 0);
		quietly(!calls[1].ended && calls[0].result == WEFT_ECLOSED);
		peer_send(peers[1], "2", 1);
		wf_assert_result(weft_scope_close(&scope), 0);
		quietly(calls[1].result == 1 && byte == '2');
		weft_close(calls[1].conn);
		quietly(close(peers[0]) == 0 && close(peers[1]) == 0);
	}
	return 0;
}

/* A descriptor is closed with a completion under way, and its number used at once: the completion
 * does not reach the new owner. */
WF_TEST(completion_under_way_misses_the_next_owner_of_the_number)
{
	run_on_uring(reuse_numbers);
}

/* ---- Kernels that refuse --------------------------------------------------------------------- */

/* Has the kernel answer a system call with an error; false if it cannot. */
static bool forbid(long number, uint32_t error)
{
	struct sock_filter steps[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof steps / sizeof *steps, steps };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 &&
	       syscall(number, -1, NULL, 0, NULL, NULL, 0) < 0 && errno == (int)error;
}

static int expect_epoll(void *arg)
{
	(void)arg;
	return strcmp(weft_engine_name(), "epoll") == 0 ? 0 : 5;
}

static int count_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	int count = 0;

	ck_assert_ptr_nonnull(folder);
	while (readdir(folder))
		count++;
	ck_assert_int_eq(closedir(folder), 0);
	return count;
}

enum { NO_SANDBOX = 77 };

struct refusal {
	long number;
	uint32_t error;
};

/* Returns 0 if all is well, else a number that tells what is not. */
static int run_refused(void *arg)
{
	const struct refusal *refusal = arg;
	struct weft_options uring = { .engine = "uring" };
	int before;

	if (!forbid(refusal->number, refusal->error))
		return NO_SANDBOX;
	before = count_descriptors();
	(void)unsetenv("WEFT_ENGINE");
	if (weft_run(expect_epoll, NULL, NULL) != 0)
		return 1;
	if (weft_run(nothing, NULL, &uring) != WEFT_EENGINE)
		return 2;
	(void)setenv("WEFT_ENGINE", "uring", 1);
	if (weft_run(nothing, NULL, NULL) != WEFT_EENGINE)
		return 3;
	return count_descriptors() == before ? 0 : 4;
}

/* Without io_uring an engine that was not named is epoll, and one that was named is an error. */
static void expect_refusal(long number, uint32_t error)
{
	struct refusal refusal = { number, error };
	struct wf_child child;

	need_uring();
	child = wf_child(run_refused, &refusal);
	if (child.status == NO_SANDBOX)
		wf_skip("the kernel or Valgrind allows no seccomp filter");
	ck_assert_str_eq(child.errors, "");
	ck_assert_int_eq(child.signal, 0);
	ck_assert_int_eq(child.status, 0);
}

/* A sandbox that forbids io_uring. */
WF_TEST(refused_by_a_sandbox)
{
	expect_refusal(SYS_io_uring_setup, EPERM);
}

/* A kernel that does not know it. */
WF_TEST(missing_in_the_kernel)
{
	expect_refusal(SYS_io_uring_setup, ENOSYS);
}

/* A sandbox that allows a ring to be made, and not to be used. */
WF_TEST(ring_that_cannot_be_used)
{
	expect_refusal(SYS_io_uring_enter, EPERM);
	expect_refusal(SYS_io_uring_enter, ENOSYS);
}

/* The error has a name and a sentence. */
WF_TEST(refusal_has_a_sentence)
{
	ck_assert_str_eq(weft_error_name(WEFT_EENGINE), "WEFT_EENGINE");
	ck_assert_uint_gt(strlen(weft_strerror(WEFT_EENGINE)), 20);
}

/* ---- Starting and ending --------------------------------------------------------------------- */

/* Trying the engine out, and using it, leaves no descriptor open. */
WF_TEST(descriptors_are_given_back)
{
	int before = count_descriptors();

	for (int i = 0; i < 20; i++)
		run_on_uring(nothing);
	ck_assert_int_eq(count_descriptors(), before);
}

static int talk(void *arg)
{
	char byte;
	int peer;
	struct weft_conn *conn = open_pair(&peer);
	struct call call = { .conn = conn, .memory = &byte, .bytes = 1 };
	struct weft_scope scope;

	(void)arg;
	weft_scope_open(&scope);
	SPAWN(&scope, call_read, &call);
	rest(1);
	peer_say(peer, "x");
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(call.result, 1);
	weft_close(conn);
	peer_close(peer);
	return 0;
}

/* It needs no memory that is locked. */
WF_TEST(works_without_locked_memory)
{
	struct rlimit none = { 0, 0 };

	need_uring();
	ck_assert_int_eq(setrlimit(RLIMIT_MEMLOCK, &none), 0);
	run_on_uring(talk);
}

/* At the limit on descriptors it says so, wherever that is met, and leaves none open. */
WF_TEST(without_descriptors_it_fails)
{
	struct weft_options options = { .engine = "uring" };
	int highest = dup(0), before = count_descriptors(), room, r = -EMFILE;
	struct rlimit limit;

	need_uring();
	need_honest_limit();
	ck_assert_int_ge(highest, 0);
	ck_assert_int_eq(close(highest), 0);
	before--;
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	for (room = 0; r != 0; room++) {
		struct rlimit few = { (rlim_t)(highest + room), limit.rlim_max };

		ck_assert_int_lt(room, 10);
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
		r = weft_run(nothing, NULL, &options);
		if (r != 0)
			wf_assert_result(r, -EMFILE);
	}
	ck_assert_int_ge(room, 2);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_int_eq(count_descriptors(), before);
}

static int fork_and_exit(void *arg)
{
	struct weft_conn *conn;
	char byte = 0;
	int peer, status;
	pid_t pid;

	(void)arg;
	conn = open_pair(&peer);
	WEFT_DEADLINE(weft_after(WEFT_MILLISECOND))
		wf_assert_result(weft_read(conn, &byte, 1), WEFT_EDEADLINE);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		_exit(0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	peer_say(peer, "x");
	wf_assert_result(weft_read(conn, &byte, 1), 1);
	ck_assert_int_eq(byte, 'x');
	weft_close(conn);
	peer_close(peer);
	return 0;
}

/* A child process that ends leaves the ring as it is. */
WF_TEST(forked_child_disturbs_nothing)
{
	run_on_uring(fork_and_exit);
}

#else

/* A build without liburing has no engine on io_uring, and says so. */
WF_TEST(engine_was_left_out)
{
	wf_skip("built without liburing");
}

#endif

WF_MAIN("io/uring")
