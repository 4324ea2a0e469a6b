/* SPDX-License-Identifier: MIT */
/* Ping-pong on State Threads: one thread of the library for each connection. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <st.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static const char REPLY[] = "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nPong!\r\n";

static void *serve(void *arg)
{
	st_netfd_t conn = arg;
	char head[4096];
	size_t bytes = 0;
	ssize_t n;

	while (bytes < sizeof head - 1) {
		n = st_read(conn, head + bytes, sizeof head - 1 - bytes, ST_UTIME_NO_TIMEOUT);
		if (n <= 0)
			break;
		bytes += (size_t)n;
		head[bytes] = 0;
		if (strstr(head, "\r\n\r\n")) {
			(void)st_write(conn, REPLY, sizeof REPLY - 1, ST_UTIME_NO_TIMEOUT);
			break;
		}
	}
	st_netfd_close(conn);
	return NULL;
}

int main(int argc, char **argv)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
	st_netfd_t listener, conn;

	if (argc != 3 || inet_pton(AF_INET, argv[1], &in.sin_addr) != 1)
		return 2;
	in.sin_port = htons((uint16_t)atoi(argv[2]));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (bind(fd, (struct sockaddr *)&in, sizeof in) || listen(fd, 4096)) {
		perror("bind");
		return 1;
	}
	st_set_eventsys(ST_EVENTSYS_ALT); /* epoll */
	st_init();
	listener = st_netfd_open_socket(fd);
	for (;;) {
		conn = st_accept(listener, NULL, NULL, ST_UTIME_NO_TIMEOUT);
		if (conn && !st_thread_create(serve, conn, 0, 0))
			st_netfd_close(conn);
	}
}
