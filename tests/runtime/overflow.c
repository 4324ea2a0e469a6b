/* SPDX-License-Identifier: MIT */
/* What happens to a task whose stack is too small, and to every other fault. */
#include "base/compiler.h"
#include "core/common.h"
#include "harness/harness.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <weft/run.h>

/* ---- Overflows ------------------------------------------------------------------------------- */

/* Uses more than 256 bytes of stack for each level, all of which are touched. */
static WF_NOINLINE int recurse(int levels)
{
	volatile char frame[256];
	int below = 0;

	for (size_t i = 0; i < sizeof frame; i++)
		frame[i] = (char)levels;
	if (levels > 0)
		below = recurse(levels - 1);
	return below + frame[levels % 256];
}

/* A program, and how its task overflows. */
struct program {
	const char *guard; /* WEFT_GUARD */
	size_t stack_bytes;
	int levels;
};

static int overflow(void *arg)
{
	const struct program *program = arg;

	weft_task_name_set("glutton");
	return recurse(program->levels) * 0;
}

static int spawn_glutton(void *program)
{
	struct weft_scope scope;

	weft_scope_open(&scope);
	wf_assert_result(weft_spawn(&scope, overflow, program), 0);
	return weft_scope_close(&scope);
}

static int run_program(void *arg)
{
	struct program *program = arg;
	struct weft_options options = { .stack_bytes = program->stack_bytes };

	ck_assert_int_eq(setenv("WEFT_GUARD", program->guard, 1), 0);
	return weft_run(spawn_glutton, program, &options);
}

enum { ENDLESS = 1 << 30, SMALL = 16 * 1024 };

/* The program dies, and says which task it was, what it ran, and where it was spawned. */
static void check_is_named(struct program program)
{
	struct wf_child child = wf_child(run_program, &program);

	ck_assert_int_eq(child.signal, SIGABRT);
	ck_assert_ptr_nonnull(strstr(child.errors, "\"glutton\""));
	ck_assert_ptr_nonnull(strstr(child.errors, "overflow"));
	ck_assert_ptr_nonnull(strstr(child.errors, "tests/runtime/overflow.c:"));
	ck_assert_ptr_nonnull(strstr(child.errors, "weft_options.stack_bytes"));
}

/* Endless recursion runs into the guard page, and the task is named: with the best guard there is. */
WF_TEST(endless_recursion_is_named)
{
	check_is_named((struct program){ "light", 0, ENDLESS });
	check_is_named((struct program){ "light", SMALL, ENDLESS });
}

/* The same with a guard page by mprotect. */
WF_TEST(endless_recursion_is_named_by_mprotect)
{
	check_is_named((struct program){ "mprotect", 0, ENDLESS });
	check_is_named((struct program){ "mprotect", SMALL, ENDLESS });
}

/* The message names the function of the task, and the size of its stack. */
WF_TEST(message_names_function_and_size)
{
	struct program program = { "light", 512 * 1024, ENDLESS };
	struct wf_child child = wf_child(run_program, &program);
	const char *size = strstr(child.errors, "its stack of ");
	long kib;

	ck_assert_ptr_nonnull(size);
	kib = strtol(size + strlen("its stack of "), NULL, 10);
	ck_assert_int_ge(kib, 512);
	ck_assert_int_le(kib, 512 + 2 * sysconf(_SC_PAGESIZE) / 1024); /* it is rounded up */
	ck_assert_ptr_nonnull(strstr(child.errors, "function overflow,"));
	ck_assert_ptr_eq(strchr(child.errors, '\n'), child.errors + strlen(child.errors) - 1);
}

/* Uses frames of several pages, and touches only the far end of each. */
static WF_NOINLINE int leap(int times)
{
	volatile char frame[48 * 1024];

	__asm__ volatile("" : : "r"(frame)); /* the compiler must not cut it to what is used */
	frame[0] = (char)times;
	return (times > 0 ? leap(times - 1) : 0) + frame[0];
}

static int overflow_in_leaps(void *arg)
{
	(void)arg;
	weft_task_name_set("glutton");
	return leap(8) * 0;
}

