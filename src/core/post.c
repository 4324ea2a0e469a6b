/* SPDX-License-Identifier: MIT */
/*
 * Calls posted to a worker by any thread: a stack that threads push on and the worker takes as a
 * whole.
 *
 * The worker may sleep in its engine, and waking it costs a system call, so only the first post
 * since the worker last looked does it: `woken` is set by that post and cleared by the worker
 * before it takes the stack. A post that finds `woken` set was pushed before, and is seen.
 */
#include "core/worker.h"

#include <errno.h>
#include <stdlib.h>

struct wf_post {
	struct wf_post *next;
	void (*function)(void *arg);
	void *arg;
};

static int push(struct weft_worker *worker, void (*function)(void *arg), void *arg)
{
	/* From malloc: the worker's own memory is not for other threads. */
	struct wf_post *post = malloc(sizeof *post);

	if (!post)
		return -ENOMEM;
	*post = (struct wf_post){ .function = function, .arg = arg };
	post->next = atomic_load(&worker->posts);
	while (!atomic_compare_exchange_weak(&worker->posts, &post->next, post))
		continue;
	if (!atomic_exchange(&worker->woken, true))
		worker->poller->ops->wake(worker->poller);
	return 0;
}

/* The call may run, and end what keeps the worker alive, before this returns: `posting` makes the
 * worker wait for that, and is the last this touches. */
int weft_post(struct weft_worker *worker, void (*function)(void *arg), void *arg)
{
	int r = -EAGAIN;

	atomic_fetch_add(&worker->posting, 1);
	if (atomic_fetch_add(&worker->post_count, 1) < worker->posts_max)
		r = push(worker, function, arg);
	if (r < 0)
		atomic_fetch_sub(&worker->post_count, 1);
	atomic_fetch_sub(&worker->posting, 1);
	return r;
}

void wf_posts_end(struct weft_worker *worker)
{
	while (atomic_load(&worker->posting) || atomic_load(&worker->posts))
		(void)wf_posts_run(worker);
}

static struct wf_post *reversed(struct wf_post *list)
{
	struct wf_post *result = NULL;

	while (list) {
		struct wf_post *next = list->next;

		list->next = result;
		result = list;
		list = next;
	}
	return result;
}

bool wf_posts_run(struct weft_worker *worker)
{
	struct wf_post *post;

	/* Not whether there are posts: one may have been taken before its own wake, which then stands
	 * for nothing, but would keep the next post from waking. */
	if (!atomic_load_explicit(&worker->woken, memory_order_relaxed))
		return false;
	atomic_store(&worker->woken, false);
	post = reversed(atomic_exchange(&worker->posts, NULL));
	while (post) {
		struct wf_post *next = post->next;

		atomic_fetch_sub(&worker->post_count, 1);
		post->function(post->arg);
		free(post);
		post = next;
	}
	return true;
}
