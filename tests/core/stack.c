/* SPDX-License-Identifier: MIT */
#include "core/stack.h"

#include "base/compiler.h"
#include "harness/harness.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* The least page of any kernel, and the largest. A kernel with large pages only asks for more: a pool
 * that is right for one works on any. */
enum { PAGE = 4096, PAGE_MAX = 64 * 1024, ALL = 1 << 30 };

/* A pool under test. Each stack that is taken is entered once, as the scheduler would: the tools
 * know only stacks that have run. */
static struct wf_tally tally;
static struct wf_memory memory;
static struct wf_stacks stacks;
static struct wf_context test_context;
static struct wf_fiber test_fiber;
static struct wf_fiber *left;

static void stand_by(void *arg)
{
	struct wf_stack *stack = arg;

	wf_fiber_enter(&stack->fiber, left);
	for (;;)
		(void)wf_fiber_switch(&left, &stack->fiber, &test_fiber, &stack->context,
				      &test_context);
}

static size_t kernel_page(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static void begin(struct wf_stacks_options options)
{
	options.entry = stand_by;
	if (!options.page_bytes)
		options.page_bytes = kernel_page();
	wf_memory_init(&memory, wf_tally_resize, &tally);
	wf_fiber_init_thread(&test_fiber);
	wf_assert_result(wf_stacks_init(&stacks, &memory, &options), 0);
}

static void end(void)
{
	wf_stacks_done(&stacks);
	ck_assert_uint_eq(memory.bytes_used, 0);
	ck_assert_uint_eq(tally.bytes, 0);
}

static struct wf_stack *take(void)
{
	struct wf_stack *stack;

	wf_assert_result(wf_stacks_reserve(&stacks, 1), 0);
	stack = wf_stacks_take(&stacks);
	(void)wf_fiber_switch(&left, &test_fiber, &stack->fiber, &test_context, &stack->context);
	return stack;
}

static size_t usable_bytes(const struct wf_stack *stack)
{
	return (size_t)((const char *)stack - stack->low);
}

/* Writes to each page of a stack, from the lowest byte on. */
static void touch(struct wf_stack *stack)
{
	for (char *byte = stack->low; byte < (char *)stack; byte += PAGE)
		*(volatile char *)byte = 1;
	((volatile char *)stack)[-1] = 1;
}

/* ---- Sizes ----------------------------------------------------------------------------------- */

/* Sizes below the least and above the greatest are refused. */
WF_TEST(bad_sizes_are_refused)
{
	static const size_t bad[] = { 1, 16 * 1024 - 1, ((size_t)1 << 30) + 1, SIZE_MAX };

	wf_memory_init(&memory, wf_tally_resize, &tally);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct wf_stacks_options options = { .stack_bytes = bad[i],
						     .page_bytes = kernel_page(),
						     .entry = stand_by };

		wf_assert_result(wf_stacks_init(&stacks, &memory, &options), WEFT_EOPTION);
	}
	ck_assert_uint_eq(tally.calls, 0);
}

static void check_size(size_t stack_bytes, size_t page)
{
	size_t wanted = stack_bytes ? stack_bytes : 256 * 1024;
	struct wf_stack *stack;

	begin((struct wf_stacks_options){ .stack_bytes = stack_bytes, .page_bytes = page });
	stack = take();
	ck_assert_uint_ge(usable_bytes(stack) + 256, wanted);
	ck_assert_uint_lt(usable_bytes(stack), wanted + 2 * page);
	ck_assert_uint_eq((uintptr_t)stack % 16, 0);
	touch(stack);
	wf_stacks_give(&stacks, stack);
	end();
}

/* A stack is as large as it was asked for, but for the block at its top, and less than two pages
 * larger; by default 256 KiB. */
WF_TEST(stacks_have_their_size)
{
	static const size_t sizes[] = { 0, 16 * 1024, 16 * 1024 + 1, 100 * 1000, 1 << 20 };

	for (size_t page = kernel_page(); page <= PAGE_MAX; page *= 2) {
		for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
			check_size(sizes[i], page);
	}
}

