/* SPDX-License-Identifier: MIT */
/*
 * Stacks, and the pool a worker keeps them in.
 *
 * Stacks are mapped by the slab: one mapping of many slots, committed page by page as it is touched.
 *
 *	slot:	| guard | stack, growing down .................. | struct wf_stack |
 *		    low ^                                          top ^
 *
 * The struct shares the topmost page with the first frames, so that a task that sleeps near the
 * bottom of its call tree costs one page. With the default size, and pages of 4 KiB, a slot is 65
 * pages: at a distance of 64 the tops of all stacks would compete for the same few lines of the cache.
 *
 * The guard is, in order of preference: MADV_GUARD_INSTALL (Linux 6.13), which needs no mapping of
 * its own and survives MADV_DONTNEED; mprotect, which splits the mapping, within a budget because
 * the kernel limits mappings; else a canary, the lowest words of the stack, looked at when a task
 * ends. The first two die at the overflow, the last one after it.
 *
 * A stack is a coroutine that runs tasks, one after another (core/worker.c). While it has none it
 * lies in the pool, suspended in its loop, and giving it a task is an ordinary switch.
 *
 * Free stacks are warm or cold. Warm ones own memory and lie in a list, the one used last in front:
 * that is the one to take. Cold ones own none, so nothing can be stored in them; they are bits in their
 * slab. Trimming makes the last of the list cold, and unmaps slabs that have nothing but cold stacks:
 * what a burst needed goes back whole, with its page tables. So that slabs become empty, a cold stack
 * is taken from one that is not.
 */
#pragma once

#include "arch/fiber.h"
#include "arch/switch.h"
#include "base/list.h"
#include "base/memory.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <weft/run.h>

struct wf_slab;

struct wf_stack {
	struct wf_list free;	   /* among the warm ones */
	struct wf_context context; /* while it is in the pool */
	struct wf_fiber fiber;
	char *low; /* the lowest usable byte */
	struct wf_slab *slab;
	uint32_t slot;
	bool guarded; /* by pages, not by the canary only */
};

enum { WF_SLAB_SLOTS = 256 };

/* How far apart -fstack-clash-protection touches a large frame, and so the least guard that no frame
 * steps over: gcc takes 64 KiB for aarch64, whatever the page size is, and a page elsewhere. */
#ifdef __aarch64__
enum { WF_GUARD_BYTES_MIN = 64 * 1024 };
#else
enum { WF_GUARD_BYTES_MIN = 4096 };
#endif

/* Newer than the C library's headers. */
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

struct wf_slab {
	struct wf_list node; /* among the slabs with cold stacks, or among those without */
	char *base;
	uint32_t cold_count, guard_count;     /* guards by mprotect */
	uint64_t cold[WF_SLAB_SLOTS / 64];    /* slots whose stack is cold */
	uint64_t guarded[WF_SLAB_SLOTS / 64]; /* slots whose guard is in place */
};

struct wf_stacks {
	struct wf_memory *memory;
	void (*entry)(void *stack); /* what a stack that was never used starts with */
	size_t page_bytes;
	size_t guard_bytes;
	size_t slot_bytes; /* a stack with its guard */
	enum weft_guard guard;
	uint32_t guard_budget; /* mprotect guards still allowed */
	struct wf_list warm;
	uint32_t warm_count;
	uint32_t unused_count; /* warm ones that were not taken in this period */
	uint32_t cold_count;
	uint32_t slab_count;
	struct wf_list slabs;	   /* that have cold stacks; those of nothing else are the last */
	struct wf_list full_slabs; /* that have none */
};

struct wf_stacks_options {
	size_t stack_bytes;    /* 0: the default; rounded up to whole pages */
	size_t page_bytes;     /* the kernel's: 4 KiB, or a larger power of two */
	enum weft_guard guard; /* the best one that works here */
	uint32_t guard_budget; /* how many mprotect guards may be made */
	void (*entry)(void *stack);
};

/* Makes an empty pool; fails only by WEFT_EOPTION for a size that is none. */
int wf_stacks_init(struct wf_stacks *stacks, struct wf_memory *memory,
		   const struct wf_stacks_options *options);

/* Unmaps everything. No stack is in use. */
void wf_stacks_done(struct wf_stacks *stacks);

/* Makes sure that `count` stacks are free, so that as many calls of wf_stacks_take succeed. -ENOMEM. */
int wf_stacks_reserve(struct wf_stacks *stacks, uint32_t count);

/* Takes the warmest free stack; there must be one. */
struct wf_stack *wf_stacks_take(struct wf_stacks *stacks);

/* Gives a stack back; the caller may still be running on it, until it switches. */
void wf_stacks_give(struct wf_stacks *stacks, struct wf_stack *stack);

/* Gives the memory of free stacks back to the kernel, the coldest first, and returns of how many: at
 * most `most`, only of those that were not used in the present period, and `keep` stay warm. A call
 * that finds none to give begins a new period. */
uint32_t wf_stacks_trim(struct wf_stacks *stacks, uint32_t keep, uint32_t most);

/* Unmaps at most `most` slabs whose stacks are all cold, and returns of how many. At least one slab stays,
 * and `count` free stacks, as promised by wf_stacks_reserve. */
uint32_t wf_stacks_release(struct wf_stacks *stacks, uint32_t count, uint32_t most);

/* Bytes of memory the stacks own at least: a page for each that is in use or warm. More where they have
 * run deep. */
uint64_t wf_stacks_bytes(const struct wf_stacks *stacks);

/* Whether the canary of a stack is untouched. */
bool wf_stack_is_intact(const struct wf_stack *stack);

/* Whether an address that faulted lies in the guard of a stack. */
bool wf_stacks_overflowed(const struct wf_stacks *stacks, const struct wf_stack *stack,
			  const void *address);
