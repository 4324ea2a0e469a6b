/* SPDX-License-Identifier: MIT */
#include "net/listen.h"

#include "net/crowd.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>

static struct weft_listener *listen_on(const char *address)
{
	struct weft_listener *listener;

	wf_assert_result(weft_listen(address, NULL, &listener), 0);
	return listener;
}

static void write_address(struct weft_listener *listener, char *text)
{
	struct weft_address address;

	wf_assert_result(weft_listener_address(listener, &address), 0);
	(void)weft_address_format(&address, text);
}

/* An accept in a task of its own. */
struct acceptance {
	struct weft_listener *listener;
	struct weft_conn *conn;
	int result;
	bool ended;
};

static int accept_one(void *arg)
{
	struct acceptance *acceptance = arg;

	acceptance->result = weft_accept(acceptance->listener, &acceptance->conn);
	acceptance->ended = true;
	return 0;
}

/* ---- Ports ----------------------------------------------------------------------------------- */

/* Port 0 is any free port, and the listener tells which. */
WF_TASK_TEST(port_zero_becomes_a_real_one)
{
	char text[WEFT_ADDRESS_TEXT_MAX];
	struct weft_listener *listener = listen_on("127.0.0.1:0");
	struct weft_conn *conn;
	int peer;

	write_address(listener, text);
	ck_assert_str_ne(text, "127.0.0.1:0");
	ck_assert_int_eq(strncmp(text, "127.0.0.1:", 10), 0);
	peer = peer_dial(text);
	wf_assert_result(weft_accept(listener, &conn), 0);
	weft_close(conn);
	peer_close(peer);
	weft_listener_close(listener);
}

/* A port that is listened on is refused, and stays the other's. */
WF_TASK_TEST(port_in_use)
{
	char text[WEFT_ADDRESS_TEXT_MAX];
	struct weft_listener *first = wf_listen_loopback(text), *second;
	struct weft_conn *conn;
	int peer;

	wf_assert_result(weft_listen(text, NULL, &second), -EADDRINUSE);
	peer = peer_dial(text);
	wf_assert_result(weft_accept(first, &conn), 0);
	weft_close(conn);
	peer_close(peer);
	weft_listener_close(first);
}

/* A server that is started again gets its port back at once, although connections that it closed
 * itself linger in the kernel. */
WF_TASK_TEST(port_is_free_after_a_restart)
{
	char text[WEFT_ADDRESS_TEXT_MAX];
	struct weft_listener *listener = wf_listen_loopback(text);
	struct weft_conn *conn;
	int peer = peer_dial(text);

	wf_assert_result(weft_accept(listener, &conn), 0);
	weft_close(conn);
	peer_hear_end(peer);
	peer_close(peer);
	weft_listener_close(listener);
	weft_listener_close(listen_on(text));
}

/* With reuse_port two listeners share a port, both having asked for it. */
WF_TASK_TEST(reuse_port_shares_a_port)
{
	const struct weft_listen_options shared = { .reuse_port = true };
	char text[WEFT_ADDRESS_TEXT_MAX];
	struct weft_listener *first, *second, *third;

	wf_assert_result(weft_listen("127.0.0.1:0", &shared, &first), 0);
	write_address(first, text);
	wf_assert_result(weft_listen(text, &shared, &second), 0);
	wf_assert_result(weft_listen(text, NULL, &third), -EADDRINUSE);
	weft_listener_close(first);
	weft_listener_close(second);
}

/* Addresses that are none, and those of other machines, are refused. */
WF_TASK_TEST(addresses_that_are_refused)
{
	struct weft_listener *listener;

	wf_assert_result(weft_listen("localhost:80", NULL, &listener), WEFT_EADDRESS);
	wf_assert_result(weft_listen("127.0.0.1:99999", NULL, &listener), WEFT_EADDRESS);
	wf_assert_result(weft_listen("", NULL, &listener), WEFT_EADDRESS);
	wf_assert_result(weft_listen(NULL, NULL, &listener), WEFT_EADDRESS);
	wf_assert_result(weft_listen("192.0.2.1:0", NULL, &listener), -EADDRNOTAVAIL);
}

