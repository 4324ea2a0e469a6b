/* SPDX-License-Identifier: MIT */
/*
 * Operations on top of readiness: the part of an engine that epoll and io_uring have in common.
 *
 * An operation is tried at once, and only if it would block is the kernel asked to report the
 * descriptor, which it then does until the descriptor is closed, each time something has changed
 * (edge-triggered). So a connection that brings its request along costs four system calls: accept4,
 * recv, send, close. When a report comes, the pending operation is retried here, before its task is
 * made ready: a task that wakes has its result. While an operation waits, nothing of it is in the
 * kernel's hands: cancelling is taking it back.
 *
 * A report carries a tag: the number of the descriptor and the generation of its registration. A
 * number is closed and given to another file before an old report is read, or lives on in a forked
 * child's copy; the generation tells, and the report is dropped. `chunks` finds the file of a number.
 */
#pragma once

#include "base/memory.h"
#include "core/poller.h"
#include "io/file.h"

#include <stdbool.h>
#include <stdint.h>

enum { WF_READY_CHUNK = 512 };

/* No file has it. */
static const uint64_t WF_READY_WAKE_TAG = UINT64_MAX;

struct wf_ready_chunk {
	struct wf_file *files[WF_READY_CHUNK]; /* NULL where none is registered */
};

struct wf_ready {
	struct wf_poller poller;
	struct wf_memory *memory;
	/* Has the kernel report the file for one more WF_WATCH_ thing, and sets the bit in
	 * `watched`. 0, or why it cannot. */
	int (*watch)(struct wf_ready *ready, struct wf_file *file, uint8_t what);
	int wake_fd; /* an eventfd, which the engine waits for under WF_READY_WAKE_TAG; or -1 */
	uint32_t generation;
	uint32_t first_fd; /* the lowest descriptor there can be */
	uint32_t chunk_count;
	struct wf_ready_chunk **chunks; /* by descriptor; NULL where none was registered */
};

void wf_ready_init(struct wf_ready *ready, struct wf_memory *memory);
void wf_ready_done(struct wf_ready *ready);

/* Enters a file that is to be watched, under a new generation; it stays entered until it is closed.
 * -ENOMEM; -EEXIST if the descriptor is another file's. */
int wf_ready_enter(struct wf_ready *ready, struct wf_file *file);

/* Forgets a file, if it has been entered; reports that bear its tag go nowhere from then on. */
void wf_ready_leave(struct wf_ready *ready, struct wf_file *file);

static inline uint64_t wf_ready_tag(const struct wf_file *file)
{
	return (uint64_t)file->generation << 32 | (uint32_t)file->fd;
}

/* The file of a tag, or NULL. */
struct wf_file *wf_ready_find(const struct wf_ready *ready, uint64_t tag);

/* Takes a report of the kernel about a file: the EPOLL* bits of epoll_ctl(2), and the WF_WATCH_ bits
 * of what the kernel has ceased to report, which is asked for anew if anybody waits for it. */
void wf_ready_report(struct wf_ready *ready, struct wf_file *file, uint32_t events, uint8_t ceased);

/* The kernel cannot report a file: whoever waits for that gets the error. */
void wf_ready_fail(struct wf_file *file, uint8_t what, int error);

/* Takes the wakes that have been reported. */
void wf_ready_take_wakes(const struct wf_ready *ready);

/* Gives a pending operation its result. */
void wf_ready_settle(struct wf_op *op, int64_t result);

/* Closes the descriptor of a file that is forgotten, unless it is to be kept. */
void wf_ready_close(struct wf_ready *ready, const struct wf_file *file);

/* Opens the descriptor by which other threads wake the engine. 0, or why there is none. */
int wf_ready_open_wake(struct wf_ready *ready);

/* These are entries of the poller contract. */
bool wf_ready_submit(struct wf_poller *poller, struct wf_op *op);
void wf_ready_cancel(struct wf_poller *poller, struct wf_op *op);
int wf_ready_park(struct wf_poller *poller, struct wf_file *file);
void wf_ready_wake(struct wf_poller *poller);
bool wf_ready_has_input(struct wf_poller *poller, const struct wf_file *file);
