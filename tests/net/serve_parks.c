/* SPDX-License-Identifier: MIT */
/* Servers that park their connections between two bursts of input. */
#include "net/server.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <weft/park.h>

/* What a connection keeps from one burst to the next. */
struct session {
	struct house *house;
	int bursts;
};

/* A server whose connections have sessions. Lines are answered; what is no line ends it somehow. */
struct house {
	struct server server; /* first: the handler's argument */
	int calls;	      /* of the handler */
	int sessions, ended;
	int last_bursts; /* of the session that ended last */
	int last_why;	 /* it ended */
};

static struct session *session_of(struct house *house, struct weft_conn *conn)
{
	struct session *session = weft_conn_user(conn);

	if (session)
		return session;
	session = calloc(1, sizeof *session);
	ck_assert_ptr_nonnull(session);
	session->house = house;
	house->sessions++;
	weft_conn_user_set(conn, session);
	return session;
}

static void end_session(struct weft_conn *conn, int why, void *arg)
{
	struct house *house = arg;
	struct session *session = weft_conn_user(conn);

	house->ended++;
	house->last_why = why;
	if (!session)
		return;
	ck_assert_ptr_eq(session->house, house);
	house->last_bursts = session->bursts;
	free(session);
}

/* Does what a letter says. */
static int obey(struct weft_conn *conn, char letter)
{
	switch (letter) {
	case 'e':
		return -EIO;
	case 'f':
		return weft_finish(conn, "bye", 3);
	case 'c':
		weft_close(conn);
		return 0;
	case 's':
		return weft_sleep(WEFT_FOREVER);
	default:
		return 0;
	}
}

/* Answers the lines that are complete with their own text, and keeps what is left. */
static int answer_lines(struct weft_conn *conn, void *arg)
{
	struct house *house = arg;
	struct session *session = session_of(house, conn);
	struct weft_input input;
	ssize_t n = weft_fill(conn, &input);
	const char *end;
	size_t bytes;
	char letter;
	int r;

	house->calls++;
	session->bursts++;
	if (n < 0)
		return (int)n;
	end = memrchr(input.data, '\n', input.bytes);
	if (!end)
		return 0;
	bytes = (size_t)(end - input.data) + 1;
	letter = bytes == 2 ? input.data[0] : 0;
	r = weft_write(conn, input.data, bytes, NULL);
	weft_consume(conn, bytes);
	return r == 0 ? obey(conn, letter) : r;
}

static void open_house(struct house *house)
{
	house->server.options.parks = true;
	house->server.options.ended = end_session;
	start(&house->server, answer_lines);
}

/* Waits until so many connections have ended, and sees that none ends twice. */
static void expect_ended(const struct house *house, int ended)
{
	for (int i = 0; i < 1000 && house->ended < ended; i++)
		rest(1);
	rest(2);
	ck_assert_int_eq(house->ended, ended);
}

static void close_house(struct house *house)
{
	stop(&house->server);
	ck_assert_int_eq(house->ended, house->sessions);
}

/* Says something and hears it again; the runtime has its turn between. */
static void talk(int peer, const char *line)
{
	peer_say(peer, line);
	for (int waited = 0, there = 0; waited < 5000 && there < (int)strlen(line); waited++) {
		rest(1);
		there = (int)recv(peer, (char[256]){ 0 }, 256, MSG_PEEK | MSG_DONTWAIT);
	}
	peer_hear(peer, line);
}

static uint64_t tasks(void)
{
	struct weft_stats stats;

	wf_assert_result(weft_stats(&stats), 0);
	return stats.tasks;
}

/* The handler is called once for each burst, its session survives, and between two bursts the
 * connection has no task. */
