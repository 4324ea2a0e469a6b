/* SPDX-License-Identifier: MIT */
/* The command line of programs of scenarios: weft_sim_main(3). */
#include "core/worker.h"
#include "runtime/jobs.h"
#include "runtime/report.h"
#include "runtime/shrink.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_FAILED = 1, EXIT_USAGE = 2, SEEDS_FOR_POINTS = 100, SECONDS_MAX = 86400 };

static const char usage[] =
	"usage: %s [option ...]\n"
	"  --seeds A..B         which seeds to run, or a single one; default 1..1000\n"
	"  --time-limit SECONDS begin no run after that time; without --seeds, run until then\n"
	"  --run-limit SECONDS  how long one run may take; default 60\n"
	"  --jobs N             how many processes at once; default one for each processor\n"
	"  --check-determinism  run each seed twice and compare; with --replay, that one\n"
	"  --allocations        fail each allocation of the first seed, alone and with all after it\n"
	"  --hashes             print the hash of each seed\n"
	"  --matrix             print how often each mishap was met\n"
	"  --shrink             find the few mishaps that make the first failing seed fail; with\n"
	"                       --replay, that one\n"
	"  --replay SEED        run one seed in this process, and show what happens\n"
	"    --quiet            but only the outcome\n"
	"    --stop-at STEP     list the tasks at that step and stop for a debugger\n"
	"    --allocation N     with the Nth allocation failing; N.. for all from that on\n"
	"  --trace              show what happened, with the first seed that fails\n"
	"  --help               this text\n";

/* What the command line asks for. Each has options of its own, which the table below lists. */
enum mode {
	SEEDS = 1 << 0,	      /* run many */
	SEEDS_TWICE = 1 << 1, /* and compare */
	ALLOCATIONS = 1 << 2,
	REPLAY = 1 << 3,
	REPLAY_TWICE = 1 << 4,
	REPLAY_SHRINK = 1 << 5,
};

struct command {
	const char *program;
	weft_sim_scenario *scenario;
	struct weft_point_ *first, *end;

	uint64_t first_seed, last_seed;
	uint64_t seconds, run_seconds, jobs, stop_at, allocation;
	bool and_all_after;
	uint32_t given; /* bits of the options, by place in their table */
	bool has_seeds, replays, checks, fails_allocations, hashes, matrix, shrinks, quiet, traces,
		helps;
};

/* ---- Reading the command line ---------------------------------------------------------------- */

static int complain(const struct command *command, const char *about, const char *remedy)
{
	(void)fprintf(stderr, "%s: %s: %s\n", command->program, about, remedy);
	return EXIT_USAGE;
}

/* Reads decimal digits; returns what follows them, or NULL if there is no number that fits. */
static const char *read_number(const char *text, uint64_t *ret_number)
{
	char *end;

	if (*text < '0' || *text > '9')
		return NULL;
	errno = 0;
	*ret_number = strtoull(text, &end, 10);
	return errno ? NULL : end;
}

static bool read_whole(const char *text, uint64_t min, uint64_t max, uint64_t *ret_number)
{
	const char *end = read_number(text, ret_number);

	return end && !*end && *ret_number >= min && *ret_number <= max;
}

static bool read_seeds(struct command *command, const char *text)
{
	const char *end = read_number(text, &command->first_seed);

	command->has_seeds = true;
	command->last_seed = command->first_seed;
	if (end && strncmp(end, "..", 2) == 0)
		end = read_number(end + 2, &command->last_seed);
	return end && !*end && command->last_seed >= command->first_seed &&
	       command->last_seed - command->first_seed < UINT32_MAX;
}

static bool read_replay(struct command *command, const char *text)
{
	command->replays = true;
	return read_whole(text, 0, UINT64_MAX, &command->first_seed);
}

static bool read_allocation(struct command *command, const char *text)
{
	const char *end = read_number(text, &command->allocation);

	command->and_all_after = false; /* the last one counts */
	if (end && strcmp(end, "..") == 0) {
		command->and_all_after = true;
		end += 2;
	}
	return end && !*end && command->allocation > 0;
}

static bool read_time_limit(struct command *command, const char *text)
{
	return read_whole(text, 1, UINT32_MAX, &command->seconds);
}

static bool read_run_limit(struct command *command, const char *text)
{
	return read_whole(text, 1, SECONDS_MAX, &command->run_seconds);
}

