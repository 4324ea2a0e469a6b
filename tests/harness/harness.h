/* SPDX-License-Identifier: MIT */
/*
 * The harness of the tests: the library Check in fork mode, with less ceremony.
 *
 *	WF_TEST(numbers_add_up)
 *	{
 *		ck_assert_int_eq(1 + 1, 2);
 *	}
 *
 *	WF_MAIN("base/numbers")
 *
 * Each test runs in a process of its own, which ends at the first assertion that fails; so an
 * assertion may fail on any stack, a task's too (Check formats on it: leave it 16 KiB). A test must
 * end within 20 s, ten times that under sanitizers and Valgrind (CK_DEFAULT_TIMEOUT and
 * CK_TIMEOUT_MULTIPLIER override), and close the descriptors that it opened. CK_RUN_CASE=name runs
 * one test.
 */
#pragma once

#include <weft/error.h>
#include <weft/net.h>
#include <weft/run.h>

#include <check.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * Tests
 */

struct wf_test {
	TTest check;
	struct wf_test *next;
};

/* Defines a test. Tests run in the order of the file. */
#define WF_TEST(test)                                                  \
	static void test(void);                                        \
	static void test##_check(int round);                           \
	static struct wf_test test##_entry = {                         \
		.check = { #test, test##_check, __FILE__, __LINE__ },  \
	};                                                             \
	static void test##_check(int round)                            \
	{                                                              \
		(void)round;                                           \
		wf_test_perform(&test##_entry, test);                  \
	}                                                              \
	__attribute__((constructor)) static void test##_register(void) \
	{                                                              \
		wf_test_register(&test##_entry);                       \
	}                                                              \
	static void test(void)

/* Defines a test whose body is the first task of a weft_run with default options. */
#define WF_TASK_TEST(test)                \
	static void test##_body(void);    \
	static int test##_task(void *arg) \
	{                                 \
		(void)arg;                \
		test##_body();            \
		return 0;                 \
	}                                 \
	WF_TEST(test)                     \
	{                                 \
		RUN(test##_task);         \
	}                                 \
	static void test##_body(void)

/* Defines the program that runs the tests above it. */
#define WF_MAIN(suite)                      \
	int main(void)                      \
	{                                   \
		return wf_test_main(suite); \
	}

void wf_test_register(struct wf_test *test);
void wf_test_perform(const struct wf_test *test, void (*body)(void));
int wf_test_main(const char *suite);

/* Ends the test as passed, and says why it was not one: for what the kernel may lack. */
_Noreturn void wf_skip(const char *reason);

/* Whether tests run on the simulator. Their plain sockets are simulated then, too (sockets.c). */
bool wf_is_simulated(void);

/* Set by a test that may leave simulated descriptors open at the end of a run. */
extern bool wf_sockets_go_with_world;

/* Skips the test on the simulator, for want of something that only the world has. */
void wf_need_world(const char *what);

/* Whether a sanitizer or Valgrind slows the program down: for tests of how long something takes. */
bool wf_is_slow(void);

/*
 * Assertions, besides Check's
 */

/* A result in the number space of weft/error.h is the expected one; if not, both are named. */
#define wf_assert_result(expression, expected) \
	wf_result_compare((expression), (expected), #expression, __FILE__, __LINE__)
void wf_result_compare(long result, long expected, const char *expression, const char *file,
		       int line);

/* Runs the function in a weft_run with default options; its result must be 0. */
#define RUN(function) wf_run_test((function), NULL)
#define wf_run_test(function, arg) wf_assert_result(weft_run((function), (arg), NULL), 0)

/*
 * Memory
 */

/* Counts what is held, and fails once where it is told to. All zero to begin with. Each block knows
 * its length: a wrong `old_bytes` fails the test. Each resize moves the block. */
struct wf_tally {
	size_t bytes;		/* in the blocks alive */
	size_t blocks;		/* alive */
	unsigned long calls;	/* that asked for memory */
	unsigned long fails_at; /* the number of the call, from 1, to get none; 0 for no call */
};

void *wf_tally_resize(void *tally, void *block, size_t old_bytes, size_t new_bytes);

/* What weft_options.allocator wants. */
static inline struct weft_allocator wf_tally_allocator(struct wf_tally *tally)
{
	return (struct weft_allocator){ wf_tally_resize, tally };
}

/* Leaves this process room for so many more bytes of address space; SIZE_MAX for all there is. */
void wf_limit_address_space(size_t more);

/*
 * Processes and sockets
 */

/* How a child process ended, and what it wrote to standard error. */
struct wf_child {
	int status;	   /* the exit status; -1 if a signal ended it */
	int signal;	   /* that ended it; 0 if it exited */
	char errors[2048]; /* the beginning, as a string */
};

/* Runs a function in a forked child, which exits with its result, and waits for the end. */
struct wf_child wf_child(int (*function)(void *arg), void *arg);

/* Makes a pair of connected stream sockets; blocking, closed on exec. */
void wf_socketpair(int ret_fds[2]);

/* Listens on a free port of 127.0.0.1, and writes the address, as weft_dial takes it. In a task. */
struct weft_listener *wf_listen_loopback(char ret_text[WEFT_ADDRESS_TEXT_MAX]);
