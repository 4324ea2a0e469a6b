/* SPDX-License-Identifier: MIT */
/* The simulated network as a program meets it: descriptors, reports, mishaps, signals. */
#include "io/world.h"

#include "io/watch.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <weft/select.h>
#include <weft/signals.h>
#include <weft/task.h>

/* ---- Descriptors ----------------------------------------------------------------------------- */

/* A descriptor of the real world is none here, and one of another host is none of this one's. */
SIM_TEST(foreign_descriptors)
{
	struct weft_conn *conn;
	struct stat status;
	int fd;

	add_host(latency_ms(10));
	fd = open_at(1);
	be_at(0);
	wf_assert_result(sys->stat(poller, 0, &status), WEFT_ESIMULATED);
	wf_assert_result(weft_conn_from_fd(0, &conn), WEFT_ESIMULATED);
	wf_assert_result(sys->stat(poller, fd, &status), -EBADF);
	wf_assert_result(sys->stat(poller, fd + 1, &status), -EBADF);
	wf_assert_result(sys->stat(poller, -1, &status), -EBADF);
	wf_assert_result(sys->stat(poller, INT32_MAX, &status), -EBADF);
	be_at(1);
	wf_assert_result(sys->stat(poller, fd, &status), 0);
	ck_assert(S_ISSOCK(status.st_mode));
}

/* The lowest free descriptor is the next; a host has so many, and another one others. */
SIM_TEST(descriptors_run_out)
{
	int fds[2], first;

	add_host(latency_ms(10));
	world->net.hosts[0].descriptors_max = 3;
	first = open_at(0);
	wf_assert_result(sys->socket_pair(poller, fds), 0);
	wf_assert_result(sys->socket(poller, AF_INET), -EMFILE);
	close_one(first);
	wf_assert_result(sys->socket_pair(poller, fds), -EMFILE);
	ck_assert_int_eq(open_at(0), first);
	(void)open_at(1);
	ck_assert_uint_eq(sys->descriptors_max(poller), 20000);
	be_at(0);
	ck_assert_uint_eq(sys->descriptors_max(poller), 3);
}

/* Without a descriptor to spare nothing is accepted, and a connection stays in the backlog. */
SIM_TEST(accept_without_descriptors)
{
	int listener = listen_at(0, 9), c = open_at(0);

	world->net.hosts[0].descriptors_max = 2;
	wf_assert_result(accept_one(listener), -EMFILE);
	wf_assert_result(dial_to(c, "127.0.0.1", PORT), -EINPROGRESS);
	wf_assert_result(accept_one(listener), -EMFILE);
	world->net.hosts[0].descriptors_max = 3;
	ck_assert_int_ge(accept_one(listener), 0);
}

/* ---- Reports --------------------------------------------------------------------------------- */

static int read_once(void *arg)
{
	char byte;

	return (int)weft_read(arg, &byte, 1);
}

static void make_conns(struct weft_conn **ret_a, struct weft_conn **ret_b)
{
	int fds[2];

	wf_assert_result(sys->socket_pair(poller, fds), 0);
	wf_assert_result(weft_conn_from_fd(fds[0], ret_a), 0);
	wf_assert_result(weft_conn_from_fd(fds[1], ret_b), 0);
}

/* A report that is due when its descriptor is closed does not reach the next owner of the number. */
SIM_TEST(stale_report)
{
	struct weft_scope scope, next_scope;
	struct weft_conn *a, *b, *c, *d;
	int fd;

	make_conns(&a, &b);
	fd = weft_conn_fd(a);
	weft_scope_open_serving(&scope);
	spawn(&scope, read_once, a);
	settle();
	wf_assert_result(weft_write(b, "x", 1, NULL), 0);
	weft_close(a);
	weft_close(b);
	make_conns(&c, &d);
	ck_assert_int_eq(weft_conn_fd(c), fd);
	weft_scope_open_serving(&next_scope);
	spawn(&next_scope, read_once, c);
	settle();
	ck_assert(!socket_of(fd)->file->readable);
	wf_assert_result(weft_write(d, "x", 1, NULL), 0);
	wf_assert_result(weft_scope_close(&next_scope), 0);
	wf_assert_result(weft_scope_close(&scope), 0);
	weft_close(c);
	weft_close(d);
}

