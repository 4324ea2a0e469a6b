/* SPDX-License-Identifier: MIT */
/* A stream connection: a descriptor and the worker it belongs to. */
#pragma once

#include "core/worker.h"
#include "io/file.h"

#include <weft/net.h>

struct weft_conn {
	struct wf_file file;
	struct weft_worker *worker;
	void *server;	 /* what serves it (net/serve.c), if anything does */
	bool is_writing; /* a task is sending, and may be between two operations */
};

/* Makes a connection of a non-blocking stream socket and owns it. -ENOMEM: the caller keeps it. */
int wf_conn_new(struct weft_worker *worker, int fd, struct weft_conn **ret_conn);
