/* SPDX-License-Identifier: MIT */
/*
 * The context switch: one stack's registers out, another's in.
 *
 * A context is the saved stack pointer of code that is not running; everything else lies on that
 * stack. What is saved is what the platform's calling convention makes the callee keep, the
 * floating-point control words included. Signal masks are not saved.
 *
 * One file is chosen by the build: switch_<architecture>.S, or switch_ucontext.c elsewhere. The
 * rules and the measurements behind them are in docs/design/switch.md.
 */
#pragma once

#include <stddef.h>

struct wf_context {
	void *stack_pointer;
};

/* Makes `context` start `entry(arg)` on the stack that ends below `top` (aligned to 16) when it is
 * switched to. `entry` must not return. */
void wf_context_init(struct wf_context *context, void *top, void (*entry)(void *arg), void *arg);

/* Saves the running code in `from` and continues `to`. Returns when something switches to `from`,
 * and then returns 0: so it can be the tail call of functions that return a result, which keeps
 * their frames off the stacks of suspended tasks. */
int wf_context_switch(struct wf_context *from, const struct wf_context *to);
