/* SPDX-License-Identifier: MIT */
/* Operations on top of readiness; io/ready.h tells how it works. */
#include "io/ready.h"

#include "base/assert.h"
#include "base/compiler.h"
#include "io/attempt.h"
#include "io/op.h"
#include "io/system.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { HANG_UP = EPOLLRDHUP | EPOLLHUP | EPOLLERR };

static struct wf_ready *ready_of(struct wf_poller *poller)
{
	return wf_container(poller, struct wf_ready, poller);
}

/* ---- Files by number ------------------------------------------------------------------------- */

void wf_ready_init(struct wf_ready *ready, struct wf_memory *memory)
{
	ready->memory = memory;
	ready->generation = 0;
	ready->first_fd = 0;
	ready->chunk_count = 0;
	ready->chunks = NULL;
	ready->wake_fd = -1;
}

void wf_ready_done(struct wf_ready *ready)
{
	if (ready->wake_fd >= 0)
		(void)close(ready->wake_fd);
	for (uint32_t i = 0; i < ready->chunk_count; i++)
		wf_memory_free(ready->memory, ready->chunks[i], sizeof *ready->chunks[i]);
	wf_memory_free(ready->memory, ready->chunks, ready->chunk_count * sizeof *ready->chunks);
}

static int grow_table(struct wf_ready *ready, uint32_t index)
{
	uint32_t count = ready->chunk_count ? ready->chunk_count : 4;
	struct wf_ready_chunk **chunks;

	while (count <= index)
		count *= 2;
	chunks = wf_memory_resize(ready->memory, ready->chunks, ready->chunk_count * sizeof *chunks,
				  count * sizeof *chunks);
	if (!chunks)
		return -ENOMEM;
	memset(chunks + ready->chunk_count, 0, (count - ready->chunk_count) * sizeof *chunks);
	ready->chunks = chunks;
	ready->chunk_count = count;
	return 0;
}

int wf_ready_enter(struct wf_ready *ready, struct wf_file *file)
{
	uint32_t number = (uint32_t)file->fd - ready->first_fd, index = number / WF_READY_CHUNK;
	struct wf_file **place;

	if (index >= ready->chunk_count && grow_table(ready, index) < 0)
		return -ENOMEM;
	if (!ready->chunks[index]) {
		ready->chunks[index] = wf_memory_new(ready->memory, sizeof *ready->chunks[index]);
		if (!ready->chunks[index])
			return -ENOMEM;
		memset(ready->chunks[index], 0, sizeof *ready->chunks[index]);
	}
	place = &ready->chunks[index]->files[number % WF_READY_CHUNK];
	if (*place && *place != file)
		return -EEXIST;
	if (++ready->generation == 0)
		ready->generation = 1; /* 0 is a file that has not been entered */
	file->generation = ready->generation;
	*place = file;
	return 0;
}

void wf_ready_leave(struct wf_ready *ready, struct wf_file *file)
{
	uint32_t number = (uint32_t)file->fd - ready->first_fd;

	if (file->generation)
		ready->chunks[number / WF_READY_CHUNK]->files[number % WF_READY_CHUNK] = NULL;
}

struct wf_file *wf_ready_find(const struct wf_ready *ready, uint64_t tag)
{
	uint32_t number = (uint32_t)tag - ready->first_fd;
	uint32_t index = number / WF_READY_CHUNK;
	struct wf_file *file;

	if (index >= ready->chunk_count || !ready->chunks[index])
		return NULL;
	file = ready->chunks[index]->files[number % WF_READY_CHUNK];
	return file && file->generation == (uint32_t)(tag >> 32) ? file : NULL;
}

/* ---- Operations ------------------------------------------------------------------------------ */

bool wf_ready_submit(struct wf_poller *poller, struct wf_op *op)
{
	struct wf_ready *ready = ready_of(poller);
	struct wf_file *file = op->file;
	bool reads = wf_op_reads(op);
	uint8_t what = reads ? WF_WATCH_INPUT : WF_WATCH_INPUT | WF_WATCH_OUTPUT;
	int r = 0;

	op->waiter.result = -EAGAIN;
	if (reads ? file->readable : file->writable)
		op->waiter.result = wf_attempt(op);
	if (op->waiter.result != -EAGAIN || op->kind == WF_OP_TAKE)
		return true;
	if ((file->watched & what) != what)
		r = ready->watch(ready, file, what);
	if (wf_unlikely(r < 0)) {
		op->waiter.result = r;
		return true;
	}
	if (wf_op_only_looks(op))
		return true;
	if (reads)
		file->reader = op;
	else
		file->writer = op;
	return false;
}

