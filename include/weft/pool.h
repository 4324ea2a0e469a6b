/* SPDX-License-Identifier: MIT */
/*
 * A pool lets at most so many of its tasks run at once, in a scope of the caller's:
 *
 *	struct weft_pool pool = WEFT_POOL_INIT(&scope, 10);
 *
 *	for (i = 0; r == 0 && i < count; i++)
 *		r = weft_pool_spawn(&pool, fetch, &pages[i]);
 *
 * The tasks are tasks of that scope, with their results and their stops. The pool only counts: it
 * needs no clean-up, but must outlive its tasks. It belongs to one worker.
 */
#pragma once

#include <stdint.h>
#include <weft/error.h>
#include <weft/line.h>
#include <weft/scope.h>
#include <weft/task.h>

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

/* All fields are private. */
struct weft_pool {
	struct weft_scope *scope;
	uint32_t places;
	uint32_t taken;		/* by tasks, and by those who are about to spawn one */
	struct weft_line_ line; /* of those who want a place; then all are taken */
	struct weft_line_ idle; /* of those who wait for all to be free */
};

/* clang-format off */
#define WEFT_POOL_INIT(scope, places) { (scope), (places), 0, WEFT_LINE_INIT_, WEFT_LINE_INIT_ }
/* clang-format on */

/* Waits for a place, in line, and spawns a task as weft_spawn does, with a small allocation of its own.
 * The place is free again when `function` has returned. A checkpoint. On failure nothing was spawned
 * and the caller keeps `arg`: -EINVAL for a pool without places, -ECANCELED, WEFT_EDEADLINE, and the
 * codes of weft_spawn; -EPERM outside a task. A task of the pool that spawns into it can wait for
 * ever: for its own place. */
#define weft_pool_spawn(pool, function, arg) \
	weft_pool_spawn_at((pool), (function), (arg), WEFT_HERE, #function)
int weft_pool_spawn_at(struct weft_pool *pool, weft_function *function, void *arg, const char *site,
		       const char *name) WEFT_MUST_USE;

/* Waits until none of the pool's tasks runs and nobody waits for a place; at once if that is so. What
 * has become of them their scope knows. A checkpoint: 0, -ECANCELED, WEFT_EDEADLINE; -EDEADLK in a
 * task of the pool; -EPERM outside a task. */
int weft_pool_wait_all(struct weft_pool *pool) WEFT_MUST_USE;

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop
