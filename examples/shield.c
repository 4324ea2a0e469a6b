/* SPDX-License-Identifier: MIT */
/* A cancelled task may still have something to put in order: a shield gives it the time. */
#include <stdio.h>
#include <weft/weft.h>

static int worker(void *arg)
{
	int r = weft_sleep(WEFT_FOREVER), cleaned = 0;

	(void)arg;
	printf("stopped: %s\n", weft_error_name(r));
	WEFT_SHIELD(weft_after(WEFT_SECOND)) {
		cleaned = weft_sleep(10 * WEFT_MILLISECOND);
		printf("clean-up: %s\n", weft_error_name(cleaned));
	}
	return r;
}

static int app(void *arg)
{
	struct weft_scope scope;
	int r;

	(void)arg;
	weft_scope_open(&scope);
	r = weft_spawn(&scope, worker, NULL);
	if (r == 0)
		r = weft_sleep(10 * WEFT_MILLISECOND);
	weft_scope_cancel(&scope);
	if (r == 0)
		puts("cancelled");
	weft_scope_leave(&scope);
	return r;
}

int main(void)
{
	int r = weft_run(app, NULL, NULL);

	if (r < 0)
		(void)fprintf(stderr, "shield: %s\n", weft_strerror(r));
	return r < 0;
}
