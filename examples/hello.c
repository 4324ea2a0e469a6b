/* SPDX-License-Identifier: MIT */
/* Two tasks that greet; the scope waits for both. */
#include <stdio.h>
#include <weft/weft.h>

static int greet(void *arg)
{
	for (int i = 0; i < 3; i++) {
		printf("hello from %s\n", (const char *)arg);
		if (weft_sleep(10 * WEFT_MILLISECOND) < 0)
			break;
	}
	return 0;
}

static int app(void *arg)
{
	struct weft_scope scope;
	int r;

	(void)arg;
	weft_scope_open(&scope);
	r = weft_spawn(&scope, greet, "warp");
	if (r == 0)
		r = weft_spawn(&scope, greet, "weft");
	if (r < 0)
		weft_scope_cancel(&scope);
	return weft_scope_close(&scope);
}

int main(void)
{
	int r = weft_run(app, NULL, NULL);

	if (r < 0)
		(void)fprintf(stderr, "hello: %s\n", weft_strerror(r));
	return r < 0;
}
