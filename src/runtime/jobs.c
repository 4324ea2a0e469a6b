/* SPDX-License-Identifier: MIT */
#include "runtime/jobs.h"

#include "base/assert.h"
#include "runtime/guard.h"
#include "runtime/process.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { POLL_NS = 2 * 1000 * 1000 };

/* A run that a job is at, or that ended it. */
struct slot {
	struct wf_outcome outcome;
	uint64_t number;
	bool is_busy;
};

/* What jobs and parent share. */
struct board {
	atomic_uint_fast64_t next; /* number of the next case */
	atomic_uint_fast64_t end;  /* the number that ends it */
	atomic_uint_fast64_t runs, steps, hash, time_ns, allocations;
	atomic_uint_fast64_t hits[WF_MENU_LINES_MAX];
	struct slot slots[WF_JOBS_MAX];
	/* Twice as many as there are points, reached and held; then the hashes, if kept. */
	atomic_uint_fast64_t counts[];
};

/* The parent's view. */
struct job {
	pid_t pid; /* 0: none */
	int output;
};

struct crew {
	const struct wf_batch *batch;
	struct board *board;
	size_t board_bytes;
	struct wf_hashes *hashes; /* a job's own */
	struct job jobs[WF_JOBS_MAX];
	struct wf_findings *findings;
	struct timespec begun;
};

static double seconds_since(const struct timespec *begun)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail */
	return (double)(now.tv_sec - begun->tv_sec) + (double)(now.tv_nsec - begun->tv_nsec) / 1e9;
}

static void *share(size_t bytes)
{
	void *shared = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return shared == MAP_FAILED ? NULL : shared;
}

/* ---- In the job ------------------------------------------------------------------------------ */

static uint64_t mix(uint64_t number, uint64_t hash)
{
	uint64_t mixed = (number ^ hash) * 0x9e3779b97f4a7c15;

	return mixed ^ mixed >> 31;
}

static void count_points(const struct wf_batch *batch, struct board *board)
{
	for (size_t i = 0; i < batch->point_count; i++) {
		struct weft_point_ *point = &batch->points[i];

		if (point->reached == 0)
			continue;
		atomic_fetch_add(&board->counts[2 * i], point->reached);
		atomic_fetch_add(&board->counts[2 * i + 1], point->held);
		point->reached = point->held = 0;
	}
}

static void count_hits(const struct weft_sim *sim, struct board *board)
{
	const struct wf_sim_faults *faults = &sim->world->faults;

	for (uint32_t i = 0; i < faults->record_count; i++)
		for (uint32_t line = 0; line < wf_sim_menu_lines; line++)
			if (wf_sim_menu[line].op == faults->record[i].op &&
			    wf_sim_menu[line].error == faults->record[i].error)
				atomic_fetch_add(&board->hits[line], 1);
}

static void count_run(const struct crew *crew, const struct slot *slot)
{
	const struct wf_outcome *outcome = &slot->outcome;
	struct board *board = crew->board;

	atomic_fetch_add(&board->hash, mix(slot->number, outcome->hash));
	if (crew->batch->keeps_hashes)
		atomic_store(&board->counts[2 * crew->batch->point_count + slot->number],
			     outcome->hash);
	if (slot->number == 0)
		atomic_store(&board->allocations, outcome->allocations);
}

/* A second run of the seed brings nothing new. */
static void ended(void *user, const struct weft_sim *sim, const struct wf_outcome *outcome)
{
	struct crew *crew = user;
	struct board *board = crew->board;

	count_points(crew->batch, board);
	if (sim->what->compares)
		return;
	count_hits(sim, board);
	atomic_fetch_add(&board->steps, outcome->steps);
	atomic_fetch_add(&board->time_ns, (uint64_t)outcome->time);
}

/*
 * Two runs in one process would find the same addresses for the same things, and what takes an address for
 * chance would not show. So the second run finds the memory of the first one taken: the blocks at the head
 * of the C library's free lists, and a page of the first stack.
 */
enum { PLACES = 64, BLOCKS = 16, PLACE_BYTES = 16 };

static void take_places(void *places[PLACES][BLOCKS])
{
	for (size_t i = 0; i < PLACES; i++)
		for (size_t j = 0; j < BLOCKS; j++)
			places[i][j] = malloc((i + 1) * PLACE_BYTES); /* if there is none, none */
}

static void give_places(void *places[PLACES][BLOCKS])
{
	for (size_t i = 0; i < PLACES; i++)
		for (size_t j = 0; j < BLOCKS; j++)
			free(places[i][j]);
}