WF_TASK_TEST(a_burst_is_a_call)
{
	struct house house = { 0 };
	uint64_t idle;
	int peer;

	open_house(&house);
	rest(2);
	idle = tasks();
	peer = peer_dial(house.server.text);
	rest(2);
	ck_assert_int_eq(house.calls, 0);
	ck_assert_uint_eq(tasks(), idle);
	for (int i = 1; i <= 10; i++) {
		talk(peer, "one\ntwo\n");
		rest(1);
		ck_assert_int_eq(house.calls, i);
		ck_assert_uint_eq(tasks(), idle);
	}
	peer_close(peer);
	expect_ended(&house, 1);
	ck_assert_int_eq(house.sessions, 1);
	ck_assert_int_eq(house.last_bursts, 11); /* the end is one, too */
	ck_assert_uint_eq(failures(), 0);
	close_house(&house);
}

/* Part of a message is kept while the connection is parked. */
WF_TASK_TEST(part_of_a_message_is_kept)
{
	struct house house = { 0 };
	int peer;

	open_house(&house);
	peer = peer_dial(house.server.text);
	ck_assert_int_eq(setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int)), 0);
	peer_say(peer, "one\ntw");
	rest(5);
	ck_assert_int_eq(house.calls, 1);
	peer_hear(peer, "one\n");
	peer_say(peer, "o");
	rest(5);
	peer_say(peer, "\nthree");
	rest(5);
	peer_hear(peer, "two\n");
	ck_assert_int_eq(house.calls, 3);
	peer_say(peer, "\n");
	rest(5);
	peer_hear(peer, "three\n");
	ck_assert_int_eq(house.ended, 0);
	peer_close(peer);
	expect_ended(&house, 1);
	close_house(&house);
}

/* Answers byte by byte: one for each call, or the first by weft_read and the rest by weft_fill. */
static int answer_piecemeal(struct weft_conn *conn, void *arg)
{
	struct house *house = arg;
	struct weft_input input;
	char byte;
	ssize_t n = weft_read(conn, &byte, 1);
	int r;

	house->calls++;
	if (n <= 0)
		return (int)n;
	r = weft_write(conn, &byte, 1, NULL);
	if (r < 0 || byte != '+')
		return r;
	n = weft_fill(conn, &input);
	if (n <= 0)
		return (int)n;
	ck_assert_int_eq(n, (ssize_t)input.bytes);
	r = weft_write(conn, input.data, input.bytes, NULL);
	weft_consume(conn, input.bytes);
	return r;
}

/* What a handler has left behind without having seen it calls again, though no more comes: one byte a
 * call. And weft_fill does not wait for more when there is something that weft_read has left. */
WF_TASK_TEST(what_was_not_read_calls_again)
{
	for (int at_once = 0; at_once < 2; at_once++) {
		struct house house = { .server.options = { .parks = true, .ended = end_session } };
		int peer;

		house.server.options.listen.defer_accept_s = at_once;
		start(&house.server, answer_piecemeal);
		peer = peer_dial(house.server.text);
		talk(peer, "six by");
		ck_assert_int_eq(house.calls, 6);
		talk(peer, "+more");
		ck_assert_int_eq(house.calls, 7);
		talk(peer, "six by");
		peer_close(peer);
		expect_ended(&house, 1);
		wf_assert_result(house.last_why, 0);
		stop(&house.server);
	}
}

/* A connection that brings its request along is answered, also one that has ended its output; the
 * acceptor may start the handler at once. */
WF_TASK_TEST(request_may_come_with_the_connection)
{
	for (int at_once = 0; at_once < 2; at_once++) {
		struct house house = { .server.options.listen.defer_accept_s = at_once };
		int peers[10];

		open_house(&house);
		for (int i = 0; i < 10; i++) {
			peers[i] = peer_dial(house.server.text);
			peer_say(peers[i], "hello\n");
			if (i % 2)
				ck_assert_int_eq(shutdown(peers[i], SHUT_WR), 0);
		}
		for (int i = 0; i < 1000 && house.ended < 5; i++)
			rest(1);
		rest(10);
		for (int i = 0; i < 10; i++) {
			peer_hear(peers[i], "hello\n");
			if (i % 2)
				peer_hear_end(peers[i]);
		}
		ck_assert_int_eq(house.ended, 5);
		for (int i = 0; i < 10; i++)
			peer_close(peers[i]);
		expect_ended(&house, 10);
		close_house(&house);
	}
}

