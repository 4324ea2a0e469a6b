/* SPDX-License-Identifier: MIT */
/* The box office of chapter 5, as it was written first. */
#include "tickets.h"

#include <stdio.h>
#include <string.h>
#include <weft/weft.h>

/* The number of a ticket that is to be had, or -1. */
static int find_ticket(const struct office *office)
{
	for (int i = 0; i < TICKETS; i++)
		if (!office->sold[i])
			return i;
	return -1;
}

/* Who could not be told the number has bought nothing: the ticket is there for the next one. */
static int sell(struct office *office, struct weft_conn *conn)
{
	int ticket = find_ticket(office), length, r;
	char reply[32];

	if (ticket < 0)
		return weft_write(conn, "sold out\n", 9, NULL);
	length = snprintf(reply, sizeof reply, "ticket %d\n", ticket);
	r = weft_write(conn, reply, (size_t)length, NULL);
	if (r == 0)
		office->sold[ticket] = true;
	return r;
}

/* Answers the requests that are complete; part of one is shown again with what follows. */
static int answer(struct office *office, struct weft_conn *conn, const struct weft_input *input)
{
	const char *line = input->data, *last = line + input->bytes, *end;
	int r = 0;

	while (r == 0 && (end = memchr(line, '\n', (size_t)(last - line)))) {
		if (end - line == 3 && memcmp(line, "buy", 3) == 0)
			r = sell(office, conn);
		else
			r = weft_write(conn, "what?\n", 6, NULL);
		line = end + 1;
	}
	weft_consume(conn, (size_t)(line - input->data));
	return r;
}

static int serve(struct weft_conn *conn, void *office)
{
	struct weft_input input;
	ssize_t n = 0;
	int r = 0;

	while (r == 0) {
		WEFT_DEADLINE(weft_after(10 * WEFT_SECOND)) {
			n = weft_fill(conn, &input);
			if (n > 0)
				r = answer(office, conn, &input);
		}
		if (n <= 0)
			return (int)n;
	}
	return r;
}

int office_serve(void *arg)
{
	const struct weft_serve_options options = { .stop_on_signals = true };
	struct office *office = arg;

	return weft_serve(office->address, serve, office, &options);
}
