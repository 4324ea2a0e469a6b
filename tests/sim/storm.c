/* SPDX-License-Identifier: MIT */
/*
 * More clients than a small server has room for: few connections, few descriptors, a short backlog.
 *
 * The server parks its connections between two bursts of input. It must never have more of them than it
 * may, tell the end of each exactly once, and show each request once and in order, whatever pieces it comes
 * in. Clients try again when they are refused, cut off, or dropped for being idle; some ask the server to
 * finish, to close, or to fail, and a task of the server closes connections that others handle or nobody
 * does. In a calm world every client is served in the end.
 */
#include "scenario.h"

enum { HOSTS = 4, TASKS = 5, JOBS = 2, REQUESTS = 3, CONNECTIONS_MAX = 4, SESSIONS_MAX = 4000 };

static const weft_time IDLE = 2 * WEFT_SECOND;
static const weft_time CLIENT_PATIENCE = 20 * WEFT_SECOND;
static const weft_time ALL_SERVED_BY = 900 * WEFT_SECOND;

/* What a client wants the server to do when it has read a request. */
enum wish { ANSWER, ANSWER_LATER, FINISH, CLOSE, FAIL, WISHES };

struct message {
	uint32_t client;
	uint16_t number; /* of the request on its connection, from 0 */
	uint16_t wish;
	uint32_t check;
};

/* A connection that the server has seen input of. */
struct session {
	bool is_live;
	uint32_t client;
	uint16_t next; /* the number of the next request */
	struct weft_conn *conn;
	bool is_closed;	     /* by the reaper, or by the handler itself */
	weft_time closed_at; /* by the reaper; or 0 */
};

static struct books {
	uint32_t live, peak;
	uint32_t session_count;
	uint32_t jobs_done;
} books;
static struct session sessions[SESSIONS_MAX];

static uint32_t check_of(const struct message *message)
{
	return message->client * 31 + message->number * 7U + message->wish + 0x1234567;
}

/* ---- The server ------------------------------------------------------------------------------ */

static struct session *session_of(struct weft_conn *conn, const struct message *first)
{
	struct session *session = weft_conn_user(conn);

	if (session)
		return session;
	weft_always(books.session_count < SESSIONS_MAX, "the scenario has room for all sessions");
	session = &sessions[books.session_count++];
	*session = (struct session){ .is_live = true, .client = first->client, .conn = conn };
	weft_conn_user_set(conn, session);
	weft_always(++books.live <= CONNECTIONS_MAX, "no more connections than there may be");
	weft_sometimes(books.live == CONNECTIONS_MAX, "the server is full");
	return session;
}

static int grant(struct session *session, const struct message *message)
{
	struct weft_conn *conn = session->conn;
	int r = 0;

	switch ((enum wish)message->wish) {
	case ANSWER_LATER:
		r = weft_sleep(100 * WEFT_MILLISECOND);
		return r < 0 ? r : weft_write(conn, message, sizeof *message, NULL);
	case FINISH:
		session->is_closed = true;
		return weft_finish(conn, message, sizeof *message);
	case CLOSE:
		session->is_closed = true;
		weft_close(conn);
		return 0;
	case FAIL:
		return -EBADMSG;
	default:
		return weft_write(conn, message, sizeof *message, NULL);
	}
}

/* Looks at a message, and books it. */
static struct session *receive(struct weft_conn *conn, const struct message *message)
{
	struct session *session;

	weft_always(message->check == check_of(message), "a message is as it was sent");
	session = session_of(conn, message);
	weft_always(session->is_live, "what has ended is not handled");
	weft_always(session->client == message->client, "a connection has one client");
	weft_always(session->next == message->number, "each request comes once and in order");
	session->next++;
	return session;
}

