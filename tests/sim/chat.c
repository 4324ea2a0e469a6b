/* SPDX-License-Identifier: MIT */
/*
 * Rooms to talk in, with members on several hosts.
 *
 *	connection ──> reader ──> inbox of the room ──> room ──> queue of each member ──> writer ──> connection
 *
 * A room puts what is said into one order. Its queues are bounded: a member that is slow misses messages,
 * and is told how many; one that goes on being slow is dropped. Each member sees the messages of its room
 * in the room's order, and knows of each gap; nothing that was said is lost on the way to the room or
 * doubled. Once the world has recovered, nobody is cut off but for being slow.
 */
#include "scenario.h"

enum {
	HOSTS = 3,
	MEMBERS = 2, /* on each host */
	ROOMS = 2,
	INBOX = 2,
	QUEUE = 3,
	STRIKES_MAX = 6,
	LOG_MAX = 4000,
	SESSIONS_MAX = 1000,
	NOBODY = SESSIONS_MAX, /* says what the room itself says */
};

static const weft_time TICK = 5 * WEFT_SECOND;

/* What travels, in both directions. */
struct message {
	uint32_t room, sender, number; /* the sender's number of it, from 1 */
	uint32_t place;		       /* in the order of the room, from 1 */
	uint32_t missed;	       /* how many were not sent before this one */
	char text[40];
};

/* A connection, as all sides know it. */
static struct session {
	uint32_t sequenced; /* the last number that came into the order of the room */
	uint32_t joined_at; /* the last place before it joined */
	bool is_dropped;    /* for being slow */
} sessions[SESSIONS_MAX];

/* Who said what, for each place. */
static struct {
	uint32_t sender, number;
} logs[ROOMS][LOG_MAX];

static uint32_t session_count;

static void write_text(struct message *message)
{
	for (size_t i = 0; i < sizeof message->text; i++)
		message->text[i] = (char)(message->sender * 7 + message->number * 3 + i);
}

static bool is_text_right(const struct message *message)
{
	struct message expected = *message;

	write_text(&expected);
	return memcmp(expected.text, message->text, sizeof expected.text) == 0;
}

/* ---- Rooms ----------------------------------------------------------------------------------- */

struct member {
	struct member *next;
	struct weft_conn *conn;
	struct weft_chan *queue;
	uint32_t session;
	uint32_t missed, strikes;
};

static struct room {
	struct weft_chan *inbox;
	struct member *members;
	uint32_t last; /* place */
} rooms[ROOMS];

static void leave(struct room *room, const struct member *gone)
{
	for (struct member **at = &room->members; *at; at = &(*at)->next)
		if (*at == gone) {
			*at = gone->next;
			return;
		}
}

/* To one member; whoever has no room for it misses it. */
static void pass_on(struct room *room, struct member *member, struct message message)
{
	int r;

	message.missed = member->missed;
	r = weft_chan_try_send(member->queue, &message);
	weft_always(r == 0 || r == -EAGAIN, "the queue of a member is open");
	if (r == 0) {
		member->missed = member->strikes = 0;
		return;
	}
	member->missed++;
	if (++member->strikes <= STRIKES_MAX)
		return;
	weft_reachable("a slow member is dropped");
	sessions[member->session].is_dropped = true;
	leave(room, member);
	weft_chan_close(member->queue);
}

static void spread(struct room *room, struct message *message)
{
	struct member *next;

	message->place = ++room->last;
	weft_always(message->place < LOG_MAX, "the scenario has room for all that is said");
	logs[message->room][message->place].sender = message->sender;
	logs[message->room][message->place].number = message->number;
	if (message->sender != NOBODY)
		weft_always(message->number == ++sessions[message->sender].sequenced,
			    "what a member says comes to the room once and in order");
	for (struct member *member = room->members; member; member = next) {
		next = member->next;
		pass_on(room, member, *message);
	}
}

/* Says what is said, and something of its own now and then. */
static int run_room(void *arg)
{
	struct room *room = arg;
	uint32_t ticks = 0;

	for (;;) {
		struct message message;
		struct weft_case cases[] = { weft_case_recv(room->inbox, &message),
					     weft_case_until(weft_after(TICK)) };
		int i = weft_select(cases, 2);

		if (i < 0 || cases[i].result == WEFT_ECLOSED)
			return i < 0 ? i : 0;
		if (i == 1) {
			message = (struct message){ .room = (uint32_t)(room - rooms),
						    .sender = NOBODY,
						    .number = ++ticks };
			write_text(&message);
		}
		weft_sometimes(i == 1, "a room speaks by itself");
		spread(room, &message);
	}
}

