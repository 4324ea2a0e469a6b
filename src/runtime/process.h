/* SPDX-License-Identifier: MIT */
/* A process for runs: how it begins, where its output goes, and what its end says of the run it was at. */
#pragma once

#include "runtime/jobs.h"

#include <sys/types.h>

/* A file in memory for the output of processes, or why there is none. */
int wf_process_output(void);

/* Forks a process whose standard output and error go there. 0 in the child; -1, and errno. */
pid_t wf_process_fork(int output);

/* In the child: forgets what has been written so far. */
void wf_process_clear_output(void);

/* The end of what was written, from the beginning of a line. */
void wf_process_read(int output, char ret_text[WF_OUTPUT_BYTES]);

/* Fills in the outcome of a run that has ended its process with that status and could not write one down;
 * its output has been read. */
void wf_process_judge(struct wf_failed *failed, int status);
