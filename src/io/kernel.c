/* SPDX-License-Identifier: MIT */
/* The system calls of the kernel, one function each; io/system.h says what they do. */
#include "io/system.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

static int result_of(int r)
{
	return r < 0 ? -errno : r;
}

static int open_socket(struct wf_poller *poller, int family)
{
	(void)poller;
	return result_of(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

static int open_pair(struct wf_poller *poller, int ret_fds[2])
{
	(void)poller;
	return result_of(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ret_fds));
}

static int set_option(struct wf_poller *poller, int fd, int level, int name, int value)
{
	(void)poller;
	return result_of(setsockopt(fd, level, name, &value, sizeof value));
}

static int get_option(struct wf_poller *poller, int fd, int level, int name, int *ret_value)
{
	socklen_t length = sizeof *ret_value;

	(void)poller;
	return result_of(getsockopt(fd, level, name, ret_value, &length));
}

static int set_nonblocking(struct wf_poller *poller, int fd)
{
	int flags = fcntl(fd, F_GETFL);

	(void)poller;
	return flags < 0 ? -errno : result_of(fcntl(fd, F_SETFL, flags | O_NONBLOCK));
}

static int name(struct wf_poller *poller, int fd, bool of_peer,
		struct sockaddr_storage *ret_address, socklen_t *ret_length)
{
	struct sockaddr *address = (struct sockaddr *)ret_address;

	(void)poller;
	*ret_length = sizeof *ret_address;
	return result_of(of_peer ? getpeername(fd, address, ret_length) :
				   getsockname(fd, address, ret_length));
}

static int bind_to(struct wf_poller *poller, int fd, const struct sockaddr *address,
		   socklen_t length)
{
	(void)poller;
	return result_of(bind(fd, address, length));
}

static int listen_on(struct wf_poller *poller, int fd, int backlog)
{
	(void)poller;
	return result_of(listen(fd, backlog));
}

static int accept_from(struct wf_poller *poller, int fd)
{
	(void)poller;
	return result_of(accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
}

static int connect_to(struct wf_poller *poller, int fd, const struct sockaddr *address,
		      socklen_t length)
{
	(void)poller;
	return result_of(connect(fd, address, length));
}

static ssize_t receive(struct wf_poller *poller, int fd, void *buffer, size_t bytes, int flags)
{
	ssize_t n = recv(fd, buffer, bytes, flags | MSG_DONTWAIT);

	(void)poller;
	return n < 0 ? -errno : n;
}

static ssize_t read_from(struct wf_poller *poller, int fd, void *buffer, size_t bytes)
{
	ssize_t n = read(fd, buffer, bytes);

	(void)poller;
	return n < 0 ? -errno : n;
}

static ssize_t send_to(struct wf_poller *poller, int fd, const struct iovec *vector, int count,
		       int flags)
{
	struct msghdr message = { .msg_iov = (struct iovec *)(uintptr_t)vector,
				  .msg_iovlen = (size_t)count };
	ssize_t n;

	(void)poller;
	flags |= MSG_DONTWAIT | MSG_NOSIGNAL;
	n = count == 1 ? send(fd, vector->iov_base, vector->iov_len, flags) :
			 sendmsg(fd, &message, flags);
	return n < 0 ? -errno : n;
}

static int end_output(struct wf_poller *poller, int fd)
{
	(void)poller;
	return result_of(shutdown(fd, SHUT_WR));
}

static int poll_fd(struct wf_poller *poller, int fd, short events)
{
	struct pollfd which = { .fd = fd, .events = events };

	(void)poller;
	return result_of(poll(&which, 1, 0));
}

static void close_fd(struct wf_poller *poller, int fd)
{
	(void)poller;
	(void)close(fd);
}

static int stat_fd(struct wf_poller *poller, int fd, struct stat *ret_status)
{
	(void)poller;
	return result_of(fstat(fd, ret_status));
}

static int stat_path(struct wf_poller *poller, const char *path, struct stat *ret_status)
{
	(void)poller;
	return result_of(lstat(path, ret_status));
}

static int unlink_path(struct wf_poller *poller, const char *path)
{
	(void)poller;
	return result_of(unlink(path));
}

static uint64_t descriptors_max(struct wf_poller *poller)
{
	struct rlimit limit;

	(void)poller;
	return getrlimit(RLIMIT_NOFILE, &limit) < 0 ? 0 : limit.rlim_cur;
}

static int open_signals(struct wf_poller *poller, const sigset_t *set)
{
	(void)poller;
	return result_of(signalfd(-1, set, SFD_NONBLOCK | SFD_CLOEXEC));
}

static void hold_signals(struct wf_poller *poller, const sigset_t *set, sigset_t *ret_before)
{
	(void)poller;
	(void)pthread_sigmask(SIG_BLOCK, set, ret_before); /* fails only for a bad `how` */
}

static void release_signals(struct wf_poller *poller, const sigset_t *set)
{
	const struct timespec now = { 0 };

	(void)poller;
	while (sigtimedwait(set, NULL, &now) > 0)
		continue;
	(void)pthread_sigmask(SIG_UNBLOCK, set, NULL); /* fails only for a bad `how` */
}

const struct wf_system wf_kernel = {
	.socket = open_socket,
	.socket_pair = open_pair,
	.set_option = set_option,
	.get_option = get_option,
	.set_nonblocking = set_nonblocking,
	.name = name,
	.bind = bind_to,
	.listen = listen_on,
	.accept = accept_from,
	.connect = connect_to,
	.receive = receive,
	.read = read_from,
	.send = send_to,
	.shutdown = end_output,
	.poll = poll_fd,
	.close = close_fd,
	.stat = stat_fd,
	.stat_path = stat_path,
	.unlink = unlink_path,
	.descriptors_max = descriptors_max,
	.signals = open_signals,
	.hold_signals = hold_signals,
	.release_signals = release_signals,
};
