/* SPDX-License-Identifier: MIT */
/* The engine, through what connections and sleeps see of it. */
#include "net/full.h"
#include "net/peer.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <weft/event.h>

/* ---- Events that come too late --------------------------------------------------------------- */

/* Has the engine watch a connection, by waiting for input that does not come. */
static void have_watched(struct weft_conn *conn)
{
	char byte;
	ssize_t n = 0;

	WEFT_DEADLINE(weft_after(WEFT_MILLISECOND))
		n = weft_read(conn, &byte, 1);
	wf_assert_result(n, WEFT_EDEADLINE);
}

/* Dials a listener that does not answer, on the descriptor that is free next, and says whether it
 * was woken by anything but the deadline. */
static void check_that_dial_waits(const char *text, int number)
{
	struct weft_conn *conn;
	int r = 0;

	ck_assert_int_eq(fcntl(number, F_GETFD), -1); /* it is the lowest free one */
	WEFT_DEADLINE(weft_after(20 * WEFT_MILLISECOND))
		r = weft_dial(text, &conn);
	wf_assert_result(r, WEFT_EDEADLINE);
}

/* A descriptor is closed while an event for it is under way, and lives on as a duplicate; its
 * number goes to a connection that is being made. The event does not reach that one: it would take
 * it for connected. */
WF_TASK_TEST(event_under_way_misses_the_next_owner_of_the_number)
{
	struct full_listener full;
	struct weft_conn *conn;
	int peer, number, copy;

	open_full_listener(&full);
	conn = open_pair(&peer);
	number = weft_conn_fd(conn);
	have_watched(conn);
	copy = dup(number);
	peer_close(peer); /* the event: a hang-up */
	weft_close(conn);
	check_that_dial_waits(full.text, number);
	peer_close(copy);
	close_full_listener(&full);
}

struct hang_up {
	int peer;
	int after_ms;
};

static int hang_up_later(void *arg)
{
	struct hang_up *hang_up = arg;

	rest(hang_up->after_ms);
	peer_close(hang_up->peer);
	return 0;
}

/* The same for an event that comes when the number has its new owner: the kernel goes on watching
 * what has a duplicate. */
WF_TASK_TEST(duplicate_reports_to_nobody)
{
	struct hang_up hang_up = { .after_ms = 5 };
	struct full_listener full;
	struct weft_scope scope;
	struct weft_conn *conn;
	int number, copy;

	open_full_listener(&full);
	conn = open_pair(&hang_up.peer);
	number = weft_conn_fd(conn);
	have_watched(conn);
	copy = dup(number);
	weft_close(conn);
	weft_scope_open(&scope);
	SPAWN(&scope, hang_up_later, &hang_up);
	check_that_dial_waits(full.text, number);
	wf_assert_result(weft_scope_close(&scope), 0);
	peer_close(copy);
	close_full_listener(&full);
}

/* A connection closed here lives on by its duplicate, and what is sent to it is still there. */
WF_TASK_TEST(duplicate_keeps_its_input)
{
	struct weft_conn *conn;
	int peer, copy;

	conn = open_pair(&peer);
	have_watched(conn);
	copy = dup(weft_conn_fd(conn));
	weft_close(conn);
	peer_say(peer, "for the copy");
	rest(1);
	peer_hear(copy, "for the copy");
	peer_close(copy);
	peer_close(peer);
}

/* A duplicate can become a connection under the number that the closed one had, which the kernel
 * still watches. */
WF_TASK_TEST(duplicate_takes_the_number_again)
{
	struct weft_conn *conn;
	int peer, number, copy;

	conn = open_pair(&peer);
	number = weft_conn_fd(conn);
	have_watched(conn);
	copy = dup(number);
	weft_close(conn);
	ck_assert_int_eq(dup(copy), number);
	wf_assert_result(weft_conn_from_fd(number, &conn), 0);
	have_watched(conn);
	weft_close(conn);
	peer_close(copy);
	peer_close(peer);
}

/* A number that is reused ten thousand times is watched anew each time. */
WF_TASK_TEST(reused_numbers_are_watched_anew)
{
	for (int round = 0; round < 10000; round++) {
		struct weft_scope scope;
		unsigned char byte = 0;
		struct call call = { .memory = &byte, .bytes = 1 };
		int peer;

		call.conn = open_pair(&peer);
		weft_scope_open(&scope);
		SPAWN(&scope, call_read, &call);
		wf_assert_result(weft_yield(), 0);
		if (round % 3 == 0)
			peer_close(peer);
		else
			peer_send(peer, &(unsigned char){ byte_at((size_t)round) }, 1);
		wf_assert_result(weft_scope_close(&scope), 0);
		wf_assert_result(call.result, round % 3 != 0);
		ck_assert_uint_eq(byte, round % 3 ? byte_at((size_t)round) : 0);
		weft_close(call.conn);
		if (round % 3)
			peer_close(peer);
	}
}