/* The same where the descriptor is closed behind the back of who waits. */
SIM_TEST(report_of_a_closed_descriptor)
{
	struct weft_scope scope;
	struct weft_conn *a, *b;

	make_conns(&a, &b);
	weft_scope_open_serving(&scope);
	spawn(&scope, read_once, a);
	settle();
	wf_assert_result(weft_write(b, "x", 1, NULL), 0);
	sys->close(poller, weft_conn_fd(a));
	ck_assert(wf_list_is_empty(&world->reports));
	weft_close(a);
	wf_assert_result(weft_scope_close(&scope), 0);
	weft_close(b);
}

/* What is there already when a file is first watched is reported. */
SIM_TEST(first_watch)
{
	struct weft_conn *a, *b;

	make_conns(&a, &b);
	wf_assert_result(weft_write(b, "x", 1, NULL), 0);
	wf_assert_result(
		wf_sim_net_watch(&world->ready, &weft_conn_watch(a)->file, WF_WATCH_OUTPUT), 0);
	ck_assert(!wf_list_is_empty(&world->reports));
	weft_close(a);
	weft_close(b);
}

static int write_all(void *arg)
{
	static char bytes[1 << 20];

	return weft_write(arg, bytes, sizeof bytes, NULL);
}

/* A sender that found no room is told when there is some, over and over. */
SIM_TEST(slow_reader)
{
	char buffer[10000];
	struct weft_scope scope;
	struct weft_conn *a, *b;
	size_t done;

	make_conns(&a, &b);
	weft_scope_open(&scope);
	spawn(&scope, write_all, a);
	for (int i = 0; i < (1 << 20) / 1024; i++) {
		wf_assert_result(weft_read_full(b, buffer, 1024, &done), 0);
		settle();
	}
	wf_assert_result(weft_scope_close(&scope), 0);
	weft_close(a);
	weft_close(b);
}

static int wait_for_room(void *arg)
{
	struct weft_case room = weft_case_writable(weft_conn_watch(arg));
	int r = weft_select(&room, 1);

	return r < 0 ? r : room.result;
}

/* So is one that looks for room and finds none, although what it had sent before was taken whole. */
SIM_TEST(looking_for_room)
{
	static char bytes[1 << 20];
	struct weft_scope scope;
	struct weft_conn *a, *b;
	size_t room;

	make_conns(&a, &b);
	room = wf_sim_pipe_room(&socket_of(weft_conn_fd(b))->input);
	ck_assert_uint_le(room, sizeof bytes);
	wf_assert_result(weft_write(a, bytes, room, NULL), 0);
	weft_scope_open(&scope);
	spawn(&scope, wait_for_room, a);
	settle();
	wf_assert_result(weft_read_full(b, bytes, room, NULL), 0);
	wf_assert_result(weft_scope_close(&scope), 0);
	weft_close(a);
	weft_close(b);
}

/* What a report retries is done by the host that it is for. */
SIM_TEST(reports_are_of_a_host)
{
	struct weft_listener *listener;
	struct weft_conn *conn, *accepted;
	struct weft_scope scope;

	add_host(latency_ms(10));
	be_at(1);
	wf_assert_result(weft_listen("0.0.0.0:80", NULL, &listener), 0);
	be_at(0);
	wf_assert_result(weft_dial("10.0.0.2:80", &conn), 0);
	be_at(1);
	wf_assert_result(weft_accept(listener, &accepted), 0);
	weft_scope_open_serving(&scope);
	spawn(&scope, read_once, accepted);
	sleep_ms(1);
	wf_sim_fault_plan(world, (struct wf_sim_fault){
					 .count = world->faults.counts[1][WF_SIM_RECEIVE] + 1,
					 .error = -ETIMEDOUT,
					 .op = WF_SIM_RECEIVE,
					 .host = 1,
				 });
	be_at(0);
	wf_assert_result(weft_write(conn, "x", 1, NULL), 0);
	sleep_ms(20);
	ck_assert_uint_eq(world->faults.record_count, 1);
	be_at(1);
	wf_assert_result(weft_scope_close(&scope), 0);
	weft_close(accepted);
	weft_listener_close(listener);
	be_at(0);
	weft_close(conn);
}

/* ---- Mishaps --------------------------------------------------------------------------------- */

