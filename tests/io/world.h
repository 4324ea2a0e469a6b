/* SPDX-License-Identifier: MIT */
/*
 * A small world for the tests of the simulated network, host 0 and host 1 with a link between, in which
 * one task makes the calls of both. What fails, fails the test.
 */
#pragma once

#include "core/common.h"
#include "core/worker.h"
#include "harness/harness.h"
#include "io/sim_socket.h"
#include "io/system.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <weft/scope.h>
#include <weft/time.h>

enum { PORT = 80 };

static struct wf_sim *world;
static struct wf_poller *poller;
static const struct wf_system *sys;

/* Defines a test whose body is a task in a simulation without any hosts but the first. */
#define SIM_TEST(test)                                                      \
	static void test##_body(void);                                      \
	static int test##_task(void *arg)                                   \
	{                                                                   \
		poller = wf_worker->poller;                                 \
		world = wf_sim_of(poller);                                  \
		wf_sockets_go_with_world = true;                            \
		world->step_ns = 0;                                         \
		sys = poller->system;                                       \
		test##_body();                                              \
		return arg ? 1 : 0;                                         \
	}                                                                   \
	WF_TEST(test)                                                       \
	{                                                                   \
		const struct weft_options options = { .engine = "sim" };    \
		wf_assert_result(weft_run(test##_task, NULL, &options), 0); \
	}                                                                   \
	static void test##_body(void)

/* Adds host 1, 10.0.0.2, with such links to and from host 0, 10.0.0.1. */
static inline void add_host(struct wf_sim_link link)
{
	wf_assert_result(wf_sim_net_add_host(world, 10 << 24 | 2, &link), 1);
}

static inline struct wf_sim_link latency_ms(weft_time ms)
{
	return (struct wf_sim_link){ .latency_min_ns = ms * WEFT_MILLISECOND,
				     .latency_max_ns = ms * WEFT_MILLISECOND };
}

/* From now on the task is on that host. */
static inline void be_at(uint8_t host)
{
	wf_task_self()->host = host;
}

static inline void sleep_ms(int64_t ms)
{
	wf_assert_result(weft_sleep(ms * WEFT_MILLISECOND), 0);
}

static inline int64_t now_ms(void)
{
	return weft_now() / WEFT_MILLISECOND;
}

static inline struct sockaddr_in address_of(const char *ipv4, uint16_t port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };

	ck_assert_int_eq(inet_pton(AF_INET, ipv4, &address.sin_addr), 1);
	return address;
}

static inline int open_at(uint8_t host)
{
	int fd;

	be_at(host);
	fd = sys->socket(poller, AF_INET);
	ck_assert_int_ge(fd, WF_SIM_FD);
	return fd;
}

static inline int listen_at(uint8_t host, int backlog)
{
	struct sockaddr_in any = address_of("0.0.0.0", PORT);
	int fd = open_at(host);

	wf_assert_result(sys->bind(poller, fd, (struct sockaddr *)&any, sizeof any), 0);
	wf_assert_result(sys->listen(poller, fd, backlog), 0);
	return fd;
}

static inline int dial_to(int fd, const char *ipv4, uint16_t port)
{
	struct sockaddr_in there = address_of(ipv4, port);

	return sys->connect(poller, fd, (struct sockaddr *)&there, sizeof there);
}

/* Starts to connect host 0 to host 1. */
static inline int dial_host(void)
{
	int fd = open_at(0);

	wf_assert_result(dial_to(fd, "10.0.0.2", PORT), -EINPROGRESS);
	return fd;
}

static inline struct wf_sim_socket *socket_of(int fd)
{
	return world->net.sockets[fd - WF_SIM_FD];
}

static inline uint32_t level(int fd)
{
	return wf_sim_socket_level(world, socket_of(fd));
}

/* Each of these acts on the host that the descriptor is of. */

static inline ssize_t send_bytes(int fd, const void *bytes, size_t count, int flags)
{
	struct iovec piece = { (void *)(uintptr_t)bytes, count };

	be_at(socket_of(fd)->host);
	return sys->send(poller, fd, &piece, 1, flags);
}

static inline ssize_t send_text(int fd, const char *text)
{
	return send_bytes(fd, text, strlen(text), 0);
}

static inline ssize_t receive(int fd, void *buffer, size_t bytes)
{
	be_at(socket_of(fd)->host);
	return sys->receive(poller, fd, buffer, bytes, 0);
}

static inline void expect_text(int fd, const char *text)
{
	char buffer[64] = "";

	wf_assert_result(receive(fd, buffer, sizeof buffer - 1), (long)strlen(text));
	ck_assert_str_eq(buffer, text);
}

static inline ssize_t receive_some(int fd)
{
	char buffer[64];

	return receive(fd, buffer, sizeof buffer);
}

static inline int accept_one(int fd)
{
	be_at(socket_of(fd)->host);
	return sys->accept(poller, fd);
}

static inline void close_one(int fd)
{
	be_at(socket_of(fd)->host);
	sys->close(poller, fd);
}

static inline int error_of(int fd)
{
	int error = -1;

	be_at(socket_of(fd)->host);
	wf_assert_result(sys->get_option(poller, fd, SOL_SOCKET, SO_ERROR, &error), 0);
	return error;
}

/* A connection from host 0 to host 1, which takes as long as it takes. */
static inline void connect_hosts(int *ret_client, int *ret_server)
{
	int listener = listen_at(1, 9);

	*ret_client = dial_host();
	for (int i = 0; i < 1000 && !level(*ret_client); i++)
		sleep_ms(1);
	ck_assert_int_eq(error_of(*ret_client), 0);
	*ret_server = accept_one(listener);
	ck_assert_int_ge(*ret_server, 0);
	close_one(listener);
}
