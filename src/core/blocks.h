/* SPDX-License-Identifier: MIT */
/*
 * Buffers that tasks borrow for as long as they look at input, all of one size, one pool a worker.
 *
 * Their number is limited; who finds none waits in line. So that they suffice for any number of
 * connections, one that waits for more input must not hold one: what it has of a message is copied
 * into a block of just that length, and the buffer given back (net/input.c). A few free ones stay,
 * the one used last first, because it is in the cache; the others go back to the allocator.
 */
#pragma once

#include "base/memory.h"

#include <stdbool.h>
#include <stdint.h>
#include <weft/line.h>

struct weft_worker;

/* Bytes and where the content lies among them: a buffer of the pool, or a block of its own. */
struct wf_block {
	uint32_t capacity;
	uint32_t start, end;
	bool is_pooled;
	char bytes[];
};

struct wf_blocks {
	struct wf_memory *memory;
	uint32_t buffer_bytes; /* with its struct wf_block */
	uint32_t max;
	uint32_t count;	     /* in use and free */
	uint32_t free_count; /* at most WF_BLOCKS_FREE */
	uint32_t peak;	     /* most in use at once */
	uint64_t waits;	     /* times a task had to wait for one */
	uint64_t kept_bytes; /* in blocks of their own */
	struct wf_block *free[8];
	struct weft_line_ line; /* of those who want one */
};

enum { WF_BLOCKS_FREE = sizeof((struct wf_blocks *)0)->free / sizeof(struct wf_block *) };

void wf_blocks_init(struct wf_blocks *blocks, struct wf_memory *memory, uint32_t buffer_bytes,
		    uint32_t max);

/* The content that a buffer has room for. */
static inline uint32_t wf_blocks_room(const struct wf_blocks *blocks)
{
	return blocks->buffer_bytes - (uint32_t)sizeof(struct wf_block);
}

/* Frees what is free. None is in use. */
void wf_blocks_done(struct wf_blocks *blocks);

/* Borrows an empty buffer for the calling task; suspends, as a checkpoint does, while all are in use.
 * `object` is what it is for. The code of a stop, -ENOMEM. */
int wf_blocks_take(struct weft_worker *worker, const void *object, struct wf_block **ret_block);

/* Ends the waits in line for that object, with a code. Never suspends. */
void wf_blocks_end(struct wf_blocks *blocks, const void *object, int code);

/* Gives a buffer back, or frees a block. Never suspends. */
void wf_blocks_give(struct wf_blocks *blocks, struct wf_block *block);

/* A block of its own with a copy of the content of another one, which is given back. NULL without
 * memory: then the other one is as it was. */
struct wf_block *wf_blocks_keep(struct wf_blocks *blocks, struct wf_block *block);
