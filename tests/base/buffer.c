/* SPDX-License-Identifier: MIT */
#include "base/buffer.h"

#include "harness/harness.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

static struct wf_tally tally;
static struct wf_memory memory;
static struct wf_buffer buffer;

static void init(size_t maximum)
{
	wf_memory_init(&memory, wf_tally_resize, &tally);
	wf_buffer_init(&buffer, &memory, maximum);
}

static void done(void)
{
	wf_buffer_done(&buffer);
	ck_assert_uint_eq(memory.bytes_used, 0);
	ck_assert_uint_eq(tally.blocks, 0);
}

static void append(const char *text)
{
	wf_assert_result(wf_buffer_append(&buffer, text, strlen(text)), 0);
}

/* A new buffer is the empty string and takes no memory. */
WF_TEST(new_buffer_is_free)
{
	init(10);
	ck_assert_uint_eq(wf_buffer_length(&buffer), 0);
	ck_assert_str_eq(wf_buffer_content(&buffer), "");
	ck_assert_uint_eq(tally.calls, 0);
	done();
}

/* Appended bytes follow each other, and a 0 follows them. */
WF_TEST(append_joins)
{
	init(100);
	append("ab");
	append("");
	append("cde");
	ck_assert_uint_eq(wf_buffer_length(&buffer), 5);
	ck_assert_str_eq(wf_buffer_content(&buffer), "abcde");
	done();
}

/* Content may hold any byte. */
WF_TEST(append_takes_zeros)
{
	init(100);
	wf_assert_result(wf_buffer_append(&buffer, "a\0b", 3), 0);
	ck_assert_uint_eq(wf_buffer_length(&buffer), 3);
	ck_assert_mem_eq(wf_buffer_content(&buffer), "a\0b", 4);
	done();
}

/* Appending nothing to a new buffer leaves it the empty string. */
WF_TEST(append_of_nothing)
{
	init(100);
	wf_assert_result(wf_buffer_append(&buffer, NULL, 0), 0);
	ck_assert_str_eq(wf_buffer_content(&buffer), "");
	done();
}

/* Formatted text is appended as printf would write it. */
WF_TEST(appendf_formats)
{
	init(100);
	append("n=");
	wf_assert_result(wf_buffer_appendf(&buffer, "%d,%s", 12, "x"), 0);
	wf_assert_result(wf_buffer_appendf(&buffer, "%s", ""), 0);
	ck_assert_str_eq(wf_buffer_content(&buffer), "n=12,x");
	done();
}

/* The maximum can be reached and not be passed; a refusal leaves the content as it was. */
WF_TEST(maximum_holds)
{
	init(4);
	append("abc");
	wf_assert_result(wf_buffer_append(&buffer, "de", 2), -ENOBUFS);
	wf_assert_result(wf_buffer_appendf(&buffer, "%d", 10), -ENOBUFS);
	wf_assert_result(wf_buffer_append(&buffer, "de", SIZE_MAX), -ENOBUFS);
	ck_assert_str_eq(wf_buffer_content(&buffer), "abc");
	append("d");
	wf_assert_result(wf_buffer_append(&buffer, "e", 1), -ENOBUFS);
	ck_assert_str_eq(wf_buffer_content(&buffer), "abcd");
	ck_assert_uint_le(tally.bytes, 5);
	done();
}

/* Storage doubles: 1,000,000 bytes one by one take 15 calls, and end at the maximum. */
WF_TEST(growth_is_geometric)
{
	init(1000000);
	for (int i = 0; i < 1000000; i++)
		append("x");
	ck_assert_uint_eq(tally.calls, 15);
	ck_assert_uint_eq(tally.bytes, 1000001);
	done();
}

/* Without memory the content stays as it was, and a later try succeeds. */
WF_TEST(shortage_changes_nothing)
{
	char text[65];

	memset(text, 'x', 64);
	text[64] = 0;
	init(1000);
	tally.fails_at = 1;
	wf_assert_result(wf_buffer_append(&buffer, "abc", 3), -ENOMEM);
	ck_assert_str_eq(wf_buffer_content(&buffer), "");
	append("abc");
	tally.fails_at = 3;
	wf_assert_result(wf_buffer_append(&buffer, text, 64), -ENOMEM);
	tally.fails_at = 4;
	wf_assert_result(wf_buffer_appendf(&buffer, "%s", text), -ENOMEM);
	ck_assert_str_eq(wf_buffer_content(&buffer), "abc");
	append(text);
	ck_assert_uint_eq(wf_buffer_length(&buffer), 67);
	done();
}

/* Consuming removes from the front, down to nothing. */
WF_TEST(consume_from_the_front)
{
	init(100);
	wf_buffer_consume(&buffer, 0);
	append("abcde");
	wf_buffer_consume(&buffer, 2);
	ck_assert_str_eq(wf_buffer_content(&buffer), "cde");
	wf_buffer_consume(&buffer, 3);
	ck_assert_str_eq(wf_buffer_content(&buffer), "");
	done();
}

/* What is consumed makes room: a stream of any length passes through a small buffer. */
WF_TEST(consumed_room_is_used_again)
{
	init(7);
	append("abc");
	for (int i = 0; i < 1000; i++) {
		append("defg");
		ck_assert_str_eq(wf_buffer_content(&buffer), "abcdefg");
		wf_buffer_consume(&buffer, 4);
		ck_assert_str_eq(wf_buffer_content(&buffer), "efg");
		wf_buffer_consume(&buffer, 3);
		append("abc");
		wf_buffer_consume(&buffer, 1);
		append("x");
		ck_assert_str_eq(wf_buffer_content(&buffer), "bcx");
		wf_buffer_consume(&buffer, 3);
		append("abc");
	}
	ck_assert_uint_eq(tally.calls, 1);
	done();
}

/* Storage of the caller's holds a byte less than it has, and is never left. */
WF_TEST(fixed_storage_never_grows)
{
	char storage[5] = "????";

	wf_buffer_init_fixed(&buffer, storage, sizeof storage);
	ck_assert_str_eq(storage, "");
	append("abcd");
	wf_assert_result(wf_buffer_append(&buffer, "e", 1), -ENOBUFS);
	wf_buffer_consume(&buffer, 2);
	append("ef");
	wf_assert_result(wf_buffer_appendf(&buffer, "%c", 'g'), -ENOBUFS);
	ck_assert_str_eq(storage, "cdef");
	wf_buffer_done(&buffer);
	ck_assert_str_eq(storage, "cdef");
}

/* Done may be called on all zero, and again. */
WF_TEST(done_is_idempotent)
{
	struct wf_buffer zero = { 0 };

	wf_buffer_done(&zero);
	init(10);
	append("a");
	done();
	done();
}

static int consume_too_much(void *arg)
{
	char storage[3];

	(void)arg;
	wf_buffer_init_fixed(&buffer, storage, sizeof storage);
	append("ab");
	wf_buffer_consume(&buffer, 3);
	return 0;
}

/* Consuming what is not there is a bug, and aborts. */
WF_TEST(consume_too_much_aborts)
{
	ck_assert_int_eq(wf_child(consume_too_much, NULL).signal, SIGABRT);
}

WF_MAIN("base/buffer")
