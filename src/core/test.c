/* SPDX-License-Identifier: MIT */
/* What tests of programs ask of the scheduler. */
#include <weft/test.h>

#include "core/line.h"

#include <errno.h>

int weft_test_wait_idle(void)
{
	struct wf_task *task;
	int r = wf_checkpoint_self(&task);

	return r < 0 ? r : wf_line_wait(&task->worker->idlers, task, NULL, WF_WAIT_IDLE);
}

int weft_test_advance(weft_time duration_ns)
{
	struct wf_poller *poller;

	if (!wf_worker)
		return -EPERM;
	if (duration_ns < 0 || weft_after(duration_ns) == WEFT_FOREVER)
		return -EINVAL;
	poller = wf_worker->poller;
	if (!poller->ops->advance)
		return WEFT_EENGINE;
	poller->ops->advance(poller, duration_ns);
	return 0;
}