/* ---- Many events, and none ------------------------------------------------------------------- */

/* More descriptors than the kernel reports at once become ready in one turn: all tasks wake. */
WF_TASK_TEST(six_hundred_are_ready_at_once)
{
	enum { COUNT = 600 };
	static struct call calls[COUNT];
	static char bytes[COUNT];
	static int peers[COUNT];
	struct weft_scope scope;

	need_descriptors(COUNT * 2 + 100);
	weft_scope_open(&scope);
	for (int i = 0; i < COUNT; i++) {
		calls[i] = (struct call){ open_pair(&peers[i]), &bytes[i], 1, 0, 0, false };
		SPAWN(&scope, call_read, &calls[i]);
	}
	rest(1);
	for (int i = 0; i < COUNT; i++)
		peer_send(peers[i], &(char){ (char)i }, 1);
	wf_assert_result(weft_scope_close(&scope), 0);
	for (int i = 0; i < COUNT; i++) {
		ck_assert_int_eq(calls[i].result, 1);
		ck_assert_int_eq(bytes[i], (char)i);
		weft_close(calls[i].conn);
		peer_close(peers[i]);
	}
}

static int count_runs(void *arg)
{
	int *runs = arg;

	while (*runs >= 0) {
		++*runs;
		wf_assert_result(weft_yield(), 0);
	}
	return 0;
}

/* Operations that never have to wait let others run all the same: a task that only wants to run,
 * and one whose input the engine must notice first. */
WF_TASK_TEST(ready_operations_starve_nobody)
{
	enum { OPERATIONS = 64 * 1000 };
	char byte, other;
	struct call call = { .memory = &other, .bytes = 1 };
	struct weft_scope scope;
	struct weft_conn *conn;
	int runs = 0, seen_after = 0, peer, other_peer;

	conn = open_pair(&peer);
	call.conn = open_pair(&other_peer);
	weft_scope_open(&scope);
	SPAWN(&scope, count_runs, &runs);
	SPAWN(&scope, call_read, &call);
	rest(1);
	runs = 0;
	peer_say(other_peer, "x");
	for (int i = 0; i < OPERATIONS; i++) {
		peer_say(peer, "y");
		ck_assert_int_eq(weft_read(conn, &byte, 1), 1);
		seen_after += !call.ended;
	}
	ck_assert_int_ge(runs, OPERATIONS / 100);
	ck_assert_int_lt(seen_after, OPERATIONS / 2);
	runs = -1;
	wf_assert_result(weft_scope_close(&scope), 0);
	weft_close(conn);
	weft_close(call.conn);
	peer_close(peer);
	peer_close(other_peer);
}

static weft_time cpu_used(void)
{
	struct timespec used;

	ck_assert_int_eq(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used), 0);
	return used.tv_sec * WEFT_SECOND + used.tv_nsec;
}

static uint64_t turns(void)
{
	struct weft_stats stats;

	wf_assert_result(weft_stats(&stats), 0);
	return stats.turns;
}

/* A process whose tasks all wait has no tick and uses no processor; the timer wheel looks a few
 * times on the way to a far deadline. */
WF_TASK_TEST(idle_costs_nothing)
{
	char byte, text[WEFT_ADDRESS_TEXT_MAX];
	struct weft_listener *listener = wf_listen_loopback(text);
	struct call call = { .memory = &byte, .bytes = 1 };
	struct weft_scope scope;
	weft_time cpu;
	uint64_t before;
	int peer;

	call.conn = open_pair(&peer);
	weft_scope_open(&scope);
	SPAWN(&scope, call_read, &call);
	rest(5);
	before = turns();
	cpu = cpu_used();
	rest(200);
	ck_assert_uint_le(turns() - before, 8);
	ck_assert_int_lt(cpu_used() - cpu, 20 * WEFT_MILLISECOND);
	weft_scope_cancel(&scope);
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
	weft_close(call.conn);
	weft_listener_close(listener);
	peer_close(peer);
}

