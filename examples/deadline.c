/* SPDX-License-Identifier: MIT */
/* A deadline around a block bounds everything the block calls, however deep. */
#include <stdio.h>
#include <weft/weft.h>

/* Knows nothing of deadlines. */
static int slow_work(void)
{
	for (int step = 1; step <= 10; step++) {
		int r = weft_sleep(20 * WEFT_MILLISECOND);

		if (r < 0)
			return r;
		printf("step %d\n", step);
	}
	return 0;
}

static int app(void *arg)
{
	int r = 0;

	(void)arg;
	WEFT_DEADLINE(weft_after(50 * WEFT_MILLISECOND))
		r = slow_work();
	if (r == WEFT_EDEADLINE)
		puts("gave up: the deadline has passed");
	return weft_sleep(WEFT_MILLISECOND); /* outside the block the deadline is gone */
}

int main(void)
{
	int r = weft_run(app, NULL, NULL);

	if (r < 0)
		(void)fprintf(stderr, "deadline: %s\n", weft_strerror(r));
	return r < 0;
}
