/* SPDX-License-Identifier: MIT */
/*
 * The plain calls of the tests on the simulator.
 *
 * The other end of many a connection is a socket that the test drives itself. The linker leads the
 * calls below through here (--wrap, in CMakeLists.txt). A call that a task of a simulated worker makes on
 * a simulated descriptor, or to get a new one, goes to the table of io/system.h; every other one is the
 * C library's, so on the real engines nothing changes.
 *
 * Plain sockets block, but a simulated network stands still while a task runs: what cannot be done at
 * once is refused with EAGAIN, as by a time-out of the socket. The clock moves when it is looked at,
 * so that a loop that waits for a time ends.
 */
#include "harness/harness.h"

#include "base/compiler.h"
#include "core/worker.h"
#include "io/sim_socket.h"
#include "io/system.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* The runtime of a sanitizer comes through here, too, and before it can be told of it. */
#if __has_attribute(disable_sanitizer_instrumentation)
#define BARE __attribute__((disable_sanitizer_instrumentation))
#else
#define BARE
#endif

/* Declares what the linker calls, and what it makes of the C library's function. */
#define WRAP(type, name, ...)            \
	type __real_##name(__VA_ARGS__); \
	type __wrap_##name(__VA_ARGS__); \
	BARE type __wrap_##name(__VA_ARGS__)

/* What a look at the clock takes. */
static const weft_time LOOK_NS = WEFT_MICROSECOND;

/* The simulator that this thread is in, or NULL. */
BARE static struct wf_sim *simulator(void)
{
	return wf_worker ? wf_sim_of(wf_worker->poller) : NULL;
}

/* The same, for a descriptor. */
BARE static struct wf_poller *simulator_of(int fd)
{
	return fd >= WF_SIM_FD && simulator() ? wf_worker->poller : NULL;
}

/* A result of the table, as the C library has it. */
static ssize_t give(ssize_t result)
{
	if (result >= 0)
		return result;
	errno = (int)-result;
	return -1;
}

static struct wf_sim_socket *find(int fd)
{
	struct wf_sim_socket *found = NULL;

	return wf_sim_socket_find(simulator(), fd, &found) < 0 ? NULL : found;
}

/* ---- New descriptors ------------------------------------------------------------------------- */

/* The simulator itself never blocks; a test sees whether the program was told not to, too. */
static int give_new(int fd, bool blocks)
{
	if (fd >= 0)
		find(fd)->blocks = blocks;
	return (int)give(fd);
}

WRAP(int, socket, int family, int type, int protocol)
{
	if (!simulator())
		return __real_socket(family, type, protocol);
	if ((type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) != SOCK_STREAM)
		return (int)give(-EPROTONOSUPPORT);
	return give_new(wf_worker->poller->system->socket(wf_worker->poller, family),
			!(type & SOCK_NONBLOCK));
}

static int open_both(int fds[2], bool block)
{
	int r = wf_worker->poller->system->socket_pair(wf_worker->poller, fds);

	if (r == 0)
		find(fds[0])->blocks = find(fds[1])->blocks = block;
	return (int)give(r);
}

WRAP(int, socketpair, int family, int type, int protocol, int fds[2])
{
	return simulator() ? open_both(fds, !(type & SOCK_NONBLOCK)) :
			     __real_socketpair(family, type, protocol, fds);
}

/* A pipe is a pair of sockets of which the test uses one direction. */
WRAP(int, pipe2, int fds[2], int flags)
{
	return simulator() ? open_both(fds, !(flags & O_NONBLOCK)) : __real_pipe2(fds, flags);
}

WRAP(int, accept, int fd, struct sockaddr *address, socklen_t *length)
{
	struct wf_poller *sim = simulator_of(fd);

	if (!sim)
		return __real_accept(fd, address, length);
	ck_assert_ptr_null(address); /* no test asks */
	return give_new(sim->system->accept(sim, fd), true);
}

static int duplicate(int fd)
{
	struct wf_sim_socket *socket = find(fd);

	return (int)give(socket ? wf_sim_socket_install(simulator(), socket) : -EBADF);
}

WRAP(int, dup, int fd)
{
	return simulator_of(fd) ? duplicate(fd) : __real_dup(fd);
}

WRAP(int, close, int fd)
{
	struct wf_poller *sim = simulator_of(fd);

	if (!sim)
		return __real_close(fd);
	if (!find(fd))
		return (int)give(-EBADF);
	sim->system->close(sim, fd);
	return 0;
}

/* ---- Naming and connecting --------------------------------------------------------------------- */

WRAP(int, bind, int fd, const struct sockaddr *address, socklen_t length)
{
	struct wf_poller *sim = simulator_of(fd);

	return sim ? (int)give(sim->system->bind(sim, fd, address, length)) :
		     __real_bind(fd, address, length);
}

WRAP(int, listen, int fd, int backlog)
{
	struct wf_poller *sim = simulator_of(fd);

	return sim ? (int)give(sim->system->listen(sim, fd, backlog)) : __real_listen(fd, backlog);
}

