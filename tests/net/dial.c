/* SPDX-License-Identifier: MIT */
/* Dialling that fails. Each test ends with no descriptor left, which the harness checks. */
#include "net/full.h"
#include "net/peer.h"

#include <stdlib.h>

/* A port nobody listens on. */
static void find_unused(char *text)
{
	weft_listener_close(wf_listen_loopback(text));
}

/* Nobody listens: refused. */
WF_TASK_TEST(refused)
{
	char text[WEFT_ADDRESS_TEXT_MAX];
	struct weft_conn *conn;

	find_unused(text);
	wf_assert_result(weft_dial(text, &conn), -ECONNREFUSED);
}

/* What is refused a thousand times leaves nothing behind. */
WF_TASK_TEST(refused_often)
{
	char text[WEFT_ADDRESS_TEXT_MAX];
	struct weft_conn *conn;

	find_unused(text);
	for (int i = 0; i < 1000; i++)
		wf_assert_result(weft_dial(text, &conn), -ECONNREFUSED);
}

/* An address that no stream can lead to; the kernel says so without sending anything. */
WF_TASK_TEST(unreachable)
{
	struct weft_conn *conn;

	wf_assert_result(weft_dial("255.255.255.255:9", &conn), -ENETUNREACH);
}

/* The port that belongs to nobody. */
WF_TASK_TEST(port_zero)
{
	struct weft_conn *conn;
	int r = weft_dial("127.0.0.1:0", &conn);

	ck_assert(r == -ECONNREFUSED || r == -EADDRNOTAVAIL);
}

/* What is no address is refused before anything else. */
WF_TASK_TEST(malformed)
{
	struct weft_conn *conn;

	wf_assert_result(weft_dial("localhost:80", &conn), WEFT_EADDRESS);
	wf_assert_result(weft_dial("", &conn), WEFT_EADDRESS);
	wf_assert_result(weft_dial(NULL, &conn), WEFT_EADDRESS);
}

/* Dialling is for tasks. */
WF_TEST(outside_a_task)
{
	struct weft_conn *conn;

	wf_assert_result(weft_dial("127.0.0.1:1", &conn), -EPERM);
}

/* A Unix socket that is missing, or has been left by its server. */
WF_TASK_TEST(unix_path)
{
	char folder[] = "/tmp/weft-dial-XXXXXX", text[128];
	struct weft_conn *conn;
	struct sockaddr_un stale = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	ck_assert_ptr_nonnull(mkdtemp(folder));
	(void)snprintf(text, sizeof text, "unix:%s/missing", folder);
	wf_assert_result(weft_dial(text, &conn), -ENOENT);
	(void)snprintf(stale.sun_path, sizeof stale.sun_path, "%s/stale", folder);
	ck_assert_int_eq(bind(fd, (void *)&stale, sizeof stale), 0);
	peer_close(fd);
	(void)snprintf(text, sizeof text, "unix:%s", stale.sun_path);
	wf_assert_result(weft_dial(text, &conn), -ECONNREFUSED);
	ck_assert_int_eq(unlink(stale.sun_path), 0);
	ck_assert_int_eq(rmdir(folder), 0);
}

/* Something else where a Unix socket ought to be. */
WF_TASK_TEST(unix_path_of_a_folder)
{
	struct weft_conn *conn;

	wf_need_world("files");
	wf_assert_result(weft_dial("unix:/tmp", &conn), -ECONNREFUSED);
}

/* ---- Dialling that takes too long ------------------------------------------------------------ */

/* A deadline ends it. */
WF_TASK_TEST(deadline)
{
	struct full_listener full;
	struct weft_conn *conn;
	weft_time start;
	int r = 0;

	open_full_listener(&full);
	start = weft_now();
	WEFT_DEADLINE(weft_after(20 * WEFT_MILLISECOND))
		r = weft_dial(full.text, &conn);
	wf_assert_result(r, WEFT_EDEADLINE);
	ck_assert_int_ge(weft_now() - start, 20 * WEFT_MILLISECOND);
	close_full_listener(&full);
}

struct dialling {
	const char *text;
	struct weft_conn *conn;
	int result;
	bool ended;
};

static int dial(void *arg)
{
	struct dialling *dialling = arg;

	dialling->result = weft_dial(dialling->text, &dialling->conn);
	dialling->ended = true;
	return 0;
}

/* A cancel ends it, and a hundred at once. */
WF_TASK_TEST(cancel)
{
	enum { COUNT = 100 };
	struct dialling diallings[COUNT];
	struct full_listener full;
	struct weft_scope scope;

	open_full_listener(&full);
	weft_scope_open(&scope);
	for (int i = 0; i < COUNT; i++) {
		diallings[i] = (struct dialling){ .text = full.text };
		SPAWN(&scope, dial, &diallings[i]);
	}
	rest(10);
	for (int i = 0; i < COUNT; i++)
		ck_assert(!diallings[i].ended);
	weft_scope_cancel(&scope);
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
	for (int i = 0; i < COUNT; i++)
		wf_assert_result(diallings[i].result, -ECANCELED);
	close_full_listener(&full);
}

