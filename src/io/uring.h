/* SPDX-License-Identifier: MIT */
/* The engine on io_uring. */
#pragma once

#include "base/memory.h"

#include <stdint.h>

struct wf_poller;

/* Makes an engine; 0, -ENOMEM, -EMFILE, or WEFT_EENGINE where the kernel or a sandbox has no io_uring
 * that does what is needed here, which is tried out. */
int wf_uring_new(struct wf_memory *memory, struct wf_poller **ret_poller);

/* The same with a ring of another size: for tests of what happens when it is full. */
int wf_uring_new_sized(struct wf_memory *memory, uint32_t submissions, uint32_t completions,
		       struct wf_poller **ret_poller);
