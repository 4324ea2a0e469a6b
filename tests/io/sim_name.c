/* SPDX-License-Identifier: MIT */
/* Where sockets of the simulated network are found, and how long it takes to connect to them. */
#include "io/world.h"

#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/time.h>

/* Waits until a connect has ended; returns SO_ERROR. */
static int wait_for(int fd)
{
	while (level(fd) == 0)
		sleep_ms(1);
	return error_of(fd);
}

/* Sleeping is never short, and at most a tick of the wheel too long. */
static void expect_duration(int64_t start_ms, int64_t duration_ms)
{
	ck_assert_int_ge(now_ms() - start_ms, duration_ms);
	ck_assert_int_le(now_ms() - start_ms, duration_ms + 2 + duration_ms / 50);
}

/* ---- Connecting ------------------------------------------------------------------------------ */

/* Connecting takes a round trip, and so does being refused. */
SIM_TEST(round_trips)
{
	int64_t start = now_ms();
	int c;

	add_host(latency_ms(100));
	c = dial_host();
	ck_assert_int_eq(wait_for(c), ECONNREFUSED);
	expect_duration(start, 200);
	(void)listen_at(1, 9);
	start = now_ms();
	c = dial_host();
	ck_assert_int_eq(wait_for(c), 0);
	expect_duration(start, 200);
}

/* There is no way out of the simulation; a host that it might have is looked for. */
SIM_TEST(no_such_host)
{
	int64_t start = now_ms();
	int c = open_at(0);

	wf_assert_result(dial_to(c, "192.168.0.1", PORT), -ENETUNREACH);
	wf_assert_result(dial_to(c, "10.9.9.9", PORT), -EINPROGRESS);
	ck_assert_int_eq(wait_for(c), EHOSTUNREACH);
	expect_duration(start, 3000);
}

/* Without an answer a connect fails after 127 s, which pass in no time. */
SIM_TEST(no_answer)
{
	int64_t start = now_ms();
	struct timeval before, after;
	int c;

	add_host(latency_ms(10));
	(void)listen_at(1, 9);
	wf_sim_net_cut(world, 0, 1);
	gettimeofday(&before, NULL);
	c = dial_host();
	while (level(c) == 0)
		sleep_ms(100);
	gettimeofday(&after, NULL);
	ck_assert_int_eq(error_of(c), ETIMEDOUT);
	expect_duration(start, 127000);
	ck_assert_int_le(after.tv_sec - before.tv_sec, 5);
}

/* The same where the answer cannot come back; who accepted it hears of it when it sends. */
SIM_TEST(answer_is_held)
{
	int64_t start = now_ms();
	int c, s, listener;

	add_host(latency_ms(10));
	listener = listen_at(1, 9);
	wf_sim_net_cut(world, 1, 0);
	c = dial_host();
	while (level(c) == 0)
		sleep_ms(100);
	ck_assert_int_eq(error_of(c), ETIMEDOUT);
	expect_duration(start, 127000);
	s = accept_one(listener);
	wf_assert_result(receive_some(s), -EAGAIN);
	wf_sim_net_heal(world, 1, 0);
	sleep_ms(21);
	wf_assert_result(receive_some(s), -ECONNRESET);
}

/* A SYN that was lost is sent again, after 1, 2 and 4 seconds. */
SIM_TEST(lost_syns)
{
	int64_t start = now_ms();
	int c;

	add_host(latency_ms(10));
	(void)listen_at(1, 9);
	wf_sim_net_cut(world, 0, 1);
	c = dial_host();
	sleep_ms(4000);
	wf_sim_net_heal(world, 0, 1);
	ck_assert_int_eq(wait_for(c), 0);
	expect_duration(start, 7020);
}