static bool read_jobs(struct command *command, const char *text)
{
	return read_whole(text, 1, WF_JOBS_MAX, &command->jobs);
}

static bool read_stop_at(struct command *command, const char *text)
{
	return read_whole(text, 1, UINT64_MAX, &command->stop_at);
}

enum {
	MANY = SEEDS | SEEDS_TWICE,
	IN_JOBS = MANY | ALLOCATIONS,
	ONE = REPLAY | REPLAY_TWICE | REPLAY_SHRINK,
	ALL = IN_JOBS | ONE,
};

/* An option has a value, which is read, or is a flag, which is set; and it is for some of the modes. */
static const struct option {
	const char *name;
	uint32_t modes;
	bool (*read)(struct command *command, const char *text);
	const char *wants; /* what is said of another value */
	size_t flag;	   /* where it is */
} options[] = {
	{ "--seeds", IN_JOBS, read_seeds, "wants a range like 1..1000, or a number", 0 },
	{ "--time-limit", IN_JOBS, read_time_limit, "wants a number of seconds, from 1", 0 },
	{ "--run-limit", ALL & ~REPLAY, read_run_limit,
	  "wants a number of seconds, from 1 to 86400", 0 },
	{ "--jobs", IN_JOBS, read_jobs, "wants a number from 1 to 256", 0 },
	{ "--replay", ONE, read_replay, "wants the number of a seed", 0 },
	{ "--stop-at", REPLAY, read_stop_at, "wants the number of a step, from 1", 0 },
	{ "--allocation", REPLAY, read_allocation,
	  "wants a number from 1, or one and two dots: 17..", 0 },
	{ "--check-determinism", SEEDS_TWICE | REPLAY_TWICE, NULL, NULL,
	  offsetof(struct command, checks) },
	{ "--allocations", ALLOCATIONS, NULL, NULL, offsetof(struct command, fails_allocations) },
	{ "--hashes", MANY, NULL, NULL, offsetof(struct command, hashes) },
	{ "--matrix", MANY, NULL, NULL, offsetof(struct command, matrix) },
	{ "--shrink", SEEDS | REPLAY_SHRINK, NULL, NULL, offsetof(struct command, shrinks) },
	{ "--quiet", REPLAY, NULL, NULL, offsetof(struct command, quiet) },
	{ "--trace", ALL & ~REPLAY_SHRINK, NULL, NULL, offsetof(struct command, traces) },
	{ "--help", ALL, NULL, NULL, offsetof(struct command, helps) },
};

enum { OPTIONS = sizeof options / sizeof *options };

_Static_assert(OPTIONS <= 32, "a bit for each");
_Static_assert(WF_JOBS_MAX == 256 && SECONDS_MAX == 86400, "as the texts have it");

static const struct option *find_option(const char *text, size_t length)
{
	for (size_t i = 0; i < OPTIONS; i++)
		if (strlen(options[i].name) == length &&
		    strncmp(options[i].name, text, length) == 0)
			return &options[i];
	return NULL;
}

/* Reads the option at the head of a list of arguments; the value may be in the same argument, behind a =,
 * or in the next. Returns how many arguments it took, or 0 after a complaint. */
static int read_option(struct command *command, char **arguments)
{
	size_t length = strcspn(arguments[0], "=");
	const struct option *option = find_option(arguments[0], length);
	bool is_joined = arguments[0][length] != 0;
	const char *value = is_joined ? arguments[0] + length + 1 : arguments[1];

	if (!option)
		return (void)complain(command, arguments[0], "is no option; see --help"), 0;
	command->given |= UINT32_C(1) << (option - options);
	if (option->read) {
		if (value && option->read(command, value))
			return is_joined ? 1 : 2;
		return (void)complain(command, option->name, option->wants), 0;
	}
	if (is_joined)
		return (void)complain(command, option->name, "has no value; leave the = away"), 0;
	*(bool *)((char *)command + option->flag) = true;
	return 1;
}

static enum mode mode_of(const struct command *command)
{
	if (command->replays)
		return command->shrinks ? REPLAY_SHRINK : command->checks ? REPLAY_TWICE : REPLAY;
	if (command->fails_allocations)
		return ALLOCATIONS;
	return command->checks ? SEEDS_TWICE : SEEDS;
}

