/* SPDX-License-Identifier: MIT */
/* Failures of each kind are found, replayed, and shrunk. */
#include "core/worker.h"
#include "runtime/simulation.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>

/* What a test wants of its scenario. */
static weft_function *function;

static int succeed(void *arg)
{
	(void)arg;
	return 0;
}

/* One host, which runs `function`. */
static void lonely(struct weft_sim *sim)
{
	weft_sim_host(sim, "lonely", "10.0.0.1", function, sim);
}

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

static int give_up(void *arg)
{
	(void)arg;
	return -ECONNRESET;
}

/* A program that returns an error fails the run, which names the host. */
WF_TEST(failing_program_is_found)
{
	function = give_up;
	(void)expect(lonely, "--seeds 1", 1,
		     "host: the program of host \"lonely\" returned ECONNRESET");
}

static struct weft_event never;

static int wait_for_ever(void *arg)
{
	(void)arg;
	return weft_event_wait(&never);
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
	(void)expect(lonely, "--seeds 1", 1,
		     "crash: task \"function\" (spawned at tests/runtime/sim.c");
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
	char *object = malloc(40);

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

/* ---- Shrinking ------------------------------------------------------------------------------- */

static int serve_one(struct weft_conn *conn, void *arg)
{
	char bytes[64];
	ssize_t n;

	(void)arg;
	while ((n = weft_read(conn, bytes, sizeof bytes)) > 0)
		if (weft_write(conn, bytes, (size_t)n, NULL) < 0)
			break;
	return 0;
}

static int serve(void *arg)
{
	int r;

	while ((r = weft_serve("10.0.0.1:80", serve_one, arg, NULL)) < 0 && r != -ECANCELED)
		if (weft_sleep(WEFT_SECOND) < 0)
			break;
	return 0;
}

static bool promises, was_refused, was_reset;

static void ask(void)
{
	struct weft_conn *conn;
	char bytes[4];
	int r = weft_dial("10.0.0.1:80", &conn);

	was_refused |= r == -ECONNREFUSED;
	if (r < 0)
		return;
	for (int i = 0; i < 5 && r >= 0; i++) {
		r = (int)weft_write(conn, "ping", 4, NULL);
		if (r >= 0)
			r = (int)weft_read_full(conn, bytes, 4, NULL);
		was_reset |= r == -EHOSTUNREACH;
	}
	weft_close(conn);
	weft_always(!(promises && was_refused && was_reset), "one mishap is enough");
}

static int ask_often(void *arg)
{
	(void)arg;
	for (int i = 0; i < 60; i++) {
		WEFT_DEADLINE(weft_after(10 * WEFT_SECOND))
			ask();
		if (weft_sleep(WEFT_SECOND) < 0)
			break;
	}
	return 0;
}

static void asking(struct weft_sim *sim)
{
	promises = was_refused = was_reset = false;
	weft_sim_host(sim, "server", "10.0.0.1", serve, NULL);
	weft_sim_host(sim, "client", "10.0.0.2", ask_often, NULL);
	weft_sim_run_for(sim, 60 * WEFT_SECOND, 600 * WEFT_SECOND);
}

static void asking_in_swarm(struct weft_sim *sim)
{
	asking(sim);
	weft_sim_swarm(sim);
}

/* Which has a bug that two mishaps together bring out. */
static void promising(struct weft_sim *sim)
{
	asking_in_swarm(sim);
	promises = true;
}

/* Shrinks the failing seeds that are reported, to so many mishaps or fewer; returns from how many at
 * most. */
static int shrink_all(weft_sim_scenario *scenario, const char *seeds, int fewest)
{
	char report[65536], command[300], count[256];
	int most = 0;

	strcpy(report, expect(scenario, seeds, 1, "always: "));
	for (const char *line = report; (line = strstr(line, "seed=")); line++) {
		const char *text;

		snprintf(command, sizeof command, "--shrink --replay %d", atoi(line + 5));
		text = expect(scenario, command, 1, "weft_sim_strategy(sim, WEFT_SIM_");
		ck_assert_int_le(atoi(text), fewest);
		ck_assert_ptr_nonnull(strstr(text, "\tweft_sim_fail_nth(sim, "));
		after(text, " of ", count);
		most = atoi(count) > most ? atoi(count) : most;
	}
	return most;
}

/* Of dozens of mishaps the two that a failure needs are found. */
WF_TEST(failure_shrinks_to_what_it_needs)
{
	ck_assert_int_ge(shrink_all(promising, "--seeds 1..1000", 3), 24);
}

static int crash_of_reset(void *arg)
{
	int r = ask_often(arg);

	if (was_reset)
		(void)raise(SIGKILL);
	return r;
}

static void crashing(struct weft_sim *sim)
{
	was_reset = false;
	weft_sim_host(sim, "server", "10.0.0.1", serve, NULL);
	weft_sim_host(sim, "client", "10.0.0.2", crash_of_reset, NULL);
	weft_sim_swarm(sim);
	weft_sim_run_for(sim, 60 * WEFT_SECOND, 600 * WEFT_SECOND);
}

/* What went wrong before a crash is known, too: here it takes one mishap. */
WF_TEST(crash_shrinks)
{
	const char *text = expect(crashing, "--seeds 1..200 --shrink", 1, "crash: signal 9");

	ck_assert_ptr_nonnull(strstr(text, "\n1 of "));
	ck_assert_ptr_nonnull(strstr(text, "-EHOSTUNREACH);"));
}

static int listen_often(void *arg)
{
	struct weft_listener *listeners[20];
	int failures = 0, successes = 0;

	(void)arg;
	for (int i = 0; i < 20; i++) {
		int r = weft_listen("10.0.0.1:0", NULL, &listeners[successes]);

		weft_always(r == 0 || successes != 3 || failures == 0, "not after three");
		failures += r < 0;
		successes += r == 0;
	}
	for (int i = 0; i < successes; i++)
		weft_listener_close(listeners[i]);
	return 0;
}

static void lonely_in_swarm(struct weft_sim *sim)
{
	lonely(sim);
	weft_sim_swarm(sim);
}

/* A mishap that is not needed is left out, though another one must then hit an earlier operation. */
WF_TEST(mishaps_are_moved)
{
	function = listen_often;
	ck_assert_int_ge(shrink_all(lonely_in_swarm, "--seeds 2001..4000", 2), 3);
}

/* What a run fails of by itself needs no mishap. */
WF_TEST(failure_without_mishaps_shrinks_to_none)
{
	function = give_up;
	(void)expect(lonely, "--replay 5 --shrink", 1, "0 of 0 mishaps make seed 5 fail");
}

/* A seed that does not fail is not shrunk. */
WF_TEST(sound_seed_is_not_shrunk)
{
	function = succeed;
	(void)expect(lonely, "--replay 5 --shrink", 0, "seed 5 does not fail");
}

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
		{ "--stop-at 5", "are for --replay" },
		{ "--replay 1 --seeds 1", "take one" },
		{ "--hashes --time-limit 5", "do not go together" },
		{ "--allocations --shrink", "--allocations: runs the first" },
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
}

/* A replay shows what happens. */
WF_TEST(replay_is_traced)
{
	(void)expect(asking, "--replay 1", 0, "connect");
}

WF_MAIN("runtime/sim")
