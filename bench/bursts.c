/* SPDX-License-Identifier: MIT */
/*
 * What memory is left of tasks that have ended: bursts of many tasks at once, with idle time after
 * each, and how much of the process is resident before the first and at the end of every idle time.
 *
 *   bursts [--tasks N] [--bursts N] [--seconds N]     seconds: how long it idles after each
 *
 * Every task of a burst sleeps until all have started, so each has a stack of its own.
 */
#include "figure.h"

#include <fcntl.h>
#include <unistd.h>
#include <weft/weft.h>

static long tasks, bursts, seconds, asleep, woken;

/* Bytes, counted page by page: the sums in /proc/self/status may lag. */
static double resident(void)
{
	char text[2048];
	int file = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
	ssize_t n = file < 0 ? -1 : read(file, text, sizeof text - 1);
	const char *line;

	if (n <= 0)
		fail("/proc/self/smaps_rollup cannot be read");
	close(file);
	text[n] = 0;
	line = strstr(text, "\nRss:");
	if (!line)
		fail("/proc/self/smaps_rollup lacks a line");
	return (double)strtol(line + 5, NULL, 10) * 1024;
}

static int sleeper(void *arg)
{
	(void)arg;
	asleep++;
	while (asleep < tasks)
		if (weft_sleep_until(weft_after(10 * WEFT_MILLISECOND)) < 0)
			return -1;
	woken++;
	return 0;
}

static void burst(void)
{
	struct weft_scope scope;

	asleep = woken = 0;
	weft_scope_open(&scope);
	for (long i = 0; i < tasks; i++)
		if (weft_spawn(&scope, sleeper, NULL) < 0)
			fail("weft_spawn");
	if (weft_scope_close(&scope) < 0 || woken != tasks)
		fail("not every task woke");
}

static void idle(const char *name)
{
	if (weft_sleep_until(weft_after(seconds * WEFT_SECOND)) < 0)
		fail("weft_sleep_until");
	figure(name, resident(), "bytes");
}

static int run(void *arg)
{
	(void)arg;
	(void)resident(); /* for the pages this itself touches */
	figure("bursts.before", resident(), "bytes");
	for (long i = 0; i < bursts; i++) {
		burst();
		idle("bursts.idle");
	}
	return 0;
}

int main(int argc, char **argv)
{
	tasks = option(argc, argv, "--tasks", 50000);
	bursts = option(argc, argv, "--bursts", 10);
	seconds = option(argc, argv, "--seconds", 6);
	return weft_run(run, NULL, NULL) < 0;
}
