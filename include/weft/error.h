/* SPDX-License-Identifier: MIT */
/*
 * One error channel. A function that can fail returns `>= 0` on success and a negative code on
 * failure: `-errno` where the kernel has a name for it, a WEFT_E* code where it has not. Both live
 * in one number space, so `if (n == WEFT_EDEADLINE)` and `if (n == -ECONNRESET)` read alike.
 * `errno` has no part in it: what it holds after a call means nothing.
 *
 * Nothing here suspends; every function may be called from any thread.
 */
#pragma once

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

/* A result that must not be ignored. */
#define WEFT_MUST_USE __attribute__((warn_unused_result))

enum weft_error {
	/* A deadline of this scope or of one around it has passed. */
	WEFT_EDEADLINE = -10001,
	/* The scope was asked to stop softly: take no new work. */
	WEFT_ESTOPPING = -10002,
	/* The object was closed while, or before, the operation used it. */
	WEFT_ECLOSED = -10003,
	/* The input ended before the wanted number of bytes had come. */
	WEFT_EEOF = -10004,
	/* The text is not an address; weft_address_parse says which part. */
	WEFT_EADDRESS = -10005,
	/* An option of weft_run, or one of its environment variables, has no such value. */
	WEFT_EOPTION = -10006,
	/* The engine that was asked for by name does not work here. */
	WEFT_EENGINE = -10007,
	/* In the simulator: the descriptor is one of the real world. */
	WEFT_ESIMULATED = -10008,
};

/* The symbolic name of a code, "ECONNRESET" or "WEFT_EDEADLINE"; "OK" for codes >= 0 and
 * "UNKNOWN" for a code without a name. A static string. */
const char *weft_error_name(int code);

/* One English sentence for a code, without a full stop. A static string. */
const char *weft_strerror(int code);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop
