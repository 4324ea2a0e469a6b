/* SPDX-License-Identifier: MIT */
/*
 * A scope owns tasks and bounds time. It is three things in one stack object:
 *
 *   a nursery:       tasks are spawned into it, and weft_scope_close waits for all of them;
 *   a cancel scope:  weft_scope_cancel makes every checkpoint beneath it fail, and keep failing;
 *   a deadline:      as if cancelled at that time, with the code WEFT_EDEADLINE.
 *
 * Scopes nest, within a task and from a task to the tasks it spawns. A child inherits what holds
 * for the scope it is spawned into, not what holds where the spawning code happens to run. Opens
 * and closes are last in, first out; a breach aborts, naming the place that opened the scope.
 *
 * The first child that fails cancels its siblings and the code between open and close. A *serving*
 * scope counts failures instead. A *shield* keeps the stops of outer scopes out, for clean-up that
 * must run; it requires a deadline.
 *
 * A stop is not to be ignored: a task that goes on after 1,000 checkpoints in a row have refused it
 * ends the program, which names the task.
 *
 * A scope belongs to the worker it was opened on. Unless said otherwise a function here never
 * suspends, cannot fail, and must be called from that worker.
 *
 * After N. J. Smith, "Timeouts and cancellation for humans" and "Notes on structured concurrency"
 * (2018); the nursery and the cancel scope are one object here.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <weft/error.h>
#include <weft/time.h>

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

struct weft_lot;
struct wf_task;

/* The place in the source that a macro is used at: "file.c:12". */
#define WEFT_TEXT_(x) #x
#define WEFT_TEXT(x) WEFT_TEXT_(x)
#define WEFT_HERE __FILE__ ":" WEFT_TEXT(__LINE__)

/* A timer, part of objects that live on task stacks. All fields are private. */
struct weft_link_ {
	struct weft_link_ *next, *prev;
};

struct weft_timer_ {
	struct weft_link_ link;
	weft_time when;
	void (*fire)(struct weft_timer_ *timer);
};

/* All fields are private. An object of this type must not move while open. */
struct weft_scope {
	struct weft_scope *parent;	   /* the scope around it, or NULL for the root */
	struct weft_scope *inner;	   /* the scope its owner opened next, if any */
	struct wf_task *owner;		   /* the task that opened it; NULL when not open */
	struct wf_task *children;	   /* first of the tasks spawned into it */
	struct weft_lot *lots;		   /* first of its lots (weft/park.h) */
	struct weft_scope *deadline_scope; /* the scope whose deadline is the nearest */
	weft_time deadline;		   /* the nearest deadline, own or inherited */
	struct weft_timer_ timer;	   /* for its own deadline, armed by the first park */
	const char *site;		   /* where it was opened */
	void *joiner;			   /* its owner's waiter while in weft_scope_close */
	uint64_t failures;		   /* children that failed */
	uint32_t live; /* children that have not ended, parked watches included */
	int stop;      /* the code every checkpoint beneath gets, or 0 */
	int own_stop;  /* this scope's own part in it, or 0 */
	int failure;   /* the first child failure, or 0 */
	uint8_t kind;  /* enum weft_scope_kind */
	bool stopping; /* asked to stop softly */
};

enum weft_scope_kind { WEFT_SCOPE_PLAIN, WEFT_SCOPE_SERVING, WEFT_SCOPE_SHIELD };

/* Opens a scope for the calling task. Outside a task the scope is inert: spawning into it and
 * closing it return -EPERM. */
#define weft_scope_open(scope) \
	weft_scope_open_at((scope), WEFT_SCOPE_PLAIN, WEFT_FOREVER, WEFT_HERE)
#define weft_scope_open_until(scope, deadline) \
	weft_scope_open_at((scope), WEFT_SCOPE_PLAIN, (deadline), WEFT_HERE)
#define weft_scope_open_serving(scope) \
	weft_scope_open_at((scope), WEFT_SCOPE_SERVING, WEFT_FOREVER, WEFT_HERE)
#define weft_scope_open_shield(scope, deadline) \
	weft_scope_open_at((scope), WEFT_SCOPE_SHIELD, (deadline), WEFT_HERE)
void weft_scope_open_at(struct weft_scope *scope, enum weft_scope_kind kind, weft_time deadline,
			const char *site);

