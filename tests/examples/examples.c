/* SPDX-License-Identifier: MIT */
/* Every program of examples/ does what its first comment says. */
#include "examples/program.h"

#include <sys/stat.h>

#define PATH(name) WEFT_BUILD_DIR "/examples/" name
#define ARGV(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* ---- Programs that only write ---------------------------------------------------------------- */

/* Runs a program that must succeed and write this. What it writes depends on pauses of ten
 * milliseconds and more; a machine that stops for so long gets two more tries. */
static void check_output(const char *path, const char *output)
{
	static struct program program;

	for (int tries = 0; tries < 3; tries++) {
		program_run(&program, ARGV(path));
		ck_assert_int_eq(program.status, 0);
		ck_assert_str_eq(program.errors, "");
		if (strcmp(program.output, output) == 0)
			return;
	}
	ck_assert_str_eq(program.output, output);
}

/* Two tasks take turns. */
WF_TEST(hello)
{
	check_output(PATH("hello"), "hello from warp\nhello from weft\nhello from warp\n"
				    "hello from weft\nhello from warp\nhello from weft\n");
}

/* A deadline ends what goes on beneath it. */
WF_TEST(deadline)
{
	check_output(PATH("deadline"), "step 1\nstep 2\ngave up: the deadline has passed\n");
}

/* A failure stays within its scope, a deadline reaches all. */
WF_TEST(nested)
{
	check_output(PATH("nested"), "sibling of the one that fails: ECANCELED\n"
				     "inner scope: EIO\n"
				     "task of the outer scope: WEFT_EDEADLINE\n"
				     "outer scope: WEFT_EDEADLINE\n");
}

/* A shield lets a cancelled task put things in order. */
WF_TEST(shield)
{
	check_output(PATH("shield"), "cancelled\nstopped: ECANCELED\nclean-up: OK\n");
}

/* Values are handed over one by one. */
WF_TEST(handover)
{
	check_output(PATH("handover"), "got 1\ngot 4\ngot 9\ngot 16\ngot 25\n");
}

/* A thread reports back. */
WF_TEST(thread)
{
	check_output(PATH("thread"), "the thread found 500000500000\n");
}

/* The pages come in the order of finding, and the limit is used, and kept. */
WF_TEST(crawler)
{
	check_output(PATH("crawler"), "home: about news shop blog\n"
				      "about: home team\n"
				      "news: today yesterday home\n"
				      "shop: cart home\n"
				      "blog: first second home\n"
				      "team: about blog\n"
				      "today: news yesterday\n"
				      "yesterday: news\n"
				      "cart: shop home\n"
				      "first: second blog\n"
				      "second: first blog\n"
				      "11 pages, at most 3 at once\n");
}

/* ---- first ----------------------------------------------------------------------------------- */

/* A listener that accepts nothing: the kernel connects all the same. */
static int listen_plainly(char *text)
{
	struct weft_address address;
	int fd;

	wf_assert_result(weft_address_parse("127.0.0.1:0", &address, NULL), 0);
	fd = peer_socket(&address);
	ck_assert_int_eq(bind(fd, (void *)address.storage.bytes, address.length), 0);
	ck_assert_int_eq(listen(fd, 16), 0);
	ck_assert_int_eq(getsockname(fd, (void *)address.storage.bytes, &address.length), 0);
	(void)weft_address_format(&address, text);
	return fd;
}

/* The address that answers wins over the one that refuses. */
WF_TEST(first_keeps_what_connects)
{
	static struct program program;
	char good[WEFT_ADDRESS_TEXT_MAX], bad[WEFT_ADDRESS_TEXT_MAX];
	char connected[WEFT_ADDRESS_TEXT_MAX + 20], refused[WEFT_ADDRESS_TEXT_MAX + 20];
	int fd = listen_plainly(good);

	peer_close(listen_plainly(bad));
	program_run(&program, ARGV(PATH("first"), bad, good));
	ck_assert_int_eq(program.status, 0);
	(void)snprintf(connected, sizeof connected, "%s: connected\n", good);
	(void)snprintf(refused, sizeof refused, "%s: ECONNREFUSED\n", bad);
	ck_assert_ptr_nonnull(strstr(program.output, connected));
	ck_assert_ptr_nonnull(strstr(program.output, refused));
	peer_close(fd);
}

