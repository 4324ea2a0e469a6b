/* SPDX-License-Identifier: MIT */
#include "arch/switch.h"

#include "arch/fiber.h"
#include "base/compiler.h"
#include "core/common.h"
#include "harness/harness.h"

#include <fenv.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unwind.h>

enum { STACK_BYTES = 256 * 1024, ROUNDS = 100000 };

/* How many registers a function keeps for its caller. */
#ifdef __aarch64__
enum { KEPT = 19 }; /* x19 to x29, d8 to d15 */
#else
enum { KEPT = 6 }; /* rbx, rbp, r12 to r15 */
#endif

/* Code with a stack of its own, or, if `stack` is NULL, the test itself. */
struct side {
	struct wf_context context;
	struct wf_fiber fiber;
	void (*body)(struct side *self);
	struct side *other; /* for the body to switch to */
	char *stack;
	long count;
	uint64_t seen[KEPT];
};

static struct side test_side;
static struct wf_fiber *left;

static WF_NOINLINE void switch_sides(struct side *from, struct side *to)
{
	int r = wf_fiber_switch(&left, &from->fiber, &to->fiber, &from->context, &to->context);

	quietly(r == 0);
}

/* A body that returns goes back to the test, again and again. */
static void enter(void *arg)
{
	struct side *self = arg;

	wf_fiber_enter(&self->fiber, left);
	self->body(self);
	for (;;)
		switch_sides(self, &test_side);
}

static void begin(struct side *side, void (*body)(struct side *self))
{
	wf_fiber_init_thread(&test_side.fiber);
	*side = (struct side){ .body = body, .other = &test_side };
	ck_assert_int_eq(posix_memalign((void **)&side->stack, 4096, STACK_BYTES), 0);
	wf_fiber_init(&side->fiber, side->stack, STACK_BYTES);
	wf_context_init(&side->context, side->stack + STACK_BYTES, enter, side);
}

static void end(struct side *side)
{
	wf_fiber_done(&side->fiber);
	free(side->stack);
}

static void count(struct side *self)
{
	self->count++;
}

/* The first switch to a context calls its entry with its argument. */
WF_TEST(first_switch_calls_the_entry)
{
	struct side side;

	begin(&side, count);
	ck_assert_int_eq(side.count, 0);
	switch_sides(&test_side, &side);
	ck_assert_int_eq(side.count, 1);
	end(&side);
}

static void count_for_ever(struct side *self)
{
	for (;;) {
		self->count++;
		switch_sides(self, self->other);
	}
}

/* A context goes on where it left, any number of times. */
WF_TEST(switches_go_back_and_forth)
{
	struct side side;

	begin(&side, count_for_ever);
	for (long i = 1; i <= ROUNDS; i++) {
		switch_sides(&test_side, &side);
		quietly(side.count == i);
	}
	end(&side);
}

/* Goes down and up again, and switches at every level both ways. */
static WF_NOINLINE long descend(struct side *self, int depth)
{
	volatile long mine = depth * 3 + self->count;
	long below = 0;

	switch_sides(self, self->other);
	if (depth > 0)
		below = descend(self, depth - 1);
	switch_sides(self, self->other);
	return mine + below;
}

static void descend_by_name(struct side *self)
{
	self->count = descend(self, (int)self->count);
}

/* Two contexts that switch to each other directly, at different depths of their call trees, keep
 * their frames apart. */
WF_TEST(two_contexts_switch_deep_down)
{
	struct side a, b;
	long expected_a = 0, expected_b = 0;

	begin(&a, descend_by_name);
	begin(&b, descend_by_name);
	a.other = &b;
	b.other = &a;
	a.count = 300;
	b.count = 200;
	for (int depth = 300; depth >= 0; depth--)
		expected_a += depth * 3 + 300;
	for (int depth = 200; depth >= 0; depth--)
		expected_b += depth * 3 + 200;
	switch_sides(&test_side, &a); /* comes back when b, the shorter one, is done */
	ck_assert_int_eq(b.count, expected_b);
	a.other = &test_side;
	while (a.count == 300)
		switch_sides(&test_side, &a);
	ck_assert_int_eq(a.count, expected_a);
	end(&a);
	end(&b);
}

static void enter_and_note_frame(void *arg)
{
	struct side *self = arg;

	wf_fiber_enter(&self->fiber, left);
	/* The frame address lies below the return address and the saved frame pointer. */
	self->count = (long)((uintptr_t)__builtin_frame_address(0) % 16);
	for (;;)
		switch_sides(self, &test_side);
}

