/* SPDX-License-Identifier: MIT */
/*
 * That the simulated network does what the kernel does. Each script is a list of system calls, which is
 * run over loopback and in the simulator; what came of them must be the same, call by call.
 *
 *	socket x FAMILY     bind x     listen x BACKLOG     connect x y     accept x y     pair x y
 *	send x BYTES        more x BYTES (to come)          recv x BYTES    peek x BYTES   end x
 *	close x             level x (poll)                  input x         error x        name x
 *	peer x              option x NUMBER                 file            unlink         fill x
 *	drain x             wait MILLISECONDS
 *
 * FAMILY is 4, 6, or u, whose sockets are bound to a file; letters name sockets.
 */
#include "io/sim_net.h"

#include "core/worker.h"
#include "harness/harness.h"
#include "io/sim_socket.h"
#include "io/system.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>
#include <weft/time.h>

/* ---- The interpreter --------------------------------------------------------------------------- */

struct machine {
	const char *script;
	struct wf_poller *poller;
	int fds[128]; /* by letter; 0: none */
	int families[128];
	struct wf_sim_name names[128]; /* where it listens */
	char sent;		       /* the last byte */
	char log[4096];
	size_t length;
};

static char path[64];

__attribute__((format(printf, 2, 3))) static void note(struct machine *m, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	m->length +=
		(size_t)vsnprintf(m->log + m->length, sizeof m->log - m->length, format, arguments);
	va_end(arguments);
	ck_assert_uint_lt(m->length, sizeof m->log);
}

static void note_result(struct machine *m, ssize_t result)
{
	if (result < 0)
		note(m, " %s", weft_error_name((int)result));
	else
		note(m, " %zd", result);
}

static struct wf_sim_name loopback(int family)
{
	struct wf_sim_name name = { .length = sizeof name.u.v4 };

	if (family == AF_UNIX) {
		name.length =
			(socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1);
		strcpy(name.u.path.sun_path, path);
	} else if (family == AF_INET6) {
		name.length = sizeof name.u.v6;
		name.u.v6.sin6_addr = in6addr_loopback;
	} else {
		name.u.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	}
	name.u.any.sa_family = (sa_family_t)family;
	return name;
}

/* As poll(2) has it: the kernel is asked, the simulator looked into. */
static uint32_t level_of(const struct machine *m, int fd)
{
	struct pollfd polled = { .fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP };
	struct wf_sim *sim = wf_sim_of(m->poller);
	struct wf_sim_socket *socket;

	if (sim) {
		wf_assert_result(wf_sim_socket_find(sim, fd, &socket), 0);
		return wf_sim_socket_level(sim, socket);
	}
	ck_assert_int_ge(poll(&polled, 1, 0), 0);
	return (uint32_t)polled.revents;
}

static void note_level(struct machine *m, int fd)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} bits[] = { { POLLIN, "in" },
		     { POLLOUT, "out" },
		     { POLLRDHUP, "rdhup" },
		     { POLLHUP, "hup" },
		     { POLLERR, "err" } };
	uint32_t level = level_of(m, fd);

	for (size_t i = 0; i < sizeof bits / sizeof *bits; i++)
		if (level & bits[i].bit)
			note(m, " %s", bits[i].name);
}

/* Ports differ; everything else of an address does not. */
static void note_name(struct machine *m, int fd, bool of_peer)
{
	struct wf_sim_name name;
	socklen_t length = 0;
	int r;

	memset(&name, 0xff, sizeof name);
	r = m->poller->system->name(m->poller, fd, of_peer, &name.u.bytes, &length);
	note_result(m, r);
	if (r < 0)
		return;
	if (name.u.any.sa_family != AF_UNIX) {
		note(m, " port %d", name.u.v4.sin_port != 0);
		name.u.v4.sin_port = 0;
	}
	note(m, " %u:", length);
	for (socklen_t i = 0; i < length; i++)
		note(m, "%02x", ((const unsigned char *)&name)[i]);
}

static ssize_t send_letters(struct machine *m, int fd, size_t count, int flags)
{
	static char letters[1 << 20];
	struct iovec piece = { letters, count };

	ck_assert_uint_le(count, sizeof letters);
	for (size_t i = 0; i < count; i++)
		letters[i] = m->sent = m->sent == 'z' || !m->sent ? 'a' : (char)(m->sent + 1);
	return m->poller->system->send(m->poller, fd, &piece, 1, flags);
}

