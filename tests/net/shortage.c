/* SPDX-License-Identifier: MIT */
/*
 * A server that runs out of descriptors or memory: it waits, drops nobody who is in the backlog,
 * and goes on when it can. Its clients are another process, with descriptors of their own.
 */
#include "net/peer.h"

#include "io/sim_net.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <weft/park.h>
#include <weft/serve.h>

/* ---- Clients --------------------------------------------------------------------------------- */

/* So many connect at once, send a byte, wait for it to come back; exits with 0 if it did for all. */
static pid_t start_clients(const char *text, int count)
{
	pid_t pid;
	int fds[256];

	wf_need_world("other processes");
	ck_assert_int_le(count, 256);
	(void)fflush(NULL); /* or the child would write it again */
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid > 0)
		return pid;
	for (int i = 0; i < count; i++) {
		fds[i] = peer_dial(text);
		peer_say(fds[i], "q");
	}
	for (int i = 0; i < count; i++) {
		peer_hear(fds[i], "q");
		peer_close(fds[i]);
	}
	_exit(EXIT_SUCCESS);
}

/* Waits for the clients while the server goes on; fails if they do. */
static void wait_for_clients(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, WNOHANG) == 0)
		rest(5);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), EXIT_SUCCESS);
}

/* ---- Descriptors ----------------------------------------------------------------------------- */

struct server {
	char text[WEFT_ADDRESS_TEXT_MAX];
	struct weft_listener *listener;
	struct weft_serve_options options;
	struct weft_scope scope;
	bool hold; /* handlers wait while it is set */
	int running, served;
	weft_time latest_start;
	int result;
};

static int answer(struct weft_conn *conn, void *arg)
{
	struct server *server = arg;
	char byte;
	int r;

	server->running++;
	server->latest_start = weft_now();
	r = weft_read_full(conn, &byte, 1, NULL);
	while (r == 0 && server->hold)
		r = weft_sleep(10 * WEFT_MILLISECOND);
	if (r == 0)
		r = weft_finish(conn, &byte, 1);
	server->running--;
	server->served += r == 0;
	return r;
}

static int serve(void *arg)
{
	struct server *server = arg;

	server->result = weft_serve_listener(server->listener, answer, server, &server->options);
	return 0;
}

/* Leaves room for `more` descriptors beyond those that are open, which may have gaps. */
static void limit_descriptors(int more)
{
	struct rlimit limit;
	int fds[64];

	ck_assert_int_lt(more, 64);
	for (int i = 0; i <= more; i++)
		ck_assert_int_ge(fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), 0);
	for (int i = 0; i <= more; i++)
		peer_close(fds[i]);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = (rlim_t)fds[more];
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static weft_time cpu_used(void)
{
	struct timespec used;

	ck_assert_int_eq(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used), 0);
	return used.tv_sec * WEFT_SECOND + used.tv_nsec;
}

static void start(struct server *server)
{
	weft_scope_open(&server->scope);
	SPAWN(&server->scope, serve, server);
}

static void stop(struct server *server)
{
	weft_scope_stop(&server->scope);
	wf_assert_result(weft_scope_close(&server->scope), 0);
	wf_assert_result(server->result, 0);
}

/* With fewer descriptors than connections_max: while they are all in use the server takes less than
 * a twentieth of the processor, and in the end every client is served. */
WF_TASK_TEST(out_of_descriptors)
{
	struct server server = { .options.connections_max = 1000, .hold = true };
	weft_time cpu;
	pid_t clients;

	need_honest_limit();
	server.listener = wf_listen_loopback(server.text);
	clients = start_clients(server.text, 200);
	limit_descriptors(20);
	start(&server);
	while (server.running < 20)
		rest(5);
	cpu = cpu_used();
	rest(1000);
	cpu = cpu_used() - cpu;
	ck_assert_int_eq(server.running, 20);
	ck_assert_int_lt(cpu, WEFT_SECOND / 20);
	server.hold = false;
	wait_for_clients(clients);
	ck_assert_int_eq(server.served, 200);
	stop(&server);
}

/* When a descriptor comes free, accepting begins again within 100 ms; the best of three. */
WF_TASK_TEST(descriptor_comes_free)
{
	weft_time best = WEFT_FOREVER;
	struct rlimit before;

	need_honest_limit();
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	for (int i = 0; i < 3; i++) {
		struct server server = { .options.connections_max = 1000, .hold = true };
		weft_time freed;
		int spare = dup(STDOUT_FILENO);
		pid_t clients;

		server.listener = wf_listen_loopback(server.text);
		clients = start_clients(server.text, 5);
		limit_descriptors(3);
		start(&server);
		while (server.running < 3)
			rest(5);
		rest(50);
		ck_assert_int_eq(server.running, 3);
		freed = weft_now();
		peer_close(spare);
		while (server.running < 4)
			rest(1);
		freed = server.latest_start - freed;
		best = freed < best ? freed : best;
		server.hold = false;
		wait_for_clients(clients);
		stop(&server);
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	}
	ck_assert_int_lt(best, 100 * WEFT_MILLISECOND);
}

