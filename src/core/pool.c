/* SPDX-License-Identifier: MIT */
/*
 * A pool of tasks: a count of places, and the lines of those who want one, or all. A place that becomes
 * free goes to the first in line and stays taken on its way.
 */
#include <weft/pool.h>

#include "core/line.h"

#include <errno.h>

/* What a task of a pool runs, copied into the task. */
struct job {
	struct weft_pool *pool;
	weft_function *function;
	void *arg;
};

static void leave(struct weft_pool *pool)
{
	if (pool->line.first)
		wf_line_settle(pool->line.first, 0);
	else if (--pool->taken == 0)
		wf_line_settle_all(&pool->idle, 0);
}

/* Does not suspend after the job: so the task has ended when another one gets its place. */
static int run_job(void *arg)
{
	const struct job *job = arg;
	int result = job->function(job->arg);

	leave(job->pool);
	return result;
}

static int enter(struct weft_pool *pool, struct wf_task *task)
{
	if (pool->taken == pool->places)
		return wf_line_wait(&pool->line, task, pool, WF_WAIT_POOL);
	pool->taken++;
	return 0;
}

int weft_pool_spawn_at(struct weft_pool *pool, weft_function *function, void *arg, const char *site,
		       const char *name)
{
	const struct job job = { pool, function, arg };
	struct wf_task *task = wf_task_self();
	int r;

	if (!task)
		return -EPERM;
	if (pool->places == 0)
		return -EINVAL;
	r = wf_checkpoint(task);
	if (r == 0)
		r = enter(pool, task);
	if (r < 0)
		return r;
	r = weft_spawn_copy_at(pool->scope, run_job, &job, sizeof job, site, name);
	if (r < 0)
		leave(pool);
	return r;
}

static bool is_of(const struct weft_pool *pool, const struct wf_task *task)
{
	return task->function == run_job && ((const struct job *)task->arg)->pool == pool;
}

int weft_pool_wait_all(struct weft_pool *pool)
{
	struct wf_task *task = wf_task_self();
	int r;

	if (!task)
		return -EPERM;
	if (is_of(pool, task))
		return -EDEADLK;
	r = wf_checkpoint(task);
	if (r < 0 || pool->taken == 0)
		return r;
	return wf_line_wait(&pool->idle, task, pool, WF_WAIT_POOL);
}
