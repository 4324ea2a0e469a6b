/* SPDX-License-Identifier: MIT */
/*
 * Random trials of channels and select: tasks send and receive in every way there is, on two channels,
 * while others cancel them at any moment. Whoever was told that it sent an element has sent it, and
 * every element that was sent is received once.
 */
#include "core/common.h"
#include "harness/harness.h"

#include <errno.h>
#include <string.h>
#include <weft/chan.h>
#include <weft/event.h>
#include <weft/run.h>
#include <weft/select.h>

enum { SENDERS = 7, RECEIVERS = 5, ELEMENTS = 20000, PAD = 3 };

/* Of an odd length: no special way to copy it. */
struct element {
	uint32_t number;
	char pad[PAD];
} __attribute__((packed));

static struct weft_chan *chans[2];
static struct weft_event never_set;
static uint32_t elements;				    /* sent, or attempted to */
static uint8_t sent[ELEMENTS];				    /* whether the sender was told so */
static uint8_t received[ELEMENTS];			    /* how often */
static struct weft_scope *open_scopes[SENDERS + RECEIVERS]; /* each around one call */
static uint32_t stopped;

static uint32_t below(uint32_t limit)
{
	return (uint32_t)(weft_random() % limit);
}

/* Sends in one of the ways, or receives. Returns its result, and says which channel it was. */
static int send_somehow(const struct element *element)
{
	uint32_t which = below(2);
	struct weft_case cases[] = {
		weft_case_send(chans[which], element),
		weft_case_event(&never_set),
		weft_case_send(chans[!which], element),
		weft_case_until(weft_after(below(100) * WEFT_MICROSECOND)),
	};
	int i;

	switch (below(3)) {
	case 0:
		return weft_chan_send(chans[which], element);
	case 1:
		return weft_chan_try_send(chans[which], element);
	default:
		i = weft_select(cases, 4);
		return i < 0 ? i : i == 3 ? -EAGAIN : cases[i].result;
	}
}

static int recv_somehow(struct element *element)
{
	uint32_t which = below(2);
	struct element other;
	struct weft_case cases[] = {
		weft_case_recv(chans[which], element),
		weft_case_recv(chans[!which], &other),
		weft_case_event(&never_set),
	};
	int i;

	switch (below(3)) {
	case 0:
		return weft_chan_recv(chans[which], element);
	case 1:
		return weft_chan_try_recv(chans[which], element);
	default:
		i = weft_select(cases, 3);
		if (i == 1 && cases[1].result == 0)
			*element = other;
		return i < 0 ? i : cases[i].result;
	}
}

static int sender(void *place)
{
	struct weft_scope scope;

	while (elements < ELEMENTS) {
		struct element element = { .number = elements++, .pad = "ab" };
		int r;

		weft_scope_open(&scope);
		*(struct weft_scope **)place = &scope;
		r = send_somehow(&element);
		*(struct weft_scope **)place = NULL;
		(void)!weft_scope_close(&scope);
		quietly(r == 0 || r == -ECANCELED || r == -EAGAIN);
		sent[element.number] = r == 0;
		stopped += r == -ECANCELED;
		quietly(weft_yield() == 0);
	}
	return 0;
}

/* Both channels are closed at once. */
static bool all_drained(void)
{
	struct weft_chan_stats stats[2];

	for (int i = 0; i < 2; i++)
		weft_chan_stats(chans[i], &stats[i]);
	return stats[0].length == 0 && stats[1].length == 0;
}

static int receiver(void *place)
{
	struct weft_scope scope;
	int r;

	do {
		struct element element = { 0 };

		weft_scope_open(&scope);
		*(struct weft_scope **)place = &scope;
		r = recv_somehow(&element);
		*(struct weft_scope **)place = NULL;
		(void)!weft_scope_close(&scope);
		quietly(r == 0 || r == -ECANCELED || r == -EAGAIN || r == WEFT_ECLOSED);
		if (r == 0) {
			quietly(element.number < ELEMENTS && !strcmp(element.pad, "ab"));
			received[element.number]++;
		}
		stopped += r == -ECANCELED;
		quietly(weft_yield() == 0);
	} while (r != WEFT_ECLOSED || !all_drained());
	return 0;
}

static int canceller(void *arg)
{
	int r;

	(void)arg;
	while ((r = weft_yield()) == 0) {
		struct weft_scope *scope = open_scopes[below(SENDERS + RECEIVERS)];

		if (scope)
			weft_scope_cancel(scope);
	}
	return r;
}

static void check_trial(uint32_t capacity)
{
	struct weft_scope cancelling, receiving, sending;

	elements = stopped = 0;
	memset(sent, 0, sizeof sent);
	memset(received, 0, sizeof received);
	for (int i = 0; i < 2; i++)
		wf_assert_result(
			weft_chan_new(sizeof(struct element), capacity * (uint32_t)i, &chans[i]),
			0);
	weft_scope_open(&cancelling);
	weft_scope_open(&receiving);
	weft_scope_open(&sending);
	spawn(&cancelling, canceller, NULL);
	for (int i = 0; i < RECEIVERS; i++)
		spawn(&receiving, receiver, &open_scopes[SENDERS + i]);
	for (int i = 0; i < SENDERS; i++)
		spawn(&sending, sender, &open_scopes[i]);
	wf_assert_result(weft_scope_close(&sending), 0);
	weft_chan_close(chans[0]);
	weft_chan_close(chans[1]);
	wf_assert_result(weft_scope_close(&receiving), 0);
	weft_scope_cancel(&cancelling);
	wf_assert_result(weft_scope_close(&cancelling), -ECANCELED);
	for (int i = 0; i < 2; i++)
		weft_chan_free(chans[i]);
	ck_assert_ptr_null(never_set.line.first);
	for (int i = 0; i < ELEMENTS; i++)
		quietly(sent[i] == received[i]);
	ck_assert_uint_gt(stopped, ELEMENTS / 1000); /* it was tried */
}

/* Nothing is lost or doubled where nothing is buffered, */
WF_TASK_TEST(none_lost_unbuffered)
{
	check_trial(0);
}

/* where one channel buffers a little, */
WF_TASK_TEST(none_lost_with_one)
{
	check_trial(1);
}

/* and where it buffers more. */
WF_TASK_TEST(none_lost_with_three)
{
	check_trial(3);
}

WF_MAIN("core/chan_trials")
