/* SPDX-License-Identifier: MIT */
/*
 * Stream connections: TCP over IPv4 and IPv6, and Unix sockets.
 *
 * A connection may be used by two tasks at once, one that reads and one that writes; a second
 * reader or writer gets -EBUSY. A peer that is gone shows as -ECONNRESET or -EPIPE, never as a
 * signal. Everything here is for tasks of the worker that opened the object; a checkpoint called
 * outside of tasks returns -EPERM.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <weft/error.h>

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

struct weft_conn;
struct weft_listener;
struct weft_watch;

/* A socket address: `bytes` holds a struct sockaddr of `length` bytes. */
struct weft_address {
	uint32_t length;
	uint32_t reserved;
	union {
		unsigned char bytes[112];
		uint64_t align;
	} storage;
};

/* Enough for any address as text, and for any sentence about one. */
#define WEFT_ADDRESS_TEXT_MAX 256

/* Reads "127.0.0.1:80", "[::1]:80" or "unix:/path". Never suspends; any thread. WEFT_EADDRESS if
 * it is none of these: then `reterr_why` (NULL, or WEFT_ADDRESS_TEXT_MAX bytes) says which part is
 * wrong and what would be right. */
int weft_address_parse(const char *text, struct weft_address *ret_address,
		       char *reterr_why) WEFT_MUST_USE;

/* Writes an address as weft_address_parse reads it; `text` is WEFT_ADDRESS_TEXT_MAX bytes, and is
 * returned. Never suspends; any thread. */
const char *weft_address_format(const struct weft_address *address, char *text);

/* Set on the listener; connections inherit them from it. Zero, or no options, is the default. */
struct weft_listen_options {
	int backlog;	    /* connections waiting to be accepted; default 4,096; the kernel
			       caps it at net.core.somaxconn */
	int defer_accept_s; /* hand over connections when input is there, and after this many
			       seconds at the latest (TCP_DEFER_ACCEPT); default at once */
	bool reuse_port;    /* let other processes listen on the port too (SO_REUSEPORT) */
};

/* Listens on an address. A socket file that no process listens on any more is replaced. TCP
 * connections send small writes at once (TCP_NODELAY). Never suspends. WEFT_EADDRESS, -EADDRINUSE,
 * -EADDRNOTAVAIL, -EACCES, -EMFILE, -ENOMEM; -EPERM outside weft_run. */
int weft_listen(const char *address, const struct weft_listen_options *options,
		struct weft_listener **ret_listener) WEFT_MUST_USE;

/* Waits for a connection. A checkpoint. The caller owns the connection. -EMFILE, -ENFILE,
 * -ENOBUFS and -ENOMEM mean that the connection stays in the backlog: wait a little, then try
 * again. WEFT_ESTOPPING after weft_scope_stop; -EBUSY if another task accepts on the listener;
 * WEFT_ECLOSED if it is closed meanwhile. */
int weft_accept(struct weft_listener *listener, struct weft_conn **ret_conn) WEFT_MUST_USE;

/* The address listened on, with the real port if 0 was asked for. Never suspends. WEFT_ECLOSED while a task
 * still waits on a listener that was closed; -EPERM on another worker. */
int weft_listener_address(struct weft_listener *listener,
			  struct weft_address *ret_address) WEFT_MUST_USE;

/* Stops listening and releases the listener; a task waiting in weft_accept gets WEFT_ECLOSED.
 * Never suspends, cannot fail; NULL is allowed. */
void weft_listener_close(struct weft_listener *listener);

/* Connects to an address. A checkpoint; if it fails, nothing is left behind. WEFT_EADDRESS,
 * -ECONNREFUSED, -ETIMEDOUT, -ENETUNREACH, -EADDRNOTAVAIL, -EMFILE, -ENOMEM. */
int weft_dial(const char *address, struct weft_conn **ret_conn) WEFT_MUST_USE;

/* Makes two connections, each the other end of the other: a stream within the program. Never suspends.
 * -EMFILE, -ENOMEM; -EPERM outside weft_run. */
int weft_conn_pair(struct weft_conn **ret_a, struct weft_conn **ret_b) WEFT_MUST_USE;

/* Receives what is there, at most `bytes` (-EINVAL for 0); waits if nothing is. A checkpoint. Returns the count, 0
 * at the end of the input. A stop of the scope loses nothing: if bytes came, they are returned. Urgent
 * data is not received; on io_uring the bytes behind it may be received only with what comes next. */
