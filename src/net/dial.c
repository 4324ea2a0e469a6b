/* SPDX-License-Identifier: MIT */
/* Connecting. */
#include "io/op.h"
#include "net/address.h"
#include "net/conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>
#include <weft/time.h>

static const weft_time RETRY_NS = 5 * WEFT_MILLISECOND;

/* Small writes go out at once: the runtime sends what belongs together in one call. */
static void set_no_delay(int fd, int family)
{
	int on = 1;

	if (family != AF_UNIX)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* a hint */
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
	int family, fd, r;

	if (!task)
		return -EPERM;
	r = wf_checkpoint(task);
	if (r < 0)
		return r;
	r = weft_address_parse(address_text, &address, NULL);
	if (r < 0)
		return r;
	family = wf_address_family(&address);
	fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	set_no_delay(fd, family);
	r = wf_conn_new(task->worker, fd, family, &conn);
	if (r < 0) {
		(void)close(fd); /* nothing was sent */
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
