/* SPDX-License-Identifier: MIT */
/* Accepting, for a caller that knows how many connections it can take. */
#pragma once

#include <stdint.h>
#include <weft/net.h>

/* As weft_accept. The engine may accept ahead as long as the caller has room for `room` connections, in
 * which those that wait in the backlog fit, too. */
int wf_listener_accept(struct weft_listener *listener, uint32_t room, struct weft_conn **ret_conn);
