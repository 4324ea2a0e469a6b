/* SPDX-License-Identifier: MIT */
/*
 * The latest value: storage with a version, and the line of those who have seen that version. Setting
 * settles them all, so that at a close those in line have seen the last value. A reader copies when it
 * runs, not when it is woken: it gets what is the latest then.
 */
#include <weft/latest.h>

#include "base/assert.h"
#include "core/line.h"

#include <string.h>

static _Noreturn void refuse_set(const struct wf_task *task)
{
	wf_panic(
		"task \"%s\" (spawned at %s) calls weft_latest_set for what has been closed; close "
		"it after the last value",
		task ? task->name : "none", task ? task->site : "nowhere");
}

void weft_latest_set(struct weft_latest *latest, const void *value)
{
	if (wf_unlikely(latest->closed))
		refuse_set(wf_task_self());
	memcpy(latest->storage, value, latest->bytes);
	latest->version++;
	wf_line_settle_all(&latest->line, 0);
}

uint64_t weft_latest_get(const struct weft_latest *latest, void *ret_value)
{
	if (ret_value)
		memcpy(ret_value, latest->storage, latest->bytes);
	return latest->version;
}

int weft_latest_wait(struct weft_latest *latest, uint64_t *seen, void *ret_value)
{
	struct wf_task *task;
	int r = wf_checkpoint_self(&task);

	if (r == 0 && latest->version == *seen)
		r = latest->closed ? WEFT_ECLOSED :
				     wf_line_wait(&latest->line, task, latest, WF_WAIT_LATEST);
	if (r == 0)
		*seen = weft_latest_get(latest, ret_value);
	return r;
}

void weft_latest_close(struct weft_latest *latest)
{
	latest->closed = true;
	wf_line_settle_all(&latest->line, WEFT_ECLOSED);
}