/* A listener that goes away meanwhile refuses it. */
WF_TASK_TEST(refused_late)
{
	struct full_listener full;
	struct dialling dialling = { .text = full.text };
	struct weft_scope scope;

	open_full_listener(&full);
	weft_scope_open(&scope);
	SPAWN(&scope, dial, &dialling);
	rest(5);
	ck_assert(!dialling.ended);
	close_full_listener(&full);
	wf_assert_result(weft_scope_close(&scope),
			 0); /* when the kernel knocks again, in a second */
	wf_assert_result(dialling.result, -ECONNREFUSED);
}

/* A Unix socket that listens and is full: the kernel refuses who knocks, and does not wake him. */
struct full_socket {
	char folder[32], path[64], text[80];
	int fd, filling;
};

static int knock(const struct full_socket *full, int flags)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | flags, 0);

	ck_assert_int_ge(fd, 0);
	(void)snprintf(address.sun_path, sizeof address.sun_path, "%s", full->path);
	if (connect(fd, (void *)&address, sizeof address) == 0)
		return fd;
	ck_assert_int_eq(errno, EAGAIN);
	peer_close(fd);
	return -1;
}

static void open_full_socket(struct full_socket *full)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	(void)strcpy(full->folder, "/tmp/weft-dial-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(full->folder));
	(void)snprintf(full->path, sizeof full->path, "%s/socket", full->folder);
	(void)snprintf(full->text, sizeof full->text, "unix:%s", full->path);
	(void)snprintf(address.sun_path, sizeof address.sun_path, "%s", full->path);
	full->fd = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(full->fd, (void *)&address, sizeof address), 0);
	ck_assert_int_eq(listen(full->fd, 0), 0);
	full->filling = knock(full, 0);
	ck_assert_int_eq(knock(full, SOCK_NONBLOCK), -1);
}

static void close_full_socket(struct full_socket *full)
{
	peer_close(full->filling);
	peer_close(full->fd);
	ck_assert_int_eq(unlink(full->path), 0);
	ck_assert_int_eq(rmdir(full->folder), 0);
}

/* A full Unix socket is waited for, and dialled when there is room. */
WF_TASK_TEST(full_unix_socket_is_waited_for)
{
	struct full_socket full;
	struct dialling dialling = { .text = full.text };
	struct weft_scope scope;
	int first, second;

	open_full_socket(&full);
	weft_scope_open(&scope);
	SPAWN(&scope, dial, &dialling);
	rest(20);
	ck_assert(!dialling.ended);
	first = accept(full.fd, NULL, NULL);
	wf_assert_result(weft_scope_close(&scope), 0);
	wf_assert_result(dialling.result, 0);
	second = accept(full.fd, NULL, NULL);
	peer_say(second, "x");
	peer_hear(weft_conn_fd(dialling.conn), "x");
	weft_close(dialling.conn);
	peer_close(first);
	peer_close(second);
	close_full_socket(&full);
}

/* If there is none, the deadline ends it. */
WF_TASK_TEST(full_unix_socket_until_the_deadline)
{
	struct full_socket full;
	struct weft_conn *conn;
	weft_time start;
	int r = 0;

	open_full_socket(&full);
	start = weft_now();
	WEFT_DEADLINE(weft_after(20 * WEFT_MILLISECOND))
		r = weft_dial(full.text, &conn);
	wf_assert_result(r, WEFT_EDEADLINE);
	ck_assert_int_ge(weft_now() - start, 20 * WEFT_MILLISECOND);
	close_full_socket(&full);
}

/* ---- Shortage -------------------------------------------------------------------------------- */

/* Without a descriptor nothing is dialled. */
WF_TASK_TEST(no_descriptor_left)
{
	char text[WEFT_ADDRESS_TEXT_MAX];
	struct weft_listener *listener = wf_listen_loopback(text);
	struct rlimit before, none;
	struct weft_conn *conn;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 3;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	wf_assert_result(weft_dial(text, &conn), -EMFILE);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	weft_listener_close(listener);
}

static int dial_without_memory(void *arg)
{
	struct wf_tally *tally = arg;
	char text[WEFT_ADDRESS_TEXT_MAX];
	struct weft_listener *listener = wf_listen_loopback(text);
	struct weft_conn *conn;
	int r = -ENOMEM;

	for (unsigned long nth = 1; r < 0; nth++) {
		tally->fails_at = tally->calls + nth;
		r = weft_dial(text, &conn);
		if (r < 0)
			wf_assert_result(r, -ENOMEM);
		ck_assert_uint_lt(nth, 10);
	}
	tally->fails_at = 0;
	weft_close(conn);
	weft_listener_close(listener);
	return 0;
}

/* Without memory nothing is left behind, whichever piece of it is missing. */
WF_TEST(no_memory_left)
{
	struct wf_tally tally = { 0 };
	struct weft_options options = { .allocator = wf_tally_allocator(&tally) };

	wf_assert_result(weft_run(dial_without_memory, &tally, &options), 0);
	ck_assert_uint_eq(tally.blocks, 0);
}

WF_MAIN("net/dial")
