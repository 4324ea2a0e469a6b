/* SPDX-License-Identifier: MIT */
/* A stream connection: a descriptor, and what the calls at it must know of each other. */
#pragma once

#include "core/worker.h"
#include "io/file.h"

#include <weft/net.h>

struct weft_conn {
	struct wf_file file;
	void *server;	 /* what serves it (net/serve.c), if anything does */
	bool is_writing; /* a task is sending, and may be between two operations */
};

/* Makes a connection of a non-blocking stream socket of that family and owns it; -1 for one that is
 * filled in later. -ENOMEM: the caller keeps it. */
int wf_conn_new(struct weft_worker *worker, int fd, int family, struct weft_conn **ret_conn);
