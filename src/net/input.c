/* SPDX-License-Identifier: MIT */
/*
 * Input in borrowed buffers. A connection has a buffer of the worker's pool from the moment input is
 * there until it has been consumed. Before the connection waits for more, or parks, what is left is
 * copied into a block of that length, and the buffer given back: a client that sends slowly holds none. One
 * that does not read what it is sent holds one as long as the handler waits for it with input unconsumed;
 * the handler bounds that.
 */
#include "base/assert.h"
#include "core/blocks.h"
#include "io/op.h"
#include "net/conn.h"

#include <errno.h>
#include <string.h>

static struct wf_blocks *buffers_of(const struct weft_conn *conn)
{
	return &conn->watch.file.worker->buffers;
}

void wf_conn_put_away(struct weft_conn *conn)
{
	struct wf_block *block = conn->input;
	struct wf_block *kept;

	if (!block || !block->is_pooled)
		return;
	if (block->start == block->end) {
		conn->input = NULL;
		wf_blocks_give(buffers_of(conn), block);
		return;
	}
	kept = wf_blocks_keep(buffers_of(conn), block);
	if (kept) /* without memory for that it stays in the buffer */
		conn->input = kept;
}

void wf_conn_drop_input(struct weft_conn *conn)
{
	if (conn->input)
		wf_blocks_give(buffers_of(conn), conn->input);
	conn->input = NULL;
}

/* Makes the input lie in a buffer of the pool that has room behind it. */
static int make_room(struct weft_conn *conn)
{
	struct wf_block *block = conn->input;
	struct wf_block *buffer;
	uint32_t bytes;
	int r;

	if (block && block->is_pooled) {
		bytes = block->end - block->start;
		if (bytes == block->capacity)
			return -EMSGSIZE;
		if (block->start > 0)
			memmove(block->bytes, block->bytes + block->start, bytes);
		block->start = 0;
		block->end = bytes;
		return 0;
	}
	if (block && block->end - block->start == wf_blocks_room(buffers_of(conn)))
		return -EMSGSIZE;
	r = wf_blocks_take(conn->watch.file.worker, conn, &buffer);
	if (r < 0)
		return r;
	if (block) {
		buffer->end = block->end - block->start;
		memcpy(buffer->bytes, block->bytes + block->start, buffer->end);
		wf_blocks_give(buffers_of(conn), block);
	}
	conn->input = buffer;
	return 0;
}

/* A failure that did not come from a checkpoint is one all the same. */
static int refuse(const struct weft_conn *conn, int code)
{
	struct wf_task *task = wf_task_self();
	int r;

	if (code != -EMSGSIZE && code != -ENOMEM)
		return code;
	r = wf_checkpoint(task);
	return r < 0 ? r : conn->watch.file.fd < 0 ? WEFT_ECLOSED : code;
}

/* Receives behind what is there; -EAGAIN if nothing has come. */
static int64_t take(struct weft_conn *conn)
{
	struct wf_op op = { .file = &conn->watch.file, .kind = WF_OP_TAKE };
	struct wf_block *block;
	int64_t n = make_room(conn);

	if (n < 0)
		return refuse(conn, (int)n);
	block = conn->input;
	op.u.receive.buffer = block->bytes + block->end;
	op.u.receive.bytes = block->capacity - block->end;
	n = wf_op_run(&op, conn, WF_WAIT_READ);
	if (n > 0)
		block->end += (uint32_t)n;
	return n;
}

static int64_t wait_for_input(struct weft_conn *conn)
{
	struct wf_op op = { .file = &conn->watch.file, .kind = WF_OP_INPUT };

	wf_conn_put_away(conn);
	return wf_op_run(&op, conn, WF_WAIT_READ);
}

static int64_t fill(struct weft_conn *conn)
{
	int64_t n = -EAGAIN;

	while (n == -EAGAIN) {
		if (!conn->watch.file.readable)
			n = wait_for_input(conn);
		if (n == -EAGAIN || n == 0)
			n = take(conn);
	}
	if (n <= 0)
		wf_conn_put_away(conn);
	return n;
}

int64_t wf_conn_fetch(struct weft_conn *conn)
{
	struct wf_file *file = &conn->watch.file;
	int64_t n;

	file->bits |= WF_CONN_FILLING;
	n = take(conn);
	file->bits &= (uint8_t)~WF_CONN_FILLING;
	if (n <= 0)
		wf_conn_put_away(conn);
	/* The handler may make room before it fills; if it does not that says so again. */
	if (n != -EAGAIN && n != -EMSGSIZE) {
		conn->watch.parked.why = (int)n;
		conn->watch.file.bits |= WF_CONN_FETCHED;
	}
	return n;
}

static struct weft_input input_of(const struct weft_conn *conn)
{
	const struct wf_block *block = conn->input;

	if (!block)
		return (struct weft_input){ .data = "" };
	return (struct weft_input){ .data = block->bytes + block->start,
				    .bytes = block->end - block->start };
}

static int64_t fill_with_fetched(struct weft_conn *conn, struct wf_task *task)
{
	int r = wf_checkpoint(task);

	if (r < 0)
		return r;
	return conn->watch.file.fd < 0 ? WEFT_ECLOSED : wf_conn_fetched(conn);
}

ssize_t weft_fill(struct weft_conn *conn, struct weft_input *ret_input)
{
	struct wf_file *file = &conn->watch.file;
	struct wf_task *task = wf_file_user(file);
	int64_t n;

	if (!task)
		return -EPERM;
	if (file->bits & WF_CONN_FILLING) {
		int r = wf_checkpoint(task);

		return r < 0 ? r : -EBUSY;
	}
	wf_file_hold(file);
	file->bits |= WF_CONN_FILLING;
	n = file->bits & WF_CONN_FETCHED ? fill_with_fetched(conn, task) : fill(conn);
	file->bits &= (uint8_t)~WF_CONN_FILLING;
	if (n >= 0)
		*ret_input = input_of(conn);
	wf_file_drop(file);
	return (ssize_t)n;
}

/* What has been consumed has been seen, so that only what is left can be unseen. */
static void note_consumed(struct weft_conn *conn)
{
	int left = (int)input_of(conn).bytes;

	if (!(conn->watch.file.bits & WF_CONN_FETCHED) || conn->watch.parked.why <= left)
		return;
	conn->watch.parked.why = left;
	if (left == 0)
		(void)wf_conn_fetched(conn); /* there is nothing to be told */
}

void weft_consume(struct weft_conn *conn, size_t bytes)
{
	struct wf_block *block = conn->input;

	wf_assert(bytes <= input_of(conn).bytes);
	if (!block)
		return;
	block->start += (uint32_t)bytes;
	note_consumed(conn);
	if (block->start == block->end)
		wf_conn_drop_input(conn);
}

size_t wf_conn_read_input(struct weft_conn *conn, void *buffer, size_t bytes)
{
	struct weft_input input = input_of(conn);

	bytes = bytes < input.bytes ? bytes : input.bytes;
	memcpy(buffer, input.data, bytes);
	weft_consume(conn, bytes);
	return bytes;
}
