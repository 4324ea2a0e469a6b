/* SPDX-License-Identifier: MIT */
/*
 * The system calls of the simulated network. Each first asks whether it is to fail (io/sim_fault.h),
 * then does what Linux does, and enters what came of it into the hash and the trace.
 */
#include "io/sim_socket.h"

#include "base/compiler.h"
#include "core/task.h"
#include "core/worker.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <weft/error.h>

enum { SIGNALS_MAX = 64 };

static struct wf_sim *sim_of(struct wf_poller *poller)
{
	return wf_container(poller, struct wf_sim, ready.poller);
}

/* Notes what came of a call, and returns it. */
ssize_t wf_sim_call_end(struct wf_sim *sim, enum wf_sim_op op, int fd, ssize_t result)
{
	wf_sim_note(sim, (uint64_t)op << 56 | (uint64_t)(fd & 0xffffff) << 32 | (uint32_t)result);
	if (wf_unlikely(sim->traces))
		wf_sim_trace(sim, "%s fd %d: %s %zd", wf_sim_op_name(op), fd,
			     weft_error_name((int)result), result);
	return result;
}

/* Starts a call on a descriptor: finds its socket, and asks for a mishap. */
int wf_sim_call_begin(struct wf_poller *poller, enum wf_sim_op op, int fd, struct wf_sim **ret_sim,
		      struct wf_sim_socket **ret_socket)
{
	int r;

	*ret_sim = sim_of(poller);
	r = wf_sim_socket_find(*ret_sim, fd, ret_socket);
	return r < 0 ? r : wf_sim_fault(*ret_sim, op);
}

int wf_sim_socket_find(struct wf_sim *sim, int fd, struct wf_sim_socket **ret_socket)
{
	struct wf_sim_socket *socket = NULL;
	uint32_t index = (uint32_t)fd - WF_SIM_FD;

	if (fd >= 0 && fd < WF_SIM_FD)
		return WEFT_ESIMULATED;
	if (fd >= 0 && index < sim->net.socket_room)
		socket = sim->net.sockets[index];
	if (!socket || (wf_task_self() && socket->host != wf_sim_host(sim)))
		return -EBADF;
	*ret_socket = socket;
	return 0;
}

/* ---- New ones -------------------------------------------------------------------------------- */

static int open_new(struct wf_sim *sim, int family, struct wf_sim_socket **ret_socket)
{
	struct wf_sim_socket *socket = wf_sim_socket_new(sim, wf_sim_host(sim), family);
	int fd = wf_sim_socket_install(sim, socket);

	*ret_socket = socket;
	if (fd < 0)
		wf_sim_socket_drop(sim, socket);
	return fd;
}

static int open_socket(struct wf_poller *poller, int family)
{
	struct wf_sim *sim = sim_of(poller);
	struct wf_sim_socket *socket;
	int r = wf_sim_fault(sim, WF_SIM_SOCKET);

	if (r == 0 && family != AF_INET && family != AF_INET6 && family != AF_UNIX)
		r = -EAFNOSUPPORT;
	if (r == 0)
		r = open_new(sim, family, &socket);
	return (int)wf_sim_call_end(sim, WF_SIM_SOCKET, 0, r);
}

static int open_both(struct wf_sim *sim, int ret_fds[2])
{
	struct wf_sim_socket *a, *b;
	int first = open_new(sim, AF_UNIX, &a), second;

	if (first < 0)
		return first;
	second = open_new(sim, AF_UNIX, &b);
	if (second < 0) {
		wf_sim_socket_close(sim, a, first);
		return second;
	}
	wf_sim_socket_pair(sim, a, b);
	a->state = b->state = WF_SIM_PAIRED;
	ret_fds[0] = first;
	ret_fds[1] = second;
	return 0;
}

static int open_pair(struct wf_poller *poller, int ret_fds[2])
{
	struct wf_sim *sim = sim_of(poller);
	int r = wf_sim_fault(sim, WF_SIM_SOCKET);

	if (r == 0)
		r = open_both(sim, ret_fds);
	return (int)wf_sim_call_end(sim, WF_SIM_SOCKET, 0, r);
}

static int open_signals(struct wf_poller *poller, const sigset_t *set)
{
	struct wf_sim *sim = sim_of(poller);
	struct wf_sim_socket *socket;
	int r = wf_sim_fault(sim, WF_SIM_SIGNALS);

	if (r == 0 && (r = open_new(sim, AF_UNSPEC, &socket)) >= 0) {
		socket->state = WF_SIM_SIGNALFD;
		for (int i = 1; i <= SIGNALS_MAX; i++)
			if (sigismember(set, i) == 1)
				socket->signals |= (uint64_t)1 << (i - 1);
	}
	return (int)wf_sim_call_end(sim, WF_SIM_SIGNALS, 0, r);
}

/* No signal strikes here; they come from wf_sim_net_signal only. */
static void hold_signals(struct wf_poller *poller, const sigset_t *set, sigset_t *ret_before)
{
	(void)poller;
	(void)set;
	sigemptyset(ret_before);
}

static void release_signals(struct wf_poller *poller, const sigset_t *set)
{
	struct wf_sim *sim = sim_of(poller);

	for (int i = 1; i <= SIGNALS_MAX; i++)
		if (sigismember(set, i) == 1)
			sim->net.hosts[wf_sim_host(sim)].signals &= ~((uint64_t)1 << (i - 1));
}

/* ---- Options and names ------------------------------------------------------------------------- */

static int apply_option(struct wf_sim_socket *socket, int level, int name, int value)
{
	bool is_unix = wf_sim_is_unix(socket);

	if (is_unix && level != SOL_SOCKET)
		return -EOPNOTSUPP;
	if (level == SOL_SOCKET && name == SO_REUSEADDR)
		socket->reuse_address = value;
	else if (level == SOL_SOCKET && name == SO_REUSEPORT && !is_unix)
		socket->reuse_port = value;
	else if (level == IPPROTO_TCP && name == TCP_DEFER_ACCEPT)
		socket->defer_s = value;
	else if (level == IPPROTO_TCP && name == TCP_NODELAY)
		return 0; /* nothing is delayed */
	else if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY)
		return socket->family == AF_INET6 ? 0 : -ENOPROTOOPT;
	else
		return -ENOPROTOOPT;
	return 0;
}

static int set_option(struct wf_poller *poller, int fd, int level, int name, int value)
{
	struct wf_sim_socket *socket;
	struct wf_sim *sim;
	int r = wf_sim_call_begin(poller, WF_SIM_OPTION, fd, &sim, &socket);

	if (r == 0 && socket->state == WF_SIM_SIGNALFD)
		r = -ENOTSOCK;
	if (r == 0)
		r = apply_option(socket, level, name, value);
	return (int)wf_sim_call_end(sim, WF_SIM_OPTION, fd, r);
}

static int read_option(struct wf_sim_socket *socket, int level, int name, int *ret_value)
{
	if (level != SOL_SOCKET)
		return -ENOPROTOOPT;
	switch (name) {
	case SO_ERROR:
		*ret_value = wf_sim_take_error(socket);
		return 0;
	case SO_TYPE:
		*ret_value = SOCK_STREAM;
		return 0;
	case SO_DOMAIN:
		*ret_value = socket->family;
		return 0;
	case SO_ACCEPTCONN:
		*ret_value = socket->state == WF_SIM_LISTENING;
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

static int get_option(struct wf_poller *poller, int fd, int level, int name, int *ret_value)
{
	struct wf_sim_socket *socket;
	struct wf_sim *sim;
	int r = wf_sim_call_begin(poller, WF_SIM_OPTION, fd, &sim, &socket);

	if (r == 0 && socket->state == WF_SIM_SIGNALFD)
		r = -ENOTSOCK;
	if (r == 0)
		r = read_option(socket, level, name, ret_value);
	return (int)wf_sim_call_end(sim, WF_SIM_OPTION, fd, r);
}

static int set_nonblocking(struct wf_poller *poller, int fd)
{
	struct wf_sim_socket *socket;
	struct wf_sim *sim;
	int r = wf_sim_call_begin(poller, WF_SIM_OPTION, fd, &sim, &socket);

	if (r == 0)
		socket->blocks = false;
	return (int)wf_sim_call_end(sim, WF_SIM_OPTION, fd, r);
}

static int name(struct wf_poller *poller, int fd, bool of_peer,
		struct sockaddr_storage *ret_address, socklen_t *ret_length)
{
	struct wf_sim_socket *socket;
	struct wf_sim *sim;
	int r = wf_sim_call_begin(poller, WF_SIM_NAME, fd, &sim, &socket);

	if (r == -ENOTCONN && of_peer)
		wf_sim_socket_lose(sim, socket);
	else if (r == -ENOTCONN) /* which is of getpeername(2) only */
		r = -ENOBUFS;
	if (r == 0 && socket->state == WF_SIM_SIGNALFD)
		r = -ENOTSOCK;
	if (r == 0 && of_peer && !wf_sim_has_peer(socket))
		r = -ENOTCONN;
	if (r == 0) {
		const struct wf_sim_name *found = of_peer ? &socket->remote : &socket->local;

		*ret_length = found->length;
		memcpy(ret_address, &found->u, found->length);
	}
	return (int)wf_sim_call_end(sim, WF_SIM_NAME, fd, r);
}

/* ---- Binding, listening, accepting, connecting --------------------------------------------------- */

static int bind_to(struct wf_poller *poller, int fd, const struct sockaddr *address,
		   socklen_t length)
{
	struct wf_sim_socket *socket;
	struct wf_sim *sim;
	int r = wf_sim_call_begin(poller, WF_SIM_BIND, fd, &sim, &socket);

	if (r == 0)
		r = wf_sim_name_bind(sim, socket, address, length);
	return (int)wf_sim_call_end(sim, WF_SIM_BIND, fd, r);
}

static int listen_on(struct wf_poller *poller, int fd, int backlog)
{
	struct wf_sim_socket *socket;
	struct wf_sim *sim;
	int r = wf_sim_call_begin(poller, WF_SIM_LISTEN, fd, &sim, &socket);

	if (r == 0)
		r = wf_sim_name_listen(sim, socket, backlog);
	return (int)wf_sim_call_end(sim, WF_SIM_LISTEN, fd, r);
}

/* Errors of the system leave the connection in the queue; those of the network are its own. */
static bool is_of_the_system(int error)
{
	return error == -EMFILE || error == -ENFILE || error == -ENOBUFS || error == -ENOMEM ||
	       error == -EINTR || error == -EAGAIN;
}

static void fail_accept(struct wf_sim *sim, struct wf_sim_socket *listener, int error)
{
	struct wf_sim_socket *child;

	if (error == -EAGAIN)
		wf_sim_plan_alarm(sim, listener);
	if (is_of_the_system(error))
		return;
	child = wf_sim_listener_take(listener);
	if (child)
		wf_sim_listener_abort(sim, child);
}

static int take_connection(struct wf_sim *sim, struct wf_sim_socket *listener)
{
	struct wf_sim_host *host = wf_sim_host_of(sim, listener);

	/* Linux takes the descriptor before it looks for anything else. */
	if (host->descriptors >= host->descriptors_max)
		return -EMFILE;
	if (listener->state != WF_SIM_LISTENING)
		return listener->state == WF_SIM_SIGNALFD ? -ENOTSOCK : -EINVAL;
	if (listener->queued == 0)
		return -EAGAIN;
	return wf_sim_socket_install(sim, wf_sim_listener_take(listener));
}

static int accept_from(struct wf_poller *poller, int fd)
{
	struct wf_sim_socket *socket;
	struct wf_sim *sim;
	int r = wf_sim_socket_find(sim_of(poller), fd, &socket);

	sim = sim_of(poller);
	if (r == 0 && (r = wf_sim_fault(sim, WF_SIM_ACCEPT)) < 0)
		fail_accept(sim, socket, r);
	else if (r == 0)
		r = take_connection(sim, socket);
	return (int)wf_sim_call_end(sim, WF_SIM_ACCEPT, fd, r);
}

/* An interrupted connect goes on by itself. */
static int connect_to(struct wf_poller *poller, int fd, const struct sockaddr *address,
		      socklen_t length)
{
	struct wf_sim_socket *socket;
	struct wf_sim *sim;
	int fault = wf_sim_call_begin(poller, WF_SIM_CONNECT, fd, &sim, &socket), r = fault;

	if (fault == 0 || fault == -EINTR)
		r = wf_sim_dial(sim, socket, address, length);
	if (fault == -EINTR && (r == 0 || r == -EINPROGRESS))
		r = -EINTR;
	return (int)wf_sim_call_end(sim, WF_SIM_CONNECT, fd, r);
}

/* ---- Looking and closing ---------------------------------------------------------------------------------- */

/* The events of poll(2) have the numbers of those of epoll(7). */
static int poll_fd(struct wf_poller *poller, int fd, short events)
{
	struct wf_sim *sim = sim_of(poller);
	struct wf_sim_socket *socket;
	int r = wf_sim_socket_find(sim, fd, &socket);

	if (r < 0)
		return r;
	return (wf_sim_socket_level(sim, socket) & ((uint32_t)events | EPOLLHUP | EPOLLERR)) != 0;
}

/* The descriptor is free, whatever close(2) would have said. */
static void close_fd(struct wf_poller *poller, int fd)
{
	struct wf_sim_socket *socket = NULL;
	struct wf_sim *sim;
	int r = wf_sim_call_begin(poller, WF_SIM_CLOSE, fd, &sim, &socket);

	if (socket)
		wf_sim_socket_close(sim, socket, fd);
	(void)wf_sim_call_end(sim, WF_SIM_CLOSE, fd, r);
}

/* ---- Files ----------------------------------------------------------------------------------- */

static int stat_fd(struct wf_poller *poller, int fd, struct stat *ret_status)
{
	struct wf_sim_socket *socket;
	int r = wf_sim_socket_find(sim_of(poller), fd, &socket);

	if (r < 0)
		return r;
	*ret_status = (struct stat){
		.st_mode = socket->state == WF_SIM_SIGNALFD ? S_IRUSR | S_IWUSR : S_IFSOCK | 0777,
		.st_nlink = 1,
	};
	return 0;
}

static int stat_path(struct wf_poller *poller, const char *path, struct stat *ret_status)
{
	struct wf_sim *sim = sim_of(poller);
	const struct wf_sim_path *found = wf_sim_name_find_path(sim, wf_sim_host(sim), path);

	if (!found)
		return -ENOENT;
	*ret_status = (struct stat){
		.st_mode = S_IFSOCK | 0755,
		.st_ino = found->inode,
		.st_nlink = 1,
	};
	return 0;
}

static int unlink_path(struct wf_poller *poller, const char *path)
{
	struct wf_sim *sim = sim_of(poller);
	struct wf_sim_path *found = wf_sim_name_find_path(sim, wf_sim_host(sim), path);

	if (!found)
		return -ENOENT;
	wf_sim_name_remove_path(found);
	return 0;
}

static uint64_t descriptors_max(struct wf_poller *poller)
{
	struct wf_sim *sim = sim_of(poller);

	return sim->net.hosts[wf_sim_host(sim)].descriptors_max;
}

const struct wf_system wf_sim_system = {
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
	.receive = wf_sim_stream_receive,
	.read = wf_sim_stream_read,
	.send = wf_sim_stream_send,
	.shutdown = wf_sim_stream_shutdown,
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