static void receive_letters(struct machine *m, int fd, size_t count, int flags)
{
	static char letters[1 << 20];
	ssize_t n = m->poller->system->receive(m->poller, fd, letters, count, flags);

	note_result(m, n);
	if (n > 0)
		note(m, " %.*s", n < 9 ? (int)n : 9, letters);
}

/* How much there is room for differs; that it comes to an end does not. */
static ssize_t fill(struct machine *m, int fd)
{
	ssize_t n;

	while ((n = send_letters(m, fd, 1 << 16, 0)) > 0)
		continue;
	return n;
}

static ssize_t drain(struct machine *m, int fd)
{
	static char letters[1 << 20];
	ssize_t n;

	while ((n = m->poller->system->receive(m->poller, fd, letters, sizeof letters, 0)) > 0)
		continue;
	return n;
}

static int set_option(struct machine *m, int fd, int number)
{
	static const int options[][2] = {
		{ SOL_SOCKET, SO_REUSEADDR },
		{ SOL_SOCKET, SO_REUSEPORT },
		{ IPPROTO_TCP, TCP_NODELAY },
		{ IPPROTO_IPV6, IPV6_V6ONLY },
		{ IPPROTO_TCP, TCP_DEFER_ACCEPT },
		{ IPPROTO_TCP, 12345 },
		{ SOL_SOCKET, 12345 },
	};

	return m->poller->system->set_option(m->poller, fd, options[number][0], options[number][1],
					     1);
}

static int open_socket(struct machine *m, char x, const char *family)
{
	int fd;

	m->families[(int)x] = *family == 'u' ? AF_UNIX : *family == '6' ? AF_INET6 : AF_INET;
	fd = m->poller->system->socket(m->poller, m->families[(int)x]);
	m->fds[(int)x] = fd;
	return fd < 0 ? fd : 0;
}

static int bind_to(struct machine *m, char x)
{
	struct wf_sim_name *name = &m->names[(int)x];
	int fd = m->fds[(int)x], r;

	if (name->length == 0)
		*name = loopback(m->families[(int)x]);
	r = m->poller->system->bind(m->poller, fd, &name->u.any, name->length);
	if (r == 0)
		wf_assert_result(m->poller->system->name(m->poller, fd, false, &name->u.bytes,
							 &name->length),
				 0);
	return r;
}

static int accept_from(struct machine *m, char x, char y)
{
	int fd = m->poller->system->accept(m->poller, m->fds[(int)y]);

	if (fd < 0)
		return fd;
	m->fds[(int)x] = fd;
	m->families[(int)x] = m->families[(int)y];
	return 0;
}

static int pair(struct machine *m, char x, char y)
{
	int fds[2], r = m->poller->system->socket_pair(m->poller, fds);

	m->fds[(int)x] = fds[0];
	m->fds[(int)y] = fds[1];
	return r;
}

static void close_letter(struct machine *m, char x)
{
	if (m->fds[(int)x] > 0)
		m->poller->system->close(m->poller, m->fds[(int)x]);
	m->fds[(int)x] = 0;
}

static int stat_file(struct machine *m)
{
	struct stat status;
	int r = m->poller->system->stat_path(m->poller, path, &status);

	return r < 0 ? r : S_ISSOCK(status.st_mode);
}

static void note_error(struct machine *m, int fd)
{
	int error = -1,
	    r = m->poller->system->get_option(m->poller, fd, SOL_SOCKET, SO_ERROR, &error);

	note_result(m, r < 0 ? r : -error);
}

/* One call, of which nothing but the result is of interest. */
static ssize_t call(struct machine *m, const char *what, char x, const char *arg)
{
	const struct wf_system *system = m->poller->system;
	const struct wf_sim_name *there = &m->names[(int)*arg];
	int fd = m->fds[(int)x];
	int number = atoi(arg);

	if (strcmp(what, "socket") == 0)
		return open_socket(m, x, arg);
	if (strcmp(what, "bind") == 0)
		return *arg ? (m->names[(int)x] = *there, bind_to(m, x)) : bind_to(m, x);
	if (strcmp(what, "listen") == 0)
		return system->listen(m->poller, fd, number);
	if (strcmp(what, "connect") == 0)
		return system->connect(m->poller, fd, &there->u.any, there->length);
	if (strcmp(what, "accept") == 0)
		return accept_from(m, x, *arg);
	if (strcmp(what, "pair") == 0)
		return pair(m, x, *arg);
	if (strcmp(what, "send") == 0)
		return send_letters(m, fd, (size_t)number, 0);
	if (strcmp(what, "more") == 0)
		return send_letters(m, fd, (size_t)number, MSG_MORE);
	if (strcmp(what, "fill") == 0)
		return fill(m, fd);
	if (strcmp(what, "drain") == 0)
		return drain(m, fd);
	if (strcmp(what, "end") == 0)
		return system->shutdown(m->poller, fd);
	if (strcmp(what, "option") == 0)
		return set_option(m, fd, number);
	if (strcmp(what, "input") == 0)
		return system->poll(m->poller, fd, POLLIN | POLLRDHUP);
	if (strcmp(what, "file") == 0)
		return stat_file(m);
	if (strcmp(what, "unlink") == 0)
		return system->unlink(m->poller, path);
	ck_abort_msg("no such call: %s", what);
}

