/* SPDX-License-Identifier: MIT */
/*
 * What a task costs that does nothing, from its spawn to its join: processor time.
 *
 *   spawn [--rounds N]
 *
 *   spawn.single     one task in a scope of its own; the time of open, spawn and close
 *   spawn.thousand   a thousand tasks in one scope; a thousandth of that time
 */
#define _GNU_SOURCE 1
#include "figure.h"

#include <weft/weft.h>

enum { SINGLE_RUNS = 1000000, MANY = 1000, MANY_RUNS = 1000 };

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

static void spawn_and_join(int tasks)
{
	struct weft_scope scope;

	weft_scope_open(&scope);
	for (int i = 0; i < tasks; i++)
		if (weft_spawn(&scope, nothing, NULL) < 0)
			fail("weft_spawn");
	if (weft_scope_close(&scope) < 0)
		fail("weft_scope_close");
}

static void measure(const char *name, int tasks, int runs)
{
	int64_t begin = clock_cpu_ns();

	for (int i = 0; i < runs; i++)
		spawn_and_join(tasks);
	figure(name, (double)(clock_cpu_ns() - begin) / ((double)tasks * runs), "ns");
}

static int run(void *arg)
{
	long rounds = *(long *)arg;

	spawn_and_join(MANY); /* maps the stacks */
	for (long i = 0; i < rounds; i++) {
		measure("spawn.single", 1, SINGLE_RUNS);
		measure("spawn.thousand", MANY, MANY_RUNS);
	}
	return 0;
}

int main(int argc, char **argv)
{
	long rounds = option(argc, argv, "--rounds", 11);

	return weft_run(run, &rounds, NULL) < 0;
}
