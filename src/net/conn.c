/* SPDX-License-Identifier: MIT */
/* Reading, writing and ending stream connections. */
#include "net/conn.h"

#include "io/op.h"
#include "io/system.h"
#include "net/address.h"

#include <errno.h>
#include <string.h>
#include <weft/scope.h>
#include <weft/task.h>

static void release(struct wf_file *file)
{
	struct weft_conn *conn = wf_container(file, struct weft_conn, watch.file);

	wf_conn_drop_input(conn);
	file->worker->watch_bytes -= sizeof *conn;
	wf_memory_free(&file->worker->memory, conn, sizeof *conn);
}

static int before_park(struct wf_file *file)
{
	if (file->bits & WF_CONN_FILLING)
		return -EBUSY; /* the task may be in line for a buffer */
	file->bits &= (uint8_t)~WF_CONN_FETCHED;
	wf_conn_put_away(wf_container(file, struct weft_conn, watch.file));
	return 0;
}

/* What has been received is there for weft_read; a task that fills, or sends, may be between two
 * operations. */
static int before_select(struct wf_file *file, bool reads)
{
	const struct weft_conn *conn = wf_container(file, struct weft_conn, watch.file);

	if (file->bits & (reads ? WF_CONN_FILLING : WF_CONN_WRITING))
		return -EBUSY;
	return reads && (conn->input || file->bits & WF_CONN_FETCHED);
}

static const struct wf_file_kind conn_kind = {
	.release = release,
	.readable = wf_watch_readable,
	.before_park = before_park,
	.before_select = before_select,
};

int wf_conn_new(struct weft_worker *worker, int fd, int family, struct weft_conn **ret_conn)
{
	struct weft_conn *conn = wf_memory_new(&worker->memory, sizeof *conn);

	if (!conn)
		return -ENOMEM;
	wf_watch_init(&conn->watch, worker, fd, &conn_kind);
	conn->watch.file.has_marks = family == AF_UNIX;
	conn->input = NULL;
	worker->watch_bytes += sizeof *conn;
	*ret_conn = conn;
	return 0;
}

