/* SPDX-License-Identifier: MIT */
/* Scopes in C++: objects left by their destructors, also on an early return. Exits with 0 if every
 * step went as it should. Compiled and run by headers_cxx.c. */
#include <errno.h>
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

static int settings = 1;
static struct weft_mutex mutex = WEFT_MUTEX_INIT;
static struct weft_condition condition = WEFT_CONDITION_INIT;
static struct weft_semaphore semaphore = WEFT_SEMAPHORE_INIT(1);
static struct weft_wait_group group = WEFT_WAIT_GROUP_INIT;
static struct weft_latest latest = WEFT_LATEST_INIT(&settings, sizeof settings);
static struct weft_future future = WEFT_FUTURE_INIT;

static int yield_one(struct weft_gen *gen, void *arg)
{
	return weft_gen_yield(gen, arg);
}

/* Each object of the kind that tasks wait for has an initialiser, and works. */
static int synchronise(struct weft_scope *closed)
{
	weft::scope scope;
	struct weft_pool pool = WEFT_POOL_INIT(scope, 1);
	struct weft_gen gen;
	int r = weft_mutex_lock(&mutex), one = 1;
	void *value;

	weft_mutex_unlock(&mutex);
	weft_condition_signal(&condition);
	if (r < 0 || weft_semaphore_acquire(&semaphore) < 0 || weft_wait_group_wait(&group) < 0)
		return -1;
	if (weft_latest_get(&latest, nullptr) != 0 || weft_future_settle(&future, &one) < 0)
		return -2;
	if (weft_pool_spawn(&pool, add, &one) < 0 || weft_pool_wait_all(&pool) < 0)
		return -3;
	if (weft_gen_open(&gen, scope, yield_one, &one) < 0 || weft_gen_next(&gen, &value) != 1)
		return -4;
	weft_gen_close(&gen);
	return weft_gen_open(&gen, closed, yield_one, &one) == -EPERM ? scope.close() : -5;
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
	if (synchronise(scope) != 0)
		return 8;
	return 0;
}

int main()
{
	return weft_run(app, nullptr, nullptr);
}