/* The entry is called with the stack aligned as the calling convention wants it. */
WF_TEST(entry_has_an_aligned_stack)
{
	struct side side;

	begin(&side, NULL);
	wf_context_init(&side.context, side.stack + STACK_BYTES, enter_and_note_frame, &side);
	side.count = -1;
	switch_sides(&test_side, &side);
	ck_assert_int_eq(side.count, 0);
	end(&side);
}

static void round_down(struct side *self)
{
	self->count = fegetround();
	(void)fesetround(FE_DOWNWARD);
	switch_sides(self, self->other);
	self->count = fegetround();
}

/* Each context has its own rounding mode; a new one starts with that of its maker. */
WF_TEST(rounding_mode_is_per_context)
{
	struct side side;

	ck_assert_int_eq(fesetround(FE_UPWARD), 0);
	begin(&side, round_down);
	ck_assert_int_eq(fesetround(FE_TOWARDZERO), 0);
	switch_sides(&test_side, &side);
	ck_assert_int_eq(side.count, FE_UPWARD);
	ck_assert_int_eq(fegetround(), FE_TOWARDZERO);
	switch_sides(&test_side, &side);
	ck_assert_int_eq(side.count, FE_DOWNWARD);
	ck_assert_int_eq(fegetround(), FE_TOWARDZERO);
	end(&side);
}

#ifdef __x86_64__

/* Bits 13 and 14 of MXCSR, and 10 and 11 of the x87 control word, are the rounding mode. */
enum { MXCSR_ROUNDING = 0x6000, X87_ROUNDING = 0x0c00 };

static unsigned mxcsr_rounding(void)
{
	return __builtin_ia32_stmxcsr() & MXCSR_ROUNDING;
}

static void mxcsr_set_rounding(unsigned rounding)
{
	__builtin_ia32_ldmxcsr((__builtin_ia32_stmxcsr() & ~(unsigned)MXCSR_ROUNDING) | rounding);
}

static unsigned x87_rounding(void)
{
	unsigned short word;

	__asm__ volatile("fnstcw %0" : "=m"(word));
	return word & X87_ROUNDING;
}

static void x87_set_rounding(unsigned rounding)
{
	unsigned short word;

	__asm__ volatile("fnstcw %0" : "=m"(word));
	word = (unsigned short)((word & ~X87_ROUNDING) | (int)rounding);
	__asm__ volatile("fldcw %0" : : "m"(word));
}

static void change_mxcsr(struct side *self)
{
	mxcsr_set_rounding(0x2000);
	switch_sides(self, self->other);
	self->count = mxcsr_rounding();
}

/* MXCSR is saved and restored. */
WF_TEST(mxcsr_is_per_context)
{
	struct side side;

	begin(&side, change_mxcsr);
	mxcsr_set_rounding(0x4000);
	switch_sides(&test_side, &side);
	ck_assert_uint_eq(mxcsr_rounding(), 0x4000);
	switch_sides(&test_side, &side);
	ck_assert_uint_eq(mxcsr_rounding(), 0x4000);
	ck_assert_int_eq(side.count, 0x2000);
	end(&side);
}

static void change_x87(struct side *self)
{
	x87_set_rounding(0x0400);
	switch_sides(self, self->other);
	self->count = x87_rounding();
}

/* The x87 control word is saved and restored. */
WF_TEST(x87_control_word_is_per_context)
{
	struct side side;

	begin(&side, change_x87);
	x87_set_rounding(0x0800);
	switch_sides(&test_side, &side);
	ck_assert_uint_eq(x87_rounding(), 0x0800);
	switch_sides(&test_side, &side);
	ck_assert_uint_eq(x87_rounding(), 0x0800);
	ck_assert_int_eq(side.count, 0x0400);
	end(&side);
}

#endif

#ifdef __aarch64__

/* Bits 22 and 23 of FPCR are the rounding mode, 24 flushes denormal numbers to zero. */
enum { FPCR_ROUNDING = 3 << 22, FPCR_FLUSH = 1 << 24 };

static uint64_t fpcr(void)
{
	uint64_t word;

	__asm__ volatile("mrs %0, fpcr" : "=r"(word));
	return word & (FPCR_ROUNDING | FPCR_FLUSH);
}

static void fpcr_set(uint64_t word)
{
	__asm__ volatile("msr fpcr, %0" : : "r"(word));
}

