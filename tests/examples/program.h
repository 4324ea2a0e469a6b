/* SPDX-License-Identifier: MIT */
/* Programs as child processes: started, talked to over the network, ended, and their output read. */
#pragma once

#include "net/peer.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

/* Set by the build where it is for another machine. */
#ifndef WEFT_EMULATOR
#define WEFT_EMULATOR ""
#endif

enum { OUTPUT_MAX = 16 * 1024, ARGUMENTS_MAX = 8 };

struct program {
	pid_t pid;
	FILE *out, *err; /* what it writes */
	int status;	 /* once it has ended: the exit status, or 128 and the signal */
	char output[OUTPUT_MAX], errors[OUTPUT_MAX]; /* what has been read of both */
};

/* Becomes another program. One that is given by its path is of this build, which may be for another
 * machine; one that is given by its name is of this machine. */
static inline void program_exec(const char *const *argv)
{
	const char *emulated[ARGUMENTS_MAX + 2] = { WEFT_EMULATOR };

	if (*WEFT_EMULATOR && strchr(argv[0], '/')) {
		for (size_t i = 0; argv[i]; i++) {
			ck_assert_uint_lt(i, ARGUMENTS_MAX);
			emulated[i + 1] = argv[i];
		}
		argv = emulated;
	}
	(void)execvp(argv[0], (char *const *)(uintptr_t)argv);
}

/* Starts the program `argv[0]`, found like a command unless it is a path; argv ends with NULL. */
static inline void program_start(struct program *program, const char *const *argv)
{
	int out[2], err[2];

	*program = (struct program){ .status = -1 };
	ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(err, O_CLOEXEC), 0);
	(void)fflush(NULL); /* or the child would write it again */
	program->pid = fork();
	ck_assert_int_ge(program->pid, 0);
	if (program->pid == 0) {
		(void)dup2(out[1], STDOUT_FILENO);
		(void)dup2(err[1], STDERR_FILENO);
		program_exec(argv);
		_exit(127);
	}
	peer_close(out[1]);
	peer_close(err[1]);
	program->out = fdopen(out[0], "r");
	program->err = fdopen(err[0], "r");
}

/* Waits for the program to write a line to its standard output. */
static inline void program_hear(struct program *program, const char *line)
{
	size_t length = strlen(program->output);
	char *heard = program->output + length;

	if (!fgets(heard, (int)(sizeof program->output - length), program->out))
		ck_abort_msg("the program ended before it wrote: %s", line);
	ck_assert_str_eq(heard, line);
}

static inline void read_rest(char text[OUTPUT_MAX], FILE *file)
{
	size_t length = strlen(text);

	length += fread(text + length, 1, OUTPUT_MAX - 1 - length, file);
	text[length] = 0;
	ck_assert_int_eq(fclose(file), 0);
}

/* Waits for the end of the program, and reads what it wrote. */
static inline void program_end(struct program *program)
{
	int status;

	read_rest(program->output, program->out);
	read_rest(program->errors, program->err);
	ck_assert_int_eq(waitpid(program->pid, &status, 0), program->pid);
	program->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static inline void program_run(struct program *program, const char *const *argv)
{
	program_start(program, argv);
	program_end(program);
}

static inline void program_signal(struct program *program, int number)
{
	ck_assert_int_eq(kill(program->pid, number), 0);
}

/* An address on this machine that no other test uses: it is made of the number of this process. */
static inline const char *own_address(void)
{
	static char text[WEFT_ADDRESS_TEXT_MAX];
	unsigned pid = (unsigned)getpid();

	(void)snprintf(text, sizeof text, "127.%u.%u.%u:10001", 1 + pid / 65536 % 200,
		       pid / 256 % 256, pid % 256);
	return text;
}

/* Connects to a program that has been started and may not listen yet. */
static inline int program_dial(const char *address)
{
	struct weft_address parsed;

	wf_assert_result(weft_address_parse(address, &parsed, NULL), 0);
	for (int tries = 0; tries < 1000; tries++) {
		int fd = peer_socket(&parsed);

		if (peer_connect(fd, address) == 0)
			return fd;
		peer_close(fd);
		(void)usleep(10 * 1000);
	}
	ck_abort_msg("nobody listens on %s", address);
	return -1;
}
