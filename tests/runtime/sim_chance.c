/* SPDX-License-Identifier: MIT */
/* Mishaps, time, chance and order are as a scenario has them. */
#include "core/worker.h"
#include "runtime/pair.h"

/* ---- Mishaps --------------------------------------------------------------------------------- */

static void fail_second(struct weft_sim *sim)
{
	weft_sim_fail_nth(sim, client_host, WEFT_SIM_SOCKET, 2, -ENOBUFS);
}

static int dial_three_times(void *arg)
{
	struct weft_conn *conn;

	(void)arg;
	weft_close(dial());
	weft_always(weft_dial("10.0.0.1:80", &conn) == -ENOBUFS, "the second one fails");
	weft_close(dial());
	return 0;
}

/* The operation of that number fails, and no other. */
WF_TEST(nth_operation_fails)
{
	EXPECT_SOUND(dial_three_times, fail_second);
}

static void fail_second_of_all(struct weft_sim *sim)
{
	weft_sim_fail_nth(sim, NULL, WEFT_SIM_CONNECT, 2, -ENOBUFS);
}

/* Without a host it is the operation of that number on any of them. */
WF_TEST(nth_operation_of_any_host_fails)
{
	EXPECT_SOUND(dial_three_times, fail_second_of_all);
}

static void fail_from_second(struct weft_sim *sim)
{
	weft_sim_fail_from(sim, client_host, WEFT_SIM_SOCKET, 2, -ENOBUFS);
}

static int dial_once_only(void *arg)
{
	struct weft_conn *conn;

	(void)arg;
	weft_close(dial());
	for (int i = 0; i < 3; i++)
		weft_always(weft_dial("10.0.0.1:80", &conn) == -ENOBUFS, "all others fail");
	return 0;
}

/* All operations from that number on fail. */
WF_TEST(operations_fail_from_a_number_on)
{
	EXPECT_SOUND(dial_once_only, fail_from_second);
}

static void break_for_good(struct weft_sim *sim)
{
	weft_sim_cut_during(sim, client_host, server_host, WEFT_SECOND, 3600 * WEFT_SECOND);
	weft_sim_cut_during(sim, server_host, client_host, 11 * WEFT_SECOND, 3600 * WEFT_SECOND);
	weft_sim_fail_from(sim, client_host, WEFT_SIM_LISTEN, 1, -EADDRINUSE);
	weft_sim_run_for(sim, 10 * WEFT_SECOND, 10 * WEFT_SECOND);
}

static int insist(void *arg)
{
	struct weft_conn *conn = dial();
	struct weft_listener *listener;

	(void)arg;
	wf_assert_result(weft_sleep(2 * WEFT_SECOND), 0);
	weft_always(ping(conn) > 0 && passed() >= 10 * WEFT_SECOND,
		    "the link is healed at the end");
	wf_assert_result(weft_sleep(2 * WEFT_SECOND), 0);
	weft_always(ping(conn) > 0 && passed() < 14 * WEFT_SECOND, "and not cut again");
	weft_close(conn);
	wf_assert_result(weft_listen("10.0.0.2:81", NULL, &listener),
			 0); /* nothing fails any more */
	weft_listener_close(listener);
	return 0;
}

/* At the end of a run links are healed, and nothing fails any more. */
WF_TEST(everything_is_healed_at_the_end)
{
	EXPECT_SOUND(insist, break_for_good);
}

static int look_at_memory(void *arg)
{
	unsigned char *fresh = wf_memory_new(&wf_worker->memory, 100), *grown;

	(void)arg;
	for (int i = 0; i < 100; i++)
		weft_always(fresh[i] == 0xa5, "fresh memory is filled");
	grown = wf_memory_resize(&wf_worker->memory, fresh, 100, 200);
	weft_always(grown != fresh, "what grows moves");
	for (int i = 0; i < 200; i++)
		weft_always(grown[i] == 0xa5,
			    "what was there is still there, and the rest is filled");
	wf_memory_free(&wf_worker->memory, grown, 200);
	return 0;
}

/* Memory that nobody has written holds what nobody takes for data. */
WF_TEST(fresh_memory_is_filled)
{
	EXPECT_SOUND(look_at_memory, NULL);
}

/* ---- Time, chance, checks -------------------------------------------------------------------- */

static int choices[3];

static int choose(void *arg)
{
	for (int i = 0; i < 100; i++) {
		uint64_t chosen = weft_sim_choose(arg, 5, 7);

		weft_always(chosen >= 5 && chosen <= 7, "a choice is within its bounds");
		choices[chosen - 5]++;
	}
	weft_always(choices[0] && choices[1] && choices[2], "everything is chosen");
	weft_always(weft_sim_choose(arg, 3, 3) == 3, "there is no choice but one");
	return 0;
}

