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

#if defined WF_TSAN
#define wf_tool_is_slow() true
#elif defined RUNNING_ON_VALGRIND
#define wf_tool_is_slow() (RUNNING_ON_VALGRIND != 0)
#else
#define wf_tool_is_slow() false
#endif

/* How many of a thing a test can have: fewer where a tool makes each one slow. ThreadSanitizer keeps
 * a thread's worth of state for each stack, and dies at some 8,000; Valgrind searches them all at
 * each switch. */
static inline int scaled(int count)
{
	return wf_tool_is_slow() ? count / 50 : count;
}