/* A full backlog answers nothing, until somebody accepts. */
SIM_TEST(full_backlog)
{
	int64_t start = now_ms();
	int first, second, listener;

	add_host(latency_ms(10));
	listener = listen_at(1, 0);
	first = dial_host();
	second = dial_host();
	sleep_ms(500);
	ck_assert_uint_eq(level(first), EPOLLOUT);
	ck_assert_uint_eq(level(second), 0);
	ck_assert_int_ge(accept_one(listener), 0);
	wf_assert_result(accept_one(listener), -EAGAIN);
	ck_assert_int_eq(wait_for(second), 0);
	expect_duration(start, 1020);
}

/* A socket that is closed while it connects leaves nothing at the other end that could be used. */
SIM_TEST(closed_while_connecting)
{
	int c, s, listener;

	add_host(latency_ms(10));
	listener = listen_at(1, 9);
	close_one(dial_host()); /* before the SYN is there */
	sleep_ms(50);
	wf_assert_result(accept_one(listener), -EAGAIN);
	c = dial_host();
	sleep_ms(15);
	close_one(c);
	s = accept_one(listener);
	sleep_ms(20);
	wf_assert_result(receive_some(s), -ECONNRESET);
}

/* A socket that failed to connect may try again. */
SIM_TEST(second_attempt)
{
	int c;

	add_host(latency_ms(10));
	c = dial_host();
	ck_assert_int_eq(wait_for(c), ECONNREFUSED);
	(void)listen_at(1, 9);
	be_at(0);
	wf_assert_result(dial_to(c, "10.0.0.2", PORT), -ECONNABORTED);
	wf_assert_result(dial_to(c, "10.0.0.2", PORT), -EINPROGRESS);
	ck_assert_int_eq(wait_for(c), 0);
}

/* A deferred connection is accepted when its first bytes are there, or after its time. */
SIM_TEST(deferred)
{
	int c, listener;

	listener = listen_at(0, 9);
	wf_assert_result(sys->set_option(poller, listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, 2), 0);
	c = open_at(0);
	wf_assert_result(dial_to(c, "127.0.0.1", PORT), -EINPROGRESS);
	ck_assert_int_eq(error_of(c), 0);
	wf_assert_result(accept_one(listener), -EAGAIN);
	wf_assert_result(send_text(c, "abc"), 3);
	expect_text(accept_one(listener), "abc");
	c = open_at(0);
	wf_assert_result(dial_to(c, "127.0.0.1", PORT), -EINPROGRESS);
	sleep_ms(1990);
	wf_assert_result(accept_one(listener), -EAGAIN);
	sleep_ms(20);
	ck_assert_int_ge(accept_one(listener), 0);
	c = open_at(0);
	wf_assert_result(dial_to(c, "127.0.0.1", PORT), -EINPROGRESS);
	close_one(listener);
	wf_assert_result(receive_some(c), -ECONNRESET);
}

/* ---- Addresses ------------------------------------------------------------------------------- */

static void expect_name(int fd, bool of_peer, const char *text)
{
	char found[INET6_ADDRSTRLEN];
	struct sockaddr_storage name;
	socklen_t length;
	const void *address = &((struct sockaddr_in *)&name)->sin_addr;

	be_at(socket_of(fd)->host);
	wf_assert_result(sys->name(poller, fd, of_peer, &name, &length), 0);
	if (name.ss_family == AF_INET6)
		address = &((struct sockaddr_in6 *)&name)->sin6_addr;
	ck_assert_ptr_nonnull(inet_ntop(name.ss_family, address, found, sizeof found));
	ck_assert_str_eq(found, text);
}

/* Each end knows both addresses. */
SIM_TEST(names_of_both_ends)
{
	int c, s;

	add_host(latency_ms(10));
	connect_hosts(&c, &s);
	expect_name(c, false, "10.0.0.1");
	expect_name(c, true, "10.0.0.2");
	expect_name(s, false, "10.0.0.2");
	expect_name(s, true, "10.0.0.1");
}