/* However a handler ends its connection, `ended` is called once, and the peer sees the end; a failure
 * is counted. */
WF_TASK_TEST(handler_ends_the_connection_once)
{
	static const char *const lines[] = { "e\n", "f\n", "c\n" };

	for (int parks = 0; parks < 2; parks++)
		for (int first = 0; first < 2; first++)
			for (size_t i = 0; i < 3; i++) {
				struct house house = { .server.options.ended = end_session };
				uint64_t failed = failures();
				int peer;

				house.server.options.parks = parks;
				start(&house.server, answer_lines);
				peer = peer_dial(house.server.text);
				if (!first && parks)
					talk(peer, "hello\n");
				peer_say(peer, lines[i]);
				expect_ended(&house, 1);
				peer_hear(peer, lines[i]);
				if (lines[i][0] == 'f')
					peer_hear(peer, "bye");
				peer_hear_end(peer);
				peer_close(peer);
				ck_assert_uint_eq(failures() - failed, lines[i][0] == 'e');
				wf_assert_result(house.last_why, lines[i][0] == 'e' ? -EIO : 0);
				ck_assert(!house.server.ended);
				close_house(&house);
			}
}

/* A reset ends it once, too. */
WF_TASK_TEST(reset_ends_a_parked_connection_once)
{
	struct house house = { 0 };
	int peer;

	open_house(&house);
	peer = peer_dial(house.server.text);
	talk(peer, "hello\n");
	peer_reset(peer);
	expect_ended(&house, 1);
	ck_assert_uint_eq(failures(), 1); /* the handler returned the reset */
	wf_assert_result(house.last_why, -ECONNRESET);
	close_house(&house);
}

/* A connection may be idle for so long, counted from its last burst, and is closed then. */
WF_TASK_TEST(idle_connections_are_closed)
{
	struct house house = { .server.options.idle_ns = 60 * WEFT_MILLISECOND };
	weft_time last = 0;
	int busy, idle;

	open_house(&house);
	busy = peer_dial(house.server.text);
	idle = peer_dial(house.server.text);
	for (int i = 0; i < 8; i++) {
		rest(20);
		last = weft_now();
		talk(busy, "still here\n");
	}
	ck_assert_int_eq(house.ended, 1);
	peer_hear_end(idle);
	expect_ended(&house, 2);
	ck_assert_int_ge(weft_now() - last, 60 * WEFT_MILLISECOND);
	wf_assert_result(house.last_why, WEFT_EDEADLINE);
	peer_hear_end(busy);
	peer_close(busy);
	peer_close(idle);
	ck_assert_uint_eq(failures(), 0);
	stop(&house.server);
}

/* Urgent data alone is no input: it neither calls the handler nor takes the connection off its idle
 * time, whether it is the first thing that comes or follows a burst. */
WF_TASK_TEST(urgent_data_keeps_no_connection_open)
{
	wf_need_world("urgent data");
	for (int talked = 0; talked < 2; talked++) {
		struct house house = { .server.options.idle_ns = 80 * WEFT_MILLISECOND };
		weft_time dialled;
		int peer;

		open_house(&house);
		dialled = weft_now();
		peer = peer_dial(house.server.text);
		if (talked)
			talk(peer, "hello\n");
		rest(5);
		ck_assert_int_eq(send(peer, "!", 1, MSG_OOB | MSG_NOSIGNAL), 1);
		expect_ended(&house, 1);
		ck_assert_int_eq(house.calls, talked);
		wf_assert_result(house.last_why, WEFT_EDEADLINE);
		ck_assert_int_ge(weft_now() - dialled, 80 * WEFT_MILLISECOND);
		peer_close(peer);
		ck_assert_uint_eq(failures(), 0);
		stop(&house.server);
	}
}

/* Connections that hear more between the report of their input and its receipt. */
struct gossip {
	struct server server; /* first: the handler's argument */
	int peers[10];
	int calls, ended, idle;
	bool told;
};

