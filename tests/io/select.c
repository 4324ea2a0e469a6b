/* SPDX-License-Identifier: MIT */
/* Descriptors as cases of a select; the other cases are those of tests/core/select.c. */
#include <weft/select.h>

#include "core/common.h"
#include "harness/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <weft/chan.h>
#include <weft/event.h>
#include <weft/park.h>
#include <weft/run.h>

static struct weft_event event;
static struct weft_case cases[2];
static int result;

static int select_both(void *arg)
{
	(void)arg;
	result = weft_select(cases, 2);
	return 0;
}

/* A pair of sockets that do not block, with a watch of one end. */
static struct weft_watch *open_pair(int fds[2])
{
	struct weft_watch *watch;

	wf_socketpair(fds);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(fcntl(fds[i], F_SETFL, O_NONBLOCK), 0);
	wf_assert_result(weft_watch_open(fds[0], NULL, &watch), 0);
	return watch;
}

static void close_pair(struct weft_watch *watch, const int fds[2])
{
	weft_watch_close(watch);
	(void)close(fds[0]);
	(void)close(fds[1]);
}

static void write_byte(int fd)
{
	ck_assert_int_eq(write(fd, "x", 1), 1);
}

static void read_byte(int fd)
{
	char byte;

	ck_assert_int_eq(read(fd, &byte, 1), 1);
}

/* Writes until there is no room. */
static void fill(int fd)
{
	static char much[65536];

	while (write(fd, much, sizeof much) > 0)
		continue;
	ck_assert_int_eq(errno, EAGAIN);
}

/* Reads until there is nothing. */
static void drain(int fd)
{
	static char much[65536];

	while (read(fd, much, sizeof much) > 0)
		continue;
	ck_assert_int_eq(errno, EAGAIN);
}

/* Starts the select of `cases` in a task, and lets it wait. */
static void start(struct weft_scope *scope)
{
	result = -EAGAIN;
	weft_scope_open(scope);
	spawn(scope, select_both, NULL);
	settle();
	wf_assert_result(result, -EAGAIN);
}

/* ---- What is refused ------------------------------------------------------------------------- */

static int ignore(struct weft_watch *watch, int why, void *arg)
{
	(void)watch, (void)why, (void)arg;
	return 0;
}

/* What is parked cannot be waited for, and what is waited for not parked. */
WF_TASK_TEST(parked_is_busy)
{
	int fds[2];
	struct weft_watch *watch = open_pair(fds);
	struct weft_scope scope;
	struct weft_lot *lot;

	cases[0] = weft_case_readable(watch);
	cases[1] = weft_case_event(&event);
	start(&scope);
	wf_assert_result(weft_lot_open(&scope, ignore, NULL, WEFT_FOREVER, &lot), 0);
	wf_assert_result(weft_park(lot, watch), -EBUSY);
	weft_event_set(&event);
	settle();
	wf_assert_result(result, 1);
	wf_assert_result(weft_park(lot, watch), 0);
	weft_event_clear(&event);
	wf_assert_result(weft_select(cases, 2), -EBUSY);
	ck_assert_ptr_null(event.line.first);
	write_byte(fds[1]);
	wf_assert_result(weft_scope_close(&scope), 0);
	close_pair(watch, fds);
}

/* Two selects for one descriptor, or two cases of one, are one too many; the other cases are left. */
WF_TASK_TEST(second_is_busy)
{
	int fds[2];
	struct weft_watch *watch = open_pair(fds);
	struct weft_case other = weft_case_readable(watch);
	struct weft_scope scope;

	cases[0] = cases[1] = weft_case_readable(watch);
	wf_assert_result(weft_select(cases, 2), -EBUSY);
	cases[1] = weft_case_event(&event);
	start(&scope);
	wf_assert_result(weft_select(&other, 1), -EBUSY);
	wf_assert_result(weft_try_select(&other, 1), -EBUSY);
	write_byte(fds[1]);
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(result, 0);
	close_pair(watch, fds);
}

static int select_short_of_memory(void *arg)
{
	struct wf_tally *tally = arg;
	int fds[2];
	struct weft_watch *watch = open_pair(fds);

	cases[0] = weft_case_event(&event);
	cases[1] = weft_case_readable(watch);
	wf_assert_result(weft_try_select(cases, 2), -EAGAIN); /* the engine has its memory */
	tally->fails_at = tally->calls + 1;
	wf_assert_result(weft_select(cases, 2), -ENOMEM);
	ck_assert_ptr_null(event.line.first);
	write_byte(fds[1]);
	wf_assert_result(weft_select(cases, 2), 1);
	close_pair(watch, fds);
	return 0;
}

