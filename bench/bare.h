/* SPDX-License-Identifier: MIT */
/*
 * What the bare twins of the ping-pong servers share: the command line, the listener, and finding the
 * end of a request's head without keeping any input.
 *
 *   [--keep-alive] [--backlog N] [--defer-accept SECONDS] ADDRESS:PORT
 */
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER_BYTES = 4096, DRAIN_BYTES_MAX = 64 * 1024 };

static const char REPLY[] =
	"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nPong!\r\n"; /* then the end */
static const char REPLY_KEPT[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nPong!";
static const char HEAD_END[] = "\r\n\r\n";

struct bare_options {
	char *address;
	int backlog, defer_accept_s;
	bool keep_alive;
};

static inline void must(int result, const char *what)
{
	if (result >= 0)
		return;
	perror(what);
	exit(1);
}

/* How much of HEAD_END the input ends with after one more byte. */
static inline uint8_t match_byte(uint8_t matched, char byte)
{
	return byte == HEAD_END[matched] ? matched + 1 : byte == '\r';
}

/* The same for a piece of input, or all of HEAD_END if the head's end is in there. */
static inline uint8_t match_head_end(uint8_t matched, const char *text, size_t bytes)
{
	if (bytes >= 4 && !memcmp(text + bytes - 4, HEAD_END, 4))
		return 4;
	for (size_t i = 0; i < bytes && matched < 4; i++)
		matched = match_byte(matched, text[i]);
	return matched;
}

/* How many heads end in a piece of input; `matched` goes from this piece to the next. */
static inline int count_heads(uint8_t *matched, const char *text, size_t bytes)
{
	const char *end = text + bytes, *at;
	int count = 0;

	while (*matched && text < end) {
		*matched = match_byte(*matched, *text++);
		if (*matched == 4) {
			*matched = 0;
			count++;
		}
	}
	while ((at = memmem(text, (size_t)(end - text), HEAD_END, 4)) != NULL) {
		text = at + 4;
		count++;
	}
	for (text = end - text > 3 ? end - 3 : text; text < end; text++)
		*matched = match_byte(*matched, *text);
	return count;
}

static inline void on_term(int signal)
{
	(void)signal;
	_exit(0);
}

static inline struct bare_options bare_options(int argc, char **argv)
{
	struct bare_options options = { .backlog = 4096 };
	int i = 1;

	for (; i + 1 < argc; i++) {
		if (!strcmp(argv[i], "--keep-alive"))
			options.keep_alive = true;
		else if (!strcmp(argv[i], "--backlog"))
			options.backlog = (int)strtol(argv[++i], NULL, 10);
		else if (!strcmp(argv[i], "--defer-accept"))
			options.defer_accept_s = (int)strtol(argv[++i], NULL, 10);
	}
	if (i >= argc) {
		fprintf(stderr,
			"%s [--keep-alive] [--backlog N] [--defer-accept SECONDS] "
			"ADDRESS:PORT\n",
			argv[0]);
		exit(2);
	}
	options.address = argv[i];
	return options;
}

/* How many descriptors there can be: connections are found by theirs. */
static inline size_t descriptors_max(void)
{
	struct rlimit limit;

	must(getrlimit(RLIMIT_NOFILE, &limit), "RLIMIT_NOFILE");
	return limit.rlim_cur;
}

static inline int bare_listen(const struct bare_options *options)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	char *colon = strrchr(options->address, ':');
	int one = 1, fd;

	signal(SIGTERM, on_term);
	in.sin_port = htons((uint16_t)(colon ? strtol(colon + 1, NULL, 10) : 0));
	if (colon)
		*colon = 0;
	must(inet_pton(AF_INET, options->address, &in.sin_addr) == 1 ? 0 : -1, "ADDRESS:PORT");
	must(fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
	must(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one), "SO_REUSEADDR");
	must(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), "TCP_NODELAY");
	if (options->defer_accept_s)
		must(setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &options->defer_accept_s,
				sizeof options->defer_accept_s),
		     "TCP_DEFER_ACCEPT");
	must(bind(fd, (struct sockaddr *)&in, sizeof in), "bind");
	must(listen(fd, options->backlog), "listen");
	printf("listening on %s:%d\n", options->address, ntohs(in.sin_port));
	fflush(stdout);
	return fd;
}