/* IPv6 addresses are fd00:: with the IPv4 address in the last place. */
SIM_TEST(ipv6_between_hosts)
{
	struct weft_listener *listener;
	struct weft_conn *conn, *accepted;

	add_host(latency_ms(10));
	be_at(1);
	wf_assert_result(weft_listen("[::]:80", NULL, &listener), 0);
	be_at(0);
	wf_assert_result(weft_dial("[fd00::10.0.0.2]:80", &conn), 0);
	expect_name(weft_conn_fd(conn), false, "fd00::a00:1");
	expect_name(weft_conn_fd(conn), true, "fd00::a00:2");
	be_at(1);
	wf_assert_result(weft_accept(listener, &accepted), 0);
	weft_listener_close(listener);
	weft_close(accepted);
	be_at(0);
	weft_close(conn);
}

static int bind_to(int fd, const char *ipv4)
{
	struct sockaddr_in address = address_of(ipv4, PORT);

	return sys->bind(poller, fd, (struct sockaddr *)&address, sizeof address);
}

/* An address is bound on the host that has it; the loopback ones, on each. */
SIM_TEST(addresses_of_hosts)
{
	add_host(latency_ms(10));
	wf_assert_result(bind_to(open_at(0), "10.0.0.2"), -EADDRNOTAVAIL);
	wf_assert_result(bind_to(open_at(1), "10.0.0.2"), 0);
	wf_assert_result(bind_to(open_at(0), "127.0.0.1"), 0);
	wf_assert_result(bind_to(open_at(1), "127.0.0.1"), 0);
	wf_assert_result(bind_to(open_at(1), "0.0.0.0"), -EADDRINUSE);
	wf_assert_result(bind_to(open_at(1), "127.0.0.2"), 0);
}

/* Of two listeners, the one for just that address is found; of those that share one, each in turn. */
SIM_TEST(which_listener)
{
	int any = open_at(0), loopback = open_at(0), shared[2], c;

	wf_assert_result(sys->set_option(poller, any, SOL_SOCKET, SO_REUSEPORT, 1), 0);
	wf_assert_result(bind_to(any, "0.0.0.0"), 0);
	wf_assert_result(sys->listen(poller, any, 9), 0);
	wf_assert_result(sys->set_option(poller, loopback, SOL_SOCKET, SO_REUSEPORT, 1), 0);
	wf_assert_result(bind_to(loopback, "127.0.0.1"), 0);
	for (int i = 0; i < 2; i++) {
		shared[i] = open_at(0);
		wf_assert_result(sys->set_option(poller, shared[i], SOL_SOCKET, SO_REUSEPORT, 1),
				 0);
		wf_assert_result(bind_to(shared[i], "10.0.0.1"), 0);
		wf_assert_result(sys->listen(poller, shared[i], 9), 0);
	}
	wf_assert_result(sys->listen(poller, loopback, 9), 0);
	for (int i = 0; i < 4; i++) {
		c = open_at(0);
		wf_assert_result(dial_to(c, "10.0.0.1", PORT), -EINPROGRESS);
	}
	ck_assert_uint_eq(socket_of(shared[0])->queued, 2);
	ck_assert_uint_eq(socket_of(shared[1])->queued, 2);
	c = open_at(0);
	wf_assert_result(dial_to(c, "127.0.0.1", PORT), -EINPROGRESS);
	ck_assert_uint_eq(socket_of(loopback)->queued, 1);
	c = open_at(0);
	wf_assert_result(dial_to(c, "127.0.0.9", PORT), -EINPROGRESS);
	ck_assert_uint_eq(socket_of(any)->queued, 1);
}

/* ---- Ports ----------------------------------------------------------------------------------- */

