/* SPDX-License-Identifier: MIT */
/* The pool of stacks; core/stack.h tells how it works. */
#include "core/stack.h"

#include "base/assert.h"
#include "base/compiler.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

enum {
	STACK_BYTES_DEFAULT = 256 * 1024,
	STACK_BYTES_MIN = 16 * 1024,
	STACK_BYTES_MAX = 1 << 30,
	CANARY_BYTES = 64,
	HEADER_BYTES = (sizeof(struct wf_stack) + 63) / 64 * 64,
};

static size_t pages_for(size_t bytes, size_t page_bytes)
{
	return (bytes + page_bytes - 1) / page_bytes;
}

int wf_stacks_init(struct wf_stacks *stacks, struct wf_memory *memory,
		   const struct wf_stacks_options *options)
{
	size_t bytes = options->stack_bytes ? options->stack_bytes : STACK_BYTES_DEFAULT;
	size_t page = options->page_bytes, guard_pages, pages;

	wf_assert(page >= 4096 && (page & (page - 1)) == 0);
	if (bytes < STACK_BYTES_MIN || bytes > STACK_BYTES_MAX)
		return WEFT_EOPTION;
	guard_pages = pages_for(WF_GUARD_BYTES_MIN, page);
	pages = pages_for(bytes, page) + guard_pages;
	pages |= 1; /* an odd distance spreads the tops over the cache */
	*stacks = (struct wf_stacks){
		.memory = memory,
		.entry = options->entry,
		.guard_bytes = guard_pages * page,
		.slot_bytes = pages * page,
		.guard = options->guard,
		.guard_budget = options->guard_budget,
	};
	wf_list_init(&stacks->warm);
	return 0;
}

static uint32_t *cold_at(const struct wf_stacks *stacks, uint32_t position)
{
	return &stacks->slabs[position / WF_SLAB_SLOTS]->cold[position % WF_SLAB_SLOTS];
}

static char *slot_of(const struct wf_stacks *stacks, uint32_t number)
{
	return stacks->slabs[number / WF_SLAB_SLOTS]->base +
	       (size_t)(number % WF_SLAB_SLOTS) * stacks->slot_bytes;
}

static struct wf_stack *stack_of(const struct wf_stacks *stacks, uint32_t number)
{
	char *top = slot_of(stacks, number) + stacks->slot_bytes - HEADER_BYTES;

	return (struct wf_stack *)(void *)top;
}

/* Gives the memory of the warm stack that was used longest ago back to the kernel. */
static void cool_down(struct wf_stacks *stacks)
{
	struct wf_stack *stack = wf_container(stacks->warm.prev, struct wf_stack, free);
	uint32_t number = stack->number;

	wf_list_remove(&stack->free);
	stacks->warm_count--;
	*cold_at(stacks, stacks->cold_count++) = number;
	wf_fiber_done(&stack->fiber);
	/* Guards of either kind survive this. It fails for locked memory, which then stays. */
	(void)madvise(slot_of(stacks, number) + stacks->guard_bytes,
		      stacks->slot_bytes - stacks->guard_bytes, MADV_DONTNEED);
}

void wf_stacks_done(struct wf_stacks *stacks)
{
	for (struct wf_list *at = stacks->warm.next; at && at != &stacks->warm; at = at->next)
		wf_fiber_done(&wf_container(at, struct wf_stack, free)->fiber);
	for (uint32_t i = 0; i < stacks->slab_count; i++) {
		/* Unmapping a whole mapping cannot fail. */
		(void)munmap(stacks->slabs[i]->base, WF_SLAB_SLOTS * stacks->slot_bytes);
		wf_memory_free(stacks->memory, stacks->slabs[i], sizeof(struct wf_slab));
	}
	wf_memory_free(stacks->memory, stacks->slabs,
		       stacks->slab_capacity * sizeof *stacks->slabs);
	*stacks = (struct wf_stacks){ 0 };
}

static int grow_table(struct wf_stacks *stacks)
{
	uint32_t capacity = stacks->slab_capacity ? 2 * stacks->slab_capacity : 4;
	struct wf_slab **slabs =
		wf_memory_resize(stacks->memory, stacks->slabs,
				 stacks->slab_capacity * sizeof *slabs, capacity * sizeof *slabs);

	if (!slabs)
		return -ENOMEM;
	stacks->slabs = slabs;
	stacks->slab_capacity = capacity;
	return 0;
}

