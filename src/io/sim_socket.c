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
#include <sys/signalfd.h>
#include <weft/error.h>

/* A send that is corked leaves by itself after that: tcp(7). */
static const weft_time CORK_NS = 200 * WEFT_MILLISECOND;

/* How soon after a false alarm the next report comes, at the latest. */
static const weft_time ALARM_NS = WEFT_MILLISECOND;

enum { SIGNALS_MAX = 64 };

static struct wf_sim *sim_of(struct wf_poller *poller)
{
	return wf_container(poller, struct wf_sim, ready.poller);
}

/* Notes what came of a call, and returns it. */
static ssize_t end_call(struct wf_sim *sim, enum wf_sim_op op, int fd, ssize_t result)
{
	wf_sim_note(sim, (uint64_t)op << 56 | (uint64_t)(fd & 0xffffff) << 32 | (uint32_t)result);
	if (wf_unlikely(sim->traces))
		wf_sim_trace(sim, "%s fd %d: %s %zd", wf_sim_op_name(op), fd,
			     weft_error_name((int)result), result);
	return result;
}

/* Starts a call on a descriptor: finds its socket, and asks for a mishap. */
static int begin(struct wf_poller *poller, enum wf_sim_op op, int fd, struct wf_sim **ret_sim,
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
	return (int)end_call(sim, WF_SIM_SOCKET, 0, r);
}

static int open_both(struct wf_sim *sim, int ret_fds[2])
{
	struct wf_sim_socket *a, *b;
	int first = open_new(sim, AF_UNIX, &a), second;

	if (first < 0)
		return first;
	second = open_new(sim, AF_UNIX, &b);
	if (second < 0) {
		wf_sim_socket_close(sim, a);
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
	return (int)end_call(sim, WF_SIM_SOCKET, 0, r);
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
	return (int)end_call(sim, WF_SIM_SIGNALS, 0, r);
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
	bool is_tcp = !wf_sim_is_unix(socket);

	if (level == SOL_SOCKET && name == SO_REUSEADDR)
		socket->reuse_address = value;
	else if (level == SOL_SOCKET && name == SO_REUSEPORT && is_tcp)
		socket->reuse_port = value;
	else if (level == IPPROTO_TCP && name == TCP_DEFER_ACCEPT && is_tcp)
		socket->defer_s = value;
	else if (level == IPPROTO_TCP)
		return name == TCP_NODELAY && is_tcp ? 0 : -ENOPROTOOPT;
	else if (level == IPPROTO_IPV6)
		return name == IPV6_V6ONLY && socket->family == AF_INET6 ? 0 : -ENOPROTOOPT;
	else
		return -ENOPROTOOPT;
	return 0;
}

static int set_option(struct wf_poller *poller, int fd, int level, int name, int value)
{
	struct wf_sim_socket *socket;
	struct wf_sim *sim;
	int r = begin(poller, WF_SIM_OPTION, fd, &sim, &socket);

	if (r == 0 && socket->state == WF_SIM_SIGNALFD)
		r = -ENOTSOCK;
	if (r == 0)
		r = apply_option(socket, level, name, value);
	return (int)end_call(sim, WF_SIM_OPTION, fd, r);
}

static int take_error(struct wf_sim_socket *socket)
{
	int error = socket->error;

	socket->error = 0;
	return error;
}

static int read_option(struct wf_sim_socket *socket, int level, int name, int *ret_value)
{
	if (level != SOL_SOCKET)
		return -ENOPROTOOPT;
	switch (name) {
	case SO_ERROR:
		*ret_value = take_error(socket);
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
	int r = begin(poller, WF_SIM_OPTION, fd, &sim, &socket);

	if (r == 0 && socket->state == WF_SIM_SIGNALFD)
		r = -ENOTSOCK;
	if (r == 0)
		r = read_option(socket, level, name, ret_value);
	return (int)end_call(sim, WF_SIM_OPTION, fd, r);
}

static int set_nonblocking(struct wf_poller *poller, int fd)
{
	struct wf_sim_socket *socket;
	struct wf_sim *sim;
	int r = begin(poller, WF_SIM_OPTION, fd, &sim, &socket);

	return (int)end_call(sim, WF_SIM_OPTION, fd, r);
}

/* A connection of TCP has a peer until it is over; Unix sockets remember theirs. */
static bool has_peer(const struct wf_sim_socket *socket)
{
	if (socket->state != WF_SIM_PAIRED)
		return false;
	return wf_sim_is_unix(socket) || !(socket->is_dead || (socket->has_ended && socket->ends));
}

static int name(struct wf_poller *poller, int fd, bool of_peer,
		struct sockaddr_storage *ret_address, socklen_t *ret_length)
{
	struct wf_sim_socket *socket;
	struct wf_sim *sim;
	int r = begin(poller, WF_SIM_NAME, fd, &sim, &socket);

	if (r == 0 && socket->state == WF_SIM_SIGNALFD)
		r = -ENOTSOCK;
	if (r == 0 && of_peer && !has_peer(socket))
		r = -ENOTCONN;
	if (r == 0) {
		const struct wf_sim_name *found = of_peer ? &socket->remote : &socket->local;

		*ret_length = found->length;
		memcpy(ret_address, &found->u, found->length);
	}
	return (int)end_call(sim, WF_SIM_NAME, fd, r);
}

/* ---- Binding, listening, accepting, connecting --------------------------------------------------- */

static int bind_to(struct wf_poller *poller, int fd, const struct sockaddr *address,
		   socklen_t length)
{
	struct wf_sim_socket *socket;
	struct wf_sim *sim;
	int r = begin(poller, WF_SIM_BIND, fd, &sim, &socket);

	if (r == 0)
		r = wf_sim_name_bind(sim, socket, address, length);
	return (int)end_call(sim, WF_SIM_BIND, fd, r);
}

static int listen_on(struct wf_poller *poller, int fd, int backlog)
{
	struct wf_sim_socket *socket;
	struct wf_sim *sim;
	int r = begin(poller, WF_SIM_LISTEN, fd, &sim, &socket);

	if (r == 0)
		r = wf_sim_name_listen(sim, socket, backlog);
	return (int)end_call(sim, WF_SIM_LISTEN, fd, r);
}

static void sound_alarm(struct wf_sim *sim, void *object, uint64_t value)
{
	(void)value;
	wf_sim_socket_touch(sim, object);
	wf_sim_socket_drop(sim, object);
}

/* Nothing was to be had, it was said in error: so there will be another report. */
static void plan_alarm(struct wf_sim *sim, struct wf_sim_socket *socket)
{
	uint64_t after = wf_sim_draw(sim, WF_SIM_NETWORK, 1, (uint64_t)ALARM_NS);

	wf_sim_socket_plan(sim, socket, sim->now + (weft_time)after, sound_alarm, 0);
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
		plan_alarm(sim, listener);
	if (is_of_the_system(error))
		return;
	child = wf_sim_listener_take(listener);
	if (child)
		wf_sim_listener_abort(sim, child);
}

static int take_connection(struct wf_sim *sim, struct wf_sim_socket *listener)
{
	struct wf_sim_host *host = wf_sim_host_of(sim, listener);

	if (listener->state != WF_SIM_LISTENING)
		return listener->state == WF_SIM_SIGNALFD ? -ENOTSOCK : -EINVAL;
	if (listener->queued == 0)
		return -EAGAIN;
	if (host->descriptors >= host->descriptors_max)
		return -EMFILE;
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
	return (int)end_call(sim, WF_SIM_ACCEPT, fd, r);
}

/* An interrupted connect goes on by itself. */
static int connect_to(struct wf_poller *poller, int fd, const struct sockaddr *address,
		      socklen_t length)
{
	struct wf_sim_socket *socket;
	struct wf_sim *sim;
	int fault = begin(poller, WF_SIM_CONNECT, fd, &sim, &socket), r = fault;

	if (fault == 0 || fault == -EINTR)
		r = wf_sim_dial(sim, socket, address, length);
	if (fault == -EINTR && (r == 0 || r == -EINPROGRESS))
		r = -EINTR;
	return (int)end_call(sim, WF_SIM_CONNECT, fd, r);
}

/* ---- Receiving ------------------------------------------------------------------------------- */

/* What a receive finds where there are no bytes. A Unix socket tells the error before the end. */
static int receive_nothing(struct wf_sim_socket *socket)
{
	switch (socket->state) {
	case WF_SIM_DIALING:
		return -EAGAIN;
	case WF_SIM_PAIRED:
	case WF_SIM_FAILED:
		if (socket->error && (wf_sim_is_unix(socket) || !socket->has_ended))
			return -take_error(socket);
		return socket->has_ended || socket->is_dead ? 0 : -EAGAIN;
	case WF_SIM_SIGNALFD:
		return -ENOTSOCK;
	default:
		return wf_sim_is_unix(socket) ? -EINVAL : -ENOTCONN;
	}
}

static ssize_t take_bytes(struct wf_sim *sim, struct wf_sim_socket *socket, void *buffer,
			  size_t bytes, int flags)
{
	uint32_t count = socket->input.arrived;

	if (count == 0)
		return receive_nothing(socket);
	if (count > bytes)
		count = (uint32_t)bytes;
	wf_sim_pipe_peek(&socket->input, buffer, count);
	wf_sim_note_bytes(sim, buffer, count);
	if (!(flags & MSG_PEEK))
		wf_sim_socket_take(sim, socket, count);
	return count;
}

/* Errors of a connection, as opposed to those of the moment. */
static bool is_fatal(int error)
{
	return error == -ECONNRESET || error == -EPIPE || error == -ETIMEDOUT ||
	       error == -EHOSTUNREACH;
}

static void fail_transfer(struct wf_sim *sim, struct wf_sim_socket *socket, int error)
{
	if (error == -EAGAIN)
		plan_alarm(sim, socket);
	if (is_fatal(error) && socket->state == WF_SIM_PAIRED)
		wf_sim_socket_reset(sim, socket);
}

static ssize_t receive(struct wf_poller *poller, int fd, void *buffer, size_t bytes, int flags)
{
	struct wf_sim_socket *socket = NULL;
	struct wf_sim *sim;
	ssize_t n = begin(poller, WF_SIM_RECEIVE, fd, &sim, &socket);

	if (n < 0 && socket)
		fail_transfer(sim, socket, (int)n);
	else if (n == 0)
		n = take_bytes(sim, socket, buffer, bytes, flags);
	return end_call(sim, WF_SIM_RECEIVE, fd, n);
}

static ssize_t take_signal(struct wf_sim *sim, struct wf_sim_socket *socket, void *buffer,
			   size_t bytes)
{
	uint64_t *raised = &wf_sim_host_of(sim, socket)->signals;
	uint64_t ready = *raised & socket->signals;
	struct signalfd_siginfo info = { 0 };

	if (bytes < sizeof info)
		return -EINVAL;
	if (!ready)
		return -EAGAIN;
	*raised &= ~(ready & -ready);
	info.ssi_signo = (uint32_t)__builtin_ctzll(ready) + 1;
	memcpy(buffer, &info, sizeof info);
	return sizeof info;
}

static ssize_t read_from(struct wf_poller *poller, int fd, void *buffer, size_t bytes)
{
	struct wf_sim_socket *socket = NULL;
	struct wf_sim *sim;
	ssize_t n = begin(poller, WF_SIM_RECEIVE, fd, &sim, &socket);

	if (n < 0 && socket)
		fail_transfer(sim, socket, (int)n);
	else if (n == 0 && socket->state == WF_SIM_SIGNALFD)
		n = take_signal(sim, socket, buffer, bytes);
	else if (n == 0)
		n = take_bytes(sim, socket, buffer, bytes, 0);
	return end_call(sim, WF_SIM_RECEIVE, fd, n);
}

static bool has_input(struct wf_poller *poller, int fd)
{
	struct wf_sim *sim = sim_of(poller);
	struct wf_sim_socket *socket;

	if (wf_sim_socket_find(sim, fd, &socket) < 0)
		return true; /* whoever wants it finds out */
	return wf_sim_socket_level(sim, socket) & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR);
}

/* ---- Sending --------------------------------------------------------------------------------- */

/* Why nothing can be sent, or 0. */
static int refuse_to_send(struct wf_sim_socket *socket)
{
	switch (socket->state) {
	case WF_SIM_PAIRED:
		if (!socket->ends && !socket->is_dead)
			return 0;
		/* fall through */
	case WF_SIM_FAILED:
		return socket->error && !wf_sim_is_unix(socket) ? -take_error(socket) : -EPIPE;
	case WF_SIM_DIALING:
		return -EAGAIN;
	case WF_SIM_SIGNALFD:
		return -ENOTSOCK;
	default:
		return wf_sim_is_unix(socket) ? -ENOTCONN : -EPIPE;
	}
}

static void uncork_late(struct wf_sim *sim, void *object, uint64_t corkings)
{
	struct wf_sim_socket *to = object;

	if (to->input.corked > 0 && to->input.corkings == corkings && !to->peer->is_dead)
		wf_sim_socket_uncork(sim, to);
	wf_sim_socket_drop(sim, to);
}

/* What has been put into the pipe leaves, unless more is to come. */
static void let_go(struct wf_sim *sim, struct wf_sim_socket *to, bool more, bool was_corked)
{
	if (!more || wf_sim_is_unix(to)) {
		wf_sim_socket_uncork(sim, to);
	} else if (!was_corked) {
		to->input.corkings++;
		wf_sim_socket_plan(sim, to, sim->now + CORK_NS, uncork_late, to->input.corkings);
	}
}

/* Puts as much into the pipe as there is room for, at most `most` bytes. */
static size_t put_vector(struct wf_sim *sim, struct wf_sim_pipe *pipe, const struct iovec *vector,
			 int count, size_t most)
{
	size_t done = 0;

	for (int i = 0; i < count && done < most; i++) {
		size_t bytes = vector[i].iov_len, room = wf_sim_pipe_room(pipe);

		if (bytes > most - done)
			bytes = most - done;
		if (bytes > room)
			bytes = room;
		wf_sim_pipe_put(pipe, vector[i].iov_base, (uint32_t)bytes);
		wf_sim_note_bytes(sim, vector[i].iov_base, bytes);
		done += bytes;
		if (bytes == room)
			break;
	}
	return done;
}

static ssize_t send_bytes(struct wf_sim *sim, struct wf_sim_socket *socket,
			  const struct iovec *vector, int count, size_t most, int flags)
{
	struct wf_sim_socket *to = socket->peer;
	size_t total = 0, done;
	bool was_corked;
	int r = refuse_to_send(socket);

	if (r < 0)
		return r;
	for (int i = 0; i < count; i++)
		total += vector[i].iov_len;
	was_corked = to->input.corked > 0;
	done = put_vector(sim, &to->input, vector, count, most);
	if (done < total && done < most) /* refused: what is corked does not wait for more */
		socket->wants_room = true;
	let_go(sim, to, flags & MSG_MORE && !socket->wants_room, was_corked);
	return done > 0 || total == 0 ? (ssize_t)done : -EAGAIN;
}

static ssize_t send_to(struct wf_poller *poller, int fd, const struct iovec *vector, int count,
		       int flags)
{
	struct wf_sim_socket *socket = NULL;
	struct wf_sim *sim;
	int fault = begin(poller, WF_SIM_SEND, fd, &sim, &socket);
	ssize_t n = fault;

	if (fault < 0 && socket)
		fail_transfer(sim, socket, fault);
	else if (fault >= 0)
		n = send_bytes(sim, socket, vector, count, fault > 0 ? (size_t)fault : SIZE_MAX,
			       flags);
	return end_call(sim, WF_SIM_SEND, fd, n);
}

/* ---- Ending ---------------------------------------------------------------------------------- */

void wf_sim_socket_end(struct wf_sim *sim, struct wf_sim_socket *socket)
{
	if (socket->ends)
		return;
	socket->ends = true;
	socket->ended_first = !socket->has_ended;
	wf_sim_socket_uncork(sim, socket->peer);
	wf_sim_socket_send(sim, socket->peer, WF_PARCEL_END, 0);
}

/* A Unix socket's close reaches both directions of the other end at once. */
static void part_unix(struct wf_sim *sim, struct wf_sim_socket *socket, bool rudely)
{
	struct wf_sim_socket *peer = socket->peer;

	socket->is_dead = true;
	peer->has_ended = true;
	peer->ends = true;
	if (rudely)
		peer->error = ECONNRESET;
	wf_sim_socket_touch(sim, peer);
}

void wf_sim_socket_part(struct wf_sim *sim, struct wf_sim_socket *socket, bool rudely)
{
	if (wf_sim_is_unix(socket))
		part_unix(sim, socket, rudely);
	else if (rudely)
		wf_sim_socket_reset(sim, socket);
	else
		wf_sim_socket_end(sim, socket);
}

static int end_output(struct wf_sim *sim, struct wf_sim_socket *socket)
{
	if (socket->state == WF_SIM_SIGNALFD)
		return -ENOTSOCK;
	if (!wf_sim_is_unix(socket) && !has_peer(socket))
		return socket->state == WF_SIM_LISTENING ? 0 : -ENOTCONN;
	if (socket->state != WF_SIM_PAIRED)
		return 0;
	wf_sim_socket_end(sim, socket);
	if (!wf_sim_is_unix(socket)) /* which is told of nothing that it did itself */
		wf_sim_socket_touch(sim, socket);
	return 0;
}

static int shut_down(struct wf_poller *poller, int fd)
{
	struct wf_sim_socket *socket;
	struct wf_sim *sim;
	int r = begin(poller, WF_SIM_SHUTDOWN, fd, &sim, &socket);

	if (r == 0)
		r = end_output(sim, socket);
	return (int)end_call(sim, WF_SIM_SHUTDOWN, fd, r);
}

/* The descriptor is free, whatever close(2) would have said. */
static void close_fd(struct wf_poller *poller, int fd)
{
	struct wf_sim_socket *socket = NULL;
	struct wf_sim *sim;
	int r = begin(poller, WF_SIM_CLOSE, fd, &sim, &socket);

	if (socket)
		wf_sim_socket_close(sim, socket);
	(void)end_call(sim, WF_SIM_CLOSE, fd, r);
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
	.receive = receive,
	.read = read_from,
	.send = send_to,
	.shutdown = shut_down,
	.has_input = has_input,
	.close = close_fd,
	.stat = stat_fd,
	.stat_path = stat_path,
	.unlink = unlink_path,
	.descriptors_max = descriptors_max,
	.signals = open_signals,
	.hold_signals = hold_signals,
	.release_signals = release_signals,
};
