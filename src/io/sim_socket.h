/* SPDX-License-Identifier: MIT */
/*
 * A simulated socket, for the files that make the network up:
 *
 *	sim_socket.c  the table of system calls, and those that are little work
 *	sim_stream.c  the calls that send, receive and end
 *	sim_dial.c    connecting, and the queues of listeners
 *	sim_name.c    addresses, ports and paths: who is found where
 *	sim_lane.c    what travels, and what it does where it arrives
 *	sim_net.c     the whole: hosts and links, the life of sockets, reports to the program
 *
 * A connection is two sockets that know each other. Each holds what comes to *it*: `input` is the bytes,
 * `lane` the parcels that say when they come, and everything else that travels to it:
 *
 *	input:  [ arrived, not read | on the way, in parcels | corked ]
 *	lane:   DATA 1460  DATA 700  ROOM 300  END        each with the time of its arrival
 *
 * Of a lane's parcels one event is planned at a time, for the first. What travels back to a sender, word
 * of room and of resets, is in the lane that leads to the sender.
 *
 * A socket outlives its descriptor while events are planned for it, and until its peer can go, too.
 */
#pragma once

#include "base/list.h"
#include "io/sim.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

enum wf_sim_state {
	WF_SIM_FRESH, /* or bound */
	WF_SIM_LISTENING,
	WF_SIM_DIALING,
	WF_SIM_PAIRED, /* connected, or has been */
	WF_SIM_FAILED, /* to connect */
	WF_SIM_SIGNALFD,
};

enum wf_sim_parcel_kind {
	WF_PARCEL_DATA,
	WF_PARCEL_END,	    /* of the input */
	WF_PARCEL_ROOM,	    /* the peer has taken that many bytes; 0: an acknowledgement */
	WF_PARCEL_RESET,    /* the peer has given up */
	WF_PARCEL_ACCEPTED, /* the answer to a connect */
	WF_PARCEL_REFUSED,
};

struct wf_sim_parcel {
	weft_time time; /* of the arrival, if it is not behind a later one */
	uint32_t bytes;
	enum wf_sim_parcel_kind kind;
};

struct wf_sim_lane {
	struct wf_sim_parcel *ring;
	uint32_t size, first, count; /* size: a power of two, or 0 */
	bool is_planned;	     /* the event of the first one */
	bool is_timed;		     /* the event by which somebody gives up is planned */
	struct wf_list in_held;	     /* of the link; a lane in it is held */
};

struct wf_sim_pipe {
	uint8_t *ring;
	uint32_t size, first; /* size: a power of two, or 0 */
	uint32_t arrived, on_way, corked;
	uint32_t taken;	   /* bytes that were read, of which the sender does not know yet */
	uint32_t capacity; /* of all four together */
	uint32_t corkings; /* how often bytes were corked where none were */
};

/* An address, as the kernel gives it. */
struct wf_sim_name {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_un path;
		struct sockaddr_storage bytes;
	} u;
	socklen_t length;
};

/* A socket's file, on a host. */
struct wf_sim_path {
	struct wf_list in_paths;
	struct wf_sim_socket *socket; /* NULL when that is closed */
	uint64_t inode;
	uint8_t host;
	char text[sizeof((struct sockaddr_un){ 0 }.sun_path) + 1];
};

struct wf_sim_socket {
	struct wf_list in_all, in_reports;
	struct wf_list in_bound; /* of the host, if its address is an own one */
	struct wf_list in_queue; /* of a listener, until it is accepted */
	uint32_t holds;		 /* by the descriptor or the queue, and by each event */
	uint32_t descriptors;	 /* more than one after a dup(2) */
	bool is_open;		 /* has a descriptor, or may be given one */
	uint8_t host;
	uint8_t peer_host;
	enum wf_sim_state state;
	int family;
	struct wf_file *file; /* that is watched, or NULL */
	struct wf_sim_name local, remote;

	/* Of a connection. */
	struct wf_sim_socket *peer;
	struct wf_sim_pipe input;
	struct wf_sim_lane lane;
	weft_time wants_room_since; /* a send, or a look, found too little; 0: none */
	int error;		    /* pending; SO_ERROR */
	bool is_dead;		    /* reset, or failed */
	bool has_reset;		    /* a reset was sent */
	bool has_ended;		    /* END has arrived */
	bool ends;		    /* END was sent, or never can be */
	bool ended_first;	    /* before the peer's END came: TIME_WAIT is ours */

