/* SPDX-License-Identifier: MIT */
/* What travels in the simulated network: when it arrives, and what becomes of it where links are cut. */
#include "io/world.h"

#include "io/sim_socket.h"

#include <sys/time.h>

/* Bytes arrive after the latency of the link, and not before. */
SIM_TEST(latency)
{
	int c, s;

	add_host(latency_ms(10));
	connect_hosts(&c, &s);
	wf_assert_result(send_text(c, "abc"), 3);
	wf_assert_result(receive_some(s), -EAGAIN);
	sleep_ms(9);
	wf_assert_result(receive_some(s), -EAGAIN);
	ck_assert_uint_eq(level(s), EPOLLOUT);
	sleep_ms(2);
	ck_assert_uint_eq(level(s), EPOLLIN | EPOLLOUT);
	expect_text(s, "abc");
}

/* Whatever the latency and the size of each segment, bytes arrive in order, and a few at a time. */
SIM_TEST(segments_keep_their_order)
{
	struct wf_sim_link link = { .latency_min_ns = WEFT_MILLISECOND,
				    .latency_max_ns = 50 * WEFT_MILLISECOND,
				    .segment_min = 1,
				    .segment_max = 3 };
	char sent[1000], received[1000];
	ssize_t total = 0, pieces = 0;
	int c, s;

	add_host(link);
	connect_hosts(&c, &s);
	for (size_t i = 0; i < sizeof sent; i++)
		sent[i] = (char)i;
	wf_assert_result(send_bytes(c, sent, sizeof sent, 0), sizeof sent);
	for (int i = 0; i < 100000 && total < (ssize_t)sizeof sent; i++) {
		ssize_t n = receive(s, received + total, sizeof received - (size_t)total);

		quietly(n > 0 || n == -EAGAIN);
		total += n > 0 ? n : 0;
		pieces += n > 0;
		wf_assert_result(weft_sleep(20 * WEFT_MICROSECOND), 0);
	}
	ck_assert_mem_eq(received, sent, sizeof sent);
	ck_assert_int_ge(pieces, 3);
}

static int64_t flood_ends_ms;

static int read_all(void *arg)
{
	static char buffer[100000];
	struct weft_listener *listener = arg;
	struct weft_conn *conn;
	ssize_t n, total = 0;

	be_at(1);
	wf_assert_result(weft_accept(listener, &conn), 0);
	while ((n = weft_read(conn, buffer, sizeof buffer)) > 0)
		total += n;
	wf_assert_result(n, 0);
	ck_assert_int_eq(total, 1000000);
	flood_ends_ms = now_ms();
	weft_close(conn);
	return 0;
}

/* A megabyte takes a second where a megabyte fits through in a second: from task to task. */
SIM_TEST(bandwidth)
{
	static char megabyte[1000000];
	struct wf_sim_link link = { .bandwidth_bytes = 1000000, .segment_max = 1460 };
	struct weft_listener *listener;
	struct weft_scope scope;
	struct weft_conn *conn;
	int64_t start;

	add_host(link);
	be_at(1);
	wf_assert_result(weft_listen("0.0.0.0:80", NULL, &listener), 0);
	weft_scope_open(&scope);
	spawn(&scope, read_all, listener);
	be_at(0);
	wf_assert_result(weft_dial("10.0.0.2:80", &conn), 0);
	start = now_ms();
	wf_assert_result(weft_write(conn, megabyte, sizeof megabyte, NULL), 0);
	weft_close(conn);
	wf_assert_result(weft_scope_close(&scope), 0);
	ck_assert_int_ge(flood_ends_ms - start, 990);
	ck_assert_int_le(flood_ends_ms - start, 1010);
	be_at(1);
	weft_listener_close(listener);
}

static int write_200(void *conn)
{
	static const char bytes[200];

	return weft_write(conn, bytes, sizeof bytes, NULL);
}