static int listen_and_tell(struct weft_conn *conn, void *arg)
{
	struct gossip *gossip = arg;
	struct weft_input input;
	ssize_t n;

	gossip->calls++;
	if (!gossip->told)
		for (int i = 0; i < 10; i++)
			peer_say(gossip->peers[i], "more");
	gossip->told = true;
	n = weft_fill(conn, &input);
	ck_assert_int_gt(n, 0);
	weft_consume(conn, input.bytes);
	return 0;
}

static void count_idle(struct weft_conn *conn, int why, void *arg)
{
	struct gossip *gossip = arg;

	(void)conn;
	gossip->ended++;
	gossip->idle += why == WEFT_EDEADLINE;
}

/* What has been received when it is reported neither calls a handler nor takes a connection off its idle
 * time. */
WF_TASK_TEST(late_reports_keep_no_connection_open)
{
	struct gossip gossip = { .server.options = { .parks = true,
						     .ended = count_idle,
						     .idle_ns = 80 * WEFT_MILLISECOND } };

	start(&gossip.server, listen_and_tell);
	for (int i = 0; i < 10; i++)
		gossip.peers[i] = peer_dial(gossip.server.text);
	rest(10);
	for (int i = 0; i < 10; i++)
		peer_say(gossip.peers[i], "one");
	for (int i = 0; i < 1000 && gossip.ended < 10; i++)
		rest(1);
	ck_assert_int_eq(gossip.ended, 10);
	ck_assert_int_eq(gossip.idle, 10);
	ck_assert_int_ge(gossip.calls, 10);
	for (int i = 0; i < 10; i++) {
		peer_hear_end(gossip.peers[i]);
		peer_close(gossip.peers[i]);
	}
	stop(&gossip.server);
}

/* A server whose handler tries to park its connection elsewhere. */
struct valet {
	struct server server; /* first: the handler's argument */
	struct weft_lot *lot;
	int refused, ended, misled;
};

static int note_misled(struct weft_watch *watch, int why, void *arg)
{
	(void)watch;
	(void)why;
	((struct valet *)arg)->misled++;
	return 0;
}

static int try_to_park(struct weft_conn *conn, void *arg)
{
	struct valet *valet = arg;
	struct weft_stats stats;
	char byte;
	ssize_t n = weft_read(conn, &byte, 1);

	if (n <= 0)
		return (int)n;
	for (int i = 0; i < 2; i++)
		valet->refused += weft_park(valet->lot, weft_conn_watch(conn)) == -EBUSY;
	wf_assert_result(weft_stats(&stats), 0);
	ck_assert_uint_eq(stats.parked, 0);
	return weft_finish(conn, &byte, 1);
}

static void note_ended(struct weft_conn *conn, int why, void *arg)
{
	(void)conn;
	(void)why;
	((struct valet *)arg)->ended++;
}

/* A server's connection cannot be parked by its handler, whether the server parks or not: it ends once,
 * and takes the room of one. */
WF_TASK_TEST(handlers_cannot_park_their_connection)
{
	for (int parks = 0; parks < 2; parks++) {
		struct valet valet = { .server.options = { .connections_max = 1,
							   .ended = note_ended } };
		struct weft_scope scope;
		int peers[2];

		valet.server.options.parks = parks;
		weft_scope_open(&scope);
		wf_assert_result(
			weft_lot_open(&scope, note_misled, &valet, WEFT_FOREVER, &valet.lot), 0);
		start(&valet.server, try_to_park);
		for (int i = 0; i < 3; i++) {
			peers[0] = peer_dial(valet.server.text);
			talk(peers[0], "q");
			peer_hear_end(peers[0]);
			peer_close(peers[0]);
		}
		peers[0] = peer_dial(valet.server.text);
		rest(5);
		peers[1] = peer_dial(valet.server.text);
		peer_say(peers[1], "q");
		rest(20);
		ck_assert_int_eq(valet.ended, 3); /* the room is for one, who is silent */
		peer_close(peers[0]);
		for (int i = 0; i < 1000 && valet.ended < 5; i++)
			rest(1);
		peer_hear(peers[1], "q");
		peer_close(peers[1]);
		stop(&valet.server);
		ck_assert_int_eq(valet.ended, 5);
		ck_assert_int_eq(valet.refused, 2 * 4);
		ck_assert_int_eq(valet.misled, 0);
		wf_assert_result(weft_scope_close(&scope), 0);
	}
}