/* Without memory to wait for a descriptor the select fails, and leaves nothing behind. */
WF_TEST(no_memory)
{
	struct wf_tally tally = { 0 };
	struct weft_options options = { .allocator = wf_tally_allocator(&tally) };

	wf_assert_result(weft_run(select_short_of_memory, &tally, &options), 0);
	ck_assert_uint_eq(tally.blocks, 0);
}

/* A closed watch is ready, and says so; one that is closed under a select, too. */
WF_TASK_TEST(closed_watch_is_ready)
{
	int fds[2];
	struct weft_watch *watch = open_pair(fds);
	struct weft_conn *conn;
	struct weft_scope scope;

	cases[0] = weft_case_readable(watch);
	cases[1] = weft_case_event(&event);
	start(&scope);
	weft_watch_close(watch);
	ck_assert_ptr_null(event.line.first);
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(result, 0);
	wf_assert_result(cases[0].result, WEFT_ECLOSED);

	wf_assert_result(weft_conn_from_fd(fds[0], &conn), 0);
	cases[0] = weft_case_writable(weft_conn_watch(conn));
	fill(fds[0]);
	start(&scope);
	weft_close(conn);
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(result, 0);
	wf_assert_result(cases[0].result, WEFT_ECLOSED);
	(void)close(fds[1]);
}

/* ---- Readiness ------------------------------------------------------------------------------- */

/* A descriptor is readable when there is input, and not again when that has been read: time after
 * time. */
WF_TASK_TEST(readable)
{
	int fds[2];
	struct weft_watch *watch = open_pair(fds);

	cases[0] = weft_case_readable(watch);
	cases[1] = weft_case_event(&event);
	for (int i = 0; i < 100; i++) {
		struct weft_scope scope;

		wf_assert_result(weft_try_select(cases, 2), -EAGAIN);
		start(&scope);
		write_byte(fds[1]);
		wf_assert_result(weft_scope_close(&scope), 0);
		wf_assert_result(result, 0);
		wf_assert_result(cases[0].result, 0);
		wf_assert_result(weft_select(cases, 2), 0); /* it is still there */
		read_byte(fds[0]);
	}
	close_pair(watch, fds);
}

/* Input that came and was read before the select waited does not end it. */
WF_TASK_TEST(late_report_is_ignored)
{
	int fds[2];
	struct weft_watch *watch = open_pair(fds);
	struct weft_scope scope;

	cases[0] = weft_case_readable(watch);
	cases[1] = weft_case_event(&event);
	wf_assert_result(weft_try_select(cases, 2), -EAGAIN);
	wf_assert_result(weft_sleep(WEFT_MILLISECOND), 0); /* the engine reports it from now on */
	write_byte(fds[1]);
	read_byte(fds[0]);
	start(&scope);
	wf_assert_result(weft_sleep(WEFT_MILLISECOND), 0);
	wf_assert_result(result, -EAGAIN);
	write_byte(fds[1]);
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(result, 0);
	close_pair(watch, fds);
}

/* The end of the input is something to read. */
WF_TASK_TEST(end_is_readable)
{
	int fds[2];
	struct weft_watch *watch = open_pair(fds);
	struct weft_scope scope;

	cases[0] = weft_case_readable(watch);
	cases[1] = weft_case_event(&event);
	start(&scope);
	ck_assert_int_eq(shutdown(fds[1], SHUT_WR), 0);
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(result, 0);
	close_pair(watch, fds);
}

/* A descriptor is writable while there is room, and again when there is some again. */
WF_TASK_TEST(writable)
{
	int fds[2];
	struct weft_watch *watch = open_pair(fds);

	cases[0] = weft_case_writable(watch);
	cases[1] = weft_case_event(&event);
	for (int i = 0; i < 10; i++) {
		struct weft_scope scope;

		wf_assert_result(weft_select(cases, 2), 0);
		fill(fds[0]);
		start(&scope);
		drain(fds[1]);
		wf_assert_result(weft_scope_close(&scope), 0);
		wf_assert_result(result, 0);
		wf_assert_result(cases[0].result, 0);
	}
	close_pair(watch, fds);
}

/* One descriptor can be waited for both ways at once. */
WF_TASK_TEST(both_ways)
{
	int fds[2];
	struct weft_watch *watch = open_pair(fds);
	struct weft_scope scope;

	cases[0] = weft_case_readable(watch);
	cases[1] = weft_case_writable(watch);
	fill(fds[0]);
	start(&scope);
	write_byte(fds[1]);
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(result, 0);
	read_byte(fds[0]);
	start(&scope);
	drain(fds[1]);
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(result, 1);
	close_pair(watch, fds);
}

/* ---- Other cases, and stops ------------------------------------------------------------------ */

