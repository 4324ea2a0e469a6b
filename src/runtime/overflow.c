/* SPDX-License-Identifier: MIT */
/* The handler that names the task whose stack overflowed. */
#include "runtime/overflow.h"

#include "base/assert.h"
#include "core/worker.h"

#include <errno.h>
#include <pthread.h>

enum { SIGNAL_STACK_BYTES = 64 * 1024 };

/* A signal's action belongs to the process, so this does too: the handler is installed while any
 * thread is inside weft_run. `before` does not change while it is. */
static struct {
	pthread_mutex_t lock;
	unsigned users;
	struct sigaction before;
} process = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void pass_on(int number, siginfo_t *info, void *context)
{
	const struct sigaction *before = &process.before;

	if (before->sa_flags & SA_SIGINFO)
		before->sa_sigaction(number, info, context);
	else if (before->sa_handler != SIG_DFL && before->sa_handler != SIG_IGN)
		before->sa_handler(number);
	else {
		(void)signal(number, SIG_DFL); /* the instruction faults again, and that ends it */
		if (info->si_code <= 0)
			(void)raise(number); /* but somebody sent this one */
	}
}

static void on_fault(int number, siginfo_t *info, void *context)
{
	const struct wf_task *task = wf_task_self();

	if (task && task->stack &&
	    wf_stacks_overflowed(&task->worker->stacks, task->stack, info->si_addr))
		wf_panic(
			"task \"%s\" (function %s, spawned at %s) overflowed its stack of %zu KiB; "
			"end the recursion, or set weft_options.stack_bytes higher",
			task->name, task->function_name, task->site,
			(size_t)((const char *)task->stack - task->stack->low + 1023) / 1024);
	pass_on(number, info, context);
}

static void install_handler(void)
{
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };

	sigemptyset(&action.sa_mask);
	pthread_mutex_lock(&process.lock);
	if (process.users++ == 0)
		(void)sigaction(SIGSEGV, &action, &process.before); /* cannot fail */
	pthread_mutex_unlock(&process.lock);
}

static void remove_handler(void)
{
	pthread_mutex_lock(&process.lock);
	if (--process.users == 0) {
		struct sigaction now;

		(void)sigaction(SIGSEGV, NULL, &now); /* only asks */
		if (now.sa_flags & SA_SIGINFO && now.sa_sigaction == on_fault)
			(void)sigaction(SIGSEGV, &process.before, NULL); /* cannot fail */
	}
	pthread_mutex_unlock(&process.lock);
}

int wf_overflow_init(struct wf_overflow *overflow, struct wf_memory *memory)
{
	stack_t stack = { .ss_size = SIGNAL_STACK_BYTES };

	overflow->memory = memory;
	overflow->stack = NULL;
	(void)sigaltstack(NULL, &overflow->stack_before); /* only asks */
	if (overflow->stack_before.ss_flags & SS_DISABLE) {
		stack.ss_sp = overflow->stack = wf_memory_new(memory, SIGNAL_STACK_BYTES);
		if (!stack.ss_sp)
			return -ENOMEM;
		(void)sigaltstack(&stack, NULL); /* cannot fail: large enough, and not in use */
	}
	install_handler();
	return 0;
}

void wf_overflow_done(struct wf_overflow *overflow)
{
	remove_handler();
	if (overflow->stack)
		(void)sigaltstack(&overflow->stack_before, NULL);
	wf_memory_free(overflow->memory, overflow->stack, SIGNAL_STACK_BYTES);
}