static void step(struct machine *m, const char *text)
{
	char what[16] = "", x = 'x', arg[16] = "";

	(void)sscanf(text, "%15s %c %15s", what, &x, arg);
	note(m, "%s:", text);
	if (strcmp(what, "recv") == 0 || strcmp(what, "peek") == 0)
		receive_letters(m, m->fds[(int)x], (size_t)atoi(arg), *what == 'p' ? MSG_PEEK : 0);
	else if (strcmp(what, "level") == 0)
		note_level(m, m->fds[(int)x]);
	else if (strcmp(what, "name") == 0 || strcmp(what, "peer") == 0)
		note_name(m, m->fds[(int)x], *what == 'p');
	else if (strcmp(what, "error") == 0)
		note_error(m, m->fds[(int)x]);
	else if (strcmp(what, "close") == 0)
		close_letter(m, x);
	else if (strcmp(what, "wait") == 0)
		wf_assert_result(weft_sleep(atoi(text + 5) * WEFT_MILLISECOND), 0);
	else
		note_result(m, call(m, what, x, arg));
	note(m, "\n");
}

static int interpret(void *arg)
{
	struct machine *m = arg;
	char script[1024];

	ck_assert_uint_lt(strlen(m->script), sizeof script);
	strcpy(script, m->script);
	m->poller = wf_worker->poller;
	for (char *rest = script, *text; (text = strsep(&rest, ",")) != NULL;)
		step(m, text + (*text == ' '));
	for (int x = 0; x < 128; x++)
		close_letter(m, (char)x);
	(void)m->poller->system->unlink(m->poller, path); /* if it is there */
	return 0;
}

/* ---- The scripts ------------------------------------------------------------------------------- */

static struct machine kernel, simulator;

static void compare(const char *script)
{
	static const struct weft_options epoll = { .engine = "epoll" }, sim = { .engine = "sim" };

	snprintf(path, sizeof path, "/tmp/weft-test-%d", (int)getpid());
	kernel = simulator = (struct machine){ .script = script };
	wf_assert_result(weft_run(interpret, &kernel, &epoll), 0);
	wf_assert_result(weft_run(interpret, &simulator, &sim), 0);
	ck_assert_str_eq(simulator.log, kernel.log);
}

static void compare_all(const char *const *scripts)
{
	for (; *scripts; scripts++)
		compare(*scripts);
}

/* Most scripts begin so: c and s are the ends of a connection. */
#define PAIR_4 "socket L 4, bind L, listen L 9, socket c 4, connect c L, accept s L, "
#define PAIR_6 "socket L 6, bind L, listen L 9, socket c 6, connect c L, accept s L, "
#define PAIR_U "socket L u, bind L, listen L 9, socket c u, connect c L, accept s L, "

/* Every call on a socket that is new, bound, or listens. */
WF_TEST(without_a_connection)
{
	static const char *const scripts[] = {
		"socket x 4, level x, recv x 9, send x 9, end x, accept y x, name x, peer x, error x, input x",
		"socket x 6, level x, recv x 9, send x 9, end x, accept y x, name x, peer x, error x, input x",
		"socket x u, level x, recv x 9, send x 9, end x, accept y x, name x, peer x, error x, input x",
		"socket x u, listen x 9, file, unlink",
		"socket x 4, bind x, level x, recv x 9, send x 9, end x, accept y x, name x, peer x, bind x",
		"socket x u, bind x, level x, recv x 9, send x 9, accept y x, name x, peer x, bind x, file",
		"socket x 4, listen x 9, level x, name x, listen x 5",
		"socket x 4, bind x, listen x 9, level x, recv x 9, send x 9, end x, accept y x, "
		"name x, peer x, connect x x, bind x, input x, error x",
		"socket x u, bind x, listen x 9, level x, recv x 9, send x 9, accept y x, name x, "
		"peer x, connect x x, input x, error x",
		"socket x 4, option x 0, option x 1, option x 2, option x 3, option x 4, option x 5, option x 6",
		"socket x 6, option x 0, option x 1, option x 2, option x 3, option x 4, option x 5, option x 6",
		"socket x u, option x 0, option x 2, option x 4, option x 6",
		NULL,
	};

	compare_all(scripts);
}

