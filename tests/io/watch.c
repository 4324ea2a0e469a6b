/* SPDX-License-Identifier: MIT */
/* Parked watches of all kinds of descriptors: what ends a parking, and how often. */
#include "io/watch.h"

#include "io/ready.h"
#include "net/crowd.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <weft/park.h>

/* ---- Somebody who parks ---------------------------------------------------------------------- */

/* What a watch's pointer shows. */
struct guest {
	struct weft_watch *watch;
	int calls;
	int why;     /* of the last one */
	int fd;	     /* of the watch, at the last one */
	bool drains; /* reads all there is */
	bool parks;  /* again, in the lot it was called from */
	int parked;  /* the result of that */
	struct weft_lot *lot;
};

static void drain(int fd)
{
	char buffer[256];

	while (read(fd, buffer, sizeof buffer) > 0)
		continue;
}

static int meet(struct weft_watch *watch, int why, void *arg)
{
	struct guest *guest = weft_watch_user(watch);

	ck_assert_ptr_eq(watch, guest->watch);
	ck_assert_ptr_null(arg);
	guest->calls++;
	guest->why = why;
	guest->fd = weft_watch_fd(watch);
	if (guest->drains && guest->fd >= 0)
		drain(guest->fd);
	if (guest->parks)
		guest->parked = weft_park(guest->lot, watch);
	return 0;
}

static void enter(struct guest *guest, int fd, struct weft_lot *lot)
{
	guest->lot = lot;
	wf_assert_result(weft_watch_open(fd, guest, &guest->watch), 0);
	ck_assert_int_eq(weft_watch_fd(guest->watch), fd);
	wf_assert_result(weft_park(lot, guest->watch), 0);
}

static struct weft_lot *open_lot(struct weft_scope *scope)
{
	struct weft_lot *lot;

	wf_assert_result(weft_lot_open(scope, meet, NULL, WEFT_FOREVER, &lot), 0);
	return lot;
}

static void open_pipe(int ret_fds[2])
{
	ck_assert_int_eq(pipe2(ret_fds, O_CLOEXEC | O_NONBLOCK), 0);
}

static void write_byte(int fd)
{
	ck_assert_int_eq(write(fd, "x", 1), 1);
}

/* Runs so long that whatever has happened has been reported. */
static void expect_calls(const struct guest *guest, int calls)
{
	for (int i = 0; i < 1000 && guest->calls < calls; i++)
		rest(1);
	rest(2);
	ck_assert_int_eq(guest->calls, calls);
}

/* ---- Input ----------------------------------------------------------------------------------- */

/* Input calls a parked watch, once, though more comes before the call runs and after. */
WF_TASK_TEST(input_calls_once)
{
	struct guest guest = { 0 };
	struct weft_scope scope;
	int fds[2];

	open_pipe(fds);
	weft_scope_open(&scope);
	enter(&guest, fds[0], open_lot(&scope));
	rest(5);
	ck_assert_int_eq(guest.calls, 0);
	write_byte(fds[1]);
	write_byte(fds[1]);
	expect_calls(&guest, 1);
	wf_assert_result(guest.why, 0);
	ck_assert_int_eq(guest.fd, fds[0]);
	write_byte(fds[1]);
	expect_calls(&guest, 1); /* it is not parked any more */
	weft_watch_close(guest.watch);
	wf_assert_result(weft_scope_close(&scope), 0);
	peer_close(fds[0]);
	peer_close(fds[1]);
}