	/* Looked at by the plain calls of the tests only (tests/harness/sockets.c). */
	bool blocks; /* it is not told O_NONBLOCK, which makes no difference here */
	bool resets; /* when it is closed: a SO_LINGER of no time */

	/* Of a connect. */
	int fate; /* how it fails, or 0 */
	weft_time dialed_at;

	/* Of the address. */
	bool owns_port; /* its bit in the host's `ports` */
	bool reuse_address, reuse_port;
	struct wf_sim_path *path;

	/* Of a listener, and of those in its queues. */
	struct wf_list queue, deferred;
	struct wf_sim_socket *listener;
	uint32_t queued, backlog;
	int defer_s;
	bool is_deferred; /* not in the queue yet, but among the deferred */

	uint64_t signals; /* of a signalfd, a bit for each */
};

static inline struct wf_sim_host *wf_sim_host_of(struct wf_sim *sim,
						 const struct wf_sim_socket *socket)
{
	return &sim->net.hosts[socket->host];
}

static inline bool wf_sim_is_unix(const struct wf_sim_socket *socket)
{
	return socket->family == AF_UNIX;
}

/* ---- io/sim_net.c: life and reports ------------------------------------------------------------ */

/* malloc(3) or the end of the program; the block is all zero. */
void *wf_sim_allocate(size_t bytes);

/* A socket without a descriptor, held by the caller. */
struct wf_sim_socket *wf_sim_socket_new(struct wf_sim *sim, uint8_t host, int family);
void wf_sim_socket_drop(struct wf_sim *sim, struct wf_sim_socket *socket);

/* Gives it the lowest free descriptor of the simulation, or -EMFILE; it may have others. */
int wf_sim_socket_install(struct wf_sim *sim, struct wf_sim_socket *socket);
/* Takes a descriptor. With the last one it tells its peer, and drops the descriptor's hold. */
void wf_sim_socket_close(struct wf_sim *sim, struct wf_sim_socket *socket, int fd);

/* Makes two sockets the ends of one connection. */
void wf_sim_socket_pair(struct wf_sim *sim, struct wf_sim_socket *a, struct wf_sim_socket *b);

/* As wf_sim_plan, and holds the socket until then; `happen` must drop it. */
void wf_sim_socket_plan(struct wf_sim *sim, struct wf_sim_socket *socket, weft_time when,
			void (*happen)(struct wf_sim *sim, void *object, uint64_t value),
			uint64_t value);

/* Something has changed for who watches it. */
void wf_sim_socket_touch(struct wf_sim *sim, struct wf_sim_socket *socket);

/* What poll(2) would say of it: EPOLL* bits. */
uint32_t wf_sim_socket_level(struct wf_sim *sim, struct wf_sim_socket *socket);

/* ---- io/sim_lane.c: what travels --------------------------------------------------------------- */

/* Sends a parcel to a socket, from its peer's host. */
void wf_sim_socket_send(struct wf_sim *sim, struct wf_sim_socket *to, enum wf_sim_parcel_kind kind,
			uint32_t bytes);

/* A latency of a link. */
weft_time wf_sim_latency(struct wf_sim *sim, const struct wf_sim_link *link);

/* Gives up: the peer is sent a reset. */
void wf_sim_socket_reset(struct wf_sim *sim, struct wf_sim_socket *socket);
/* A call has said that there is no connection: one that was there is reset, at both ends. */
void wf_sim_socket_lose(struct wf_sim *sim, struct wf_sim_socket *socket);

/* Bytes into and out of a pipe. `put` corks them; `uncork` sends them. */
uint32_t wf_sim_pipe_room(const struct wf_sim_pipe *pipe);
void wf_sim_pipe_put(struct wf_sim_pipe *pipe, const void *bytes, uint32_t count);
void wf_sim_pipe_peek(const struct wf_sim_pipe *pipe, void *buffer, uint32_t count);
void wf_sim_socket_uncork(struct wf_sim *sim, struct wf_sim_socket *to);
/* A send found too little room: it is told when there is more, or fails when no word comes back. */
void wf_sim_socket_want_room(struct wf_sim *sim, struct wf_sim_socket *socket);
/* Bytes of the input have been read: the sender will have room for as many. */
void wf_sim_socket_take(struct wf_sim *sim, struct wf_sim_socket *socket, uint32_t count);

/* ---- io/sim_name.c: addresses, ports, paths ------------------------------------------------------ */