int weft_conn_from_fd(int fd, struct weft_conn **ret_conn)
{
	struct weft_worker *worker = wf_worker;
	struct weft_conn *conn;
	struct wf_poller *poller;
	int type, family, r;

	if (!worker)
		return -EPERM;
	poller = worker->poller;
	r = poller->system->get_option(poller, fd, SOL_SOCKET, SO_TYPE, &type);
	if (r < 0)
		return r;
	if (type != SOCK_STREAM)
		return -EPROTOTYPE;
	r = poller->system->get_option(poller, fd, SOL_SOCKET, SO_DOMAIN, &family);
	if (r < 0)
		return r;
	r = wf_conn_new(worker, fd, family, &conn);
	if (r < 0)
		return r;
	r = poller->system->set_nonblocking(poller, fd);
	if (r < 0) {
		conn->watch.file.fd = -1; /* the caller keeps it */
		weft_close(conn);
		return r;
	}
	*ret_conn = conn;
	return 0;
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* The checkpoint of calls that may end before they run an operation. */
static int check(const struct weft_conn *conn)
{
	struct wf_task *task = wf_file_user(&conn->watch.file);

	return task ? wf_checkpoint(task) : -EPERM;
}

static ssize_t receive(struct weft_conn *conn, void *buffer, size_t bytes)
{
	struct wf_op op = { .file = &conn->watch.file, .kind = WF_OP_RECEIVE };

	op.u.receive.buffer = buffer;
	op.u.receive.bytes = bytes;
	return (ssize_t)wf_op_run(&op, conn, WF_WAIT_READ);
}

/* What has been received already, then what ended that, then what comes. */
static ssize_t read_next(struct weft_conn *conn, void *buffer, size_t bytes)
{
	if (conn->input)
		return (ssize_t)wf_conn_read_input(conn, buffer, bytes);
	if (conn->watch.file.bits & WF_CONN_FETCHED)
		return wf_conn_fetched(conn);
	return receive(conn, buffer, bytes);
}

/* Reads where input has been received already, or is being received by weft_fill. */
static ssize_t read_received(struct weft_conn *conn, void *buffer, size_t bytes)
{
	struct wf_file *file = &conn->watch.file;
	ssize_t n;

	wf_file_hold(file);
	n = check(conn);
	if (n == 0 && file->fd < 0)
		n = WEFT_ECLOSED;
	if (n == 0 && (file->parked || file->reader || file->bits & WF_CONN_FILLING))
		n = -EBUSY;
	if (n == 0)
		n = read_next(conn, buffer, bytes);
	wf_file_drop(file);
	return n;
}

ssize_t weft_read(struct weft_conn *conn, void *buffer, size_t bytes)
{
	if (wf_unlikely(bytes == 0)) {
		int r = check(conn);

		return r < 0 ? r : -EINVAL;
	}
	if (wf_unlikely(conn->input || conn->watch.file.bits & (WF_CONN_FILLING | WF_CONN_FETCHED)))
		return read_received(conn, buffer, bytes);
	return receive(conn, buffer, bytes);
}

int weft_read_full(struct weft_conn *conn, void *buffer, size_t bytes, size_t *ret_done)
{
	size_t done = 0;
	ssize_t n = 1;
	int r = 0;

	if (ret_done)
		*ret_done = 0;
	if (!wf_file_user(&conn->watch.file))
		return -EPERM;
	wf_file_hold(&conn->watch.file); /* from one read to the next */
	if (bytes == 0)
		r = check(conn);
	while (done < bytes && n > 0) {
		n = weft_read(conn, (char *)buffer + done, bytes - done);
		if (n > 0)
			done += (size_t)n;
	}
	wf_file_drop(&conn->watch.file);
	if (ret_done)
		*ret_done = done;
	if (n == 0)
		return WEFT_EEOF;
	return n < 0 ? (int)n : r;
}

/* ---- Writing --------------------------------------------------------------------------------- */

static bool is_writing(const struct weft_conn *conn)
{
	return conn->watch.file.bits & WF_CONN_WRITING;
}

/* The connection is one writer's until all is sent, also between two operations. */
static int64_t send_in_turns(struct weft_conn *conn, struct wf_op *op)
{
	struct wf_file *file = &conn->watch.file;
	int64_t r;

	file->bits |= WF_CONN_WRITING;
	do
		r = wf_op_run(op, conn, WF_WAIT_WRITE);
	while (r > 0 && (r = weft_yield()) == 0);
	file->bits &= (uint8_t)~WF_CONN_WRITING;
	return r;
}

static int send_all(struct weft_conn *conn, const struct iovec *vector, int count, int flags,
		    size_t *ret_done)
{
	struct wf_op op = { .file = &conn->watch.file, .kind = WF_OP_SEND, .flags = flags };
	int64_t r = wf_file_user(&conn->watch.file) ? 0 : -EPERM;

	op.u.send.vector = vector;
	op.u.send.count = count;
	if (r == 0) {
		wf_file_hold(&conn->watch.file);
		if (wf_unlikely(is_writing(conn) || count < 0))
			r = check(conn);
		if (r == 0)
			r = is_writing(conn) ? -EBUSY :
			    count < 0	     ? -EINVAL :
					       send_in_turns(conn, &op);
		wf_file_drop(&conn->watch.file);
	}
	if (ret_done)
		*ret_done = op.done;
	return (int)r;
}

int weft_writev(struct weft_conn *conn, const struct iovec *vector, int count, size_t *ret_done)
{
	return send_all(conn, vector, count, 0, ret_done);
}

int weft_write(struct weft_conn *conn, const void *buffer, size_t bytes, size_t *ret_done)
{
	struct iovec piece = { .iov_base = (void *)(uintptr_t)buffer, .iov_len = bytes };

	return send_all(conn, &piece, 1, 0, ret_done);
}

/* ---- Ending ---------------------------------------------------------------------------------- */

/* A task that fills may be in line for a buffer, rather than in an operation on the file. */
static void close_descriptor(struct weft_conn *conn)
{
	struct wf_file *file = &conn->watch.file;

	wf_file_close(file);
	if (file->bits & WF_CONN_FILLING)
		wf_blocks_end(&file->worker->buffers, conn, WEFT_ECLOSED);
}

int weft_shutdown(struct weft_conn *conn)
{
	struct wf_file *file = &conn->watch.file;
	struct wf_poller *poller = file->worker->poller;
	int r = wf_file_check(file);

	if (r < 0)
		return r;
	r = poller->system->shutdown(poller, file->fd);
	if (r == 0)
		wf_op_end(file->writer, -EPIPE); /* a Unix socket reports no event for this */
	return r;
}

/* Reads what the peer still sends, within bounds, so that closing does not reset the connection. */
static void drain(struct weft_conn *conn)
{
	enum { DRAIN_BYTES_MAX = 64 * 1024, PIECE_BYTES = 1024 };
	char piece[PIECE_BYTES];
	ssize_t n = 1;

	if (weft_shutdown(conn) < 0)
		return;
	WEFT_DEADLINE(weft_after(WEFT_SECOND))
		for (size_t total = 0; n > 0 && total < DRAIN_BYTES_MAX; total += (size_t)n)
			n = weft_read(conn, piece, sizeof piece);
}

/* Whether no input is left. A receive that came up short has told, but only of its own moment: soon
 * after it is believed, later the kernel is asked. */
static bool is_all_read(const struct weft_conn *conn)
{
	static const weft_time SOON_NS = 50 * WEFT_MICROSECOND;
	const struct wf_file *file = &conn->watch.file;

	return (file->drained && weft_now() - file->drained_at < SOON_NS) ||
	       !wf_file_has_input(file);
}

/*
 * With MSG_MORE the kernel holds the last bytes back for more to come; the close that follows at
 * once sends them with its FIN on the same segment. Never while input is unread: close would then
 * reset the connection, and the peer might lose the bytes.
 */
int weft_finish(struct weft_conn *conn, const void *buffer, size_t bytes)
{
	struct iovec piece = { .iov_base = (void *)(uintptr_t)buffer, .iov_len = bytes };
	uint64_t switches;
	bool all_read;
	int r;

	if (!wf_file_user(&conn->watch.file))
		return -EPERM;
	wf_file_hold(&conn->watch.file);
	switches = conn->watch.file.worker->switches;
	all_read = is_all_read(conn);
	r = send_all(conn, &piece, 1, all_read ? MSG_MORE : 0, NULL);
	if (switches != conn->watch.file.worker->switches)
		all_read = is_all_read(conn); /* sending has taken a while */
	if (r == 0 && !all_read)
		drain(conn);
	if (r != -EBUSY)
		close_descriptor(conn);
	wf_file_drop(&conn->watch.file);
	return r;
}

/* While a server's handler runs, the object is the server's. */
void weft_close(struct weft_conn *conn)
{
	struct wf_file *file;

	if (!conn || conn->watch.file.bits & WF_CONN_CLOSED)
		return;
	file = &conn->watch.file;
	close_descriptor(conn);
	file->bits |= WF_CONN_CLOSED;
	if (!file->is_served)
		wf_file_drop(file);
}

/* ---- Looking at it --------------------------------------------------------------------------- */

int weft_conn_peer(struct weft_conn *conn, struct weft_address *ret_address)
{
	const struct wf_file *file = &conn->watch.file;
	int r = wf_file_check(file);

	return r < 0 ? r : wf_address_of(file->worker->poller, file->fd, true, ret_address);
}

int weft_conn_fd(const struct weft_conn *conn)
{
	return conn->watch.file.fd;
}

struct weft_watch *weft_conn_watch(struct weft_conn *conn)
{
	return &conn->watch;
}

void weft_conn_user_set(struct weft_conn *conn, void *user)
{
	conn->watch.user = user;
}

void *weft_conn_user(const struct weft_conn *conn)
{
	return conn->watch.user;
}
