/* SPDX-License-Identifier: MIT */
#include "net/server.h"

#include <signal.h>

/* ---- Handlers and clients -------------------------------------------------------------------- */

/* Reads a byte, waits, and sends it back. */
static int answer(struct weft_conn *conn, void *arg)
{
	struct server *server = arg;
	char byte;
	int r = weft_read_full(conn, &byte, 1, NULL);

	server->running++;
	if (server->running > server->running_most)
		server->running_most = server->running;
	if (r == 0 && server->hold_ns)
		r = weft_sleep(server->hold_ns);
	if (r == 0)
		r = weft_finish(conn, &byte, 1);
	server->running--;
	server->served += r == 0;
	return r;
}

/* A client: sends a byte and must get it back. */
static int ask(void *arg)
{
	struct server *server = arg;
	struct weft_conn *conn;
	char byte = 0;

	wf_assert_result(weft_dial(server->text, &conn), 0);
	wf_assert_result(weft_write(conn, "q", 1, NULL), 0);
	wf_assert_result(weft_read_full(conn, &byte, 1, NULL), 0);
	ck_assert_int_eq(byte, 'q');
	weft_close(conn);
	return 0;
}

static void ask_at_once(struct server *server, int clients)
{
	struct weft_scope scope;

	weft_scope_open(&scope);
	for (int i = 0; i < clients; i++)
		SPAWN(&scope, ask, server);
	wf_assert_result(weft_scope_close(&scope), 0);
}

/* ---- Serving --------------------------------------------------------------------------------- */

/* Connections are served, many at once. */
WF_TASK_TEST(serves)
{
	struct server server = { 0 };

	start(&server, answer);
	for (int i = 0; i < 10; i++)
		ask_at_once(&server, 100);
	ck_assert_int_eq(server.served, 1000);
	ck_assert_uint_eq(failures(), 0);
	stop(&server);
}

/* weft_serve listens itself, and gives up with the errors of weft_listen. */
WF_TASK_TEST(serve_listens)
{
	char text[WEFT_ADDRESS_TEXT_MAX];
	struct weft_listener *listener = wf_listen_loopback(text);

	wf_assert_result(weft_serve(text, answer, NULL, NULL), -EADDRINUSE);
	wf_assert_result(weft_serve("nonsense", answer, NULL, NULL), WEFT_EADDRESS);
	weft_listener_close(listener);
}

/* The connection is closed when the handler returns. */
static int say_bye(struct weft_conn *conn, void *arg)
{
	(void)arg;
	return weft_write(conn, "bye", 3, NULL);
}

WF_TASK_TEST(connection_ends_with_the_handler)
{
	struct server server = { 0 };
	int peer;

	start(&server, say_bye);
	peer = peer_dial(server.text);
	rest(5);
	peer_hear(peer, "bye");
	peer_hear_end(peer);
	peer_close(peer);
	stop(&server);
}

/* Fails in a way that the first byte names, or answers. */
static int fail_or_answer(struct weft_conn *conn, void *arg)
{
	char byte = 0, more;
	ssize_t n = weft_read(conn, &byte, 1);

	if (n == 0)
		return WEFT_EEOF;
	if (byte == 'e')
		return -EIO;
	if (byte == 'r') {
		n = weft_read(conn, &more, 1); /* the reset */
		return n < 0 ? (int)n : -EPROTO;
	}
	if (byte == 'w')
		return weft_read_full(conn, &more, 1, NULL); /* the end */
	if (byte == 'q') {
		((struct server *)arg)->served++;
		return weft_finish(conn, &byte, 1);
	}
	return -EPROTO; /* garbage */
}

/* A thousand handlers fail, of peers that reset, leave, send garbage or nothing, and the server goes
 * on and has counted them. */
