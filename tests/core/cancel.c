/* SPDX-License-Identifier: MIT */
/*
 * A cancel at every point where a task may suspend: before the operation, while it waits, when its
 * result is there but the task has not run yet; by a deadline; and twice. After it has returned,
 * nothing of it may be touched, and no memory be left.
 */
#include "base/compiler.h"
#include "core/common.h"
#include "harness/harness.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <weft/event.h>
#include <weft/run.h>

/* A task that waits, and what it waits for. */
struct victim {
	const struct operation *operation;
	struct weft_scope scope;  /* to be cancelled */
	struct weft_event *event; /* on the heap, gone when the wait has returned */
	weft_time when;
	int result; /* of the wait */
	int next;   /* of the checkpoint after it */
	bool ended;
};

struct operation {
	int (*wait)(struct victim *victim);
	/* Lets the wait begin and gives it what it waits for, but does not let the task run. */
	void (*make_ready)(struct victim *victim);
	int result; /* of the wait when it was not disturbed */
};

/* ---- The operations -------------------------------------------------------------------------- */

static int wait_sleep(struct victim *victim)
{
	return weft_sleep_until(victim->when);
}

/* Sleeps until the same time; being first, it runs first. */
static void sleep_along(struct victim *victim)
{
	wf_assert_result(weft_sleep_until(victim->when), 0);
}

static int wait_event(struct victim *victim)
{
	return weft_event_wait(victim->event);
}

static void set_event(struct victim *victim)
{
	settle();
	weft_event_set(victim->event);
}

static int wait_stop(struct victim *victim)
{
	(void)victim;
	return weft_stop_wait();
}

static void stop_softly(struct victim *victim)
{
	settle();
	weft_scope_stop(&victim->scope);
}

static int wait_yield(struct victim *victim)
{
	(void)victim;
	return weft_yield();
}

static void start_yield(struct victim *victim)
{
	(void)victim;
	wf_assert_result(weft_yield(), 0);
}

static int child_of_victim(void *event)
{
	return weft_event_wait(event);
}

static int wait_join(struct victim *victim)
{
	struct weft_scope scope;
	int r;

	weft_scope_open(&scope);
	r = weft_spawn(&scope, child_of_victim, victim->event);
	ck_assert(r == 0 || r == -ECANCELED || r == WEFT_EDEADLINE);
	return weft_scope_close(&scope);
}

static void end_child(struct victim *victim)
{
	settle();
	weft_event_set(victim->event);
	wf_assert_result(weft_yield(), 0); /* the child ends */
}

static const struct operation operations[] = {
	{ wait_sleep, sleep_along, 0 },
	{ wait_event, set_event, 0 },
	{ wait_stop, stop_softly, WEFT_ESTOPPING },
	{ wait_yield, start_yield, 0 },
	{ wait_join, end_child, 0 },
};

enum { OPERATIONS = sizeof operations / sizeof *operations };

/* ---- The victim ------------------------------------------------------------------------------ */

/* When a sleep of the victim would end: not before what is to end it, even if the machine stops for a
 * while, as an emulator does. */
enum { WHEN_MS = WF_IS_EMULATED ? 100 : 10 };

/* Lies where the frames of the wait were, and finds out whether anybody still writes there. */
static WF_NOINLINE void watch_dead_frames(void)
{
	volatile unsigned char dead[2048];

	for (size_t i = 0; i < sizeof dead; i++)
		dead[i] = 0xa5;
	WEFT_SHIELD(weft_after(10 * WEFT_SECOND)) {
		settle();
		wf_assert_result(weft_sleep((WHEN_MS + 2) * WEFT_MILLISECOND), 0);
	}
	for (size_t i = 0; i < sizeof dead; i++)
		ck_assert_uint_eq(dead[i], 0xa5);
}

static int be_the_victim(void *arg)
{
	struct victim *victim = arg;

	victim->result = victim->operation->wait(victim);
	memset(victim->event, 0xa5, sizeof *victim->event);
	free(victim->event);
	victim->ended = true;
	watch_dead_frames();
	victim->next = weft_yield();
	return 0;
}

static void begin(struct victim *victim, const struct operation *operation, weft_time deadline)
{
	*victim = (struct victim){ .operation = operation,
				   .when = weft_after(WHEN_MS * WEFT_MILLISECOND) };
	victim->event = calloc(1, sizeof *victim->event);
	ck_assert_ptr_nonnull(victim->event);
	weft_scope_open_until(&victim->scope, deadline);
	spawn(&victim->scope, be_the_victim, victim);
}

/* The wait returned one of two results, and the task was told of the stop at the latest then. */
static void end(struct victim *victim, int result, int code)
{
	wf_assert_result(weft_scope_close(&victim->scope), code);
	ck_assert(victim->ended);
	wf_assert_result(victim->result, result);
	wf_assert_result(victim->next, code);
}

/* Runs a scenario for every operation, with an allocator that must come out even. */
static int for_each_operation(void *scenario)
{
	void (*const *perform)(const struct operation *operation) = scenario;

	for (int i = 0; i < OPERATIONS; i++)
		(*perform)(&operations[i]);
	return 0;
}

