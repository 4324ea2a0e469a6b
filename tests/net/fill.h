/* SPDX-License-Identifier: MIT */
/* Input in borrowed buffers, for the tests of what is shown and of how few buffers suffice. */
#pragma once

#include "net/conn.h"
#include "net/peer.h"

#include <weft/park.h>

/* Runs a function with all memory counted, which must come out even. */
static inline void run_with(weft_function *function, uint32_t buffer_bytes, uint32_t buffers_max)
{
	struct wf_tally tally = { 0 };
	struct weft_options options = {
		.allocator = wf_tally_allocator(&tally),
		.buffer_bytes = buffer_bytes,
		.buffers_max = buffers_max,
	};

	wf_assert_result(weft_run(function, &tally, &options), 0);
	ck_assert_uint_eq(tally.blocks, 0);
	ck_assert_uint_eq(tally.bytes, 0);
}

static inline uint32_t buffers_in_use(void)
{
	const struct wf_blocks *pool = &weft_worker_self()->buffers;

	return pool->count - pool->free_count;
}

/* Fills, and checks the count and what is shown then. */
static inline void expect_input(struct weft_conn *conn, ssize_t new_bytes, const char *text)
{
	struct weft_input input;

	wf_assert_result(weft_fill(conn, &input), new_bytes);
	ck_assert_uint_eq(input.bytes, strlen(text));
	ck_assert_int_eq(memcmp(input.data, text, input.bytes), 0);
}

static inline int call_fill(void *arg)
{
	struct call *call = arg;
	struct weft_input input = { 0 };

	call->result = weft_fill(call->conn, &input);
	call->done = input.bytes;
	call->ended = true;
	return 0;
}

static inline int note_parking(struct weft_watch *watch, int why, void *arg)
{
	(void)watch;
	*(int *)arg = 1 - why;
	return 0;
}

static inline void expect_busy(struct weft_conn *conn)
{
	struct weft_input input;
	char byte;

	wf_assert_result(weft_fill(conn, &input), -EBUSY);
	wf_assert_result(weft_read(conn, &byte, 1), -EBUSY);
	wf_assert_result(weft_read_full(conn, &byte, 1, NULL), -EBUSY);
}

/* A stream of which a reader has consumed a part. */
struct stream {
	struct weft_conn *conn;
	struct weft_scope scope;
	size_t place; /* consumed so far */
	size_t step;  /* to consume at once */
	int peer;
	bool ended;
};