static void check_distance(size_t stack_bytes, size_t page)
{
	struct wf_stack *a, *b;
	size_t distance;

	begin((struct wf_stacks_options){ .stack_bytes = stack_bytes, .page_bytes = page });
	a = take();
	b = take();
	ck_assert(b > a);
	distance = (size_t)((char *)b - (char *)a);
	ck_assert_uint_eq(distance % page, 0);
	ck_assert_uint_eq(distance / page % 2, 1);
	wf_stacks_give(&stacks, a);
	wf_stacks_give(&stacks, b);
	end();
}

/* Stacks lie an odd number of pages apart, so that their tops do not compete in the cache. */
WF_TEST(stacks_lie_an_odd_distance_apart)
{
	for (size_t page = kernel_page(); page <= PAGE_MAX; page *= 2) {
		for (size_t bytes = 16 * 1024; bytes < 4 * page; bytes += PAGE)
			check_distance(bytes, page);
	}
}

/* A guard is whole pages, and no smaller than what large frames are probed by. */
WF_TEST(guards_are_whole_pages)
{
	for (size_t page = kernel_page(); page <= PAGE_MAX; page *= 2) {
		begin((struct wf_stacks_options){ .page_bytes = page });
		ck_assert_uint_eq(stacks.guard_bytes % page, 0);
		ck_assert_uint_ge(stacks.guard_bytes, WF_GUARD_BYTES_MIN);
		ck_assert_uint_lt(stacks.guard_bytes, WF_GUARD_BYTES_MIN + page);
		end();
	}
}

/* ---- The pool -------------------------------------------------------------------------------- */

/* The stack given back last is taken first. */
WF_TEST(reuse_is_last_in_first_out)
{
	struct wf_stack *a, *b, *c;

	begin((struct wf_stacks_options){ 0 });
	a = take();
	b = take();
	c = take();
	wf_stacks_give(&stacks, b);
	wf_stacks_give(&stacks, a);
	wf_stacks_give(&stacks, c);
	ck_assert_ptr_eq(take(), c);
	ck_assert_ptr_eq(take(), a);
	ck_assert_ptr_eq(take(), b);
	wf_stacks_give(&stacks, a);
	wf_stacks_give(&stacks, b);
	wf_stacks_give(&stacks, c);
	end();
}

static int compare_address(const void *a, const void *b)
{
	const char *left_one = *(char *const *)a, *right_one = *(char *const *)b;

	return (left_one > right_one) - (left_one < right_one);
}

/* As many stacks as were reserved can be taken, over several slabs, and none overlaps another. */
WF_TEST(reserved_stacks_can_be_taken)
{
	enum { COUNT = 2 * WF_SLAB_SLOTS + 1 };
	static struct wf_stack *taken[COUNT];
	static char *lows[COUNT];

	begin((struct wf_stacks_options){ .stack_bytes = 16 * 1024 });
	wf_assert_result(wf_stacks_reserve(&stacks, COUNT), 0);
	ck_assert_uint_eq(stacks.slab_count, 3);
	for (int i = 0; i < COUNT; i++) {
		taken[i] = wf_stacks_take(&stacks);
		(void)wf_fiber_switch(&left, &test_fiber, &taken[i]->fiber, &test_context,
				      &taken[i]->context);
		lows[i] = taken[i]->low;
		touch(taken[i]);
	}
	qsort(lows, COUNT, sizeof *lows, compare_address);
	for (int i = 1; i < COUNT; i++)
		ck_assert_int_ge(lows[i] - lows[i - 1], (ptrdiff_t)stacks.slot_bytes);
	for (int i = 0; i < COUNT; i++)
		wf_stacks_give(&stacks, taken[i]);
	end();
}

/* Reserving what is free already takes no memory. */
WF_TEST(reserve_is_idempotent)
{
	unsigned long calls;

	begin((struct wf_stacks_options){ 0 });
	wf_assert_result(wf_stacks_reserve(&stacks, 100), 0);
	calls = tally.calls;
	wf_assert_result(wf_stacks_reserve(&stacks, 100), 0);
	wf_assert_result(wf_stacks_reserve(&stacks, 1), 0);
	ck_assert_uint_eq(tally.calls, calls);
	end();
}

