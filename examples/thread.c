/* SPDX-License-Identifier: MIT */
/* A plain thread works, and wakes a task when it is done. */
#include <pthread.h>
#include <stdio.h>
#include <weft/weft.h>

struct job {
	struct weft_worker *worker;
	struct weft_event done;
	unsigned long result;
};

/* Runs on the worker, between two tasks. */
static void finished(void *arg)
{
	struct job *job = arg;

	weft_event_set(&job->done);
}

static void *compute(void *arg)
{
	struct job *job = arg;

	for (unsigned long i = 1; i <= 1000000; i++)
		job->result += i;
	if (weft_post(job->worker, finished, job) < 0)
		(void)fputs("thread: the worker takes no more posts\n", stderr);
	return NULL;
}

static int app(void *arg)
{
	/* Not on the stack: a posted call runs even if nobody waits for it any more. */
	static struct job job = { .done = WEFT_EVENT_INIT };
	pthread_t thread;
	int r;

	(void)arg;
	job.worker = weft_worker_self();
	r = pthread_create(&thread, NULL, compute, &job);
	if (r != 0)
		return -r;
	r = weft_event_wait(&job.done);
	(void)pthread_join(thread, NULL);
	if (r == 0)
		printf("the thread found %lu\n", job.result);
	return r;
}

int main(void)
{
	int r = weft_run(app, NULL, NULL);

	if (r < 0)
		(void)fprintf(stderr, "thread: %s\n", weft_strerror(r));
	return r < 0;
}
