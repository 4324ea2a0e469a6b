/* SPDX-License-Identifier: MIT */
/* The pool of buffers; core/blocks.h tells what for. */
#include "core/blocks.h"

#include "base/assert.h"
#include "core/wait.h"
#include "core/worker.h"

#include <errno.h>
#include <string.h>

/* A task in line for a buffer. */
struct waiter {
	struct wf_waiter waiter;
	struct wf_list node;
	struct wf_block *block; /* the one that was handed over */
};

void wf_blocks_init(struct wf_blocks *pool, struct wf_memory *memory, uint32_t buffer_bytes,
		    uint32_t max)
{
	*pool = (struct wf_blocks){ .memory = memory, .buffer_bytes = buffer_bytes, .max = max };
	wf_list_init(&pool->waiters);
}

void wf_blocks_done(struct wf_blocks *pool)
{
	wf_assert_slow(pool->count == pool->free_count && pool->kept_bytes == 0);
	while (pool->free_count > 0)
		wf_memory_free(pool->memory, pool->free[--pool->free_count], pool->buffer_bytes);
}

/* ---- Taking ---------------------------------------------------------------------------------- */

static struct wf_block *new_buffer(struct wf_blocks *pool)
{
	struct wf_block *block = wf_memory_new(pool->memory, pool->buffer_bytes);

	if (!block)
		return NULL;
	block->capacity = wf_blocks_room(pool);
	block->is_pooled = true;
	pool->count++;
	return block;
}

static struct wf_block *take_free(struct wf_blocks *pool)
{
	struct wf_block *block =
		pool->free_count > 0 ? pool->free[--pool->free_count] : new_buffer(pool);
	uint32_t in_use = pool->count - pool->free_count;

	if (!block)
		return NULL;
	block->start = block->end = 0;
	pool->peak = in_use > pool->peak ? in_use : pool->peak;
	return block;
}

static void withdraw(struct wf_waiter *waiter)
{
	wf_list_remove(&wf_container(waiter, struct waiter, waiter)->node);
	wf_wait_settle(waiter, waiter->code);
}

static int wait_in_line(struct wf_blocks *pool, struct wf_task *task, const void *object,
			struct wf_block **ret_block)
{
	struct waiter line = {
		.waiter = { .task = task,
			    .object = object,
			    .withdraw = withdraw,
			    .reason = WF_WAIT_BUFFER },
	};
	int r;

	wf_list_init(&line.node);
	wf_list_push_back(&pool->waiters, &line.node);
	pool->waits++;
	r = (int)wf_wait(&line.waiter);
	if (r == 0)
		*ret_block = line.block;
	return r;
}

static bool is_exhausted(const struct wf_blocks *pool)
{
	return pool->free_count == 0 && pool->count >= pool->max;
}

int wf_blocks_take(struct weft_worker *worker, const void *object, struct wf_block **ret_block)
{
	struct wf_blocks *pool = &worker->pool;

	if (wf_unlikely(is_exhausted(pool))) {
		int r = wf_checkpoint(worker->current);

		if (r < 0)
			return r;
		if (is_exhausted(pool)) /* else one was given back at the checkpoint */
			return wait_in_line(pool, worker->current, object, ret_block);
	}
	*ret_block = take_free(pool);
	return *ret_block ? 0 : -ENOMEM;
}

void wf_blocks_end(struct wf_blocks *pool, const void *object, int code)
{
	struct wf_list *node = wf_list_first(&pool->waiters);

	while (node) {
		struct waiter *line = wf_container(node, struct waiter, node);

		node = wf_list_next(&pool->waiters, node);
		if (line->waiter.object == object)
			wf_wait_interrupt(line->waiter.task, code);
	}
}

/* ---- Giving ---------------------------------------------------------------------------------- */

static void free_block(struct wf_blocks *pool, struct wf_block *block)
{
	size_t bytes = sizeof *block + block->capacity;

	pool->kept_bytes -= bytes;
	wf_memory_free(pool->memory, block, bytes);
}

void wf_blocks_give(struct wf_blocks *pool, struct wf_block *block)
{
	struct wf_list *first;

	if (!block->is_pooled) {
		free_block(pool, block);
		return;
	}
	first = wf_list_pop_front(&pool->waiters);
	if (first) {
		struct waiter *line = wf_container(first, struct waiter, node);

		block->start = block->end = 0;
		line->block = block;
		wf_wait_settle(&line->waiter, 0);
	} else if (pool->free_count < WF_BLOCKS_FREE) {
		pool->free[pool->free_count++] = block;
	} else {
		pool->count--;
		wf_memory_free(pool->memory, block, pool->buffer_bytes);
	}
}

struct wf_block *wf_blocks_keep(struct wf_blocks *pool, struct wf_block *block)
{
	uint32_t bytes = block->end - block->start;
	struct wf_block *kept = wf_memory_new(pool->memory, sizeof *kept + bytes);

	if (!kept)
		return NULL;
	*kept = (struct wf_block){ .capacity = bytes, .end = bytes };
	memcpy(kept->bytes, block->bytes + block->start, bytes);
	pool->kept_bytes += sizeof *kept + bytes;
	wf_blocks_give(pool, block);
	return kept;
}