/* When nobody answers it fails; without addresses it tells how it is used. */
WF_TEST(first_fails)
{
	static struct program program;
	char bad[WEFT_ADDRESS_TEXT_MAX];

	peer_close(listen_plainly(bad));
	program_run(&program, ARGV(PATH("first"), bad));
	ck_assert_int_eq(program.status, 1);
	program_run(&program, ARGV(PATH("first")));
	ck_assert_int_eq(program.status, 2);
	ck_assert_str_eq(program.errors, "usage: first ADDRESS...\n");
}

/* ---- echo ------------------------------------------------------------------------------------ */

/* Starts a server that names its address in its first line. */
static void start_server(struct program *program, const char *const *argv, const char *greeting)
{
	char line[WEFT_ADDRESS_TEXT_MAX + 64];

	(void)snprintf(line, sizeof line, "%s %s\n", greeting, own_address());
	program_start(program, argv);
	program_hear(program, line);
}

static void end_server(struct program *program, int number)
{
	program_signal(program, number);
	program_end(program);
	ck_assert_str_eq(program->errors, "");
	ck_assert_int_eq(program->status, 0);
}

/* What is sent comes back; SIGINT ends it with 0. */
WF_TEST(echo)
{
	static struct program program;
	int fd;

	start_server(&program, ARGV(PATH("echo"), own_address()), "echo: listening on");
	fd = program_dial(own_address());
	peer_say(fd, "hello");
	peer_hear(fd, "hello");
	peer_say(fd, "again");
	peer_hear(fd, "again");
	ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
	peer_hear_end(fd);
	peer_close(fd);
	end_server(&program, SIGINT);
}

/* A client that is silent is dropped after the idle time, and each byte begins it anew. */
WF_TEST(echo_drops_the_idle)
{
	static struct program program;
	weft_time start, took;
	int fd;

	start_server(&program, ARGV(PATH("echo"), own_address(), "200"), "echo: listening on");
	fd = program_dial(own_address());
	for (int i = 0; i < 4; i++) {
		peer_say(fd, "x");
		peer_hear(fd, "x");
		(void)usleep(20 * 1000);
	}
	start = clock_ns();
	peer_hear(fd, "idle\n");
	took = clock_ns() - start;
	peer_hear_end(fd);
	peer_close(fd);
	ck_assert_int_ge(took, 100 * WEFT_MILLISECOND);
	ck_assert_int_lt(took, 2 * WEFT_SECOND);
	end_server(&program, SIGINT);
}

/* Runs a server that must fail, and say this. */
static void check_failure(const char *const *argv, int status, const char *sentence)
{
	static struct program program;

	program_run(&program, argv);
	ck_assert_int_eq(program.status, status);
	if (!strstr(program.errors, sentence))
		ck_assert_str_eq(program.errors, sentence);
}

/* A malformed address and a port in use are told in a sentence. */
WF_TEST(bad_addresses_are_explained)
{
	char text[WEFT_ADDRESS_TEXT_MAX];
	int fd = listen_plainly(text);

	check_failure(ARGV(PATH("echo"), "localhost"), 2,
		      "echo: \"localhost\": \"localhost\" is not");
	check_failure(ARGV(PATH("pong"), "127.0.0.1"), 1, "pong: 127.0.0.1: ");
	check_failure(ARGV(PATH("graceful"), "127.0.0.1:x"), 1, "graceful: ");
	check_failure(ARGV(PATH("lines"), "127.0.0.1:x"), 1, "lines: ");
	check_failure(ARGV(PATH("lines"), "127.0.0.1:1", "0"), 2, "usage: lines ");
	check_failure(ARGV(PATH("echo"), text), 1, "already in use");
	check_failure(ARGV(PATH("pong"), text), 1, "already in use");
	check_failure(ARGV(PATH("graceful"), text), 1, "already in use");
	peer_close(fd);
}