static void run_again(struct wf_case *what, struct wf_outcome *outcome)
{
	static void *places[PLACES][BLOCKS];
	size_t page_bytes = wf_page_bytes();
	char *page = (char *)(uintptr_t)outcome->stack;

	page = mmap(page - (uintptr_t)page % page_bytes, page_bytes, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	take_places(places);
	what->compares = true;
	wf_trial(what, outcome);
	give_places(places);
	if (page != MAP_FAILED)
		(void)munmap(page, page_bytes); /* a whole mapping: cannot fail */
}

static void run_case(struct crew *crew, struct slot *slot)
{
	struct wf_case what = { 0 };

	crew->batch->make(crew->batch, slot->number, &what);
	what.ended = ended;
	what.user = crew;
	slot->outcome = (struct wf_outcome){ .seed = what.seed };
	slot->is_busy = true;
	wf_process_clear_output();
	atomic_fetch_add(&crew->board->runs, 1);
	(void)alarm(crew->batch->run_seconds);
	what.hashes = crew->hashes;
	wf_trial(&what, &slot->outcome);
	if (crew->hashes)
		run_again(&what, &slot->outcome);
	count_run(crew, slot);
	slot->is_busy = false;
}

/* What the parent knows of the points is not for the job to count. */
static void forget_points(const struct wf_batch *batch)
{
	for (size_t i = 0; i < batch->point_count; i++)
		batch->points[i].reached = batch->points[i].held = 0;
}

_Noreturn static void work(struct crew *crew, struct slot *slot)
{
	struct board *board = crew->board;

	forget_points(crew->batch);
	if (crew->batch->runs_twice) {
		crew->hashes = malloc(sizeof *crew->hashes);
		if (!crew->hashes)
			wf_panic("the simulator has no memory");
	}
	for (;;) {
		slot->number = atomic_fetch_add(&board->next, 1);
		if (slot->number >= atomic_load(&board->end))
			break;
		run_case(crew, slot);
	}
	(void)fflush(NULL); /* to a file that nobody reads any more */
	_exit(0);
}

/* ---- In the parent --------------------------------------------------------------------------- */

static int start_job(struct crew *crew, uint32_t number)
{
	struct job *job = &crew->jobs[number];
	pid_t pid;

	if (!job->output) {
		int output = wf_process_output();

		if (output < 0)
			return output;
		job->output = output;
	}
	pid = wf_process_fork(job->output);
	if (pid < 0)
		return -errno;
	if (pid == 0)
		work(crew, &crew->board->slots[number]);
	job->pid = pid;
	return 0;
}

/* Keeps the failures of the lowest seeds. */
static void keep(struct wf_findings *findings, const struct wf_failed *failed)
{
	uint64_t place =
		findings->failures < WF_FAILURES_KEPT ? findings->failures : WF_FAILURES_KEPT;

	findings->failures++;
	while (place > 0 && findings->failed[place - 1].number > failed->number) {
		if (place < WF_FAILURES_KEPT)
			findings->failed[place] = findings->failed[place - 1];
		place--;
	}
	if (place < WF_FAILURES_KEPT)
		findings->failed[place] = *failed;
}

/* A job has ended: with all work done, or in the middle of a run. */
static int take_end(struct crew *crew, uint32_t number, int status)
{
	struct slot *slot = &crew->board->slots[number];
	static struct wf_failed failed;

	crew->jobs[number].pid = 0;
	if (!slot->is_busy)
		return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -ECHILD;
	slot->is_busy = false;
	failed.outcome = slot->outcome;
	failed.number = slot->number;
	wf_process_read(crew->jobs[number].output, failed.output);
	wf_process_judge(&failed, status);
	keep(crew->findings, &failed);
	return start_job(crew, number);
}

static int look_after(struct crew *crew, uint32_t *ret_alive)
{
	*ret_alive = 0;
	for (uint32_t i = 0; i < crew->batch->jobs; i++) {
		int status, r = 0;

		if (crew->jobs[i].pid == 0)
			continue;
		if (waitpid(crew->jobs[i].pid, &status, WNOHANG) == crew->jobs[i].pid)
			r = take_end(crew, i, status);
		if (r < 0)
			return r;
		*ret_alive += crew->jobs[i].pid != 0;
	}
	return 0;
}

static void show_progress(const struct crew *crew)
{
	const struct board *board = crew->board;
	double seconds = seconds_since(&crew->begun);
	uint64_t runs = atomic_load(&board->runs);

	(void)fprintf(stderr, "\r%llu runs, %.0f a second, %llu failed ", (unsigned long long)runs,
		      (double)runs / (seconds > 0 ? seconds : 1),
		      (unsigned long long)crew->findings->failures);
}

static int look_after_all(struct crew *crew)
{
	const struct wf_batch *batch = crew->batch;
	const struct timespec pause = { 0, POLL_NS };
	uint32_t alive = 0;
	int r = 0;

	for (uint32_t i = 0; i < batch->jobs && r == 0; i++)
		r = start_job(crew, i);
	for (uint64_t turn = 0; r == 0; turn++) {
		r = look_after(crew, &alive);
		if (alive == 0)
			break;
		if (batch->seconds && seconds_since(&crew->begun) >= (double)batch->seconds)
			atomic_store(&crew->board->end, 0);
		if (batch->shows_progress && turn % 100 == 99)
			show_progress(crew);
		(void)nanosleep(&pause, NULL); /* ends early at worst */
	}
	if (batch->shows_progress)
		(void)fprintf(stderr, "\r%60s\r", "");
	return r;
}

/* Ends what is left of the crew. */
static void dismiss(struct crew *crew)
{
	for (uint32_t i = 0; i < crew->batch->jobs; i++) {
		if (crew->jobs[i].pid > 0) {
			(void)kill(crew->jobs[i].pid, SIGKILL); /* it is ours, and not reaped */
			(void)waitpid(crew->jobs[i].pid, NULL, 0);
		}
		if (crew->jobs[i].output)
			(void)close(crew->jobs[i].output); /* in memory */
	}
}

static int copy_hashes(const struct crew *crew, const atomic_uint_fast64_t *hashes)
{
	struct wf_findings *findings = crew->findings;

	if (!crew->batch->keeps_hashes)
		return 0;
	findings->hashes = calloc(crew->batch->count, sizeof *findings->hashes);
	if (!findings->hashes)
		return -ENOMEM;
	for (uint64_t i = 0; i < crew->batch->count; i++)
		findings->hashes[i] = atomic_load(&hashes[i]);
	return 0;
}

static int collect(const struct crew *crew)
{
	struct wf_findings *findings = crew->findings;
	const struct wf_batch *batch = crew->batch;
	struct board *board = crew->board;

	findings->runs = atomic_load(&board->runs);
	findings->steps = atomic_load(&board->steps);
	findings->hash = atomic_load(&board->hash);
	findings->time_ns = atomic_load(&board->time_ns);
	findings->allocations = atomic_load(&board->allocations);
	findings->seconds = seconds_since(&crew->begun);
	for (uint32_t i = 0; i < wf_sim_menu_lines; i++)
		findings->hits[i] = atomic_load(&board->hits[i]);
	for (size_t i = 0; i < batch->point_count; i++) {
		batch->points[i].reached = atomic_load(&board->counts[2 * i]);
		batch->points[i].held = atomic_load(&board->counts[2 * i + 1]);
	}
	return copy_hashes(crew, &board->counts[2 * batch->point_count]);
}

int wf_batch_run(const struct wf_batch *batch, struct wf_findings *ret_findings)
{
	struct crew *crew = calloc(1, sizeof *crew);
	uint64_t counts = 2 * batch->point_count + (batch->keeps_hashes ? batch->count : 0);
	int r = -ENOMEM;

	*ret_findings = (struct wf_findings){ 0 };
	if (!crew)
		return r;
	crew->batch = batch;
	crew->findings = ret_findings;
	crew->board_bytes = sizeof *crew->board + counts * sizeof *crew->board->counts;
	(void)clock_gettime(CLOCK_MONOTONIC, &crew->begun); /* cannot fail */
	crew->board = share(crew->board_bytes);
	if (crew->board) {
		atomic_store(&crew->board->end, batch->count);
		r = look_after_all(crew);
		dismiss(crew);
		if (r == 0)
			r = collect(crew);
		(void)munmap(crew->board, crew->board_bytes); /* a whole mapping: cannot fail */
	}
	free(crew);
	return r;
}

/* ---- One run --------------------------------------------------------------------------------- */

struct single {
	struct wf_outcome outcome;
	bool is_done; /* well */
	struct wf_record record;
};

_Noreturn static void work_once(struct single *single, const struct wf_case *what, uint32_t seconds)
{
	struct wf_case recorded = *what;

	recorded.record = &single->record;
	single->outcome = (struct wf_outcome){ .seed = what->seed };
	(void)alarm(seconds);
	wf_trial(&recorded, &single->outcome);
	single->is_done = true;
	_exit(0);
}

static int try_once(struct single *single, int output, const struct wf_case *what, uint32_t seconds,
		    struct wf_failed *ret_failed)
{
	pid_t pid = wf_process_fork(output);
	int status;

	if (pid < 0)
		return -errno;
	if (pid == 0)
		work_once(single, what, seconds);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	ret_failed->outcome = single->outcome;
	wf_process_read(output, ret_failed->output);
	if (!single->is_done)
		wf_process_judge(ret_failed, status);
	return 0;
}

static void add_record(struct wf_mishaps *mishaps, const struct wf_record *record)
{
	for (uint32_t i = 0; i < record->cut_count; i++)
		wf_mishaps_add(mishaps, &record->cuts[i]);
	for (const struct wf_sim_fault *fault = record->faults; fault->count > 0; fault++)
		wf_mishaps_add(mishaps,
			       &(struct wf_mishap){ .kind = WF_MISHAP_FAULT, .fault = *fault });
}

int wf_batch_try(const struct wf_case *what, uint32_t seconds, struct wf_failed *ret_failed,
		 struct wf_mishaps *ret_record)
{
	struct single *single = share(sizeof *single);
	int output, r;

	if (!single)
		return -ENOMEM;
	output = r = wf_process_output();
	if (r >= 0) {
		r = try_once(single, output, what, seconds, ret_failed);
		(void)close(output); /* in memory */
	}
	if (ret_record)
		add_record(ret_record, &single->record);
	(void)munmap(single, sizeof *single); /* a whole mapping: cannot fail */
	return r;
}