/* A choice keeps within its bounds, and both belong to it. */
WF_TEST(choice_is_within_bounds)
{
	EXPECT_SOUND(choose, NULL);
}

static uint64_t checked;

static void count_check(struct weft_sim *sim, void *arg)
{
	static weft_time last;

	(void)arg;
	weft_always(checked == 0 || weft_sim_now(sim) > last, "time goes on from step to step");
	last = weft_sim_now(sim);
	checked++;
}

static void check_steps(struct weft_sim *sim)
{
	checked = 0;
	weft_sim_check(sim, count_check, NULL);
}

static int yield_often(void *arg)
{
	uint64_t before = checked;

	(void)arg;
	for (int i = 0; i < 10; i++)
		wf_assert_result(weft_yield(), 0);
	weft_always(checked >= before + 10, "each step is checked");
	return 0;
}

/* A check is called after each step. */
WF_TEST(each_step_is_checked)
{
	EXPECT_SOUND(yield_often, check_steps);
}

static void reject_steps(struct weft_sim *sim, void *arg)
{
	(void)sim, (void)arg;
	weft_always(false, "a check speaks");
}

static void check_and_fail(struct weft_sim *sim)
{
	weft_sim_check(sim, reject_steps, NULL);
}

/* A check fails the run at the step after which it does not hold. */
WF_TEST(check_fails_the_run)
{
	client = yield_often;
	arrange = check_and_fail;
	(void)expect(pair, "--seeds 1", 1, "seed=1 step=1 ");
	(void)expect(pair, "--seeds 1", 1, "always: a check speaks");
}

/* The programs run by the strategy of the scenario; without one the seed takes it. */
static char order[64];

static int note(void *letter)
{
	strncat(order, letter, 1);
	return 0;
}

static int spawn_four(void *arg)
{
	static char letters[] = "abcd";
	struct weft_scope scope;

	(void)arg;
	order[0] = 0;
	weft_scope_open(&scope);
	for (int i = 0; i < 4; i++)
		wf_assert_result(weft_spawn(&scope, note, &letters[i]), 0);
	wf_assert_result(weft_scope_close(&scope), 0);
	weft_always(strcmp(order, "abcd") == 0, "first come, first served");
	return 0;
}

static void in_order(struct weft_sim *sim)
{
	weft_sim_strategy(sim, WEFT_SIM_FIFO);
}

static void at_random(struct weft_sim *sim)
{
	weft_sim_strategy(sim, WEFT_SIM_RANDOM);
}

static void by_priority(struct weft_sim *sim)
{
	weft_sim_strategy(sim, WEFT_SIM_PCT);
}

/* The strategy decides who runs, and without one the seed decides which it is. */
WF_TEST(strategy_is_obeyed)
{
	EXPECT_SOUND(spawn_four, in_order);
	arrange = at_random;
	(void)expect(pair, "--seeds 1..20", 1, "first come, first served");
	arrange = by_priority;
	(void)expect(pair, "--seeds 1..20", 1, "first come, first served");
	arrange = NULL;
	(void)expect(pair, "--seeds 1..40", 1, "first come, first served");
}

static int runs;

static int run_thrice(void *arg)
{
	(void)arg;
	for (int i = 0; i < 3; i++, runs++)
		wf_assert_result(weft_yield(), 0);
	return 0;
}

/* Waits that need not wait, beside a task that wants to run. */
static int pass_events(int runs_expected)
{
	struct weft_event event = WEFT_EVENT_INIT;
	struct weft_scope scope;

	runs = 0;
	weft_event_set(&event);
	weft_scope_open(&scope);
	wf_assert_result(weft_spawn(&scope, run_thrice, NULL), 0);
	for (int i = 0; i < 10; i++)
		wf_assert_result(weft_event_wait(&event), 0);
	weft_always(runs == runs_expected, "the other one ran as often as it should");
	return weft_scope_close(&scope);
}

static int pass_quickly(void *arg)
{
	(void)arg;
	return pass_events(0);
}

static int pass_in_turn(void *arg)
{
	(void)arg;
	return pass_events(3);
}

static void give_no_credit(struct weft_sim *sim)
{
	weft_sim_strategy(sim, WEFT_SIM_FIFO);
	weft_sim_credit(sim, 1);
}

/* A task does as many operations in a row as the scenario has it. */
WF_TEST(credit_is_kept)
{
	EXPECT_SOUND(pass_quickly, in_order);
	EXPECT_SOUND(pass_in_turn, give_no_credit);
}

WF_MAIN("runtime/sim_chance")