/* A pipe takes what its link's capacity is; room is back when word of the reading has travelled. */
SIM_TEST(capacity)
{
	struct wf_sim_link link = latency_ms(10);
	char bytes[200];
	int c, s;

	link.capacity_bytes = 100;
	add_host(link);
	connect_hosts(&c, &s);
	wf_assert_result(send_bytes(c, bytes, sizeof bytes, 0), 100);
	wf_assert_result(send_text(c, "x"), -EAGAIN);
	sleep_ms(11);
	wf_assert_result(receive(s, bytes, 40), 40);
	sleep_ms(9);
	wf_assert_result(send_text(c, "x"), -EAGAIN);
	ck_assert_uint_eq(level(c), 0);
	sleep_ms(2);
	ck_assert_uint_eq(level(c), EPOLLOUT);
	wf_assert_result(send_bytes(c, bytes, sizeof bytes, 0), 40);
}

/* The end, and a reset, travel behind the data. */
SIM_TEST(ends_travel_behind)
{
	int c, s;

	add_host(latency_ms(10));
	connect_hosts(&c, &s);
	wf_assert_result(send_text(c, "abc"), 3);
	wf_assert_result(send_text(s, "xyz"), 3);
	be_at(0);
	wf_assert_result(sys->shutdown(poller, c), 0);
	sleep_ms(11);
	close_one(s); /* with unread input */
	expect_text(c, "xyz");
	wf_assert_result(receive_some(c), -EAGAIN);
	sleep_ms(11);
	wf_assert_result(receive_some(c), -ECONNRESET);
	wf_assert_result(receive_some(c), 0);
}

/* What is sent to an end that has closed takes a round trip to bring the reset back. */
SIM_TEST(late_data_brings_a_reset)
{
	int c, s;

	add_host(latency_ms(10));
	connect_hosts(&c, &s);
	close_one(s);
	wf_assert_result(send_text(c, "abc"), 3);
	sleep_ms(11);
	wf_assert_result(receive_some(c), 0);
	wf_assert_result(send_text(c, "abc"), 3);
	sleep_ms(10);
	wf_assert_result(send_text(c, "abc"), -EPIPE);
}

/* Unread input is lost to a reset only where the network is told to be harsh. */
SIM_TEST(harsh_resets)
{
	int c, s;

	add_host(latency_ms(10));
	world->net.harsh_resets = true;
	connect_hosts(&c, &s);
	wf_assert_result(send_text(c, "abc"), 3);
	wf_assert_result(send_text(s, "xyz"), 3);
	sleep_ms(11);
	close_one(s);
	sleep_ms(11);
	wf_assert_result(receive_some(c), -ECONNRESET);
}

/* Corked bytes are lost to a reset, and else leave after 200 ms. */
SIM_TEST(corks)
{
	int c, s;

	add_host(latency_ms(10));
	connect_hosts(&c, &s);
	wf_assert_result(send_bytes(c, "abc", 3, MSG_MORE), 3);
	sleep_ms(209);
	wf_assert_result(receive_some(s), -EAGAIN);
	sleep_ms(2);
	expect_text(s, "abc");
	wf_assert_result(send_text(s, "xyz"), 3);
	sleep_ms(11);
	wf_assert_result(send_bytes(c, "def", 3, MSG_MORE), 3);
	close_one(c);
	sleep_ms(11);
	wf_assert_result(receive_some(s), -ECONNRESET);
}

/* Both ends of the connections between two hosts see a reset that comes from between them. */
SIM_TEST(resets_from_outside)
{
	int c, s, x, y, fds[2];

	add_host(latency_ms(10));
	connect_hosts(&c, &s);
	connect_hosts(&x, &y);
	wf_assert_result(sys->socket_pair(poller, fds), 0);
	close_one(y);
	wf_sim_net_reset(world, 1, 0);
	wf_assert_result(receive_some(c), -ECONNRESET);
	wf_assert_result(receive_some(s), -ECONNRESET);
	wf_assert_result(receive_some(x), -ECONNRESET);
	wf_assert_result(receive_some(fds[0]), -EAGAIN);
}