/* ---- Connections of the server --------------------------------------------------------------- */

static int write_queue(void *arg)
{
	const struct member *member = arg;
	struct message message;
	int r;

	while ((r = weft_chan_recv(member->queue, &message)) == 0)
		if ((r = weft_write(member->conn, &message, sizeof message, NULL)) < 0)
			break;
	return r; /* which ends the reader, too */
}

static int read_messages(struct member *member, struct room *room)
{
	struct message message;
	int r = 0;

	while (r == 0) {
		r = weft_read_full(member->conn, &message, sizeof message, NULL);
		if (r < 0)
			break;
		weft_always(message.sender == member->session && is_text_right(&message),
			    "a message arrives as it was said");
		r = weft_chan_send(room->inbox, &message);
	}
	return r;
}

/* From joining to leaving. */
static int take_part(struct member *member, struct room *room)
{
	struct weft_scope scope;
	int r;

	weft_scope_open(&scope);
	r = weft_spawn(&scope, write_queue, member);
	if (r == 0) {
		sessions[member->session].joined_at = room->last;
		member->next = room->members;
		room->members = member;
		r = read_messages(member, room);
		leave(room, member);
	}
	weft_scope_cancel(&scope);
	weft_scope_leave(&scope);
	return r;
}

static void check_peer(struct weft_conn *conn)
{
	char text[WEFT_ADDRESS_TEXT_MAX];
	struct weft_address address;
	int r = weft_conn_peer(conn, &address);

	weft_always(r == 0 || r == -ENOTCONN || r == -ENOBUFS, "a peer has an address, or why not");
	weft_always(r < 0 || strncmp(weft_address_format(&address, text), "10.0.0.", 7) == 0,
		    "it is that of a member");
}

static int host_member(struct weft_conn *conn, void *arg)
{
	struct member member = { .conn = conn };
	struct message hello;
	int r = weft_read_full(conn, &hello, sizeof hello, NULL);

	(void)arg;
	if (r < 0)
		return r;
	check_peer(conn);
	weft_always(hello.room < ROOMS && hello.sender < session_count, "a member says who it is");
	member.session = hello.sender;
	r = weft_chan_new(sizeof hello, QUEUE, &member.queue);
	if (r < 0)
		return r;
	r = take_part(&member, &rooms[hello.room]);
	weft_chan_free(member.queue);
	weft_always(is_stop(r) || is_mishap(r) || r == WEFT_EEOF, "the server knows the error");
	return r;
}

static int open_rooms(struct weft_scope *scope)
{
	int r = 0;

	for (int i = 0; i < ROOMS && r == 0; i++) {
		while ((r = weft_chan_new(sizeof(struct message), INBOX, &rooms[i].inbox)) ==
		       -ENOMEM)
			if (weft_sleep(WEFT_SECOND) < 0)
				break;
		if (r == 0)
			r = weft_spawn(scope, run_room, &rooms[i]);
	}
	return r;
}

static int server(void *arg)
{
	const struct weft_serve_options options = { .grace_ns = 2 * WEFT_SECOND };
	struct weft_scope scope;
	int r;

	(void)arg;
	weft_scope_open(&scope);
	r = open_rooms(&scope);
	if (r == 0)
		r = serve_for_ever("10.0.0.1:80", host_member, &options);
	for (int i = 0; i < ROOMS; i++) {
		weft_always(!rooms[i].members, "a room is empty in the end");
		if (rooms[i].inbox)
			weft_chan_close(rooms[i].inbox);
	}
	if (r == 0)
		r = weft_scope_close(&scope);
	weft_scope_leave(&scope);
	for (int i = 0; i < ROOMS; i++)
		weft_chan_free(rooms[i].inbox);
	return r;
}

/* ---- Members --------------------------------------------------------------------------------- */

struct client {
	struct weft_conn *conn;
	uint32_t room, session, number;
};

static int say(struct client *client)
{
	struct message message = { .room = client->room,
				   .sender = client->session,
				   .number = client->number++ };

	write_text(&message);
	return weft_write(client->conn, &message, sizeof message, NULL);
}

/* Says something now and then, until the end of the run. */
static int talk(void *arg)
{
	struct client *client = arg;
	int r = 0;

	while (r == 0 && weft_sim_now(world) < RUN_FOR) {
		r = weft_sleep((weft_time)weft_sim_choose(world, 100, 1500) * WEFT_MILLISECOND);
		if (r == 0)
			r = say(client);
	}
	return r < 0 ? r : weft_shutdown(client->conn);
}