void wf_sim_name_unnamed(struct wf_sim_name *name, int family);
int wf_sim_name_bind(struct wf_sim *sim, struct wf_sim_socket *socket,
		     const struct sockaddr *address, socklen_t length);
int wf_sim_name_listen(struct wf_sim *sim, struct wf_sim_socket *socket, int backlog);
/* The address is free again, at once or after TIME_WAIT. */
void wf_sim_name_release(struct wf_sim *sim, struct wf_sim_socket *socket);

/* The listener for an address; of several that share it each has its turn. Or NULL. */
struct wf_sim_socket *wf_sim_name_listener(struct wf_sim *sim, uint8_t host,
					   const struct wf_sim_name *name);

/* Fills in both names of a socket that is to connect, and `peer_host`. 1; 0 if there is no such host, but
 * might be; -ENETUNREACH, -EADDRNOTAVAIL and the like. */
int wf_sim_name_aim(struct wf_sim *sim, struct wf_sim_socket *socket,
		    const struct sockaddr *address, socklen_t length);
/* The same for a path: finds who is bound to it, or was (NULL). */
int wf_sim_name_aim_path(struct wf_sim *sim, struct wf_sim_socket *socket,
			 const struct sockaddr *address, socklen_t length,
			 struct wf_sim_socket **ret_bound);

struct wf_sim_path *wf_sim_name_find_path(struct wf_sim *sim, uint8_t host, const char *text);
void wf_sim_name_remove_path(struct wf_sim_path *path);

/* ---- io/sim_dial.c: connecting and queues --------------------------------------------------------- */

/* Starts to connect: 0, -EINPROGRESS, or why not. */
int wf_sim_dial(struct wf_sim *sim, struct wf_sim_socket *socket, const struct sockaddr *address,
		socklen_t length);
void wf_sim_dial_fail(struct wf_sim *sim, struct wf_sim_socket *socket, int error);
/* When a connect that gets no answer fails. */
weft_time wf_sim_dial_deadline(const struct wf_sim_socket *socket);

/* Makes a connection acceptable, if it was deferred. */
void wf_sim_listener_admit(struct wf_sim *sim, struct wf_sim_socket *child);
/* The first in the queue, with the queue's hold; or NULL. */
struct wf_sim_socket *wf_sim_listener_take(struct wf_sim_socket *listener);
/* Refuses one that came from a queue, and all that are in one. */
void wf_sim_listener_abort(struct wf_sim *sim, struct wf_sim_socket *child);
void wf_sim_listener_close(struct wf_sim *sim, struct wf_sim_socket *listener);

/* ---- io/sim_stream.c: bytes, ends, errors --------------------------------------------------------- */

/* The end of this end of a connection; `rudely`, where input is left unread. */
void wf_sim_socket_part(struct wf_sim *sim, struct wf_sim_socket *socket, bool rudely);

/* SO_ERROR, which is cleared. */
int wf_sim_take_error(struct wf_sim_socket *socket);
bool wf_sim_has_peer(const struct wf_sim_socket *socket);

/* Nothing was to be had, it was said in error: so there will be another report. */
void wf_sim_plan_alarm(struct wf_sim *sim, struct wf_sim_socket *socket);

ssize_t wf_sim_stream_receive(struct wf_poller *poller, int fd, void *buffer, size_t bytes,
			      int flags);
ssize_t wf_sim_stream_read(struct wf_poller *poller, int fd, void *buffer, size_t bytes);
ssize_t wf_sim_stream_send(struct wf_poller *poller, int fd, const struct iovec *vector, int count,
			   int flags);
int wf_sim_stream_shutdown(struct wf_poller *poller, int fd);

/* ---- io/sim_socket.c: the table of calls ---------------------------------------------------------- */

/* The socket of a descriptor: -EBADF, also for another host's; WEFT_ESIMULATED for a real one. */
int wf_sim_socket_find(struct wf_sim *sim, int fd, struct wf_sim_socket **ret_socket);

/* A call on a descriptor begins: finds its socket, and asks for a mishap. 0, or how it fails; `ret_sim`
 * is always stored. */
int wf_sim_call_begin(struct wf_poller *poller, enum wf_sim_op op, int fd, struct wf_sim **ret_sim,
		      struct wf_sim_socket **ret_socket);
/* Enters what came of it into the hash and the trace, and returns it. */
ssize_t wf_sim_call_end(struct wf_sim *sim, enum wf_sim_op op, int fd, ssize_t result);
