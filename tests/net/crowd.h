/* SPDX-License-Identifier: MIT */
/* A crowd of descriptors that become ready all at once: the engine has more to do than it does in one
 * portion when something else is closed. */
#pragma once

#include "net/peer.h"

#include <fcntl.h>
#include <weft/park.h>

enum { CROWD = 300 };

struct crowd {
	struct weft_scope scope;
	int pipes[CROWD][2];
	int calls;
};

static inline int leave_crowd(struct weft_watch *watch, int why, void *arg)
{
	struct crowd *crowd = arg;

	wf_assert_result(why, 0);
	crowd->calls++;
	weft_watch_close(watch);
	return 0;
}

/* Parks them. */
static inline void gather(struct crowd *crowd)
{
	struct weft_lot *lot;

	need_descriptors(2 * CROWD + 100);
	crowd->calls = 0;
	weft_scope_open(&crowd->scope);
	wf_assert_result(weft_lot_open(&crowd->scope, leave_crowd, crowd, WEFT_FOREVER, &lot), 0);
	for (int i = 0; i < CROWD; i++) {
		struct weft_watch *watch;

		ck_assert_int_eq(pipe2(crowd->pipes[i], O_CLOEXEC | O_NONBLOCK), 0);
		wf_assert_result(weft_watch_open(crowd->pipes[i][0], NULL, &watch), 0);
		wf_assert_result(weft_park(lot, watch), 0);
	}
	rest(5);
	ck_assert_int_eq(crowd->calls, 0);
}

/* Makes them ready; the engine has not been told before the next turn. */
static inline void stir(struct crowd *crowd)
{
	for (int i = 0; i < CROWD; i++)
		ck_assert_int_eq(write(crowd->pipes[i][1], "x", 1), 1);
}

/* Waits until each has been called, and closes them. */
static inline void disperse(struct crowd *crowd)
{
	wf_assert_result(weft_scope_close(&crowd->scope), 0);
	ck_assert_int_eq(crowd->calls, CROWD);
	for (int i = 0; i < CROWD; i++) {
		peer_close(crowd->pipes[i][0]);
		peer_close(crowd->pipes[i][1]);
	}
}
