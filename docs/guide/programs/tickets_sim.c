/* SPDX-License-Identifier: MIT */
/* Customers of the box office, in a world in which much goes wrong. */
#include "tickets.h"

#include <stdio.h>
#include <string.h>
#include <weft/sim.h>
#include <weft/weft.h>

enum { CUSTOMERS = 8 };

static struct office office;
static bool owned[TICKETS];

/* Buys, and tells the number of the ticket; -1 if there is none, or anything goes wrong. */
static int buy(struct weft_conn *conn)
{
	char answer[32] = "";
	size_t length = 0;
	int ticket = -1;
	ssize_t n;

	if (weft_write(conn, "buy\n", 4, NULL) < 0)
		return -1;
	while (!strchr(answer, '\n')) {
		n = weft_read(conn, answer + length, sizeof answer - 1 - length);
		if (n <= 0)
			return -1;
		length += (size_t)n;
	}
	if (strcmp(answer, "sold out\n") == 0)
		weft_reachable("all tickets are sold");
	else
		weft_always(sscanf(answer, "ticket %d", &ticket) == 1 && ticket >= 0 &&
				    ticket < TICKETS,
			    "a ticket has a number");
	return ticket;
}

static int customer(void *arg)
{
	struct weft_conn *conn;
	int ticket;

	(void)arg;
	WEFT_DEADLINE(weft_after(10 * WEFT_SECOND)) {
		if (weft_dial("10.0.0.1:7000", &conn) < 0)
			return 0; /* bad luck */
		ticket = buy(conn);
		weft_close(conn);
		if (ticket < 0)
			return 0;
		weft_always(!owned[ticket], "no ticket is sold twice");
		owned[ticket] = true;
	}
	return 0;
}

/* All of them come at once, as people do when something is sold. */
static int crowd(void *arg)
{
	struct weft_scope scope;
	int r = 0;

	weft_scope_open(&scope);
	for (int i = 0; i < CUSTOMERS && r == 0; i++)
		r = weft_spawn(&scope, customer, arg);
	return weft_scope_close(&scope);
}

/* Opens the office again when it has failed, as a real system would. */
static int keep_open(void *arg)
{
	while (office_serve(arg) < 0)
		if (weft_sleep(100 * WEFT_MILLISECOND) < 0)
			break;
	return 0;
}

static void scenario(struct weft_sim *sim)
{
	office = (struct office){ .address = "10.0.0.1:7000" };
	memset(owned, 0, sizeof owned);
	weft_sim_host(sim, "office", "10.0.0.1", keep_open, &office);
	weft_sim_host(sim, "crowd", "10.0.0.2", crowd, NULL);
	weft_sim_swarm(sim);
	weft_sim_credit(sim, 1); /* every checkpoint lets others run */
	weft_sim_run_for(sim, 20 * WEFT_SECOND, 20 * WEFT_SECOND);
}

int main(int argc, char **argv)
{
	return weft_sim_main(argc, argv, scenario);
}
