/* SPDX-License-Identifier: MIT */
/*
 * What the checking tools must be told about stacks, so that their reports are right: which stack
 * the thread runs on (AddressSanitizer, ThreadSanitizer) and which memory is one (Valgrind).
 *
 * One wf_fiber belongs to each stack, and one to the thread's own. Around every switch the leaving
 * side calls wf_fiber_leave, as its last act, and the arriving side wf_fiber_enter, as its first.
 * Without a tool all of it compiles to nothing.
 */
#pragma once

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

struct wf_fiber {
	unsigned valgrind; /* the stack's id, 0 without Valgrind */
};

#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#endif
#ifndef VALGRIND_STACK_REGISTER
#define VALGRIND_STACK_REGISTER(low, high) (0u)
#define VALGRIND_STACK_DEREGISTER(id) ((void)(id))
#endif

static inline void wf_fiber_init_thread(struct wf_fiber *fiber)
{
	fiber->valgrind = 0;
}

static inline void wf_fiber_init(struct wf_fiber *fiber, const void *low, size_t bytes)
{
	fiber->valgrind = VALGRIND_STACK_REGISTER(low, (const char *)low + bytes - 1);
	(void)low, (void)bytes;
}

static inline void wf_fiber_done(struct wf_fiber *fiber)
{
	VALGRIND_STACK_DEREGISTER(fiber->valgrind);
	fiber->valgrind = 0;
}

static inline void wf_fiber_leave(struct wf_fiber *from, struct wf_fiber *to)
{
	(void)from, (void)to;
}

static inline void wf_fiber_enter(struct wf_fiber *self, struct wf_fiber *left)
{
	(void)self, (void)left;
}

#endif
