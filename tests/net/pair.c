/* SPDX-License-Identifier: MIT */
/* A stream within the program. */
#include "net/peer.h"

#include <weft/net.h>

/* What one end writes the other one reads, both ways. */
WF_TASK_TEST(both_ends_talk)
{
	struct weft_conn *a, *b;
	char heard[8] = "";

	wf_assert_result(weft_conn_pair(&a, &b), 0);
	wf_assert_result(weft_write(a, "ping", 4, NULL), 0);
	wf_assert_result(weft_read(b, heard, sizeof heard), 4);
	ck_assert_str_eq(heard, "ping");
	wf_assert_result(weft_write(b, "pong", 4, NULL), 0);
	wf_assert_result(weft_read(a, heard, sizeof heard), 4);
	ck_assert_str_eq(heard, "pong");
	weft_close(a);
	wf_assert_result(weft_read(b, heard, sizeof heard), 0);
	weft_close(b);
}

struct reader {
	struct weft_conn *conn;
	size_t bytes;
};

static int read_all(void *arg)
{
	struct reader *reader = arg;
	char buffer[4096];
	ssize_t n;

	while ((n = weft_read(reader->conn, buffer, sizeof buffer)) > 0) {
		check_stream(buffer, reader->bytes, (size_t)n);
		reader->bytes += (size_t)n;
	}
	return (int)n;
}

/* A writer waits for the reader when the pair holds no more. */
WF_TASK_TEST(more_than_it_holds)
{
	enum { BYTES = 1000 * 1000 };
	struct weft_scope scope;
	struct weft_conn *a, *b;
	struct reader reader = { 0 };
	char *stream = malloc(BYTES);

	fill_stream(stream, 0, BYTES);
	wf_assert_result(weft_conn_pair(&a, &b), 0);
	reader.conn = b;
	weft_scope_open(&scope);
	SPAWN(&scope, read_all, &reader);
	wf_assert_result(weft_write(a, stream, BYTES, NULL), 0);
	weft_close(a);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_uint_eq(reader.bytes, BYTES);
	weft_close(b);
	free(stream);
}

static int make_pair(void *arg)
{
	struct weft_conn *a, *b;
	int r = weft_conn_pair(&a, &b);

	(void)arg;
	if (r < 0)
		return r;
	weft_close(a);
	weft_close(b);
	return 0;
}

/* Without memory, or outside weft_run, nothing is left behind. */
WF_TEST(failures)
{
	unsigned long last = 0;
	struct weft_conn *a, *b;
	int r = -ENOMEM;

	wf_assert_result(weft_conn_pair(&a, &b), -EPERM);
	for (unsigned long at = 1; r != 0; at++) {
		struct wf_tally tally = { .fails_at = at };

		r = weft_run(make_pair, NULL,
			     &(struct weft_options){ .allocator = wf_tally_allocator(&tally) });
		if (r != 0)
			wf_assert_result(r, -ENOMEM);
		ck_assert_uint_eq(tally.bytes, 0);
		last = at;
	}
	ck_assert_uint_gt(last, 2);
}

WF_MAIN("net/pair")
