/* SPDX-License-Identifier: MIT */
#include "io/clock.h"

#include <sys/random.h>
#include <time.h>

weft_time wf_clock_now(struct wf_poller *poller)
{
	struct timespec now;

	(void)poller;
	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* this clock always exists */
	return now.tv_sec * WEFT_SECOND + now.tv_nsec;
}

uint64_t wf_clock_random(struct wf_poller *poller)
{
	uint64_t bits = 0;

	/* Before the kernel's generator is ready there is still the time; it is no secret anyway. */
	if (getrandom(&bits, sizeof bits, GRND_NONBLOCK) != (ssize_t)sizeof bits)
		bits = (uint64_t)wf_clock_now(poller);
	return bits;
}
