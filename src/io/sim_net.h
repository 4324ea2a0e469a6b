/* SPDX-License-Identifier: MIT */
/*
 * The simulated network: hosts, the links between them, and their sockets, behind the table of
 * io/system.h. The behaviour is Linux's, as measured or as its manual pages have it.
 *
 *	socket A ── pipe A to B: [ taken | arrived, not read | on the way | corked ] ──> socket B
 *	         <── pipe B to A ──
 *
 * A connection is two pipes. What is sent is cut into segments, each of which arrives by an event, after
 * those before it. Room comes back to the sender when the reader has taken bytes and word of it has
 * travelled back. The end of the output and a reset travel behind the data.
 *
 * A link leads from one host to another, and has a direction of its own: latency, bandwidth, sizes of
 * segments, and whether it is cut. What would arrive over a link that is cut is held until it is healed,
 * as retransmission has it; a connection whose bytes are held for too long fails.
 *
 * Descriptors are numbers from WF_SIM_FD on, so that they are never taken for real ones, nor real ones
 * for them; the lowest free one is used first, as the kernel does.
 */
#pragma once

#include "base/list.h"
#include "io/sim_fault.h"
#include "io/system.h"

#include <stdbool.h>
#include <stdint.h>
#include <weft/time.h>

struct wf_file;
struct wf_ready;
struct wf_sim;
struct wf_sim_socket;

enum { WF_SIM_FD = 1 << 20 };

/* From one host to another. */
struct wf_sim_link {
	weft_time latency_min_ns, latency_max_ns; /* 0 and 0: what is sent has arrived at once */
	uint64_t bandwidth_bytes;		  /* in a second; 0: any */
	uint32_t segment_min, segment_max;	  /* bytes; 0: as sent */
	uint32_t capacity_bytes;		  /* of a pipe, unread or on the way; 0: 64 KiB */
	weft_time busy_until;			  /* with what was sent, at that bandwidth */
	bool is_cut;
	struct wf_list held; /* sockets for which something has come that far */
};

struct wf_sim_host {
	const char *name;		/* for traces; NULL: by number */
	uint32_t ipv4;			/* in host order; also fd00:: and this */
	uint32_t descriptors_max;	/* default 20,000 */
	uint32_t descriptors;		/* in use */
	uint16_t port_first, port_last; /* for connections out; default 32,768 to 60,999 */
	uint16_t port_next;
	uint64_t ports[65536 / 64]; /* in use, or in TIME_WAIT */
	struct wf_list bound;	    /* sockets with an address of their own */
	uint64_t signals;	    /* that were raised and not read, a bit for each */
};

struct wf_sim_net {
	struct wf_sim_host *hosts;
	uint32_t host_count;
	struct wf_sim_link *links;	/* host_count x host_count: [from * host_count + to] */
	struct wf_sim_socket **sockets; /* by descriptor less WF_SIM_FD */
	uint32_t socket_room;
	uint32_t lowest;      /* no descriptor below is free */
	struct wf_list all;   /* sockets, those without a descriptor too */
	struct wf_list paths; /* of Unix sockets */
	uint64_t inodes;
	uint32_t open;	   /* descriptors */
	uint8_t acting;	   /* the host that is being told of a report; 0 between reports */
	bool harsh_resets; /* a reset takes unread input with it, as on other systems */
};

extern const struct wf_system wf_sim_system;

/* One host, 10.0.0.1, which talks to itself without delay. */
int wf_sim_net_init(struct wf_sim *sim);
void wf_sim_net_done(struct wf_sim *sim);

/* Adds a host and links of the given kind from and to all others; returns its number, or -ENOMEM,
 * -EADDRINUSE, -ENOSPC. Before the run only. */
int wf_sim_net_add_host(struct wf_sim *sim, uint32_t ipv4, const struct wf_sim_link *link);

static inline struct wf_sim_link *wf_sim_net_link(struct wf_sim_net *net, uint32_t from,
						  uint32_t to)
{
	return &net->links[from * net->host_count + to];
}

/* Cuts a link, or heals it, which sends on what was held. */
void wf_sim_net_cut(struct wf_sim *sim, uint32_t from, uint32_t to);
void wf_sim_net_heal(struct wf_sim *sim, uint32_t from, uint32_t to);

/* Resets all connections between two hosts; both ends see it. */
void wf_sim_net_reset(struct wf_sim *sim, uint32_t a, uint32_t b);

/* Makes a signal ready for those who read signals on that host. */
void wf_sim_net_signal(struct wf_sim *sim, uint32_t host, int number);

/* Has the program told of a file from now on (the engine's `watch`), and forgets it. */
int wf_sim_net_watch(struct wf_ready *ready, struct wf_file *file, uint8_t what);
void wf_sim_net_unwatch(struct wf_sim *sim, const struct wf_file *file);

/* Tells the program what is ready (io/ready.h): the first in line, or the one that chance takes. False
 * if there was none. */
bool wf_sim_net_report(struct wf_sim *sim);