static int spawn_leaping_glutton(void *arg)
{
	struct weft_scope scope;

	weft_scope_open(&scope);
	for (int i = 0; i < 4; i++) /* with stacks above and below */
		wf_assert_result(weft_spawn(&scope, overflow_in_leaps, arg), 0);
	return weft_scope_close(&scope);
}

static int run_leaping_program(void *arg)
{
	struct weft_options options = { .stack_bytes = SMALL };

	return weft_run(spawn_leaping_glutton, arg, &options);
}

/* Large frames do not step over the guard: what is compiled with -fstack-clash-protection, as the
 * tests are, touches the stack on the way down at least as often as a guard is long. */
WF_TEST(large_frames_meet_the_guard)
{
	struct wf_child child = wf_child(run_leaping_program, NULL);

	ck_assert_int_eq(child.signal, SIGABRT);
	ck_assert_ptr_nonnull(strstr(child.errors, "\"glutton\""));
}

/* How deep to recurse to use a little more than a whole stack: by measuring a level. */
static int levels_of(size_t bytes)
{
	return (int)(bytes / 300);
}

/* With a canary the overflow is found when the task ends, if it was no more than a page. */
WF_TEST(canary_names_the_task_at_its_end)
{
	size_t most = SMALL + 3 * (size_t)sysconf(_SC_PAGESIZE);
	bool found = false;

	if (wf_on_valgrind())
		wf_skip("Valgrind lets nobody look below the stack pointer, where the canary is");
	for (int levels = levels_of(SMALL) / 4; !found && levels < levels_of(most); levels++) {
		struct program program = { "canary", SMALL, levels };
		struct wf_child child = wf_child(run_program, &program);

		if (child.status == 0)
			continue; /* it fits */
		check_is_named(program);
		found = true;
	}
	ck_assert(found);
}

/* A task that uses nearly all of its stack is left alone, with every guard. */
WF_TEST(full_stack_is_no_overflow)
{
	static const char *const guards[] = { "light", "mprotect", "canary" };

	/* Valgrind lets nobody look below the stack pointer, where the canary is. */
	for (int i = 0; i < 3 - wf_on_valgrind(); i++) {
		struct program program = { guards[i], 256 * 1024, 256 * 1024 / 2 / 512 };

		ck_assert_int_eq(wf_child(run_program, &program).status, 0);
	}
}

/* ---- Other faults ---------------------------------------------------------------------------- */

static volatile char *forbidden;

static int touch_forbidden(void *arg)
{
	forbidden = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne((const void *)(uintptr_t)forbidden, MAP_FAILED);
	*forbidden = 1;
	return arg != NULL;
}

static int fault_by_default(void *arg)
{
	(void)signal(SIGSEGV, SIG_DFL); /* a sanitizer would have its own */
	return weft_run(touch_forbidden, arg, NULL);
}

/* A fault that is no overflow ends the program as it would have without the runtime. */
WF_TEST(other_fault_is_deadly)
{
	struct wf_child child = wf_child(fault_by_default, NULL);

	ck_assert_int_eq(child.signal, SIGSEGV);
	ck_assert_str_eq(child.errors, "");
}

static int raise_in_a_task(void *arg)
{
	(void)raise(SIGSEGV);
	return arg != NULL;
}

static int raise_by_default(void *arg)
{
	(void)signal(SIGSEGV, SIG_DFL);
	return weft_run(raise_in_a_task, arg, NULL);
}

/* A SIGSEGV that somebody sent is as deadly as it would have been. */
WF_TEST(sent_signal_is_deadly)
{
	ck_assert_int_eq(wf_child(raise_by_default, NULL).signal, SIGSEGV);
}

static void skip_on_valgrind(void)
{
	if (wf_on_valgrind())
		wf_skip("Valgrind takes the fault itself for an error");
}

static void exit_with_number(int number)
{
	_exit(number == SIGSEGV ? 40 : 1);
}

static void exit_with_address(int number, siginfo_t *info, void *context)
{
	_exit(number == SIGSEGV && info->si_addr == (const void *)(uintptr_t)forbidden && context ?
		      41 :
		      1);
}

