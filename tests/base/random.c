/* SPDX-License-Identifier: MIT */
#include "base/random.h"

#include "harness/harness.h"

/* The generator agrees with the authors' own, started from the state 1, 2, 3, 4. */
WF_TEST(xoshiro_matches_reference)
{
	static const uint64_t expected[] = {
		11520,
		0,
		1509978240,
		1215971899390074240,
		1216172134540287360,
		607988272756665600,
		16172922978634559625u,
		8476171486693032832,
		10595114339597558777u,
		2904607092377533576,
	};
	struct wf_random random = { { 1, 2, 3, 4 } };

	for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
		ck_assert_uint_eq(wf_random_next(&random), expected[i]);
}

/* The seed fills the state with consecutive outputs of splitmix64. */
WF_TEST(seed_is_splitmix)
{
	static const uint64_t expected[] = {
		6457827717110365317,
		3203168211198807973,
		9817491932198370423u,
		4593380528125082431,
	};
	struct wf_random random;

	wf_random_seed(&random, 1234567);
	for (int i = 0; i < 4; i++)
		ck_assert_uint_eq(random.state[i], expected[i]);
}

/* A seed replays its sequence. */
WF_TEST(same_seed_same_sequence)
{
	struct wf_random a, b;

	wf_random_seed(&a, 42);
	wf_random_seed(&b, 42);
	for (int i = 0; i < 1000; i++)
		ck_assert_uint_eq(wf_random_next(&a), wf_random_next(&b));
}

/* Seeds next to each other start sequences that share no number. */
WF_TEST(neighbouring_seeds_differ)
{
	struct wf_random a, b;

	wf_random_seed(&a, 0);
	wf_random_seed(&b, 1);
	for (int i = 0; i < 1000; i++)
		ck_assert_uint_ne(wf_random_next(&a), wf_random_next(&b));
}

/* Each of the 64 bits is set about half of the time; 10,000 draws, six standard deviations. */
WF_TEST(every_bit_is_fair)
{
	struct wf_random random;
	int ones[64] = { 0 };

	wf_random_seed(&random, 7);
	for (int i = 0; i < 10000; i++) {
		uint64_t value = wf_random_next(&random);

		for (int bit = 0; bit < 64; bit++)
			ones[bit] += value >> bit & 1;
	}
	for (int bit = 0; bit < 64; bit++)
		ck_assert(ones[bit] > 4700 && ones[bit] < 5300);
}

WF_MAIN("base/random")