/* Has the kernel refuse epoll_pwait2 as a sandbox does that does not know it; false if it cannot. */
static bool forbid_pwait2(void)
{
	struct sock_filter steps[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_epoll_pwait2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof steps / sizeof *steps, steps };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 &&
	       syscall(SYS_epoll_pwait2, -1, NULL, 0, NULL, NULL, 0) < 0 && errno == EPERM;
}

static int sleep_in_few_turns(void *arg)
{
	weft_time start = weft_now();
	uint64_t before = turns();

	rest(100);
	ck_assert_int_ge(weft_now() - start, 100 * WEFT_MILLISECOND);
	ck_assert_uint_lt(turns() - before, 20);
	return arg != NULL;
}

enum { NO_SANDBOX = 77 };

static int sleep_in_a_sandbox(void *arg)
{
	if (!forbid_pwait2())
		return NO_SANDBOX;
	return weft_run(sleep_in_few_turns, arg, NULL) != 0;
}

/* Where epoll_pwait2 is refused, not missing, the engine sleeps all the same: it does not spin. */
WF_TEST(refused_pwait2_does_not_spin)
{
	struct wf_child child = wf_child(sleep_in_a_sandbox, NULL);

	if (child.status == NO_SANDBOX)
		wf_skip("the kernel or Valgrind allows no seccomp filter");
	ck_assert_str_eq(child.errors, "");
	ck_assert_int_eq(child.status, 0);
}

struct knock {
	char text[WEFT_ADDRESS_TEXT_MAX];
	weft_time at;
	int fd;
};

static void *knock_later(void *arg)
{
	struct knock *knock = arg;

	(void)usleep(20 * 1000);
	knock->at = clock_ns();
	knock->fd = peer_dial(knock->text);
	return NULL;
}

/* An idle listener notices a connection at once; the best of five tries, for other programs may
 * keep the processor. */
WF_TASK_TEST(idle_listener_accepts_at_once)
{
	weft_time best = WEFT_FOREVER;
	struct knock knock;
	struct weft_listener *listener = wf_listen_loopback(knock.text);

	wf_need_world("threads");
	for (int i = 0; i < 5; i++) {
		struct weft_conn *conn;
		weft_time took;
		pthread_t thread;

		ck_assert_int_eq(pthread_create(&thread, NULL, knock_later, &knock), 0);
		wf_assert_result(weft_accept(listener, &conn), 0);
		took = weft_now();
		ck_assert_int_eq(pthread_join(thread, NULL), 0);
		took -= knock.at;
		best = took < best ? took : best;
		weft_close(conn);
		peer_close(knock.fd);
	}
	ck_assert_int_lt(best, 5 * WEFT_MILLISECOND);
	weft_listener_close(listener);
}

/* ---- Marks in a stream ----------------------------------------------------------------------- */

/* Sends two bytes and a descriptor with them. */
static void send_with_descriptor(int peer, const char bytes[2], int fd)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof fd)];
	} control = { .room = { 0 } };
	struct iovec piece = { (void *)(uintptr_t)bytes, 2 };
	struct msghdr message = { .msg_iov = &piece,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof control };

	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
	ck_assert_int_eq(sendmsg(peer, &message, 0), 2);
}

/* Reads a text, which is there already, and does not wait for more to come. */
static void read_without_stalling(struct weft_conn *conn, const char *text)
{
	char heard[16] = "";
	size_t done = 0;

	WEFT_DEADLINE(weft_after(2 * WEFT_SECOND))
		while (done < strlen(text)) {
			ssize_t n = weft_read(conn, heard + done, sizeof heard - done);

			ck_assert_msg(n > 0, "after \"%s\" the result is %s", heard,
				      weft_error_name((int)n));
			done += (size_t)n;
		}
	ck_assert_str_eq(heard, text);
}

/* The kernel ends a receive at bytes that brought a descriptor along; what follows them is read,
 * though no event tells of it: it came with the same one. The descriptor is dropped. */
WF_TASK_TEST(descriptors_in_the_stream_stall_nobody)
{
	int peer;
	struct weft_conn *conn = open_pair(&peer);

	wf_need_world("descriptors in a stream");
	have_watched(conn);
	for (int round = 0; round < 3; round++) {
		send_with_descriptor(peer, "ab", peer);
		peer_say(peer, "cd");
		send_with_descriptor(peer, "ef", peer);
		peer_say(peer, "gh");
		read_without_stalling(conn, "abcdefgh");
	}
	weft_close(conn);
	peer_close(peer);
}