static int install_handler(void *with_info)
{
	struct sigaction action = { .sa_handler = exit_with_number };

	if (*(bool *)with_info) {
		action.sa_sigaction = exit_with_address;
		action.sa_flags = SA_SIGINFO;
	}
	ck_assert_int_eq(sigaction(SIGSEGV, &action, NULL), 0);
	return 0;
}

static int fault_with_handler(void *arg)
{
	(void)install_handler(arg);
	return weft_run(touch_forbidden, NULL, NULL);
}

/* A fault that is no overflow goes to the handler that was there before, of either kind. */
WF_TEST(other_fault_is_passed_on)
{
	skip_on_valgrind();
	ck_assert_int_eq(wf_child(fault_with_handler, &(bool){ false }).status, 40);
	ck_assert_int_eq(wf_child(fault_with_handler, &(bool){ true }).status, 41);
}

static int fault_outside_a_task(void *arg)
{
	struct sigaction action = { .sa_handler = exit_with_number };
	int r;

	ck_assert_int_eq(sigaction(SIGSEGV, &action, NULL), 0);
	r = weft_run(raise_in_a_task, NULL, &(struct weft_options){ .stack_bytes = 1 });
	wf_assert_result(r, WEFT_EOPTION);
	return touch_forbidden(arg);
}

/* After a weft_run that failed, the handler that was there before is in charge. */
WF_TEST(handler_is_in_charge_after_a_failure)
{
	skip_on_valgrind();
	ck_assert_int_eq(wf_child(fault_outside_a_task, NULL).status, 40);
}

/* ---- Putting back ---------------------------------------------------------------------------- */

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

/* After weft_run the handler is the one that was there before. */
WF_TEST(handler_is_restored)
{
	struct sigaction before = { .sa_handler = exit_with_number }, after;

	sigaddset(&before.sa_mask, SIGUSR1);
	ck_assert_int_eq(sigaction(SIGSEGV, &before, NULL), 0);
	RUN(nothing);
	ck_assert_int_eq(sigaction(SIGSEGV, NULL, &after), 0);
	ck_assert(after.sa_handler == exit_with_number);
	ck_assert_int_eq(sigismember(&after.sa_mask, SIGUSR1), 1);
}

/* A handler that the program installs inside weft_run, of either kind, is there after it, too. */
WF_TEST(handler_of_the_program_survives)
{
	struct sigaction after;

	wf_run_test(install_handler, &(bool){ false });
	ck_assert_int_eq(sigaction(SIGSEGV, NULL, &after), 0);
	ck_assert(after.sa_handler == exit_with_number);
	wf_run_test(install_handler, &(bool){ true });
	ck_assert_int_eq(sigaction(SIGSEGV, NULL, &after), 0);
	ck_assert(after.sa_sigaction == exit_with_address);
}

/* After weft_run a thread without a signal stack has none again. */
WF_TEST(no_signal_stack_is_restored)
{
	stack_t none = { .ss_flags = SS_DISABLE }, after;

	ck_assert_int_eq(sigaltstack(&none, NULL), 0);
	RUN(nothing);
	ck_assert_int_eq(sigaltstack(NULL, &after), 0);
	ck_assert_int_eq(after.ss_flags, SS_DISABLE);
}

static char own_stack[64 * 1024];

static int expect_own_stack(void *arg)
{
	stack_t now;

	ck_assert_int_eq(sigaltstack(NULL, &now), 0);
	ck_assert_ptr_eq(now.ss_sp, own_stack);
	return arg != NULL;
}

/* A thread's own signal stack stays in place, during and after weft_run. */
WF_TEST(own_signal_stack_is_kept)
{
	stack_t own = { .ss_sp = own_stack, .ss_size = sizeof own_stack };

	ck_assert_int_eq(sigaltstack(&own, NULL), 0);
	RUN(expect_own_stack);
	wf_assert_result(expect_own_stack(NULL), 0);
}

WF_MAIN("runtime/overflow")