/* A reset that finds the answer to a connect on the way has the connect fail, and leaves no half of it. */
SIM_TEST(reset_of_a_connect)
{
	int listener, c, s;

	add_host(latency_ms(10));
	listener = listen_at(1, 9);
	c = dial_host();
	sleep_ms(15);
	s = accept_one(listener);
	ck_assert_int_ge(s, 0);
	wf_sim_net_reset(world, 0, 1);
	ck_assert_int_eq(error_of(c), ECONNREFUSED);
	wf_assert_result(receive_some(s), -ECONNRESET);
	sleep_ms(100);
	wf_assert_result(receive_some(c), 0);
	c = dial_host(); /* nobody has answered this one yet */
	wf_sim_net_reset(world, 0, 1);
	sleep_ms(30);
	ck_assert_int_eq(level(c), EPOLLOUT);
}

/* ---- Links that are cut ------------------------------------------------------------------------ */

/* What comes to a cut is held, and arrives in order when it is healed, one latency later. */
SIM_TEST(held_and_healed)
{
	int c, s;

	add_host(latency_ms(10));
	connect_hosts(&c, &s);
	wf_assert_result(send_text(c, "a"), 1);
	wf_sim_net_cut(world, 0, 1);
	sleep_ms(5000);
	wf_assert_result(send_text(c, "b"), 1);
	sleep_ms(5000);
	wf_assert_result(send_text(c, "c"), 1);
	be_at(0);
	wf_assert_result(sys->shutdown(poller, c), 0);
	wf_assert_result(receive_some(s), -EAGAIN);
	wf_sim_net_heal(world, 0, 1);
	sleep_ms(9);
	wf_assert_result(receive_some(s), -EAGAIN);
	sleep_ms(2);
	expect_text(s, "abc");
	wf_assert_result(receive_some(s), 0);
}

/* A cut that is healed before anything comes to it changes nothing. */
SIM_TEST(short_cut)
{
	int c, s;

	add_host(latency_ms(10));
	connect_hosts(&c, &s);
	wf_assert_result(send_text(c, "a"), 1);
	wf_sim_net_cut(world, 0, 1);
	sleep_ms(5);
	wf_sim_net_heal(world, 0, 1);
	sleep_ms(6);
	expect_text(s, "a");
}

/* A link without latency is cut as any other. */
SIM_TEST(cut_of_an_instant_link)
{
	int c, s;

	add_host(latency_ms(0));
	connect_hosts(&c, &s);
	wf_sim_net_cut(world, 0, 1);
	wf_assert_result(send_text(c, "a"), 1);
	sleep_ms(1);
	wf_assert_result(receive_some(s), -EAGAIN);
	wf_sim_net_heal(world, 0, 1);
	sleep_ms(1);
	expect_text(s, "a");
}

/* Who sends into a cut gives up after 924 s, and takes next to none of the world's time for it. */
SIM_TEST(sender_gives_up)
{
	struct timeval before, after;
	int c, s;

	add_host(latency_ms(10));
	connect_hosts(&c, &s);
	wf_sim_net_cut(world, 0, 1);
	gettimeofday(&before, NULL);
	wf_assert_result(send_text(c, "a"), 1);
	sleep_ms(924000);
	wf_assert_result(receive_some(c), -EAGAIN);
	sleep_ms(20);
	ck_assert_uint_eq(level(c), EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP | EPOLLERR);
	wf_assert_result(receive_some(c), -ETIMEDOUT);
	wf_assert_result(send_text(c, "a"), -EPIPE);
	gettimeofday(&after, NULL);
	ck_assert_int_le(after.tv_sec - before.tv_sec, 5);
	/* The other end knows nothing of it, until it sends. */
	wf_sim_net_heal(world, 0, 1);
	sleep_ms(100);
	wf_assert_result(receive_some(s), -EAGAIN);
	wf_assert_result(send_text(s, "a"), 1);
	sleep_ms(21);
	wf_assert_result(receive_some(s), -ECONNRESET);
}