WF_TASK_TEST(failures_are_counted_and_survived)
{
	static const char how[] = { 'e', 'r', 'w', '?', 0 };
	struct server server = { 0 };

	start(&server, fail_or_answer);
	for (int i = 0; i < 1000; i++) {
		char kind = how[i % 5];
		int peer = peer_dial(server.text);

		if (kind)
			peer_send(peer, &kind, 1);
		if (i % 50 == 0)
			rest(1);
		if (kind == 'r')
			peer_reset(peer);
		else
			peer_close(peer);
	}
	for (int i = 0; i < 500 && failures() < 1000; i++)
		rest(20);
	ck_assert_uint_eq(failures(), 1000);
	ck_assert(!server.ended);
	ask_at_once(&server, 10);
	ck_assert_int_eq(server.served, 10);
	stop(&server);
}

/* ---- Stopping -------------------------------------------------------------------------------- */

/* A soft stop refuses new connections at once, and lets handlers that run finish. */
WF_TASK_TEST(soft_stop_lets_handlers_finish)
{
	struct server server = { .hold_ns = 50 * WEFT_MILLISECOND };
	weft_time start_ns;
	int peer, late;
	struct weft_address address;

	start(&server, answer);
	peer = peer_dial(server.text);
	peer_say(peer, "q");
	rest(10);
	ck_assert_int_eq(server.running, 1);
	start_ns = weft_now();
	weft_scope_stop(&server.scope);
	rest(5);
	ck_assert(!server.ended);
	wf_assert_result(weft_address_parse(server.text, &address, NULL), 0);
	late = peer_socket(&address);
	ck_assert_int_eq(peer_connect(late, server.text), ECONNREFUSED);
	expect(&server, 0);
	ck_assert_int_lt(weft_now() - start_ns, 5 * WEFT_SECOND); /* not the whole grace period */
	ck_assert_int_eq(server.served, 1);
	peer_hear(peer, "q");
	peer_close(peer);
	peer_close(late);
}

/* Handlers that take longer than the grace period are cancelled. */
WF_TASK_TEST(grace_is_limited)
{
	struct server server = { .hold_ns = WEFT_FOREVER,
				 .options.grace_ns = 50 * WEFT_MILLISECOND };
	weft_time took;
	int peer;

	start(&server, answer);
	peer = peer_dial(server.text);
	peer_say(peer, "q");
	rest(10);
	took = weft_now();
	stop(&server);
	took = weft_now() - took;
	ck_assert_int_ge(took, 50 * WEFT_MILLISECOND);
	ck_assert_int_lt(took, WEFT_SECOND);
	ck_assert_int_eq(server.served, 0);
	peer_hear_end(peer);
	peer_close(peer);
}

/* With no grace they are cancelled at once. */
WF_TASK_TEST(no_grace)
{
	struct server server = { .hold_ns = WEFT_FOREVER, .options.grace_ns = -1 };
	weft_time took;
	int peer;

	start(&server, answer);
	peer = peer_dial(server.text);
	peer_say(peer, "q");
	rest(10);
	took = weft_now();
	stop(&server);
	ck_assert_int_lt(weft_now() - took, WEFT_SECOND);
	peer_close(peer);
}

/* A cancel ends everything at once, and says so. */
WF_TASK_TEST(cancel)
{
	struct server server = { .hold_ns = WEFT_FOREVER };
	int peers[10];

	start(&server, answer);
	for (int i = 0; i < 10; i++) {
		peers[i] = peer_dial(server.text);
		peer_say(peers[i], "q");
	}
	rest(10);
	ck_assert_int_eq(server.running, 10);
	weft_scope_cancel(&server.scope);
	expect(&server, -ECANCELED);
	ck_assert_int_eq(server.running, 0);
	for (int i = 0; i < 10; i++)
		peer_close(peers[i]);
}

static int serve_briefly(void *arg)
{
	struct server *server = arg;

	WEFT_DEADLINE(weft_after(20 * WEFT_MILLISECOND))
		server->result = weft_serve_listener(server->listener, answer, server, NULL);
	return 0;
}

/* So does a deadline. */
WF_TASK_TEST(deadline)
{
	struct server server = { 0 };

	server.listener = wf_listen_loopback(server.text);
	weft_scope_open(&server.scope);
	SPAWN(&server.scope, serve_briefly, &server);
	expect(&server, WEFT_EDEADLINE);
}

/* A server in a scope that has been stopped serves nobody. */
WF_TASK_TEST(stopped_before_it_starts)
{
	struct server server = { 0 };

	server.listener = wf_listen_loopback(server.text);
	weft_scope_open(&server.scope);
	SPAWN(&server.scope, serve, &server);
	stop(&server);
}

