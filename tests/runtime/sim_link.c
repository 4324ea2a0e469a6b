/* SPDX-License-Identifier: MIT */
/* The links between hosts are as a scenario has them. */
#include "runtime/pair.h"
#include "runtime/trial.h"

static int ping_in_two(void *arg)
{
	struct weft_conn *conn = dial();
	weft_time took = ping(conn);

	(void)arg;
	weft_always(took >= 2 * WEFT_MILLISECOND && took < 3 * WEFT_MILLISECOND,
		    "there and back takes two milliseconds");
	weft_close(conn);
	return 0;
}

/* A link has the latency that it was given. */
WF_TEST(link_has_its_latency)
{
	EXPECT_SOUND(ping_in_two, NULL);
}

static void keep_links(struct weft_sim *sim)
{
	weft_sim_strategy(sim, WEFT_SIM_FIFO);
	weft_sim_swarm(sim);
}

static int ping_or_fail(void *arg)
{
	struct weft_conn *conn;
	weft_time took;

	(void)arg;
	WEFT_DEADLINE(weft_after(10 * WEFT_SECOND)) {
		if (weft_sleep(10 * WEFT_MILLISECOND) < 0 || weft_dial("10.0.0.1:80", &conn) < 0)
			return 0;
		took = ping(conn);
		weft_always(took < 0 || took >= 2 * WEFT_MILLISECOND, "a set link is left alone");
		weft_close(conn);
	}
	return 0;
}

/* The swarm leaves a link alone that the scenario has set. */
WF_TEST(set_link_is_left_alone)
{
	EXPECT_SOUND(ping_or_fail, keep_links);
}

static int ping_through_partition(void *arg)
{
	struct weft_conn *conn = dial();
	weft_time took;

	weft_sim_partition(arg, client_host, server_host);
	WEFT_DEADLINE(weft_after(WEFT_SECOND))
		weft_always(ping(conn) == WEFT_EDEADLINE, "nothing comes through a partition");
	weft_sim_rejoin(arg, client_host, server_host);
	took = ping(conn);
	weft_always(took > 0 && took < WEFT_SECOND, "everything comes when it is healed");
	weft_close(conn);
	return 0;
}

/* What is sent during a partition comes when it is healed. */
WF_TEST(partition_holds_what_is_sent)
{
	EXPECT_SOUND(ping_through_partition, NULL);
}

static void cut_one_way(struct weft_sim *sim)
{
	weft_sim_cut_during(sim, server_host, client_host, WEFT_SECOND, 3 * WEFT_SECOND);
}

static int ping_through_cut(void *arg)
{
	struct weft_conn *conn = dial();
	weft_time took;

	(void)arg;
	wf_assert_result(weft_sleep(2 * WEFT_SECOND - passed()), 0);
	took = ping(conn);
	weft_always(took >= WEFT_SECOND && passed() < 4 * WEFT_SECOND, "a cut lasts to its end");
	weft_close(conn);
	return 0;
}

/* A cut that was planned begins and ends at its times, and has one direction. */
WF_TEST(planned_cut_has_an_end)
{
	EXPECT_SOUND(ping_through_cut, cut_one_way);
}

static int ping_in_vain(void *arg)
{
	struct weft_conn *conn = dial();

	(void)arg;
	wf_assert_result(weft_sleep(4 * WEFT_SECOND - passed()), 0);
	WEFT_DEADLINE(weft_after(3 * WEFT_SECOND))
		weft_always(ping(conn) == WEFT_EDEADLINE, "the link is still cut");
	weft_close(conn);
	return 0;
}

static void cut_twice(struct weft_sim *sim)
{
	weft_sim_cut_during(sim, client_host, server_host, WEFT_SECOND, 3 * WEFT_SECOND);
	weft_sim_cut_during(sim, client_host, server_host, 2 * WEFT_SECOND, 10 * WEFT_SECOND);
}

static void cut_there(struct weft_sim *sim, void *arg)
{
	(void)arg;
	weft_sim_cut(sim, client_host, server_host);
}