/* A crawler without places tells how it is used. */
WF_TEST(crawler_needs_places)
{
	check_failure(ARGV(PATH("crawler"), "0"), 2, "usage: crawler [PLACES]");
	check_failure(ARGV(PATH("crawler"), "many"), 2, "usage: crawler [PLACES]");
}

/* A runtime that cannot start says why, in each program that has nothing else to say. */
WF_TEST(bad_options_are_explained)
{
	static const char *const names[] = { "crawler", "deadline", "handover", "hello",
					     "nested",	"shield",   "thread" };

	ck_assert_int_eq(setenv("WEFT_ENGINE", "nonsense", 1), 0);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		char path[1024], sentence[64];

		(void)snprintf(path, sizeof path, "%s/%s", PATH(""), names[i]);
		(void)snprintf(sentence, sizeof sentence, "%s: An option is not valid", names[i]);
		check_failure(ARGV(path), 1, sentence);
		check_failure(ARGV(path), 1, "WEFT_ENGINE: epoll");
	}
}

/* An idle time that is none is refused. */
WF_TEST(bad_idle_time_is_explained)
{
	static const char *const times[] = { "x", "", "0", "-5", "12x", "99999999999999" };

	for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
		char sentence[64];

		(void)snprintf(sentence, sizeof sentence, "echo: \"%s\" is not 1 to 86400000 ms",
			       times[i]);
		check_failure(ARGV(PATH("echo"), own_address(), times[i]), 2, sentence);
	}
}

/* With port 0 it tells the port that it got. */
WF_TEST(echo_tells_its_port)
{
	static const char greeting[] = "echo: listening on 127.0.0.1:";
	static struct program program;
	char *address;
	int fd;

	program_start(&program, ARGV(PATH("echo"), "127.0.0.1:0"));
	ck_assert_ptr_nonnull(fgets(program.output, sizeof program.output, program.out));
	ck_assert_int_eq(strncmp(program.output, greeting, sizeof greeting - 1), 0);
	address = strstr(program.output, "127.0.0.1:");
	address[strcspn(address, "\n")] = 0;
	ck_assert_str_ne(address, "127.0.0.1:0");
	fd = program_dial(address);
	peer_say(fd, "hello");
	peer_hear(fd, "hello");
	peer_close(fd);
	end_server(&program, SIGTERM);
}

/* The process that a trace is about: its lines begin with the number. */
static pid_t read_traced(const char *path)
{
	FILE *file = fopen(path, "r");
	char line[32] = "";

	ck_assert_ptr_nonnull(file);
	ck_assert_ptr_nonnull(fgets(line, sizeof line, file));
	ck_assert_int_eq(fclose(file), 0);
	ck_assert_int_gt(atoi(line), 0);
	return atoi(line);
}

/* A line of strace that is a system call for I/O, and not one of those that start a program. */
static bool is_exchange_call(const char *line)
{
	static const char *const names[] = { "recvfrom(",    "sendto(",	      "epoll_wait(",
					     "epoll_pwait(", "epoll_pwait2(", "epoll_ctl(",
					     "recvmsg(",     "sendmsg(",      "accept4(" };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strstr(line, names[i]))
			return true;
	return false;
}

static int count_calls(const char *path)
{
	FILE *file = fopen(path, "r");
	char line[512];
	int count = 0;

	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof line, file))
		count += is_exchange_call(line);
	ck_assert_int_eq(fclose(file), 0);
	return count;
}

/* A request and its reply on a connection that stays cost three system calls: the sleep, the receive
 * and the send. */
