/* SPDX-License-Identifier: MIT */
/*
 * Open scopes form a tree. A scope's parent is the scope that was innermost for its owner when it
 * was opened: another one of the same owner, or the one its owner was spawned into.
 *
 *	root ── task ── scope A ── scope B (opened inside A by the same task: A.inner)
 *	                  │
 *	                  ├─ child task ── scope C (the child's outermost; its parent is A)
 *	                  └─ child task    (no scope of its own: A holds for it)
 *
 * What holds for a scope is kept in the scope: `stop`, `stopping`, and the nearest deadline. It is
 * taken from the parent when the scope is opened, and a stop that comes later is carried down the
 * tree at once, by `spread`. So a checkpoint looks at one scope only.
 */
#include "core/scope.h"

#include "base/assert.h"
#include "core/park.h"
#include "core/wait.h"
#include "core/worker.h"

#include <errno.h>

/* ---- Walking down the tree ------------------------------------------------------------------- */

/* The outermost scope of the first of these siblings that has one open. */
static struct weft_scope *first_among(struct wf_task *sibling)
{
	for (; sibling; sibling = sibling->next)
		if (sibling->outermost)
			return sibling->outermost;
	return NULL;
}

static struct weft_scope *first_beneath(const struct weft_scope *scope)
{
	return scope->inner ? scope->inner : first_among(scope->children);
}

/* The scope after `scope` and everything beneath it, in a walk from `top` downward. No recursion:
 * the tree may be deeper than a stack. */
static struct weft_scope *next_beside(const struct weft_scope *scope, const struct weft_scope *top)
{
	while (scope != top) {
		struct weft_scope *parent = scope->parent;
		struct weft_scope *next = parent->inner == scope ? first_among(parent->children) :
								   first_among(scope->owner->next);

		if (next)
			return next;
		scope = parent;
	}
	return NULL;
}

struct weft_scope *wf_scope_next(const struct weft_scope *scope, const struct weft_scope *top)
{
	struct weft_scope *down = first_beneath(scope);

	return down ? down : next_beside(scope, top);
}

/*
 * Makes `code` hold for a scope and for everything beneath it that `mark` lets it reach, and ends
 * the waits of the tasks for which one of those is the innermost scope.
 */
static void spread(struct weft_scope *top, int code,
		   bool (*mark)(struct weft_scope *scope, int code, bool is_top),
		   void (*interrupt)(struct wf_task *task, int code))
{
	struct weft_scope *scope = top;

	while (scope) {
		struct weft_scope *down = NULL;

		if (mark(scope, code, scope == top)) {
			if (scope->owner->scope == scope)
				interrupt(scope->owner, code);
			wf_lots_end(scope, code);
			for (struct wf_task *child = scope->children; child; child = child->next)
				if (child->scope == scope)
					interrupt(child, code);
			down = first_beneath(scope);
		}
		scope = down ? down : next_beside(scope, top);
	}
}

/* A stop ends at shields. Where one holds already, it holds beneath, too. */
static bool mark_stop(struct weft_scope *scope, int code, bool is_top)
{
	if (scope->stop || (!is_top && scope->kind == WEFT_SCOPE_SHIELD))
		return false;
	scope->stop = code;
	return true;
}

static bool mark_stopping(struct weft_scope *scope, int code, bool is_top)
{
	bool is_new = !scope->stopping;

	(void)code, (void)is_top;
	scope->stopping = true;
	return is_new;
}

static void interrupt_softly(struct wf_task *task, int code)
{
	if (task->waiter && task->waiter->ends_softly)
		wf_wait_interrupt(task, code);
}

static void stop_own(struct weft_scope *scope, int code)
{
	if (!scope->own_stop)
		scope->own_stop = code;
	spread(scope, code, mark_stop, wf_wait_interrupt);
}

/* ---- Opening and closing --------------------------------------------------------------------- */

static void expire(struct weft_timer_ *timer)
{
	wf_scope_expire(wf_container(timer, struct weft_scope, timer));
}

static void open_scope(struct weft_scope *scope, struct wf_task *owner, enum weft_scope_kind kind,
		       weft_time deadline, const char *site)
{
	struct weft_scope *parent = owner->scope;

	if (wf_unlikely(parent == scope))
		wf_panic(
			"task \"%s\" (spawned at %s) opens at %s the scope that it has opened at %s "
			"already; close it first",
			owner->name, owner->site, site, scope->site);
	/* Field by field: a structure assignment would clear the object first, at twice the cost. */
	scope->parent = parent;
	scope->inner = NULL;
	scope->owner = owner;
	scope->children = NULL;
	scope->lots = NULL;
	scope->deadline_scope = deadline == WEFT_FOREVER ? NULL : scope;
	scope->deadline = deadline;
	scope->timer.link.next = NULL;
	scope->timer.when = deadline;
	scope->timer.fire = expire;
	scope->site = site;
	scope->joiner = NULL;
	scope->failures = 0;
	scope->live = 0;
	scope->stop = scope->own_stop = scope->failure = 0;
	scope->kind = (uint8_t)kind;
	scope->stopping = false;
	if (parent) {
		scope->stopping = parent->stopping;
		if (kind != WEFT_SCOPE_SHIELD) {
			scope->stop = parent->stop;
			if (parent->deadline <= deadline) {
				scope->deadline = parent->deadline;
				scope->deadline_scope = parent->deadline_scope;
			}
		}
		if (parent == owner->home)
			owner->outermost = scope;
		else
			parent->inner = scope;
	}
	owner->scope = scope;
}

void wf_scope_open_root(struct weft_worker *worker)
{
	worker->keeper = (struct wf_task){ .worker = worker, .name = "keeper", .site = "weft_run" };
	open_scope(&worker->root, &worker->keeper, WEFT_SCOPE_PLAIN, WEFT_FOREVER, "weft_run");
}

