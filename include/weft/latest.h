/* SPDX-License-Identifier: MIT */
/*
 * The latest value of something, for many readers: a configuration, a position, the state of a peer. A
 * reader that is slow skips values and never holds up the writer. Other systems call this a watch, a
 * name that stands for descriptors here (park.h).
 *
 *	static struct settings settings = { ... };
 *	static struct weft_latest latest = WEFT_LATEST_INIT(&settings, sizeof settings);
 *
 * It belongs to one worker, needs no clean-up, and must outlive its readers. The storage is the
 * caller's, and is to be used through these functions only; what it holds at first is version 0.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <weft/error.h>
#include <weft/line.h>

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

/* All fields are private. */
struct weft_latest {
	struct weft_line_ line; /* of those who have seen the value there is */
	void *storage;
	size_t bytes;
	uint64_t version; /* how often it was set */
	bool closed;
};

/* clang-format off */
#define WEFT_LATEST_INIT(storage, bytes) { WEFT_LINE_INIT_, (storage), (bytes), 0, false }
/* clang-format on */

/* Copies `value` into the storage and wakes every reader that waits. Never suspends. Ends the program
 * if it has been closed. */
void weft_latest_set(struct weft_latest *latest, const void *value);

/* Copies the value there is to `ret_value`, unless that is NULL, and returns its version. Never
 * suspends; also when it has been closed. */
uint64_t weft_latest_get(const struct weft_latest *latest, void *ret_value);

/* Waits until there is a version other than `*seen`; then copies the value to `ret_value`, unless
 * that is NULL, and its version to `*seen`. Begin with the version from weft_latest_get, or with
 * UINT64_MAX to get the value there is. A checkpoint: 0, or nothing was written: WEFT_ECLOSED if it
 * has been closed and the last value was seen, -ECANCELED, WEFT_EDEADLINE; -EPERM outside a task. */
int weft_latest_wait(struct weft_latest *latest, uint64_t *seen, void *ret_value) WEFT_MUST_USE;

/* Says that no value will follow. Readers get WEFT_ECLOSED when they have seen the last one. Never
 * suspends; closing twice is harmless. */
void weft_latest_close(struct weft_latest *latest);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop
