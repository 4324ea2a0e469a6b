/* SPDX-License-Identifier: MIT */
/* What the runner of simulations prints: on standard output, for people, and for scripts line by line. */
#pragma once

#include "runtime/jobs.h"

/* One failure: what, where, when, and the command that replays it. */
void wf_report_outcome(const char *program, const struct wf_outcome *outcome);

/* The failures that were kept, and one line about all runs. */
void wf_report_findings(const char *program, const struct wf_findings *findings);

/* The lines that had to be reached, or to hold, and never did; returns how many. */
uint64_t wf_report_points(const struct weft_point_ *first, const struct weft_point_ *end);

/* How often each line of the menu of mishaps was hit. */
void wf_report_matrix(const struct wf_findings *findings);
