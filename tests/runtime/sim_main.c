/* SPDX-License-Identifier: MIT */
/* What the command line asks for is done, and said. */
#include "runtime/lonely.h"

#include <signal.h>

/* ---- Seeds, hashes, and allocations -------------------------------------------------------------- */

/* The hash of all runs depends neither on how many processes there were, nor on the environment. */
WF_TEST(hash_is_of_the_seeds)
{
	char hash[256], other[256];

	after(expect(asking_in_swarm, "--seeds 1..60 --jobs 1", 0, "0 failed"), "hash ", hash);
	after(expect(asking_in_swarm, "--seeds 1..60 --jobs 3", 0, "0 failed"), "hash ", other);
	ck_assert_str_eq(other, hash);
	setenv("WEFT_ENGINE", "nonsense", 1);
	setenv("WEFT_GUARD", "nonsense", 1);
	setenv("WEFT_YIELD_ALWAYS", "1", 1);
	after(expect(asking_in_swarm, "--seeds 1..60", 0, "0 failed"), "hash ", other);
	ck_assert_str_eq(other, hash);
	after(expect(asking_in_swarm, "--seeds 2..61", 0, "0 failed"), "hash ", other);
	ck_assert_str_ne(other, hash);
}

/* The hash of a seed is the same alone and among others, and each is printed. */
WF_TEST(hashes_are_printed)
{
	char hash[256];

	after(expect(asking_in_swarm, "--seeds 1..30 --hashes", 0, "\n30 "), "\n17 ", hash);
	(void)expect(asking_in_swarm, "--replay 17 --quiet", 0, hash);
}

/* With a limit of time, and no other, there are as many runs as fit. */
WF_TEST(time_limit_ends_the_runs)
{
	char count[256];

	after(expect(asking_in_swarm, "--time-limit 1", 0, "0 failed"), "", count);
	ck_assert_int_gt(atoi(count), 10);
}

/* Mishaps are counted over all runs. */
WF_TEST(matrix_counts_mishaps)
{
	const char *text =
		expect(asking_in_swarm, "--seeds 1..100 --matrix", 0, "shutdown   ENOTCONN");
	char count[256];

	ck_assert_int_gt(atoi(after(text, "accept     EMFILE", count)), 0);
	ck_assert_ptr_nonnull(strstr(text, "mishaps were never met"));
}

/* A quiet scenario does well with each of its allocations failing. */
WF_TEST(allocations_may_fail)
{
	(void)expect(asking, "--allocations", 0, " allocations\n");
}

static int forget_on_failure(void *arg)
{
	struct weft_listener *listener, *second;
	int r = weft_listen("10.0.0.1:80", NULL, &listener);

	(void)arg;
	if (r < 0)
		return r;
	r = weft_listen("10.0.0.1:81", NULL, &second);
	if (r < 0)
		return r; /* without closing the first */
	weft_listener_close(second);
	weft_listener_close(listener);
	return 0;
}

/* A leak on the way out of a failed allocation is found, and the command replays it. */
WF_TEST(allocation_that_fails_shows_a_leak)
{
	char command[256];

	function = forget_on_failure;
	after(expect(lonely, "--allocations", 1, "leak: 1 descriptors"), "replay: program ",
	      command);
	ck_assert_ptr_nonnull(strstr(command, "--allocation "));
	strcat(command, " --quiet");
	(void)expect(lonely, command, 1, "leak: 1 descriptors");
}

static int try_twice(void *arg)
{
	struct weft_listener *listener;
	int r = weft_listen("10.0.0.1:80", NULL, &listener);

	(void)arg;
	if (r < 0)
		r = weft_listen("10.0.0.1:80", NULL, &listener);
	if (r < 0)
		return -EIO;
	weft_listener_close(listener);
	return 0;
}

/* Memory that does not come back is another thing than one allocation that fails. */
WF_TEST(allocations_fail_from_one_on)
{
	const char *text;

	function = try_twice;
	text = expect(lonely, "--allocations", 1, "\" returned EIO");
	ck_assert_ptr_nonnull(strstr(text, "--allocation 1..\n"));
	ck_assert_ptr_null(strstr(text, "--allocation 1\n"));
}

/* ---- The command line -------------------------------------------------------------------------- */

