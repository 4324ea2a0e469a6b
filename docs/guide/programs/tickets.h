/* SPDX-License-Identifier: MIT */
/* A box office: "buy\n" is answered by "ticket 3\n", or by "sold out\n". No ticket is sold twice. */
#pragma once

#include <stdbool.h>

enum { TICKETS = 5 };

struct office {
	const char *address;
	bool sold[TICKETS];
};

/* Sells until its scope is stopped. A checkpoint. */
int office_serve(void *office);