/* A stop is heard while there is no descriptor. */
WF_TASK_TEST(stop_without_a_descriptor)
{
	struct server server = { .options.connections_max = 1000 };
	weft_time took;
	int peer;

	server.listener = wf_listen_loopback(server.text);
	peer = peer_dial(server.text);
	limit_descriptors(0);
	start(&server);
	rest(50);
	ck_assert_int_eq(server.running, 0);
	took = weft_now();
	stop(&server);
	ck_assert_int_lt(weft_now() - took, WEFT_SECOND);
	peer_close(peer);
}

/* ---- Descriptors that are somebody else's ----------------------------------------------------- */

/* Descriptors that are open, looked for where this process has them. */
static int open_descriptors(void)
{
	int first = wf_is_simulated() ? WF_SIM_FD : 0, count = 0;

	for (int fd = first; fd < first + 512; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* Beyond the connections that there may be: one that is on its way, and what belongs to the test. */
enum { A_FEW = 3 };

/* A server with so much room is dialled by more, and holds them for a while. At no time are there more
 * descriptors than connections_max, but for a few; and all who waited are served. */
static void check_flood(struct server *server, int max, int clients)
{
	int before, most = 0, status;
	pid_t pid;

	before = open_descriptors();
	pid = start_clients(server->text, clients);
	start(server);
	for (int i = 0; i < 2000 && server->running < max; i++)
		rest(1);
	for (int i = 0; i < 50; i++) {
		int now = open_descriptors();

		ck_assert_int_le(server->running, max);
		most = now > most ? now : most;
		rest(1);
	}
	ck_assert_int_eq(server->running, max);
	server->hold = false;
	while (waitpid(pid, &status, WNOHANG) == 0) {
		int now = open_descriptors();

		ck_assert_int_le(server->running, max);
		most = now > most ? now : most;
		rest(1);
	}
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), EXIT_SUCCESS);
	ck_assert_int_eq(server->served, clients);
	ck_assert_int_le(most - before, max + A_FEW);
	stop(server);
}

/* Listens with a backlog so small that a server has room for accepting ahead. */
static void listen_shortly(struct server *server, int backlog)
{
	const struct weft_listen_options options = { .backlog = backlog };
	struct weft_address address;

	wf_assert_result(weft_listen("127.0.0.1:0", &options, &server->listener), 0);
	wf_assert_result(weft_listener_address(server->listener, &address), 0);
	(void)weft_address_format(&address, server->text);
}

/* A flood of connections takes no more descriptors than connections_max, and a few. */
WF_TASK_TEST(flood_keeps_to_the_limit)
{
	struct server server = { .options.connections_max = 5, .hold = true };

	server.listener = wf_listen_loopback(server.text);
	check_flood(&server, 5, 100);
}

/* So it is with room for more than the backlog holds, where the engine may accept ahead. */
WF_TASK_TEST(flood_keeps_to_the_limit_when_accepted_ahead)
{
	enum { MAX = 80, BACKLOG = 64 };
	struct server server = { .options.connections_max = MAX, .hold = true };

	listen_shortly(&server, BACKLOG);
	check_flood(&server, MAX, MAX + BACKLOG - 4);
}

/* The default leaves some of the descriptors that the process may have to the program, also in a flood:
 * with a large backlog and with a small one. */
WF_TASK_TEST(flood_leaves_descriptors_to_the_program)
{
	enum { LIMIT = 128, MAX = LIMIT - 64, BACKLOG = 40 };
	struct rlimit before, limit;

	need_honest_limit();
	wf_need_world("other processes");
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	limit = before;
	limit.rlim_cur = LIMIT;
	for (int ahead = 0; ahead < 2; ahead++) {
		struct server server = { .hold = true };

		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
		if (ahead)
			listen_shortly(&server, BACKLOG);
		else
			server.listener = wf_listen_loopback(server.text);
		check_flood(&server, MAX, MAX + BACKLOG - 4);
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	}
}

/* ---- Closing while they come ------------------------------------------------------------------ */

enum { WATCHES = 40, EACH = 5 };

static int ignore(struct weft_watch *watch, int why, void *arg)
{
	(void)watch;
	(void)why;
	(void)arg;
	return 0;
}

/* A watched connection, and its other end. */
struct watched {
	struct weft_conn *conn;
	int peer;
};