static int listen_on(const struct client *client)
{
	const struct session *session = &sessions[client->session];
	uint32_t last = 0;
	struct message message;
	int r;

	while ((r = weft_read_full(client->conn, &message, sizeof message, NULL)) == 0) {
		last = last ? last : session->joined_at;
		weft_always(message.room == client->room && is_text_right(&message),
			    "a message comes as it was said");
		weft_always(message.place == last + 1 + message.missed,
			    "messages come in order, and each gap is known");
		weft_always(logs[message.room][message.place].sender == message.sender &&
				    logs[message.room][message.place].number == message.number,
			    "all members see one order");
		weft_sometimes(message.missed > 0, "a member misses messages");
		weft_sometimes(message.sender != client->session && message.sender != NOBODY,
			       "members hear each other");
		last = message.place;
		if (one_in(16) && (r = weft_sleep((weft_time)weft_sim_choose(world, 1, 3000) *
						  WEFT_MILLISECOND)) < 0)
			break;
	}
	return r;
}

static int take_part_once(uint32_t room)
{
	struct client client = { .room = room };
	struct weft_scope scope;
	int r = weft_dial("10.0.0.1:80", &client.conn);

	if (r < 0) {
		weft_always(is_stop(r) || is_refusal(r), "a dial fails for a known reason");
		return r;
	}
	client.session = session_count++;
	weft_always(session_count <= SESSIONS_MAX, "the scenario has room for all sessions");
	weft_scope_open(&scope);
	r = say(&client); /* who it is */
	if (r == 0)
		r = weft_spawn(&scope, talk, &client);
	if (r == 0)
		r = listen_on(&client);
	weft_scope_cancel(&scope);
	weft_scope_leave(&scope);
	weft_close(client.conn);
	weft_always(r == WEFT_EEOF || is_stop(r) || is_mishap(r) || r == -ENOTCONN,
		    "the member knows the error");
	return sessions[client.session].is_dropped ? 0 : r;
}

static int be_member(void *arg)
{
	uint32_t room = *(uint32_t *)arg;

	while (weft_sim_now(world) < RUN_FOR) {
		bool must_last = has_recovered();
		int r = 0;

		WEFT_DEADLINE(weft_after(must_last ? RUN_FOR : 10 * WEFT_SECOND))
			r = take_part_once(room);
		weft_always(r == 0 || !must_last || weft_sim_now(world) >= RUN_FOR,
			    "in a calm world nobody is cut off but for being slow");
		weft_sometimes(must_last && weft_sim_now(world) >= RUN_FOR,
			       "a member stays to the end of a calm world");
		if (weft_sleep((weft_time)weft_sim_choose(world, 1, 3) * WEFT_SECOND) < 0)
			break;
	}
	return 0;
}

static int members(void *arg)
{
	static uint32_t numbers[] = { 0, 1 };
	struct weft_scope scope;
	int r = 0;

	(void)arg;
	weft_scope_open(&scope);
	for (uint32_t i = 0; i < MEMBERS && r == 0; i++)
		r = weft_spawn(&scope, be_member, &numbers[i % ROOMS]);
	if (r == 0)
		r = weft_scope_close(&scope);
	weft_scope_leave(&scope);
	return r;
}

/* ---- The world ------------------------------------------------------------------------------- */

/* Besides what the swarm does: cuts in one direction, which fill the queues. */
static void cut_somewhere(struct weft_sim *sim, struct weft_sim_host *from,
			  struct weft_sim_host *to)
{
	weft_time begin = (weft_time)weft_sim_choose(sim, 0, 20) * WEFT_SECOND;

	weft_sim_cut_during(sim, from, to, begin,
			    begin + (weft_time)weft_sim_choose(sim, 1, 10) * WEFT_SECOND);
}

static void scenario(struct weft_sim *sim)
{
	static const char *const addresses[] = { "10.0.0.2", "10.0.0.3", "10.0.0.4" };
	static const struct weft_sim_link narrow = { .capacity = 256 };
	struct weft_sim_host *server_host, *host = NULL;

	memset(sessions, 0, sizeof sessions);
	memset(rooms, 0, sizeof rooms);
	session_count = 0;
	run_in_two_halves(sim);
	server_host = weft_sim_host(sim, "server", "10.0.0.1", server, NULL);
	for (int i = 0; i < HOSTS; i++)
		host = weft_sim_host(sim, "members", addresses[i], members, NULL);
	if (one_in(3))
		weft_sim_link_set(sim, server_host, host, &narrow);
	if (one_in(2))
		cut_somewhere(sim, server_host, host);
	if (one_in(4))
		cut_somewhere(sim, host, server_host);
}

int main(int argc, char **argv)
{
	return weft_sim_main(argc, argv, scenario);
}