ssize_t weft_read(struct weft_conn *conn, void *buffer, size_t bytes) WEFT_MUST_USE;

/* Receives exactly `bytes`. A checkpoint. 0, or an error with the count so far in `ret_done`
 * (which may be NULL, and is set whatever the result); WEFT_EEOF if the input ended early. */
int weft_read_full(struct weft_conn *conn, void *buffer, size_t bytes,
		   size_t *ret_done) WEFT_MUST_USE;

/* Input that has been received and not consumed, in a buffer of the runtime. */
struct weft_input {
	const char *data;
	size_t bytes;
};

/* Receives more input into a buffer that the connection borrows from the worker, and shows all there
 * is. A checkpoint; while it waits, for input or for a buffer, the connection holds none. While the caller
 * waits elsewhere with input unconsumed it does: bound the writes of a handler. Returns the
 * count of new bytes; 0 at the end of the input, where `ret_input` shows what was left unconsumed.
 * What it shows is valid until the next call of weft_fill, weft_consume, weft_read or weft_park on the
 * connection, and until it is closed. -EMSGSIZE if the buffer is full and nothing has been consumed
 * (weft_options.buffer_bytes); -EBUSY if another task reads; -ENOMEM; WEFT_ECLOSED; -ECONNRESET. */
ssize_t weft_fill(struct weft_conn *conn, struct weft_input *ret_input) WEFT_MUST_USE;

/* Consumes bytes of the input from its front, at most those weft_fill has shown. With the last of
 * them the buffer is given back. Never suspends. */
void weft_consume(struct weft_conn *conn, size_t bytes);

/* Sends all of it. A checkpoint. 0, or an error with the count so far in `ret_done` (which may be
 * NULL, and is set whatever the result). The memory may be reused on return. weft_writev does not
 * change the vector. */
int weft_write(struct weft_conn *conn, const void *buffer, size_t bytes,
	       size_t *ret_done) WEFT_MUST_USE;
int weft_writev(struct weft_conn *conn, const struct iovec *vector, int count,
		size_t *ret_done) WEFT_MUST_USE;

/* Ends the output: the peer reads to the end of the file, and may go on sending. Never suspends. -ENOTCONN;
 * WEFT_ECLOSED after weft_finish; -EPERM on another worker. */
int weft_shutdown(struct weft_conn *conn) WEFT_MUST_USE;

/* Sends the last bytes and ends the connection, in as few segments as that takes: when all input
 * has been read, the end travels with the data. With unread input it drains what comes, at most
 * 64 KiB and for at most a second, because closing on unread input makes the kernel reset the
 * connection and lose the bytes. A weft_read that took all there was is believed for 50 us; only what
 * comes within them can have that effect. A checkpoint. 0, or the error of weft_write. Afterwards only
 * weft_close may be used, unless the result was -EBUSY. */
int weft_finish(struct weft_conn *conn, const void *buffer, size_t bytes) WEFT_MUST_USE;

/* Closes the connection and releases it; a task waiting on it gets WEFT_ECLOSED. Never suspends,
 * cannot fail, works in cancelled scopes; NULL is allowed. */
void weft_close(struct weft_conn *conn);

/* The address of the other end, asked of the kernel at each call. Never suspends. -ENOTCONN; WEFT_ECLOSED
 * after weft_finish; -EPERM on another worker. */
int weft_conn_peer(struct weft_conn *conn, struct weft_address *ret_address) WEFT_MUST_USE;

/* The descriptor, still owned by the connection: for getsockopt and the like. Never suspends. */
int weft_conn_fd(const struct weft_conn *conn);

/* The connection's watch, which can be parked (weft/park.h); it lives as long as the connection. Never
 * suspends. */
struct weft_watch *weft_conn_watch(struct weft_conn *conn);

/* A pointer of the caller's, kept with the connection; NULL at first. Never suspend. */
void weft_conn_user_set(struct weft_conn *conn, void *user);
void *weft_conn_user(const struct weft_conn *conn);

/* Makes a connection of a connected stream socket and owns it from then on; sets it non-blocking.
 * On failure the caller keeps it: -ENOTSOCK, -EPROTOTYPE if it is no stream, -ENOMEM; -EPERM
 * outside weft_run. Never suspends. */
int weft_conn_from_fd(int fd, struct weft_conn **ret_conn) WEFT_MUST_USE;

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop
