/* SPDX-License-Identifier: MIT */
/*
 * What memory sleeping tasks hold: resident pages, page tables, address space and mappings, for one
 * task, over the same process before it spawned any; and the lines of /proc/self/maps in all.
 *
 *   sleepers [--tasks N] [--seconds N]     seconds: how long they sleep, spawning included
 *
 * Then they all wake, and the program fails if one did not.
 */
#define _GNU_SOURCE 1
#include "figure.h"

#include <fcntl.h>
#include <unistd.h>
#include <weft/weft.h>

/* Of the process, in bytes; mappings are a count. */
struct memory {
	double resident, page_tables, virtual, mappings;
};

static long tasks, seconds, asleep, woken;
static char text[1 << 16];

/* The bytes of one line of /proc/self/status. */
static double status_line(const char *name)
{
	const char *line = strstr(text, name);

	if (!line)
		fail("/proc/self/status lacks a line");
	return (double)strtol(line + strlen(name), NULL, 10) * 1024;
}

static void read_memory(struct memory *ret_memory)
{
	int status = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	int maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	ssize_t n = read(status, text, sizeof text - 1);

	if (n <= 0 || maps < 0)
		fail("/proc/self cannot be read");
	text[n] = 0;
	*ret_memory = (struct memory){
		.resident = status_line("VmRSS:"),
		.page_tables = status_line("VmPTE:"),
		.virtual = status_line("VmSize:"),
	};
	while ((n = read(maps, text, sizeof text)) > 0)
		for (ssize_t i = 0; i < n; i++)
			ret_memory->mappings += text[i] == '\n';
	close(status);
	close(maps);
}

static int sleeper(void *arg)
{
	weft_time until = *(weft_time *)arg;

	asleep++;
	if (weft_sleep_until(until) < 0)
		return -1;
	asleep--;
	woken++;
	return 0;
}

static void report(const struct memory *before, const struct memory *during)
{
	static const char *const GUARDS[] = { "sleepers.guard.light", "sleepers.guard.mprotect",
					      "sleepers.guard.canary" };
	double resident = (during->resident - before->resident) / (double)tasks;
	double page_tables = (during->page_tables - before->page_tables) / (double)tasks;
	struct weft_stats stats;

	if (weft_stats(&stats) < 0)
		fail("weft_stats");
	figure("sleepers.tasks", (double)tasks, "tasks");
	figure("sleepers.resident", resident, "bytes/task");
	figure("sleepers.page_tables", page_tables, "bytes/task");
	figure("sleepers.memory", resident + page_tables, "bytes/task");
	figure("sleepers.virtual", (during->virtual - before->virtual) / (double)tasks,
	       "bytes/task");
	figure("sleepers.mappings", during->mappings - before->mappings, "mappings");
	figure("sleepers.maps", during->mappings, "lines");
	figure(GUARDS[stats.guard], 1, "kind");
}

static int run(void *arg)
{
	struct weft_scope scope;
	struct memory before, during;
	weft_time until;

	(void)arg;
	read_memory(&before); /* once for the pages this itself touches */
	read_memory(&before);
	until = weft_after(seconds * WEFT_SECOND);
	weft_scope_open(&scope);
	for (long i = 0; i < tasks; i++)
		if (weft_spawn(&scope, sleeper, &until) < 0)
			fail("weft_spawn");
	while (asleep < tasks)
		if (weft_yield() < 0)
			fail("weft_yield");
	read_memory(&during);
	if (woken)
		fail("tasks woke while others were being spawned: more --seconds are needed");
	report(&before, &during);
	if (weft_scope_close(&scope) < 0 || woken != tasks || asleep)
		fail("not every task woke");
	return 0;
}

int main(int argc, char **argv)
{
	tasks = option(argc, argv, "--tasks", 100000);
	seconds = option(argc, argv, "--seconds", 2);
	return weft_run(run, NULL, NULL) < 0;
}
