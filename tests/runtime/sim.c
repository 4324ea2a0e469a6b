/* SPDX-License-Identifier: MIT */
/* Failures of each kind are found, told, and replayed. */
#include "core/worker.h"
#include "runtime/lonely.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>

static void lonely_for_ever(struct weft_sim *sim)
{
	lonely(sim);
	weft_sim_run_for(sim, WEFT_FOREVER, WEFT_FOREVER);
}

/* ---- Failures -------------------------------------------------------------------------------- */

static int break_promise(void *sim)
{
	wf_assert_result(weft_sleep(WEFT_SECOND), 0);
	weft_always(weft_sim_choose(sim, 1, 10) != 7, "seven never comes");
	return 0;
}

/* A property that does not hold fails the seeds for which it does not, and those only; the report has
 * the line of the source, and the command that replays it. */
WF_TEST(broken_promise_is_found)
{
	const char *text;

	function = break_promise;
	text = expect(lonely, "--seeds 1..200", 1,
		      "always: seven never comes, at tests/runtime/sim.c");
	ck_assert_ptr_nonnull(strstr(text, "replay: program --replay "));
	ck_assert_ptr_nonnull(strstr(text, "200 runs"));
	ck_assert_ptr_null(strstr(text, " 0 failed"));
	ck_assert_ptr_null(strstr(text, "200 failed"));
}

/* The replay of a failing seed fails in the same way, at the same step, time and hash. */
WF_TEST(replay_prints_the_same)
{
	char line[256], command[300], again[256];

	function = break_promise;
	after(expect(lonely, "--seeds 1..200", 1, "seed="), "seed=", line);
	snprintf(command, sizeof command, "--quiet --replay %.*s", (int)strcspn(line, " "), line);
	after(expect(lonely, command, 1, "seven never comes"), "seed=", again);
	ck_assert_str_eq(again, line);
}

/* A program that returns an error fails the run, which names the host. */
WF_TEST(failing_program_is_found)
{
	function = give_up;
	(void)expect(lonely, "--seeds 1", 1,
		     "host: the program of host \"lonely\" returned ECONNRESET");
}

/* A run in which nothing can ever happen is a deadlock, and its tasks are listed. */
WF_TEST(deadlock_is_found)
{
	const char *text;

	function = wait_for_ever;
	text = expect(lonely_for_ever, "--seeds 1", 1, "deadlock: ");
	ck_assert_ptr_nonnull(strstr(text, "task \"function\""));
	ck_assert_ptr_nonnull(strstr(text, "waits for an event"));
}

/* A task that does not end though its host was asked to stop is found when the bound has passed. */
WF_TEST(missing_end_is_found)
{
	const char *text;

	function = wait_for_ever;
	text = expect(lonely, "--seeds 1", 1, "liveness: ");
	ck_assert_ptr_nonnull(strstr(text, "time=120.000 s"));
	ck_assert_ptr_nonnull(strstr(text, "waits for an event"));
}

static int spin(void *arg)
{
	(void)arg;
	while (weft_yield() == 0)
		continue;
	return 0;
}

static void spinning(struct weft_sim *sim)
{
	lonely(sim);
	weft_sim_steps_max(sim, 1000);
}

/* A run that goes on and on is ended at the limit of its steps. */
WF_TEST(livelock_is_found)
{
	function = spin;
	(void)expect(spinning, "--seeds 1", 1, "livelock: ");
}

static int keep_socket(void *arg)
{
	struct weft_listener *listener;

	(void)arg;
	return weft_listen("10.0.0.1:80", NULL, &listener);
}

/* A descriptor that was not closed is found. */
WF_TEST(left_descriptor_is_found)
{
	function = keep_socket;
	(void)expect(lonely, "--seeds 1", 1, "leak: 1 descriptors were not closed");
}

static int keep_memory(void *arg)
{
	(void)arg;
	return wf_memory_new(&wf_worker->memory, 100) ? 0 : -ENOMEM;
}

/* Memory that was not freed is found. */
WF_TEST(left_memory_is_found)
{
	function = keep_memory;
	(void)expect(lonely, "--seeds 1", 1, "leak: 100 bytes of memory were not freed");
}

static int die(void *arg)
{
	(void)arg;
	fprintf(stderr, "these are my last words\n");
	(void)signal(SIGSEGV, SIG_DFL);
	(void)raise(SIGSEGV);
	return 0;
}

