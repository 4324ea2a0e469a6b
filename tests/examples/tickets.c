/* SPDX-License-Identifier: MIT */
/* The box office of docs/guide/05-testing.md: what the chapter says of it is so. */
#include "examples/compile.h"

static struct program program;

/* Compiles one of the two offices with its main function, or with its scenario. */
static void build(struct workshop *workshop, const char *office, const char *rest)
{
	static const char folder[] = "docs/guide/programs";
	char path[1200], other[1200];

	(void)snprintf(path, sizeof path, "%s/%s/%s", source_folder(), folder, office);
	(void)snprintf(other, sizeof other, "%s/%s/%s", source_folder(), folder, rest);
	workshop_open(workshop);
	workshop_compile_two(workshop, C_COMPILER, "-std=c11", path, other);
}

static void simulate(const char *office, const char *seeds)
{
	struct workshop workshop;

	build(&workshop, office, "tickets_sim.c");
	program_run(&program, (const char *const[]){ workshop.program, "--seeds", seeds, NULL });
	workshop_close(&workshop);
}

/* The first office sells a ticket twice, within the seeds that the chapter names. */
WF_TEST(simulator_finds_it)
{
	simulate("tickets_first.c", "1..1000");
	ck_assert_int_eq(program.status, 1);
	ck_assert_ptr_nonnull(strstr(program.output, "always: no ticket is sold twice"));
}

/* The corrected one does not, and its tickets are sold. */
WF_TEST(correction_holds)
{
	simulate("tickets.c", "1..2000");
	ck_assert_str_eq(program.errors, "");
	ck_assert_int_eq(program.status, 0);
}

enum { CUSTOMERS = 100, TICKETS = 5 };

/* All ask before the first of them looks for an answer; returns how many tickets they have got. */
static int buy_at_once(void)
{
	int fds[CUSTOMERS], sold = 0;
	bool owned[10] = { false };
	char answer[10];

	for (int i = 0; i < CUSTOMERS; i++)
		fds[i] = program_dial(own_address());
	for (int i = 0; i < CUSTOMERS; i++)
		peer_say(fds[i], "buy\n");
	for (int i = 0; i < CUSTOMERS; i++) {
		ck_assert_int_eq(peer_receive_all(fds[i], answer, 9), 9);
		answer[9] = 0;
		peer_close(fds[i]);
		if (strcmp(answer, "sold out\n") == 0)
			continue;
		ck_assert_int_eq(strncmp(answer, "ticket ", 7), 0);
		ck_assert(!owned[answer[7] - '0']);
		owned[answer[7] - '0'] = true;
		sold++;
	}
	return sold;
}

static void check_load(const char *office)
{
	struct workshop workshop;

	build(&workshop, office, "tickets_main.c");
	for (int i = 0; i < 5; i++) {
		program_start(&program,
			      (const char *const[]){ workshop.program, own_address(), NULL });
		ck_assert_int_eq(buy_at_once(), TICKETS);
		program_signal(&program, SIGINT);
		program_end(&program);
		ck_assert_int_eq(program.status, 0);
	}
	workshop_close(&workshop);
}

/* A hundred customers at once do not find it: as in production, nothing yields for a test. */
WF_TEST(load_does_not_find_it)
{
	ck_assert_int_eq(unsetenv("WEFT_YIELD_ALWAYS"), 0);
	check_load("tickets_first.c");
	check_load("tickets.c");
}

WF_MAIN("examples/tickets")