WF_TEST(exchange_costs_three_system_calls)
{
	enum { EXCHANGES = 200, AROUND = 20 };
	static struct program program;
	char trace[] = "/tmp/weft-trace-XXXXXX";
	int fd;

	if (*WEFT_EMULATOR)
		wf_skip("the system calls that strace sees are the emulator's");
	fd = mkstemp(trace);
	ck_assert_int_ge(fd, 0);
	peer_close(fd);
	(void)unsetenv("WEFT_YIELD_ALWAYS");
	(void)setenv("ASAN_OPTIONS", "detect_leaks=0", 1); /* it cannot look while it is traced */
	program_run(&program, ARGV("strace", "-f", "-o", trace, "true"));
	if (program.status != 0) {
		ck_assert_int_eq(unlink(trace), 0);
		wf_skip("strace is missing or not allowed");
	}
	start_server(&program, ARGV("strace", "-f", "-o", trace, PATH("echo"), own_address()),
		     "echo: listening on");
	fd = program_dial(own_address());
	for (int i = 0; i < EXCHANGES; i++) {
		peer_say(fd, "x");
		peer_hear(fd, "x");
		(void)usleep(500); /* so that the server sleeps each time */
	}
	peer_close(fd);
	ck_assert_int_eq(kill(read_traced(trace), SIGTERM), 0);
	program_end(&program);
	ck_assert_int_ge(count_calls(trace), EXCHANGES * 2);
	ck_assert_int_le(count_calls(trace), EXCHANGES * 3 + AROUND);
	ck_assert_int_eq(unlink(trace), 0);
}

/* ---- lines ----------------------------------------------------------------------------------- */

/* Lines come back with their numbers, also in pieces and several at once, and each client has a count
 * of its own. */
WF_TEST(lines)
{
	static struct program program;
	int fd, other;

	start_server(&program, ARGV(PATH("lines"), own_address()), "lines: serving");
	fd = program_dial(own_address());
	other = program_dial(own_address());
	peer_say(fd, "warp\nwe");
	peer_hear(fd, "1 warp\n");
	peer_say(other, "thread\n");
	peer_hear(other, "1 thread\n");
	peer_say(fd, "ft\n\nlast\n");
	peer_hear(fd, "2 weft\n3 \n4 last\n");
	peer_say(fd, "no line");
	ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
	peer_hear_end(fd);
	peer_close(fd);
	end_server(&program, SIGTERM); /* a parked client does not hold it up */
	peer_hear_end(other);
	peer_close(other);
}

/* A line that fits into no buffer ends its connection, and the server goes on. */
WF_TEST(lines_bounds_a_line)
{
	static struct program program;
	char *line = malloc(64 * 1024);
	int fd;

	memset(line, 'x', 64 * 1024);
	start_server(&program, ARGV(PATH("lines"), own_address()), "lines: serving");
	fd = program_dial(own_address());
	(void)send(fd, line, 64 * 1024, MSG_NOSIGNAL); /* may fail when part of it was refused */
	ck_assert_int_le(recv(fd, line, 1, 0), 0);
	peer_close(fd);
	fd = program_dial(own_address());
	peer_say(fd, "x\n");
	peer_hear(fd, "1 x\n");
	peer_close(fd);
	end_server(&program, SIGINT);
	free(line);
}

/* A silent client is dropped after the idle time. */
WF_TEST(lines_drops_the_idle)
{
	static struct program program;
	weft_time start;
	int fd;

	start_server(&program, ARGV(PATH("lines"), own_address(), "200"), "lines: serving");
	fd = program_dial(own_address());
	peer_say(fd, "x\n");
	peer_hear(fd, "1 x\n");
	start = clock_ns();
	peer_hear_end(fd);
	peer_close(fd);
	ck_assert_int_ge(clock_ns() - start, 100 * WEFT_MILLISECOND);
	end_server(&program, SIGINT);
}

/* ---- watch ----------------------------------------------------------------------------------- */

static void hear_about(struct program *program, const char *folder, const char *what)
{
	char line[64];

	(void)snprintf(line, sizeof line, "%s: %s\n", folder, what);
	program_hear(program, line);
}

/* Changes are told one by one, and the end of them. */
WF_TEST(watch)
{
	static struct program program;
	char folder[] = "/tmp/weft-watch-XXXXXX", inner[64];

	ck_assert_ptr_nonnull(mkdtemp(folder));
	(void)snprintf(inner, sizeof inner, "%s/inner", folder);
	program_start(&program, ARGV(PATH("watch"), "1000", folder));
	hear_about(&program, folder, "watched");
	ck_assert_int_eq(mkdir(inner, 0700), 0);
	hear_about(&program, folder, "changed");
	ck_assert_int_eq(rmdir(inner), 0);
	hear_about(&program, folder, "changed");
	hear_about(&program, folder, "quiet");
	program_end(&program);
	ck_assert_int_eq(program.status, 0);
	ck_assert_str_eq(program.errors, "");
	ck_assert_int_eq(rmdir(folder), 0);
}