static void run_scenario(void (*scenario)(const struct operation *operation))
{
	struct wf_tally tally = { 0 };
	struct weft_options options = { .allocator = wf_tally_allocator(&tally) };

	wf_assert_result(weft_run(for_each_operation, &scenario, &options), 0);
	ck_assert_uint_eq(tally.bytes, 0);
}

/* ---- The scenarios --------------------------------------------------------------------------- */

static void do_not_cancel(const struct operation *operation)
{
	struct victim victim;

	begin(&victim, operation, WEFT_FOREVER);
	operation->make_ready(&victim);
	wf_assert_result(weft_scope_close(&victim.scope), 0);
	wf_assert_result(victim.result, operation->result);
	wf_assert_result(victim.next, 0);
}

/* Undisturbed, each operation has its result: what follows would prove nothing otherwise. */
WF_TEST(undisturbed)
{
	run_scenario(do_not_cancel);
}

static void cancel_before(const struct operation *operation)
{
	struct victim victim;

	begin(&victim, operation, WEFT_FOREVER);
	weft_scope_cancel(&victim.scope);
	end(&victim, -ECANCELED, -ECANCELED);
}

/* An operation that begins in a cancelled scope is refused. */
WF_TEST(cancelled_before)
{
	run_scenario(cancel_before);
}

/* What a cancel during the operation makes of it; a yield is over before it can be felt. */
static int interrupted(const struct operation *operation)
{
	return operation->wait == wait_yield ? 0 : -ECANCELED;
}

static void cancel_during(const struct operation *operation)
{
	struct victim victim;

	begin(&victim, operation, WEFT_FOREVER);
	wf_assert_result(weft_yield(), 0);
	weft_scope_cancel(&victim.scope);
	end(&victim, interrupted(operation), -ECANCELED);
}

/* A cancel ends the wait. */
WF_TEST(cancelled_during)
{
	run_scenario(cancel_during);
}

static void cancel_twice(const struct operation *operation)
{
	struct victim victim;

	begin(&victim, operation, WEFT_FOREVER);
	wf_assert_result(weft_yield(), 0);
	weft_scope_cancel(&victim.scope);
	weft_scope_cancel(&victim.scope);
	wf_assert_result(weft_yield(), -ECANCELED); /* the victim runs */
	weft_scope_cancel(&victim.scope);
	end(&victim, interrupted(operation), -ECANCELED);
}

/* A second cancel changes nothing. */
WF_TEST(cancelled_twice)
{
	run_scenario(cancel_twice);
}

static void cancel_after_ready(const struct operation *operation)
{
	struct victim victim;

	begin(&victim, operation, WEFT_FOREVER);
	operation->make_ready(&victim);
	ck_assert(!victim.ended);
	weft_scope_cancel(&victim.scope);
	/* A join has no result of its own to keep: it tells of the stop. */
	end(&victim, operation->wait == wait_join ? -ECANCELED : operation->result, -ECANCELED);
}

/* A result that is there before the cancel is kept, though the task has not run yet. */
WF_TEST(cancelled_after_ready)
{
	run_scenario(cancel_after_ready);
}

static void cancel_before_ready(const struct operation *operation)
{
	struct victim victim;

	begin(&victim, operation, WEFT_FOREVER);
	wf_assert_result(weft_yield(), 0);
	weft_scope_cancel(&victim.scope);
	if (operation->wait == wait_event)
		weft_event_set(victim.event);
	if (operation->wait == wait_stop)
		weft_scope_stop(&victim.scope);
	end(&victim, interrupted(operation), -ECANCELED);
}

/* What comes after the cancel, but before the task has run, comes too late. */
WF_TEST(ready_after_the_cancel)
{
	run_scenario(cancel_before_ready);
}

static void cancel_by_deadline(const struct operation *operation)
{
	struct victim victim;

	begin(&victim, operation, weft_after(2 * WEFT_MILLISECOND));
	end(&victim, operation->wait == wait_yield ? 0 : WEFT_EDEADLINE, WEFT_EDEADLINE);
}

/* A deadline ends the wait. */
WF_TEST(cancelled_by_a_deadline)
{
	run_scenario(cancel_by_deadline);
}

static void deadline_then_cancel(const struct operation *operation)
{
	struct victim victim;

	begin(&victim, operation, weft_after(2 * WEFT_MILLISECOND));
	wf_assert_result(weft_sleep(WEFT_SECOND), WEFT_EDEADLINE);
	weft_scope_cancel(&victim.scope);
	end(&victim, operation->wait == wait_yield ? 0 : WEFT_EDEADLINE, WEFT_EDEADLINE);
}

/* A cancel after the deadline changes nothing. */
WF_TEST(cancelled_after_the_deadline)
{
	run_scenario(deadline_then_cancel);
}

static int return_failure(void *arg)
{
	(void)arg;
	return -EIO;
}

static void fail_beside(const struct operation *operation)
{
	struct victim victim;

	begin(&victim, operation, WEFT_FOREVER);
	wf_assert_result(weft_yield(), 0);
	spawn(&victim.scope, return_failure, NULL);
	wf_assert_result(weft_scope_close(&victim.scope), -EIO);
	wf_assert_result(victim.result, interrupted(operation));
	wf_assert_result(victim.next, -ECANCELED);
}

/* A failure of a sibling ends the wait like a cancel. */
WF_TEST(cancelled_by_a_failure)
{
	run_scenario(fail_beside);
}

WF_MAIN("core/cancel")
