/* SPDX-License-Identifier: MIT */
/*
 * Listening sockets. What connections shall have is set here, once, and inherited: an accepted
 * connection costs one system call.
 */
#include "net/listen.h"

#include "io/op.h"
#include "io/system.h"
#include "net/address.h"
#include "net/conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <weft/net.h>

enum { BACKLOG_DEFAULT = 4096 };

struct weft_listener {
	struct wf_file file;
	struct weft_address address;
	uint32_t backlog;
	dev_t device; /* of the socket file, with its inode: only our own is removed */
	ino_t inode;
};

static const struct weft_listen_options default_options;

static void release(struct wf_file *file)
{
	struct weft_listener *listener = wf_container(file, struct weft_listener, file);

	wf_memory_free(&file->worker->memory, listener, sizeof *listener);
}

static const struct wf_file_kind listener_kind = { .release = release, .is_listener = true };

static int set_options(struct wf_poller *poller, int fd, int family,
		       const struct weft_listen_options *options)
{
	const struct wf_system *system = poller->system;
	int r = 0;

	if (family == AF_UNIX)
		return 0;
	/* A port in TIME_WAIT is no other server; one that is listened on still is refused. */
	r = system->set_option(poller, fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (r == 0 && options->reuse_port)
		r = system->set_option(poller, fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (r == 0 && family == AF_INET6)
		r = system->set_option(poller, fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	if (r == 0)
		r = system->set_option(poller, fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (r == 0 && options->defer_accept_s > 0)
		r = system->set_option(poller, fd, IPPROTO_TCP, TCP_DEFER_ACCEPT,
				       options->defer_accept_s);
	return r;
}

/* Removes a socket file nobody listens on: what a server that was killed leaves behind. */
static bool remove_stale(struct wf_poller *poller, const struct weft_address *address)
{
	const struct wf_system *system = poller->system;
	const char *path = wf_address_path(address);
	struct stat status;
	int fd, r;

	if (!path || system->stat_path(poller, path, &status) < 0 || !S_ISSOCK(status.st_mode))
		return false;
	fd = system->socket(poller, AF_UNIX);
	if (fd < 0)
		return false;
	r = system->connect(poller, fd, wf_address_sockaddr(address), address->length);
	system->close(poller, fd);
	return r == -ECONNREFUSED && system->unlink(poller, path) == 0;
}

static int bind_to(struct wf_poller *poller, int fd, const struct weft_address *address)
{
	const struct sockaddr *where = wf_address_sockaddr(address);
	int r = poller->system->bind(poller, fd, where, address->length);

	if (r == -EADDRINUSE && remove_stale(poller, address))
		r = poller->system->bind(poller, fd, where, address->length);
	return r;
}

/* Opens, binds and starts a socket; returns its descriptor. */
static int open_socket(struct wf_poller *poller, const struct weft_address *address, int backlog,
		       const struct weft_listen_options *options)
{
	int family = wf_address_family(address);
	int fd = poller->system->socket(poller, family);
	int r;

	if (fd < 0)
		return fd;
	r = set_options(poller, fd, family, options);
	if (r == 0)
		r = bind_to(poller, fd, address);
	if (r == 0)
		r = poller->system->listen(poller, fd, backlog);
	if (r < 0) {
		poller->system->close(poller, fd);
		return r;
	}
	return fd;
}

/* The file of a Unix socket, if it is there. */
static bool find_file(const struct weft_listener *listener, struct stat *ret_status)
{
	struct wf_poller *poller = listener->file.worker->poller;
	const char *path = wf_address_path(&listener->address);

	return path && poller->system->stat_path(poller, path, ret_status) == 0;
}

static void remember_file(struct weft_listener *listener)
{
	struct stat status;

	if (find_file(listener, &status)) {
		listener->device = status.st_dev;
		listener->inode = status.st_ino;
	}
}

static void remove_file(const struct weft_listener *listener)
{
	struct wf_poller *poller = listener->file.worker->poller;
	struct stat status;

	if (!find_file(listener, &status) || status.st_dev != listener->device ||
	    status.st_ino != listener->inode)
		return;
	/* A file that stays is stale, and replaced next time. */
	(void)poller->system->unlink(poller, wf_address_path(&listener->address));
}

int weft_listen(const char *address, const struct weft_listen_options *options,
		struct weft_listener **ret_listener)
{
	const struct weft_listen_options *o = options ? options : &default_options;
	int backlog = o->backlog > 0 ? o->backlog : BACKLOG_DEFAULT;
	struct weft_worker *worker = wf_worker;
	struct weft_listener *listener;
	int fd, r;

	if (!worker)
		return -EPERM;
	listener = wf_memory_new(&worker->memory, sizeof *listener);
	if (!listener)
		return -ENOMEM;
	r = weft_address_parse(address, &listener->address, NULL);
	if (r < 0)
		goto free_listener;
	fd = r = open_socket(worker->poller, &listener->address, backlog, o);
	if (r < 0)
		goto free_listener;
	wf_file_init(&listener->file, worker, fd, &listener_kind);
	listener->backlog = (uint32_t)backlog;
	remember_file(listener);
	*ret_listener = listener;
	return 0;

free_listener:
	wf_memory_free(&worker->memory, listener, sizeof *listener);
	return r;
}

int wf_listener_accept(struct weft_listener *listener, uint32_t room, struct weft_conn **ret_conn)
{
	struct wf_op op = { .file = &listener->file, .kind = WF_OP_ACCEPT };
	struct wf_task *task = wf_file_user(&listener->file);
	struct weft_conn *conn;
	int64_t fd;
	int r;

	if (!task)
		return -EPERM;
	/* First, so that without memory the connection stays in the backlog. */
	r = wf_conn_new(task->worker, -1, wf_address_family(&listener->address), &conn);
	if (r < 0) {
		int stop = wf_checkpoint_soft(task);

		return stop < 0 ? stop : r;
	}
	op.u.accept.room = room;
	op.u.accept.backlog = listener->backlog;
	fd = wf_op_run(&op, listener, WF_WAIT_ACCEPT);
	if (fd < 0) {
		weft_close(conn);
		return (int)fd;
	}
	conn->watch.file.fd = (int)fd;
	*ret_conn = conn;
	return 0;
}

int weft_accept(struct weft_listener *listener, struct weft_conn **ret_conn)
{
	return wf_listener_accept(listener, 0, ret_conn); /* how many more it wants is not known */
}

int weft_listener_address(struct weft_listener *listener, struct weft_address *ret_address)
{
	const struct wf_file *file = &listener->file;
	int r = wf_file_check(file);

	return r < 0 ? r : wf_address_of(file->worker->poller, file->fd, false, ret_address);
}

void weft_listener_close(struct weft_listener *listener)
{
	if (!listener || wf_forked)
		return;
	remove_file(listener); /* before the close, after which the inode may be another's */
	wf_file_close(&listener->file);
	wf_file_drop(&listener->file);
}
