/* SPDX-License-Identifier: MIT */
/* The generator of random.h, written from the two papers named there. */
#include "base/random.h"

static uint64_t rotate_left(uint64_t value, int bits)
{
	return value << bits | value >> (64 - bits);
}

/* One step of splitmix64: a Weyl sequence by the golden ratio, then a bijective mix of its bits.
 * Because the mix is a bijection, at most one of four consecutive outputs is zero. */
static uint64_t splitmix_next(uint64_t *state)
{
	uint64_t mixed = *state += 0x9e3779b97f4a7c15;

	mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
	mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
	return mixed ^ mixed >> 31;
}

void wf_random_seed(struct wf_random *random, uint64_t seed)
{
	for (int i = 0; i < 4; i++)
		random->state[i] = splitmix_next(&seed);
}

uint64_t wf_random_next(struct wf_random *random)
{
	uint64_t *s = random->state;
	uint64_t result = rotate_left(s[1] * 5, 7) * 9; /* the ** scrambler */
	uint64_t shifted = s[1] << 17;

	s[2] ^= s[0]; /* the linear engine, with the constants 17 and 45 for 256 bits */
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= shifted;
	s[3] = rotate_left(s[3], 45);
	return result;
}