static void change_fpcr(struct side *self)
{
	self->seen[0] = fpcr();
	fpcr_set(1 << 22);
	switch_sides(self, self->other);
	self->seen[1] = fpcr();
}

/* FPCR is saved and restored, also where it is the same on both sides; a new context has its maker's. */
WF_TEST(fpcr_is_per_context)
{
	struct side side;

	fpcr_set(FPCR_FLUSH);
	begin(&side, change_fpcr);
	fpcr_set(FPCR_FLUSH | 2 << 22);
	switch_sides(&test_side, &side);
	ck_assert_uint_eq(fpcr(), FPCR_FLUSH | 2 << 22);
	ck_assert_uint_eq(side.seen[0], FPCR_FLUSH);
	fpcr_set(1 << 22);
	switch_sides(&test_side, &side);
	ck_assert_uint_eq(side.seen[1], 1 << 22);
	ck_assert_uint_eq(fpcr(), 1 << 22);
	end(&side);
}

#endif

/* Assembly of the test's own; the sanitizers want to be told of a switch by C code at both ends. */
#if (defined __x86_64__ || defined __aarch64__) && !defined WF_ASAN && !defined WF_TSAN

/* Switches with the registers that a function keeps for its caller set to `values`, and tells what
 * they hold afterwards. */
#ifdef __x86_64__

static WF_NOINLINE void switch_with(struct side *from, struct side *to, const uint64_t values[KEPT],
				    uint64_t ret_seen[KEPT])
{
	struct wf_context *save = &from->context;
	const struct wf_context *load = &to->context;

	__asm__ volatile("movq	%%rsp, %%rax\n\t"
			 "subq	$128, %%rsp\n\t" /* the red zone */
			 "andq	$-16, %%rsp\n\t"
			 "pushq	%%rax\n\t"
			 "pushq	%%rbp\n\t"
			 "pushq	%%rdx\n\t"
			 "pushq	%%rdx\n\t"
			 "movq	(%%rcx), %%rbx\n\t"
			 "movq	8(%%rcx), %%rbp\n\t"
			 "movq	16(%%rcx), %%r12\n\t"
			 "movq	24(%%rcx), %%r13\n\t"
			 "movq	32(%%rcx), %%r14\n\t"
			 "movq	40(%%rcx), %%r15\n\t"
			 "call	wf_context_switch\n\t"
			 "popq	%%rdx\n\t"
			 "popq	%%rdx\n\t"
			 "movq	%%rbx, (%%rdx)\n\t"
			 "movq	%%rbp, 8(%%rdx)\n\t"
			 "movq	%%r12, 16(%%rdx)\n\t"
			 "movq	%%r13, 24(%%rdx)\n\t"
			 "movq	%%r14, 32(%%rdx)\n\t"
			 "movq	%%r15, 40(%%rdx)\n\t"
			 "popq	%%rbp\n\t"
			 "popq	%%rsp\n\t"
			 : "+D"(save), "+S"(load), "+d"(ret_seen), "+c"(values)
			 :
			 : "rax", "rbx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
			   "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
			   "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "memory",
			   "cc");
}

#else

static WF_NOINLINE void switch_with(struct side *from, struct side *to, const uint64_t values[KEPT],
				    uint64_t ret_seen[KEPT])
{
	register struct wf_context *save __asm__("x0") = &from->context;
	register const struct wf_context *load __asm__("x1") = &to->context;
	register const uint64_t *set __asm__("x2") = values;
	register uint64_t *seen __asm__("x3") = ret_seen;

	__asm__ volatile("stp	x29, x3, [sp, #-16]!\n\t"
			 "ldp	x19, x20, [x2]\n\t"
			 "ldp	x21, x22, [x2, #16]\n\t"
			 "ldp	x23, x24, [x2, #32]\n\t"
			 "ldp	x25, x26, [x2, #48]\n\t"
			 "ldp	x27, x28, [x2, #64]\n\t"
			 "ldr	x29, [x2, #80]\n\t"
			 "ldp	d8, d9, [x2, #88]\n\t"
			 "ldp	d10, d11, [x2, #104]\n\t"
			 "ldp	d12, d13, [x2, #120]\n\t"
			 "ldp	d14, d15, [x2, #136]\n\t"
			 "bl	wf_context_switch\n\t"
			 "ldr	x3, [sp, #8]\n\t"
			 "stp	x19, x20, [x3]\n\t"
			 "stp	x21, x22, [x3, #16]\n\t"
			 "stp	x23, x24, [x3, #32]\n\t"
			 "stp	x25, x26, [x3, #48]\n\t"
			 "stp	x27, x28, [x3, #64]\n\t"
			 "str	x29, [x3, #80]\n\t"
			 "stp	d8, d9, [x3, #88]\n\t"
			 "stp	d10, d11, [x3, #104]\n\t"
			 "stp	d12, d13, [x3, #120]\n\t"
			 "stp	d14, d15, [x3, #136]\n\t"
			 "ldr	x29, [sp], #16\n\t"
			 : "+r"(save), "+r"(load), "+r"(set), "+r"(seen)
			 :
			 : "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14",
			   "x15", "x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24",
			   "x25", "x26", "x27", "x28", "x30", "v0", "v1", "v2", "v3", "v4", "v5",
			   "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16",
			   "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26",
			   "v27", "v28", "v29", "v30", "v31", "memory", "cc");
}

