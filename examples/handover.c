/* SPDX-License-Identifier: MIT */
/* One task hands values to another, each when the other is ready for it. */
#include <stdio.h>
#include <weft/weft.h>

struct slot {
	int value;
	struct weft_event full, empty;
};

static int produce(void *arg)
{
	struct slot *slot = arg;
	int r = 0;

	for (int i = 1; i <= 5 && r == 0; i++) {
		r = weft_event_wait(&slot->empty);
		if (r < 0)
			break;
		weft_event_clear(&slot->empty);
		slot->value = i * i;
		weft_event_set(&slot->full);
	}
	return r;
}

static int consume(void *arg)
{
	struct slot *slot = arg;
	int r = 0;

	for (int i = 1; i <= 5 && r == 0; i++) {
		r = weft_event_wait(&slot->full);
		if (r < 0)
			break;
		weft_event_clear(&slot->full);
		printf("got %d\n", slot->value);
		weft_event_set(&slot->empty);
	}
	return r;
}

static int app(void *arg)
{
	struct slot slot = { .full = WEFT_EVENT_INIT, .empty = WEFT_EVENT_INIT };
	struct weft_scope scope;
	int r;

	(void)arg;
	weft_event_set(&slot.empty);
	weft_scope_open(&scope);
	r = weft_spawn(&scope, produce, &slot);
	if (r == 0)
		r = weft_spawn(&scope, consume, &slot);
	if (r < 0)
		weft_scope_cancel(&scope);
	return weft_scope_close(&scope);
}

int main(void)
{
	int r = weft_run(app, NULL, NULL);

	if (r < 0)
		(void)fprintf(stderr, "handover: %s\n", weft_strerror(r));
	return r < 0;
}
