/* SPDX-License-Identifier: MIT */
#include "base/memory.h"

#include "harness/harness.h"

#include <signal.h>
#include <string.h>

/* Without a resize of the user's the C library's is taken. */
WF_TEST(default_is_the_c_library)
{
	struct wf_memory memory;
	char *block;

	wf_memory_init(&memory, NULL, NULL);
	block = wf_memory_new(&memory, 5);
	ck_assert_ptr_nonnull(block);
	memcpy(block, "abcd", 5);
	block = wf_memory_resize(&memory, block, 5, 100000);
	ck_assert_str_eq(block, "abcd");
	wf_memory_free(&memory, block, 100000);
	ck_assert_uint_eq(memory.bytes_used, 0);
}

/* bytes_used is the sum of the blocks at any time, and what the user's resize counted. */
WF_TEST(bytes_used_is_exact)
{
	struct wf_tally tally = { 0 };
	struct wf_memory memory;
	void *a, *b;

	wf_memory_init(&memory, wf_tally_resize, &tally);
	a = wf_memory_new(&memory, 10);
	b = wf_memory_new(&memory, 20);
	ck_assert_uint_eq(memory.bytes_used, 30);
	a = wf_memory_resize(&memory, a, 10, 100);
	ck_assert_uint_eq(memory.bytes_used, 120);
	b = wf_memory_resize(&memory, b, 20, 1);
	ck_assert_uint_eq(memory.bytes_used, 101);
	ck_assert_uint_eq(tally.bytes, 101);
	wf_memory_free(&memory, a, 100);
	wf_memory_free(&memory, b, 1);
	ck_assert_uint_eq(memory.bytes_used, 0);
	ck_assert_uint_eq(tally.blocks, 0);
}

/* A call that gets no memory changes neither the count nor the block. */
WF_TEST(shortage_changes_nothing)
{
	struct wf_tally tally = { .fails_at = 2 };
	struct wf_memory memory;
	char *block;

	wf_memory_init(&memory, wf_tally_resize, &tally);
	block = wf_memory_new(&memory, 4);
	memcpy(block, "abc", 4);
	ck_assert_ptr_null(wf_memory_resize(&memory, block, 4, 8));
	ck_assert_str_eq(block, "abc");
	ck_assert_uint_eq(memory.bytes_used, 4);
	tally.fails_at = 3;
	ck_assert_ptr_null(wf_memory_new(&memory, 1));
	ck_assert_uint_eq(memory.bytes_used, 4);
	wf_memory_free(&memory, block, 4);
}

/* Freeing NULL is nothing, whatever the length. */
WF_TEST(free_takes_null)
{
	struct wf_tally tally = { 0 };
	struct wf_memory memory;

	wf_memory_init(&memory, wf_tally_resize, &tally);
	wf_memory_free(&memory, NULL, 0);
	wf_memory_free(&memory, NULL, 7);
	ck_assert_uint_eq(memory.bytes_used, 0);
}

static int free_more_than_held(void *arg)
{
	struct wf_memory memory;
	void *block;

	(void)arg;
	wf_memory_init(&memory, NULL, NULL);
	block = wf_memory_new(&memory, 8);
	wf_memory_free(&memory, block, 9);
	return 0;
}

/* Freeing more than is held is a bug, and aborts. */
WF_TEST(free_of_too_much_aborts)
{
	struct wf_child child = wf_child(free_more_than_held, NULL);

	ck_assert_int_eq(child.signal, SIGABRT);
	ck_assert_ptr_nonnull(strstr(child.errors, "wf_memory_free"));
}

WF_MAIN("base/memory")
