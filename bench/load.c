/* SPDX-License-Identifier: MIT */
/*
 * A load client without the library: one thread, epoll, as little work per request as a client can
 * do, so that it keeps a server on another core busy.
 *
 *   load [options] ADDRESS:PORT
 *     --connections N   connections in all (20000)
 *     --concurrency N   at once, at most (64)
 *     --rate N          started per second; 0 starts one when another has ended (0)
 *     --sources N       source addresses, 127.0.0.2 and up; 0 leaves it to the kernel (2)
 *     --calls N         requests on each connection, one after the other's reply (1)
 *     --idle N          connections held open beside them, each of which has asked once (0)
 *     --hold N          1: hold them until the end of the standard input (0)
 *     --timeout N       seconds a request may take (5)
 *     --version N       HTTP version of the request, 10 or 11 (11)
 *     --exact N         1: the reply must be, to the byte, the one the ping-pong servers send (0)
 *
 * The request is the one httperf sends. A reply counts if it is whole, judged by its Content-Length,
 * and its status is 200. With one call and no idle connections the server must close, and is read to
 * the end of the file; else each reply ends by its Content-Length, and this side closes after the last.
 * A connection counts as answered if all its calls were. Latencies are of requests. With a rate, the
 * time of a connection's first runs from when it should have started, so a stall of the client counts
 * too.
 *
 * A connection costs socket, setsockopt, bind, connect, send, recv (twice: the reply, the end) and
 * close. epoll_ctl is paid only if the reply is not there at once, connecting included: over
 * loopback connect(2) completes the handshake before it returns. A further call costs send and recv,
 * and its share of an epoll_wait: connections are registered edge-triggered, and once.
 */
#define _GNU_SOURCE 1
#include "figure.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256, REPLY_BYTES_MAX = 1024 };

static const char PONG[] =
	"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nPong!\r\n"; /* then the end */
