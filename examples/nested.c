/* SPDX-License-Identifier: MIT */
/* Scopes within scopes: a child that fails stops its siblings, and nothing further out. */
#include <errno.h>
#include <stdio.h>
#include <weft/weft.h>

static int fails(void *arg)
{
	int r = weft_sleep(10 * WEFT_MILLISECOND);

	(void)arg;
	return r < 0 ? r : -EIO;
}

static int waits(void *arg)
{
	int r = weft_sleep(WEFT_FOREVER);

	printf("%s: %s\n", (const char *)arg, weft_error_name(r));
	return r;
}

static int inner(void *arg)
{
	struct weft_scope scope;
	int r;

	(void)arg;
	weft_scope_open(&scope);
	r = weft_spawn(&scope, waits, "sibling of the one that fails");
	if (r == 0)
		r = weft_spawn(&scope, fails, NULL);
	if (r < 0)
		weft_scope_cancel(&scope);
	r = weft_scope_close(&scope);
	printf("inner scope: %s\n", weft_error_name(r));
	return 0; /* dealt with: the outer scope does not hear of it */
}

static int app(void *arg)
{
	struct weft_scope scope;
	int r;

	(void)arg;
	weft_scope_open_until(&scope, weft_after(50 * WEFT_MILLISECOND));
	r = weft_spawn(&scope, inner, NULL);
	if (r == 0)
		r = weft_spawn(&scope, waits, "task of the outer scope");
	if (r < 0)
		weft_scope_cancel(&scope);
	r = weft_scope_close(&scope);
	printf("outer scope: %s\n", weft_error_name(r));
	return r == WEFT_EDEADLINE ? 0 : r;
}

int main(void)
{
	int r = weft_run(app, NULL, NULL);

	if (r < 0)
		(void)fprintf(stderr, "nested: %s\n", weft_strerror(r));
	return r < 0;
}
