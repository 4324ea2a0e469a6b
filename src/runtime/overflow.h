/* SPDX-License-Identifier: MIT */
/*
 * Telling whose stack overflowed. A task that runs into its guard page dies by SIGSEGV; a handler,
 * on a stack of its own, names the task before the process ends. Every other fault is passed on to
 * the handler that was there before.
 */
#pragma once

#include "base/memory.h"

#include <signal.h>

struct wf_overflow {
	stack_t stack_before;
	void *stack;
	struct wf_memory *memory;
};

/* Installs the handler for this process and gives the calling thread a signal stack, if it has
 * none. -ENOMEM. */
int wf_overflow_init(struct wf_overflow *overflow, struct wf_memory *memory);

/* Puts everything back as it was. */
void wf_overflow_done(struct wf_overflow *overflow);
