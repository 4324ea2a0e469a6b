/* SPDX-License-Identifier: MIT */
/*
 * The engine on epoll: io/ready.h tells how operations are done, this file how their descriptors are
 * watched.
 *
 * Registering asks for input only, and adds output when a send blocks for the first time: a socket
 * is writable when it is new, and would report that at once and in vain.
 */
#include "io/epoll.h"

#include "base/assert.h"
#include "base/compiler.h"
#include "io/clock.h"
#include "io/ready.h"
#include "io/system.h"

#include <errno.h>
#include <limits.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <weft/error.h>

enum { EVENTS_MAX = 256 };

struct engine {
	struct wf_ready ready;
	int epoll_fd;
	bool no_pwait2;
	struct epoll_event events[EVENTS_MAX];
};

static struct engine *engine_of(struct wf_poller *poller)
{
	return wf_container(poller, struct engine, ready.poller);
}

static int watch(struct wf_ready *ready, struct wf_file *file, uint8_t what)
{
	struct engine *engine = wf_container(ready, struct engine, ready);
	struct epoll_event event = { .events = EPOLLIN | EPOLLRDHUP | EPOLLPRI | EPOLLET };
	int command = file->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
	int r = file->watched ? 0 : wf_ready_enter(ready, file);

	if (r < 0)
		return r;
	if ((file->watched | what) & WF_WATCH_OUTPUT)
		event.events |= EPOLLOUT;
	event.data.u64 = wf_ready_tag(file);
	r = epoll_ctl(engine->epoll_fd, command, file->fd, &event);
	/* A duplicate may keep alive the registration of a file that was closed, and the number come
	 * back with the same socket behind it. */
	if (wf_unlikely(r < 0 && errno == EEXIST))
		r = epoll_ctl(engine->epoll_fd, EPOLL_CTL_MOD, file->fd, &event);
	if (r < 0)
		return errno == ENOSPC ? -ENOMEM : -errno; /* fs.epoll.max_user_watches */
	file->watched |= what;
	return 0;
}

/* A registration goes with the descriptor, if that is closed; events that have been read already, or
 * that come by a duplicate of it in another process, find no file. */
static void close_file(struct wf_poller *poller, struct wf_file *file)
{
	struct engine *engine = engine_of(poller);

	wf_ready_leave(&engine->ready, file);
	if (file->watched && file->kind->keeps_fd) /* fails if that is closed, and so done */
		(void)epoll_ctl(engine->epoll_fd, EPOLL_CTL_DEL, file->fd, NULL);
	wf_ready_close(&engine->ready, file);
}

/* Not every C library has a function for this call. On every machine it takes 64 bits of seconds, and
 * as many of nanoseconds. */
static int epoll_wait_ns(struct engine *engine, weft_time duration_ns)
{
	const int64_t timeout[2] = { duration_ns / WEFT_SECOND, duration_ns % WEFT_SECOND };

	return (int)syscall(SYS_epoll_pwait2, engine->epoll_fd, engine->events, EVENTS_MAX, timeout,
			    NULL, (size_t)0);
}

static int poll_events(struct engine *engine, weft_time deadline)
{
	weft_time now = deadline == 0 || deadline == WEFT_FOREVER ? 0 : wf_clock_now(NULL);
	weft_time left = deadline > now ? deadline - now : 0;

	if (left == 0)
		return epoll_wait(engine->epoll_fd, engine->events, EVENTS_MAX, 0);
	if (deadline == WEFT_FOREVER)
		return epoll_wait(engine->epoll_fd, engine->events, EVENTS_MAX, -1);
	if (!engine->no_pwait2) {
		int n = epoll_wait_ns(engine, left);

		if (n >= 0 || errno == EINTR)
			return n;
		engine->no_pwait2 = true; /* ENOSYS, or what a sandbox answers */
	}
	left = (left + WEFT_MILLISECOND - 1) / WEFT_MILLISECOND;
	return epoll_wait(engine->epoll_fd, engine->events, EVENTS_MAX,
			  left > INT_MAX ? INT_MAX : (int)left);
}

static void wait_for_events(struct wf_poller *poller, weft_time deadline)
{
	struct engine *engine = engine_of(poller);
	int count = poll_events(engine, deadline); /* -1: EINTR, that is no event */

	for (int i = 0; i < count; i++) {
		const struct epoll_event *event = &engine->events[i];
		struct wf_file *file;

		if (event->data.u64 == WF_READY_WAKE_TAG)
			wf_ready_take_wakes(&engine->ready);
		else if ((file = wf_ready_find(&engine->ready, event->data.u64)) != NULL)
			wf_ready_report(&engine->ready, file, event->events, 0);
	}
}

static void done(struct wf_poller *poller)
{
	struct engine *engine = engine_of(poller);

	(void)close(engine->epoll_fd);
	wf_ready_done(&engine->ready);
	wf_memory_free(engine->ready.memory, engine, sizeof *engine);
}

static const struct wf_poller_ops epoll_ops = {
	.name = "epoll",
	.done = done,
	.now = wf_clock_now,
	.random = wf_clock_random,
	.submit = wf_ready_submit,
	.cancel = wf_ready_cancel,
	.park = wf_ready_park,
	.close = close_file,
	.wait = wait_for_events,
	.wake = wf_ready_wake,
};

int wf_epoll_new(struct wf_memory *memory, struct wf_poller **ret_poller)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = WF_READY_WAKE_TAG };
	struct engine *engine = wf_memory_new(memory, sizeof *engine);
	int r;

	if (!engine)
		return -ENOMEM;
	*engine =
		(struct engine){ .ready.poller = { &epoll_ops, &wf_kernel }, .ready.watch = watch };
	wf_ready_init(&engine->ready, memory);
	r = wf_ready_open_wake(&engine->ready);
	if (r < 0)
		goto done_ready;
	engine->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (engine->epoll_fd < 0) {
		r = -errno;
		goto done_ready;
	}
	if (epoll_ctl(engine->epoll_fd, EPOLL_CTL_ADD, engine->ready.wake_fd, &event) < 0) {
		r = -errno;
		goto close_epoll;
	}
	*ret_poller = &engine->ready.poller;
	return 0;

close_epoll:
	(void)close(engine->epoll_fd);
done_ready:
	wf_ready_done(&engine->ready);
	wf_memory_free(memory, engine, sizeof *engine);
	return r;
}
