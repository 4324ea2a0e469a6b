/* SPDX-License-Identifier: MIT */
/* Scopes in C++: objects left by their destructors, also on an early return. Exits with 0 if every
 * step went as it should. Compiled and run by headers_cxx.c. */
#include <weft/weft.h>

static int count;

static int add(void *arg)
{
	int r = weft_sleep(WEFT_MILLISECOND);
	count += *static_cast<int *>(arg);
	return r;
}

static int wait_for_ever(void *)
{
	int r = weft_sleep(WEFT_FOREVER);
	count += 1000;
	return r;
}

/* Leaves its scope by a return, while a child waits in it. */
static int leave_early()
{
	weft::scope scope;

	return weft_spawn(scope, wait_for_ever, nullptr);
}

static int bounded()
{
	int r = 0;

	WEFT_DEADLINE(weft_after(5 * WEFT_MILLISECOND))
		r = weft_sleep(WEFT_FOREVER);
	return r;
}

static int app(void *)
{
	int one = 1, ten = 10;
	weft::scope scope(weft_after(10 * WEFT_SECOND));
	struct weft_event event = WEFT_EVENT_INIT;

	if (weft_spawn(scope, add, &one) < 0 || weft_spawn_copy(scope, add, &ten, sizeof ten) < 0)
		return 2;
	if (scope.close() != 0 || count != 11)
		return 3;
	if (leave_early() != 0 || count != 1011)
		return 4;
	if (bounded() != WEFT_EDEADLINE)
		return 5;
	WEFT_SHIELD(weft_after(WEFT_SECOND))
		weft_event_set(&event);
	if (weft_event_wait(&event) != 0)
		return 6;
	if (!weft_engine_name())
		return 7;
	return 0;
}

int main()
{
	return weft_run(app, nullptr, nullptr);
}
