/* SPDX-License-Identifier: MIT */
/* What a condition needs of a mutex. */
#pragma once

#include "core/task.h"

#include <weft/mutex.h>

/* Locks the mutex for the calling task, whatever happens to its scopes. Suspends while another task
 * has it. */
void wf_mutex_relock(struct weft_mutex *mutex, struct wf_task *task);