#endif

static void keep_registers(struct side *self)
{
	uint64_t values[KEPT];

	for (int i = 0; i < KEPT; i++)
		values[i] = 0x2000000000000000 + (uint64_t)i;
	switch_with(self, self->other, values, self->seen);
}

/* The registers that the calling convention makes a function keep survive on both sides. */
WF_TEST(registers_survive)
{
	struct side side;
	uint64_t seen[KEPT], values[KEPT];

	for (int i = 0; i < KEPT; i++)
		values[i] = 0x1000000000000000 + (uint64_t)i;
	begin(&side, keep_registers);
	switch_with(&test_side, &side, values, seen);
	ck_assert_mem_eq(seen, values, sizeof seen);
	switch_with(&test_side, &side, values, seen);
	ck_assert_mem_eq(seen, values, sizeof seen);
	for (int i = 0; i < KEPT; i++)
		ck_assert_uint_eq(side.seen[i], 0x2000000000000000 + (uint64_t)i);
	end(&side);
}

#endif

#if defined __x86_64__ || defined __aarch64__

/* What the processor wants to find where an indirect call leads. */
#ifdef __x86_64__
static const uint32_t landing_pads[] = { 0xfa1e0ff3 }; /* endbr64 */
#else
static const uint32_t landing_pads[] = { 0xd503245f, 0xd503233f }; /* bti c, paciasp */
#endif

static bool is_landing_pad(void (*function)(void))
{
	uint32_t first;

	memcpy(&first, (const void *)(uintptr_t)function, sizeof first);
	for (size_t i = 0; i < sizeof landing_pads / sizeof *landing_pads; i++)
		if (landing_pads[i] == first)
			return true;
	return false;
}

/* Both functions can be called by pointer where the processor checks indirect calls. */
WF_TEST(functions_are_landing_pads)
{
	ck_assert(is_landing_pad((void (*)(void))wf_context_init));
	ck_assert(is_landing_pad((void (*)(void))wf_context_switch));
}

#endif

enum { FRAMES_MAX = 64 };

static _Unwind_Reason_Code count_frame(struct _Unwind_Context *context, void *frames)
{
	(void)context;
	return ++*(long *)frames > FRAMES_MAX ? _URC_NORMAL_STOP : _URC_NO_REASON;
}

/* The number of frames up to the outermost one; more than FRAMES_MAX if there is no end. */
static WF_NOINLINE long frames_at_depth(int depth)
{
	volatile long frames = 0;

	if (depth > 0)
		return frames_at_depth(depth - 1) + frames;
	if (_Unwind_Backtrace(count_frame, (void *)(uintptr_t)&frames) != _URC_END_OF_STACK)
		return FRAMES_MAX + 1;
	return frames;
}

static void count_frames(struct side *self)
{
	self->count = frames_at_depth(5);
}

/* A walk up the stack ends at the entry of the context. */
WF_TEST(backtrace_ends_at_the_entry)
{
	struct side side;

	begin(&side, count_frames);
	switch_sides(&test_side, &side);
	ck_assert_int_ge(side.count, 6);
	ck_assert_int_le(side.count, 12);
	end(&side);
}

/* A walk up the stack of a task ends, too. */
WF_TASK_TEST(backtrace_of_a_task_ends)
{
	long frames = frames_at_depth(5);

	ck_assert_int_ge(frames, 6);
	ck_assert_int_le(frames, 16);
}

WF_MAIN("arch/switch")