/* Where only the way back is cut, data arrives; but no room returns, and the sender gives up. */
SIM_TEST(one_way_cut)
{
	struct wf_sim_link link = latency_ms(10);
	int c, s;

	link.capacity_bytes = 3;
	add_host(link);
	connect_hosts(&c, &s);
	wf_sim_net_cut(world, 1, 0);
	wf_assert_result(send_text(c, "abc"), 3);
	sleep_ms(11);
	expect_text(s, "abc");
	sleep_ms(60000);
	wf_assert_result(send_text(c, "d"), -EAGAIN);
	sleep_ms(924000 - 60000 - 10);
	wf_assert_result(send_text(c, "d"), -EAGAIN);
	sleep_ms(20);
	wf_assert_result(send_text(c, "d"), -ETIMEDOUT);
	wf_assert_result(receive_some(s), -EAGAIN);
}

/* An acknowledgement that was held brings no room; who waits for some is told when there is. */
SIM_TEST(room_after_a_cut)
{
	struct wf_sim_link link = latency_ms(10);
	char bytes[100] = "";
	struct weft_conn *conn;
	struct weft_scope scope;
	int c, s;

	link.capacity_bytes = sizeof bytes;
	add_host(link);
	connect_hosts(&c, &s);
	be_at(0);
	wf_assert_result(weft_conn_from_fd(c, &conn), 0);
	weft_scope_open_until(&scope, weft_after(60 * WEFT_SECOND));
	wf_sim_net_cut(world, 1, 0);
	spawn(&scope, write_200, conn);
	sleep_ms(1000);
	wf_sim_net_heal(world, 1, 0);
	sleep_ms(1000);
	wf_assert_result(receive(s, bytes, sizeof bytes), sizeof bytes);
	sleep_ms(1000);
	wf_assert_result(receive(s, bytes, sizeof bytes), sizeof bytes);
	be_at(0);
	wf_assert_result(weft_scope_close(&scope), 0);
	weft_close(conn);
}

/* Nobody gives up because word of room is held, unless he has more to send than there is room for. */
SIM_TEST(word_of_room_is_held)
{
	struct wf_sim_link link = latency_ms(10);
	int c, s;

	link.capacity_bytes = 3;
	add_host(link);
	connect_hosts(&c, &s);
	wf_assert_result(send_text(c, "abc"), 3);
	sleep_ms(100);
	wf_sim_net_cut(world, 1, 0);
	expect_text(s, "abc");
	sleep_ms(2000000);
	wf_assert_result(send_text(c, "def"), -EAGAIN); /* and waits, from now on */
	sleep_ms(923000);
	wf_assert_result(send_text(c, "def"), -EAGAIN);
	sleep_ms(2000);
	wf_assert_result(send_text(c, "def"), -ETIMEDOUT);
}

/* Who starts to wait later gives up later; in the end a cut that stays leaves nothing to happen. */
SIM_TEST(each_gives_up_in_turn)
{
	int c, s;

	add_host(latency_ms(10));
	connect_hosts(&c, &s);
	wf_sim_net_cut(world, 1, 0);
	wf_assert_result(send_text(c, "abc"), 3);
	sleep_ms(500000);
	wf_assert_result(send_text(s, "xyz"), 3);
	sleep_ms(500000);
	wf_assert_result(receive_some(c), -ETIMEDOUT);
	expect_text(s, "abc");
	wf_assert_result(receive_some(s), -EAGAIN);
	sleep_ms(424100);
	wf_assert_result(receive_some(s), -ETIMEDOUT);
	ck_assert_uint_eq(world->event_count, 0);
}

/* Nobody gives up a connection on which nothing is said. */
SIM_TEST(silence_is_patient)
{
	int c, s;

	add_host(latency_ms(10));
	connect_hosts(&c, &s);
	wf_sim_net_cut(world, 1, 0);
	wf_sim_net_cut(world, 0, 1);
	sleep_ms(2000000);
	wf_sim_net_heal(world, 1, 0);
	wf_sim_net_heal(world, 0, 1);
	wf_assert_result(send_text(c, "abc"), 3);
	sleep_ms(11);
	expect_text(s, "abc");
}

WF_MAIN("io/sim_lane")