/* Waits until every child has ended, then closes the scope. Suspends while children remain. It
 * cannot be cancelled itself: a stop reaches the children, and it goes on waiting for them.
 *
 * Returns the first child failure that is not this scope's own stop; else WEFT_EDEADLINE if its
 * deadline fired, that is, stopped anything; else -ECANCELED if it was cancelled; else the code of the outer scope that was
 * stopped; else 0. -EPERM for an inert scope. */
int weft_scope_close(struct weft_scope *scope) WEFT_MUST_USE;

/* Closes the scope if it is still open: cancels it if it has children, then waits for them. What
 * `WEFT_SCOPE_AUTO` calls; for clean-up paths, where the result does not matter. */
void weft_scope_leave(struct weft_scope *scope);

/* WEFT_SCOPE_AUTO(s); declares a scope that is left on every way out of its block, if it has been
 * opened by then. */
#define WEFT_SCOPE_AUTO(name) struct weft_scope name WEFT_SCOPE_LEFT_ = { 0 }
#define WEFT_SCOPE_LEFT_ __attribute__((cleanup(weft_scope_leave)))

/* Cancels everything beneath the scope: every checkpoint there returns -ECANCELED from now on, and
 * waits that are under way end. Cancelling twice is harmless. */
void weft_scope_cancel(struct weft_scope *scope);

/* Asks everything beneath the scope to take no new work: weft_accept, weft_park and
 * weft_stop_wait return WEFT_ESTOPPING from now on, and parked watches end, shields included; everything else goes on. */
void weft_scope_stop(struct weft_scope *scope);

/* Waits for a soft stop of a scope around the caller. A checkpoint: WEFT_ESTOPPING when it came,
 * -ECANCELED, WEFT_EDEADLINE; -EPERM outside a task. */
int weft_stop_wait(void) WEFT_MUST_USE;

/* How many children of the scope have failed so far. */
uint64_t weft_scope_failures(const struct weft_scope *scope);

/* WEFT_DEADLINE(weft_after(5 * WEFT_SECOND)) { ... } bounds the time of a block, and of everything
 * it calls. When the time has passed, every checkpoint in the block returns WEFT_EDEADLINE. `break`
 * and `continue` leave the block, not a loop around it; `return` and `goto` out of it are fine. */
#define WEFT_DEADLINE(when) WEFT_BLOCK_(WEFT_SCOPE_PLAIN, (when))

/* WEFT_SHIELD(deadline) { ... } keeps the stops of outer scopes out of a block until its deadline. */
#define WEFT_SHIELD(deadline) WEFT_BLOCK_(WEFT_SCOPE_SHIELD, (deadline))

/* The names hold the line, so that a block within a block hides nothing of it. */
#define WEFT_BLOCK_(kind, when) WEFT_BLOCK_AT_(kind, when, __LINE__)
#define WEFT_BLOCK_AT_(kind, when, line) WEFT_BLOCK_NAMED_(kind, when, line)
#define WEFT_BLOCK_NAMED_(kind, when, line)                                                    \
	for (struct weft_scope weft_block_##line WEFT_SCOPE_LEFT_,                             \
	     *weft_once_##line = weft_block_enter_(&weft_block_##line, kind, when, WEFT_HERE); \
	     weft_once_##line; weft_once_##line = weft_block_leave_(&weft_block_##line))

static inline struct weft_scope *weft_block_enter_(struct weft_scope *scope,
						   enum weft_scope_kind kind, weft_time when,
						   const char *site)
{
	weft_scope_open_at(scope, kind, when, site);
	return scope;
}

static inline struct weft_scope *weft_block_leave_(struct weft_scope *scope)
{
	weft_scope_leave(scope);
	return 0;
}

#ifdef __cplusplus
}

namespace weft
{
/* The same as a C++ object: opened by the constructor, left by the destructor. */
class scope
{
      public:
	explicit scope(weft_time deadline = WEFT_FOREVER, weft_scope_kind kind = WEFT_SCOPE_PLAIN,
		       const char *site = "weft::scope")
	{
		weft_scope_open_at(&scope_, kind, deadline, site);
	}
	~scope() { weft_scope_leave(&scope_); }
	scope(const scope &) = delete;
	scope &operator=(const scope &) = delete;

	int close() WEFT_MUST_USE { return weft_scope_close(&scope_); }
	operator weft_scope *() { return &scope_; }

      private:
	weft_scope scope_;
};
} // namespace weft
#endif
#pragma GCC visibility pop
