/* SPDX-License-Identifier: MIT */
/* What the tests of the core share. */
#pragma once

#include "arch/fiber.h"
#include "harness/harness.h"

#include <stdbool.h>
#include <weft/task.h>

/* Spawns a task, which must succeed. */
#define spawn(scope, function, arg) wf_assert_result(weft_spawn((scope), function, (arg)), 0)

/* Lets the other tasks run as far as they can without a timer or the outside world: also when
 * WEFT_YIELD_ALWAYS makes each of their checkpoints take a turn. */
static inline void settle(void)
{
	for (int i = 0; i < 8; i++)
		wf_assert_result(weft_yield(), 0);
}

/* Asserts, and says nothing while it holds: Check writes each success to a pipe, which would be what a
 * long loop spends its time on. */
#define quietly(condition) ((condition) ? (void)0 : ck_abort_msg("'%s' does not hold", #condition))

#ifdef RUNNING_ON_VALGRIND
#define wf_on_valgrind() (RUNNING_ON_VALGRIND != 0)
#else
#define wf_on_valgrind() false
#endif
#ifdef WF_TSAN
enum { WF_STACKS_ARE_DEAR = true };
#else
enum { WF_STACKS_ARE_DEAR = false };
#endif

#if defined(WF_ASAN) || defined(WF_TSAN)
enum { WF_IS_INSTRUMENTED = true };
#else
enum { WF_IS_INSTRUMENTED = false };
#endif

/* Set by the build where it is for another machine. */
#ifdef WEFT_EMULATOR
enum { WF_IS_EMULATED = true };
#else
enum { WF_IS_EMULATED = false };
#endif

/* How many stacks a test can have: fewer where a tool makes each one dear. ThreadSanitizer keeps a
 * thread's worth of state for it, and dies at some 8,000; Valgrind searches them all at each
 * switch. */
static inline int scaled(int count)
{
	return WF_STACKS_ARE_DEAR || wf_on_valgrind() ? count / 50 : count;
}
