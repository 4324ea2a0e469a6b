/* SPDX-License-Identifier: MIT */
/* Connecting: to an address, or two ends to each other. */
#include "io/op.h"
#include "io/system.h"
#include "net/address.h"
#include "net/conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <weft/time.h>

static const weft_time RETRY_NS = 5 * WEFT_MILLISECOND;

/* Small writes go out at once: the runtime sends what belongs together in one call. */
static void set_no_delay(struct wf_poller *poller, int fd, int family)
{
	if (family != AF_UNIX) /* a hint */
		(void)poller->system->set_option(poller, fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

/* Connects; while the backlog of a Unix socket is full, tries again, as the kernel does for TCP. */
static int connect_to(struct weft_conn *conn, const struct weft_address *address)
{
	struct wf_op op = { .file = &conn->watch.file, .kind = WF_OP_CONNECT };
	int r;

	do {
		op.u.connect.address = wf_address_sockaddr(address);
		op.u.connect.length = address->length;
		r = (int)wf_op_run(&op, conn, WF_WAIT_CONNECT);
	} while (r > 0 && (r = weft_sleep(RETRY_NS)) == 0);
	return r;
}

int weft_dial(const char *address_text, struct weft_conn **ret_conn)
{
	struct wf_task *task = wf_task_self();
	struct weft_address address;
	struct weft_conn *conn;
	struct wf_poller *poller;
	int family, fd, r;

	if (!task)
		return -EPERM;
	poller = task->worker->poller;
	r = wf_checkpoint(task);
	if (r < 0)
		return r;
	r = weft_address_parse(address_text, &address, NULL);
	if (r < 0)
		return r;
	family = wf_address_family(&address);
	fd = poller->system->socket(poller, family);
	if (fd < 0)
		return fd;
	set_no_delay(poller, fd, family);
	r = wf_conn_new(task->worker, fd, family, &conn);
	if (r < 0) {
		poller->system->close(poller, fd);
		return r;
	}
	r = connect_to(conn, &address);
	if (r < 0) {
		weft_close(conn);
		return r;
	}
	*ret_conn = conn;
	return 0;
}

int weft_conn_pair(struct weft_conn **ret_a, struct weft_conn **ret_b)
{
	struct weft_worker *worker = wf_worker;
	struct wf_poller *poller;
	struct weft_conn *a, *b;
	int fds[2], r;

	if (!worker)
		return -EPERM;
	poller = worker->poller;
	r = poller->system->socket_pair(poller, fds);
	if (r < 0)
		return r;
	r = wf_conn_new(worker, fds[0], AF_UNIX, &a);
	if (r < 0)
		goto close_both;
	r = wf_conn_new(worker, fds[1], AF_UNIX, &b);
	if (r < 0) {
		weft_close(a);
		goto close_second;
	}
	*ret_a = a;
	*ret_b = b;
	return 0;

close_both:
	poller->system->close(poller, fds[0]);
close_second:
	poller->system->close(poller, fds[1]);
	return r;
}
