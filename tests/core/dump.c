/* SPDX-License-Identifier: MIT */
#include "core/dump.h"

#include "core/common.h"
#include "core/worker.h"

#include <errno.h>
#include <string.h>
#include <weft/chan.h>
#include <weft/event.h>
#include <weft/mutex.h>

static struct weft_mutex mutex = WEFT_MUTEX_INIT;
static struct weft_event event = WEFT_EVENT_INIT;
static struct weft_chan *chan;

static int lock(void *arg)
{
	(void)arg;
	return weft_mutex_lock(&mutex);
}

static int wait_for_event(void *arg)
{
	(void)arg;
	return weft_event_wait(&event);
}

static int send_one(void *arg)
{
	return weft_chan_send(chan, &arg);
}

static int run(void *arg)
{
	struct weft_scope scope;

	(void)arg;
	wf_assert_result(weft_chan_new(sizeof(void *), 0, &chan), 0);
	wf_assert_result(weft_mutex_lock(&mutex), 0);
	weft_scope_open(&scope);
	spawn(&scope, lock, NULL);
	spawn(&scope, wait_for_event, NULL);
	spawn(&scope, send_one, NULL);
	settle();
	wf_dump(wf_worker);
	weft_event_set(&event);
	wf_dump(wf_worker); /* it is ready now */
	weft_scope_cancel(&scope);
	wf_assert_result(weft_scope_close(&scope), -ECANCELED);
	weft_mutex_unlock(&mutex);
	weft_chan_free(chan);
	return 0;
}

static int run_here(void *arg)
{
	return weft_run(run, arg, NULL);
}

/* Each task stands there with its name and what it waits for; one that need not wait any more is ready. */
WF_TEST(tasks_and_what_they_wait_for)
{
	struct wf_child child = wf_child(run_here, NULL);
	const char *second;

	ck_assert_int_eq(child.status, 0);
	ck_assert_ptr_nonnull(strstr(child.errors, "4 tasks, 0 parked"));
	ck_assert_ptr_nonnull(strstr(child.errors, "task \"lock\" (spawned at tests/core/dump.c:"));
	ck_assert_ptr_nonnull(strstr(child.errors, "waits for a mutex"));
	ck_assert_ptr_nonnull(strstr(child.errors, "waits for an event"));
	ck_assert_ptr_nonnull(strstr(child.errors, "waits for room in a channel"));
	second = strstr(strstr(child.errors, "4 tasks") + 1, "4 tasks");
	ck_assert_ptr_nonnull(second);
	ck_assert_ptr_null(strstr(second, "an event"));
}

WF_MAIN("core/dump")
