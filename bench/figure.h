/* SPDX-License-Identifier: MIT */
/*
 * What every program here prints: one line of JSON for each figure, read by scripts/bench.py. A
 * name that is printed several times stands for several rounds, in their order.
 */
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static inline void figure(const char *name, double value, const char *unit)
{
	printf("{\"name\": \"%s\", \"value\": %.10g, \"unit\": \"%s\"}\n", name, value, unit);
	fflush(stdout);
}

/* Ends the program, naming what could not be done. */
static inline void fail(const char *what)
{
	fprintf(stderr, "%s\n", what);
	exit(1);
}

/* The number after `option` on the command line, or `otherwise`. */
static inline long option(int argc, char **argv, const char *option, long otherwise)
{
	for (int i = 1; i + 1 < argc; i++)
		if (!strcmp(argv[i], option))
			return strtol(argv[i + 1], NULL, 10);
	return otherwise;
}

static inline int64_t clock_read(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Nanoseconds on the monotonic clock. */
static inline int64_t clock_ns(void)
{
	return clock_read(CLOCK_MONOTONIC);
}

/* Nanoseconds this thread has run: what others do on the machine meanwhile does not count. */
static inline int64_t clock_cpu_ns(void)
{
	return clock_read(CLOCK_THREAD_CPUTIME_ID);
}
