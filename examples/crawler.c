/* SPDX-License-Identifier: MIT */
/* Follows the links of a small web, which it serves itself, and fetches at most so many pages at once:
 * crawler [PLACES] */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/weft.h>

/* ---- The web: "GET name\n" is answered by the names of the pages that the page links to ------- */

static const char *const web[][2] = {
	{ "home", "about news shop blog\n" },
	{ "about", "home team\n" },
	{ "news", "today yesterday home\n" },
	{ "shop", "cart home\n" },
	{ "blog", "first second home\n" },
	{ "team", "about blog\n" },
	{ "today", "news yesterday\n" },
	{ "yesterday", "news\n" },
	{ "cart", "shop home\n" },
	{ "first", "second blog\n" },
	{ "second", "first blog\n" },
};

/* Reads up to a line feed, and puts the end of a string in its place. */
static int read_line(struct weft_conn *conn, char *line, size_t bytes)
{
	size_t length = 0;

	while (length == 0 || line[length - 1] != '\n') {
		ssize_t n = length == bytes ? -EMSGSIZE :
					      weft_read(conn, line + length, bytes - length);

		if (n <= 0)
			return n < 0 ? (int)n : WEFT_EEOF;
		length += (size_t)n;
	}
	line[length - 1] = 0;
	return 0;
}

static int answer(struct weft_conn *conn, void *arg)
{
	char line[64];
	int r = read_line(conn, line, sizeof line);

	(void)arg;
	if (r < 0)
		return r;
	for (size_t i = 0; i < sizeof web / sizeof *web; i++)
		if (strncmp(line, "GET ", 4) == 0 && strcmp(line + 4, web[i][0]) == 0)
			return weft_finish(conn, web[i][1], strlen(web[i][1]));
	return -ENOENT;
}

static int serve(void *listener)
{
	return weft_serve_listener(listener, answer, NULL, NULL);
}

/* ---- The crawler ------------------------------------------------------------------------------ */

enum { PAGES_MAX = 32 };

struct crawl {
	const char *address;
	int fetching, peak; /* pages at once */
	int count;	    /* of the pages found, in the order of finding */
	struct page {
		struct crawl *crawl;
		char name[16];
		char links[64];
	} pages[PAGES_MAX];
};

static int exchange(struct weft_conn *conn, struct page *page)
{
	char request[32];
	int length = snprintf(request, sizeof request, "GET %s\n", page->name);
	int r = weft_write(conn, request, (size_t)length, NULL);

	return r < 0 ? r : read_line(conn, page->links, sizeof page->links);
}

static int fetch(void *arg)
{
	struct page *page = arg;
	struct crawl *crawl = page->crawl;
	struct weft_conn *conn;
	int r;

	if (++crawl->fetching > crawl->peak)
		crawl->peak = crawl->fetching;
	r = weft_dial(crawl->address, &conn);
	if (r == 0) {
		r = exchange(conn, page);
		weft_close(conn);
	}
	crawl->fetching--;
	return r;
}

/* Adds a page, unless it has been found before. */
static int find(struct crawl *crawl, const char *name)
{
	struct page *page = &crawl->pages[crawl->count];

	for (int i = 0; i < crawl->count; i++)
		if (strcmp(crawl->pages[i].name, name) == 0)
			return 0;
	if (crawl->count == PAGES_MAX || strlen(name) >= sizeof page->name)
		return -ENOBUFS;
	page->crawl = crawl;
	(void)strcpy(page->name, name);
	crawl->count++;
	return 0;
}

static int follow(struct crawl *crawl, const struct page *page)
{
	char links[sizeof page->links], *rest, *name;
	int r = 0;

	printf("%s: %s\n", page->name, page->links);
	(void)strcpy(links, page->links);
	for (name = strtok_r(links, " ", &rest); name && r == 0; name = strtok_r(NULL, " ", &rest))
		r = find(crawl, name);
	return r;
}

/* Fetches what has been found, then looks for links in it, in the same order: until nothing is new. */
static int crawl_all(struct crawl *crawl, uint32_t places)
{
	struct weft_scope scope;
	struct weft_pool pool = WEFT_POOL_INIT(&scope, places);
	int fetched = 0, followed = 0, r, closed;

	weft_scope_open_until(&scope, weft_after(10 * WEFT_SECOND));
	r = find(crawl, "home");
	while (r == 0 && followed < crawl->count) {
		while (r == 0 && fetched < crawl->count)
			r = weft_pool_spawn(&pool, fetch, &crawl->pages[fetched++]);
		if (r == 0)
			r = weft_pool_wait_all(&pool);
		while (r == 0 && followed < fetched)
			r = follow(crawl, &crawl->pages[followed++]);
	}
	if (r < 0)
		weft_scope_cancel(&scope);
	closed = weft_scope_close(&scope);
	return closed == -ECANCELED ? r : closed; /* the failure of a fetch comes first */
}

static int app(void *arg)
{
	const uint32_t *places = arg;
	char text[WEFT_ADDRESS_TEXT_MAX];
	struct crawl crawl = { .address = text };
	struct weft_listener *listener;
	struct weft_address address;
	struct weft_scope scope;
	int r = weft_listen("127.0.0.1:0", NULL, &listener);

	if (r < 0)
		return r;
	r = weft_listener_address(listener, &address);
	weft_scope_open(&scope);
	if (r == 0)
		r = weft_spawn(&scope, serve, listener);
	if (r < 0) {
		weft_listener_close(listener);
	} else {
		(void)weft_address_format(&address, text);
		r = crawl_all(&crawl, *places);
		printf("%d pages, at most %d at once\n", crawl.count, crawl.peak);
	}
	weft_scope_leave(&scope); /* stops the server */
	return r;
}

int main(int argc, char **argv)
{
	uint32_t places = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 3;
	int r;

	if (places == 0) {
		(void)fputs("usage: crawler [PLACES]\n", stderr);
		return 2;
	}
	r = weft_run(app, &places, NULL);
	if (r < 0)
		(void)fprintf(stderr, "crawler: %s\n", weft_strerror(r));
	return r < 0;
}