/* What has become of a connect that goes on. */
static int outcome(struct wf_poller *sim, int fd)
{
	struct wf_sim_socket *socket = find(fd);
	int error = 0;

	if (!socket->blocks || socket->state == WF_SIM_DIALING)
		return -EINPROGRESS;
	(void)sim->system->get_option(sim, fd, SOL_SOCKET, SO_ERROR, &error); /* 0 is success */
	return -error;
}

WRAP(int, connect, int fd, const struct sockaddr *address, socklen_t length)
{
	struct wf_poller *sim = simulator_of(fd);
	int r;

	if (!sim)
		return __real_connect(fd, address, length);
	r = sim->system->connect(sim, fd, address, length);
	return (int)give(r == -EINPROGRESS ? outcome(sim, fd) : r);
}

static int tell_name(int fd, bool of_peer, struct sockaddr *address, socklen_t *length)
{
	struct wf_poller *sim = wf_worker->poller;
	struct sockaddr_storage name;
	socklen_t count;
	int r = sim->system->name(sim, fd, of_peer, &name, &count);

	if (r < 0)
		return (int)give(r);
	memcpy(address, &name, count < *length ? count : *length);
	*length = count;
	return 0;
}

WRAP(int, getsockname, int fd, struct sockaddr *address, socklen_t *length)
{
	return simulator_of(fd) ? tell_name(fd, false, address, length) :
				  __real_getsockname(fd, address, length);
}

WRAP(int, getpeername, int fd, struct sockaddr *address, socklen_t *length)
{
	return simulator_of(fd) ? tell_name(fd, true, address, length) :
				  __real_getpeername(fd, address, length);
}

/* ---- Options --------------------------------------------------------------------------------- */

/* As the kernel, which doubles it. */
static void resize(struct wf_sim_socket *to, int bytes)
{
	if (to)
		to->input.capacity = 2 * (uint32_t)bytes;
}

static int set_option(struct wf_poller *sim, int fd, int level, int name, const void *value)
{
	struct wf_sim_socket *socket = find(fd);

	if (!socket)
		return -EBADF;
	if (level != SOL_SOCKET)
		return sim->system->set_option(sim, fd, level, name, *(const int *)value);
	switch (name) {
	case SO_RCVTIMEO: /* as if each was over at once */
	case SO_SNDTIMEO:
		return 0;
	case SO_LINGER: /* for no time, which is all that tests do */
		socket->resets = !wf_sim_is_unix(socket);
		return 0;
	case SO_SNDBUF:
		resize(socket->peer, *(const int *)value);
		return 0;
	case SO_RCVBUF:
		resize(socket, *(const int *)value);
		return 0;
	default:
		return sim->system->set_option(sim, fd, level, name, *(const int *)value);
	}
}

WRAP(int, setsockopt, int fd, int level, int name, const void *value, socklen_t length)
{
	struct wf_poller *sim = simulator_of(fd);

	return sim ? (int)give(set_option(sim, fd, level, name, value)) :
		     __real_setsockopt(fd, level, name, value, length);
}

WRAP(int, getsockopt, int fd, int level, int name, void *value, socklen_t *length)
{
	struct wf_poller *sim = simulator_of(fd);

	return sim ? (int)give(sim->system->get_option(sim, fd, level, name, value)) :
		     __real_getsockopt(fd, level, name, value, length);
}

static int control(struct wf_sim_socket *socket, int command, long value)
{
	switch (command) {
	case F_GETFD:
		return FD_CLOEXEC;
	case F_GETFL:
		return socket->blocks ? O_RDWR : O_RDWR | O_NONBLOCK;
	case F_SETFL:
		socket->blocks = !(value & O_NONBLOCK);
		return 0;
	default:
		return -EINVAL;
	}
}

WRAP(int, fcntl, int fd, int command, ...)
{
	va_list arguments;
	long value;

	va_start(arguments, command);
	value = va_arg(arguments, long); /* nothing to look at where the command takes none */
	va_end(arguments);
	if (!simulator_of(fd))
		return __real_fcntl(fd, command, value);
	return (int)give(find(fd) ? control(find(fd), command, value) : -EBADF);
}

/* ---- Bytes ----------------------------------------------------------------------------------- */

WRAP(ssize_t, recv, int fd, void *buffer, size_t bytes, int flags)
{
	struct wf_poller *sim = simulator_of(fd);

	return sim ? give(sim->system->receive(sim, fd, buffer, bytes, flags)) :
		     __real_recv(fd, buffer, bytes, flags);
}

WRAP(ssize_t, read, int fd, void *buffer, size_t bytes)
{
	struct wf_poller *sim = simulator_of(fd);

	return sim ? give(sim->system->read(sim, fd, buffer, bytes)) :
		     __real_read(fd, buffer, bytes);
}

static ssize_t send_one(struct wf_poller *sim, int fd, const void *bytes, size_t count, int flags)
{
	struct iovec vector = { (void *)(uintptr_t)bytes, count };

	return give(sim->system->send(sim, fd, &vector, 1, flags));
}

