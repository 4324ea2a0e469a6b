/* SPDX-License-Identifier: MIT */
/*
 * Bytes that are appended at the end and consumed from the front, and never more than a maximum:
 *
 *	bytes              start            end                capacity
 *	  |--- consumed ---|---- content ----|0|---- free ---------|
 *
 * There is no buffer without a maximum. Storage is either taken from a wf_memory and grows towards
 * the maximum by doubling, or belongs to the caller and stays as it is. Behind the content there is
 * always a 0, so that content without one is a string.
 *
 * Whatever fails leaves the content as it was: -ENOBUFS beyond the maximum, -ENOMEM without memory.
 * Appending moves the content to the front when only that makes room, which costs a copy of it.
 */
#pragma once

#include "base/memory.h"
#include <weft/error.h>

#include <stddef.h>

struct wf_buffer {
	struct wf_memory *memory; /* where storage comes from; NULL when it is the caller's */
	char *bytes;		  /* NULL until the first append to a buffer that grows */
	size_t start, end;	  /* the content */
	size_t capacity;	  /* bytes of storage */
	size_t maximum;		  /* of the content, the 0 not counted */
};

/* Makes an empty buffer that grows; it takes no memory before the first append. */
void wf_buffer_init(struct wf_buffer *buffer, struct wf_memory *memory, size_t maximum);

/* Makes an empty buffer over storage of the caller, of at least one byte; it holds one byte less
 * than that. It need not be done. */
void wf_buffer_init_fixed(struct wf_buffer *buffer, char *storage, size_t storage_bytes);

/* Frees the storage. All zero, or done already, is allowed. */
void wf_buffer_done(struct wf_buffer *buffer);

/* Appends bytes, which must not be the buffer's own. 0, -ENOBUFS, -ENOMEM. */
int wf_buffer_append(struct wf_buffer *buffer, const void *bytes, size_t count) WEFT_MUST_USE;

/* Appends text as printf would write it. 0, -ENOBUFS, -ENOMEM. */
int wf_buffer_appendf(struct wf_buffer *buffer, const char *format, ...) WEFT_MUST_USE
	__attribute__((format(printf, 2, 3)));

/* Removes the first `count` bytes of the content, which must be there. */
void wf_buffer_consume(struct wf_buffer *buffer, size_t count);

/* How many bytes the content has. */
static inline size_t wf_buffer_length(const struct wf_buffer *buffer)
{
	return buffer->end - buffer->start;
}

/* The content, with a 0 behind it; valid until the buffer changes. */
static inline const char *wf_buffer_content(const struct wf_buffer *buffer)
{
	return buffer->bytes ? buffer->bytes + buffer->start : "";
}
