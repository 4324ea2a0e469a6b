/* SPDX-License-Identifier: MIT */
/* The harness itself: tests that cannot fail prove nothing. */
#include "harness/harness.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int return_arg(void *arg)
{
	return *(int *)arg;
}

/* A child's exit status is the result of its function. */
WF_TEST(child_reports_the_status)
{
	struct wf_child child = wf_child(return_arg, &(int){ 3 });

	ck_assert_int_eq(child.status, 3);
	ck_assert_int_eq(child.signal, 0);
	ck_assert_str_eq(child.errors, "");
}

static int kill_itself(void *arg)
{
	return raise(*(int *)arg);
}

/* A signal that ends a child is reported. */
WF_TEST(child_reports_the_signal)
{
	struct wf_child child = wf_child(kill_itself, &(int){ SIGKILL });

	ck_assert_int_eq(child.status, -1);
	ck_assert_int_eq(child.signal, SIGKILL);
}

static int write_much(void *arg)
{
	(void)arg;
	for (int i = 0; i < 100000; i++)
		(void)fputs("0123456789", stderr);
	return 0;
}

/* The beginning of a child's standard error is kept, and the child can write any amount. */
WF_TEST(child_errors_are_bounded)
{
	struct wf_child child = wf_child(write_much, NULL);

	ck_assert_int_eq(child.status, 0);
	ck_assert_uint_eq(strlen(child.errors), sizeof child.errors - 1);
	ck_assert_int_eq(strncmp(child.errors, "01234567890123456789", 20), 0);
}

/* A tally counts blocks and bytes, and fails the call it was told to, and no other. */
WF_TEST(tally_counts_and_fails)
{
	struct wf_tally tally = { .fails_at = 2 };
	char *block = wf_tally_resize(&tally, NULL, 0, 4);

	memcpy(block, "abc", 4);
	ck_assert_ptr_null(wf_tally_resize(&tally, block, 4, 8));
	ck_assert_uint_eq(tally.bytes, 4);
	block = wf_tally_resize(&tally, block, 4, 8);
	ck_assert_str_eq(block, "abc");
	ck_assert_uint_eq(tally.bytes, 8);
	ck_assert_uint_eq(tally.blocks, 1);
	ck_assert_ptr_null(wf_tally_resize(&tally, block, 8, 0));
	ck_assert_uint_eq(tally.bytes, 0);
	ck_assert_uint_eq(tally.blocks, 0);
	ck_assert_uint_eq(tally.calls, 3);
}

/* A pair of sockets is connected. */
WF_TEST(socketpair_is_connected)
{
	int fds[2];
	char byte;

	wf_socketpair(fds);
	ck_assert_int_eq(write(fds[0], "x", 1), 1);
	ck_assert_int_eq(read(fds[1], &byte, 1), 1);
	ck_assert_int_eq(byte, 'x');
	ck_assert_int_eq(close(fds[0]) | close(fds[1]), 0);
}

static void leak(void)
{
	ck_assert_int_ge(dup(STDOUT_FILENO), 0);
}

static int perform_leak(void *arg)
{
	wf_test_perform(arg, leak);
	return 0;
}

/* A descriptor left open fails the test. */
WF_TEST(leaked_descriptor_fails)
{
	struct wf_test test = { .check = { "leak", NULL, __FILE__, __LINE__ } };

	ck_assert_int_eq(wf_child(perform_leak, &test).status, EXIT_FAILURE);
}

static int open_and_keep(void *arg)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	return *(bool *)arg ? close(fd) : 0;
}

static int run_simulated(void *arg)
{
	return weft_run(open_and_keep, arg, &(struct weft_options){ .engine = "sim" });
}

/* So does a simulated one, and one that is closed does not. */
WF_TEST(leaked_simulated_descriptor_fails)
{
	ck_assert_int_eq(wf_child(run_simulated, &(bool){ false }).status, EXIT_FAILURE);
	ck_assert_int_eq(wf_child(run_simulated, &(bool){ true }).status, 0);
}

static int fail_in_child(void *arg)
{
	(void)arg;
	wf_assert_result(WEFT_EEOF, 0);
	return 0;
}

/* A result that is not the expected one fails the test. */
WF_TEST(wrong_result_fails)
{
	ck_assert_int_eq(wf_child(fail_in_child, NULL).status, EXIT_FAILURE);
}

struct held {
	struct wf_tally tally;
	void *block;
};

static int free_wrong_length(void *arg)
{
	struct held *held = arg;

	(void)wf_tally_resize(&held->tally, held->block, 7, 0);
	return 0;
}

/* Freeing with a wrong length fails the test. */
WF_TEST(tally_knows_lengths)
{
	struct held held = { 0 };

	held.block = wf_tally_resize(&held.tally, NULL, 0, 8);
	ck_assert_int_eq(wf_child(free_wrong_length, &held).status, EXIT_FAILURE);
	(void)wf_tally_resize(&held.tally, held.block, 8, 0);
}

static int skip(void *arg)
{
	(void)arg;
	(void)dup2(STDERR_FILENO, STDOUT_FILENO);
	wf_skip("no time");
}

/* Skipping ends the test as passed, and prints the line that is counted. */
WF_TEST(skip_ends_the_test)
{
	struct wf_child child = wf_child(skip, NULL);

	ck_assert_int_eq(child.status, 0);
	ck_assert_str_eq(child.errors, "skip: no time\n");
}

static int need_wind(void *arg)
{
	(void)dup2(STDERR_FILENO, STDOUT_FILENO);
	wf_need_world("wind");
	return *(int *)arg;
}

/* What needs the world is skipped on the simulator only. */
WF_TEST(need_of_the_world_skips)
{
	struct wf_child child;

	ck_assert_int_eq(setenv("WEFT_ENGINE", "sim", 1), 0);
	child = wf_child(need_wind, &(int){ 3 });
	ck_assert_int_eq(child.status, 0);
	ck_assert_str_eq(child.errors, "skip: the simulator has no wind\n");
	ck_assert_int_eq(unsetenv("WEFT_ENGINE"), 0);
	ck_assert_int_eq(wf_child(need_wind, &(int){ 3 }).status, 3);
}

WF_MAIN("base/harness")
