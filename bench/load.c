/* SPDX-License-Identifier: MIT */
/*
 * A load client for one-request connections, without the library: one thread, epoll, as little work
 * per connection as a client can do, so that it keeps a server on another core busy.
 *
 *   load [options] ADDRESS:PORT
 *     --connections N   connections in all (20000)
 *     --concurrency N   at once, at most (64)
 *     --rate N          started per second; 0 starts one when another has ended (0)
 *     --sources N       source addresses, 127.0.0.2 and up; 0 leaves it to the kernel (2)
 *     --timeout N       seconds a connection may take (5)
 *     --version N       HTTP version of the request, 10 or 11 (11)
 *     --exact N         1: the reply must be the 45 bytes of the ping-pong protocol (0)
 *
 * The request is the one httperf sends. A connection is read to the end of the file and counts as
 * answered if a whole reply with status 200 came, judged by its Content-Length. With a rate, a
 * connection's time runs from when it should have started, so a stall of the client counts too.
 *
 * A connection costs socket, setsockopt, bind, connect, send, recv (twice: the reply, the end) and
 * close. epoll_ctl is paid only if the reply is not there at once, connecting included: over
 * loopback connect(2) completes the handshake before it returns.
 */
#define _GNU_SOURCE 1
#include "figure.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256, REPLY_BYTES_MAX = 1024 };

static const char PONG[] = "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nPong!\r\n";

/* How a connection ended; everything but OK is an error. */
enum outcome {
	OK,
	RESET_AFTER_REPLY, /* the whole reply came, then a reset in place of the end */
	RESET,
	REFUSED,
	TIMEOUT,
	WRONG_REPLY, /* short, malformed, another status, or other bytes than asked for */
	NO_ADDRESS,  /* no source port left: a limit of the client */
	NO_FD,	     /* no descriptor left: a limit of the client */
	OTHER,
	OUTCOMES
};

static const char *const OUTCOME_NAMES[] = {
	"load.ok",	    "load.reset_after_reply", "load.reset", "load.refused", "load.timeout",
	"load.wrong_reply", "load.no_address",	      "load.no_fd", "load.other",
};

/* A connection under way. */
struct slot {
	struct slot *next; /* in the list of free ones */
	int64_t intended;  /* when it should have started */
	int fd;		   /* -1: free */
	uint32_t got;	   /* bytes of the reply so far */
	uint32_t watched;  /* events it is registered for */
	bool sent;	   /* the request has gone out */
	char reply[REPLY_BYTES_MAX];
};

static struct sockaddr_in target;
static char request[128];
static size_t request_bytes;
static int epoll_fd;
static struct slot *slots, *free_slots;
static long total, started, ended, concurrency, sources, exact;
static int64_t *latencies;
static long counts[OUTCOMES];

static void end(struct slot *s, enum outcome outcome)
{
	if (s->fd >= 0)
		close(s->fd);
	if (outcome == OK || outcome == RESET_AFTER_REPLY)
		latencies[counts[OK] + counts[RESET_AFTER_REPLY]] = clock_ns() - s->intended;
	counts[outcome]++;
	ended++;
	s->fd = -1;
	s->next = free_slots;
	free_slots = s;
}

static enum outcome outcome_of(int error)
{
	switch (error) {
	case ECONNRESET:
	case EPIPE:
		return RESET;
	case ECONNREFUSED:
		return REFUSED;
	case EADDRNOTAVAIL:
	case EADDRINUSE:
		return NO_ADDRESS;
	case EMFILE:
	case ENFILE:
		return NO_FD;
	default:
		return OTHER;
	}
}

/* Whether a whole reply with status 200 is there, and the right one. */
static bool reply_is_whole(struct slot *s)
{
	const char *length, *body;

	if (s->got == sizeof PONG - 1 && !memcmp(s->reply, PONG, sizeof PONG - 1))
		return true;
	if (exact)
		return false;
	s->reply[s->got] = 0;
	body = strstr(s->reply, "\r\n\r\n");
	length = strcasestr(s->reply, "\r\nContent-Length:");
	if (!body || !length || length > body || strncmp(s->reply, "HTTP/1.", 7) ||
	    strncmp(s->reply + 8, " 200", 4))
		return false;
	return s->reply + s->got >= body + 4 + strtol(length + 17, NULL, 10);
}

static void watch(struct slot *s, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = s };

	if (s->watched == events)
		return;
	if (epoll_ctl(epoll_fd, s->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, s->fd, &event))
		fail("epoll_ctl");
	s->watched = events;
}

static void receive(struct slot *s)
{
	for (;;) {
		ssize_t n = recv(s->fd, s->reply + s->got, REPLY_BYTES_MAX - 1 - s->got, 0);

		if (n < 0 && errno == EAGAIN)
			return watch(s, EPOLLIN);
		if (n < 0) {
			enum outcome outcome = outcome_of(errno);

			if (outcome == RESET && reply_is_whole(s))
				outcome = RESET_AFTER_REPLY;
			return end(s, outcome);
		}
		if (n == 0) /* or the buffer is full, which no good reply does */
			return end(s, reply_is_whole(s) ? OK : WRONG_REPLY);
		s->got += (uint32_t)n;
	}
}

