/* SPDX-License-Identifier: MIT */
/*
 * What a yield among 100 tasks costs, beside the same ring of bare contexts.
 *
 *   switch [--rounds N] [--yields N]     yields: of each task in one round
 *
 * Every task calls two functions deep and yields at the bottom, as a handler does that reads from a
 * connection. The bare twin has the same shape and no scheduler: a switch keeps what the ABI asks a
 * function to keep, resumes by `ret`, and the next context is the next in the ring. Its stacks lie
 * as far apart as weft's, 65 pages, so that their tops do not meet in the same cache sets.
 *
 * The control words (MXCSR and x87) are part of what the ABI asks for, and are 2 of the twin's 5 ns;
 * storing them only when they differ is slower still, because reading back what was just stored
 * stalls.
 */
#define _GNU_SOURCE 1
#include "figure.h"

#include <stddef.h>
#include <sys/mman.h>
#include <weft/weft.h>

enum { TASKS = 100 };

static long yields;

/* Keeps a call from becoming a jump, so that the frame stays. */
#define KEEP_FRAME(result) __asm__ volatile("" : "+r"(result))

static void report(const char *name, int64_t elapsed_ns)
{
	figure(name, (double)elapsed_ns / (double)(TASKS * yields), "ns");
}

/* --- the bare twin ------------------------------------------------------------------------- */

#ifdef __x86_64__

/* What a context leaves on its stack, from the stack pointer upward. */
struct bare_frame {
	uint32_t mxcsr, x87_control;
	void *registers[6];
	void (*resume)(void); /* where `ret` goes */
	void *outermost;      /* a null return address, for unwinders */
};

_Static_assert(offsetof(struct bare_frame, outermost) % 16 == 0 &&
		       sizeof(struct bare_frame) % 16 == 8,
	       "with its end at a multiple of 16, a frame is aligned as after a call");

enum { STACK_SPACING = 65 * 4096, MXCSR_DEFAULT = 0x1f80, X87_CONTROL_DEFAULT = 0x037f };

/* Stores where to continue at *save, and goes on at `load`. */
void bare_switch(struct bare_frame **save, struct bare_frame *load);

__asm__(".text\n"
	".globl bare_switch\n"
	".hidden bare_switch\n"
	".type bare_switch, @function\n"
	".p2align 5\n"
	"bare_switch:\n"
	"	push %rbp\n"
	"	push %rbx\n"
	"	push %r12\n"
	"	push %r13\n"
	"	push %r14\n"
	"	push %r15\n"
	"	sub $8, %rsp\n"
	"	stmxcsr (%rsp)\n"
	"	fnstcw 4(%rsp)\n"
	"	mov %rsp, (%rdi)\n"
	"	mov %rsi, %rsp\n"
	"	ldmxcsr (%rsp)\n"
	"	fldcw 4(%rsp)\n"
	"	add $8, %rsp\n"
	"	pop %r15\n"
	"	pop %r14\n"
	"	pop %r13\n"
	"	pop %r12\n"
	"	pop %rbx\n"
	"	pop %rbp\n"
	"	ret\n"
	".size bare_switch, . - bare_switch\n");

/* Where each context continues; the last is the caller of bare(). */
static struct bare_frame *contexts[TASKS + 1];
static struct bare_frame **current;

static __attribute__((noinline)) int bare_inner(void)
{
	struct bare_frame **from = current;
	int result = 0;

	current = from + 1 == contexts + TASKS ? contexts : from + 1;
	bare_switch(from, *current);
	KEEP_FRAME(result);
	return result;
}

static __attribute__((noinline)) int bare_outer(void)
{
	int result = bare_inner();

	KEEP_FRAME(result);
	return result;
}

/* The first context that is done ends the round; the others are one yield short of it. */
static void bare_body(void)
{
	for (long i = 0; i < yields; i++)
		if (bare_outer() < 0)
			break;
	bare_switch(current, contexts[TASKS]);
}

static void *map_stacks(void)
{
	void *stacks = mmap(NULL, (size_t)TASKS * STACK_SPACING, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);

	if (stacks == MAP_FAILED)
		fail("no memory for the bare stacks");
	(void)madvise(stacks, (size_t)TASKS * STACK_SPACING, MADV_NOHUGEPAGE);
	return stacks;
}

static void bare(void)
{
	static char *stacks;
	int64_t begin;

	if (!stacks)
		stacks = map_stacks();
	for (int i = 0; i < TASKS; i++) {
		/* `ret` leaves the stack pointer at `outermost`: aligned as after a call. */
		contexts[i] = (void *)(stacks + (size_t)(i + 1) * STACK_SPACING - 64 -
				       sizeof(struct bare_frame));
		*contexts[i] = (struct bare_frame){
			.mxcsr = MXCSR_DEFAULT,
			.x87_control = X87_CONTROL_DEFAULT,
			.resume = bare_body,
		};
	}
	current = contexts;
	begin = clock_cpu_ns();
	bare_switch(&contexts[TASKS], contexts[0]);
	report("switch.bare", clock_cpu_ns() - begin);
}

#else

/* No twin for this machine: nothing is printed, and the comparison is not run. */
static void bare(void) {}

#endif

/* --- weft ---------------------------------------------------------------------------------- */

static __attribute__((noinline)) int weft_inner(void)
{
	int result = weft_yield();

	KEEP_FRAME(result);
	return result;
}

static __attribute__((noinline)) int weft_outer(void)
{
	int result = weft_inner();

	KEEP_FRAME(result);
	return result;
}

static int weft_body(void *arg)
{
	(void)arg;
	for (long i = 0; i < yields; i++)
		if (weft_outer() < 0)
			return -1;
	return 0;
}

static void weft(void)
{
	struct weft_scope scope;
	int64_t begin;

	weft_scope_open(&scope);
	for (int i = 0; i < TASKS; i++)
		if (weft_spawn(&scope, weft_body, NULL) < 0)
			fail("weft_spawn");
	begin = clock_cpu_ns();
	if (weft_scope_close(&scope) < 0)
		fail("weft_scope_close");
	report("switch.weft", clock_cpu_ns() - begin);
}

static int run(void *arg)
{
	long rounds = *(long *)arg;

	for (long i = 0; i < rounds; i++) {
		if (i % 2) {
			bare();
			weft();
		} else {
			weft();
			bare();
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	long rounds = option(argc, argv, "--rounds", 11);

	yields = option(argc, argv, "--yields", 20000);
	return weft_run(run, &rounds, NULL) < 0;
}
