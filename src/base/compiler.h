/* SPDX-License-Identifier: MIT */
/*
 * What every file says to the compiler: which way a branch goes, what stays out of line, and how
 * to get from a member to the object around it. gcc and clang, C11 with their extensions.
 */
#pragma once

#include <stddef.h>

/* The value of a condition, and the way it almost always goes. Only where a measurement, or an
 * error path, justifies it. */
#define wf_likely(condition) __builtin_expect(!!(condition), 1)
#define wf_unlikely(condition) __builtin_expect(!!(condition), 0)

/* A function of its own in the machine code: cold paths, and frames that must not be merged. */
#define WF_NOINLINE __attribute__((noinline))

/* The object of the given type whose member `pointer` points to. The conditional, never
 * evaluated, lets the compiler complain of a pointer to anything but the member's type. */
#define wf_container(pointer, type, member) \
	((type *)(void *)((char *)(1 ? (pointer) : &((type *)0)->member) - offsetof(type, member)))
