/* SPDX-License-Identifier: MIT */
/*
 * The harness of the tests; harness.h tells how to use it.
 *
 * Tests enter themselves into a list by constructors. Each becomes a test case of its own, so that
 * reports name it and CK_RUN_CASE finds it.
 */
#include "harness/harness.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TIMEOUT_S = 20, SLOWNESS = 10, DESCRIPTORS_MAX = 4096 };

/* Whether a sanitizer slows us down: gcc says so by macros, clang by features. */
#ifndef __has_feature
#define __has_feature(feature) 0
#endif
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__ || \
	__has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
enum { SANITIZED = true };
#else
enum { SANITIZED = false };
#endif

static struct wf_test *first_test;
static struct wf_test **last_link = &first_test;

/*
 * Tests
 */

void wf_test_register(struct wf_test *test)
{
	*last_link = test;
	last_link = &test->next;
}

/* Valgrind loads its own libraries into the program by way of this variable. */
bool wf_is_slow(void)
{
	const char *preload = getenv("LD_PRELOAD");

	return SANITIZED || (preload && strstr(preload, "vgpreload"));
}

/* Check itself obeys the first variable where no time-out is set, the second in any case. */
static void set_timeout(TCase *test_case)
{
	bool slow = wf_is_slow() && !getenv("CK_TIMEOUT_MULTIPLIER");

	if (!getenv("CK_DEFAULT_TIMEOUT"))
		tcase_set_timeout(test_case, slow ? TIMEOUT_S * SLOWNESS : TIMEOUT_S);
}