/* A watch that parks again is called again for each burst, and not in vain. */
WF_TASK_TEST(each_burst_calls)
{
	struct guest guest = { .drains = true, .parks = true };
	struct weft_scope scope;
	int fds[2];

	wf_socketpair(fds);
	ck_assert_int_eq(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	weft_scope_open(&scope);
	enter(&guest, fds[0], open_lot(&scope));
	for (int i = 1; i <= 20; i++) {
		write_byte(fds[1]);
		write_byte(fds[1]);
		for (int j = 0; j < 1000 && guest.calls < i; j++)
			rest(1);
		ck_assert_int_eq(guest.calls, i);
		wf_assert_result(guest.parked, 0);
	}
	expect_calls(&guest, 20);
	weft_watch_close(guest.watch);
	wf_assert_result(weft_scope_close(&scope), 0);
	peer_close(fds[0]);
	peer_close(fds[1]);
}

/* Input that was there before the first parking is noticed; and what was left, or came while it was
 * not parked, before a later one. */
WF_TASK_TEST(input_that_is_there_calls)
{
	struct guest guest = { 0 };
	struct weft_scope scope;
	struct weft_lot *lot;
	int fds[2];

	open_pipe(fds);
	write_byte(fds[1]);
	weft_scope_open(&scope);
	lot = open_lot(&scope);
	enter(&guest, fds[0], lot);
	expect_calls(&guest, 1);
	wf_assert_result(weft_park(lot, guest.watch), 0); /* it was not read */
	expect_calls(&guest, 2);
	drain(fds[0]);
	write_byte(fds[1]);
	rest(2);
	wf_assert_result(weft_park(lot, guest.watch), 0); /* it came meanwhile */
	expect_calls(&guest, 3);
	drain(fds[0]);
	wf_assert_result(weft_park(lot, guest.watch), 0); /* nothing is there */
	expect_calls(&guest, 3);
	weft_watch_close(guest.watch);
	wf_assert_result(weft_scope_close(&scope), 0);
	peer_close(fds[0]);
	peer_close(fds[1]);
}

/* A wake-up in vain, with which the engine ceases to watch and cannot go on for lack of memory, does
 * not leave the watch parked and unwatched. */
WF_TASK_TEST(wake_up_in_vain_goes_on_watching)
{
	struct guest guest = { 0 };
	struct weft_scope scope;
	int fds[2];

	open_pipe(fds);
	weft_scope_open(&scope);
	enter(&guest, fds[0], open_lot(&scope));
	rest(1);
	wf_ready_fail(&guest.watch->file, WF_WATCH_INPUT, -ENOMEM);
	rest(2);
	ck_assert(guest.calls == 1 || guest.watch->file.watched & WF_WATCH_INPUT);
	write_byte(fds[1]);
	expect_calls(&guest, 1);
	weft_watch_close(guest.watch);
	wf_assert_result(weft_scope_close(&scope), 0);
	peer_close(fds[0]);
	peer_close(fds[1]);
}

/* The end of the input calls, while it is parked and before. */
WF_TASK_TEST(end_of_input_calls)
{
	for (int before = 0; before < 2; before++) {
		struct guest guest = { 0 };
		struct weft_scope scope;
		int fds[2];

		open_pipe(fds);
		weft_scope_open(&scope);
		if (before)
			peer_close(fds[1]);
		enter(&guest, fds[0], open_lot(&scope));
		if (!before)
			peer_close(fds[1]);
		expect_calls(&guest, 1);
		wf_assert_result(guest.why, 0);
		weft_watch_close(guest.watch);
		wf_assert_result(weft_scope_close(&scope), 0);
		peer_close(fds[0]);
	}
}

/* It does also when the watch is parked again after input was read that came with the end. */
WF_TASK_TEST(end_behind_input_calls_again)
{
	struct guest guest = { 0 };
	struct weft_scope scope;
	struct weft_lot *lot;
	int fds[2];

	wf_socketpair(fds);
	set_patience(fds[0]);
	weft_scope_open(&scope);
	lot = open_lot(&scope);
	enter(&guest, fds[0], lot);
	write_byte(fds[1]);
	peer_close(fds[1]);
	expect_calls(&guest, 1);
	peer_hear(fds[0], "x");
	wf_assert_result(weft_park(lot, guest.watch), 0);
	expect_calls(&guest, 2);
	wf_assert_result(guest.why, 0);
	weft_watch_close(guest.watch);
	wf_assert_result(weft_scope_close(&scope), 0);
	peer_close(fds[0]);
}

/* A timerfd and an eventfd are watched like a pipe. */
WF_TASK_TEST(timers_and_counters_call)
{
	struct itimerspec soon = { .it_value.tv_nsec = WEFT_MILLISECOND };
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	int counter = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct guest guests[2] = { { .drains = true, .parks = true }, { 0 } };
	struct weft_scope scope;
	struct weft_lot *lot;

	wf_need_world("descriptors but sockets");
	weft_scope_open(&scope);
	lot = open_lot(&scope);
	enter(&guests[0], timer, lot);
	enter(&guests[1], counter, lot);
	for (int i = 1; i <= 5; i++) {
		ck_assert_int_eq(timerfd_settime(timer, 0, &soon, NULL), 0);
		expect_calls(&guests[0], i);
	}
	ck_assert_int_eq(guests[1].calls, 0);
	ck_assert_int_eq(eventfd_write(counter, 1), 0);
	expect_calls(&guests[1], 1);
	weft_watch_close(guests[0].watch);
	weft_watch_close(guests[1].watch);
	wf_assert_result(weft_scope_close(&scope), 0);
	peer_close(timer);
	peer_close(counter);
}

/* ---- What cannot be watched ------------------------------------------------------------------ */

/* A file and a directory are refused, and so is a number that is no descriptor. */
WF_TASK_TEST(files_are_refused)
{
	char name[] = "/tmp/weft-watch-XXXXXX";
	int file = mkstemp(name), folder = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct weft_watch *watch;

	wf_need_world("files");
	ck_assert_int_ge(file, 0);
	ck_assert_int_eq(unlink(name), 0);
	wf_assert_result(weft_watch_open(file, NULL, &watch), -EPERM);
	wf_assert_result(weft_watch_open(folder, NULL, &watch), -EPERM);
	peer_close(file);
	peer_close(folder);
	wf_assert_result(weft_watch_open(file, NULL, &watch), -EBADF);
	wf_assert_result(weft_watch_open(-1, NULL, &watch), -EBADF);
	weft_watch_close(NULL);
}

/* A descriptor that was closed too early is an error, of the parking or of what reading it tells. */
WF_TASK_TEST(parking_a_closed_descriptor_fails)
{
	struct guest guest = { 0 };
	struct weft_scope scope;
	struct weft_lot *lot;
	int fds[2], r;

	open_pipe(fds);
	weft_scope_open(&scope);
	lot = open_lot(&scope);
	wf_assert_result(weft_watch_open(fds[0], &guest, &guest.watch), 0);
	peer_close(fds[0]);
	r = weft_park(lot, guest.watch);
	if (r == 0)
		expect_calls(&guest, 1);
	else
		wf_assert_result(r, -EBADF);
	weft_watch_close(guest.watch);
	wf_assert_result(weft_scope_close(&scope), 0);
	peer_close(fds[1]);
}

/* Outside of weft_run there are no watches. */
WF_TEST(no_watch_without_a_worker)
{
	struct weft_watch *watch;

	wf_assert_result(weft_watch_open(0, NULL, &watch), -EPERM);
}

static struct weft_lot *shared_lot;
static struct weft_watch *shared_watch;

static int use_shared_lot(void *arg)
{
	struct guest guest = { 0 };
	int fds[2];

	open_pipe(fds);
	wf_assert_result(weft_watch_open(fds[0], &guest, &guest.watch), 0);
	wf_assert_result(weft_park(shared_lot, guest.watch), -EPERM);
	wf_assert_result(weft_park(shared_lot, shared_watch), -EPERM);
	weft_watch_close(guest.watch);
	peer_close(fds[0]);
	peer_close(fds[1]);
	return arg != NULL;
}

static void *be_another_worker(void *arg)
{
	wf_assert_result(weft_park(shared_lot, shared_watch), -EPERM);
	wf_assert_result(weft_run(use_shared_lot, arg, NULL), 0);
	return NULL;
}

/* Lots and watches of another worker are refused, in a worker's thread and in a plain one. */
WF_TASK_TEST(parking_belongs_to_a_worker)
{
	struct guest guest = { 0 };
	struct weft_scope scope;
	pthread_t thread;
	int fds[2];

	open_pipe(fds);
	weft_scope_open(&scope);
	shared_lot = open_lot(&scope);
	wf_assert_result(weft_watch_open(fds[0], &guest, &guest.watch), 0);
	shared_watch = guest.watch;
	ck_assert_int_eq(pthread_create(&thread, NULL, be_another_worker, NULL), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	weft_watch_close(guest.watch);
	wf_assert_result(weft_scope_close(&scope), 0);
	peer_close(fds[0]);
	peer_close(fds[1]);
}

/* ---- Refusals and stops ---------------------------------------------------------------------- */

/* What is parked, or due, cannot be parked. */
WF_TASK_TEST(parking_twice_is_refused)
{
	struct guest guest = { 0 };
	struct weft_scope scope;
	struct weft_lot *lot;
	int fds[2];

	open_pipe(fds);
	weft_scope_open(&scope);
	lot = open_lot(&scope);
	enter(&guest, fds[0], lot);
	wf_assert_result(weft_park(lot, guest.watch), -EBUSY);
	wf_assert_result(weft_park(open_lot(&scope), guest.watch), -EBUSY);
	write_byte(fds[1]);
	wf_parked_end(&guest.watch->parked, 0);
	wf_assert_result(weft_park(lot, guest.watch), -EBUSY);
	expect_calls(&guest, 1);
	weft_watch_close(guest.watch);
	wf_assert_result(weft_scope_close(&scope), 0);
	peer_close(fds[0]);
	peer_close(fds[1]);
}

/* A stopped scope refuses, and the watch can be parked elsewhere. */
WF_TASK_TEST(refused_watch_can_be_parked_elsewhere)
{
	struct guest guest = { 0 };
	struct weft_scope stopped, cancelled, scope;
	struct weft_lot *lots[2];
	int fds[2];

	open_pipe(fds);
	wf_assert_result(weft_watch_open(fds[0], &guest, &guest.watch), 0);
	weft_scope_open(&scope);
	weft_scope_open(&stopped);
	lots[0] = open_lot(&stopped);
	weft_scope_stop(&stopped);
	weft_scope_open(&cancelled);
	lots[1] = open_lot(&cancelled);
	weft_scope_cancel(&cancelled);
	wf_assert_result(weft_park(lots[0], guest.watch), WEFT_ESTOPPING);
	wf_assert_result(weft_park(lots[1], guest.watch), -ECANCELED);
	wf_assert_result(weft_scope_close(&cancelled), -ECANCELED);
	wf_assert_result(weft_scope_close(&stopped), 0);
	wf_assert_result(weft_park(open_lot(&scope), guest.watch), 0);
	write_byte(fds[1]);
	expect_calls(&guest, 1);
	wf_assert_result(guest.why, 0);
	weft_watch_close(guest.watch);
	wf_assert_result(weft_scope_close(&scope), 0);
	peer_close(fds[0]);
	peer_close(fds[1]);
}

/* A call that finds the scope stopped is refused when it parks again, and the watch stays its own. */
WF_TASK_TEST(parking_again_in_a_stopped_scope_is_refused)
{
	struct guest guest = { .parks = true };
	struct weft_scope scope;
	int fds[2];

	open_pipe(fds);
	weft_scope_open(&scope);
	enter(&guest, fds[0], open_lot(&scope));
	weft_scope_stop(&scope);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_int_eq(guest.calls, 1);
	wf_assert_result(guest.why, WEFT_ESTOPPING);
	wf_assert_result(guest.parked, WEFT_ESTOPPING);
	ck_assert_int_eq(weft_watch_fd(guest.watch), fds[0]);
	weft_watch_close(guest.watch);
	peer_close(fds[0]);
	peer_close(fds[1]);
}

/* Of two watches on one descriptor the second is refused, and the first goes on working. */
WF_TASK_TEST(second_watch_on_a_descriptor_is_refused)
{
	struct guest guest = { .drains = true, .parks = true };
	struct weft_watch *second;
	struct weft_scope scope;
	struct weft_lot *lot;
	int fds[2];

	open_pipe(fds);
	weft_scope_open(&scope);
	lot = open_lot(&scope);
	enter(&guest, fds[0], lot);
	wf_assert_result(weft_watch_open(fds[0], NULL, &second), 0);
	wf_assert_result(weft_park(lot, second), -EEXIST);
	rest(1);
	write_byte(fds[1]);
	expect_calls(&guest, 1);
	wf_assert_result(weft_park(lot, second), -EEXIST);
	weft_watch_close(second);
	write_byte(fds[1]);
	expect_calls(&guest, 2);
	weft_watch_close(guest.watch);
	wf_assert_result(weft_watch_open(fds[0], NULL, &second), 0); /* the number is free again */
	wf_assert_result(weft_scope_close(&scope), 0);
	weft_watch_close(second);
	peer_close(fds[0]);
	peer_close(fds[1]);
}

static int close_it_again(struct weft_watch *watch, int why, void *arg)
{
	wf_assert_result(why, WEFT_ECLOSED);
	++*(int *)arg;
	weft_watch_close(watch);
	weft_watch_close(watch);
	return 0;
}

static int close_watch_again(void *arg)
{
	struct weft_watch *watch;
	struct weft_scope scope;
	struct weft_lot *lot;
	int fds[2], calls = 0;

	(void)arg;
	open_pipe(fds);
	weft_scope_open(&scope);
	wf_assert_result(weft_lot_open(&scope, close_it_again, &calls, WEFT_FOREVER, &lot), 0);
	wf_assert_result(weft_watch_open(fds[0], NULL, &watch), 0);
	wf_assert_result(weft_park(lot, watch), 0);
	weft_watch_close(watch);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_int_eq(calls, 1);
	peer_close(fds[0]);
	peer_close(fds[1]);
	return 0;
}

/* The call that tells of a close may close, too, and again: the watch is given back once. */
WF_TEST(closing_again_is_harmless)
{
	struct wf_tally tally = { 0 };
	struct weft_options options = { .allocator = wf_tally_allocator(&tally) };

	wf_assert_result(weft_run(close_watch_again, NULL, &options), 0);
	ck_assert_uint_eq(tally.blocks, 0);
}

/* A watch that was closed while it was parked, or due, is called once, with that reason; it stays
 * valid until then. */
WF_TASK_TEST(closing_calls_once)
{
	for (int due = 0; due < 2; due++) {
		struct guest guest = { 0 };
		struct weft_scope scope;
		int fds[2];

		open_pipe(fds);
		weft_scope_open(&scope);
		enter(&guest, fds[0], open_lot(&scope));
		if (due)
			wf_parked_end(&guest.watch->parked, 0);
		weft_watch_close(guest.watch);
		write_byte(fds[1]);
		wf_assert_result(weft_scope_close(&scope), 0);
		ck_assert_int_eq(guest.calls, 1);
		wf_assert_result(guest.why, WEFT_ECLOSED);
		ck_assert_int_eq(guest.fd, -1);
		peer_close(fds[0]); /* it was kept */
		peer_close(fds[1]);
	}
}

static int close_it(struct weft_watch *watch, int why, void *arg)
{
	int *calls = arg;

	wf_assert_result(why, 0);
	++*calls;
	weft_watch_close(watch);
	return 0;
}

/* A watch that is closed among hundreds of others that are ready holds its file no longer: when the
 * descriptor is closed, too, the other end sees it at once. */
WF_TASK_TEST(closing_in_a_crowd_lets_go_at_once)
{
	struct guest guest = { 0 };
	struct weft_scope scope;
	struct crowd crowd;
	int fds[2];

	wf_socketpair(fds);
	set_patience(fds[1]);
	weft_scope_open(&scope);
	enter(&guest, fds[0], open_lot(&scope));
	gather(&crowd);
	stir(&crowd);
	weft_watch_close(guest.watch);
	peer_close(fds[0]);
	peer_hear_end(fds[1]);
	disperse(&crowd);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_int_eq(guest.calls, 1);
	wf_assert_result(guest.why, WEFT_ECLOSED);
	peer_close(fds[1]);
}

/* The call may close the watch. */
WF_TASK_TEST(a_call_may_close_the_watch)
{
	struct weft_watch *watch;
	struct weft_scope scope;
	struct weft_lot *lot;
	int fds[2], calls = 0;

	open_pipe(fds);
	weft_scope_open(&scope);
	wf_assert_result(weft_lot_open(&scope, close_it, &calls, WEFT_FOREVER, &lot), 0);
	wf_assert_result(weft_watch_open(fds[0], NULL, &watch), 0);
	wf_assert_result(weft_park(lot, watch), 0);
	write_byte(fds[1]);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_int_eq(calls, 1);
	peer_close(fds[0]);
	peer_close(fds[1]);
}

/* ---- Numbers that are used again ------------------------------------------------------------- */

/* A watch is closed while a report for it is on its way, and its descriptor's number goes to
 * another, that is parked at once: the report does not reach that one. */
WF_TASK_TEST(report_under_way_misses_the_next_owner_of_the_number)
{
	wf_need_world("dup3");
	for (int round = 0; round < 100; round++) {
		struct guest first = { 0 }, second = { 0 };
		struct weft_scope scope;
		struct weft_lot *lot;
		int fds[2], more[2], copy;

		open_pipe(fds);
		open_pipe(more);
		weft_scope_open(&scope);
		lot = open_lot(&scope);
		enter(&first, fds[0], lot);
		wf_assert_result(weft_sleep(1), 0);
		write_byte(fds[1]);
		weft_watch_close(first.watch);
		copy = fcntl(fds[0], F_DUPFD_CLOEXEC, 200); /* the kernel goes on with it */
		ck_assert_int_eq(dup3(more[0], fds[0], O_CLOEXEC), fds[0]);
		enter(&second, fds[0], lot);
		wf_assert_result(weft_yield(), 0);
		rest(round % 10 == 0);
		ck_assert_int_eq(second.calls, 0);
		write_byte(more[1]);
		expect_calls(&second, 1);
		weft_watch_close(second.watch);
		wf_assert_result(weft_scope_close(&scope), 0);
		ck_assert_int_eq(first.calls, 1);
		peer_close(fds[0]);
		peer_close(fds[1]);
		peer_close(more[0]);
		peer_close(more[1]);
		peer_close(copy);
	}
}

/* ---- Descriptors ------------------------------------------------------------------------------ */

/* Where the process may have no descriptors, the kernel refuses to poll one either: input still calls. */
WF_TASK_TEST(input_calls_without_descriptors)
{
	struct guest guest = { 0 };
	struct rlimit before, none;
	struct weft_scope scope;
	struct weft_lot *lot;
	int fds[2];

	open_pipe(fds);
	weft_scope_open(&scope);
	lot = open_lot(&scope);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 0;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	enter(&guest, fds[0], lot);
	rest(2);
	write_byte(fds[1]);
	expect_calls(&guest, 1);
	wf_assert_result(guest.why, 0);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	weft_watch_close(guest.watch);
	wf_assert_result(weft_scope_close(&scope), 0);
	peer_close(fds[0]);
	peer_close(fds[1]);
}

/* ---- Memory ---------------------------------------------------------------------------------- */

struct shortage {
	struct wf_tally tally;
	unsigned long fails_at; /* counted from when the runtime has started */
};

static int watch_with_little_memory(void *arg)
{
	struct shortage *shortage = arg;
	struct guest guest = { 0 };
	struct weft_scope scope;
	struct weft_lot *lot;
	int fds[2], r;

	open_pipe(fds);
	weft_scope_open(&scope);
	shortage->tally.fails_at = shortage->tally.calls + shortage->fails_at;
	r = weft_lot_open(&scope, meet, NULL, WEFT_FOREVER, &lot);
	if (r == 0)
		r = weft_watch_open(fds[0], &guest, &guest.watch);
	if (r == 0) {
		r = weft_park(lot, guest.watch);
		if (r == 0) {
			write_byte(fds[1]);
			expect_calls(&guest, 1);
		}
		weft_watch_close(guest.watch);
	}
	wf_assert_result(weft_scope_close(&scope), 0);
	peer_close(fds[0]);
	peer_close(fds[1]);
	return r;
}

/* Each allocation may fail: what needs it says so, and leaves nothing behind. */
WF_TEST(lack_of_memory_is_told)
{
	for (unsigned long n = 1;; n++) {
		struct shortage shortage = { .fails_at = n };
		struct weft_options options = { .allocator = wf_tally_allocator(&shortage.tally) };
		int r = weft_run(watch_with_little_memory, &shortage, &options);

		ck_assert_uint_eq(shortage.tally.blocks, 0);
		if (shortage.tally.calls < shortage.tally.fails_at) {
			wf_assert_result(r, 0);
			ck_assert_uint_gt(n, 2);
			break;
		}
		ck_assert(r == -ENOMEM || r == 0);
	}
}

WF_MAIN("io/watch")