/* A socket file needs a folder. */
WF_TASK_TEST(folder_that_is_missing)
{
	struct weft_listener *listener;

	wf_need_world("files");
	wf_assert_result(weft_listen("unix:/nonexistent/socket", NULL, &listener), -ENOENT);
}

/* Listening is for the runtime. */
WF_TEST(outside_the_runtime)
{
	struct weft_listener *listener;

	wf_assert_result(weft_listen("127.0.0.1:0", NULL, &listener), -EPERM);
}

/* How many connections the kernel takes on before it makes the next one wait. */
static int count_room(const char *text)
{
	enum { MOST = 64 };
	struct weft_address address;
	int fds[MOST], count = 0;

	wf_assert_result(weft_address_parse(text, &address, NULL), 0);
	for (int i = 0; i < MOST; i++) {
		fds[i] = peer_socket(&address);
		ck_assert_int_eq(fcntl(fds[i], F_SETFL, O_NONBLOCK), 0);
		(void)peer_connect(fds[i], text);
	}
	rest(5);
	for (int i = 0; i < MOST; i++) {
		struct pollfd poller = { .fd = fds[i], .events = POLLOUT };

		count += poll(&poller, 1, 0) == 1 && !(poller.revents & POLLERR);
		peer_close(fds[i]);
	}
	return count;
}

/* The backlog option bounds how many connections wait; the kernel rounds it up a little. */
WF_TASK_TEST(backlog_bounds_the_waiting)
{
	const struct weft_listen_options small = { .backlog = 4 };
	char text[WEFT_ADDRESS_TEXT_MAX];
	struct weft_listener *listener;
	int room;

	wf_assert_result(weft_listen("127.0.0.1:0", &small, &listener), 0);
	write_address(listener, text);
	room = count_room(text);
	ck_assert_int_ge(room, 4);
	ck_assert_int_le(room, 8);
	weft_listener_close(listener);
}

/* By default there is room for many. */
WF_TASK_TEST(backlog_default_is_large)
{
	char text[WEFT_ADDRESS_TEXT_MAX];
	struct weft_listener *listener = wf_listen_loopback(text);

	ck_assert_int_eq(count_room(text), 64);
	weft_listener_close(listener);
}

/* With defer_accept_s a connection is handed over when its first bytes are there. */
WF_TASK_TEST(defer_accept_waits_for_input)
{
	const struct weft_listen_options deferred = { .defer_accept_s = 5 };
	char text[WEFT_ADDRESS_TEXT_MAX], byte;
	struct acceptance acceptance = { .result = 1 };
	struct weft_scope scope;
	int peer;

	wf_assert_result(weft_listen("127.0.0.1:0", &deferred, &acceptance.listener), 0);
	write_address(acceptance.listener, text);
	weft_scope_open(&scope);
	SPAWN(&scope, accept_one, &acceptance);
	peer = peer_dial(text);
	rest(10);
	ck_assert(!acceptance.ended);
	peer_say(peer, "x");
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(acceptance.result, 0);
	ck_assert_int_eq(weft_read(acceptance.conn, &byte, 1), 1);
	weft_close(acceptance.conn);
	weft_listener_close(acceptance.listener);
	peer_close(peer);
}

/* ---- Unix sockets ---------------------------------------------------------------------------- */

static char folder[] = "/tmp/weft-listen-XXXXXX";
static char path[64], unix_text[80];

static void make_folder(void)
{
	ck_assert_ptr_nonnull(mkdtemp(folder));
	(void)snprintf(path, sizeof path, "%s/socket", folder);
	(void)snprintf(unix_text, sizeof unix_text, "unix:%s", path);
}

static void remove_folder(void)
{
	ck_assert_int_eq(rmdir(folder), 0); /* so the folder is empty, too */
}

/* The socket file goes with the listener. */
WF_TASK_TEST(socket_file_is_removed)
{
	struct weft_listener *listener;
	struct stat status;

	make_folder();
	listener = listen_on(unix_text);
	ck_assert_int_eq(stat(path, &status), 0);
	ck_assert(S_ISSOCK(status.st_mode));
	weft_listener_close(listener);
	remove_folder();
}

/* Leaves a socket file behind, as a server that was killed does. */
static void leave_stale_file(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	ck_assert_int_eq(bind(fd, (void *)&address, sizeof address), 0);
	peer_close(fd);
}

