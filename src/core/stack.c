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
		.page_bytes = page,
		.guard_bytes = guard_pages * page,
		.slot_bytes = pages * page,
		.guard = options->guard,
		.guard_budget = options->guard_budget,
	};
	wf_list_init(&stacks->warm);
	wf_list_init(&stacks->slabs);
	wf_list_init(&stacks->full_slabs);
	return 0;
}

static struct wf_stack *stack_of(char *slot, size_t slot_bytes)
{
	return (struct wf_stack *)(void *)(slot + slot_bytes - HEADER_BYTES);
}

static char *slot_of(const struct wf_stacks *stacks, const struct wf_slab *slab, uint32_t slot)
{
	return slab->base + slot * stacks->slot_bytes;
}

/* ---- Cold stacks ----------------------------------------------------------------------------- */

static void add_cold(struct wf_stacks *stacks, struct wf_slab *slab, uint32_t slot)
{
	slab->cold[slot / 64] |= 1ull << (slot % 64);
	stacks->cold_count++;
	slab->cold_count++;
	if (slab->cold_count != 1 && slab->cold_count != WF_SLAB_SLOTS)
		return;
	wf_list_remove(&slab->node);
	if (slab->cold_count == 1)
		wf_list_push_front(&stacks->slabs, &slab->node);
	else
		wf_list_push_back(&stacks->slabs, &slab->node);
}

/* Takes the lowest cold stack of the first slab; there is one. */
static uint32_t take_cold(struct wf_stacks *stacks, struct wf_slab *slab)
{
	uint32_t word = 0, bit;

	while (slab->cold[word] == 0)
		word++;
	bit = (uint32_t)__builtin_ctzll(slab->cold[word]);
	slab->cold[word] &= slab->cold[word] - 1;
	stacks->cold_count--;
	if (--slab->cold_count == 0) {
		wf_list_remove(&slab->node);
		wf_list_push_back(&stacks->full_slabs, &slab->node);
	}
	return word * 64 + bit;
}

/* Gives the memory of the warm stack that was used longest ago back to the kernel. */
static void cool_down(struct wf_stacks *stacks)
{
	struct wf_stack *stack = wf_container(stacks->warm.prev, struct wf_stack, free);
	struct wf_slab *slab = stack->slab;
	uint32_t slot = stack->slot;

	wf_list_remove(&stack->free);
	stacks->warm_count--;
	wf_fiber_done(&stack->fiber);
	/* Guards of either kind survive this. It fails for locked memory, which then stays. */
	(void)madvise(slot_of(stacks, slab, slot) + stacks->guard_bytes,
		      stacks->slot_bytes - stacks->guard_bytes, MADV_DONTNEED);
	add_cold(stacks, slab, slot);
}

/* ---- Slabs ----------------------------------------------------------------------------------- */

/* The mappings that its guards have cost are free for others. */
static void regain_guards(struct wf_stacks *stacks, const struct wf_slab *slab)
{
	if (stacks->guard == WEFT_GUARD_LIGHT || slab->guard_count == 0)
		return;
	stacks->guard_budget += slab->guard_count;
	stacks->guard = WEFT_GUARD_MPROTECT;
}

static void free_slab(struct wf_stacks *stacks, struct wf_slab *slab)
{
	regain_guards(stacks, slab);
	wf_list_remove(&slab->node);
	/* Unmapping a whole mapping cannot fail. */
	(void)munmap(slab->base, WF_SLAB_SLOTS * stacks->slot_bytes);
	wf_memory_free(stacks->memory, slab, sizeof *slab);
	stacks->slab_count--;
}

static void free_slabs(struct wf_stacks *stacks, struct wf_list *slabs)
{
	while (!wf_list_is_empty(slabs))
		free_slab(stacks, wf_container(slabs->next, struct wf_slab, node));
}

void wf_stacks_done(struct wf_stacks *stacks)
{
	if (!stacks->memory)
		return;
	for (struct wf_list *at = stacks->warm.next; at != &stacks->warm; at = at->next)
		wf_fiber_done(&wf_container(at, struct wf_stack, free)->fiber);
	free_slabs(stacks, &stacks->slabs);
	free_slabs(stacks, &stacks->full_slabs);
	*stacks = (struct wf_stacks){ 0 };
}

