/* SPDX-License-Identifier: MIT */
/* The pool of buffers; core/blocks.h tells what for. */
#include "core/blocks.h"

#include "base/assert.h"
#include "core/line.h"
#include "core/worker.h"

#include <errno.h>
#include <string.h>

/* A task in line for a buffer. */
struct want {
	struct wf_line_wait wait;
	struct wf_block *block; /* the one that was handed over */
};

static struct want *want_of(struct weft_place_ *place)
{
	return wf_container(place, struct want, wait.place);
}

void wf_blocks_init(struct wf_blocks *blocks, struct wf_memory *memory, uint32_t buffer_bytes,
		    uint32_t max)
{
	*blocks = (struct wf_blocks){ .memory = memory, .buffer_bytes = buffer_bytes, .max = max };
}

void wf_blocks_done(struct wf_blocks *blocks)
{
	wf_assert_slow(blocks->count == blocks->free_count && blocks->kept_bytes == 0);
	while (blocks->free_count > 0)
		wf_memory_free(blocks->memory, blocks->free[--blocks->free_count],
			       blocks->buffer_bytes);
}

/* ---- Taking ---------------------------------------------------------------------------------- */

static struct wf_block *new_buffer(struct wf_blocks *blocks)
{
	struct wf_block *block = wf_memory_new(blocks->memory, blocks->buffer_bytes);

	if (!block)
		return NULL;
	block->capacity = wf_blocks_room(blocks);
	block->is_pooled = true;
	blocks->count++;
	return block;
}

static struct wf_block *take_free(struct wf_blocks *blocks)
{
	struct wf_block *block =
		blocks->free_count > 0 ? blocks->free[--blocks->free_count] : new_buffer(blocks);
	uint32_t in_use = blocks->count - blocks->free_count;

	if (!block)
		return NULL;
	block->start = block->end = 0;
	blocks->peak = in_use > blocks->peak ? in_use : blocks->peak;
	return block;
}

static int wait_in_line(struct wf_blocks *blocks, struct wf_task *task, const void *object,
			struct wf_block **ret_block)
{
	struct want want;
	int r;

	wf_line_wait_init(&want.wait, task, object, WF_WAIT_BUFFER);
	blocks->waits++;
	r = (int)wf_line_wait_in(&blocks->line, &want.wait);
	if (r == 0)
		*ret_block = want.block;
	return r;
}

static bool is_exhausted(const struct wf_blocks *blocks)
{
	return blocks->free_count == 0 && blocks->count >= blocks->max;
}

int wf_blocks_take(struct weft_worker *worker, const void *object, struct wf_block **ret_block)
{
	struct wf_blocks *blocks = &worker->buffers;

	if (wf_unlikely(is_exhausted(blocks))) {
		int r = wf_checkpoint(worker->current);

		if (r < 0)
			return r;
		if (is_exhausted(blocks)) /* else one was given back at the checkpoint */
			return wait_in_line(blocks, worker->current, object, ret_block);
	}
	*ret_block = take_free(blocks);
	return *ret_block ? 0 : -ENOMEM;
}

void wf_blocks_end(struct wf_blocks *blocks, const void *object, int code)
{
	struct weft_place_ *place = blocks->line.first;

	while (place) {
		const struct wf_waiter *waiter = place->waiter;

		place = place->next;
		if (waiter->object == object)
			wf_wait_interrupt(waiter->task, code);
	}
}

/* ---- Giving ---------------------------------------------------------------------------------- */

static void free_block(struct wf_blocks *blocks, struct wf_block *block)
{
	size_t bytes = sizeof *block + block->capacity;

	blocks->kept_bytes -= bytes;
	wf_memory_free(blocks->memory, block, bytes);
}

void wf_blocks_give(struct wf_blocks *blocks, struct wf_block *block)
{
	struct weft_place_ *first = blocks->line.first;

	if (!block->is_pooled) {
		free_block(blocks, block);
		return;
	}
	if (first) {
		block->start = block->end = 0;
		want_of(first)->block = block;
		wf_line_settle(first, 0);
	} else if (blocks->free_count < WF_BLOCKS_FREE) {
		blocks->free[blocks->free_count++] = block;
	} else {
		blocks->count--;
		wf_memory_free(blocks->memory, block, blocks->buffer_bytes);
	}
}

struct wf_block *wf_blocks_keep(struct wf_blocks *blocks, struct wf_block *block)
{
	uint32_t bytes = block->end - block->start;
	struct wf_block *kept = wf_memory_new(blocks->memory, sizeof *kept + bytes);

	if (!kept)
		return NULL;
	*kept = (struct wf_block){ .capacity = bytes, .end = bytes };
	memcpy(kept->bytes, block->bytes + block->start, bytes);
	blocks->kept_bytes += sizeof *kept + bytes;
	wf_blocks_give(blocks, block);
	return kept;
}
