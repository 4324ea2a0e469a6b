/* SPDX-License-Identifier: MIT */
/* Programs compiled by the test, against the public headers and the library of this build. */
#pragma once

#include "examples/program.h"

#include <sys/stat.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SANITIZE "-fsanitize=thread"
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define SANITIZE "-fsanitize=address,undefined"
#endif
#ifndef SANITIZE
#define SANITIZE "-O1" /* nothing else */
#endif

/* The prefix is set by the build where it is for another machine, whose libraries need not be here
 * when the program runs. */
#ifdef WEFT_TOOL_PREFIX
#define LINK "-static"
#else
#define WEFT_TOOL_PREFIX ""
#define LINK "-pthread" /* which goes without saying */
#endif

/* The compilers that go with the one of this build: they share the runtime of the sanitizers. */
#ifdef __clang__
#define C_COMPILER "clang"
#define CXX_COMPILER "clang++"
#else
#define C_COMPILER WEFT_TOOL_PREFIX "gcc"
#define CXX_COMPILER WEFT_TOOL_PREFIX "g++"
#endif

/* The root of the source tree: the build remembers it. */
static inline const char *source_folder(void)
{
	static const char key[] = "CMAKE_HOME_DIRECTORY:INTERNAL=";
	static char line[1024];
	FILE *file = fopen(WEFT_BUILD_DIR "/CMakeCache.txt", "r");

	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof line, file)) {
		if (strncmp(line, key, sizeof key - 1) != 0)
			continue;
		line[strcspn(line, "\n")] = 0;
		(void)fclose(file); /* it was read only */
		return line + sizeof key - 1;
	}
	ck_abort_msg("%s is not in CMakeCache.txt", key);
	return NULL;
}

/* A folder for a program, and for its source text if it has no file. */
struct workshop {
	char folder[32];
	char source[64], program[64];
};

static inline void workshop_open(struct workshop *workshop)
{
	(void)strcpy(workshop->folder, "/tmp/weft-compile-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(workshop->folder));
	(void)snprintf(workshop->source, sizeof workshop->source, "%s/program.c", workshop->folder);
	(void)snprintf(workshop->program, sizeof workshop->program, "%s/program", workshop->folder);
}

static inline void workshop_close(struct workshop *workshop)
{
	(void)unlink(workshop->source);	 /* if there is one */
	(void)unlink(workshop->program); /* if it came to that */
	ck_assert_int_eq(rmdir(workshop->folder), 0);
}

/* Compiles two files and links them; fails with what the compiler says. */
static inline void workshop_compile_two(struct workshop *workshop, const char *compiler,
					const char *standard, const char *path, const char *other)
{
	static struct program run;
	char include[1100];

	(void)snprintf(include, sizeof include, "-I%s/include", source_folder());
	program_run(&run, (const char *const[]){ compiler, standard, "-Wall", "-Wextra", "-Werror",
						 SANITIZE, include, path, other,
						 WEFT_BUILD_DIR "/libweft.a", WEFT_ENGINE_LIBRARY,
						 "-pthread", LINK, "-o", workshop->program, NULL });
	if (run.status == 127) {
		workshop_close(workshop);
		wf_skip("the compiler is missing");
	}
	if (run.status != 0)
		ck_abort_msg("%s: %s", path, run.errors);
}

/* The same for one file. */
static inline void workshop_compile(struct workshop *workshop, const char *compiler,
				    const char *standard, const char *path)
{
	workshop_compile_two(workshop, compiler, standard, path, "-pthread");
}

/* The same for a text in C. */
static inline void workshop_compile_text(struct workshop *workshop, const char *text)
{
	FILE *file = fopen(workshop->source, "w");

	ck_assert_ptr_nonnull(file);
	ck_assert_int_ge(fputs(text, file), 0);
	ck_assert_int_eq(fclose(file), 0);
	workshop_compile(workshop, C_COMPILER, "-std=c11", workshop->source);
}
