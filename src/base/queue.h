/* SPDX-License-Identifier: MIT */
/*
 * First in, first out; the nodes lie inside the objects queued. One pointer in each object and two
 * in the queue:
 *
 *	head --> node --> node --> node --> NULL
 *	                           tail ----^
 *
 * All zero is an empty queue. A node can be in one queue at a time and cannot leave from the
 * middle, but for who walks there; what needs that wants a list (list.h). A queue may be copied or moved.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct wf_queue_node {
	struct wf_queue_node *next;
};

struct wf_queue {
	struct wf_queue_node *head; /* pushed longest ago; NULL when empty */
	struct wf_queue_node *tail; /* pushed last; undefined when empty */
};

/* Makes an empty queue. */
static inline void wf_queue_init(struct wf_queue *queue)
{
	queue->head = NULL;
	queue->tail = NULL;
}

/* Whether nothing is queued. */
static inline bool wf_queue_is_empty(const struct wf_queue *queue)
{
	return !queue->head;
}

/* Adds a node, which must be in no queue, at the tail. */
static inline void wf_queue_push(struct wf_queue *queue, struct wf_queue_node *node)
{
	node->next = NULL;
	if (queue->head)
		queue->tail->next = node;
	else
		queue->head = node;
	queue->tail = node;
}

/* Adds a node, which must be in no queue, at the head: last in, first out. */
static inline void wf_queue_push_front(struct wf_queue *queue, struct wf_queue_node *node)
{
	if (!queue->head)
		queue->tail = node;
	node->next = queue->head;
	queue->head = node;
}

/* Takes the node behind another one, which is not the last; NULL for the one at the head. */
static inline struct wf_queue_node *wf_queue_take_behind(struct wf_queue *queue,
							 struct wf_queue_node *before)
{
	struct wf_queue_node *node = before ? before->next : queue->head;

	if (!before) {
		queue->head = node->next;
		return node;
	}
	before->next = node->next;
	if (queue->tail == node)
		queue->tail = before;
	return node;
}

/* Takes the node at the head, or NULL of an empty queue. */
static inline struct wf_queue_node *wf_queue_pop(struct wf_queue *queue)
{
	struct wf_queue_node *node = queue->head;

	if (node)
		queue->head = node->next;
	return node;
}
