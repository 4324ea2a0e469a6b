/* SPDX-License-Identifier: MIT */
/* The bounded buffer of buffer.h. Everything that appends goes through buffer_reserve. */
#include "base/buffer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { BUFFER_BYTES_MIN = 64 };

void wf_buffer_init(struct wf_buffer *buffer, struct wf_memory *memory, size_t maximum)
{
	wf_assert(memory && maximum > 0 && maximum < SIZE_MAX / 2);
	*buffer = (struct wf_buffer){ .memory = memory, .maximum = maximum };
}

void wf_buffer_init_fixed(struct wf_buffer *buffer, char *storage, size_t storage_bytes)
{
	wf_assert(storage && storage_bytes > 0);
	*buffer = (struct wf_buffer){
		.bytes = storage,
		.capacity = storage_bytes,
		.maximum = storage_bytes - 1,
	};
	storage[0] = 0;
}

void wf_buffer_done(struct wf_buffer *buffer)
{
	if (buffer->memory)
		wf_memory_free(buffer->memory, buffer->bytes, buffer->capacity);
	*buffer = (struct wf_buffer){ 0 };
}

/* Doubles the storage until it has `needed` bytes, but never beyond the maximum and its 0. */
static int buffer_grow(struct wf_buffer *buffer, size_t needed)
{
	size_t capacity = buffer->capacity ? buffer->capacity : BUFFER_BYTES_MIN;
	char *bytes;

	while (capacity < needed)
		capacity *= 2; /* no overflow: needed is at most SIZE_MAX / 2 */
	if (capacity > buffer->maximum + 1)
		capacity = buffer->maximum + 1;
	bytes = wf_memory_resize(buffer->memory, buffer->bytes, buffer->capacity, capacity);
	if (!bytes)
		return -ENOMEM;
	buffer->bytes = bytes;
	buffer->capacity = capacity;
	return 0;
}

static void buffer_move_to_front(struct wf_buffer *buffer)
{
	memmove(buffer->bytes, buffer->bytes + buffer->start, wf_buffer_length(buffer) + 1);
	buffer->end -= buffer->start;
	buffer->start = 0;
}

/* Makes room for `count` bytes and a 0 behind the content. */
static int buffer_reserve(struct wf_buffer *buffer, size_t count)
{
	size_t length = wf_buffer_length(buffer);

	if (count > buffer->maximum - length)
		return -ENOBUFS;
	if (buffer->end + count < buffer->capacity)
		return 0;
	if (buffer->start)
		buffer_move_to_front(buffer);
	if (length + count < buffer->capacity)
		return 0;
	return buffer_grow(buffer, length + count + 1);
}

int wf_buffer_append(struct wf_buffer *buffer, const void *bytes, size_t count)
{
	int result = buffer_reserve(buffer, count);

	if (result < 0)
		return result;
	if (count)
		memcpy(buffer->bytes + buffer->end, bytes, count);
	buffer->end += count;
	buffer->bytes[buffer->end] = 0;
	return 0;
}

/* Prints twice: to learn the length, then, with room for it, in place. */
int wf_buffer_appendf(struct wf_buffer *buffer, const char *format, ...)
{
	va_list arguments;
	int length, result;

	va_start(arguments, format);
	length = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);
	if (length < 0)
		return -ENOMEM; /* all that can fail for a valid format is the library's memory */
	result = buffer_reserve(buffer, (size_t)length);
	if (result < 0)
		return result;
	va_start(arguments, format);
	(void)vsnprintf(buffer->bytes + buffer->end, (size_t)length + 1, format, arguments);
	va_end(arguments);
	buffer->end += (size_t)length;
	return 0;
}

void wf_buffer_consume(struct wf_buffer *buffer, size_t count)
{
	wf_assert(count <= wf_buffer_length(buffer));
	buffer->start += count;
	if (buffer->start < buffer->end || !buffer->bytes)
		return;
	buffer->start = 0; /* empty: the next append finds the whole storage free */
	buffer->end = 0;
	buffer->bytes[0] = 0;
}
