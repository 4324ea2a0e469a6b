/* SPDX-License-Identifier: MIT */
/* A listener, as a plain socket, that is full: who dials it waits. */
#pragma once

#include "net/peer.h"

#include <fcntl.h>

struct full_listener {
	int fd;
	int filling[4];
	char text[WEFT_ADDRESS_TEXT_MAX];
};

/* A backlog of 0 takes one connection, and the kernel drops whoever knocks after that. */
static inline void open_full_listener(struct full_listener *full)
{
	struct weft_address address;

	wf_assert_result(weft_address_parse("127.0.0.1:0", &address, NULL), 0);
	full->fd = peer_socket(&address);
	ck_assert_int_eq(bind(full->fd, (void *)address.storage.bytes, address.length), 0);
	ck_assert_int_eq(listen(full->fd, 0), 0);
	ck_assert_int_eq(getsockname(full->fd, (void *)address.storage.bytes, &address.length), 0);
	(void)weft_address_format(&address, full->text);
	for (int i = 0; i < 4; i++) {
		full->filling[i] = peer_socket(&address);
		ck_assert_int_eq(fcntl(full->filling[i], F_SETFL, O_NONBLOCK), 0);
		(void)peer_connect(full->filling[i], full->text); /* it connects, or knocks */
	}
}

static inline void close_full_listener(struct full_listener *full)
{
	for (int i = 0; i < 4; i++)
		peer_close(full->filling[i]);
	peer_close(full->fd);
}
