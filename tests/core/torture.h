/* SPDX-License-Identifier: MIT */
/*
 * Random order and random cancels for the objects that tasks wait for.
 *
 * Some tasks do a step over and over, each time in a scope of its own, and one task cancels such
 * scopes at random. The step judges its results and keeps the books; the seed of a round is what
 * fails again.
 */
#pragma once

#include "base/random.h"
#include "core/common.h"

/* Asserts in a step, and names the seed if it fails. */
#define holds(condition)         \
	((condition) ? (void)0 : \
		       ck_abort_msg("'%s' does not hold, seed %lu", #condition, torture_seed))

static unsigned long torture_seed;

enum { TORTURE_TASKS = 12, TORTURE_STEPS = 200, TORTURE_ROUNDS = 10 };

struct torture {
	void (*step)(void *object, struct wf_random *random);
	void *object;
	struct weft_scope *at_risk[TORTURE_TASKS]; /* the scopes around steps that are under way */
	struct wf_random random;
	int alive;
	int started;
	int cancels;
};

static inline int torture_work(void *arg)
{
	struct torture *torture = arg;
	struct weft_scope **at_risk = &torture->at_risk[torture->started++];

	for (int i = 0; i < TORTURE_STEPS; i++) {
		struct weft_scope scope;

		weft_scope_open(&scope);
		*at_risk = &scope;
		torture->step(torture->object, &torture->random);
		*at_risk = NULL;
		weft_scope_leave(&scope);
		if (wf_random_next(&torture->random) % 3 == 0)
			wf_assert_result(weft_yield(), 0);
	}
	torture->alive--;
	return 0;
}

/* Finds a step that is under way, beginning anywhere; NULL if there is none. */
static inline struct weft_scope *torture_victim(const struct torture *torture, uint64_t random)
{
	for (uint64_t i = 0; i < TORTURE_TASKS; i++)
		if (torture->at_risk[(random + i) % TORTURE_TASKS])
			return torture->at_risk[(random + i) % TORTURE_TASKS];
	return NULL;
}

static inline int torture_cancel(void *arg)
{
	struct torture *torture = arg;

	while (torture->alive > 0) {
		uint64_t random = wf_random_next(&torture->random);
		struct weft_scope *scope = torture_victim(torture, random);

		if (scope) {
			weft_scope_cancel(scope);
			torture->cancels++;
		}
		for (uint64_t pauses = random >> 32 & 7; pauses > 0; pauses--)
			wf_assert_result(weft_yield(), 0);
		wf_assert_result(weft_yield(), 0);
	}
	return 0;
}

/* One round; the object must be as it was when it ends, which the caller checks. */
static inline void torture_run(void (*step)(void *object, struct wf_random *random), void *object,
			       uint64_t seed)
{
	struct torture torture = { .step = step, .object = object, .alive = TORTURE_TASKS };
	struct weft_scope scope;

	torture_seed = seed;
	wf_random_seed(&torture.random, seed);
	weft_scope_open(&scope);
	for (int i = 0; i < TORTURE_TASKS; i++)
		spawn(&scope, torture_work, &torture);
	spawn(&scope, torture_cancel, &torture);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_int_gt(torture.cancels, 0);
}