/* ---- Memory that is short -------------------------------------------------------------------- */

/* When an allocation fails, reserving fails, nothing is left behind, and it works the next time. */
WF_TEST(failed_allocation_leaves_nothing)
{
	tally = (struct wf_tally){ .fails_at = 1 };
	begin((struct wf_stacks_options){ 0 });
	wf_assert_result(wf_stacks_reserve(&stacks, 1), -ENOMEM);
	wf_assert_result(wf_stacks_reserve(&stacks, 1), 0);
	wf_stacks_give(&stacks, take());
	end();
}

/* When a slab cannot be mapped, reserving fails and what is there can be used. */
WF_TEST(failed_mapping_leaves_nothing)
{
	size_t before;

	begin((struct wf_stacks_options){ 0 });
	wf_assert_result(wf_stacks_reserve(&stacks, 1), 0);
	before = tally.bytes;
	wf_limit_address_space(64 * WF_SLAB_SLOTS * PAGE / 2);
	wf_assert_result(wf_stacks_reserve(&stacks, WF_SLAB_SLOTS + 1), -ENOMEM);
	wf_limit_address_space(SIZE_MAX);
	ck_assert_uint_eq(tally.bytes, before);
	wf_stacks_give(&stacks, take());
	end();
}

/* ---- Guards ---------------------------------------------------------------------------------- */

static const struct wf_stacks_options light = { .guard = WEFT_GUARD_LIGHT };
static const struct wf_stacks_options by_mprotect = { .guard = WEFT_GUARD_MPROTECT,
						      .guard_budget = 10 };
static const struct wf_stacks_options by_canary = { .guard = WEFT_GUARD_CANARY };

/* Writes to the byte below the stack. In a child process. */
static int write_below(void *low)
{
	(void)signal(SIGSEGV, SIG_DFL); /* a sanitizer would report and exit */
	((volatile char *)low)[-1] = 1;
	return 0;
}

static void check_guard_faults(struct wf_stack *stack)
{
	ck_assert(stack->guarded);
	ck_assert_int_eq(wf_child(write_below, stack->low).signal, SIGSEGV);
}

/* An emulator may accept the advice and do nothing. */
static bool light_guards_work(void)
{
	size_t bytes = kernel_page();
	char *page = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool work;

	ck_assert_ptr_ne(page, MAP_FAILED);
	work = madvise(page, bytes, MADV_GUARD_INSTALL) == 0 &&
	       wf_child(write_below, page + 1).signal == SIGSEGV;
	ck_assert_int_eq(munmap(page, bytes), 0);
	return work;
}

static void begin_light(void)
{
	if (!light_guards_work())
		wf_skip("the kernel has no light guard pages");
	begin(light);
	wf_stacks_give(&stacks, take());
	ck_assert_int_eq(stacks.guard, WEFT_GUARD_LIGHT);
}

/* A light guard faults, also after trimming. */
WF_TEST(light_guard_faults)
{
	struct wf_stack *stack;
	char *low;

	begin_light();
	stack = take();
	low = stack->low;
	check_guard_faults(stack);
	wf_stacks_give(&stacks, stack);
	(void)wf_stacks_trim(&stacks, 0, ALL);
	ck_assert_uint_eq(wf_stacks_trim(&stacks, 0, ALL), 1);
	ck_assert_int_eq(wf_child(write_below, low).signal, SIGSEGV);
	end();
}

/* A guard made by mprotect faults, from one end to the other. */
WF_TEST(mprotect_guard_faults)
{
	for (size_t page = kernel_page(); page <= PAGE_MAX; page *= 2) {
		struct wf_stacks_options options = by_mprotect;
		struct wf_stack *stack;
		char *lowest;

		options.page_bytes = page;
		begin(options);
		stack = take();
		ck_assert_int_eq(stacks.guard, WEFT_GUARD_MPROTECT);
		check_guard_faults(stack);
		lowest = stack->low - stacks.guard_bytes;
		ck_assert_int_eq(wf_child(write_below, lowest + 1).signal, SIGSEGV);
		touch(stack);
		wf_stacks_give(&stacks, stack);
		end();
	}
}