int wf_test_main(const char *name)
{
	Suite *suite = suite_create(name);
	SRunner *runner = srunner_create(suite);
	int failed;

	for (struct wf_test *test = first_test; test; test = test->next) {
		TCase *test_case = tcase_create(test->check.name);

		set_timeout(test_case);
		tcase_add_test(test_case, &test->check);
		suite_add_tcase(suite, test_case);
	}
	/* Without a process of its own an assertion would longjmp from one stack to another. */
	srunner_set_fork_status(runner, CK_FORK);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* The descriptors that are open, except the one this takes. */
static void find_descriptors(bool ret_open[DESCRIPTORS_MAX])
{
	DIR *folder = opendir("/proc/self/fd");
	struct dirent *entry;

	ck_assert_ptr_nonnull(folder);
	while ((entry = readdir(folder))) {
		int fd = atoi(entry->d_name);

		if (entry->d_name[0] != '.' && fd != dirfd(folder) && fd < DESCRIPTORS_MAX)
			ret_open[fd] = true;
	}
	(void)closedir(folder); /* it was read only */
}

/* Fails the test for a descriptor, and says what it is. */
static _Noreturn void blame_descriptor(const struct wf_test *test, int fd)
{
	char link[64], target[256];
	ssize_t length;

	(void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	length = readlink(link, target, sizeof target - 1);
	target[length < 0 ? 0 : length] = 0;
	_ck_assert_failed(test->check.file, test->check.line, "no descriptor is left open",
			  "descriptor %d is left open: %s", fd, target);
	abort(); /* not reached */
}

void wf_test_perform(const struct wf_test *test, void (*body)(void))
{
	static bool before[DESCRIPTORS_MAX], after[DESCRIPTORS_MAX];

	_mark_point(test->check.file, test->check.line); /* for crashes without an assertion */
	find_descriptors(before);
	body();
	find_descriptors(after);
	for (int fd = 0; fd < DESCRIPTORS_MAX; fd++) {
		if (after[fd] && !before[fd])
			blame_descriptor(test, fd);
	}
}

void wf_skip(const char *reason)
{
	printf("skip: %s\n", reason);
	(void)fflush(NULL);  /* a lost line is all that can happen */
	_exit(EXIT_SUCCESS); /* nothing else runs on this stack, which may be a task's */
}

bool wf_is_simulated(void)
{
	const char *engine = getenv("WEFT_ENGINE");

	return engine && strcmp(engine, "sim") == 0;
}

void wf_need_world(const char *what)
{
	char reason[128];

	if (!wf_is_simulated())
		return;
	(void)snprintf(reason, sizeof reason, "the simulator has no %s", what);
	wf_skip(reason);
}

/*
 * Assertions
 */

void wf_result_compare(long result, long expected, const char *expression, const char *file,
		       int line)
{
	if (result != expected)
		_ck_assert_failed(file, line, expression, "the result is %ld (%s), not %ld (%s)",
				  result, weft_error_name((int)result), expected,
				  weft_error_name((int)expected));
	_mark_point(file, line);
}

/*
 * Memory
 */

/* Stands before each block. */
struct block {
	_Alignas(max_align_t) size_t bytes;
};

static void tally_free(struct wf_tally *tally, struct block *block)
{
	tally->bytes -= block->bytes;
	tally->blocks--;
	free(block);
}

static struct block *tally_new(struct wf_tally *tally, size_t bytes)
{
	struct block *block = malloc(sizeof *block + bytes);

	ck_assert_ptr_nonnull(block);
	memset(block, 0xcc, sizeof *block + bytes); /* so that nobody takes it for cleared */
	block->bytes = bytes;
	tally->bytes += bytes;
	tally->blocks++;
	return block;
}

void *wf_tally_resize(void *user, void *memory, size_t old_bytes, size_t new_bytes)
{
	struct wf_tally *tally = user;
	struct block *old = memory ? (struct block *)memory - 1 : NULL;
	struct block *new;

	ck_assert_uint_eq(old ? old->bytes : 0, old_bytes);
	if (new_bytes && ++tally->calls == tally->fails_at)
		return NULL;
	new = new_bytes ? tally_new(tally, new_bytes) : NULL;
	if (old && new)
		memcpy(new + 1, old + 1, old_bytes < new_bytes ? old_bytes : new_bytes);
	if (old)
		tally_free(tally, old);
	return new ? new + 1 : NULL;
}

void wf_limit_address_space(size_t more)
{
	FILE *file = fopen("/proc/self/statm", "re");
	struct rlimit limit, set;
	unsigned long pages;

	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(fscanf(file, "%lu", &pages), 1);
	ck_assert_int_eq(fclose(file), 0);
	ck_assert_int_eq(getrlimit(RLIMIT_AS, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	if (more != SIZE_MAX)
		limit.rlim_cur = pages * (size_t)sysconf(_SC_PAGESIZE) + more;
	ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
	ck_assert_int_eq(getrlimit(RLIMIT_AS, &set), 0);
	if (set.rlim_cur != limit.rlim_cur)
		wf_skip("the emulator does not limit address space");
}

/*
 * Processes and sockets
 */

/* What the child does, with the writing end of the pipe. Its core would be of no use. */
static _Noreturn void child_perform(int (*function)(void *arg), void *arg, int fd)
{
	struct rlimit none = { 0, 0 };
	int result;

	ck_assert_int_eq(setrlimit(RLIMIT_CORE, &none), 0);
	ck_assert_int_ge(dup2(fd, STDERR_FILENO), 0);
	ck_assert_int_eq(close(fd), 0);
	result = function(arg);
	(void)fflush(NULL);
	_exit(result);
}

/* Reads to the end, and keeps what there is room for. */
static void child_read_errors(struct wf_child *child, int fd)
{
	size_t kept = 0;
	char piece[512];
	ssize_t count;

	while ((count = read(fd, piece, sizeof piece)) > 0) {
		size_t room = sizeof child->errors - 1 - kept;
		size_t taken = (size_t)count < room ? (size_t)count : room;

		memcpy(child->errors + kept, piece, taken);
		kept += taken;
	}
	ck_assert_int_eq(count, 0);
}

/* qemu-user tells of a deadly signal in a line of its own, which is not the child's. */
static void child_forget_emulator(struct wf_child *child)
{
	char *line = strstr(child->errors, "qemu: uncaught target signal");

	if (line)
		*line = 0;
}

struct wf_child wf_child(int (*function)(void *arg), void *arg)
{
	struct wf_child child = { .status = -1 };
	int fds[2], status;
	pid_t pid;

	(void)fflush(NULL); /* or the child would write it again */
	ck_assert_int_eq(pipe(fds), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		(void)close(fds[0]);
		child_perform(function, arg, fds[1]);
	}
	(void)close(fds[1]);
	child_read_errors(&child, fds[0]);
	child_forget_emulator(&child);
	(void)close(fds[0]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status))
		child.status = WEXITSTATUS(status);
	else
		child.signal = WTERMSIG(status);
	return child;
}

void wf_socketpair(int ret_fds[2])
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ret_fds), 0);
}

struct weft_listener *wf_listen_loopback(char ret_text[WEFT_ADDRESS_TEXT_MAX])
{
	struct weft_listener *listener;
	struct weft_address address;

	wf_assert_result(weft_listen("127.0.0.1:0", NULL, &listener), 0);
	wf_assert_result(weft_listener_address(listener, &address), 0);
	(void)weft_address_format(&address, ret_text);
	return listener;
}