/* The operation of that kind fails that comes after so many others. */
static void fail_after(uint64_t others, enum wf_sim_op op, int error)
{
	wf_sim_fault_plan(world, (struct wf_sim_fault){
					 .count = world->faults.all[op] + others + 1,
					 .error = error,
					 .op = (uint8_t)op,
					 .host = WF_SIM_ANY_HOST,
				 });
}

static void fail_next(enum wf_sim_op op, int error)
{
	fail_after(0, op, error);
}

/* A receive that fails for good has lost the connection, at both ends. */
SIM_TEST(failed_receive)
{
	int c, s;

	add_host(latency_ms(10));
	connect_hosts(&c, &s);
	wf_assert_result(send_text(s, "abc"), 3);
	sleep_ms(11);
	fail_next(WF_SIM_RECEIVE, -EHOSTUNREACH);
	wf_assert_result(receive_some(c), -EHOSTUNREACH);
	wf_assert_result(receive_some(c), 0);
	wf_assert_result(send_text(c, "x"), -EPIPE);
	sleep_ms(11);
	wf_assert_result(receive_some(s), -ECONNRESET);
}

/* The same for a send. */
SIM_TEST(failed_send)
{
	int c, s;

	add_host(latency_ms(10));
	connect_hosts(&c, &s);
	fail_next(WF_SIM_SEND, -EPIPE);
	wf_assert_result(send_text(c, "x"), -EPIPE);
	wf_assert_result(send_text(c, "x"), -EPIPE);
	wf_assert_result(receive_some(c), 0);
	sleep_ms(11);
	wf_assert_result(receive_some(s), -ECONNRESET);
}

/* A failure of the moment changes nothing. */
SIM_TEST(passing_failures)
{
	int c, s;

	add_host(latency_ms(0));
	connect_hosts(&c, &s);
	fail_next(WF_SIM_SEND, -ENOBUFS);
	wf_assert_result(send_text(c, "abc"), -ENOBUFS);
	wf_assert_result(send_text(c, "abc"), 3);
	fail_next(WF_SIM_RECEIVE, -ENOMEM);
	wf_assert_result(receive_some(s), -ENOMEM);
	expect_text(s, "abc");
}

/* A send may be short; the rest goes with the next one. */
SIM_TEST(short_send)
{
	struct iovec pieces[] = { { (char[]){ "abc" }, 3 }, { (char[]){ "def" }, 3 } };
	int c, s;

	add_host(latency_ms(0));
	connect_hosts(&c, &s);
	be_at(0);
	fail_next(WF_SIM_SEND, 4);
	wf_assert_result(sys->send(poller, c, pieces, 2, 0), 4);
	expect_text(s, "abcd");
}

/* After a false alarm there is another report. */
SIM_TEST(false_alarm)
{
	struct weft_conn *a, *b;
	struct weft_scope scope;

	make_conns(&a, &b);
	weft_scope_open_until(&scope, weft_after(WEFT_SECOND));
	spawn(&scope, read_once, a);
	settle();
	fail_next(WF_SIM_RECEIVE, -EAGAIN);
	wf_assert_result(weft_write(b, "x", 1, NULL), 0);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_uint_eq(world->faults.record_count, 1);
	weft_close(a);
	weft_close(b);
}

/* A failure of the network takes the waiting connection with it; one of the system leaves it. */
SIM_TEST(failed_accept)
{
	int listener = listen_at(0, 9), c = open_at(0);

	wf_assert_result(dial_to(c, "127.0.0.1", PORT), -EINPROGRESS);
	fail_next(WF_SIM_ACCEPT, -ENFILE);
	wf_assert_result(accept_one(listener), -ENFILE);
	ck_assert_uint_eq(level(c), EPOLLOUT);
	fail_next(WF_SIM_ACCEPT, -ECONNABORTED);
	wf_assert_result(accept_one(listener), -ECONNABORTED);
	wf_assert_result(accept_one(listener), -EAGAIN);
	wf_assert_result(receive_some(c), -ECONNRESET);
}