/* When the budget of mprotect guards is spent, the next stacks have a canary, and those before keep
 * their guard. */
WF_TEST(spent_budget_leaves_a_canary)
{
	struct wf_stacks_options options = by_mprotect;
	struct wf_stack *taken[3];

	options.guard_budget = 2;
	begin(options);
	for (int i = 0; i < 3; i++)
		taken[i] = take();
	check_guard_faults(taken[0]);
	check_guard_faults(taken[1]);
	ck_assert(!taken[2]->guarded);
	ck_assert_int_eq(stacks.guard, WEFT_GUARD_CANARY);
	for (int i = 0; i < 3; i++)
		wf_stacks_give(&stacks, taken[i]);
	end();
}

/* A stack whose guard was paid for keeps it when it is used again. */
WF_TEST(guard_is_paid_for_once)
{
	struct wf_stacks_options options = by_mprotect;

	options.guard_budget = 1;
	begin(options);
	for (int i = 0; i < 5; i++) {
		struct wf_stack *stack = take();

		ck_assert(stack->guarded);
		wf_stacks_give(&stacks, stack);
	}
	end();
}

/* The canary tells of a write to the lowest bytes of the stack. */
WF_TEST(canary_tells)
{
	struct wf_stack *stack;

	begin(by_canary);
	stack = take();
	ck_assert(!stack->guarded);
	ck_assert(wf_stack_is_intact(stack));
	stack->low[1000] = 1;
	ck_assert(wf_stack_is_intact(stack));
	stack->low[0] = 1;
	ck_assert(!wf_stack_is_intact(stack));
	wf_stacks_give(&stacks, stack);
	end();
}

/* An address in the guard is an overflow, and one on either side of it is not. */
WF_TEST(overflow_is_told_by_the_address)
{
	for (size_t page = kernel_page(); page <= PAGE_MAX; page *= 2) {
		struct wf_stacks_options options = by_mprotect;
		struct wf_stack *stack;
		char *lowest;

		options.page_bytes = page;
		begin(options);
		stack = take();
		lowest = stack->low - stacks.guard_bytes;
		ck_assert(wf_stacks_overflowed(&stacks, stack, stack->low - 1));
		ck_assert(wf_stacks_overflowed(&stacks, stack, lowest));
		ck_assert(!wf_stacks_overflowed(&stacks, stack, stack->low));
		ck_assert(!wf_stacks_overflowed(&stacks, stack, lowest - 1));
		ck_assert(!wf_stacks_overflowed(&stacks, stack, NULL));
		wf_stacks_give(&stacks, stack);
		end();
	}
}

/* ---- Trimming -------------------------------------------------------------------------------- */

enum { TRIMMED = 40 };

static char *first_slab(void)
{
	return wf_container(wf_list_first(&stacks.slabs), struct wf_slab, node)->base;
}

/* qemu-user passes the question on, and so counts the pages of the kernel that it runs on. */
static void need_honest_mincore(void)
{
	unsigned char seen[2] = { 0, 2 };

	ck_assert_int_eq(mincore(first_slab(), kernel_page(), seen), 0);
	if (seen[1] != 2)
		wf_skip("the emulator counts pages of another size");
}

/* Pages of all the slabs that hold memory. */
static size_t resident_pages(void)
{
	static unsigned char resident[WF_SLAB_SLOTS * 128];
	size_t bytes = WF_SLAB_SLOTS * stacks.slot_bytes, pages = bytes / kernel_page(), count = 0;

	need_honest_mincore();
	ck_assert_uint_eq(stacks.slab_count, 1);
	ck_assert_uint_le(pages, sizeof resident);
	ck_assert_int_eq(
		mincore(wf_container(wf_list_first(&stacks.slabs), struct wf_slab, node)->base,
			bytes, resident),
		0);
	for (size_t i = 0; i < pages; i++)
		count += resident[i] & 1;
	return count;
}

