/* SPDX-License-Identifier: MIT */
/* The headers serve C++17: the programs beside this file compile, link and run. */
#include "examples/compile.h"

static void compile_neighbour(struct workshop *workshop, const char *name)
{
	char path[1200];

	(void)snprintf(path, sizeof path, "%s/tests/examples/%s", source_folder(), name);
	workshop_open(workshop);
	workshop_compile(workshop, CXX_COMPILER, "-std=c++17", path);
}

/* Scopes as objects, blocks with a deadline, spawning, and the objects that tasks wait for. */
WF_TEST(scopes_in_cxx)
{
	static struct program program;
	struct workshop workshop;

	compile_neighbour(&workshop, "scopes.cc");
	program_run(&program, (const char *const[]){ workshop.program, NULL });
	ck_assert_str_eq(program.errors, "");
	ck_assert_int_eq(program.status, 0);
	workshop_close(&workshop);
}

/* A server. */
WF_TEST(server_in_cxx)
{
	static struct program program;
	struct workshop workshop;
	int fd;

	compile_neighbour(&workshop, "server.cc");
	program_start(&program, (const char *const[]){ workshop.program, own_address(), NULL });
	fd = program_dial(own_address());
	peer_hear(fd, "hello");
	peer_hear_end(fd);
	peer_close(fd);
	program_signal(&program, SIGTERM);
	program_end(&program);
	ck_assert_int_eq(program.status, 0);
	workshop_close(&workshop);
}

WF_MAIN("examples/headers_cxx")
