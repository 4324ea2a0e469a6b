/* SPDX-License-Identifier: MIT */
/* What can go wrong, and when it does; io/sim_fault.h tells how that is decided. */
#include "io/sim_fault.h"

#include "base/compiler.h"
#include "io/sim.h"

#include <errno.h>
#include <stdlib.h>

/*
 * By the manual pages of the calls: errors that the outside world decides. Those that only a bug of the
 * caller brings (EBADF, EINVAL, EFAULT) are not there. A positive number makes a send short.
 */
const struct wf_sim_menu wf_sim_menu[] = {
	/* socket(2) */
	{ WF_SIM_SOCKET, -EMFILE },
	{ WF_SIM_SOCKET, -ENFILE },
	{ WF_SIM_SOCKET, -ENOBUFS },
	{ WF_SIM_SOCKET, -ENOMEM },
	/* setsockopt(2), socket(7), tcp(7) */
	{ WF_SIM_OPTION, -ENOMEM },
	{ WF_SIM_OPTION, -ENOBUFS },
	/* bind(2), ip(7), unix(7) */
	{ WF_SIM_BIND, -EADDRINUSE },
	{ WF_SIM_BIND, -EACCES },
	{ WF_SIM_BIND, -EADDRNOTAVAIL },
	{ WF_SIM_BIND, -ENOMEM },
	/* listen(2) */
	{ WF_SIM_LISTEN, -EADDRINUSE },
	/* accept(2) */
	{ WF_SIM_ACCEPT, -EMFILE },
	{ WF_SIM_ACCEPT, -ENFILE },
	{ WF_SIM_ACCEPT, -ENOBUFS },
	{ WF_SIM_ACCEPT, -ENOMEM },
	{ WF_SIM_ACCEPT, -ECONNABORTED },
	{ WF_SIM_ACCEPT, -EINTR },
	{ WF_SIM_ACCEPT, -EPROTO },
	{ WF_SIM_ACCEPT, -ENETDOWN },
	{ WF_SIM_ACCEPT, -EHOSTUNREACH },
	/* connect(2), tcp(7) */
	{ WF_SIM_CONNECT, -EADDRNOTAVAIL },
	{ WF_SIM_CONNECT, -ENETUNREACH },
	{ WF_SIM_CONNECT, -ENOBUFS },
	{ WF_SIM_CONNECT, -EINTR },
	{ WF_SIM_CONNECTED, -ECONNREFUSED },
	{ WF_SIM_CONNECTED, -ETIMEDOUT },
	{ WF_SIM_CONNECTED, -EHOSTUNREACH },
	/* recv(2), tcp(7) */
	{ WF_SIM_RECEIVE, -ECONNRESET },
	{ WF_SIM_RECEIVE, -ETIMEDOUT },
	{ WF_SIM_RECEIVE, -EHOSTUNREACH },
	{ WF_SIM_RECEIVE, -ENOMEM },
	{ WF_SIM_RECEIVE, -ENOBUFS },
	{ WF_SIM_RECEIVE, -EINTR },
	{ WF_SIM_RECEIVE, -EAGAIN },
	/* send(2), tcp(7) */
	{ WF_SIM_SEND, -ECONNRESET },
	{ WF_SIM_SEND, -EPIPE },
	{ WF_SIM_SEND, -ETIMEDOUT },
	{ WF_SIM_SEND, -ENOBUFS },
	{ WF_SIM_SEND, -ENOMEM },
	{ WF_SIM_SEND, -EINTR },
	{ WF_SIM_SEND, 1 },
	{ WF_SIM_SEND, 100 },
	/* shutdown(2) */
	{ WF_SIM_SHUTDOWN, -ENOTCONN },
	{ WF_SIM_SHUTDOWN, -ENOBUFS },
	/* getsockname(2), getpeername(2) */
	{ WF_SIM_NAME, -ENOBUFS },
	{ WF_SIM_NAME, -ENOTCONN },
	/* close(2) */
	{ WF_SIM_CLOSE, -EINTR },
	{ WF_SIM_CLOSE, -EIO },
	/* epoll_ctl(2) */
	{ WF_SIM_WATCH, -ENOMEM },
	{ WF_SIM_WATCH, -ENOSPC },
	/* signalfd(2) */
	{ WF_SIM_SIGNALS, -EMFILE },
	{ WF_SIM_SIGNALS, -ENOMEM },
	/* read(2), of a signalfd */
	{ WF_SIM_READ, -EINTR },
	{ WF_SIM_READ, -EAGAIN },
	/* malloc(3) */
	{ WF_SIM_ALLOCATE, -ENOMEM },
};

enum { LINES = sizeof wf_sim_menu / sizeof *wf_sim_menu };

const uint32_t wf_sim_menu_lines = LINES;

_Static_assert(LINES <= sizeof((struct wf_sim_faults){ 0 }.rates) / sizeof(uint32_t),
	       "a rate for each line of the menu");

