/* SPDX-License-Identifier: MIT */
#include <weft/error.h>

#include "harness/harness.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

static const struct {
	int code;
	const char *name;
	const char *sentence;
} table[] = {
	{ 0, "OK", "Success" },
	{ 1, "OK", "Success" },
	{ INT_MAX, "OK", "Success" },
	{ -EPERM, "EPERM", "Operation not permitted" },
	{ -EAGAIN, "EAGAIN", "Resource temporarily unavailable" },
	{ -ECONNRESET, "ECONNRESET", "Connection reset by peer" },
	{ -ECANCELED, "ECANCELED", "Operation canceled" },
	{ WEFT_EDEADLINE, "WEFT_EDEADLINE", "The deadline has passed" },
	{ WEFT_ESTOPPING, "WEFT_ESTOPPING", "The scope was asked to stop" },
	{ WEFT_ECLOSED, "WEFT_ECLOSED", "The object was closed" },
	{ WEFT_EEOF, "WEFT_EEOF", "The input ended too early" },
	{ WEFT_EADDRESS, "WEFT_EADDRESS",
	  "The text is not an address like 127.0.0.1:80, [::1]:80 or unix:/path" },
	{ WEFT_EOPTION, "WEFT_EOPTION",
	  "An option is not valid: stack_bytes, the engine (WEFT_ENGINE: epoll, uring), or the "
	  "guard (WEFT_GUARD: light, mprotect, canary)" },
	{ WEFT_EENGINE, "WEFT_EENGINE",
	  "The engine that was asked for does not work here: the kernel or a sandbox refuses it; "
	  "use WEFT_ENGINE=epoll, or name none" },
	{ WEFT_ESIMULATED, "WEFT_ESIMULATED", "A descriptor of the real world in the simulator" },
	{ -4000, "UNKNOWN", "Unknown error" },
	{ WEFT_EDEADLINE + 1, "UNKNOWN", "Unknown error" },
	{ INT_MIN, "UNKNOWN", "Unknown error" },
};

/* Codes have the names of their constants. */
WF_TEST(names)
{
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		ck_assert_str_eq(weft_error_name(table[i].code), table[i].name);
}

/* Codes have their sentences. */
WF_TEST(sentences)
{
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		ck_assert_str_eq(weft_strerror(table[i].code), table[i].sentence);
}

/* Every code there may be has a name and a sentence without a full stop. */
WF_TEST(every_code_has_both)
{
	for (int code = -20000; code < 10; code++) {
		const char *name = weft_error_name(code), *sentence = weft_strerror(code);

		ck_assert(isupper((unsigned char)name[0]));
		ck_assert(isupper((unsigned char)sentence[0]) || strstr(sentence, ".lib"));
		ck_assert_int_ne(sentence[strlen(sentence) - 1], '.');
	}
}

#ifdef __GLIBC__

/* The kernel's codes have the names and sentences that glibc has for them, and no others have any. */
WF_TEST(kernel_codes_are_those_of_glibc)
{
	for (int number = 1; number < 4096; number++) {
		const char *name = strerrorname_np(number), *sentence = strerrordesc_np(number);

		ck_assert_str_eq(weft_error_name(-number), name ? name : "UNKNOWN");
		ck_assert_str_eq(weft_strerror(-number), sentence ? sentence : "Unknown error");
	}
}

#endif

/* errno is neither set nor read. */
WF_TEST(errno_is_left_alone)
{
	errno = 77;
	(void)weft_error_name(-4000);
	(void)weft_strerror(-4000);
	(void)weft_strerror(-EPERM);
	ck_assert_int_eq(errno, 77);
}

WF_MAIN("base/error")