/* Takes so many stacks, uses all of each, and gives them back. */
static void use_stacks(int count)
{
	struct wf_stack *taken[TRIMMED];

	for (int i = 0; i < count; i++) {
		taken[i] = take();
		touch(taken[i]);
	}
	for (int i = 0; i < count; i++)
		wf_stacks_give(&stacks, taken[i]);
}

static void check_trim(size_t page)
{
	enum { KEEP = 5 };
	size_t pages_each;

	begin((struct wf_stacks_options){ .page_bytes = page, .guard = WEFT_GUARD_CANARY });
	use_stacks(TRIMMED);
	pages_each = (stacks.slot_bytes - stacks.guard_bytes) / kernel_page();
	ck_assert_uint_eq(resident_pages(), TRIMMED * pages_each);
	ck_assert_uint_eq(wf_stacks_trim(&stacks, KEEP, ALL), 0); /* all were used just now */
	ck_assert_uint_eq(wf_stacks_trim(&stacks, KEEP, ALL), TRIMMED - KEEP);
	ck_assert_uint_eq(stacks.warm_count, KEEP);
	ck_assert_uint_eq(resident_pages(), KEEP * pages_each);
	end();
}

/* Stacks that were not used for a whole period give their memory back, all but those to keep. */
WF_TEST(trim_gives_memory_back)
{
	for (size_t page = kernel_page(); page <= PAGE_MAX; page *= 2)
		check_trim(page);
}

/* Stacks that are in use again and again keep their memory. */
WF_TEST(trim_spares_what_is_used)
{
	begin((struct wf_stacks_options){ .guard = WEFT_GUARD_CANARY });
	use_stacks(TRIMMED);
	for (int period = 0; period < 3; period++) {
		while (wf_stacks_trim(&stacks, 0, ALL) > 0)
			continue;
		use_stacks(TRIMMED / 2);
	}
	ck_assert_uint_ge(stacks.warm_count, TRIMMED / 2 - 1);
	ck_assert_uint_lt(stacks.warm_count, TRIMMED);
	end();
}

/* One call gives back no more than it was allowed to. */
WF_TEST(trim_is_bounded)
{
	begin((struct wf_stacks_options){ .guard = WEFT_GUARD_CANARY });
	use_stacks(TRIMMED);
	(void)wf_stacks_trim(&stacks, 0, ALL);
	ck_assert_uint_eq(wf_stacks_trim(&stacks, 0, 3), 3);
	ck_assert_uint_eq(stacks.warm_count, TRIMMED - 3);
	end();
}

/* A stack that was trimmed can be used again, and its memory is clean. */
WF_TEST(trimmed_stack_can_be_used)
{
	struct wf_stack *taken[TRIMMED];

	begin((struct wf_stacks_options){ .guard = WEFT_GUARD_CANARY });
	use_stacks(TRIMMED);
	(void)wf_stacks_trim(&stacks, 0, ALL);
	ck_assert_uint_gt(wf_stacks_trim(&stacks, 0, ALL), 0);
	for (int i = 0; i < TRIMMED; i++) {
		taken[i] = take();
		ck_assert(taken[i]->low[0] == 0);
		touch(taken[i]);
	}
	for (int i = 0; i < TRIMMED; i++)
		wf_stacks_give(&stacks, taken[i]);
	end();
}

/* ---- Slabs that are given back --------------------------------------------------------------- */

enum { SLABS = 3 };

/* Uses all stacks of so many slabs, and leaves them cold. */
static void use_slabs(int count)
{
	static struct wf_stack *taken[SLABS * WF_SLAB_SLOTS];

	ck_assert_int_le(count, SLABS);
	for (int i = 0; i < count * WF_SLAB_SLOTS; i++)
		taken[i] = take();
	for (int i = 0; i < count * WF_SLAB_SLOTS; i++)
		wf_stacks_give(&stacks, taken[i]);
	(void)wf_stacks_trim(&stacks, 0, ALL);
	(void)wf_stacks_trim(&stacks, 0, ALL);
	ck_assert_uint_eq(stacks.warm_count, 0);
	ck_assert_uint_eq(stacks.slab_count, (uint32_t)count);
}