/* A connect fails at once, or later, and the other end knows nothing of it. */
SIM_TEST(failed_connect)
{
	int64_t start = now_ms();
	int c, listener;

	add_host(latency_ms(10));
	listener = listen_at(1, 9);
	c = open_at(0);
	fail_next(WF_SIM_CONNECT, -EADDRNOTAVAIL);
	wf_assert_result(dial_to(c, "10.0.0.2", PORT), -EADDRNOTAVAIL);
	fail_next(WF_SIM_CONNECTED, -ECONNREFUSED);
	c = dial_host();
	sleep_ms(21);
	ck_assert_int_eq(error_of(c), ECONNREFUSED);
	fail_next(WF_SIM_CONNECTED, -ETIMEDOUT);
	c = dial_host();
	while (level(c) == 0)
		sleep_ms(100);
	ck_assert_int_eq(error_of(c), ETIMEDOUT);
	ck_assert_int_ge(now_ms() - start, 127000);
	wf_assert_result(accept_one(listener), -EAGAIN);
}

/* Who is told that there is no connection has none, and neither has the other end. */
SIM_TEST(failures_for_want_of_a_connection)
{
	struct sockaddr_storage name;
	socklen_t length;
	int c, s;

	add_host(latency_ms(10));
	connect_hosts(&c, &s);
	be_at(0);
	fail_next(WF_SIM_SHUTDOWN, -ENOTCONN);
	wf_assert_result(sys->shutdown(poller, c), -ENOTCONN);
	wf_assert_result(sys->shutdown(poller, c), -ENOTCONN);
	wf_assert_result(receive_some(c), -ECONNRESET);
	sleep_ms(11);
	wf_assert_result(receive_some(s), -ECONNRESET);

	connect_hosts(&c, &s);
	be_at(0);
	fail_next(WF_SIM_NAME, -ENOTCONN);
	wf_assert_result(sys->name(poller, c, true, &name, &length), -ENOTCONN);
	wf_assert_result(sys->name(poller, c, true, &name, &length), -ENOTCONN);
	wf_assert_result(sys->name(poller, c, false, &name, &length), 0);
	wf_assert_result(receive_some(c), -ECONNRESET);
	sleep_ms(11);
	wf_assert_result(receive_some(s), -ECONNRESET);
}

/* The name of this end can be asked for without a connection: it fails for want of memory only. */
SIM_TEST(own_name_without_a_connection)
{
	struct sockaddr_storage name;
	socklen_t length;
	int c, s;

	add_host(latency_ms(10));
	connect_hosts(&c, &s);
	be_at(0);
	fail_next(WF_SIM_NAME, -ENOTCONN);
	wf_assert_result(sys->name(poller, c, false, &name, &length), -ENOBUFS);
	wf_assert_result(send_text(c, "abc"), 3);
}

/* An interrupted connect goes on by itself. */
SIM_TEST(interrupted_connect)
{
	int c;

	add_host(latency_ms(10));
	(void)listen_at(1, 9);
	c = open_at(0);
	fail_next(WF_SIM_CONNECT, -EINTR);
	wf_assert_result(dial_to(c, "10.0.0.2", PORT), -EINTR);
	sleep_ms(21);
	ck_assert_uint_eq(level(c), EPOLLOUT);
}

/* The descriptor is free, whatever a close says. */
SIM_TEST(failed_close)
{
	int c = open_at(0);

	fail_next(WF_SIM_CLOSE, -EIO);
	close_one(c);
	ck_assert_int_eq(open_at(0), c);
}

/* The calls that just fail do so, and work the next time. */
SIM_TEST(plain_failures)
{
	struct sockaddr_in any = address_of("0.0.0.0", 0);
	struct sockaddr_storage name;
	socklen_t length;
	int c;

	fail_next(WF_SIM_SOCKET, -ENFILE);
	wf_assert_result(sys->socket(poller, AF_INET), -ENFILE);
	c = open_at(0);
	fail_next(WF_SIM_OPTION, -ENOMEM);
	wf_assert_result(sys->set_option(poller, c, SOL_SOCKET, SO_REUSEADDR, 1), -ENOMEM);
	fail_next(WF_SIM_BIND, -EACCES);
	wf_assert_result(sys->bind(poller, c, (struct sockaddr *)&any, sizeof any), -EACCES);
	wf_assert_result(sys->bind(poller, c, (struct sockaddr *)&any, sizeof any), 0);
	fail_next(WF_SIM_LISTEN, -EADDRINUSE);
	wf_assert_result(sys->listen(poller, c, 9), -EADDRINUSE);
	wf_assert_result(sys->listen(poller, c, 9), 0);
	fail_next(WF_SIM_NAME, -ENOBUFS);
	wf_assert_result(sys->name(poller, c, false, &name, &length), -ENOBUFS);
	fail_next(WF_SIM_SHUTDOWN, -ENOBUFS);
	wf_assert_result(sys->shutdown(poller, c), -ENOBUFS);
}

