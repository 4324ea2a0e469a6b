/* SPDX-License-Identifier: MIT */
/* weft_test_wait_idle, where the tasks wait for connections. */
#include "net/peer.h"

#include <weft/net.h>
#include <weft/test.h>

static struct weft_conn *a, *b;
static int done;

static int read_once(void *arg)
{
	char byte;
	ssize_t n = weft_read(b, &byte, 1);

	(void)arg;
	done++;
	return n < 0 ? (int)n : 0;
}

static void end_output(void *arg)
{
	(void)arg;
	wf_assert_result(weft_shutdown(a), 0);
}

/* What the caller did to a connection has reached whoever waits at its other end. */
WF_TASK_TEST(what_was_written_has_been_read)
{
	struct weft_scope scope;

	done = 0;
	wf_assert_result(weft_conn_pair(&a, &b), 0);
	for (int i = 1; i <= 100; i++) {
		weft_scope_open(&scope);
		SPAWN(&scope, read_once, NULL);
		wf_assert_result(weft_write(a, "x", 1, NULL), 0);
		wf_assert_result(weft_test_wait_idle(), 0);
		ck_assert_int_eq(done, i);
		wf_assert_result(weft_scope_close(&scope), 0);
	}
	weft_close(a);
	weft_close(b);
}

/* The same holds for what a posted call did, which runs after the engine has been looked at. */
WF_TASK_TEST(what_was_posted_has_had_its_effect)
{
	struct weft_scope scope;

	done = 0;
	wf_assert_result(weft_conn_pair(&a, &b), 0);
	weft_scope_open(&scope);
	SPAWN(&scope, read_once, NULL);
	wf_assert_result(weft_test_wait_idle(), 0);
	ck_assert_int_eq(done, 0);
	wf_assert_result(weft_post(weft_worker_self(), end_output, NULL), 0);
	wf_assert_result(weft_test_wait_idle(), 0);
	ck_assert_int_eq(done, 1);
	wf_assert_result(weft_scope_close(&scope), 0);
	weft_close(a);
	weft_close(b);
}

WF_MAIN("net/idle")