/* A folder that is none is told, and what is parked by then does not keep the program. */
WF_TEST(watch_fails)
{
	check_failure(ARGV(PATH("watch"), "60000", "/", "/nonexistent"), 1,
		      "watch: /nonexistent: ");
	check_failure(ARGV(PATH("watch"), "60000"), 2, "usage: watch IDLE_MS FOLDER...");
	check_failure(ARGV(PATH("watch"), "soon", "/"), 2, "usage: watch IDLE_MS FOLDER...");
}

/* ---- pong ------------------------------------------------------------------------------------ */

static const char pong_reply[] = "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nPong!\r\n";

/* The reply comes after the request, to the byte, also when that is in pieces. */
WF_TEST(pong)
{
	static struct program program;
	int fd;

	ck_assert_uint_eq(strlen(pong_reply), 45);
	start_server(&program, ARGV(PATH("pong"), own_address()), "pong: serving");
	fd = program_dial(own_address());
	peer_say(fd, "GET / HTTP/1.0\r\n\r\n");
	peer_hear(fd, pong_reply);
	peer_hear_end(fd);
	peer_close(fd);

	fd = program_dial(own_address());
	peer_say(fd, "GET / HTTP/1.0\r\nHost: x\r\n\r");
	(void)usleep(50 * 1000);
	ck_assert_int_eq(recv(fd, (char[]){ 0 }, 1, MSG_DONTWAIT), -1); /* not yet */
	peer_say(fd, "\n");
	peer_hear(fd, pong_reply);
	peer_hear_end(fd);
	peer_close(fd);
	end_server(&program, SIGTERM);
}

/* A head that is too long is refused, and the server goes on. */
WF_TEST(pong_bounds_the_head)
{
	static struct program program;
	char *head = malloc(8192);
	int fd;

	memset(head, 'x', 8192);
	start_server(&program, ARGV(PATH("pong"), own_address()), "pong: serving");
	fd = program_dial(own_address());
	peer_send(fd, head, 8192);
	ck_assert_int_le(recv(fd, head, 1, 0), 0);
	peer_close(fd);
	fd = program_dial(own_address());
	peer_say(fd, "\r\n\r\n");
	peer_hear(fd, pong_reply);
	peer_close(fd);
	end_server(&program, SIGINT);
	free(head);
}

/* Blindly, the reply comes without a request. */
WF_TEST(pong_blind)
{
	static struct program program;
	int fd;

	start_server(&program, ARGV(PATH("pong"), "--blind", own_address()), "pong: serving");
	for (int i = 0; i < 20; i++) {
		fd = program_dial(own_address());
		peer_hear(fd, pong_reply);
		peer_hear_end(fd);
		peer_close(fd);
	}
	end_server(&program, SIGINT);
}

/* ---- graceful -------------------------------------------------------------------------------- */

/* A connection that is being served when SIGTERM comes is finished, a new one is refused. */
WF_TEST(graceful)
{
	static struct program program;
	struct weft_address address;
	int fd, late;

	start_server(&program, ARGV(PATH("graceful"), own_address()), "graceful: serving");
	fd = program_dial(own_address());
	peer_say(fd, "x");
	(void)usleep(50 * 1000);
	program_signal(&program, SIGTERM);
	program_hear(&program, "graceful: stopping\n");
	(void)usleep(20 * 1000);
	wf_assert_result(weft_address_parse(own_address(), &address, NULL), 0);
	late = peer_socket(&address);
	ck_assert_int_eq(peer_connect(late, own_address()), ECONNREFUSED);
	peer_close(late);
	peer_hear(fd, "done\n");
	peer_hear_end(fd);
	peer_close(fd);
	program_end(&program);
	ck_assert_int_eq(program.status, 0);
	ck_assert_ptr_nonnull(strstr(program.output, "graceful: stopped\n"));
}

WF_MAIN("examples/examples")