static int add_slab(struct wf_stacks *stacks)
{
	size_t bytes = WF_SLAB_SLOTS * stacks->slot_bytes;
	uint32_t first = stacks->slab_count * WF_SLAB_SLOTS;
	struct wf_slab *slab;

	if (stacks->slab_count == stacks->slab_capacity && grow_table(stacks) < 0)
		return -ENOMEM;
	slab = wf_memory_new(stacks->memory, sizeof *slab);
	if (!slab)
		return -ENOMEM;
	memset(slab->guarded, 0, sizeof slab->guarded);
	slab->base = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	if (slab->base == MAP_FAILED) {
		wf_memory_free(stacks->memory, slab, sizeof *slab);
		return -ENOMEM;
	}
	/* A huge page would give 30 stacks their memory at once. A kernel without huge pages refuses
	 * this, and may. */
	(void)madvise(slab->base, bytes, MADV_NOHUGEPAGE);
	stacks->slabs[stacks->slab_count++] = slab;
	for (uint32_t i = WF_SLAB_SLOTS; i-- > 0;) /* the lowest is to be taken first */
		*cold_at(stacks, stacks->cold_count++) = first + i;
	return 0;
}

int wf_stacks_reserve(struct wf_stacks *stacks, uint32_t count)
{
	while (wf_unlikely(stacks->warm_count + stacks->cold_count < count))
		if (add_slab(stacks) < 0)
			return -ENOMEM;
	return 0;
}

/* Puts the guard of a slot in place, by the best means that still works. */
static bool install_guard(struct wf_stacks *stacks, char *slot)
{
	if (stacks->guard == WEFT_GUARD_LIGHT) {
		if (madvise(slot, stacks->guard_bytes, MADV_GUARD_INSTALL) == 0)
			return true;
		stacks->guard = WEFT_GUARD_MPROTECT; /* locked memory, for one */
	}
	if (stacks->guard == WEFT_GUARD_MPROTECT) {
		if (stacks->guard_budget > 0 &&
		    mprotect(slot, stacks->guard_bytes, PROT_NONE) == 0) {
			stacks->guard_budget--;
			return true;
		}
		stacks->guard = WEFT_GUARD_CANARY;
	}
	return false;
}

static bool is_guarded(struct wf_stacks *stacks, uint32_t number)
{
	uint64_t *word = &stacks->slabs[number / WF_SLAB_SLOTS]->guarded[number / 64 % 4];
	uint64_t bit = 1ull << (number % 64);

	if (!(*word & bit) && install_guard(stacks, slot_of(stacks, number)))
		*word |= bit;
	return (*word & bit) != 0;
}

/* The first use of a stack, or of one whose memory was given back. */
static struct wf_stack *warm_up(struct wf_stacks *stacks, uint32_t number)
{
	struct wf_stack *stack = stack_of(stacks, number);

	wf_list_init(&stack->free);
	stack->number = number;
	stack->guarded = is_guarded(stacks, number);
	stack->low = slot_of(stacks, number) + stacks->guard_bytes;
	wf_fiber_init(&stack->fiber, stack->low, (size_t)((char *)stack - stack->low));
	wf_context_init(&stack->context, stack, stacks->entry, stack);
	return stack;
}

struct wf_stack *wf_stacks_take(struct wf_stacks *stacks)
{
	struct wf_list *first = stacks->warm.next;

	if (wf_unlikely(stacks->warm_count == 0)) {
		wf_assert(stacks->cold_count > 0);
		return warm_up(stacks, *cold_at(stacks, --stacks->cold_count));
	}
	wf_list_remove(first);
	if (--stacks->warm_count < stacks->unused_count)
		stacks->unused_count = stacks->warm_count;
	return wf_container(first, struct wf_stack, free);
}

void wf_stacks_give(struct wf_stacks *stacks, struct wf_stack *stack)
{
	wf_list_push_front(&stacks->warm, &stack->free);
	stacks->warm_count++;
}

uint32_t wf_stacks_trim(struct wf_stacks *stacks, uint32_t keep, uint32_t most)
{
	uint32_t count = stacks->warm_count > keep ? stacks->warm_count - keep : 0;

	count = count < stacks->unused_count ? count : stacks->unused_count;
	count = count < most ? count : most;
	for (uint32_t i = 0; i < count; i++)
		cool_down(stacks);
	stacks->unused_count -= count;
	if (count == 0)
		stacks->unused_count = stacks->warm_count;
	return count;
}

bool wf_stack_is_intact(const struct wf_stack *stack)
{
	static const char zeros[CANARY_BYTES];

	return stack->guarded || memcmp(stack->low, zeros, CANARY_BYTES) == 0;
}

bool wf_stacks_overflowed(const struct wf_stacks *stacks, const struct wf_stack *stack,
			  const void *address)
{
	uintptr_t guard = (uintptr_t)stack->low - stacks->guard_bytes;
	uintptr_t at = (uintptr_t)address;

	return at >= guard && at < guard + stacks->guard_bytes;
}
