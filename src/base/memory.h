/* SPDX-License-Identifier: MIT */
/*
 * Memory with an owner. Every block comes from one `resize` function, the user's or the C
 * library's, and whoever frees a block says how long it is: so nothing needs a header, and
 * `bytes_used` is exact at any time. A runtime that ends with `bytes_used` above 0 has a leak.
 *
 * Belongs to one thread. Memory may be short at any time: callers handle NULL.
 */
#pragma once

#include "base/assert.h"

#include <stddef.h>
#include <stdlib.h>

struct wf_memory {
	/* Resizes `block` (NULL: a new one) from `old_bytes` to `new_bytes` (0: frees it), or
	 * returns NULL and leaves it as it was. */
	void *(*resize)(void *user, void *block, size_t old_bytes, size_t new_bytes);
	void *user;
	size_t bytes_used; /* sum of the blocks held */
};

/* The `resize` of the C library. */
static inline void *wf_memory_libc(void *user, void *block, size_t old_bytes, size_t new_bytes)
{
	(void)user;
	(void)old_bytes;
	if (new_bytes)
		return realloc(block, new_bytes);
	free(block);
	return NULL;
}

/* Makes an owner of nothing; `resize` may be NULL for the C library's. */
static inline void wf_memory_init(struct wf_memory *memory,
				  void *(*resize)(void *, void *, size_t, size_t), void *user)
{
	memory->resize = resize ? resize : wf_memory_libc;
	memory->user = user;
	memory->bytes_used = 0;
}

/* Resizes a block, or makes one of NULL; both sizes are those of the contract, and neither the new
 * one nor that of a block may be 0. NULL when memory is short: the block is as it was. */
static inline void *wf_memory_resize(struct wf_memory *memory, void *block, size_t old_bytes,
				     size_t new_bytes)
{
	void *resized;

	wf_assert(new_bytes > 0 && !block == !old_bytes && memory->bytes_used >= old_bytes);
	resized = memory->resize(memory->user, block, old_bytes, new_bytes);
	if (resized)
		memory->bytes_used += new_bytes - old_bytes;
	return resized;
}

/* A new block of at least one byte, not cleared; NULL when memory is short. */
static inline void *wf_memory_new(struct wf_memory *memory, size_t bytes)
{
	return wf_memory_resize(memory, NULL, 0, bytes);
}

/* Frees a block of exactly that length; NULL is allowed, whatever the length. */
static inline void wf_memory_free(struct wf_memory *memory, void *block, size_t bytes)
{
	if (!block)
		return;
	wf_assert(bytes > 0 && memory->bytes_used >= bytes);
	(void)memory->resize(memory->user, block, bytes, 0); /* NULL is all that freeing returns */
	memory->bytes_used -= bytes;
}
