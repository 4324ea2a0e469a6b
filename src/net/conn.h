/* SPDX-License-Identifier: MIT */
/* A stream connection: a descriptor that can be parked, and input that has not been consumed. */
#pragma once

#include "core/worker.h"
#include "io/watch.h"

#include <weft/net.h>

/* In watch.file.bits. */
enum {
	WF_CONN_WRITING = 1, /* a task is sending, and may be between two operations */
	WF_CONN_FILLING = 2, /* a task is in weft_fill */
	WF_CONN_CLOSED = 4,  /* its owner has let go of it */
	WF_CONN_FETCHED = 8, /* watch.parked.why is the result of a receive, to be told; if that is
				positive, so much of the input nobody has seen */
};

struct weft_conn {
	struct weft_watch watch;
	struct wf_block *input; /* a borrowed buffer, or what was left of one; or NULL */
};

_Static_assert(sizeof(struct weft_conn) <= 104, "a parked connection has 128 bytes in all");

/* Makes a connection of a non-blocking stream socket of that family and owns it; -1 for one that is
 * filled in later. -ENOMEM: the caller keeps it. */
int wf_conn_new(struct weft_worker *worker, int fd, int family, struct weft_conn **ret_conn);

static inline struct weft_conn *wf_conn_of(struct weft_watch *watch)
{
	return wf_container(watch, struct weft_conn, watch);
}

/* Receives what a burst begins with, on behalf of the handler that is to be called: its first weft_fill
 * or weft_read gets the result. A checkpoint; -EAGAIN if nothing has come. */
int64_t wf_conn_fetch(struct weft_conn *conn);

/* The result of wf_conn_fetch, once. */
static inline int wf_conn_fetched(struct weft_conn *conn)
{
	conn->watch.file.bits &= (uint8_t)~WF_CONN_FETCHED;
	return conn->watch.parked.why;
}

/* Whether there is input that was fetched and nobody has seen: no engine would report it. */
static inline bool wf_conn_has_unseen(const struct weft_conn *conn)
{
	const struct wf_file *file = &conn->watch.file;

	return file->fd >= 0 && file->bits & WF_CONN_FETCHED && conn->watch.parked.why > 0;
}

/* Copies input that has been received already, and consumes it; there is some. */
size_t wf_conn_read_input(struct weft_conn *conn, void *buffer, size_t bytes);

/* Gives the buffer of the pool back, and keeps what is left in it elsewhere. */
void wf_conn_put_away(struct weft_conn *conn);

/* Throws received input away. */
void wf_conn_drop_input(struct weft_conn *conn);
