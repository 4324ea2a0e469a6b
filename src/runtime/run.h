/* SPDX-License-Identifier: MIT */
/* weft_run with parts that somebody else has chosen. */
#pragma once

#include "base/memory.h"
#include "core/poller.h"

#include <stdbool.h>
#include <stdint.h>
#include <weft/run.h>

/* What a run is made of, besides what its options say. */
struct wf_run {
	/* Opens the engine; a negative code is the result of the run. */
	int (*open)(const struct wf_run *run, const struct weft_options *options,
		    struct wf_memory *memory, struct wf_poller **ret_poller);
	void *user;
	enum weft_guard guard; /* the best to try */
	uint32_t guard_budget;
	bool yield_always;
	bool may_leak; /* somebody else looks whether memory is left */
};

/* As weft_run. */
int wf_run(const struct wf_run *run, weft_function *function, void *arg,
	   const struct weft_options *options);
