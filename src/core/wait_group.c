/* SPDX-License-Identifier: MIT */
/* A wait group: a count, and the line of those who wait for it to be 0. */
#include <weft/wait_group.h>

#include "base/assert.h"
#include "core/line.h"

void weft_wait_group_add(struct weft_wait_group *group, uint32_t count)
{
	wf_assert(count <= UINT32_MAX - group->count);
	group->count += count;
}

static _Noreturn void refuse_done(const struct wf_task *task)
{
	wf_panic("task \"%s\" (spawned at %s) calls weft_wait_group_done for a group of which "
		 "nothing is under way; call weft_wait_group_add first, and done once for each",
		 task ? task->name : "none", task ? task->site : "nowhere");
}

void weft_wait_group_done(struct weft_wait_group *group)
{
	if (wf_unlikely(group->count == 0))
		refuse_done(wf_task_self());
	if (--group->count == 0)
		wf_line_settle_all(&group->line, 0);
}

int weft_wait_group_wait(struct weft_wait_group *group)
{
	struct wf_task *task;
	int r = wf_checkpoint_self(&task);

	if (r < 0 || group->count == 0)
		return r;
	return wf_line_wait(&group->line, task, group, WF_WAIT_GROUP);
}