/* There are so many ports for connections out; one whose end closed first rests for a minute. */
SIM_TEST(ports_run_out)
{
	int listener, a, b;

	world->net.hosts[0].port_last = world->net.hosts[0].port_first + 1;
	listener = listen_at(0, 9);
	a = open_at(0);
	wf_assert_result(dial_to(a, "127.0.0.1", PORT), -EINPROGRESS);
	b = open_at(0);
	wf_assert_result(dial_to(b, "127.0.0.1", PORT), -EINPROGRESS);
	wf_assert_result(dial_to(open_at(0), "127.0.0.1", PORT), -EADDRNOTAVAIL);
	close_one(a); /* first */
	wf_assert_result(dial_to(open_at(0), "127.0.0.1", PORT), -EADDRNOTAVAIL);
	close_one(accept_one(listener));
	close_one(accept_one(listener)); /* the peer of b */
	close_one(b);
	wf_assert_result(dial_to(open_at(0), "127.0.0.1", PORT), -EINPROGRESS);
	sleep_ms(59990);
	wf_assert_result(dial_to(open_at(0), "127.0.0.1", PORT), -EADDRNOTAVAIL);
	sleep_ms(20);
	wf_assert_result(dial_to(open_at(0), "127.0.0.1", PORT), -EINPROGRESS);
}

/* A connect that fails, and a listener on any port, give theirs back. */
SIM_TEST(ports_come_back)
{
	struct sockaddr_in any = address_of("0.0.0.0", 0);

	world->net.hosts[0].port_last = world->net.hosts[0].port_first;
	for (int i = 0; i < 3; i++) {
		int fd = open_at(0);

		wf_assert_result(dial_to(fd, "127.0.0.1", PORT), -EINPROGRESS);
		ck_assert_int_eq(error_of(fd), ECONNREFUSED);
		fd = open_at(0);
		wf_assert_result(sys->bind(poller, fd, (struct sockaddr *)&any, sizeof any), 0);
		close_one(fd);
	}
}

/* A port that two addresses share is free when both are. */
SIM_TEST(shared_port)
{
	struct sockaddr_in address;
	int a = open_at(0), b = open_at(0), c = open_at(0);

	world->net.hosts[0].port_last = world->net.hosts[0].port_first;
	address = address_of("10.0.0.1", world->net.hosts[0].port_first);
	wf_assert_result(sys->bind(poller, a, (struct sockaddr *)&address, sizeof address), 0);
	address = address_of("127.0.0.1", world->net.hosts[0].port_first);
	wf_assert_result(sys->bind(poller, b, (struct sockaddr *)&address, sizeof address), 0);
	close_one(a);
	wf_assert_result(dial_to(c, "127.0.0.1", PORT), -EADDRNOTAVAIL);
	close_one(b);
	wf_assert_result(dial_to(c, "127.0.0.1", PORT), -EINPROGRESS);
}

/* ---- Paths ----------------------------------------------------------------------------------- */

/* A path is of one host; one that is left behind by a listener is replaced, another is not. */
SIM_TEST(paths)
{
	struct weft_listener *listener, *other;
	struct weft_conn *conn;
	struct stat status;
	ino_t first;

	add_host(latency_ms(10));
	be_at(0);
	wf_assert_result(weft_listen("unix:/run/socket", NULL, &listener), 0);
	wf_assert_result(weft_listen("unix:/run/socket", NULL, &other), -EADDRINUSE);
	wf_assert_result(sys->stat_path(poller, "/run/socket", &status), 0);
	first = status.st_ino;
	be_at(1);
	wf_assert_result(sys->stat_path(poller, "/run/socket", &status), -ENOENT);
	wf_assert_result(weft_dial("unix:/run/socket", &conn), -ENOENT);
	wf_assert_result(weft_listen("unix:/run/socket", NULL, &other), 0);
	wf_assert_result(sys->stat_path(poller, "/run/socket", &status), 0);
	ck_assert_uint_ne(status.st_ino, first);
	weft_listener_close(other);
	wf_assert_result(sys->stat_path(poller, "/run/socket", &status), -ENOENT);
	be_at(0);
	wf_assert_result(weft_dial("unix:/run/socket", &conn), 0);
	weft_close(conn);
	weft_listener_close(listener);
}

WF_MAIN("io/sim_name")