static const char PONG_KEPT[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nPong!";

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
	int64_t intended;  /* when its request should have been sent */
	long calls;	   /* replies still to come */
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
static long total, started, ended, concurrency, sources, calls, exact;
static bool stays;	   /* the server keeps connections open between requests */
static int64_t *latencies; /* of the requests answered */
static long answered;
static long counts[OUTCOMES];

static void end(struct slot *s, enum outcome outcome)
{
	if (s->fd >= 0)
		close(s->fd);
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

/* How many bytes the reply has, if as much as tells it is there, and is right; else 0. */
static size_t reply_bytes(struct slot *s)
{
	const char *pong = stays ? PONG_KEPT : PONG, *length, *body;
	size_t bytes = stays ? sizeof PONG_KEPT - 1 : sizeof PONG - 1;

	if (s->got >= bytes && !memcmp(s->reply, pong, bytes))
		return bytes;
	if (exact)
		return 0;
	s->reply[s->got] = 0;
	body = strstr(s->reply, "\r\n\r\n");
	length = strcasestr(s->reply, "\r\nContent-Length:");
	if (!body || !length || length > body || strncmp(s->reply, "HTTP/1.", 7) ||
	    strncmp(s->reply + 8, " 200", 4))
		return 0;
	return (size_t)(body + 4 - s->reply) + strtoul(length + 17, NULL, 10);
}

static bool reply_is_whole(struct slot *s)
{
	size_t bytes = reply_bytes(s);

	return bytes && s->got >= bytes && (!exact || s->got == bytes);
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

/* Sends the request; the reply cannot be there yet. */
static void send_request(struct slot *s)
{
	if (send(s->fd, request, request_bytes, MSG_NOSIGNAL) == (ssize_t)request_bytes) {
		s->sent = true;
		watch(s, EPOLLIN | EPOLLET);
	} else if (errno == EAGAIN) {
		watch(s, EPOLLOUT); /* still connecting */
	} else {
		end(s, outcome_of(errno));
	}
}

/* A whole reply is there. Returns whether that was all of the connection. */
static bool reply_ends_connection(struct slot *s)
{
	int64_t now = clock_ns();

	latencies[answered++] = now - s->intended;
	s->intended = now;
	s->got = 0;
	return --s->calls == 0;
}

static void receive(struct slot *s)
{
	for (;;) {
		ssize_t n = recv(s->fd, s->reply + s->got, REPLY_BYTES_MAX - 1 - s->got, 0);
		enum outcome outcome = n < 0 ? outcome_of(errno) : WRONG_REPLY;

		if (n < 0 && errno == EAGAIN)
			return watch(s, EPOLLIN | EPOLLET);
		if (n > 0) {
			s->got += (uint32_t)n;
			if (!stays || !reply_is_whole(s))
				continue;
			return reply_ends_connection(s) ? end(s, OK) : send_request(s);
		}
		/* The end or a reset; or the buffer is full, which no good reply does. */
		if (!stays && (n == 0 || outcome == RESET) && reply_is_whole(s)) {
			outcome = n == 0 ? OK : RESET_AFTER_REPLY;
			(void)reply_ends_connection(s);
		}
		return end(s, outcome);
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
	*s = (struct slot){ .intended = intended, .calls = calls, .fd = open_socket(started++) };
	if (s->fd < 0)
		return end(s, outcome_of(errno));
	if (connect(s->fd, (struct sockaddr *)&target, sizeof target) && errno != EINPROGRESS)
		return end(s, outcome_of(errno));
	send_request(s);
}

/* Asks on a connection, one call after the other, and leaves it open. */
static void ask_once(int fd)
{
	struct slot *s = &slots[0];

	if (fd < 0 || fcntl(fd, F_SETFL, 0) ||
	    connect(fd, (struct sockaddr *)&target, sizeof target) ||
	    send(fd, request, request_bytes, MSG_NOSIGNAL) != (ssize_t)request_bytes)
		fail("no idle connection");
	for (s->got = 0; !reply_is_whole(s);) {
		ssize_t n = recv(fd, s->reply + s->got, REPLY_BYTES_MAX - 1 - s->got, 0);

		if (n <= 0)
			fail("an idle connection got no right reply");
		s->got += (uint32_t)n;
	}
}

/* They end with the process. */
static void open_idle(long count)
{
	for (long i = 0; i < count; i++)
		ask_once(open_socket(i));
	if (count)
		figure("load.idle", (double)count, "connections");
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
	double sum = 0;

	for (int i = 0; i < OUTCOMES; i++)
		figure(OUTCOME_NAMES[i], (double)counts[i], "connections");
	figure("load.errors", (double)(total - counts[OK]), "connections");
	figure("load.elapsed", (double)elapsed_ns / 1e9, "s");
	figure("load.per_second", (double)counts[OK] / ((double)elapsed_ns / 1e9), "connections/s");
	figure("load.requests_per_second", (double)answered / ((double)elapsed_ns / 1e9),
	       "requests/s");
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
	long idle;

	total = option(argc, argv, "--connections", 20000);
	concurrency = option(argc, argv, "--concurrency", 64);
	sources = option(argc, argv, "--sources", 2);
	calls = option(argc, argv, "--calls", 1);
	exact = option(argc, argv, "--exact", 0);
	request_bytes = (size_t)snprintf(request, sizeof request,
					 "GET / HTTP/1.%ld\r\nUser-Agent: httperf/0.9.0\r\n"
					 "Host: localhost\r\n\r\n",
					 option(argc, argv, "--version", 11) % 10);
	parse_target(argc > 1 ? argv[argc - 1] : "");
	slots = calloc((size_t)concurrency, sizeof *slots);
	latencies = calloc((size_t)(total * calls), sizeof *latencies);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (!slots || !latencies || epoll_fd < 0)
		fail("no memory or no descriptor");
	for (long i = concurrency; i-- > 0; free_slots = &slots[i])
		slots[i] = (struct slot){ .fd = -1, .next = free_slots };
	idle = option(argc, argv, "--idle", 0);
	stays = calls > 1 || idle;
	open_idle(idle);

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
	while (option(argc, argv, "--hold", 0) && getchar() != EOF)
		;
	return 0;
}