/* The options that have chosen it. */
static const char *mode_name(enum mode mode)
{
	switch (mode) {
	case SEEDS:
		return "a run of many seeds";
	case SEEDS_TWICE:
		return "--check-determinism";
	case ALLOCATIONS:
		return "--allocations";
	case REPLAY:
		return "--replay";
	case REPLAY_TWICE:
		return "--replay with --check-determinism";
	case REPLAY_SHRINK:
		return "--replay with --shrink";
	}
	return "";
}

/* What does not go together. 0, or the exit status. */
static int check_command(const struct command *command)
{
	enum mode mode = mode_of(command);
	char remedy[128];

	for (uint32_t i = 0; i < OPTIONS; i++) {
		if (!(command->given >> i & 1) || options[i].modes & mode)
			continue;
		(void)snprintf(remedy, sizeof remedy, "is not for %s; %s", mode_name(mode),
			       options[i].modes == REPLAY ? "give it with --replay SEED" :
							    "leave one of them away");
		return complain(command, options[i].name, remedy);
	}
	if (command->hashes && command->seconds)
		return complain(command, "--hashes and --time-limit",
				"do not go together; limit the seeds by --seeds");
	return 0;
}

/* 0, or the exit status. */
static int read_command(struct command *command, int argc, char **argv)
{
	int taken;

	for (int i = 1; i < argc; i += taken) {
		taken = read_option(command, argv + i);
		if (taken == 0)
			return EXIT_USAGE;
	}
	return command->helps ? 0 : check_command(command);
}

/* ---- Running --------------------------------------------------------------------------------- */

static const struct command *command_of(const struct wf_batch *batch)
{
	return batch->user;
}

static void make_seed(const struct wf_batch *batch, uint64_t number, struct wf_case *ret_case)
{
	const struct command *command = command_of(batch);

	ret_case->scenario = command->scenario;
	ret_case->seed = command->first_seed + number;
	ret_case->traces = command->traces;
}

/* Each allocation twice: alone, and with all that come after it. */
static void make_allocation(const struct wf_batch *batch, uint64_t number, struct wf_case *ret_case)
{
	make_seed(batch, 0, ret_case);
	ret_case->allocation = number / 2 + 1;
	ret_case->and_all_after = number % 2 == 1;
}

static struct wf_batch batch_of(const struct command *command)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	bool is_open = command->seconds && !command->has_seeds;

	return (struct wf_batch){
		.jobs = command->jobs		 ? (uint32_t)command->jobs :
			processors < 1		 ? 1 :
			processors > WF_JOBS_MAX ? WF_JOBS_MAX :
						   (uint32_t)processors,
		.count = is_open ? UINT64_MAX : command->last_seed - command->first_seed + 1,
		.seconds = command->seconds,
		.run_seconds = (uint32_t)command->run_seconds,
		.runs_twice = command->checks,
		.keeps_hashes = command->hashes,
		.shows_progress = isatty(STDERR_FILENO) == 1,
		.make = make_seed,
		.user = command,
		.points = command->first,
		.point_count = (size_t)(command->end - command->first),
	};
}

static int run_batch(const struct command *command, const struct wf_batch *batch,
		     struct wf_findings *ret_findings)
{
	int r = wf_batch_run(batch, ret_findings);

	if (r < 0)
		(void)fprintf(stderr, "%s: cannot run: %s\n", command->program, weft_strerror(r));
	return r;
}

/* A failure that needs the runs before it is none of its seed. */
static void try_alone(const struct command *command, const struct wf_failed *failed)
{
	struct wf_case what = { 0 };
	static struct wf_failed again;
	struct wf_batch batch = batch_of(command);

	if (failed->outcome.failure == WF_FAILURE_DETERMINISM ||
	    failed->outcome.failure == WF_FAILURE_HANG)
		return;
	make_seed(&batch, failed->number, &what);
	if (wf_batch_try(&what, batch.run_seconds, &again, NULL) == 0 &&
	    again.outcome.failure != failed->outcome.failure)
		printf("seed=%" PRIu64
		       " does not fail so when it runs alone: the runs before it have left "
		       "something behind, in static variables perhaps, which the scenario must set\n",
		       failed->outcome.seed);
}