static void cut_by_hand_too(struct weft_sim *sim)
{
	weft_sim_cut_during(sim, client_host, server_host, WEFT_SECOND, 3 * WEFT_SECOND);
	weft_sim_at(sim, 2 * WEFT_SECOND, cut_there, NULL);
}

static void cut_without_end(struct weft_sim *sim)
{
	weft_sim_cut_during(sim, client_host, server_host, WEFT_SECOND, WEFT_FOREVER);
}

/* The end of one cut leaves another one as it is, and one without an end lasts. */
WF_TEST(overlapping_cuts_last)
{
	EXPECT_SOUND(ping_in_vain, cut_twice);
	EXPECT_SOUND(ping_in_vain, cut_by_hand_too);
	EXPECT_SOUND(ping_in_vain, cut_without_end);
}

static void heal_there(struct weft_sim *sim, void *arg)
{
	(void)arg;
	weft_sim_heal(sim, client_host, server_host);
}

static void heal_by_hand(struct weft_sim *sim)
{
	cut_by_hand_too(sim);
	weft_sim_at(sim, 2 * WEFT_SECOND + 1, heal_there, NULL);
	weft_sim_cut_during(sim, client_host, server_host, 2500 * WEFT_MILLISECOND,
			    5 * WEFT_SECOND);
}

static int ping_between_cuts(void *arg)
{
	struct weft_conn *conn = dial();
	weft_time took;

	(void)arg;
	wf_assert_result(weft_sleep(2100 * WEFT_MILLISECOND - passed()), 0);
	took = ping(conn);
	weft_always(took > 0 && took < 10 * WEFT_MILLISECOND, "a link that is healed is whole");
	wf_assert_result(weft_sleep(4 * WEFT_SECOND - passed()), 0);
	took = ping(conn);
	weft_always(took > 0 && passed() > 5 * WEFT_SECOND,
		    "the end of a healed cut ends no other");
	weft_close(conn);
	return 0;
}

/* Who heals a link ends all its cuts, and none that begins later. */
WF_TEST(heal_ends_all_cuts)
{
	EXPECT_SOUND(ping_between_cuts, heal_by_hand);
}

static void hurry(struct weft_sim *sim)
{
	static const struct weft_sim_link link = { .latency_max_ns = 20 * WEFT_MICROSECOND };

	weft_sim_link_set(sim, NULL, NULL, &link);
}

static int ping_in_a_hurry(void *arg)
{
	struct weft_conn *conn = dial();

	(void)arg;
	weft_always(ping(conn) < 60 * WEFT_MICROSECOND,
		    "there and back takes 40 us and some steps");
	weft_close(conn);
	return 0;
}

/* A maximum beneath the default of the minimum is kept. */
WF_TEST(short_latency_is_kept)
{
	EXPECT_SOUND(ping_in_a_hurry, hurry);
}

static struct wf_sim_link link_of(const struct weft_sim_link *link)
{
	static struct weft_sim sim; /* too large for a small stack */
	struct wf_case what = { .seed = 1 };
	struct wf_outcome outcome;
	struct wf_sim_link set;

	client = serve;
	arrange = NULL;
	wf_world_init(&sim, &what, &outcome);
	pair(&sim);
	weft_sim_link_set(&sim, client_host, NULL, link);
	set = *wf_sim_net_link(&sim.world->net, client_host->number, server_host->number);
	wf_world_done(&sim);
	return set;
}

