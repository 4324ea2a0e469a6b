/* SPDX-License-Identifier: MIT */
#include "runtime/process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

pid_t wf_process_fork(int output)
{
	pid_t pid;

	(void)fflush(NULL); /* or the child would write it again */
	pid = fork();
	if (pid != 0)
		return pid;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* nobody is left to take the results */
	(void)signal(SIGALRM, SIG_DFL);
	if (dup2(output, STDERR_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0)
		_exit(WF_TRIAL_FAILED);
	return 0;
}

int wf_process_output(void)
{
	int fd = memfd_create("weft-sim", MFD_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

void wf_process_read(int output, char text[WF_OUTPUT_BYTES])
{
	off_t length = lseek(output, 0, SEEK_END);
	off_t from = length > WF_OUTPUT_BYTES - 1 ? length - (WF_OUTPUT_BYTES - 1) : 0;
	ssize_t got = pread(output, text, WF_OUTPUT_BYTES - 1, from);
	char *line;

	text[got > 0 ? got : 0] = 0;
	line = from > 0 ? strchr(text, '\n') : NULL;
	if (line)
		memmove(text, line + 1, strlen(line + 1) + 1);
}

/* The last line that the library wrote: what a panic said. Those of traces and lists are indented. */
static const char *last_words(const char *output)
{
	const char *found = NULL, *line = output;

	for (; *line; line++) {
		if ((line == output || line[-1] == '\n') && strncmp(line, "weft: ", 6) == 0 &&
		    line[6] != ' ')
			found = line + 6;
	}
	return found;
}

void wf_process_judge(struct wf_failed *failed, int status)
{
	struct wf_outcome *outcome = &failed->outcome;
	const char *words = last_words(failed->output);
	char *text = outcome->text;
	size_t room = sizeof outcome->text;

	if (outcome->failure != WF_FAILURE_NONE)
		return;
	outcome->failure = WF_FAILURE_CRASH;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) {
		outcome->failure = WF_FAILURE_HANG;
		(void)snprintf(text, room, "the run took longer than it may");
	} else if (words)
		(void)snprintf(text, room, "%.*s", (int)strcspn(words, "\n"), words);
	else if (WIFSIGNALED(status))
		(void)snprintf(text, room, "signal %d (%s)", WTERMSIG(status),
			       strsignal(WTERMSIG(status)));
	else
		(void)snprintf(text, room, "exit status %d", WEXITSTATUS(status));
}

void wf_process_clear_output(void)
{
	(void)fflush(NULL); /* or it would follow later */
	if (lseek(STDERR_FILENO, 0, SEEK_END) > 0) {
		(void)ftruncate(STDERR_FILENO, 0); /* at worst old lines are shown */
		(void)lseek(STDERR_FILENO, 0, SEEK_SET);
	}
}