/* A soft stop ends parked connections at once, and lets a handler that runs finish. */
WF_TASK_TEST(soft_stop_ends_parked_connections)
{
	struct house house = { 0 };
	int peers[20];
	weft_time took;

	open_house(&house);
	for (int i = 0; i < 20; i++) {
		peers[i] = peer_dial(house.server.text);
		if (i % 2)
			talk(peers[i], "hello\n");
	}
	rest(5);
	took = weft_now();
	stop(&house.server);
	ck_assert_int_lt(weft_now() - took, WEFT_SECOND);
	ck_assert_int_eq(house.ended, 20);
	wf_assert_result(house.last_why, WEFT_ESTOPPING);
	ck_assert_uint_eq(failures(), 0);
	for (int i = 0; i < 20; i++) {
		peer_hear_end(peers[i]);
		peer_close(peers[i]);
	}
}

/* The end of the grace ends a handler that still runs; its connection ends once. */
WF_TASK_TEST(grace_ends_a_burst)
{
	struct house house = { .server.options.grace_ns = 20 * WEFT_MILLISECOND };
	int parked, running;

	open_house(&house);
	parked = peer_dial(house.server.text);
	talk(parked, "hello\n");
	running = peer_dial(house.server.text);
	talk(running, "s\n");
	weft_scope_stop(&house.server.scope);
	rest(5);
	ck_assert_int_eq(house.ended, 1);
	expect(&house.server, 0);
	ck_assert_int_eq(house.ended, 2);
	peer_hear_end(parked);
	peer_hear_end(running);
	peer_close(parked);
	peer_close(running);
}

/* A cancel ends all of them, parked, running, due, each once. */
WF_TASK_TEST(cancel_ends_parked_connections)
{
	struct house house = { 0 };
	int peers[3];

	open_house(&house);
	for (int i = 0; i < 3; i++) {
		peers[i] = peer_dial(house.server.text);
		talk(peers[i], i == 1 ? "s\n" : "hello\n");
	}
	peer_say(peers[2], "again\n");
	weft_scope_cancel(&house.server.scope);
	expect(&house.server, -ECANCELED);
	ck_assert_int_eq(house.ended, 3);
	wf_assert_result(house.last_why, -ECANCELED);
	ck_assert_int_eq(house.sessions, 3);
	for (int i = 0; i < 3; i++)
		peer_close(peers[i]);
}

/* Parked connections count among connections_max: the next one waits until one of them has ended. */
WF_TASK_TEST(parked_connections_take_room)
{
	struct house house = { .server.options.connections_max = 3 };
	int peers[3], late;

	open_house(&house);
	for (int i = 0; i < 3; i++) {
		peers[i] = peer_dial(house.server.text);
		talk(peers[i], "hello\n");
	}
	late = peer_dial(house.server.text);
	peer_say(late, "late\n");
	rest(10);
	ck_assert_int_eq(house.sessions, 3);
	peer_close(peers[1]);
	rest(10);
	peer_hear(late, "late\n");
	ck_assert_int_eq(house.sessions, 4);
	peer_close(peers[0]);
	peer_close(peers[2]);
	peer_close(late);
	expect_ended(&house, 4);
	close_house(&house);
}