/* A socket file nobody listens on is replaced. */
WF_TASK_TEST(stale_file_is_replaced)
{
	struct weft_listener *listener;
	struct weft_conn *conn;
	int peer;

	make_folder();
	leave_stale_file();
	listener = listen_on(unix_text);
	peer = peer_dial(unix_text);
	wf_assert_result(weft_accept(listener, &conn), 0);
	weft_close(conn);
	peer_close(peer);
	weft_listener_close(listener);
	remove_folder();
}

/* A socket file somebody listens on is left alone, and can still be dialled. */
WF_TASK_TEST(live_file_is_refused)
{
	struct weft_listener *first, *second;
	int peer;

	make_folder();
	first = listen_on(unix_text);
	wf_assert_result(weft_listen(unix_text, NULL, &second), -EADDRINUSE);
	peer = peer_dial(unix_text);
	peer_close(peer);
	weft_listener_close(first);
	remove_folder();
}

/* A file that is no socket is not removed, nor is what a link points to. */
WF_TASK_TEST(other_files_are_left_alone)
{
	struct weft_listener *listener;
	char link[80];
	int fd;

	wf_need_world("files");
	make_folder();
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	ck_assert_int_eq(write(fd, "precious", 8), 8);
	peer_close(fd);
	wf_assert_result(weft_listen(unix_text, NULL, &listener), -EADDRINUSE);
	ck_assert_int_eq(unlink(path), 0);

	(void)snprintf(link, sizeof link, "%s/link", folder);
	leave_stale_file();
	ck_assert_int_eq(rename(path, link), 0);
	ck_assert_int_eq(symlink(link, path), 0);
	wf_assert_result(weft_listen(unix_text, NULL, &listener), -EADDRINUSE);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(unlink(link), 0);
	remove_folder();
}

/* A file that has taken the place of ours is not removed. */
WF_TASK_TEST(file_of_a_successor_is_left_alone)
{
	struct weft_listener *first, *second;

	make_folder();
	first = listen_on(unix_text);
	ck_assert_int_eq(unlink(path), 0);
	second = listen_on(unix_text);
	weft_listener_close(first);
	peer_close(peer_dial(unix_text));
	weft_listener_close(second);
	remove_folder();
}

/* A link that has taken the place of our file is not removed, even if it leads to that. */
WF_TASK_TEST(link_of_a_successor_is_left_alone)
{
	struct weft_listener *listener;
	struct stat status;
	char moved[80];

	wf_need_world("files");
	make_folder();
	(void)snprintf(moved, sizeof moved, "%s/moved", folder);
	listener = listen_on(unix_text);
	ck_assert_int_eq(rename(path, moved), 0);
	ck_assert_int_eq(symlink(moved, path), 0);
	weft_listener_close(listener);
	ck_assert_int_eq(lstat(path, &status), 0);
	ck_assert(S_ISLNK(status.st_mode));
	ck_assert_int_eq(unlinkat(AT_FDCWD, path, 0), 0);
	ck_assert_int_eq(unlinkat(AT_FDCWD, moved, 0), 0);
	remove_folder();
}

static int watched;		 /* a descriptor */
static int flags_at_last_unlink; /* its flags when a file was removed; -1 if it was closed */

/* In place of the C library's, for the library under test: looks before it removes. */
int unlink(const char *name)
{
	flags_at_last_unlink = fcntl(watched, F_GETFD);
	return unlinkat(AT_FDCWD, name, 0);
}

/* The file is removed while the socket is open: after that its inode could be a successor's. */
WF_TASK_TEST(socket_file_is_removed_first)
{
	struct weft_listener *listener;

	wf_need_world("files");
	make_folder();
	watched = dup(STDOUT_FILENO); /* the number that the socket will have */
	peer_close(watched);
	listener = listen_on(unix_text);
	ck_assert_int_ge(fcntl(watched, F_GETFD), 0);
	flags_at_last_unlink = -1;
	weft_listener_close(listener);
	ck_assert_int_ge(flags_at_last_unlink, 0);
	remove_folder();
}