/* An address that is taken, and one that may be shared. */
WF_TEST(addresses_in_use)
{
	static const char *const scripts[] = {
		"socket x 4, bind x, socket y 4, bind y x, listen x 9, bind y x",
		"socket x 4, option x 0, bind x, socket y 4, option y 0, bind y x, listen x 9, listen y 9",
		"socket x 4, option x 0, bind x, listen x 9, socket y 4, option y 0, bind y x",
		"socket x 4, option x 1, bind x, listen x 9, socket y 4, option y 1, bind y x, listen y 9",
		"socket x u, bind x, socket y u, bind y x, close x, bind y x, file, unlink, file, bind y x, unlink",
		"socket x 4, bind x, listen x 9, close x, socket y 4, bind y x",
		"socket L 4, option L 0, bind L, listen L 9, socket c 4, connect c L, accept s L, close s, "
		"close L, socket y 4, option y 0, bind y L",
		NULL,
	};

	compare_all(scripts);
}

/* Connecting where somebody listens, where nobody does, and twice. */
WF_TEST(connecting)
{
	static const char *const scripts[] = {
		"socket L 4, bind L, listen L 1, socket c 4, connect c L, level c, level L, error c, "
		"name c, peer c, accept s L, name s, peer s, level L, connect s L",
		"socket L 6, bind L, listen L 1, socket c 6, connect c L, level c, level L, error c, "
		"name c, peer c, accept s L, name s, peer s, level L",
		"socket L u, bind L, listen L 1, socket c u, connect c L, level c, level L, error c, "
		"name c, peer c, accept s L, name s, peer s, level L, connect c L",
		"socket L 4, bind L, socket c 4, connect c L, level c, recv c 9, recv c 9, level c, "
		"connect c L, connect c L, error c, connect c L, peer c",
		"socket L 4, bind L, socket c 4, connect c L, connect c L, connect c L, send c 9, send c 9, end c",
		"socket L u, bind L, socket c u, connect c L, level c, unlink, connect c L",
		"socket L u, bind L, listen L 9, socket c 4, connect c L",
		"socket L 4, bind L, listen L 9, socket c 6, connect c L",
		"socket L 4, bind L, listen L 9, socket c u, connect c L",
		NULL,
	};

	compare_all(scripts);
}

/* A backlog holds one more than was asked for; then TCP tries again, and a Unix socket says so. */
WF_TEST(full_backlogs)
{
	static const char *const scripts[] = {
		"socket L 4, bind L, listen L 1, socket a 4, connect a L, level a, socket b 4, "
		"connect b L, level b, socket c 4, connect c L, level c, recv c 9, send c 9, "
		"connect c L, name c, peer c, accept s L, level c, wait 1100, level c, accept t L, "
		"accept u L, accept v L",
		"socket L u, bind L, listen L 1, socket a u, connect a L, socket b u, connect b L, "
		"socket c u, connect c L, level c, accept s L, connect c L, level c",
		"socket L 4, bind L, listen L 0, socket a 4, connect a L, level a, socket b 4, "
		"connect b L, level b, accept s L, accept t L",
		NULL,
	};

	compare_all(scripts);
}

/* Closing a listener resets what nobody has accepted. */
WF_TEST(connections_not_accepted)
{
	static const char *const scripts[] = {
		"socket L 4, bind L, listen L 9, socket c 4, connect c L, send c 3, close L, level c, "
		"recv c 9, recv c 9, send c 9",
		"socket L u, bind L, listen L 9, socket c u, connect c L, send c 3, close L, level c, "
		"recv c 9, recv c 9, send c 9, file",
		"socket L 4, bind L, listen L 9, socket c 4, connect c L, send c 3, close c, level L, "
		"accept s L, level s, recv s 9, recv s 9",
		NULL,
	};

	compare_all(scripts);
}