/* Handles the messages that are complete; what is left waits for the next burst. */
static int handle(struct weft_conn *conn, void *arg)
{
	struct weft_input input;
	ssize_t n = weft_fill(conn, &input);
	struct message message = { .wish = ANSWER };
	size_t used = 0;
	int r = n < 0 ? (int)n : 0;

	(void)arg;
	weft_sometimes(n > 0 && input.bytes > (size_t)n, "a message comes in two bursts");
	while (r == 0 && n >= 0 && message.wish == ANSWER && input.bytes - used >= sizeof message) {
		struct session *session;

		memcpy(&message, input.data + used, sizeof message);
		session = receive(conn, &message);
		used += sizeof message;
		if (message.wish != ANSWER) { /* it may be the last that can be done */
			weft_consume(conn, used);
			used = 0;
		}
		WEFT_DEADLINE(weft_after(WEFT_SECOND))
			r = grant(session, &message);
	}
	if (r == 0 && used > 0)
		weft_consume(conn, used);
	return r;
}

static void ended(struct weft_conn *conn, int why, void *arg)
{
	struct session *session = weft_conn_user(conn);

	(void)arg;
	weft_sometimes(why == WEFT_EDEADLINE, "a connection has been idle for too long");
	weft_sometimes(why == -EBADMSG, "a handler has failed");
	if (!session)
		return;
	weft_always(session->is_live, "a connection ends once");
	weft_always(why != WEFT_ECLOSED || session->is_closed, "nothing is closed by itself");
	weft_always(!session->closed_at || weft_now() - session->closed_at < IDLE * 3 / 4,
		    "what is closed ends soon, parked or not");
	session->is_live = false;
	books.live--;
}

/* Closes a connection now and then, parked or not, while the world is bad. */
static int reap(void *arg)
{
	(void)arg;
	while (weft_sim_now(world) < CALM_AT &&
	       weft_sleep((weft_time)weft_sim_choose(world, 100, 3000) * WEFT_MILLISECOND) == 0) {
		uint32_t back = (uint32_t)weft_sim_choose(world, 1, CONNECTIONS_MAX);
		struct session *session =
			back <= books.session_count ? &sessions[books.session_count - back] : NULL;

		if (!session || !session->is_live || session->is_closed)
			continue;
		weft_reachable("a connection is closed by another task");
		session->is_closed = true;
		session->closed_at = weft_now();
		weft_close(session->conn);
	}
	return 0;
}

static int server(void *arg)
{
	const struct weft_serve_options options = {
		.listen = { .backlog = 3 },
		.connections_max = CONNECTIONS_MAX,
		.parks = true,
		.idle_ns = IDLE,
		.ended = ended,
		.grace_ns = WEFT_SECOND,
	};
	struct weft_scope scope;
	int r;

	(void)arg;
	weft_scope_open(&scope);
	r = weft_spawn(&scope, reap, NULL);
	if (r == 0)
		r = serve_for_ever("10.0.0.1:80", handle, &options);
	weft_always(books.live == 0, "each connection has ended when the server has");
	weft_scope_leave(&scope);
	return r;
}

/* ---- The clients ----------------------------------------------------------------------------- */

/* Sends a message, perhaps in two bursts. */
static int send_message(struct weft_conn *conn, const struct message *message)
{
	size_t first = one_in(2) ? weft_sim_choose(world, 1, sizeof *message) : sizeof *message;
	int r = weft_write(conn, message, first, NULL);

	if (r == 0 && first < sizeof *message) {
		r = weft_sleep((weft_time)weft_sim_choose(world, 0, 300) * WEFT_MILLISECOND);
		if (r == 0)
			r = weft_write(conn, (const char *)message + first, sizeof *message - first,
				       NULL);
	}
	return r;
}

static int request(struct weft_conn *conn, struct message *message)
{
	struct message answer;
	int r;

	message->check = check_of(message);
	r = send_message(conn, message);
	if (r == 0)
		r = weft_read_full(conn, &answer, sizeof answer, NULL);
	weft_always(r < 0 || memcmp(&answer, message, sizeof answer) == 0,
		    "an answer is the right one");
	return r;
}

