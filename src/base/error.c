/* SPDX-License-Identifier: MIT */
/*
 * The names and sentences of weft/error.h: the kernel's codes from the C library, which knows them
 * in English whatever the locale, and weft's own from the table here.
 */
#include <weft/error.h>

#include <stddef.h>
#include <string.h>

static const struct error {
	int code;
	const char *name;
	const char *sentence;
} errors[] = {
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
};

static const struct error *error_find(int code)
{
	for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
		if (errors[i].code == code)
			return &errors[i];
	}
	return NULL;
}

/* The least code has no positive twin; no kernel error is anywhere near it. */
static int error_errno(int code)
{
	return code < -4095 ? 4095 : -code;
}

const char *weft_error_name(int code)
{
	const struct error *error = error_find(code);
	const char *name;

	if (code >= 0)
		return "OK";
	if (error)
		return error->name;
	name = strerrorname_np(error_errno(code));
	return name ? name : "UNKNOWN";
}

const char *weft_strerror(int code)
{
	const struct error *error = error_find(code);
	const char *sentence;

	if (code >= 0)
		return "Success";
	if (error)
		return error->sentence;
	sentence = strerrordesc_np(error_errno(code));
	return sentence ? sentence : "Unknown error";
}
