/* SPDX-License-Identifier: MIT */
#include "base/queue.h"

#include "harness/harness.h"

/* All zero and wf_queue_init make the same: an empty queue. */
WF_TEST(zero_is_an_empty_queue)
{
	struct wf_queue zero = { 0 }, made;

	wf_queue_init(&made);
	ck_assert(wf_queue_is_empty(&zero));
	ck_assert(wf_queue_is_empty(&made));
	ck_assert_ptr_null(wf_queue_pop(&zero));
	ck_assert_ptr_null(wf_queue_pop(&made));
}

/* Nodes come out in the order they went in. */
WF_TEST(first_in_first_out)
{
	struct wf_queue queue = { 0 };
	struct wf_queue_node nodes[3];

	for (int i = 0; i < 3; i++)
		wf_queue_push(&queue, &nodes[i]);
	ck_assert(!wf_queue_is_empty(&queue));
	for (int i = 0; i < 3; i++)
		ck_assert_ptr_eq(wf_queue_pop(&queue), &nodes[i]);
	ck_assert(wf_queue_is_empty(&queue));
}

/* A queue that has run empty goes on as a new one, with nodes it has had before. */
WF_TEST(emptied_queue_is_usable)
{
	struct wf_queue queue = { 0 };
	struct wf_queue_node a, b;

	for (int round = 0; round < 3; round++) {
		wf_queue_push(&queue, &a);
		ck_assert_ptr_eq(wf_queue_pop(&queue), &a);
		ck_assert_ptr_null(wf_queue_pop(&queue));
		wf_queue_push(&queue, &b);
		wf_queue_push(&queue, &a);
		ck_assert_ptr_eq(wf_queue_pop(&queue), &b);
		ck_assert_ptr_eq(wf_queue_pop(&queue), &a);
	}
}

/* A copy of a queue is the queue: nothing points back at it. */
WF_TEST(queue_may_be_copied)
{
	struct wf_queue queue = { 0 }, copy;
	struct wf_queue_node a, b;

	wf_queue_push(&queue, &a);
	copy = queue;
	wf_queue_push(&copy, &b);
	ck_assert_ptr_eq(wf_queue_pop(&copy), &a);
	ck_assert_ptr_eq(wf_queue_pop(&copy), &b);
	ck_assert(wf_queue_is_empty(&copy));
}

WF_MAIN("base/queue")
