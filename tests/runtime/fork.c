/* SPDX-License-Identifier: MIT */
/* A child that is forked while tasks run: it can do nothing to its parent. */
#include "harness/harness.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weft/net.h>
#include <weft/run.h>
#include <weft/scope.h>
#include <weft/task.h>
#include <weft/time.h>

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

/* What a child gets from the runtime; 0 if everything refused it. */
static int try_everything(struct weft_listener *listener, struct weft_conn *conn)
{
	struct weft_conn *accepted;
	struct weft_stats stats;
	struct weft_scope scope;
	int refused = 0;
	char byte;

	weft_scope_open(&scope);
	refused += weft_yield() == -EPERM;
	refused += weft_sleep(1) == -EPERM;
	refused += weft_stats(&stats) == -EPERM;
	refused += weft_read(conn, &byte, 1) == -EPERM;
	refused += weft_write(conn, "x", 1, NULL) == -EPERM;
	refused += weft_accept(listener, &accepted) == -EPERM;
	refused += weft_spawn(&scope, nothing, NULL) == -EPERM;
	refused += weft_scope_close(&scope) == -EPERM;
	refused += weft_run(nothing, NULL, NULL) == -EPERM;
	refused += weft_shutdown(conn) == -EPERM;
	weft_listener_close(listener);
	weft_close(conn);
	return refused == 10 ? 0 : 1;
}

static void expect_exit(pid_t child, int status)
{
	int got;

	ck_assert_int_eq(waitpid(child, &got, 0), child);
	ck_assert(WIFEXITED(got));
	ck_assert_int_eq(WEXITSTATUS(got), status);
}

/* Every call refuses the child, and the parent's connections go on as if nothing had happened. */
WF_TASK_TEST(calls_refuse_a_child)
{
	char text[WEFT_ADDRESS_TEXT_MAX], byte;
	struct weft_listener *listener = wf_listen_loopback(text);
	struct weft_conn *here, *there;

	wf_assert_result(weft_dial(text, &here), 0);
	wf_assert_result(weft_accept(listener, &there), 0);
	for (int i = 0; i < 5; i++) {
		pid_t child;
		ssize_t n = 0;

		WEFT_DEADLINE(weft_after(WEFT_MILLISECOND)) /* so that it is watched */
			n = weft_read(there, &byte, 1);
		wf_assert_result(n, WEFT_EDEADLINE);
		child = fork();
		ck_assert_int_ge(child, 0);
		if (child == 0)
			_exit(try_everything(listener, there));
		expect_exit(child, 0);
		wf_assert_result(weft_write(here, "y", 1, NULL), 0);
		wf_assert_result(weft_read(there, &byte, 1), 1);
		ck_assert_int_eq(byte, 'y');
	}
	weft_close(here);
	weft_close(there);
	weft_listener_close(listener);
}

static int fork_and_return(void *arg)
{
	weft_task_name_set("forker");
	*(pid_t *)arg = fork();
	return 0;
}

static int lose_a_child(void *arg)
{
	pid_t child = -1;
	int status = 0;

	(void)arg;
	if (weft_run(fork_and_return, &child, NULL) != 0 || child <= 0)
		return 1;
	if (waitpid(child, &status, 0) != child)
		return 2;
	return WIFSIGNALED(status) ? 0 : 3;
}

/* A task that returns in the child ends the child, which says why; the parent returns. */
WF_TEST(a_child_may_not_return)
{
	struct wf_child child = wf_child(lose_a_child, NULL);

	ck_assert_int_eq(child.status, 0);
	ck_assert_msg(strstr(child.errors, "task \"forker\"") &&
			      strstr(child.errors, "returned in a forked child"),
		      "%s", child.errors);
}

WF_MAIN("runtime/fork")
