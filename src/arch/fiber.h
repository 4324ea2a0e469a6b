/* SPDX-License-Identifier: MIT */
/*
 * What the checking tools must be told about stacks, so that their reports are right: which stack
 * the thread runs on (AddressSanitizer, ThreadSanitizer) and which memory is one (Valgrind).
 *
 * One wf_fiber belongs to each stack, and one to the thread's own. wf_fiber_switch is a context
 * switch that tells them; code that starts on a fresh stack calls wf_fiber_enter first. Without a
 * tool it is the context switch and nothing else.
 */
#pragma once

#include "arch/switch.h"

#include <stddef.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WF_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define WF_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define WF_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define WF_TSAN 1
#endif

#if defined(WF_ASAN)

#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>

/* The bounds of the thread's own stack are learned when it is first left. */
struct wf_fiber {
	const void *low;
	size_t bytes;
	void *fake_stack;
};

static inline void wf_fiber_init_thread(struct wf_fiber *fiber)
{
	*fiber = (struct wf_fiber){ 0 };
}

static inline void wf_fiber_init(struct wf_fiber *fiber, const void *low, size_t bytes)
{
	*fiber = (struct wf_fiber){ .low = low, .bytes = bytes };
}

/* The frames that are abandoned with the stack leave their red zones behind. */
static inline void wf_fiber_done(struct wf_fiber *fiber)
{
	__asan_unpoison_memory_region(fiber->low, fiber->bytes);
}

static inline void wf_fiber_leave(struct wf_fiber *from, struct wf_fiber *to)
{
	__sanitizer_start_switch_fiber(&from->fake_stack, to->low, to->bytes);
}

static inline void wf_fiber_enter(struct wf_fiber *self, struct wf_fiber *left)
{
	__sanitizer_finish_switch_fiber(self->fake_stack, &left->low, &left->bytes);
}

#elif defined(WF_TSAN)

#include <sanitizer/tsan_interface.h>

struct wf_fiber {
	void *tsan;
};

static inline void wf_fiber_init_thread(struct wf_fiber *fiber)
{
	fiber->tsan = __tsan_get_current_fiber();
}

static inline void wf_fiber_init(struct wf_fiber *fiber, const void *low, size_t bytes)
{
	(void)low, (void)bytes;
	fiber->tsan = __tsan_create_fiber(0);
}

static inline void wf_fiber_done(struct wf_fiber *fiber)
{
	if (fiber->tsan)
		__tsan_destroy_fiber(fiber->tsan);
	fiber->tsan = NULL;
}

/* Flag 0: what the leaving fiber did happened before what the other does next, which is what one
 * thread running both in turn means. */
static inline __attribute__((always_inline)) void wf_fiber_leave(struct wf_fiber *from,
								 struct wf_fiber *to)
{
	(void)from;
	__tsan_switch_to_fiber(to->tsan, 0);
}

static inline void wf_fiber_enter(struct wf_fiber *self, struct wf_fiber *left)
{
	(void)self, (void)left;
}

#else

/* Valgrind only needs to know which memory is a stack. */

#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#endif
#ifndef VALGRIND_STACK_REGISTER
#define VALGRIND_STACK_REGISTER(low, high) (0u)
#define VALGRIND_STACK_DEREGISTER(id) ((void)(id))
#endif

struct wf_fiber {
	unsigned valgrind; /* the stack's id, 0 without Valgrind */
};

static inline void wf_fiber_init_thread(struct wf_fiber *fiber)
{
	fiber->valgrind = 0;
}

static inline void wf_fiber_init(struct wf_fiber *fiber, const void *low, size_t bytes)
{
	(void)low, (void)bytes;
	fiber->valgrind = VALGRIND_STACK_REGISTER(low, (const char *)low + bytes - 1);
}

static inline void wf_fiber_done(struct wf_fiber *fiber)
{
	VALGRIND_STACK_DEREGISTER(fiber->valgrind);
	fiber->valgrind = 0;
}

static inline void wf_fiber_enter(struct wf_fiber *self, struct wf_fiber *left)
{
	(void)self, (void)left;
}

static inline int wf_fiber_switch(struct wf_fiber **left, struct wf_fiber *from_fiber,
				  struct wf_fiber *to_fiber, struct wf_context *from,
				  const struct wf_context *to)
{
	(void)left, (void)from_fiber, (void)to_fiber;
	return wf_context_switch(from, to);
}

#endif

#if defined(WF_ASAN) || defined(WF_TSAN)

/* `left` is where the arriving side finds the fiber it came from. */
static inline __attribute__((always_inline)) int
wf_fiber_switch(struct wf_fiber **left, struct wf_fiber *from_fiber, struct wf_fiber *to_fiber,
		struct wf_context *from, const struct wf_context *to)
{
	*left = from_fiber;
	wf_fiber_leave(from_fiber, to_fiber);
	(void)wf_context_switch(from, to);
	wf_fiber_enter(from_fiber, *left);
	return 0;
}

#endif