/* Sends the request, and waits for the reply: it cannot be there yet. */
static void send_request(struct slot *s)
{
	if (send(s->fd, request, request_bytes, MSG_NOSIGNAL) == (ssize_t)request_bytes) {
		s->sent = true;
		watch(s, EPOLLIN);
	} else if (errno == EAGAIN) {
		watch(s, EPOLLOUT); /* still connecting */
	} else {
		end(s, outcome_of(errno));
	}
}

static int open_socket(long number)
{
	struct sockaddr_in source = { .sin_family = AF_INET };
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 || !sources)
		return fd;
	/* The port is chosen at connect, unique for the pair of ends and not for the source. */
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
	source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + (uint32_t)(number % sources));
	if (bind(fd, (struct sockaddr *)&source, sizeof source))
		fail("bind: no such source address");
	return fd;
}

static void start(int64_t intended)
{
	struct slot *s = free_slots;

	free_slots = s->next;
	*s = (struct slot){ .intended = intended, .fd = open_socket(started++) };
	if (s->fd < 0)
		return end(s, outcome_of(errno));
	if (connect(s->fd, (struct sockaddr *)&target, sizeof target) && errno != EINPROGRESS)
		return end(s, outcome_of(errno));
	send_request(s);
}

static void on_event(struct slot *s)
{
	if (s->fd >= 0)
		s->sent ? receive(s) : send_request(s);
}

static void expire(int64_t before)
{
	for (long i = 0; i < concurrency; i++)
		if (slots[i].fd >= 0 && slots[i].intended < before)
			end(&slots[i], TIMEOUT);
}

/* Starts what is due; returns the milliseconds until more is, or until expire is. */
static int start_due(int64_t begin, long rate)
{
	while (started < total && free_slots) {
		int64_t now = clock_ns();
		int64_t due = rate ? begin + started * 1000000000 / rate : now;

		if (due > now)
			return due - now < 1000000 ? 0 : 1;
		start(due);
	}
	return 100;
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void report(int64_t elapsed_ns)
{
	long answered = counts[OK] + counts[RESET_AFTER_REPLY];
	double sum = 0;

	for (int i = 0; i < OUTCOMES; i++)
		figure(OUTCOME_NAMES[i], (double)counts[i], "connections");
	figure("load.errors", (double)(total - counts[OK]), "connections");
	figure("load.elapsed", (double)elapsed_ns / 1e9, "s");
	figure("load.per_second", (double)counts[OK] / ((double)elapsed_ns / 1e9), "connections/s");
	if (!answered)
		return;
	for (long i = 0; i < answered; i++)
		sum += (double)latencies[i];
	qsort(latencies, (size_t)answered, sizeof *latencies, compare);
	figure("load.latency.mean", sum / (double)answered / 1e3, "us");
	figure("load.latency.p50", (double)latencies[answered / 2] / 1e3, "us");
	figure("load.latency.p99", (double)latencies[answered * 99 / 100] / 1e3, "us");
	figure("load.latency.max", (double)latencies[answered - 1] / 1e3, "us");
}

static void parse_target(const char *text)
{
	char host[64] = "";
	unsigned port = 0;

	target.sin_family = AF_INET;
	if (sscanf(text, "%63[0-9.]:%u", host, &port) != 2 ||
	    inet_pton(AF_INET, host, &target.sin_addr) != 1)
		fail("the last argument must be ADDRESS:PORT");
	target.sin_port = htons((uint16_t)port);
}

int main(int argc, char **argv)
{
	struct epoll_event events[EVENTS];
	long rate = option(argc, argv, "--rate", 0);
	int64_t timeout_ns = option(argc, argv, "--timeout", 5) * 1000000000L;
	int64_t begin, next_expiry;

	total = option(argc, argv, "--connections", 20000);
	concurrency = option(argc, argv, "--concurrency", 64);
	sources = option(argc, argv, "--sources", 2);
	exact = option(argc, argv, "--exact", 0);
	request_bytes = (size_t)snprintf(request, sizeof request,
					 "GET / HTTP/1.%ld\r\nUser-Agent: httperf/0.9.0\r\n"
					 "Host: localhost\r\n\r\n",
					 option(argc, argv, "--version", 11) % 10);
	parse_target(argc > 1 ? argv[argc - 1] : "");
	slots = calloc((size_t)concurrency, sizeof *slots);
	latencies = calloc((size_t)total, sizeof *latencies);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (!slots || !latencies || epoll_fd < 0)
		fail("no memory or no descriptor");
	for (long i = concurrency; i-- > 0; free_slots = &slots[i])
		slots[i] = (struct slot){ .fd = -1, .next = free_slots };

	begin = clock_ns();
	next_expiry = begin + timeout_ns;
	while (ended < total) {
		int wait_ms = start_due(begin, rate);
		int count = epoll_wait(epoll_fd, events, EVENTS, ended < total ? wait_ms : 0);

		for (int i = 0; i < count; i++)
			on_event(events[i].data.ptr);
		if (clock_ns() > next_expiry) {
			expire(clock_ns() - timeout_ns);
			next_expiry = clock_ns() + timeout_ns / 10;
		}
	}
	report(clock_ns() - begin);
	return 0;
}