/* What cannot be watched is told to who would wait for it. */
SIM_TEST(failed_watch)
{
	struct weft_conn *a, *b;
	char byte;

	make_conns(&a, &b);
	fail_next(WF_SIM_WATCH, -ENOSPC);
	wf_assert_result(weft_read(a, &byte, 1), -ENOMEM);
	weft_close(a);
	weft_close(b);
}

/* ---- Signals --------------------------------------------------------------------------------- */

static int raise_later(void *arg)
{
	(void)arg;
	sleep_ms(10);
	wf_sim_net_signal(world, 1, SIGUSR1); /* of nobody's set there */
	wf_sim_net_signal(world, 0, SIGTERM);
	wf_sim_net_signal(world, 0, SIGTERM); /* once pending, however often raised */
	wf_sim_net_signal(world, 0, SIGUSR1);
	return 0;
}

/* A signal is read by who has it in a set, on the host where it was raised. */
SIM_TEST(signals)
{
	const int numbers[] = { SIGTERM, SIGUSR1, 0 }, others[] = { SIGTERM, 0 };
	struct weft_signals *here, *there;
	struct weft_scope scope;

	add_host(latency_ms(10));
	be_at(1);
	wf_assert_result(weft_signals_open(others, &there), 0);
	be_at(0);
	wf_assert_result(weft_signals_open(numbers, &here), 0);
	weft_scope_open(&scope);
	spawn(&scope, raise_later, NULL);
	wf_assert_result(weft_signals_wait(here), SIGUSR1);
	wf_assert_result(weft_signals_wait(here), SIGTERM);
	WEFT_DEADLINE(weft_after(WEFT_SECOND))
		wf_assert_result(weft_signals_wait(here), WEFT_EDEADLINE);
	be_at(1);
	WEFT_DEADLINE(weft_after(WEFT_SECOND))
		wf_assert_result(weft_signals_wait(there), WEFT_EDEADLINE);
	weft_signals_close(there);
	wf_assert_result(weft_signals_open(numbers, &there), 0); /* too late for what was raised */
	WEFT_DEADLINE(weft_after(WEFT_SECOND))
		wf_assert_result(weft_signals_wait(there), WEFT_EDEADLINE);
	weft_signals_close(there);
	be_at(0);
	wf_assert_result(weft_scope_close(&scope), 0);
	weft_signals_close(here);
}

/* Reading a signal fails as read(2) of a signalfd does, and then goes on; failed receives are others'. */
SIM_TEST(failed_signals)
{
	const int numbers[] = { SIGTERM, 0 };
	struct weft_signals *signals;
	struct weft_scope scope;

	add_host(latency_ms(10));
	wf_assert_result(weft_signals_open(numbers, &signals), 0);
	fail_next(WF_SIM_RECEIVE, -ECONNRESET);
	fail_next(WF_SIM_READ, -EINTR);
	wf_sim_net_signal(world, 0, SIGTERM);
	wf_assert_result(weft_signals_wait(signals), SIGTERM);
	weft_scope_open_until(&scope, weft_after(WEFT_SECOND));
	spawn(&scope, raise_later, NULL);
	sleep_ms(1);
	fail_after(1, WF_SIM_READ, -EAGAIN); /* the read that follows the report */
	wf_assert_result(weft_signals_wait(signals), SIGTERM);
	ck_assert_uint_eq(world->faults.record_count, 2);
	wf_assert_result(weft_scope_close(&scope), 0);
	weft_signals_close(signals);
}

static int raise_none(void *number)
{
	wf_sim_net_signal(wf_sim_of(wf_worker->poller), 0, *(int *)number);
	return 0;
}

static int raise_in_a_run(void *number)
{
	const struct weft_options options = { .engine = "sim" };

	return weft_run(raise_none, number, &options);
}

/* What is no signal cannot be raised. */
WF_TEST(no_signal)
{
	static int numbers[] = { 0, -1, 65 };

	for (int i = 0; i < 3; i++) {
		struct wf_child child = wf_child(raise_in_a_run, &numbers[i]);

		ck_assert_int_eq(child.signal, SIGABRT);
		ck_assert_ptr_nonnull(strstr(child.errors, "weft_sim_signal"));
	}
}

WF_MAIN("io/sim_net")