static int run_seeds(const struct command *command)
{
	struct wf_batch batch = batch_of(command);
	static struct wf_findings findings;
	uint64_t never = 0;

	if (run_batch(command, &batch, &findings) < 0)
		return EXIT_FAILED;
	for (uint64_t i = 0; findings.hashes && i < batch.count; i++)
		printf("%" PRIu64 " %016" PRIx64 "\n", command->first_seed + i, findings.hashes[i]);
	free(findings.hashes);
	if (command->matrix)
		wf_report_matrix(&findings);
	wf_report_findings(command->program, &findings);
	if (findings.failures > 0) {
		try_alone(command, &findings.failed[0]);
		if (command->shrinks)
			(void)wf_shrink(command->scenario, findings.failed[0].outcome.seed,
					batch.run_seconds);
	}
	if (command->traces && findings.failures == 0)
		printf("no seed failed, so there is no trace to show; --replay SEED shows that of "
		       "one\n");
	if (findings.runs >= SEEDS_FOR_POINTS)
		never = wf_report_points(command->first, command->end);
	return findings.failures || never ? EXIT_FAILED : 0;
}

static int run_allocations(const struct command *command)
{
	struct wf_batch batch = batch_of(command);
	static struct wf_findings findings;

	batch.count = 1;
	if (run_batch(command, &batch, &findings) < 0)
		return EXIT_FAILED;
	if (findings.failures == 0) {
		printf("%" PRIu64 " allocations\n", findings.allocations);
		batch.count = 2 * findings.allocations;
		batch.make = make_allocation;
		if (run_batch(command, &batch, &findings) < 0)
			return EXIT_FAILED;
	}
	wf_report_findings(command->program, &findings);
	return findings.failures ? EXIT_FAILED : 0;
}

/* What was asked for and did not come about. */
static void report_missed(const struct command *command, const struct weft_sim *sim)
{
	uint64_t steps = sim->world->steps;
	uint64_t allocations = sim->world->faults.all[WF_SIM_ALLOCATE];

	if (steps < command->stop_at)
		printf("--stop-at %" PRIu64 " was not reached: the run has %" PRIu64 " steps\n",
		       command->stop_at, steps);
	if (allocations < command->allocation)
		printf("--allocation %" PRIu64 " was not reached: the run has %" PRIu64
		       " allocations\n",
		       command->allocation, allocations);
}

static void end_replay(void *user, const struct weft_sim *sim, const struct wf_outcome *outcome)
{
	const struct command *command = user;

	wf_report_outcome(command->program, outcome);
	report_missed(command, sim);
	if (outcome->failure == WF_FAILURE_NONE)
		return;
	(void)fflush(NULL); /* nobody is left to tell */
	_exit(EXIT_FAILED);
}

static int replay(struct command *command)
{
	struct wf_case what = {
		.scenario = command->scenario,
		.seed = command->first_seed,
		.allocation = command->allocation,
		.and_all_after = command->and_all_after,
		.stop_at = command->stop_at,
		.traces = !command->quiet || command->traces,
		.ended = end_replay,
		.user = command,
	};
	struct wf_outcome outcome;

	wf_trial(&what, &outcome);
	return 0;
}

static int run_command(struct command *command)
{
	if (command->replays)
		command->last_seed = command->first_seed;
	switch (mode_of(command)) {
	case SEEDS:
	case SEEDS_TWICE:
	case REPLAY_TWICE:
		return run_seeds(command);
	case ALLOCATIONS:
		return run_allocations(command);
	case REPLAY:
		return replay(command);
	case REPLAY_SHRINK:
		return wf_shrink(command->scenario, command->first_seed,
				 (uint32_t)command->run_seconds);
	}
	return EXIT_USAGE;
}

int weft_sim_main_(int argc, char **argv, weft_sim_scenario *scenario, struct weft_point_ *first,
		   struct weft_point_ *end)
{
	struct command command = { .program = argc > 0 ? argv[0] : "simulation",
				   .scenario = scenario,
				   .first = first,
				   .end = end,
				   .first_seed = 1,
				   .last_seed = 1000,
				   .run_seconds = 60 };
	int r = read_command(&command, argc, argv);

	if (wf_worker)
		return complain(&command, "weft_sim_main",
				"was called inside weft_run; call it outside");
	if (r == 0 && command.helps) {
		printf(usage, command.program);
		return 0;
	}
	if (r > 0)
		return r;
	weft_simulating_ = true;
	r = run_command(&command);
	weft_simulating_ = false;
	return r;
}
