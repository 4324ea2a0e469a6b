/* SPDX-License-Identifier: MIT */
/* Looking at all tasks of a worker, for people. */
#pragma once

struct weft_worker;

/* Writes one line for each task to standard error: its name, where it was spawned, and what it waits for.
 * Never suspends, allocates nothing; any number of tasks, of which the first thousand are shown. */
void wf_dump(const struct weft_worker *worker);
