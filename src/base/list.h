/* SPDX-License-Identifier: MIT */
/*
 * A doubly linked list whose nodes lie inside the objects it links. List and node are the same
 * type and form a ring:
 *
 *        +--> list <--> first <--> ... <--> last <--+
 *        +------------------------------------------+
 *
 * A node that is in no list points to itself, so removing is always safe and takes no list, and a
 * node can say whether it is linked. It must be initialised before its first use, and neither a
 * list nor a linked node may move. Use wf_container to get from a node to its object.
 *
 *	for (struct wf_list *node = wf_list_first(&list); node; node = wf_list_next(&list, node))
 */
#pragma once

#include "base/assert.h"

#include <stdbool.h>
#include <stddef.h>

struct wf_list {
	struct wf_list *next, *prev;
};

/* Makes an empty list, or an unlinked node. */
static inline void wf_list_init(struct wf_list *list)
{
	list->next = list;
	list->prev = list;
}

/* Whether a list has no nodes; asked of a node, whether it is unlinked. */
static inline bool wf_list_is_empty(const struct wf_list *list)
{
	return list->next == list;
}

/* Links a node, which must be unlinked, behind another node or at the front of a list. */
static inline void wf_list_insert_after(struct wf_list *place, struct wf_list *node)
{
	wf_assert_slow(wf_list_is_empty(node));
	node->prev = place;
	node->next = place->next;
	place->next->prev = node;
	place->next = node;
}

/* Makes an unlinked node the first of a list. */
static inline void wf_list_push_front(struct wf_list *list, struct wf_list *node)
{
	wf_list_insert_after(list, node);
}

/* Makes an unlinked node the last of a list. */
static inline void wf_list_push_back(struct wf_list *list, struct wf_list *node)
{
	wf_list_insert_after(list->prev, node);
}

/* Takes a node out of the list it is in, if any, and leaves it unlinked. */
static inline void wf_list_remove(struct wf_list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	wf_list_init(node);
}

/* The first node, or NULL of an empty list. */
static inline struct wf_list *wf_list_first(const struct wf_list *list)
{
	return wf_list_is_empty(list) ? NULL : list->next;
}

/* The last node, or NULL of an empty list. */
static inline struct wf_list *wf_list_last(const struct wf_list *list)
{
	return wf_list_is_empty(list) ? NULL : list->prev;
}

/* The node behind a node of the list, or NULL behind the last. */
static inline struct wf_list *wf_list_next(const struct wf_list *list, const struct wf_list *node)
{
	return node->next == list ? NULL : node->next;
}

/* Takes the first node out and returns it, or NULL of an empty list. */
static inline struct wf_list *wf_list_pop_front(struct wf_list *list)
{
	struct wf_list *node = wf_list_first(list);

	if (node)
		wf_list_remove(node);
	return node;
}