/* Bytes come as they were sent, in whatever pieces they are taken. */
WF_TEST(bytes)
{
	static const char *const scripts[] = {
		PAIR_4
		"send c 9, level s, peek s 3, recv s 3, peek s 99, recv s 99, recv s 9, level s",
		PAIR_U
		"send c 9, level s, peek s 3, recv s 3, peek s 99, recv s 99, recv s 9, level s",
		"pair c s, send c 9, name c, peer c, level s, recv s 3, recv s 99, recv s 9, level s",
		PAIR_6 "send c 5, send c 5, send s 7, input s, recv s 99, input s, recv c 99",
		PAIR_4 "more c 3, level s, send c 3, recv s 9, more c 3, end c, recv s 9, recv s 9",
		PAIR_4 "more c 3, close c, recv s 9, recv s 9",
		PAIR_4 "more c 3, level s, wait 300, level s, recv s 9",
		PAIR_U "more c 3, recv s 9",
		NULL,
	};

	compare_all(scripts);
}

/* There is an end to what is taken from a sender, until the receiver reads. */
WF_TEST(full_pipes)
{
	static const char *const scripts[] = {
		PAIR_4
		"fill c, level c, level s, send c 1, drain s, wait 10, level c, level s, send c 1, drain s, level s",
		PAIR_U "fill c, level c, level s, send c 1, drain s, level c, level s",
		PAIR_4 "fill c, end c, drain s, drain s",
		PAIR_4 "fill c, close s, level c, send c 9, send c 9",
		PAIR_U "fill c, close s, level c, send c 9, recv c 9, recv c 9",
		NULL,
	};

	compare_all(scripts);
}

/* One direction ends before the other; both; and what may be done then. */
WF_TEST(ends)
{
	static const char *const scripts[] = {
		PAIR_4
		"end c, level c, end c, level s, send c 9, send s 3, recv s 9, end s, level s, "
		"level c, recv c 9, recv c 9, end c, end s, peer c, peer s, send s 9",
		PAIR_U
		"end c, level c, end c, level s, send c 9, send s 3, recv s 9, end s, level s, "
		"level c, recv c 9, recv c 9, end c, end s, peer c, peer s, send s 9",
		PAIR_4 "send c 3, close c, level s, recv s 9, recv s 9, recv s 9, end s, level s",
		PAIR_U
		"send c 3, close c, level s, recv s 9, recv s 9, recv s 9, send s 9, level s",
		PAIR_4 "end s, end c, level c, level s, recv c 9, recv s 9",
		NULL,
	};

	compare_all(scripts);
}

/* Closing with unread input resets: what had arrived stays readable, then there is one error. */
WF_TEST(resets)
{
	static const char *const scripts[] = {
		PAIR_4
		"send c 3, send s 3, close s, level c, recv c 2, recv c 9, recv c 9, recv c 9, "
		"send c 9, level c, peer c, end c",
		PAIR_U
		"send c 3, send s 3, close s, level c, recv c 2, recv c 9, recv c 9, recv c 9, "
		"send c 9, level c, peer c, end c",
		PAIR_4 "send c 3, close s, send c 9, send c 9, recv c 9",
		PAIR_U "send c 3, close s, send c 9, send c 9, recv c 9, recv c 9",
		PAIR_4 "send c 3, close s, error c, error c, recv c 9, send c 9",
		PAIR_4 "send s 3, more c 3, close c, level s, recv s 9, recv s 9",
		PAIR_4 "send c 3, end c, close s, level c, recv c 9, recv c 9",
		PAIR_4 "send s 1, send c 3, end c, level s, close s, level c, recv c 9, recv c 9",
		NULL,
	};

	compare_all(scripts);
}

/* What is sent to an end that is closed brings a reset back. */
WF_TEST(late_data)
{
	static const char *const scripts[] = {
		PAIR_4
		"close s, level c, send c 9, level c, recv c 9, recv c 9, send c 9, send c 9",
		PAIR_4 "close s, send c 9, error c, level c, end c",
		PAIR_4 "send s 3, close s, send c 9, level c, recv c 9, recv c 9",
		PAIR_4 "end s, close s, send c 3, level c, recv c 9",
		PAIR_4 "end s, recv c 9, close s, end c, level c, send c 9",
		NULL,
	};

	compare_all(scripts);
}

WF_MAIN("io/sim_kernel")