/* The same at urgent data, where a receive ends, too; the urgent byte itself is not in the stream. On
 * io_uring what lies behind the mark may come with the next input only (io/uring.c). */
WF_TASK_TEST(urgent_data_stalls_nobody)
{
	bool at_next_input = strcmp(weft_engine_name(), "uring") == 0;
	int peer;
	struct weft_conn *conn = open_tcp_pair(&peer);

	wf_need_world("urgent data");
	have_watched(conn);
	for (int round = 0; round < 3; round++) {
		peer_say(peer, "ab");
		ck_assert_int_eq(send(peer, "!", 1, MSG_OOB), 1);
		peer_say(peer, "cd");
		if (at_next_input) {
			read_without_stalling(conn, "ab");
			peer_say(peer, "ef");
		}
		read_without_stalling(conn, at_next_input ? "cdef" : "abcd");
	}
	weft_close(conn);
	peer_close(peer);
}

/* ---- Wakes ----------------------------------------------------------------------------------- */

/* An event without input, because somebody else took it, wakes nobody. */
WF_TASK_TEST(event_in_vain_wakes_nobody)
{
	char byte = 0;
	struct call call = { .memory = &byte, .bytes = 1 };
	struct weft_scope scope;
	int peer;

	call.conn = open_pair(&peer);
	weft_scope_open(&scope);
	SPAWN(&scope, call_read, &call);
	rest(1);
	peer_say(peer, "x");
	peer_hear(weft_conn_fd(call.conn), "x");
	rest(5);
	ck_assert(!call.ended);
	peer_say(peer, "y");
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_int_eq(call.result, 1);
	ck_assert_int_eq(byte, 'y');
	weft_close(call.conn);
	peer_close(peer);
}

struct poster {
	struct weft_worker *worker;
	struct weft_event event;
	int count, posts;
};

static void count_post(void *arg)
{
	struct poster *poster = arg;

	if (++poster->count == poster->posts)
		weft_event_set(&poster->event);
}

static void *post_later(void *arg)
{
	struct poster *poster = arg;

	for (int i = 0; i < poster->posts; i++) {
		(void)usleep(i % 8 ? 0 : 1000);
		wf_assert_result(weft_post(poster->worker, count_post, poster), 0);
	}
	return NULL;
}

/* A post wakes a worker that sleeps with no deadline at all; many do, and each is run. */
WF_TASK_TEST(posts_wake_the_worker)
{
	struct poster poster = { weft_worker_self(), WEFT_EVENT_INIT, 0, 400 };
	pthread_t thread;

	wf_need_world("threads");
	ck_assert_int_eq(pthread_create(&thread, NULL, post_later, &poster), 0);
	wf_assert_result(weft_event_wait(&poster.event), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(poster.count, poster.posts);
}

/* Wakes without a reason disturb no operation. */
WF_TASK_TEST(wakes_disturb_no_operation)
{
	struct poster poster = { weft_worker_self(), WEFT_EVENT_INIT, 0, 100 };
	char byte;
	struct call call = { .memory = &byte, .bytes = 1 };
	struct weft_scope scope;
	pthread_t thread;
	int peer;

	wf_need_world("threads");
	call.conn = open_pair(&peer);
	weft_scope_open(&scope);
	SPAWN(&scope, call_read, &call);
	ck_assert_int_eq(pthread_create(&thread, NULL, post_later, &poster), 0);
	wf_assert_result(weft_event_wait(&poster.event), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert(!call.ended);
	peer_say(peer, "x");
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_int_eq(call.result, 1);
	weft_close(call.conn);
	peer_close(peer);
}

static void ignore(int number)
{
	(void)number;
}

static void *interrupt_often(void *arg)
{
	for (int i = 0; i < 10; i++) {
		(void)usleep(1000);
		ck_assert_int_eq(pthread_kill(*(pthread_t *)arg, SIGUSR1), 0);
	}
	return NULL;
}

/* Signal handlers that run meanwhile end no wait, and no sleep early. */
WF_TASK_TEST(signal_handlers_end_no_wait)
{
	struct sigaction action = { .sa_handler = ignore };
	pthread_t self = pthread_self(), thread;
	weft_time start = weft_now();

	wf_need_world("threads");
	ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, interrupt_often, &self), 0);
	rest(50);
	ck_assert_int_ge(weft_now() - start, 50 * WEFT_MILLISECOND);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

WF_MAIN("io/epoll")
