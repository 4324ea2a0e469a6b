/* SPDX-License-Identifier: MIT */
/*
 * The other end: plain sockets that a test drives by itself, and a stream whose bytes tell their
 * place, so that a lost, doubled or misplaced one shows.
 *
 * Plain sockets block, for ten seconds at most. A task may use one only for what the kernel can do
 * without the worker: to send what there is room for, to receive what has been sent.
 */
#pragma once

#include "harness/harness.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <weft/scope.h>
#include <weft/task.h>
#include <weft/time.h>

#define SPAWN(scope, function, arg) wf_assert_result(weft_spawn((scope), (function), (arg)), 0)

/* ---- Time and tasks -------------------------------------------------------------------------- */

/* Sleeps, so that the other tasks run, wait and are waited for. */
static inline void rest(int ms)
{
	wf_assert_result(weft_sleep(ms * WEFT_MILLISECOND), 0);
}

/* The clock of the runtime, for whatever is no task. */
static inline weft_time clock_ns(void)
{
	struct timespec now;

	ck_assert_int_eq(clock_gettime(CLOCK_MONOTONIC, &now), 0);
	return now.tv_sec * WEFT_SECOND + now.tv_nsec;
}

/* Raises the limit on descriptors; without room for so many the test is skipped. */
static inline void need_descriptors(unsigned count)
{
	struct rlimit limit;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	if (limit.rlim_max < count)
		wf_skip("the hard limit on descriptors is too low");
	if (limit.rlim_cur >= count)
		return;
	limit.rlim_cur = count;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* For tests of accepting without a descriptor: Valgrind imposes the limit itself, and closes the
 * connection that it has accepted already. */
static inline void need_honest_limit(void)
{
	const char *preload = getenv("LD_PRELOAD");

	if (preload && strstr(preload, "vgpreload"))
		wf_skip("Valgrind loses connections at the limit on descriptors");
}

/* ---- The stream ------------------------------------------------------------------------------ */

static inline unsigned char byte_at(size_t place)
{
	return (unsigned char)(place ^ (place >> 8) * 31 ^ (place >> 16) * 71);
}

static inline void fill_stream(void *memory, size_t place, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		((unsigned char *)memory)[i] = byte_at(place + i);
}

static inline void check_stream(const void *memory, size_t place, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		if (((const unsigned char *)memory)[i] != byte_at(place + i))
			ck_abort_msg("byte %zu of the stream is wrong", place + i);
}

/* ---- Plain sockets --------------------------------------------------------------------------- */

static inline void set_patience(int fd)
{
	struct timeval patience = { .tv_sec = 10 };

	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience), 0);
}

/* Makes a socket for the family of an address. */
static inline int peer_socket(const struct weft_address *address)
{
	sa_family_t family;
	int fd;

	memcpy(&family, address->storage.bytes, sizeof family);
	fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(fd, 0);
	set_patience(fd);
	return fd;
}

/* connect(2) to an address as text; 0 or the errno. */
static inline int peer_connect(int fd, const char *text)
{
	struct weft_address address;
	int r;

	wf_assert_result(weft_address_parse(text, &address, NULL), 0);
	do /* the end of an earlier run's ring interrupts it; the next call goes on waiting */
		r = connect(fd, (const struct sockaddr *)(const void *)address.storage.bytes,
			    address.length);
	while (r < 0 && errno == EINTR);
	return r < 0 ? errno : 0;
}

/* Connects to a listener; the kernel does it without the listener's help, up to its backlog. */
static inline int peer_dial(const char *text)
{
	struct weft_address address;
	int fd;

	wf_assert_result(weft_address_parse(text, &address, NULL), 0);
	fd = peer_socket(&address);
	ck_assert_int_eq(peer_connect(fd, text), 0);
	return fd;
}

static inline void peer_send(int fd, const void *bytes, size_t count)
{
	for (size_t done = 0; done < count;) {
		ssize_t n = send(fd, (const char *)bytes + done, count - done, MSG_NOSIGNAL);

		if (n < 0)
			ck_abort_msg("send: %s", strerror(errno));
		done += (size_t)n;
	}
}

static inline void peer_say(int fd, const char *text)
{
	peer_send(fd, text, strlen(text));
}

/* Receives to the end of the input, at most `room` bytes; returns the count, or -errno. */
static inline ssize_t peer_receive_all(int fd, void *memory, size_t room)
{
	size_t done = 0;

	while (done < room) {
		ssize_t n = recv(fd, (char *)memory + done, room - done, 0);

		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

/* Receives exactly this text. */
static inline void peer_hear(int fd, const char *text)
{
	char heard[256] = "";

	ck_assert_uint_lt(strlen(text), sizeof heard);
	ck_assert_int_eq(peer_receive_all(fd, heard, strlen(text)), (ssize_t)strlen(text));
	ck_assert_str_eq(heard, text);
}

static inline void peer_hear_end(int fd)
{
	char byte;

	ck_assert_int_eq(recv(fd, &byte, 1, 0), 0);
}

static inline void peer_close(int fd)
{
	ck_assert_int_eq(close(fd), 0);
}

/* Closes so that the other end sees a reset. */
static inline void peer_reset(int fd)
{
	struct linger linger = { .l_onoff = 1 };

	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
	peer_close(fd);
}

/* ---- Connections ----------------------------------------------------------------------------- */

/* A Unix connection and its other end. */
static inline struct weft_conn *open_pair(int *ret_peer)
{
	struct weft_conn *conn;
	int fds[2];

	wf_socketpair(fds);
	set_patience(fds[1]);
	wf_assert_result(weft_conn_from_fd(fds[0], &conn), 0);
	*ret_peer = fds[1];
	return conn;
}

/* A TCP connection and its other end. */
static inline struct weft_conn *open_tcp_pair(int *ret_peer)
{
	char text[WEFT_ADDRESS_TEXT_MAX];
	struct weft_listener *listener = wf_listen_loopback(text);
	struct weft_conn *conn;

	*ret_peer = peer_dial(text);
	wf_assert_result(weft_accept(listener, &conn), 0);
	weft_listener_close(listener);
	return conn;
}

/* ---- A call made by a task of its own -------------------------------------------------------- */

struct call {
	struct weft_conn *conn;
	void *memory;
	size_t bytes;
	ssize_t result;
	size_t done;
	bool ended;
};

static inline int call_read(void *arg)
{
	struct call *call = arg;

	call->result = weft_read(call->conn, call->memory, call->bytes);
	call->ended = true;
	return 0;
}

static inline int call_read_full(void *arg)
{
	struct call *call = arg;

	call->result = weft_read_full(call->conn, call->memory, call->bytes, &call->done);
	call->ended = true;
	return 0;
}

static inline int call_write(void *arg)
{
	struct call *call = arg;

	call->result = weft_write(call->conn, call->memory, call->bytes, &call->done);
	call->ended = true;
	return 0;
}
