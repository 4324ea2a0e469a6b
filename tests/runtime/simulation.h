/* SPDX-License-Identifier: MIT */
/* Running a scenario as a program of scenarios does, and looking at what it prints. */
#pragma once

#include "harness/harness.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weft/event.h>
#include <weft/net.h>
#include <weft/serve.h>
#include <weft/signals.h>
#include <weft/sim.h>

struct simulated {
	int status;	  /* the exit status; -1 if a signal ended it */
	int signal;	  /* that ended it */
	char text[65536]; /* what it printed, errors included */
};

enum { ARGUMENTS_MAX = 16 };

/* The words of a command line, behind the name of the program. */
static inline int split(char *words, char *arguments[ARGUMENTS_MAX])
{
	int count = 0;

	arguments[count++] = (char *)(uintptr_t) "program";
	for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
		arguments[count++] = word;
	arguments[count] = NULL;
	return count;
}

/* In a process of its own, as a replay that fails ends its process. */
static inline struct simulated *simulate(weft_sim_scenario *scenario, const char *command)
{
	static struct simulated simulated;
	char words[256], *arguments[ARGUMENTS_MAX];
	int output = memfd_create("simulated", MFD_CLOEXEC), status;
	ssize_t length;
	pid_t pid;

	ck_assert_int_ge(output, 0);
	strcpy(words, command);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		int count = split(words, arguments), r;

		dup2(output, 1);
		dup2(output, 2);
		r = weft_sim_main(count, arguments, scenario);
		fflush(NULL);
		_exit(r);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	simulated.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	simulated.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	length = pread(output, simulated.text, sizeof simulated.text - 1, 0);
	ck_assert_int_ge(length, 0);
	simulated.text[length] = 0;
	close(output);
	return &simulated;
}

/* Runs it, and says what was printed if the status is not the expected one or the text is not in it. */
static inline const char *expect(weft_sim_scenario *scenario, const char *command, int status,
				 const char *text)
{
	const struct simulated *simulated = simulate(scenario, command);

	ck_assert_msg(simulated->status == status && strstr(simulated->text, text),
		      "%s ended with %d (signal %d), and not with %d and \"%s\":\n%.4000s", command,
		      simulated->status, simulated->signal, status, text, simulated->text);
	return simulated->text;
}

/* What follows a word in a text, to the end of the line. */
static inline char *after(const char *text, const char *word, char ret_rest[256])
{
	const char *found = strstr(text, word);

	ck_assert_msg(found, "\"%s\" is not in:\n%s", word, text);
	found += strlen(word);
	snprintf(ret_rest, 256, "%.*s", (int)strcspn(found, "\n"), found);
	return ret_rest;
}

/* ---- A server that echoes, and is started again when it has failed ------------------------------- */

static inline int serve_one(struct weft_conn *conn, void *arg)
{
	char bytes[64];
	ssize_t n;

	(void)arg;
	while ((n = weft_read(conn, bytes, sizeof bytes)) > 0)
		if (weft_write(conn, bytes, (size_t)n, NULL) < 0)
			break;
	return 0;
}

static inline int serve(void *arg)
{
	int r;

	while ((r = weft_serve("10.0.0.1:80", serve_one, arg, NULL)) < 0 && r != -ECANCELED)
		if (weft_sleep(WEFT_SECOND) < 0)
			break;
	return 0;
}