/* On the first attempts clients are difficult. */
static int ask_all(struct weft_conn *conn, uint32_t client, uint32_t attempt)
{
	int r = 0;

	for (uint16_t i = 0; i < REQUESTS && r == 0; i++) {
		struct message message = { .client = client, .number = i };

		if (attempt < 2 && one_in(3))
			message.wish = (uint16_t)weft_sim_choose(world, 0, WISHES - 1);
		r = request(conn, &message);
		weft_always(r < 0 || (message.wish != CLOSE && message.wish != FAIL),
			    "there is no answer where none was asked for");
		if (r == 0 && message.wish == FINISH)
			return i == REQUESTS - 1 ? 0 : WEFT_EEOF;
		if (r == 0 && i < REQUESTS - 1 && attempt < 2 && one_in(4))
			r = weft_sleep((weft_time)weft_sim_choose(world, 1, 3) * WEFT_SECOND);
	}
	return r;
}

static int serve_me(uint32_t client, uint32_t attempt)
{
	struct weft_conn *conn;
	int r = weft_dial("10.0.0.1:80", &conn);

	if (r < 0) {
		weft_always(is_stop(r) || is_refusal(r), "a dial fails for a known reason");
		return r;
	}
	r = ask_all(conn, client, attempt);
	weft_close(conn);
	weft_always(r == 0 || r == WEFT_EEOF || is_stop(r) || is_mishap(r),
		    "the client knows the error");
	return r;
}

/* One client: a few jobs, each tried until it is done. */
static int do_jobs(void *arg)
{
	uint32_t client = *(uint32_t *)arg;
	uint32_t attempt = 0;

	for (int jobs = 0; jobs < JOBS; attempt++) {
		int r = 0;

		WEFT_DEADLINE(weft_after(CLIENT_PATIENCE))
			r = serve_me(client, attempt);
		weft_sometimes(r == WEFT_EEOF, "a connection ends before the job is done");
		weft_sometimes(r == -ECONNRESET, "a connection is reset");
		weft_sometimes(r == WEFT_EDEADLINE, "a client loses patience");
		weft_sometimes(r == -ETIMEDOUT, "nobody answers a dial");
		if (r == 0) {
			jobs++;
			attempt = 0;
		}
		r = weft_sleep((weft_time)weft_sim_choose(world, 1, 2000) * WEFT_MILLISECOND);
		if (r < 0)
			return r;
	}
	books.jobs_done += JOBS;
	return 0;
}

static int clients(void *arg)
{
	uint32_t first = *(uint32_t *)arg;
	struct weft_scope scope;
	int r = 0;

	weft_scope_open(&scope);
	for (uint32_t i = 0; i < TASKS && r == 0; i++) {
		uint32_t client = first + i;

		while ((r = weft_spawn_copy(&scope, do_jobs, &client, sizeof client)) == -ENOMEM)
			if (weft_sleep(WEFT_SECOND) < 0)
				break;
	}
	r = weft_scope_close(&scope);
	if (books.jobs_done == HOSTS * TASKS * JOBS)
		weft_sim_stop(world, NULL);
	return r;
}

/* ---- The world ------------------------------------------------------------------------------- */

static void scenario(struct weft_sim *sim)
{
	static const char *const addresses[] = { "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5" };
	static uint32_t firsts[HOSTS];
	struct weft_sim_host *host;

	books = (struct books){ 0 };
	run_in_two_halves(sim);
	weft_sim_run_for(sim, ALL_SERVED_BY, RUN_FOR);
	host = weft_sim_host(sim, "server", "10.0.0.1", server, NULL);
	weft_sim_limit(sim, host, (uint32_t)weft_sim_choose(sim, 3, 8), 0);
	for (uint32_t i = 0; i < HOSTS; i++) {
		firsts[i] = i * TASKS;
		host = weft_sim_host(sim, "clients", addresses[i], clients, &firsts[i]);
		weft_sim_limit(sim, host, TASKS - (i == 0), 0);
	}
}

int main(int argc, char **argv)
{
	return weft_sim_main(argc, argv, scenario);
}
