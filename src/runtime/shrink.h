/* SPDX-License-Identifier: MIT */
/*
 * From a failing seed to the few mishaps that make it fail.
 *
 * The run is repeated with what went wrong by chance as a plan, and then with less and less of it, each
 * time in a process of its own, as long as it fails in the same way: the algorithm ddmin of A. Zeller and
 * R. Hildebrandt, "Simplifying and Isolating Failure-Inducing Input" (IEEE TSE 2002). Then the world is
 * made plain, if the run still fails.
 */
#pragma once

#include <stdint.h>
#include <weft/sim.h>

/* Shrinks a seed, whose runs may take so many seconds each, and prints the rest as lines of a scenario.
 * Returns the exit status: 1, or 0 if the seed does not fail. */
int wf_shrink(weft_sim_scenario *scenario, uint64_t seed, uint32_t seconds);