/* A thousand sessions whose handlers fail are counted, and all given back. */
WF_TASK_TEST(failed_bursts_are_counted)
{
	struct house house = { 0 };
	int peer;

	open_house(&house);
	for (int i = 0; i < 1000; i++) {
		peer = peer_dial(house.server.text);
		peer_say(peer, i % 2 ? "e\n" : "hello\n");
		if (i % 50 == 0)
			rest(1);
		peer_close(peer);
	}
	expect_ended(&house, 1000);
	ck_assert_uint_ge(failures(), 500); /* writing to a peer that has left may fail, too */
	peer = peer_dial(house.server.text);
	talk(peer, "hello\n");
	peer_close(peer);
	expect_ended(&house, 1001);
	close_house(&house);
}

static int ignore_watch(struct weft_watch *watch, int why, void *arg)
{
	(void)watch;
	(void)why;
	(void)arg;
	return 0;
}

/* A connection that cannot be parked, as its number is that of a watch whose descriptor was closed too
 * early, ends by itself: the server goes on. */
WF_TASK_TEST(one_connection_that_cannot_be_parked_ends_alone)
{
	struct house house = { 0 };
	struct weft_scope scope;
	struct weft_watch *watch;
	struct weft_lot *lot;
	int fds[2], peer;

	weft_scope_open(&scope);
	wf_assert_result(weft_lot_open(&scope, ignore_watch, NULL, WEFT_FOREVER, &lot), 0);
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	wf_assert_result(weft_watch_open(fds[0], NULL, &watch), 0);
	wf_assert_result(weft_park(lot, watch), 0);
	rest(1); /* the kernel watches it */
	open_house(&house);
	peer = peer_dial(house.server.text);
	peer_close(
		fds[0]); /* the mistake; the server has not run yet, and accepts with this number */
	expect_ended(&house, 1);
	ck_assert(!house.server.ended);
	peer_hear_end(peer);
	peer_close(peer);
	weft_watch_close(watch);
	peer = peer_dial(house.server.text);
	talk(peer, "hello\n");
	peer_close(peer);
	expect_ended(&house, 2);
	stop(&house.server);
	wf_assert_result(weft_scope_close(&scope), 0);
	peer_close(fds[1]);
}

/* Swallows what a flood brings, a burst at a time; anything else is answered. */
static int swallow_or_answer_bursts(struct weft_conn *conn, void *arg)
{
	struct weft_input input;
	ssize_t n = weft_fill(conn, &input);
	int r = 0;

	(void)arg;
	if (n <= 0)
		return (int)n;
	if (input.data[0] != 0)
		r = weft_write(conn, input.data, input.bytes, NULL);
	weft_consume(conn, input.bytes);
	return r;
}

static int compare_times(const void *a, const void *b)
{
	weft_time x = *(const weft_time *)a, y = *(const weft_time *)b;

	return (x > y) - (x < y);
}

/* One connection that always has input delays the others a little only: half of their round trips
 * take at most 10 ms. */
WF_TASK_TEST(a_flood_delays_others_little)
{
	enum { TRIPS = 51 };
	struct server server = { .options.parks = true };
	struct flood flooding = { 0 };
	weft_time took[TRIPS];
	struct weft_conn *conn;
	pthread_t thread;

	wf_need_world("threads");
	start(&server, swallow_or_answer_bursts);
	flooding.fd = peer_dial(server.text);
	ck_assert_int_eq(pthread_create(&thread, NULL, flood, &flooding), 0);
	rest(20);
	wf_assert_result(weft_dial(server.text, &conn), 0);
	for (int i = 0; i < TRIPS; i++) {
		char bytes[4];

		took[i] = weft_now();
		wf_assert_result(weft_write(conn, "ping", 4, NULL), 0);
		wf_assert_result(weft_read_full(conn, bytes, 4, NULL), 0);
		took[i] = weft_now() - took[i];
	}
	weft_close(conn);
	atomic_store(&flooding.over, true);
	weft_scope_cancel(&server.scope);
	expect(&server, -ECANCELED);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	peer_close(flooding.fd);
	qsort(took, TRIPS, sizeof *took, compare_times);
	ck_assert_int_lt(took[TRIPS / 2], (wf_is_slow() ? 100 : 10) * WEFT_MILLISECOND);
}

WF_MAIN("net/serve_parks")
