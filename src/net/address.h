/* SPDX-License-Identifier: MIT */
/*
 * What the rest of net/ needs of an address beyond weft/net.h. The bytes behind `length` are always
 * 0, so that two equal addresses are equal bytes and a socket's path is a string.
 *
 * Nothing here suspends.
 */
#pragma once

#include <weft/error.h>
#include <weft/net.h>

#include <stdbool.h>
#include <sys/socket.h>

struct wf_poller;

/* AF_INET, AF_INET6, AF_UNIX; AF_UNSPEC for an address that is all zero. */
int wf_address_family(const struct weft_address *address);

/* The path of a Unix socket's file; NULL for other families and for sockets without a file. */
const char *wf_address_path(const struct weft_address *address);

/* The address of this end of a socket, or of the other one. 0, an error of getsockname(2) or
 * getpeername(2), or -EAFNOSUPPORT for a family with addresses longer than ours. */
int wf_address_of(struct wf_poller *poller, int fd, bool of_peer,
		  struct weft_address *ret_address) WEFT_MUST_USE;

/* The form that bind(2) and connect(2) take; its length is address->length. */
static inline const struct sockaddr *wf_address_sockaddr(const struct weft_address *address)
{
	return (const struct sockaddr *)(const void *)address->storage.bytes;
}