WRAP(ssize_t, send, int fd, const void *bytes, size_t count, int flags)
{
	struct wf_poller *sim = simulator_of(fd);

	return sim ? send_one(sim, fd, bytes, count, flags) : __real_send(fd, bytes, count, flags);
}

WRAP(ssize_t, write, int fd, const void *bytes, size_t count)
{
	struct wf_poller *sim = simulator_of(fd);

	return sim ? send_one(sim, fd, bytes, count, 0) : __real_write(fd, bytes, count);
}

WRAP(int, shutdown, int fd, int how)
{
	struct wf_poller *sim = simulator_of(fd);

	if (!sim)
		return __real_shutdown(fd, how);
	return (int)give(how == SHUT_WR ? sim->system->shutdown(sim, fd) : -EINVAL);
}

/* What there is to be had now, for the bits are those of epoll_ctl(2). */
static short level_of(const struct pollfd *polled)
{
	struct wf_sim_socket *socket = find(polled->fd);
	uint32_t wanted = (uint16_t)polled->events | POLLHUP | POLLERR;

	return socket ? (short)(wf_sim_socket_level(simulator(), socket) & wanted) : POLLNVAL;
}

WRAP(int, poll, struct pollfd *polled, nfds_t count, int timeout_ms)
{
	int ready = 0;

	if (count == 0 || !simulator_of(polled->fd))
		return __real_poll(polled, count, timeout_ms);
	for (nfds_t i = 0; i < count; i++) {
		polled[i].revents = level_of(&polled[i]);
		ready += polled[i].revents != 0;
	}
	return ready;
}

/* ---- Files, limits, time, signals -------------------------------------------------------------- */

/* The files of simulated sockets first. */
WRAP(int, unlink, const char *path)
{
	int r = simulator() ? wf_sim_system.unlink(wf_worker->poller, path) : -ENOENT;

	return r == -ENOENT ? __real_unlink(path) : (int)give(r);
}

WRAP(int, unlinkat, int folder, const char *path, int flags)
{
	int r = simulator() ? wf_sim_system.unlink(wf_worker->poller, path) : -ENOENT;

	return r == -ENOENT ? __real_unlinkat(folder, path, flags) : (int)give(r);
}

WRAP(int, stat, const char *path, struct stat *ret_status)
{
	if (simulator() && wf_sim_system.stat_path(wf_worker->poller, path, ret_status) == 0)
		return 0;
	return __real_stat(path, ret_status);
}

/* The simulated host limits its descriptors, which are numbered from WF_SIM_FD. */
WRAP(int, getrlimit, int resource, struct rlimit *ret_limit)
{
	if (resource != RLIMIT_NOFILE || !simulator())
		return __real_getrlimit(resource, ret_limit);
	ret_limit->rlim_cur = WF_SIM_FD + wf_sim_system.descriptors_max(wf_worker->poller);
	ret_limit->rlim_max = INT_MAX;
	return 0;
}

WRAP(int, setrlimit, int resource, const struct rlimit *limit)
{
	struct wf_sim *sim = simulator();
	rlim_t most = limit->rlim_cur;

	if (resource != RLIMIT_NOFILE || !sim)
		return __real_setrlimit(resource, limit);
	sim->net.hosts[wf_sim_host(sim)].descriptors_max =
		most > WF_SIM_FD ? (uint32_t)most - WF_SIM_FD : 0;
	return 0;
}

static void advance(weft_time duration_ns)
{
	wf_worker->poller->ops->advance(wf_worker->poller, duration_ns);
}

WRAP(int, clock_gettime, clockid_t clock, struct timespec *ret_time)
{
	weft_time now;

	if (clock != CLOCK_MONOTONIC || !simulator())
		return __real_clock_gettime(clock, ret_time);
	advance(LOOK_NS);
	now = wf_worker->poller->ops->now(wf_worker->poller);
	*ret_time = (struct timespec){ now / WEFT_SECOND, now % WEFT_SECOND };
	return 0;
}

WRAP(int, usleep, useconds_t microseconds)
{
	if (!simulator())
		return __real_usleep(microseconds);
	advance(microseconds * WEFT_MICROSECOND);
	return 0;
}

/* The simulator knows signals that are waited for only. */
WRAP(int, raise, int number)
{
	struct wf_sim *sim = simulator();
	const uint64_t *raised;

	if (!sim)
		return __real_raise(number);
	raised = &sim->net.hosts[wf_sim_host(sim)].signals;
	wf_sim_net_signal(sim, wf_sim_host(sim), number);
	return *raised >> (number - 1) & 1 ? 0 : __real_raise(number);
}

/* ---- The end --------------------------------------------------------------------------------- */

bool wf_sockets_go_with_world;

/* As the harness has it for real descriptors. */
WRAP(void, wf_sim_net_done, struct wf_sim *sim)
{
	if (!wf_sockets_go_with_world && sim->net.open > 0)
		ck_abort_msg("%u simulated descriptors are left open", sim->net.open);
	__real_wf_sim_net_done(sim);
}