/* Slabs of nothing but cold stacks are released, so many at a time, down to the last one. */
WF_TEST(empty_slabs_are_released)
{
	begin((struct wf_stacks_options){ .stack_bytes = 16 * 1024, .guard = WEFT_GUARD_CANARY });
	use_slabs(SLABS);
	ck_assert_uint_eq(wf_stacks_release(&stacks, 0, 1), 1);
	ck_assert_uint_eq(stacks.slab_count, SLABS - 1);
	ck_assert_uint_eq(wf_stacks_release(&stacks, 0, 8), SLABS - 2);
	ck_assert_uint_eq(wf_stacks_release(&stacks, 0, 8), 0);
	ck_assert_uint_eq(stacks.slab_count, 1);
	ck_assert_uint_eq(stacks.cold_count, WF_SLAB_SLOTS);
	wf_stacks_give(&stacks, take());
	end();
}

/* The stacks that have been promised stay. */
WF_TEST(promised_stacks_are_not_released)
{
	begin((struct wf_stacks_options){ .stack_bytes = 16 * 1024, .guard = WEFT_GUARD_CANARY });
	use_slabs(SLABS);
	ck_assert_uint_eq(wf_stacks_release(&stacks, 2 * WF_SLAB_SLOTS + 1, 8), 0);
	ck_assert_uint_eq(wf_stacks_release(&stacks, WF_SLAB_SLOTS + 1, 8), 1);
	ck_assert_uint_eq(wf_stacks_release(&stacks, WF_SLAB_SLOTS, 8), 1);
	ck_assert_uint_eq(stacks.slab_count, 1);
	end();
}

/* A slab stays while one of its stacks is in use or warm. */
WF_TEST(slabs_in_use_are_not_released)
{
	struct wf_stack *taken;

	begin((struct wf_stacks_options){ .stack_bytes = 16 * 1024, .guard = WEFT_GUARD_CANARY });
	use_slabs(SLABS);
	taken = take();
	ck_assert_uint_eq(wf_stacks_release(&stacks, 0, 8), SLABS - 1);
	touch(taken);
	wf_stacks_give(&stacks, taken);
	ck_assert_uint_eq(wf_stacks_release(&stacks, 0, 8), 0);
	end();
}

/* With a slab go its guards, and others can be made by mprotect instead, also when the budget had been
 * spent. */
WF_TEST(budget_comes_back_with_the_slab)
{
	enum { BUDGET = WF_SLAB_SLOTS + 20 };

	begin((struct wf_stacks_options){
		.stack_bytes = 16 * 1024, .guard = WEFT_GUARD_MPROTECT, .guard_budget = BUDGET });
	use_slabs(2);
	ck_assert_int_eq(stacks.guard, WEFT_GUARD_CANARY);
	ck_assert_uint_eq(stacks.guard_budget, 0);
	ck_assert_uint_eq(wf_stacks_release(&stacks, 0, 8), 1);
	ck_assert_int_eq(stacks.guard, WEFT_GUARD_MPROTECT);
	/* One slab had all its guards, the other the rest. */
	ck_assert(stacks.guard_budget == WF_SLAB_SLOTS ||
		  stacks.guard_budget == BUDGET - WF_SLAB_SLOTS);
	end();
}

/* Light guards have cost nothing, so nothing comes back with them, though mprotect is the means now. */
WF_TEST(light_guards_give_no_budget)
{
	begin_light();
	stacks.guard_budget = 10;
	use_slabs(2);
	stacks.guard = WEFT_GUARD_MPROTECT; /* as when a light guard could not be made */
	ck_assert_uint_eq(wf_stacks_release(&stacks, 0, 8), 1);
	ck_assert_uint_eq(stacks.guard_budget, 10);
	end();
}

WF_MAIN("core/stack")