static void watch_all(struct watched *watched, struct weft_lot *lot)
{
	for (int i = 0; i < WATCHES; i++) {
		watched[i].conn = open_pair(&watched[i].peer);
		wf_assert_result(weft_park(lot, weft_conn_watch(watched[i].conn)), 0);
	}
}

/* Begins to connect: beyond the backlog the kernel lets a client wait. */
static int knock(const struct weft_address *address)
{
	int fd = peer_socket(address);

	ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	if (connect(fd, (const struct sockaddr *)(const void *)address->storage.bytes,
		    address->length) < 0)
		ck_assert(errno == EINPROGRESS || errno == EINTR);
	return fd;
}

/* Some knock before each close, which enters the kernel though the task does not wait. Returns the most
 * descriptors that were open meanwhile, apart from those of the peers and the watched. */
static int close_while_they_knock(struct watched *watched, const struct weft_address *address,
				  int *ret_peers)
{
	int most = 0, before = 2 * WATCHES;

	for (int i = 0; i < WATCHES; i++) {
		int now;

		for (int j = 0; j < EACH; j++, before++)
			*ret_peers++ = knock(address);
		(void)usleep(
			300); /* the kernel's part of connecting, while this worker has no turn */
		weft_close(watched[i].conn);
		before--;
		now = open_descriptors() - before;
		most = now > most ? now : most;
	}
	return most;
}

static void expect_no_reset(int *peers)
{
	char byte;

	for (int i = 0; i < WATCHES * EACH; i++) {
		ck_assert_int_eq(recv(peers[i], &byte, 1, MSG_DONTWAIT), -1);
		ck_assert_int_eq(errno, EAGAIN);
	}
}

/* Closing what is watched lets the engine accept in the middle of a task's turn: also then it keeps to
 * connections_max and a few, and drops nobody whom it has accepted. */
WF_TASK_TEST(closing_keeps_to_the_limit)
{
	enum { MAX = 40, BACKLOG = 4 };
	struct server server = { .options = { .connections_max = MAX, .parks = true } };
	int before, most, peers[WATCHES * EACH];
	struct watched watched[WATCHES];
	struct weft_address address;
	struct weft_scope scope;
	struct weft_lot *lot;

	need_descriptors(512);
	weft_scope_open(&scope);
	wf_assert_result(weft_lot_open(&scope, ignore, NULL, WEFT_FOREVER, &lot), 0);
	listen_shortly(&server, BACKLOG);
	wf_assert_result(weft_listener_address(server.listener, &address), 0);
	before = open_descriptors();
	watch_all(watched, lot);
	start(&server);
	rest(20);
	most = close_while_they_knock(watched, &address, peers);
	ck_assert_int_le(most - before, MAX + A_FEW);
	rest(50);
	expect_no_reset(peers);
	stop(&server);
	wf_assert_result(weft_scope_close(&scope), 0);
	for (int i = 0; i < WATCHES * EACH; i++)
		peer_close(peers[i]);
	for (int i = 0; i < WATCHES; i++)
		peer_close(watched[i].peer);
}

/* Out of descriptors, accepting ahead loses nobody either: all are served when there is room. */
WF_TASK_TEST(out_of_descriptors_ahead)
{
	struct server server = { .options.connections_max = 1000, .hold = true };
	pid_t clients;

	need_honest_limit();
	listen_shortly(&server, 30);
	clients = start_clients(server.text, 40);
	limit_descriptors(20);
	start(&server);
	for (int i = 0; i < 2000 && server.running < 20; i++)
		rest(1);
	ck_assert_int_eq(server.running, 20);
	rest(50);
	server.hold = false;
	wait_for_clients(clients);
	ck_assert_int_eq(server.served, 40);
	stop(&server);
}

/* ---- Memory ---------------------------------------------------------------------------------- */

struct thirst {
	struct wf_tally tally;
	unsigned long nth; /* of the server's calls for memory fails */
	bool reached;
};

enum { CLIENTS = 40 };

static int serve_with_one_failure(void *arg)
{
	struct thirst *thirst = arg;
	struct server server = { 0 };
	int peers[CLIENTS];

	server.listener = wf_listen_loopback(server.text);
	for (int i = 0; i < CLIENTS; i++) {
		peers[i] = peer_dial(server.text);
		peer_say(peers[i], "q");
	}
	weft_scope_open(&server.scope);
	SPAWN(&server.scope, serve, &server);
	thirst->tally.fails_at = thirst->tally.calls + thirst->nth;
	while (server.served < CLIENTS && server.result == 0)
		rest(1);
	thirst->reached = thirst->tally.calls >= thirst->tally.fails_at;
	thirst->tally.fails_at = 0;
	weft_scope_stop(&server.scope);
	wf_assert_result(weft_scope_close(&server.scope), 0);
	if (server.result < 0) { /* not even the server itself could be started */
		wf_assert_result(server.result, -ENOMEM);
		ck_assert_int_eq(server.served, 0);
	}
	for (int i = 0; i < CLIENTS; i++) {
		if (server.result == 0)
			peer_hear(peers[i], "q");
		peer_close(peers[i]);
	}
	return 0;
}

