/* SPDX-License-Identifier: MIT */
#include "base/assert.h"

#include "harness/harness.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int panic_with_numbers(void *arg)
{
	(void)arg;
	wf_panic("%d of %s", 3, "four");
}

/* A panic writes one line and aborts. */
WF_TEST(panic_writes_a_line)
{
	struct wf_child child = wf_child(panic_with_numbers, NULL);

	ck_assert_int_eq(child.signal, SIGABRT);
	ck_assert_str_eq(child.errors, "weft: 3 of four\n");
}

static int panic_with_text(void *text)
{
	wf_panic("%s", (const char *)text);
}

/* Text that is too long is cut, but still a line. */
WF_TEST(panic_cuts_long_text)
{
	char text[2000];
	struct wf_child child;

	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = 0;
	child = wf_child(panic_with_text, text);
	ck_assert_int_eq(child.signal, SIGABRT);
	ck_assert_uint_le(strlen(child.errors), 512);
	ck_assert_uint_gt(strlen(child.errors), 500);
	ck_assert_str_eq(strchr(child.errors, '\n'), "\n");
}

/* Text of every length around the limit is complete up to it. */
WF_TEST(panic_keeps_what_fits)
{
	char text[520], expected[530];

	for (size_t length = 495; length < sizeof text; length++) {
		struct wf_child child;

		memset(text, 'x', length);
		text[length] = 0;
		child = wf_child(panic_with_text, text);
		(void)snprintf(expected, sizeof expected, "weft: %.*s\n",
			       length < 504 ? (int)length : 504, text);
		ck_assert_str_eq(child.errors, expected);
	}
}

/* Control characters do not reach the terminal. */
WF_TEST(panic_stays_one_line)
{
	char text[] = "a\nb\033c\177";
	struct wf_child child = wf_child(panic_with_text, text);

	ck_assert_str_eq(child.errors, "weft: a?b?c?\n");
}

static int fail_assertion(void *arg)
{
	wf_assert(arg != NULL);
	return 7;
}

/* A false assertion aborts, and says which one, in which function, at which place. */
WF_TEST(assert_false_aborts)
{
	struct wf_child child = wf_child(fail_assertion, NULL);

	ck_assert_int_eq(child.signal, SIGABRT);
	ck_assert_ptr_nonnull(strstr(child.errors, "assertion \"arg != NULL\" failed"));
	ck_assert_ptr_nonnull(strstr(child.errors, "in fail_assertion, "));
	ck_assert_ptr_nonnull(strstr(child.errors, "tests/base/assert.c:"));
}

/* A true assertion does nothing, and evaluates its condition once. */
WF_TEST(assert_true_goes_on)
{
	int count = 0;

	wf_assert(++count == 1);
	ck_assert_int_eq(count, 1);
	ck_assert_int_eq(wf_child(fail_assertion, &count).status, 7);
}

#ifdef WF_DEBUG
enum { SLOW_ON = true };
#else
enum { SLOW_ON = false };
#endif

/* A slow assertion is evaluated with WF_DEBUG only. */
WF_TEST(assert_slow_needs_debug)
{
	int count = 0;

	wf_assert_slow(++count == 1);
	ck_assert_int_eq(count, SLOW_ON);
}

WF_MAIN("base/assert")