/* ---- Signals --------------------------------------------------------------------------------- */

/* SIGTERM is a soft stop, and lets the handler that runs finish. */
WF_TASK_TEST(sigterm_stops_softly)
{
	struct server server = { .hold_ns = 50 * WEFT_MILLISECOND,
				 .options.stop_on_signals = true };
	int peer;

	start(&server, answer);
	peer = peer_dial(server.text);
	peer_say(peer, "q");
	rest(10);
	ck_assert_int_eq(raise(SIGTERM), 0);
	expect(&server, 0);
	ck_assert_int_eq(server.served, 1);
	peer_hear(peer, "q");
	peer_close(peer);
}

static int raise_sigterm(void *arg)
{
	(void)arg;
	return raise(SIGTERM);
}

static int serve_signalled(void *arg)
{
	const struct weft_serve_options options = { .stop_on_signals = true };
	struct weft_scope scope;
	int r, joined;

	(void)arg;
	weft_scope_open(&scope);
	SPAWN(&scope, raise_sigterm, NULL); /* runs when the server first suspends */
	r = weft_serve("127.0.0.1:0", answer, NULL, &options);
	joined = weft_scope_close(&scope);
	return r ? r : joined;
}

static int run_signalled(void *arg)
{
	(void)signal(SIGTERM, SIG_DFL); /* not what Check does, which ends the parent, too */
	return weft_run(serve_signalled, arg, NULL) != 0;
}

/* SIGTERM stops a server softly from its very beginning, before its tasks have run. */
WF_TEST(sigterm_at_the_beginning)
{
	struct wf_child child = wf_child(run_signalled, NULL);

	ck_assert_str_eq(child.errors, "");
	ck_assert_int_eq(child.signal, 0);
	ck_assert_int_eq(child.status, 0);
}

/* A second signal, of either kind, cuts the grace period short. */
WF_TASK_TEST(second_signal_ends_the_grace)
{
	struct server server = { .hold_ns = WEFT_FOREVER, .options.stop_on_signals = true };
	weft_time took;
	int peer;

	start(&server, answer);
	peer = peer_dial(server.text);
	peer_say(peer, "q");
	rest(10);
	took = weft_now();
	ck_assert_int_eq(raise(SIGINT), 0);
	rest(20);
	ck_assert(!server.ended);
	ck_assert_int_eq(raise(SIGTERM), 0);
	expect(&server, 0);
	ck_assert_int_lt(weft_now() - took, 2 * WEFT_SECOND);
	peer_close(peer);
}

/* ---- Many ------------------------------------------------------------------------------------ */

/* At most connections_max are served at once; the rest waits in the backlog and is served later. */
WF_TASK_TEST(connections_max)
{
	struct server server = { .options.connections_max = 3, .hold_ns = WEFT_MILLISECOND };

	start(&server, answer);
	ask_at_once(&server, 50);
	ck_assert_int_eq(server.served, 50);
	ck_assert_int_eq(server.running_most, 3);
	stop(&server);
}

/* A soft stop is heard while there is no room for more connections. */
WF_TASK_TEST(stop_without_room)
{
	struct server server = { .options.connections_max = 1, .hold_ns = 30 * WEFT_MILLISECOND };
	int peers[3];

	start(&server, answer);
	for (int i = 0; i < 3; i++) {
		peers[i] = peer_dial(server.text);
		peer_say(peers[i], "q");
	}
	rest(10);
	ck_assert_int_eq(server.running, 1);
	stop(&server);
	ck_assert_int_eq(server.served, 1);
	peer_hear(peers[0], "q");
	for (int i = 0; i < 3; i++)
		peer_close(peers[i]);
}

static void stop_posted(void *scope)
{
	weft_scope_stop(scope);
}

/* Checks that nobody listens any more, but the handler still runs. */
static void check_closed(const struct server *server)
{
	struct weft_address address;
	int late;

	ck_assert(!server->ended);
	ck_assert_int_eq(server->running, 1);
	wf_assert_result(weft_address_parse(server->text, &address, NULL), 0);
	late = peer_socket(&address);
	ck_assert_int_eq(peer_connect(late, server->text), ECONNREFUSED);
	peer_close(late);
}