/* Each field of a link reaches the simulator; those that are 0 are the defaults, which keep to the others. */
WF_TEST(links_are_passed_on)
{
	struct wf_sim_link link = link_of(&(struct weft_sim_link){ 10, 20, 30, 40, 50, 60 });

	ck_assert_int_eq(link.latency_min_ns, 10);
	ck_assert_int_eq(link.latency_max_ns, 20);
	ck_assert_uint_eq(link.bandwidth_bytes, 30);
	ck_assert_uint_eq(link.segment_min, 40);
	ck_assert_uint_eq(link.segment_max, 50);
	ck_assert_uint_eq(link.capacity_bytes, 60);
	link = link_of(&(struct weft_sim_link){ 0 });
	ck_assert_int_eq(link.latency_min_ns, 100 * WEFT_MICROSECOND);
	ck_assert_int_eq(link.latency_max_ns, 2 * WEFT_MILLISECOND);
	ck_assert_uint_eq(link.segment_min, 1);
	ck_assert_uint_eq(link.segment_max, 1460);
	link = link_of(
		&(struct weft_sim_link){ .latency_min_ns = WEFT_SECOND, .segment_min = 2000 });
	ck_assert_int_eq(link.latency_max_ns, WEFT_SECOND);
	ck_assert_uint_eq(link.segment_max, 2000);
}

static void reset_soon(struct weft_sim *sim)
{
	weft_sim_reset_at(sim, client_host, server_host, WEFT_SECOND);
}

static int ping_until_reset(void *arg)
{
	struct weft_conn *conn = dial();
	char byte;

	(void)arg;
	weft_always(weft_read(conn, &byte, 1) == -ECONNRESET, "the connection is reset");
	weft_always(passed() >= WEFT_SECOND && passed() < 2 * WEFT_SECOND, "at its time");
	weft_close(conn);
	return 0;
}

/* A reset that was planned reaches those who wait. */
WF_TEST(planned_reset_comes)
{
	EXPECT_SOUND(ping_until_reset, reset_soon);
}

static void reset_harshly(struct weft_sim *sim)
{
	weft_sim_harsh_resets(sim, true);
}

/* Has the answer come, and resets the connection before it is read. */
static int read_after_reset(void *arg, int expected)
{
	struct weft_conn *conn = dial();
	char bytes[4];

	wf_assert_result(weft_write(conn, "ping", 4, NULL), 0);
	wf_assert_result(weft_sleep(100 * WEFT_MILLISECOND), 0);
	weft_sim_reset(arg, client_host, server_host);
	wf_assert_result(weft_sleep(100 * WEFT_MILLISECOND), 0);
	weft_always(weft_read(conn, bytes, 4) == expected, "unread input is what it should be");
	weft_close(conn);
	return 0;
}

static int read_the_answer(void *arg)
{
	return read_after_reset(arg, 4);
}

static int read_the_reset(void *arg)
{
	return read_after_reset(arg, -ECONNRESET);
}

/* A reset leaves what has come unread, unless it is a harsh one. */
WF_TEST(harsh_reset_takes_unread_input)
{
	EXPECT_SOUND(read_the_answer, NULL);
	EXPECT_SOUND(read_the_reset, reset_harshly);
}

static void calm_down(struct weft_sim *sim, void *arg)
{
	(void)arg;
	weft_sim_calm(sim);
}

static void calm_soon(struct weft_sim *sim)
{
	weft_sim_cut_during(sim, server_host, client_host, WEFT_SECOND, 50 * WEFT_SECOND);
	weft_sim_reset_at(sim, server_host, client_host, 12 * WEFT_SECOND);
	weft_sim_fail_from(sim, client_host, WEFT_SIM_SEND, 2, -ENOBUFS);
	weft_sim_at(sim, 10 * WEFT_SECOND, calm_down, NULL);
}

static int ping_before_and_after(void *arg)
{
	struct weft_conn *conn = dial();

	(void)arg;
	weft_always(ping(conn) > 0, "at first all is well");
	weft_always(ping(conn) == -ENOBUFS, "then every send fails");
	wf_assert_result(weft_sleep(11 * WEFT_SECOND - passed()), 0);
	weft_always(ping(conn) > 0, "in a calm world nothing fails, and no link is cut");
	wf_assert_result(weft_sleep(13 * WEFT_SECOND - passed()), 0);
	weft_always(ping(conn) > 0, "what was planned for later does not happen");
	weft_close(conn);
	return 0;
}

/* In a calm world nothing goes wrong any more, while the programs go on. */
WF_TEST(calm_ends_all_mishaps)
{
	EXPECT_SOUND(ping_before_and_after, calm_soon);
}

WF_MAIN("runtime/sim_link")