/* What is no command line is refused, with the option and the remedy. */
WF_TEST(bad_commands_are_refused)
{
	static const char *const commands[][2] = {
		{ "--seeds 5..1", "--seeds: wants a range like 1..1000" },
		{ "--seeds x", "--seeds: wants" },
		{ "--seeds 1...5", "--seeds: wants" },
		{ "--seeds 99999999999999999999", "--seeds: wants" },
		{ "--seeds -1", "--seeds: wants" },
		{ "--seeds=", "--seeds: wants" },
		{ "--seeds", "--seeds: wants" },
		{ "--jobs 0", "--jobs: wants a number from 1 to 256" },
		{ "--jobs 257", "--jobs: wants" },
		{ "--time-limit 0", "--time-limit: wants" },
		{ "--run-limit 1s", "--run-limit: wants" },
		{ "--replay", "--replay: wants the number of a seed" },
		{ "--replay 1..2", "--replay: wants" },
		{ "--replay 1 --stop-at 0", "--stop-at: wants" },
		{ "--replay 1 --allocation 0", "--allocation: wants" },
		{ "--replay 1 --allocation 5.", "--allocation: wants" },
		{ "--stop-at 5", "--stop-at: is not for a run of many seeds; give it with" },
		{ "--allocation 5", "give it with --replay SEED" },
		{ "--quiet --check-determinism", "--quiet: is not for --check-determinism" },
		{ "--replay 1 --seeds 1", "--seeds: is not for --replay; leave one of them away" },
		{ "--replay 1 --hashes", "--hashes: is not for --replay;" },
		{ "--replay 1 --matrix", "--matrix: is not for --replay;" },
		{ "--replay 1 --jobs 2", "--jobs: is not for --replay;" },
		{ "--replay 1 --run-limit 2", "--run-limit: is not for --replay;" },
		{ "--replay 1 --check-determinism --time-limit 2",
		  "--time-limit: is not for --replay with --check-determinism;" },
		{ "--replay 1 --check-determinism --stop-at 2", "--stop-at: is not for" },
		{ "--replay 1 --check-determinism --allocation 2", "--allocation: is not for" },
		{ "--replay 1 --shrink --quiet", "--quiet: is not for --replay with --shrink;" },
		{ "--replay 1 --shrink --check-determinism", "--check-determinism: is not for" },
		{ "--shrink --check-determinism", "--shrink: is not for --check-determinism;" },
		{ "--hashes --time-limit 5", "do not go together" },
		{ "--allocations --shrink", "--shrink: is not for --allocations;" },
		{ "--allocations --hashes", "--hashes: is not for --allocations;" },
		{ "--allocations --replay 1", "--allocations: is not for --replay;" },
		{ "--shrink=1", "--shrink: has no value" },
		{ "--nonsense", "--nonsense: is no option; see --help" },
		{ "--seed 1", "--seed: is no option" },
		{ "5", "5: is no option" },
	};

	function = succeed;
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		(void)expect(lonely, commands[i][0], 2, commands[i][1]);
}

/* Help names every option, and runs nothing. */
WF_TEST(help_is_given)
{
	const char *text;

	function = give_up;
	text = expect(lonely, "--help", 0, "usage: program");
	ck_assert_ptr_nonnull(strstr(text, "--check-determinism"));
	ck_assert_ptr_nonnull(strstr(text, "--stop-at STEP"));
}

/* A debugger is called at a step; without one the program ends. */
WF_TEST(step_is_stopped_at)
{
	const struct simulated *simulated = simulate(asking, "--replay 1 --stop-at 20 --quiet");

	ck_assert_int_eq(simulated->signal, SIGTRAP);
	ck_assert_ptr_nonnull(strstr(simulated->text, "task \"serve\""));
	ck_assert_ptr_nonnull(strstr(simulated->text, "weft:   host 1 is \"client\"\n"));
}

/* What a replay should have stopped at, or failed, and did not come to, is said at its end. */
WF_TEST(replay_tells_what_it_missed)
{
	(void)expect(asking, "--quiet --replay 1 --stop-at 10000000", 0,
		     "--stop-at 10000000 was not reached: the run has ");
	(void)expect(asking, "--quiet --replay 1 --allocation 10000000", 0,
		     "--allocation 10000000 was not reached: the run has ");
	function = wait_for_ever;
	(void)expect(lonely, "--quiet --replay 1 --stop-at 1000", 1, "was not reached");
}

/* Of an option that is given twice the last one counts, and nothing of the first. */
WF_TEST(last_option_counts)
{
	const char *text = expect(asking, "--seeds 1..5 --seeds 7", 0, "1 runs in ");

	ck_assert_ptr_eq(strstr(text, "1 runs in "), text);
	function = try_twice;
	(void)expect(lonely, "--quiet --replay 1 --allocation 1..", 1, "returned EIO");
	(void)expect(lonely, "--quiet --replay 1 --allocation 1.. --allocation 1", 0, "seed=1 ");
}

/* Where a trace of other processes has nothing to show, that is said. */
WF_TEST(trace_without_failure_is_told)
{
	function = succeed;
	(void)expect(lonely, "--seeds 1..5 --trace", 0, "no seed failed");
}

/* A replay shows what happens, and on which host. */
WF_TEST(replay_is_traced)
{
	(void)expect(asking, "--replay 1", 0, " client   connect fd ");
	(void)expect(asking, "--replay 1", 0, " server   accept fd ");
}

WF_MAIN("runtime/sim_main")