/* A soft stop closes the listener at once while there is no room: when the last room has long been
 * taken, and when the connection that takes it is accepted in the same turn. */
WF_TASK_TEST(stop_without_room_closes_the_listener)
{
	for (int at_once = 0; at_once < 2; at_once++) {
		struct server server = { .options.connections_max = 1,
					 .hold_ns = 200 * WEFT_MILLISECOND };
		int peer;

		start(&server, answer);
		rest(5);
		peer = peer_dial(server.text);
		peer_say(peer, "q");
		if (!at_once)
			rest(5);
		wf_assert_result(weft_post(weft_worker_self(), stop_posted, &server.scope), 0);
		rest(10);
		check_closed(&server);
		expect(&server, 0);
		ck_assert_int_eq(server.served, 1);
		peer_hear(peer, "q");
		peer_close(peer);
	}
}

/* Connects from a loopback address of its own, so that no port is used up. */
static int dial_from(unsigned last_byte, const char *text)
{
	char own[WEFT_ADDRESS_TEXT_MAX];
	struct weft_address address;
	int fd;

	(void)snprintf(own, sizeof own, "127.0.0.%u:0", last_byte);
	wf_assert_result(weft_address_parse(own, &address, NULL), 0);
	fd = peer_socket(&address);
	ck_assert_int_eq(bind(fd, (void *)address.storage.bytes, address.length), 0);
	ck_assert_int_eq(peer_connect(fd, text), 0);
	return fd;
}

/* Five thousand connections in bursts, from several addresses: all are answered. */
WF_TASK_TEST(storm)
{
	enum { BURST = 1000 };
	static int peers[BURST];
	struct server server = { 0 };

	need_descriptors(2 * BURST + 100);
	start(&server, answer);
	for (unsigned burst = 0; burst < 5; burst++) {
		for (unsigned i = 0; i < BURST; i++) {
			peers[i] = dial_from(2 + (burst + i) % 9, server.text);
			peer_say(peers[i], "q");
		}
		for (int i = 0; i < 1000 && server.served < (int)(burst + 1) * BURST; i++)
			rest(2);
		for (unsigned i = 0; i < BURST; i++) {
			peer_hear(peers[i], "q");
			peer_hear_end(peers[i]);
			peer_close(peers[i]);
		}
	}
	ck_assert_int_eq(server.served, 5 * BURST);
	stop(&server);
}

/* 'f' is read from for ever, anything else is answered. */
static int swallow_or_answer(struct weft_conn *conn, void *arg)
{
	char first, buffer[4096];
	ssize_t n = weft_read(conn, &first, 1);

	if (n != 1)
		return (int)n;
	if (first != 'f')
		return weft_finish(conn, &first, 1);
	(void)arg;
	while (n > 0)
		n = weft_read(conn, buffer, sizeof buffer);
	return (int)n;
}

/* Connections whose peers always have data do not starve another one. */
WF_TASK_TEST(floods_starve_nobody)
{
	enum { FLOODS = 4 };
	struct server server = { 0 };
	struct flood floods[FLOODS] = { 0 };
	pthread_t threads[FLOODS];
	weft_time took;

	wf_need_world("threads");
	start(&server, swallow_or_answer);
	for (int i = 0; i < FLOODS; i++) {
		floods[i].fd = peer_dial(server.text);
		peer_say(floods[i].fd, "f");
		ck_assert_int_eq(pthread_create(&threads[i], NULL, flood, &floods[i]), 0);
	}
	rest(20);
	took = weft_now();
	ask_at_once(&server, 10);
	took = weft_now() - took;
	for (int i = 0; i < FLOODS; i++)
		atomic_store(&floods[i].over, true);
	weft_scope_cancel(&server.scope);
	expect(&server, -ECANCELED);
	for (int i = 0; i < FLOODS; i++) {
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
		peer_close(floods[i].fd);
	}
	ck_assert_int_lt(took, 2 * WEFT_SECOND);
}

WF_MAIN("net/serve")
