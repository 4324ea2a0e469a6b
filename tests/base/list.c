/* SPDX-License-Identifier: MIT */
#include "base/list.h"

#include "harness/harness.h"

#include <string.h>

struct item {
	char name;
	struct wf_list node;
};

static struct item a = { .name = 'a' }, b = { .name = 'b' }, c = { .name = 'c' };
static struct wf_list list;

static void init(void)
{
	wf_list_init(&list);
	wf_list_init(&a.node);
	wf_list_init(&b.node);
	wf_list_init(&c.node);
}

/* The names in the list, walked forwards; checks that every link is answered by one back. */
static const char *names(void)
{
	static char text[4];
	size_t count = 0;

	memset(text, 0, sizeof text);
	for (struct wf_list *node = wf_list_first(&list); node; node = wf_list_next(&list, node)) {
		ck_assert_ptr_eq(node->prev->next, node);
		ck_assert_uint_lt(count, sizeof text - 1);
		text[count++] = wf_container(node, struct item, node)->name;
	}
	ck_assert_ptr_eq(list.prev->next, &list);
	return text;
}

/* A new list has neither a first nor a last node. */
WF_TEST(new_list_is_empty)
{
	init();
	ck_assert(wf_list_is_empty(&list));
	ck_assert_ptr_null(wf_list_first(&list));
	ck_assert_ptr_null(wf_list_last(&list));
	ck_assert_ptr_null(wf_list_pop_front(&list));
}

/* push_back keeps the order of the calls. */
WF_TEST(push_back_appends)
{
	init();
	wf_list_push_back(&list, &a.node);
	wf_list_push_back(&list, &b.node);
	wf_list_push_back(&list, &c.node);
	ck_assert_str_eq(names(), "abc");
	ck_assert_ptr_eq(wf_list_last(&list), &c.node);
}

/* push_front reverses the order of the calls. */
WF_TEST(push_front_prepends)
{
	init();
	wf_list_push_front(&list, &a.node);
	wf_list_push_front(&list, &b.node);
	wf_list_push_front(&list, &c.node);
	ck_assert_str_eq(names(), "cba");
	ck_assert_ptr_eq(wf_list_last(&list), &a.node);
}

/* insert_after puts a node right behind another. */
WF_TEST(insert_after_a_node)
{
	init();
	wf_list_push_back(&list, &a.node);
	wf_list_push_back(&list, &c.node);
	wf_list_insert_after(&a.node, &b.node);
	ck_assert_str_eq(names(), "abc");
}

/* remove takes nodes from the middle, the front and the end, down to the empty list. */
WF_TEST(remove_anywhere)
{
	init();
	wf_list_push_back(&list, &a.node);
	wf_list_push_back(&list, &b.node);
	wf_list_push_back(&list, &c.node);
	wf_list_remove(&b.node);
	ck_assert_str_eq(names(), "ac");
	wf_list_remove(&a.node);
	ck_assert_str_eq(names(), "c");
	wf_list_remove(&c.node);
	ck_assert(wf_list_is_empty(&list));
}

/* A removed node is unlinked: removing it again does nothing, and it can be linked anew. */
WF_TEST(remove_leaves_the_node_unlinked)
{
	init();
	wf_list_push_back(&list, &a.node);
	wf_list_push_back(&list, &b.node);
	wf_list_remove(&a.node);
	ck_assert(wf_list_is_empty(&a.node));
	wf_list_remove(&a.node);
	ck_assert_str_eq(names(), "b");
	wf_list_push_back(&list, &a.node);
	ck_assert_str_eq(names(), "ba");
}

/* pop_front empties a list in its order. */
WF_TEST(pop_front_takes_the_first)
{
	init();
	wf_list_push_back(&list, &a.node);
	wf_list_push_back(&list, &b.node);
	ck_assert_ptr_eq(wf_list_pop_front(&list), &a.node);
	ck_assert(wf_list_is_empty(&a.node));
	ck_assert_ptr_eq(wf_list_pop_front(&list), &b.node);
	ck_assert_ptr_null(wf_list_pop_front(&list));
}

WF_MAIN("base/list")
