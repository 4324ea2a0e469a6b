/* SPDX-License-Identifier: MIT */
/* Time and chance from the kernel, for the engines that have to do with the real world. */
#pragma once

#include <stdint.h>
#include <weft/time.h>

struct wf_poller;

/* CLOCK_MONOTONIC. The poller is not looked at. */
weft_time wf_clock_now(struct wf_poller *poller);

/* 64 random bits. The poller is not looked at. */
uint64_t wf_clock_random(struct wf_poller *poller);
