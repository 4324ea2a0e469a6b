/* SPDX-License-Identifier: MIT */
/*
 * A descriptor that tasks do operations on: what the engine knows about it, and who is at it.
 *
 * It is embedded in connections, listeners and the like. At most one reading operation (receive,
 * accept) and one writing operation (send, connect) are pending at a time. In place of a reading
 * operation a file may be *parked*: then its kind is told when there may be input (io/watch.c).
 *
 * The hints tell what the next attempt would find. `readable` is cleared when an attempt would
 * block, and when a receive came up short, which on an edge-triggered stream means the same; a
 * hang-up sets it for good, for then the end of the input may be what comes next. `drained` is
 * the stronger claim of the last receive: it took all there was. Neither is concluded where a receive
 * may stop short of more: at descriptors that travel with the bytes of a Unix socket, and at urgent
 * data (`has_marks`; before the first event it is not known, and a peer that sends urgent data then may
 * lose the end of the reply to a reset).
 *
 * The object around it is held by its owner and by each call that is at it: another task may close
 * the object while a call is suspended. Whoever lets go of it last releases it.
 *
 * A parked connection is little more than this struct, so every byte of it counts.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <weft/time.h>

struct weft_worker;
struct wf_accepts;
struct wf_file;
struct wf_op;

struct wf_file_kind {
	/* Frees the object around the file. */
	void (*release)(struct wf_file *file);
	/* Only of kinds that park: there may be input, or the file was closed; and what to give back
	 * first, or why it cannot be parked; or NULL. */
	void (*readable)(struct wf_file *file);
	int (*before_park)(struct wf_file *file);
	/* Before a select waits for input, or else for room: 1 if it need not, 0, or why it may not; or
	 * NULL. */
	int (*before_select)(struct wf_file *file, bool reads);
	bool is_listener;
	/* The descriptor is somebody else's, and closing the file does not close it. */
	bool keeps_fd;
};

/* What an engine has the kernel report. */
enum { WF_WATCH_INPUT = 1, WF_WATCH_OUTPUT = 2 };

struct wf_file {
	struct weft_worker *worker; /* the only one whose tasks may use it */
	const struct wf_file_kind *kind;
	struct wf_op *reader, *writer; /* pending operations */
	union {
		weft_time drained_at;	    /* when `drained` was concluded */
		struct wf_accepts *accepts; /* of a listener: for an engine that accepts ahead */
	};
	int fd;		     /* -1 when closed */
	uint32_t generation; /* tells its registration from earlier ones of the number */
	uint32_t holds;
	uint8_t watched;		 /* WF_WATCH_: by the engine */
	uint8_t bits;			 /* of the object around it */
	bool readable : 1, writable : 1; /* an attempt may succeed */
	bool hung_up : 1;
	bool has_marks : 1;
	bool drained : 1;
	bool ended : 1; /* a receive has come to the end of the input */
	bool parked : 1;
	bool is_served : 1; /* a server parks and releases it, nobody else */
};

_Static_assert(sizeof(struct wf_file) == 56, "a parked connection has 128 bytes in all");

/* Starts with a new descriptor, on which everything may be tried, and held by its owner. */
static inline void wf_file_init(struct wf_file *file, struct weft_worker *worker, int fd,
				const struct wf_file_kind *kind)
{
	*file = (struct wf_file){
		.worker = worker,
		.kind = kind,
		.fd = fd,
		.holds = 1,
		.readable = true,
		.writable = true,
	};
}

static inline void wf_file_hold(struct wf_file *file)
{
	file->holds++;
}

static inline void wf_file_drop(struct wf_file *file)
{
	if (--file->holds == 0)
		file->kind->release(file);
}

/* Whether bytes are there that have not been received. Asks the kernel; never suspends. */
bool wf_file_has_input(const struct wf_file *file);

/* Ends the pending operations with WEFT_ECLOSED and closes the descriptor, at the latest when the
 * last of them has settled. Never suspends; harmless when closed already. Only on its worker. */
void wf_file_close(struct wf_file *file);