/* Each single request for memory fails once: the server serves every client all the same, unless it
 * had not begun. */
WF_TEST(out_of_memory_once)
{
	struct thirst thirst = { .reached = true };
	struct weft_options options = { .allocator = wf_tally_allocator(&thirst.tally) };

	for (thirst.nth = 1; thirst.reached; thirst.nth++) {
		wf_assert_result(weft_run(serve_with_one_failure, &thirst, &options), 0);
		ck_assert_uint_eq(thirst.tally.blocks, 0);
	}
	ck_assert_uint_gt(thirst.nth, CLIENTS); /* each connection took memory */
}

static bool is_short;

static void *resize_unless_short(void *user, void *block, size_t old_bytes, size_t new_bytes)
{
	return new_bytes && is_short ? NULL : wf_tally_resize(user, block, old_bytes, new_bytes);
}

/* A connection that has nothing to do with the server, and its peer. */
static int hear_for_a_while(void *arg)
{
	struct call *call = arg;

	while (call->done < 5 && weft_read(call->conn, call->memory, 1) == 1)
		call->done++;
	return 0;
}

static int accept_without_memory(void *arg)
{
	enum { DIALLED = 10 };
	bool ahead = *(bool *)arg;
	struct server server = { .options.connections_max = 1000 };
	char byte;
	struct call call = { .memory = &byte };
	struct weft_scope scope;
	struct weft_stats before, after;
	int peer, peers[DIALLED];

	if (ahead)
		listen_shortly(&server, 30);
	else
		server.listener = wf_listen_loopback(server.text);
	call.conn = open_pair(&peer);
	weft_scope_open(&scope);
	SPAWN(&scope, hear_for_a_while, &call);
	start(&server);
	rest(5);
	is_short = true;
	for (int i = 0; i < DIALLED; i++) {
		peers[i] = peer_dial(server.text);
		peer_say(peers[i], "q");
	}
	rest(5);
	wf_assert_result(weft_stats(&before), 0);
	for (size_t i = 1; i <= 5; i++) {
		peer_say(peer, "x");
		rest(20);
		ck_assert_uint_eq(call.done, i);
	}
	wf_assert_result(weft_stats(&after), 0);
	is_short = false;
	ck_assert_uint_lt(after.turns - before.turns, 500);
	for (int i = 0; i < 1000 && server.served < DIALLED; i++)
		rest(1);
	for (int i = 0; i < DIALLED; i++) {
		peer_hear(peers[i], "q");
		peer_close(peers[i]);
	}
	stop(&server);
	wf_assert_result(weft_scope_close(&scope), 0);
	weft_close(call.conn);
	peer_close(peer);
	return 0;
}

/* While there is no memory to accept with, the other connections go on, the worker does not spin, and
 * those who came meanwhile are served afterwards. */
WF_TEST(accepting_without_memory_stops_nobody)
{
	for (int ahead = 0; ahead < 2; ahead++) {
		struct wf_tally tally = { 0 };
		struct weft_options options = { .allocator = { resize_unless_short, &tally } };
		bool is_ahead = ahead;

		wf_assert_result(weft_run(accept_without_memory, &is_ahead, &options), 0);
		ck_assert_uint_eq(tally.blocks, 0);
	}
}

static int hold_for_ever(struct weft_conn *conn, void *arg)
{
	int r = weft_sleep(WEFT_FOREVER);

	(void)conn;
	(void)arg;
	return r;
}

static int serve_holding(void *arg)
{
	struct server *server = arg;

	server->result =
		weft_serve_listener(server->listener, hold_for_ever, NULL, &server->options);
	return 0;
}

static int stop_without_tasks(void *arg)
{
	struct server server = { .options.grace_ns = 20 * WEFT_MILLISECOND };
	int peers[20];

	(void)arg;
	server.listener = wf_listen_loopback(server.text);
	for (int i = 0; i < 20; i++)
		peers[i] = peer_dial(server.text);
	weft_scope_open(&server.scope);
	SPAWN(&server.scope, serve_holding, &server);
	rest(50);
	stop(&server);
	for (int i = 0; i < 20; i++)
		peer_close(peers[i]);
	return 0;
}

/* A soft stop is heard while a connection waits for a task that the limit does not allow, and is
 * still a soft stop when the grace period ends. */
WF_TEST(stop_without_a_task)
{
	struct weft_options options = { .tasks_max = 8 };

	wf_assert_result(weft_run(stop_without_tasks, NULL, &options), 0);
}

WF_MAIN("net/shortage")
