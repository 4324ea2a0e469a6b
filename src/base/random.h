/* SPDX-License-Identifier: MIT */
/*
 * Random numbers that replay from a seed: xoshiro256**, 256 bits of state, period 2^256 - 1.
 * Good for fairness, jitter and simulation; not for secrets.
 *
 * D. Blackman and S. Vigna, "Scrambled Linear Pseudorandom Number Generators", ACM Transactions on
 * Mathematical Software 47 (4), 2021. The state is filled from the seed by splitmix64, as the paper
 * advises: G. Steele, D. Lea and C. Flood, "Fast Splittable Pseudorandom Number Generators",
 * OOPSLA 2014.
 */
#pragma once

#include <stdint.h>

struct wf_random {
	uint64_t state[4]; /* never all zero */
};

/* Starts the sequence of a seed; any seed is good, also 0. */
void wf_random_seed(struct wf_random *random, uint64_t seed);

/* The next 64 bits of the sequence. */
uint64_t wf_random_next(struct wf_random *random);