void weft_scope_open_at(struct weft_scope *scope, enum weft_scope_kind kind, weft_time deadline,
			const char *site)
{
	struct wf_task *task = wf_task_self();

	if (!task) {
		*scope = (struct weft_scope){ .site = site };
		return;
	}
	if (kind == WEFT_SCOPE_SHIELD && deadline == WEFT_FOREVER)
		wf_panic("the shield opened at %s by task \"%s\" has no deadline; give it one",
			 site, task->name);
	open_scope(scope, task, kind, deadline, site);
}

static _Noreturn void refuse_foreign_close(const struct weft_scope *scope,
					   const struct wf_task *task)
{
	wf_panic(
		"task \"%s\" (spawned at %s) closes the scope opened at %s, which belongs to task "
		"\"%s\" (spawned at %s)%s; only the task that opened a scope closes it, others may "
		"cancel it",
		task->name, task->site, scope->site, scope->owner->name, scope->owner->site,
		task->home == scope ? ", and would wait there for itself" : "");
}

/* Waits for the children of the scope, which the caller is about to close. */
static void join(struct weft_scope *scope, struct wf_task *task)
{
	if (scope->owner != task)
		refuse_foreign_close(scope, task);
	if (task->scope != scope)
		wf_panic(
			"task \"%s\" (spawned at %s) closes the scope opened at %s, but its innermost "
			"scope is the one opened at %s; close scopes in the reverse order of opening",
			task->name, task->site, scope->site, task->scope->site);
	/* Before the owner runs again, a task that knows the scope may spawn into it anew. */
	while (scope->live > 0) {
		struct wf_waiter waiter = { .task = task, .object = scope, .reason = WF_WAIT_JOIN };

		scope->joiner = &waiter;
		(void)wf_wait(&waiter); /* settled with 0, and not interruptible */
	}
	if (wf_unlikely(scope->lots))
		wf_lots_free(scope);
	wf_timer_disarm(&scope->timer);
	task->scope = scope->parent;
	if (scope->parent == task->home)
		task->outermost = NULL;
	else
		scope->parent->inner = NULL;
	scope->owner = NULL;
	if (!task->scope->stop)
		task->refusals = 0; /* the stop that refused it is behind it */
}

int weft_scope_close(struct weft_scope *scope)
{
	struct wf_task *task = wf_task_self();

	if (!scope->owner || !task)
		return -EPERM;
	join(scope, task);
	if (scope->failure)
		return scope->failure;
	if (scope->own_stop)
		return scope->own_stop;
	return scope->stop;
}

void weft_scope_leave(struct weft_scope *scope)
{
	struct wf_task *task = wf_task_self();

	if (!scope->owner || !task)
		return;
	if (scope->live > 0)
		weft_scope_cancel(scope);
	join(scope, task);
}

/* ---- Stops ----------------------------------------------------------------------------------- */

void wf_scope_expire(struct weft_scope *scope)
{
	wf_timer_disarm(&scope->timer);
	stop_own(scope, WEFT_EDEADLINE);
}

/* A scope has no locks: another thread must go through weft_post. */
static void assert_own(const struct weft_scope *scope)
{
	wf_assert(!scope->owner || scope->owner->worker == wf_worker);
}

void weft_scope_cancel(struct weft_scope *scope)
{
	assert_own(scope);
	if (!scope->owner)
		return;
	wf_timer_disarm(&scope->timer); /* its deadline has nothing left to stop */
	stop_own(scope, -ECANCELED);
}

void weft_scope_stop(struct weft_scope *scope)
{
	assert_own(scope);
	if (scope->owner)
		spread(scope, WEFT_ESTOPPING, mark_stopping, interrupt_softly);
}

static void withdraw_stop_wait(struct wf_waiter *waiter)
{
	wf_wait_settle(waiter, waiter->code);
}

int weft_stop_wait(void)
{
	struct wf_task *task = wf_task_self();
	struct wf_waiter waiter = { .task = task,
				    .withdraw = withdraw_stop_wait,
				    .reason = WF_WAIT_STOP,
				    .ends_softly = true };
	int r;

	if (!task)
		return -EPERM;
	r = wf_checkpoint_soft(task);
	return r < 0 ? r : (int)wf_wait(&waiter);
}

/* ---- Children -------------------------------------------------------------------------------- */

uint64_t weft_scope_failures(const struct weft_scope *scope)
{
	return scope->failures;
}

void wf_scope_adopt(struct weft_scope *scope, struct wf_task *child)
{
	child->scope = child->home = scope;
	child->prev = NULL;
	child->next = scope->children;
	if (child->next)
		child->next->prev = child;
	scope->children = child;
	scope->live++;
}

/* A stop that reached the child through this scope is not the child's failure. */
static bool is_failure(const struct weft_scope *scope, int result)
{
	return result < 0 && result != scope->stop &&
	       !(result == WEFT_ESTOPPING && scope->stopping);
}

void wf_scope_child_ended(struct weft_scope *scope, struct wf_task *child, int result)
{
	if (child->prev)
		child->prev->next = child->next;
	else
		scope->children = child->next;
	if (child->next)
		child->next->prev = child->prev;
	scope->live--;

	if (wf_unlikely(is_failure(scope, result))) {
		scope->failures++;
		child->worker->failed++;
		if (scope->kind != WEFT_SCOPE_SERVING && !scope->failure) {
			scope->failure = result;
			stop_own(scope, -ECANCELED);
		}
	}
	if (scope->live == 0 && scope->joiner) {
		wf_wait_settle(scope->joiner, 0);
		scope->joiner = NULL;
	}
}
