/* SPDX-License-Identifier: MIT */
/* The engine on epoll(7); core/poller.h is the contract it fulfils. */
#pragma once

#include "base/memory.h"
#include "core/poller.h"

/* Makes an engine; its `done` frees it. -EMFILE, -ENFILE, -ENOMEM. */
int wf_epoll_new(struct wf_memory *memory, struct wf_poller **ret_poller);
