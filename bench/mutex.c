/* SPDX-License-Identifier: MIT */
/*
 * What a mutex costs that nobody else wants: processor time.
 *
 *   mutex [--rounds N]
 *
 *   mutex.uncontended   one lock and its unlock
 */
#define _GNU_SOURCE 1
#include "figure.h"

#include <weft/weft.h>

enum { RUNS = 10000000 };

static void measure(struct weft_mutex *mutex)
{
	int64_t begin = clock_cpu_ns();

	for (int i = 0; i < RUNS; i++) {
		if (weft_mutex_lock(mutex) < 0)
			fail("weft_mutex_lock");
		weft_mutex_unlock(mutex);
	}
	figure("mutex.uncontended", (double)(clock_cpu_ns() - begin) / RUNS, "ns");
}

static int run(void *arg)
{
	struct weft_mutex mutex = WEFT_MUTEX_INIT;
	long rounds = *(long *)arg;

	for (long i = 0; i < rounds; i++)
		measure(&mutex);
	return 0;
}

int main(int argc, char **argv)
{
	long rounds = option(argc, argv, "--rounds", 11);

	return weft_run(run, &rounds, NULL) < 0;
}