void wf_ready_settle(struct wf_op *op, int64_t result)
{
	if (wf_op_reads(op))
		op->file->reader = NULL;
	else
		op->file->writer = NULL;
	wf_op_settle(op, result);
}

void wf_ready_cancel(struct wf_poller *poller, struct wf_op *op)
{
	(void)poller;
	wf_ready_settle(op, op->waiter.code);
}

static void retry(struct wf_op *op)
{
	int64_t result = wf_attempt(op);

	if (result != -EAGAIN)
		wf_ready_settle(op, result);
}

void wf_ready_fail(struct wf_file *file, uint8_t what, int error)
{
	file->watched &= (uint8_t)~what;
	if (what & WF_WATCH_INPUT && file->reader)
		wf_ready_settle(file->reader, error);
	else if (what & WF_WATCH_INPUT && file->parked) {
		file->readable = true; /* the next receive tells */
		file->kind->readable(file);
	}
	if (what & WF_WATCH_OUTPUT && file->writer)
		wf_ready_settle(file->writer, error);
}

static void resume(struct wf_ready *ready, struct wf_file *file, uint8_t ceased)
{
	uint8_t wanted = 0;
	int r = 0;

	if (file->reader || file->parked)
		wanted |= WF_WATCH_INPUT;
	if (file->writer)
		wanted |= WF_WATCH_OUTPUT;
	file->watched &= (uint8_t)~ceased;
	if (wanted & ceased)
		r = ready->watch(ready, file, wanted & ceased);
	if (wf_unlikely(r < 0))
		wf_ready_fail(file, wanted & ceased, r);
}

void wf_ready_report(struct wf_ready *ready, struct wf_file *file, uint32_t events, uint8_t ceased)
{
	if (events & HANG_UP)
		file->hung_up = true;
	if (events & EPOLLPRI)
		file->has_marks = true;
	if (events & (EPOLLIN | EPOLLPRI | HANG_UP)) {
		file->readable = true;
		if (file->reader)
			retry(file->reader);
		else if (file->parked && events != EPOLLPRI) /* nothing to receive */
			file->kind->readable(file);
	}
	if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) {
		file->writable = true;
		if (file->writer)
			retry(file->writer);
	}
	if (wf_unlikely(ceased))
		resume(ready, file, ceased);
}

void wf_ready_close(struct wf_ready *ready, const struct wf_file *file)
{
	struct wf_poller *poller = &ready->poller;

	if (!file->kind->keeps_fd)
		poller->system->close(poller, file->fd);
}

/* ---- Wakes ----------------------------------------------------------------------------------- */

int wf_ready_open_wake(struct wf_ready *ready)
{
	ready->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return ready->wake_fd < 0 ? -errno : 0;
}

void wf_ready_wake(struct wf_poller *poller)
{
	uint64_t one = 1;
	ssize_t n = write(ready_of(poller)->wake_fd, &one, sizeof one);

	(void)n; /* EAGAIN: the counter is full, so a wake is under way */
}

void wf_ready_take_wakes(const struct wf_ready *ready)
{
	uint64_t wakes;

	(void)!read(ready->wake_fd, &wakes, sizeof wakes); /* EAGAIN: read already */
}

/* ---- Parking --------------------------------------------------------------------------------- */

bool wf_ready_has_input(struct wf_poller *poller, const struct wf_file *file)
{
	int r = poller->system->poll(poller, file->fd, POLLIN | POLLRDHUP);

	return r > 0 || (r < 0 && r != -EINTR); /* forbidden: whoever wants it finds out */
}

int wf_ready_park(struct wf_poller *poller, struct wf_file *file)
{
	struct wf_ready *ready = ready_of(poller);

	/* The first registration reports what is there already. */
	if (!(file->watched & WF_WATCH_INPUT))
		return ready->watch(ready, file, WF_WATCH_INPUT);
	return file->readable && wf_ready_has_input(poller, file);
}
