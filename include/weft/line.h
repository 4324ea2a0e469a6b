/* SPDX-License-Identifier: MIT */
/*
 * What the objects that tasks wait for are made of. Everything here is private to them; it is public
 * because they lie on stacks and have static initialisers.
 */
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

struct wf_waiter;
struct weft_line_;

/* A place in a line, of one waiting task. */
struct weft_place_ {
	struct weft_place_ *next, *prev;
	struct weft_line_ *line;
	struct wf_waiter *waiter; /* what it waits by */
	void *element;		  /* in a line of a channel: what is handed over, or filled in */
};

/* Tasks in line, the one that came first in front. All zero is an empty line. */
struct weft_line_ {
	struct weft_place_ *first, *last;
};

/* clang-format off */
#define WEFT_LINE_INIT_ { 0, 0 }
/* clang-format on */

#ifdef __cplusplus
}
#endif