/* A folder one may not write to is refused. */
WF_TASK_TEST(folder_without_permission)
{
	struct weft_listener *listener;
	uid_t user = geteuid();

	wf_need_world("files");
	make_folder();
	ck_assert_int_eq(chmod(folder, 0500), 0);
	if (user == 0)
		ck_assert_int_eq(seteuid(65534), 0); /* root may write anywhere */
	wf_assert_result(weft_listen(unix_text, NULL, &listener), -EACCES);
	ck_assert_int_eq(seteuid(user), 0);
	remove_folder();
}

/* ---- Accepting ------------------------------------------------------------------------------- */

/* Connections that wait are accepted in the order in which they came. */
WF_TASK_TEST(accepted_in_order)
{
	char text[WEFT_ADDRESS_TEXT_MAX], byte;
	struct weft_listener *listener = wf_listen_loopback(text);
	int peers[10];

	for (int i = 0; i < 10; i++) {
		peers[i] = peer_dial(text);
		peer_send(peers[i], &(char){ (char)('0' + i) }, 1);
	}
	for (int i = 0; i < 10; i++) {
		struct weft_conn *conn;

		wf_assert_result(weft_accept(listener, &conn), 0);
		ck_assert_int_eq(weft_read(conn, &byte, 1), 1);
		ck_assert_int_eq(byte, '0' + i);
		weft_close(conn);
		peer_close(peers[i]);
	}
	weft_listener_close(listener);
}

/* A second task is refused, and the first one is served. */
WF_TASK_TEST(second_acceptor_is_busy)
{
	char text[WEFT_ADDRESS_TEXT_MAX];
	struct acceptance acceptance = { .listener = wf_listen_loopback(text) };
	struct weft_scope scope;
	struct weft_conn *conn;
	int peer;

	weft_scope_open(&scope);
	SPAWN(&scope, accept_one, &acceptance);
	rest(2);
	wf_assert_result(weft_accept(acceptance.listener, &conn), -EBUSY);
	peer = peer_dial(text);
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(acceptance.result, 0);
	weft_close(acceptance.conn);
	peer_close(peer);
	weft_listener_close(acceptance.listener);
}

/* A close ends the accept of another task; until that runs the listener has no address any more. */
WF_TASK_TEST(close_ends_an_accept)
{
	struct weft_address address;
	char text[WEFT_ADDRESS_TEXT_MAX];
	struct acceptance acceptance = { .listener = wf_listen_loopback(text) };
	struct weft_scope scope;

	weft_scope_open(&scope);
	SPAWN(&scope, accept_one, &acceptance);
	rest(2);
	weft_listener_close(acceptance.listener);
	wf_assert_result(weft_listener_address(acceptance.listener, &address), WEFT_ECLOSED);
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(acceptance.result, WEFT_ECLOSED);
}

struct closer {
	struct weft_conn *conn;
	struct weft_listener *victim;
};

static int close_on_input(void *arg)
{
	struct closer *closer = arg;
	char byte;

	ck_assert_int_eq(weft_read(closer->conn, &byte, 1), 1);
	weft_listener_close(closer->victim);
	return 0;
}

/* An accept that has its connection, and whose listener is closed before its task can run, still
 * returns the connection. */
WF_TASK_TEST(close_takes_no_accepted_connection)
{
	char text[WEFT_ADDRESS_TEXT_MAX];
	struct acceptance acceptance = { .listener = wf_listen_loopback(text) };
	struct closer closer = { .victim = acceptance.listener };
	struct weft_scope scope;
	int peer, closing_peer;

	closer.conn = open_pair(&closing_peer);
	weft_scope_open(&scope);
	SPAWN(&scope, accept_one, &acceptance);
	SPAWN(&scope, close_on_input, &closer);
	rest(2);
	/* Both become ready in one turn, in this order. */
	peer_say(closing_peer, "x");
	peer = peer_dial(text);
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(acceptance.result, 0);
	peer_say(peer, "y");
	peer_hear(weft_conn_fd(acceptance.conn), "y");
	weft_close(acceptance.conn);
	weft_close(closer.conn);
	peer_close(peer);
	peer_close(closing_peer);
}

/* A soft stop ends an accept that waits, and any that follows, even if a connection is there. */
WF_TASK_TEST(soft_stop_ends_accepting)
{
	char text[WEFT_ADDRESS_TEXT_MAX];
	struct acceptance acceptance = { .listener = wf_listen_loopback(text) };
	struct weft_scope scope;
	struct weft_conn *conn;
	int peer;

	weft_scope_open(&scope);
	SPAWN(&scope, accept_one, &acceptance);
	rest(2);
	weft_scope_stop(&scope);
	rest(2);
	wf_assert_result(acceptance.result, WEFT_ESTOPPING);
	peer = peer_dial(text);
	wf_assert_result(weft_accept(acceptance.listener, &conn), WEFT_ESTOPPING);
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(weft_accept(acceptance.listener, &conn), 0);
	weft_close(conn);
	peer_close(peer);
	weft_listener_close(acceptance.listener);
}

static int stop_before_it_waits(void *arg)
{
	char text[WEFT_ADDRESS_TEXT_MAX];
	struct acceptance acceptance = { .listener = wf_listen_loopback(text) };
	struct weft_scope scope;

	(void)arg;
	weft_scope_open(&scope);
	SPAWN(&scope, accept_one, &acceptance);
	wf_assert_result(weft_yield(), 0);
	ck_assert(!acceptance.ended);
	weft_scope_stop(&scope);
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(acceptance.result, WEFT_ESTOPPING);
	weft_listener_close(acceptance.listener);
	return 0;
}

/* A soft stop reaches a task that has called accept and is suspended before it waits: a checkpoint
 * may do that, and always does with this variable. */
WF_TEST(soft_stop_ends_an_accept_that_begins)
{
	ck_assert_int_eq(setenv("WEFT_YIELD_ALWAYS", "1", 1), 0);
	RUN(stop_before_it_waits);
}

/* ---- Shortage -------------------------------------------------------------------------------- */

/* Without a descriptor for it, a connection stays in the backlog and is accepted later. */
WF_TASK_TEST(without_a_descriptor_it_stays_in_the_backlog)
{
	char text[WEFT_ADDRESS_TEXT_MAX];
	struct weft_listener *listener = wf_listen_loopback(text);
	struct rlimit before, none;
	struct weft_conn *conn;
	int peer = peer_dial(text);

	need_honest_limit();
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 3;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	wf_assert_result(weft_accept(listener, &conn), -EMFILE);
	wf_assert_result(weft_accept(listener, &conn), -EMFILE);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	wf_assert_result(weft_accept(listener, &conn), 0);
	peer_say(peer, "x");
	peer_hear(weft_conn_fd(conn), "x");
	weft_close(conn);
	peer_close(peer);
	weft_listener_close(listener);
}

static int accept_without_memory(void *arg)
{
	struct wf_tally *tally = arg;
	char text[WEFT_ADDRESS_TEXT_MAX];
	struct weft_listener *listener = wf_listen_loopback(text);
	struct weft_conn *conn;
	int peer = peer_dial(text);

	tally->fails_at = tally->calls + 1;
	wf_assert_result(weft_accept(listener, &conn), -ENOMEM);
	wf_assert_result(weft_accept(listener, &conn), 0);
	peer_say(peer, "x");
	peer_hear(weft_conn_fd(conn), "x");
	weft_close(conn);
	peer_close(peer);
	tally->fails_at = tally->calls + 1;
	wf_assert_result(weft_listen("127.0.0.1:0", NULL, &listener), -ENOMEM);
	weft_listener_close(listener);
	return 0;
}

/* The same without memory. */
WF_TEST(without_memory_it_stays_in_the_backlog)
{
	struct wf_tally tally = { 0 };
	struct weft_options options = { .allocator = wf_tally_allocator(&tally) };

	wf_assert_result(weft_run(accept_without_memory, &tally, &options), 0);
	ck_assert_uint_eq(tally.blocks, 0);
}

static int accept_from_a_large_backlog(void *arg)
{
	enum { LITTLE = 128 * 1024 };
	const struct weft_listen_options options = { .backlog = INT_MAX };
	const struct wf_tally *tally = arg;
	struct weft_listener *listener;
	struct weft_conn *conn;
	size_t before;
	int r = 0;

	wf_assert_result(weft_listen("127.0.0.1:0", &options, &listener), 0);
	before = tally->bytes;
	WEFT_DEADLINE(weft_after(20 * WEFT_MILLISECOND))
		r = weft_accept(listener, &conn);
	wf_assert_result(r, WEFT_EDEADLINE);
	ck_assert_uint_lt(tally->bytes, before + LITTLE);
	weft_listener_close(listener);
	return 0;
}

/* Memory for those who may wait is the kernel's: accepting takes little, however large the backlog. */
WF_TEST(large_backlog_costs_little)
{
	struct wf_tally tally = { 0 };
	struct weft_options options = { .allocator = wf_tally_allocator(&tally) };

	wf_assert_result(weft_run(accept_from_a_large_backlog, &tally, &options), 0);
	ck_assert_uint_eq(tally.blocks, 0);
}

/* ---- Closing at once, and for good ----------------------------------------------------------- */

/* Accepts for a caller that has room for many, so that the engine may accept ahead. */
struct ahead {
	struct weft_listener *listener;
	struct weft_conn *conn;
	uint32_t room;
	int result;
};

static int accept_ahead(void *arg)
{
	struct ahead *ahead = arg;

	ahead->result = wf_listener_accept(ahead->listener, ahead->room, &ahead->conn);
	return 0;
}

enum { BACKLOG = 16 };

/* Listens with a backlog so small that there is room for accepting ahead. */
static struct weft_listener *listen_ahead(const char *where, char ret_text[WEFT_ADDRESS_TEXT_MAX])
{
	const struct weft_listen_options options = { .backlog = BACKLOG };
	struct weft_address address;
	struct weft_listener *listener;

	wf_assert_result(weft_listen(where, &options, &listener), 0);
	wf_assert_result(weft_listener_address(listener, &address), 0);
	(void)weft_address_format(&address, ret_text);
	return listener;
}

/* A listener that is closed among hundreds of descriptors that are ready lets go of its address at once:
 * the next one can have it before the engine has its next turn. */
WF_TASK_TEST(address_is_free_at_once_in_a_crowd)
{
	for (int round = 0; round < 2; round++) {
		struct ahead ahead = { .room = round ? 1000 : 0 };
		char text[WEFT_ADDRESS_TEXT_MAX];
		struct weft_listener *next = NULL;
		struct weft_scope scope;
		struct crowd crowd;

		weft_scope_open(&scope);
		ahead.listener = listen_ahead("127.0.0.1:0", text);
		SPAWN(&scope, accept_ahead, &ahead);
		gather(&crowd);
		stir(&crowd);
		weft_listener_close(ahead.listener);
		wf_assert_result(weft_listen(text, NULL, &next), 0);
		disperse(&crowd);
		wf_assert_result(weft_scope_close(&scope), 0);
		wf_assert_result(ahead.result, WEFT_ECLOSED);
		weft_listener_close(next);
	}
}

/* Connections that nobody has taken when their listener is closed see a reset, not an end that looks
 * like an answer: those that the engine has accepted ahead, and those that it has not. */
WF_TASK_TEST(connections_not_taken_are_reset)
{
	for (int turns = 0; turns < 2; turns++) {
		struct ahead ahead = { .room = 1000 };
		char text[WEFT_ADDRESS_TEXT_MAX], byte;
		struct weft_scope scope;
		int taken, peers[BACKLOG];

		weft_scope_open(&scope);
		ahead.listener = listen_ahead("127.0.0.1:0", text);
		SPAWN(&scope, accept_ahead, &ahead);
		rest(1);
		taken = peer_dial(text);
		wf_assert_result(weft_scope_close(&scope), 0);
		wf_assert_result(ahead.result, 0);
		for (int i = 0; i < BACKLOG; i++)
			peers[i] = peer_dial(text);
		rest(5 * turns);
		weft_listener_close(ahead.listener);
		for (int i = 0; i < BACKLOG; i++) {
			ck_assert_int_eq(recv(peers[i], &byte, 1, 0), -1);
			ck_assert_int_eq(errno, ECONNRESET);
			peer_close(peers[i]);
		}
		weft_close(ahead.conn);
		peer_hear_end(taken);
		peer_close(taken);
	}
}

WF_MAIN("net/listen")
