/* SPDX-License-Identifier: MIT */
/*
 * Tasks: functions that run on stacks of their own and may suspend anywhere in the call tree. A
 * task runs until it suspends or ends; no other task of its worker runs in between. It never moves
 * to another worker, and it ends only by returning from its function.
 *
 * A task's result is seen by its scope: a negative one is a failure.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <weft/error.h>
#include <weft/scope.h>

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

typedef int weft_function(void *arg);

/* Spawns a task into a scope; it starts when the caller next suspends. Never suspends. On failure
 * nothing was spawned and the caller keeps `arg`: -ENOMEM without memory for it, -EAGAIN at the
 * limit weft_options.tasks_max, the scope's stop code if it has been cancelled or its deadline
 * has been noticed, -EPERM if the scope is inert or of another worker. */
#define weft_spawn(scope, function, arg) \
	weft_spawn_at((scope), (function), (arg), WEFT_HERE, #function)
int weft_spawn_at(struct weft_scope *scope, weft_function *function, void *arg, const char *site,
		  const char *name) WEFT_MUST_USE;

/* As weft_spawn, but the task gets a pointer to its own copy of `bytes` bytes at `args`, at most
 * WEFT_COPY_MAX (-EINVAL beyond it, and for 0). The copy lives as long as the task. */
#define WEFT_COPY_MAX 4096
#define weft_spawn_copy(scope, function, args, bytes) \
	weft_spawn_copy_at((scope), (function), (args), (bytes), WEFT_HERE, #function)
int weft_spawn_copy_at(struct weft_scope *scope, weft_function *function, const void *args,
		       size_t bytes, const char *site, const char *name) WEFT_MUST_USE;

/* Lets every other ready task run first. A checkpoint: 0, -ECANCELED, WEFT_EDEADLINE; -EPERM
 * outside a task. */
int weft_yield(void) WEFT_MUST_USE;

/* The calling task's name, its function's unless set; NULL outside a task. Setting keeps the
 * pointer, which must outlive the task. Never suspend. */
const char *weft_task_name(void);
void weft_task_name_set(const char *name);

/* A low-priority task runs when no normal one is ready, and at least once in every 16 runs. Never
 * suspends; tasks start as normal. */
enum weft_priority { WEFT_PRIORITY_NORMAL, WEFT_PRIORITY_LOW };
void weft_task_priority_set(enum weft_priority priority);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop
