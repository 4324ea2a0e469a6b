/* SPDX-License-Identifier: MIT */
/* The programs of examples/ that talk by channels do what their first comments say. */
#include "examples/program.h"
#include "net/full.h"

#define PATH(name) WEFT_BUILD_DIR "/examples/" name
#define ARGV(...) ((const char *const[]){ __VA_ARGS__, NULL })

static struct program program;

/* ---- sieve ----------------------------------------------------------------------------------- */

/* The sieve prints the primes below the number, and no other. */
WF_TEST(sieve)
{
	program_run(&program, ARGV(PATH("sieve"), "30"));
	ck_assert_int_eq(program.status, 0);
	ck_assert_str_eq(program.output, "2\n3\n5\n7\n11\n13\n17\n19\n23\n29\n");
	program_run(&program, ARGV(PATH("sieve"), "2"));
	ck_assert_int_eq(program.status, 0);
	ck_assert_str_eq(program.output, "");
}

/* At the limit there is a task for each of 1,229 primes. */
WF_TEST(sieve_at_its_limit)
{
	program_run(&program, ARGV(PATH("sieve"), "10000"));
	ck_assert_int_eq(program.status, 0);
	ck_assert_ptr_nonnull(strstr(program.output, "\n9967\n9973\n"));
}

/* What is no number, or too much, is refused. */
WF_TEST(sieve_refuses)
{
	static const char *const bad[] = { "10001", "0", "-1", "x" };

	for (int i = 0; i < 4; i++) {
		program_run(&program, ARGV(PATH("sieve"), bad[i]));
		ck_assert_int_eq(program.status, 2);
		ck_assert_str_eq(program.errors, "usage: sieve LIMIT, at most 10000\n");
	}
}

/* ---- parallel_dial --------------------------------------------------------------------------- */

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

/* An address that refuses gives way to the next one at once, one that is silent after a while. */
WF_TEST(parallel_dial_goes_on)
{
	char good[WEFT_ADDRESS_TEXT_MAX], bad[WEFT_ADDRESS_TEXT_MAX];
	char expected[3 * WEFT_ADDRESS_TEXT_MAX];
	struct full_listener silent;
	int fd = listen_plainly(good);

	peer_close(listen_plainly(bad));
	open_full_listener(&silent);
	program_run(&program, ARGV(PATH("parallel_dial"), bad, silent.text, good, silent.text));
	ck_assert_int_eq(program.status, 0);
	(void)snprintf(expected, sizeof expected, "%s: ECONNREFUSED\n%s: connected\n", bad, good);
	ck_assert_str_eq(program.output, expected);
	close_full_listener(&silent);
	peer_close(fd);
}

/* When nobody answers it fails; without addresses it tells how it is used. */
WF_TEST(parallel_dial_fails)
{
	char bad[WEFT_ADDRESS_TEXT_MAX];

	peer_close(listen_plainly(bad));
	program_run(&program, ARGV(PATH("parallel_dial"), bad, bad));
	ck_assert_int_eq(program.status, 1);
	program_run(&program, ARGV(PATH("parallel_dial")));
	ck_assert_int_eq(program.status, 2);
	ck_assert_str_eq(program.errors, "usage: parallel_dial ADDRESS...\n");
}

/* One deadline holds for all attempts. */
WF_TEST(parallel_dial_has_a_deadline)
{
	struct full_listener silent;

	open_full_listener(&silent);
	program_run(&program, ARGV(PATH("parallel_dial"), silent.text));
	ck_assert_int_eq(program.status, 1);
	ck_assert_str_eq(program.output, "");
	ck_assert_ptr_nonnull(strstr(program.errors, "parallel_dial: "));
	close_full_listener(&silent);
}

WF_MAIN("examples/channels")
