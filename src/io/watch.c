/* SPDX-License-Identifier: MIT */
/* Parking descriptors: core/park.h has the parking, the engine reports the descriptor. */
#include "io/watch.h"

#include "base/assert.h"
#include "core/poller.h"
#include "core/worker.h"
#include "io/system.h"

#include <errno.h>
#include <sys/stat.h>

/* ---- Watches --------------------------------------------------------------------------------- */

void wf_watch_init(struct weft_watch *watch, struct weft_worker *worker, int fd,
		   const struct wf_file_kind *kind)
{
	wf_file_init(&watch->file, worker, fd, kind);
	wf_parked_init(&watch->parked);
	watch->user = NULL;
}

void wf_watch_readable(struct wf_file *file)
{
	wf_parked_end(&wf_container(file, struct weft_watch, file)->parked, 0);
}

static void release(struct wf_file *file)
{
	struct weft_watch *watch = wf_container(file, struct weft_watch, file);

	file->worker->watch_bytes -= sizeof *watch;
	wf_memory_free(&file->worker->memory, watch, sizeof *watch);
}

static const struct wf_file_kind watch_kind = {
	.release = release,
	.readable = wf_watch_readable,
	.keeps_fd = true,
};

int weft_watch_open(int fd, void *user, struct weft_watch **ret_watch)
{
	struct weft_worker *worker = wf_worker;
	struct weft_watch *watch;
	struct wf_poller *poller;
	struct stat status;
	int r;

	if (!worker)
		return -EPERM;
	poller = worker->poller;
	r = poller->system->stat(poller, fd, &status);
	if (r < 0)
		return r;
	if (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode))
		return -EPERM; /* what epoll says; they are always ready */
	watch = wf_memory_new(&worker->memory, sizeof *watch);
	if (!watch)
		return -ENOMEM;
	wf_watch_init(watch, worker, fd, &watch_kind);
	watch->user = user;
	worker->watch_bytes += sizeof *watch;
	*ret_watch = watch;
	return 0;
}

void weft_watch_close(struct weft_watch *watch)
{
	if (!watch || watch->file.fd < 0)
		return;
	wf_file_close(&watch->file);
	wf_file_drop(&watch->file);
}

void *weft_watch_user(const struct weft_watch *watch)
{
	return watch->user;
}

int weft_watch_fd(const struct weft_watch *watch)
{
	return watch->file.fd;
}

/* ---- Lots ------------------------------------------------------------------------------------ */

/* Whether the engine may have told of input that somebody has received since. */
static bool is_in_vain(const struct wf_file *file)
{
	struct wf_poller *poller = file->worker->poller;

	return poller->ops->has_input && !poller->ops->has_input(poller, file);
}

/* The watch is held while it is parked, and until the function has returned. */
static int run(struct wf_parked *parked, int why, struct weft_lot *lot)
{
	struct weft_watch *watch = wf_container(parked, struct weft_watch, parked);
	struct wf_file *file = &watch->file;
	int r;

	if (file->fd < 0)
		why = WEFT_ECLOSED;
	if (why == 0 && !file->is_served && is_in_vain(file)) {
		why = wf_lot_admit(lot);
		/* The engine may have ceased to watch; if it cannot go on the function finds out. */
		if (why == 0 && file->worker->poller->ops->park(file->worker->poller, file) == 0) {
			wf_park(lot, parked);
			return 0;
		}
	}
	file->parked = false;
	r = lot->function(watch, why, lot->arg);
	wf_file_drop(file);
	return r;
}

int weft_lot_open_at(struct weft_scope *scope, weft_parked_function *function, void *arg,
		     weft_time idle_ns, struct weft_lot **ret_lot, const char *site,
		     const char *name)
{
	struct weft_lot *lot;
	int r = wf_lot_open(scope, idle_ns, &lot);

	if (r < 0)
		return r;
	lot->run = run;
	lot->function = function;
	lot->arg = arg;
	lot->site = site;
	lot->name = name;
	*ret_lot = lot;
	return 0;
}

int wf_watch_park(struct weft_lot *lot, struct weft_watch *watch)
{
	struct wf_file *file = &watch->file;
	struct wf_poller *poller = file->worker->poller;
	int r = file->worker == wf_worker ? wf_lot_admit(lot) : -EPERM;

	if (r == 0 && file->fd < 0)
		r = WEFT_ECLOSED;
	if (r == 0 && (file->parked || file->reader))
		r = -EBUSY;
	if (r == 0 && file->kind->before_park)
		r = file->kind->before_park(file);
	if (r == 0)
		r = poller->ops->park(poller, file);
	if (r < 0)
		return r;
	wf_file_hold(file);
	file->parked = true;
	wf_park(lot, &watch->parked);
	if (r > 0)
		wf_watch_readable(file);
	return 0;
}

int weft_park(struct weft_lot *lot, struct weft_watch *watch)
{
	return watch->file.is_served ? -EBUSY : wf_watch_park(lot, watch);
}