/* Where another case wins, or a stop, the descriptor is free for others at once. */
WF_TASK_TEST(lost_case_is_withdrawn)
{
	int fds[2];
	struct weft_watch *watch = open_pair(fds);
	struct weft_scope scope;

	cases[0] = weft_case_readable(watch);
	cases[1] = weft_case_event(&event);
	start(&scope);
	weft_event_set(&event);
	weft_event_clear(&event);
	wf_assert_result(weft_try_select(cases, 2), -EAGAIN); /* rather than -EBUSY */
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(result, 1);
	start(&scope);
	weft_scope_cancel(&scope);
	wf_assert_result(weft_try_select(cases, 2), -EAGAIN);
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
	wf_assert_result(result, -ECANCELED);
	close_pair(watch, fds);
}

/* A deadline ends a select for a descriptor. */
WF_TASK_TEST(deadline_ends_it)
{
	int fds[2];
	struct weft_watch *watch = open_pair(fds);

	cases[0] = weft_case_readable(watch);
	cases[1] = weft_case_event(&event);
	WEFT_DEADLINE(weft_after(WEFT_MILLISECOND))
		wf_assert_result(weft_select(cases, 2), WEFT_EDEADLINE);
	ck_assert_ptr_null(event.line.first);
	close_pair(watch, fds);
}

/* ---- Connections ----------------------------------------------------------------------------- */

/* A connection is readable, is read, and is readable no longer; what weft_fill has left counts. */
WF_TASK_TEST(connection_is_readable)
{
	struct weft_conn *conn;
	struct weft_scope scope;
	struct weft_input input;
	char bytes[8];
	int fds[2];

	wf_socketpair(fds);
	wf_assert_result(weft_conn_from_fd(fds[0], &conn), 0);
	cases[0] = weft_case_readable(weft_conn_watch(conn));
	cases[1] = weft_case_event(&event);
	start(&scope);
	wf_assert_result(weft_read(conn, bytes, sizeof bytes), -EBUSY);
	write_byte(fds[1]);
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(result, 0);
	wf_assert_result(weft_read(conn, bytes, sizeof bytes), 1);
	wf_assert_result(weft_try_select(cases, 2), -EAGAIN);

	write_byte(fds[1]);
	wf_assert_result(weft_fill(conn, &input), 1);
	wf_assert_result(weft_select(cases, 2), 0);
	weft_consume(conn, 1);
	wf_assert_result(weft_try_select(cases, 2), -EAGAIN);
	weft_close(conn);
	(void)close(fds[1]);
}

static int write_much(void *conn)
{
	static char much[4 << 20];

	return weft_write(conn, much, sizeof much, NULL);
}

static int fill_input(void *conn)
{
	struct weft_input input;
	ssize_t n = weft_fill(conn, &input);

	return n < 0 ? (int)n : 0;
}

/* While a task writes, or reads, nobody else waits for the same; and neither loses anything by it. */
WF_TASK_TEST(connection_in_use_is_busy)
{
	struct weft_conn *conn;
	struct weft_scope scope;
	int fds[2];

	wf_socketpair(fds);
	wf_assert_result(weft_conn_from_fd(fds[0], &conn), 0);
	ck_assert_int_eq(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
	cases[0] = weft_case_writable(weft_conn_watch(conn));
	cases[1] = weft_case_readable(weft_conn_watch(conn));
	weft_scope_open(&scope);
	spawn(&scope, write_much, conn);
	settle();
	wf_assert_result(weft_try_select(&cases[0], 1), -EBUSY);
	wf_assert_result(weft_try_select(&cases[1], 1), -EAGAIN);
	spawn(&scope, fill_input, conn);
	settle();
	wf_assert_result(weft_try_select(&cases[1], 1), -EBUSY);
	write_byte(fds[1]);
	for (int i = 0; i < 1000 && scope.live > 0; i++) {
		drain(fds[1]);
		wf_assert_result(weft_sleep(100 * WEFT_MICROSECOND), 0);
	}
	wf_assert_result(weft_scope_close(&scope), 0);
	weft_close(conn);
	(void)close(fds[1]);
}

/* Trying sees what has come since the last try, though the engine has not reported it. */
WF_TASK_TEST(trying_sees_what_has_just_come)
{
	struct weft_conn *a, *b;

	wf_assert_result(weft_conn_pair(&a, &b), 0);
	cases[0] = weft_case_readable(weft_conn_watch(b));
	wf_assert_result(weft_try_select(cases, 1), -EAGAIN);
	wf_assert_result(weft_write(a, "x", 1, NULL), 0);
	wf_assert_result(weft_try_select(cases, 1), 0);
	weft_close(a);
	weft_close(b);
}

WF_MAIN("io/select")