static int panic(void *arg)
{
	struct weft_scope scope;

	(void)arg;
	weft_scope_open(&scope);
	weft_scope_open(&scope);
	return 0;
}

/* A crash fails its seed and no other, and what the program wrote is shown. */
WF_TEST(crash_is_found)
{
	const char *text;

	function = die;
	text = expect(lonely, "--seeds 1..3", 1, "crash: signal 11");
	ck_assert_ptr_nonnull(strstr(text, "these are my last words"));
	ck_assert_ptr_nonnull(strstr(text, "\n3 runs in "));
	ck_assert_ptr_nonnull(strstr(text, "3 failed"));
}

static int listen_and_die(void *arg)
{
	return keep_socket(arg) < 0 ? -EIO : die(arg);
}

/* The reason of a crash is not lost among the lines of a trace, nor taken from there. */
WF_TEST(trace_is_no_reason)
{
	function = listen_and_die;
	(void)expect(lonely, "--seeds 1 --trace", 1, "crash: signal 11");
	function = panic;
	(void)expect(lonely, "--seeds 1 --trace", 1, "crash: task \"function\" (spawned at tests/");
}

static int say_seed(void *sim)
{
	uint64_t choice = weft_sim_choose(sim, 0, 99);

	printf("this run drew %llu\n", (unsigned long long)choice);
	weft_always(choice < 90, "not so much");
	return 0;
}

/* The output shown is that of the run that failed, and not that of the others of its process. */
WF_TEST(output_is_of_the_run)
{
	const char *text, *drawn;

	function = say_seed;
	text = expect(lonely, "--seeds 1..100 --jobs 1", 1, "this run drew 9");
	drawn = strstr(text, "this run drew");
	ck_assert_ptr_null(strstr(drawn + 1, "this run drew"));
}

static int leave(void *arg)
{
	(void)arg;
	_exit(0);
}

/* A program that ends its process has crashed, however well it meant; also for who tries to shrink it. */
WF_TEST(exit_is_a_crash)
{
	function = leave;
	(void)expect(lonely, "--seeds 1", 1, "crash: exit status 0");
	(void)expect(lonely, "--replay 1 --shrink", 1, "crash: exit status 0");
}

/* When the library ends the program, what it said is the text of the failure. */
WF_TEST(panic_is_told)
{
	function = panic;
	(void)expect(lonely, "--seeds 1", 1, "crash: task \"function\" (spawned at tests/runtime/");
}

static int loop(void *arg)
{
	(void)arg;
	for (volatile int i = 1; i; i = 1)
		continue;
	return 0;
}

/* A run that takes too long in real time is ended. */
WF_TEST(hang_is_found)
{
	function = loop;
	(void)expect(lonely, "--seeds 1 --run-limit 1", 1, "hang: ");
}

/* Whatever differs in an address shows in the clock. */
static void sleep_for(const void *address, int insignificant_bits)
{
	weft_time ticks = (weft_time)((uintptr_t)address >> insignificant_bits & 0xfffff);

	wf_assert_result(weft_sleep(ticks * 20 * WEFT_MICROSECOND), 0);
}

static int use_address(void *arg)
{
	char *object = calloc(1, 40);

	(void)arg;
	sleep_for(object, 4);
	free(object);
	return 0;
}

static int use_stack(void *arg)
{
	sleep_for(&arg, 12);
	return 0;
}

/* A program that takes an address for chance goes another way the second time, and the first step that
 * differs is named. */
WF_TEST(chance_from_outside_is_found)
{
	function = use_address;
	(void)expect(lonely, "--seeds 1..50", 0, "0 failed");
	(void)expect(lonely, "--seeds 1..50 --check-determinism", 1,
		     "determinism: two runs of the seed differ from step ");
	(void)expect(lonely, "--seeds 1..50 --check-determinism", 1, "50 runs in ");
	function = use_stack;
	(void)expect(lonely, "--seeds 1..50 --check-determinism", 1,
		     "determinism: two runs of the seed ");
}

static int remembered;

static int remember(void *arg)
{
	(void)arg;
	weft_always(remembered++ < 5, "five at most");
	return 0;
}

/* A failure that a run owes to those before it in its process is told from one of its seed. */
WF_TEST(failure_without_its_seed_is_told)
{
	function = remember;
	(void)expect(lonely, "--seeds 1..20 --jobs 1", 1, "does not fail so when it runs alone");
}

WF_MAIN("runtime/sim")
