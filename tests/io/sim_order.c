/* SPDX-License-Identifier: MIT */
/* Who runs next in a simulation, by each strategy. */
#include "io/world.h"

#include <weft/task.h>

enum { SEEDS = 600, TURNS = 5 };

static char order[64];
static size_t noted;
static weft_time run_ns; /* how long each run of a task takes */

static void note(char letter)
{
	order[noted++] = letter;
	poller->ops->advance(poller, run_ns);
}

static int note_turns(void *letter)
{
	for (int i = 0; i < TURNS; i++) {
		note(*(char *)letter);
		wf_assert_result(weft_yield(), 0);
	}
	return 0;
}

/* The tasks a, b and c take their turns; in `order` is who did when. */
static void run_three(enum wf_sim_strategy strategy, uint64_t seed)
{
	static char letters[] = "abc";
	struct weft_scope scope;

	world->strategy = strategy;
	world->seed = seed;
	memset(order, 0, sizeof order);
	noted = 0;
	weft_scope_open(&scope);
	for (int i = 0; i < 3; i++)
		spawn(&scope, note_turns, &letters[i]);
	wf_assert_result(weft_scope_close(&scope), 0);
}

/* Moves each run of equal letters together into one. */
static void squeeze(void)
{
	size_t kept = 0;

	for (size_t i = 0; order[i]; i++)
		if (i == 0 || order[i] != order[i - 1])
			order[kept++] = order[i];
	order[kept] = 0;
}

/* Has the task that runs at the count-th step from now fall behind it. */
static void change_after(uint64_t count)
{
	memset(world->fallen, 0, sizeof world->fallen);
	world->changes = 1;
	world->change_at[0] = world->steps + count;
}

/* First come, first served. */
SIM_TEST(in_line)
{
	run_three(WF_SIM_FIFO, 1);
	ck_assert_str_eq(order, "abcabcabcabcabc");
}

/* At random nobody runs for long, and each is first as often as the others. */
SIM_TEST(at_random)
{
	int first[3] = { 0 }, longest = 0;

	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		run_three(WF_SIM_RANDOM, seed);
		first[order[0] - 'a']++;
		squeeze();
		longest += strlen(order) == 3;
	}
	ck_assert_int_lt(longest, SEEDS / 20);
	for (int i = 0; i < 3; i++)
		ck_assert_int_gt(first[i], SEEDS / 5);
}

/* By priorities one task runs as long as it can, then another one; each order comes as often. */
SIM_TEST(by_priority)
{
	static const char *const orders[] = { "abc", "acb", "bac", "bca", "cab", "cba" };
	int count[6] = { 0 };

	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		run_three(WF_SIM_PCT, seed);
		squeeze();
		for (int i = 0; i < 6; i++)
			count[i] += strcmp(order, orders[i]) == 0;
	}
	for (int i = 0; i < 6; i++) {
		ck_assert_int_gt(count[i], SEEDS / 10);
		ck_assert_int_lt(count[i], SEEDS / 4);
	}
}

/* At a change the task that has run falls behind all others. */
SIM_TEST(changes)
{
	for (uint64_t seed = 0; seed < 50; seed++) {
		char expected[] = "xyzx";

		change_after(3);
		run_three(WF_SIM_PCT, seed);
		ck_assert_int_eq(order[2], order[0]);
		ck_assert_int_ne(order[3], order[0]);
		squeeze();
		memcpy(expected, order, 3);
		expected[3] = order[0];
		ck_assert_str_eq(order, expected);
	}
}

/* It does so where the engine was looked at between the two runs, too. */
SIM_TEST(changes_between_turns)
{
	run_ns = WEFT_MILLISECOND;
	change_after(3);
	run_three(WF_SIM_PCT, 1);
	ck_assert_int_eq(order[2], order[0]);
	ck_assert_int_ne(order[3], order[0]);
}

static uint64_t born[2];

static int note_birth(void *number)
{
	born[*(int *)number] = wf_task_id(wf_task_self());
	for (int i = 0; i < 2; i++) {
		note((char)('0' + *(int *)number));
		wf_assert_result(weft_yield(), 0);
	}
	return 0;
}

/* A task that has the control block of a fallen one has a priority of its own. */
SIM_TEST(falls_end_with_the_task)
{
	static int numbers[] = { 0, 1 };
	int first[2] = { 0 };

	world->strategy = WF_SIM_PCT;
	for (world->seed = 0; world->seed < 50; world->seed++) {
		struct weft_scope scope;
		uint64_t fallen;

		weft_scope_open(&scope);
		change_after(3);
		spawn(&scope, note_birth, &numbers[0]);
		sleep_ms(1); /* so it has the next three steps */
		fallen = born[0];
		ck_assert_uint_eq(world->fallen[0], fallen);
		memset(order, 0, sizeof order);
		noted = 0;
		spawn(&scope, note_birth, &numbers[0]);
		spawn(&scope, note_birth, &numbers[1]);
		wf_assert_result(weft_scope_close(&scope), 0);
		ck_assert_uint_eq(born[0], fallen);
		squeeze();
		ck_assert_uint_eq(strlen(order), 2);
		first[order[0] - '0']++;
	}
	ck_assert_int_gt(first[0], 10);
	ck_assert_int_gt(first[1], 10);
}

static int do_nothing(void *arg)
{
	return arg ? 1 : 0;
}

static uint64_t newest_id(void)
{
	struct weft_scope scope;
	uint64_t newest = 0;

	weft_scope_open(&scope);
	for (int i = 0; i < 8 * WF_CHUNK_TASKS; i++) {
		uint64_t id;

		spawn(&scope, do_nothing, NULL);
		id = wf_task_id(scope.children);
		newest = id > newest ? id : newest;
	}
	wf_assert_result(weft_scope_close(&scope), 0);
	return newest;
}

/* Control blocks that come where others were unmapped are not taken for those. */
SIM_TEST(ids_are_not_used_again)
{
	uint64_t before = newest_id(), after;

	ck_assert_uint_eq(before >> 16, 9); /* one task was there, and is there still */
	sleep_ms(30 * 1000);
	ck_assert_uint_eq(wf_worker->chunk_count, 1);
	after = newest_id();
	ck_assert_uint_eq(after >> 16, 17);
}

static bool found;

static int find(void *arg)
{
	for (int i = 0; i < 3; i++)
		wf_assert_result(weft_yield(), 0);
	found = true;
	return arg ? 1 : 0;
}

static int look(void *arg)
{
	while (!found)
		wf_assert_result(weft_yield(), 0);
	return arg ? 1 : 0;
}

/* Tasks that look for something by yields do not keep away the one that finds it. */
SIM_TEST(polling_by_yields)
{
	for (world->seed = 0; world->seed < 10; world->seed++) {
		struct weft_scope scope;

		for (int strategy = WF_SIM_FIFO; strategy <= WF_SIM_PCT; strategy++) {
			world->strategy = (enum wf_sim_strategy)strategy;
			world->steps_max = world->steps + 1000000;
			found = false;
			weft_scope_open(&scope);
			for (int i = 0; i < 100; i++)
				spawn(&scope, look, NULL);
			spawn(&scope, find, NULL);
			wf_assert_result(weft_scope_close(&scope), 0);
		}
	}
}

WF_MAIN("io/sim_order")
