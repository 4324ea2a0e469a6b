/* SPDX-License-Identifier: MIT */
/* A simulated run is a function of the seed, and its hash tells runs apart. */
#include "io/world.h"

#include <weft/task.h>

static uint64_t hash;

static int talk(void *arg)
{
	struct wf_sim_link link = { .latency_min_ns = 1000,
				    .latency_max_ns = WEFT_MILLISECOND,
				    .segment_max = 100 };
	int c, s;

	poller = wf_worker->poller;
	world = wf_sim_of(poller);
	wf_sockets_go_with_world = true;
	sys = poller->system;
	(void)arg;
	add_host(link);
	connect_hosts(&c, &s);
	for (int i = 0; i < 100; i++) {
		char bytes[500] = "";

		wf_assert_result(send_bytes(c, bytes, sizeof bytes, 0), sizeof bytes);
		while (receive(s, bytes, sizeof bytes) < 0)
			wf_assert_result(weft_sleep(10000), 0);
	}
	hash = world->hash;
	return 0;
}

/* Two runs of a seed have one hash. */
WF_TEST(runs_repeat)
{
	const struct weft_options options = { .engine = "sim" };
	uint64_t first;

	wf_assert_result(weft_run(talk, NULL, &options), 0);
	first = hash;
	free(malloc(100000)); /* other addresses */
	wf_assert_result(weft_run(talk, NULL, &options), 0);
	ck_assert_uint_eq(hash, first);
}

static int draw_and_forget(void *seed)
{
	struct wf_sim *sim = wf_sim_of(wf_worker->poller);

	wf_random_seed(&sim->streams[WF_SIM_PROGRAM], *(uint64_t *)seed);
	(void)wf_sim_draw(sim, WF_SIM_PROGRAM, 0, UINT32_MAX);
	hash = sim->hash;
	return 0;
}

/* What chance decides is in the hash, whatever comes of it. */
WF_TEST(numbers_are_in_the_hash)
{
	const struct weft_options options = { .engine = "sim" };
	uint64_t first, seeds[] = { 1, 2 };

	wf_assert_result(weft_run(draw_and_forget, &seeds[0], &options), 0);
	first = hash;
	wf_assert_result(weft_run(draw_and_forget, &seeds[1], &options), 0);
	ck_assert_uint_ne(hash, first);
}

WF_MAIN("io/sim")