static int add_slab(struct wf_stacks *stacks)
{
	size_t bytes = WF_SLAB_SLOTS * stacks->slot_bytes;
	struct wf_slab *slab = wf_memory_new(stacks->memory, sizeof *slab);

	if (!slab)
		return -ENOMEM;
	*slab = (struct wf_slab){ .cold_count = WF_SLAB_SLOTS };
	slab->base = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	if (slab->base == MAP_FAILED) {
		wf_memory_free(stacks->memory, slab, sizeof *slab);
		return -ENOMEM;
	}
	/* A huge page would give 30 stacks their memory at once. A kernel without huge pages refuses
	 * this, and may. */
	(void)madvise(slab->base, bytes, MADV_NOHUGEPAGE);
	memset(slab->cold, 0xff, sizeof slab->cold);
	wf_list_init(&slab->node);
	wf_list_push_back(&stacks->slabs, &slab->node);
	stacks->slab_count++;
	stacks->cold_count += WF_SLAB_SLOTS;
	return 0;
}

uint32_t wf_stacks_release(struct wf_stacks *stacks, uint32_t count, uint32_t most)
{
	uint32_t released = 0;

	while (released < most && stacks->slab_count > 1 &&
	       stacks->warm_count + stacks->cold_count >= count + WF_SLAB_SLOTS) {
		struct wf_list *last = wf_list_last(&stacks->slabs);
		struct wf_slab *slab = last ? wf_container(last, struct wf_slab, node) : NULL;

		if (!slab || slab->cold_count < WF_SLAB_SLOTS)
			break;
		stacks->cold_count -= WF_SLAB_SLOTS;
		free_slab(stacks, slab);
		released++;
	}
	return released;
}

int wf_stacks_reserve(struct wf_stacks *stacks, uint32_t count)
{
	while (wf_unlikely(stacks->warm_count + stacks->cold_count < count))
		if (add_slab(stacks) < 0)
			return -ENOMEM;
	return 0;
}

/* ---- Stacks ---------------------------------------------------------------------------------- */

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

static bool is_guarded(struct wf_stacks *stacks, struct wf_slab *slab, uint32_t slot)
{
	uint64_t *word = &slab->guarded[slot / 64];
	uint64_t bit = 1ull << (slot % 64);

	if (!(*word & bit) && install_guard(stacks, slot_of(stacks, slab, slot))) {
		*word |= bit;
		slab->guard_count += stacks->guard == WEFT_GUARD_MPROTECT;
	}
	return (*word & bit) != 0;
}

/* The first use of a stack, or of one whose memory was given back. */
static struct wf_stack *warm_up(struct wf_stacks *stacks, struct wf_slab *slab)
{
	uint32_t slot = take_cold(stacks, slab);
	char *base = slot_of(stacks, slab, slot);
	struct wf_stack *stack = stack_of(base, stacks->slot_bytes);

	wf_list_init(&stack->free);
	stack->slab = slab;
	stack->slot = slot;
	stack->guarded = is_guarded(stacks, slab, slot);
	stack->low = base + stacks->guard_bytes;
	wf_fiber_init(&stack->fiber, stack->low, (size_t)((char *)stack - stack->low));
	wf_context_init(&stack->context, stack, stacks->entry, stack);
	return stack;
}

struct wf_stack *wf_stacks_take(struct wf_stacks *stacks)
{
	struct wf_list *first = stacks->warm.next;

	if (wf_unlikely(stacks->warm_count == 0)) {
		wf_assert(stacks->cold_count > 0);
		return warm_up(stacks, wf_container(stacks->slabs.next, struct wf_slab, node));
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

uint64_t wf_stacks_bytes(const struct wf_stacks *stacks)
{
	return ((uint64_t)stacks->slab_count * WF_SLAB_SLOTS - stacks->cold_count) *
	       stacks->page_bytes;
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
