/* SPDX-License-Identifier: MIT */
/*
 * The switch where there is no assembly for the machine: swapcontext(3). It swaps the signal mask
 * too, with a system call at each switch, and is some fifty times slower. The mask belongs to the
 * thread, not to a task (weft_signals_open changes it), so the target is given the present one.
 *
 * A context's stack pointer is the address of a ucontext_t: of a variable in the frame that called
 * the switch, or, for code that has not run yet, of one at the top of its stack.
 */
#include "arch/switch.h"

#include <signal.h>
#include <stdint.h>
#include <ucontext.h>

/* makecontext passes integers only; a pointer travels as two halves. */
static void start(unsigned entry_high, unsigned entry_low, unsigned arg_high, unsigned arg_low)
{
	uintptr_t entry = (uintptr_t)((uint64_t)entry_high << 32 | entry_low);
	uintptr_t arg = (uintptr_t)((uint64_t)arg_high << 32 | arg_low);

	((void (*)(void *))entry)((void *)arg);
	__builtin_trap();
}

void wf_context_init(struct wf_context *context, void *top, void (*entry)(void *arg), void *arg)
{
	enum { START_BYTES = 8192 }; /* of the stack, for makecontext to lay out its frame in */
	ucontext_t *saved =
		(ucontext_t *)((uintptr_t)((char *)top - sizeof *saved) & ~(uintptr_t)63);
	uint64_t e = (uintptr_t)entry, a = (uintptr_t)arg;

	(void)getcontext(saved); /* cannot fail on Linux */
	saved->uc_stack.ss_sp = (char *)saved - START_BYTES;
	saved->uc_stack.ss_size = START_BYTES;
	saved->uc_link = NULL;
	makecontext(saved, (void (*)(void))start, 4, (unsigned)(e >> 32), (unsigned)e,
		    (unsigned)(a >> 32), (unsigned)a);
	context->stack_pointer = saved;
}

int wf_context_switch(struct wf_context *from, const struct wf_context *to)
{
	ucontext_t saved, *target = to->stack_pointer;

	from->stack_pointer = &saved;
	(void)sigprocmask(SIG_BLOCK, NULL, &target->uc_sigmask); /* fails only for a bad `how` */
	return swapcontext(&saved, target);			 /* cannot fail on Linux */
}