const char *wf_sim_op_name(enum wf_sim_op op)
{
	static const char *const names[WF_SIM_OPS] = {
		[WF_SIM_SOCKET] = "socket",	  [WF_SIM_OPTION] = "option",
		[WF_SIM_BIND] = "bind",		  [WF_SIM_LISTEN] = "listen",
		[WF_SIM_ACCEPT] = "accept",	  [WF_SIM_CONNECT] = "connect",
		[WF_SIM_CONNECTED] = "connected", [WF_SIM_RECEIVE] = "receive",
		[WF_SIM_SEND] = "send",		  [WF_SIM_SHUTDOWN] = "shutdown",
		[WF_SIM_NAME] = "name",		  [WF_SIM_CLOSE] = "close",
		[WF_SIM_WATCH] = "watch",	  [WF_SIM_SIGNALS] = "signals",
		[WF_SIM_READ] = "read",		  [WF_SIM_ALLOCATE] = "allocate",
	};

	return op < WF_SIM_OPS ? names[op] : "nothing";
}

/* ---- Lists of failures ------------------------------------------------------------------------- */

void wf_sim_faults_done(struct wf_sim_faults *faults)
{
	free(faults->planned);
	free(faults->record);
}

void wf_sim_fault_plan(struct wf_sim *sim, struct wf_sim_fault fault)
{
	struct wf_sim_faults *faults = &sim->faults;

	faults->planned = wf_sim_grow(faults->planned, faults->planned_count, &faults->planned_room,
				      sizeof *faults->planned);
	faults->planned[faults->planned_count++] = fault;
}

/* ---- Chance ---------------------------------------------------------------------------------- */

/* Half of the menu, each line seldom, sometimes, or often; a few seeds are left in peace. */
void wf_sim_swarm(struct wf_sim *sim)
{
	static const uint32_t rates[] = { 200, 2000, 20000, 100000 };
	bool is_peaceful = wf_sim_draw(sim, WF_SIM_FAULTS, 0, 9) == 0;

	sim->faults.is_swarm = true;
	for (uint32_t i = 0; i < LINES; i++) {
		uint32_t rate = rates[wf_sim_draw(sim, WF_SIM_FAULTS, 0, 3)];

		if (wf_sim_draw(sim, WF_SIM_FAULTS, 0, 1) == 0 && !is_peaceful) {
			sim->faults.rates[i] = rate;
			sim->faults.sums[wf_sim_menu[i].op] += rate;
		}
	}
}

/* One number decides whether any line strikes, so that an operation costs one draw, or none. */
static int strike(struct wf_sim *sim, enum wf_sim_op op)
{
	uint64_t drawn;

	if (sim->faults.sums[op] == 0)
		return 0;
	drawn = wf_sim_draw(sim, WF_SIM_FAULTS, 0, 999999);
	if (drawn >= sim->faults.sums[op])
		return 0;
	for (uint32_t i = 0; i < LINES; i++) {
		if (wf_sim_menu[i].op != op)
			continue;
		if (drawn < sim->faults.rates[i])
			return wf_sim_menu[i].error;
		drawn -= sim->faults.rates[i];
	}
	return 0;
}

static int planned(const struct wf_sim_faults *faults, enum wf_sim_op op, uint8_t host)
{
	for (uint32_t i = 0; i < faults->planned_count; i++) {
		const struct wf_sim_fault *fault = &faults->planned[i];
		uint64_t count =
			fault->host == WF_SIM_ANY_HOST ? faults->all[op] : faults->counts[host][op];

		if (fault->op != op || (fault->host != WF_SIM_ANY_HOST && fault->host != host))
			continue;
		if (count == fault->count || (fault->and_all_after && count > fault->count))
			return fault->error;
	}
	return 0;
}

static void record(struct wf_sim_faults *faults, struct wf_sim_fault fault)
{
	faults->record = wf_sim_grow(faults->record, faults->record_count, &faults->record_room,
				     sizeof *faults->record);
	faults->record[faults->record_count++] = fault;
}

int wf_sim_fault(struct wf_sim *sim, enum wf_sim_op op)
{
	struct wf_sim_faults *faults = &sim->faults;
	uint8_t host = wf_sim_host(sim);
	uint64_t count = ++faults->counts[host][op];
	int error = 0;

	faults->all[op]++;
	if (faults->is_over)
		return 0;
	if (faults->planned_count > 0)
		error = planned(faults, op, host);
	if (error == 0 && faults->is_swarm)
		error = strike(sim, op);
	if (wf_likely(error == 0))
		return 0;
	record(faults, (struct wf_sim_fault){ count, error, (uint8_t)op, host, false });
	wf_sim_note(sim, (uint64_t)op << 32 | (uint32_t)error);
	wf_sim_trace(sim, "%s number %llu fails: %s", wf_sim_op_name(op), (unsigned long long)count,
		     error < 0 ? weft_error_name(error) : "short");
	return error;
}
