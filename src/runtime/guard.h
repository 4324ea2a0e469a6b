/* SPDX-License-Identifier: MIT */
/* Which guard stacks can have here, and how large the kernel's pages are. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <weft/run.h>

/* How large a page is: 4 KiB, or 16 or 64 KiB on some kernels for aarch64. */
size_t wf_page_bytes(void);

/* The best kind of guard that works, found by trying it. */
enum weft_guard wf_guard_best(void);

/* The same; but WEFT_GUARD=light|mprotect|canary asks for one and gets that or a lesser one.
 * WEFT_EOPTION for another word. */
int wf_guard_probe(enum weft_guard *ret_guard);

/* How many mprotect guards may be made: each costs two mappings, and the program needs its own. */
uint32_t wf_guard_budget(void);
