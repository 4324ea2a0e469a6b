/* SPDX-License-Identifier: MIT */
/* A file that can be parked: what weft/park.h hands out, and what connections begin with. */
#pragma once

#include "core/park.h"
#include "io/file.h"

#include <weft/park.h>

struct weft_watch {
	struct wf_file file;
	struct wf_parked parked;
	void *user;
};

void wf_watch_init(struct weft_watch *watch, struct weft_worker *worker, int fd,
		   const struct wf_file_kind *kind);

/* As weft_park, for the server of a connection. */
int wf_watch_park(struct weft_lot *lot, struct weft_watch *watch);

/* The `readable` of kinds whose file is that of a watch. */
void wf_watch_readable(struct wf_file *file);
