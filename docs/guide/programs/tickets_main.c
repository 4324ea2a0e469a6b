/* SPDX-License-Identifier: MIT */
/* tickets [ADDRESS] */
#include "tickets.h"

#include <stdio.h>
#include <weft/weft.h>

int main(int argc, char **argv)
{
	static struct office office;
	int r;

	office.address = argc > 1 ? argv[1] : "127.0.0.1:7000";
	r = weft_run(office_serve, &office, NULL);
	if (r < 0)
		(void)fprintf(stderr, "tickets: %s\n", weft_strerror(r));
	return r < 0;
}
