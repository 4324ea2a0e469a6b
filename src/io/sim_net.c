/* SPDX-License-Identifier: MIT */
/* The simulated network as a whole: its hosts and links, the life of its sockets, and what the program
 * is told of them; io/sim_net.h tells the idea. */
#include "io/sim_net.h"

#include "base/assert.h"
#include "io/sim_socket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <weft/error.h>

enum {
	LOOK_MOST = 8, /* reports among which chance takes one */
	TCP_CAPACITY = 64 * 1024,
	UNIX_CAPACITY = 208 * 1024,
	DESCRIPTORS_MAX = 20000,
	PORT_FIRST = 32768,
	PORT_LAST = 60999,
	FIRST_HOST = 10 << 24 | 1, /* 10.0.0.1 */
	SIGNALS_MAX = 64,
};

/* ---- Memory ---------------------------------------------------------------------------------- */

void *wf_sim_allocate(size_t bytes)
{
	void *block = calloc(1, bytes);

	if (!block)
		wf_panic("the simulator has no memory");
	return block;
}

/* ---- Hosts and links ------------------------------------------------------------------------- */

static void place_host(struct wf_sim_host *host, uint32_t ipv4)
{
	*host = (struct wf_sim_host){
		.ipv4 = ipv4,
		.descriptors_max = DESCRIPTORS_MAX,
		.port_first = PORT_FIRST,
		.port_last = PORT_LAST,
		.port_next = PORT_FIRST,
	};
}

static void place_link(struct wf_sim_link *place, const struct wf_sim_link *link)
{
	*place = *link;
	place->busy_until = 0;
	wf_list_init(&place->held);
}

/* A larger table of links, with the new host's. */
static struct wf_sim_link *extend_links(const struct wf_sim_net *net,
					const struct wf_sim_link *link)
{
	const struct wf_sim_link own = { 0 };
	uint32_t old = net->host_count, count = old + 1;
	struct wf_sim_link *links = calloc((size_t)count * count, sizeof *links);

	if (!links)
		return NULL;
	for (uint32_t from = 0; from < count; from++)
		for (uint32_t to = 0; to < count; to++)
			place_link(&links[from * count + to], from < old && to < old ?
								      &net->links[from * old + to] :
							      from == to ? &own :
									   link);
	return links;
}

int wf_sim_net_add_host(struct wf_sim *sim, uint32_t ipv4, const struct wf_sim_link *link)
{
	struct wf_sim_net *net = &sim->net;
	struct wf_sim_host *hosts;
	struct wf_sim_link *links;

	wf_assert(wf_list_is_empty(&net->all)); /* sockets know where their host is */
	if (net->host_count == WF_SIM_HOSTS_MAX)
		return -ENOSPC;
	for (uint32_t i = 0; i < net->host_count; i++)
		if (net->hosts[i].ipv4 == ipv4)
			return -EADDRINUSE;
	hosts = realloc(net->hosts, (net->host_count + 1) * sizeof *hosts);
	if (!hosts)
		return -ENOMEM;
	net->hosts = hosts;
	links = extend_links(net, link);
	if (!links)
		return -ENOMEM;
	free(net->links);
	net->links = links;
	place_host(&hosts[net->host_count], ipv4);
	net->host_count++;
	for (uint32_t i = 0; i < net->host_count; i++)
		wf_list_init(&hosts[i].bound); /* they have moved */
	return (int)net->host_count - 1;
}

int wf_sim_net_init(struct wf_sim *sim)
{
	const struct wf_sim_link none = { 0 };
	int host;

	sim->net = (struct wf_sim_net){ 0 };
	wf_list_init(&sim->net.all);
	wf_list_init(&sim->net.paths);
	host = wf_sim_net_add_host(sim, FIRST_HOST, &none);
	if (host < 0)
		free(sim->net.hosts);
	return host < 0 ? host : 0;
}

/* At the end of the simulation those in a listener's queues may outlive it. */
static void free_socket(struct wf_sim_socket *socket)
{
	while (wf_list_pop_front(&socket->queue) || wf_list_pop_front(&socket->deferred))
		continue;
	wf_list_remove(&socket->in_all);
	wf_list_remove(&socket->in_reports);
	wf_list_remove(&socket->in_bound);
	wf_list_remove(&socket->in_queue);
	wf_list_remove(&socket->lane.in_held);
	free(socket->input.ring);
	free(socket->lane.ring);
	free(socket);
}

void wf_sim_net_done(struct wf_sim *sim)
{
	struct wf_sim_net *net = &sim->net;
	struct wf_list *node, *next;

	for (node = net->all.next; node != &net->all; node = next) {
		next = node->next;
		free_socket(wf_container(node, struct wf_sim_socket, in_all));
	}
	while ((node = wf_list_first(&net->paths)) != NULL) {
		struct wf_sim_path *path = wf_container(node, struct wf_sim_path, in_paths);

		path->socket = NULL; /* freed above */
		wf_sim_name_remove_path(path);
	}
	free(net->sockets);
	free(net->links);
	free(net->hosts);
}

void wf_sim_net_signal(struct wf_sim *sim, uint32_t host, int number)
{
	const struct wf_list *all = &sim->net.all;
	uint64_t bit;

	if (number < 1 || number > SIGNALS_MAX)
		wf_panic("weft_sim_signal(%d): there is no such signal; take a number from 1 to %d",
			 number, SIGNALS_MAX);
	bit = (uint64_t)1 << (number - 1);
	for (struct wf_list *node = wf_list_first(all); node; node = wf_list_next(all, node)) {
		struct wf_sim_socket *socket = wf_container(node, struct wf_sim_socket, in_all);

		if (socket->host != host || !socket->is_open || !(socket->signals & bit))
			continue;
		sim->net.hosts[host].signals |= bit;
		wf_sim_socket_touch(sim, socket);
	}
}

/* ---- The life of a socket ---------------------------------------------------------------------- */

struct wf_sim_socket *wf_sim_socket_new(struct wf_sim *sim, uint8_t host, int family)
{
	struct wf_sim_socket *socket = wf_sim_allocate(sizeof *socket);

	socket->holds = 1;
	socket->is_open = true;
	socket->host = socket->peer_host = host;
	socket->family = family;
	wf_list_init(&socket->in_all);
	wf_list_init(&socket->in_reports);
	wf_list_init(&socket->in_bound);
	wf_list_init(&socket->in_queue);
	wf_list_init(&socket->lane.in_held);
	wf_list_init(&socket->queue);
	wf_list_init(&socket->deferred);
	wf_sim_name_unnamed(&socket->local, family);
	wf_sim_name_unnamed(&socket->remote, family);
	wf_list_push_back(&sim->net.all, &socket->in_all);
	return socket;
}

/* The two ends of a connection go together. */
void wf_sim_socket_drop(struct wf_sim *sim, struct wf_sim_socket *socket)
{
	(void)sim;
	if (--socket->holds > 0 || (socket->peer && socket->peer->holds > 0))
		return;
	if (socket->peer)
		free_socket(socket->peer);
	free_socket(socket);
}

void wf_sim_socket_plan(struct wf_sim *sim, struct wf_sim_socket *socket, weft_time when,
			void (*happen)(struct wf_sim *sim, void *object, uint64_t value),
			uint64_t value)
{
	socket->holds++;
	wf_sim_plan(sim, when, happen, socket, value);
}

static uint32_t capacity_of(struct wf_sim *sim, const struct wf_sim_socket *to)
{
	uint32_t bytes = wf_sim_net_link(&sim->net, to->peer_host, to->host)->capacity_bytes;

	if (wf_sim_is_unix(to))
		return UNIX_CAPACITY;
	return bytes ? bytes : TCP_CAPACITY;
}

void wf_sim_socket_pair(struct wf_sim *sim, struct wf_sim_socket *a, struct wf_sim_socket *b)
{
	a->peer = b;
	b->peer = a;
	a->peer_host = b->host;
	b->peer_host = a->host;
	a->input.capacity = capacity_of(sim, a);
	b->input.capacity = capacity_of(sim, b);
}

static void grow_table(struct wf_sim_net *net)
{
	uint32_t room = net->socket_room ? 2 * net->socket_room : 64;
	struct wf_sim_socket **sockets = wf_sim_allocate(room * sizeof(struct wf_sim_socket *));

	if (net->sockets)
		memcpy(sockets, net->sockets, net->socket_room * sizeof(struct wf_sim_socket *));
	free(net->sockets);
	net->sockets = sockets;
	net->socket_room = room;
}

int wf_sim_socket_install(struct wf_sim *sim, struct wf_sim_socket *socket)
{
	struct wf_sim_net *net = &sim->net;
	struct wf_sim_host *host = wf_sim_host_of(sim, socket);

	if (host->descriptors >= host->descriptors_max)
		return -EMFILE;
	while (net->lowest < net->socket_room && net->sockets[net->lowest])
		net->lowest++;
	if (net->lowest == net->socket_room)
		grow_table(net);
	net->sockets[net->lowest] = socket;
	socket->descriptors++;
	host->descriptors++;
	net->open++;
	return WF_SIM_FD + (int)net->lowest;
}

static void uninstall(struct wf_sim *sim, struct wf_sim_socket *socket, int fd)
{
	struct wf_sim_net *net = &sim->net;
	uint32_t index = (uint32_t)(fd - WF_SIM_FD);

	net->sockets[index] = NULL;
	if (index < net->lowest)
		net->lowest = index;
	wf_sim_host_of(sim, socket)->descriptors--;
	net->open--;
	socket->descriptors--;
}

void wf_sim_socket_close(struct wf_sim *sim, struct wf_sim_socket *socket, int fd)
{
	uninstall(sim, socket, fd);
	if (socket->descriptors > 0)
		return;
	socket->file = NULL;
	socket->is_open = false;
	wf_list_remove(&socket->in_reports);
	if (socket->state == WF_SIM_LISTENING)
		wf_sim_listener_close(sim, socket);
	else if (socket->state == WF_SIM_PAIRED && !socket->is_dead)
		wf_sim_socket_part(sim, socket, socket->input.arrived > 0 || socket->resets);
	wf_sim_name_release(sim, socket);
	wf_sim_socket_drop(sim, socket);
}

/* ---- Reports --------------------------------------------------------------------------------- */

/* Who looks for room and finds none is told when there is some, as if it had tried to send. */
static uint32_t level_of_pair(struct wf_sim *sim, struct wf_sim_socket *socket)
{
	uint32_t events = socket->error ? EPOLLERR : 0;

	if (socket->is_dead)
		return events | EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP;
	if (socket->input.arrived > 0)
		events |= EPOLLIN;
	if (socket->has_ended)
		events |= EPOLLIN | EPOLLRDHUP;
	if (socket->has_ended && socket->ends)
		events |= EPOLLHUP;
	if (socket->ends || wf_sim_pipe_room(&socket->peer->input) > 0)
		events |= EPOLLOUT;
	else
		wf_sim_socket_want_room(sim, socket);
	return events;
}

uint32_t wf_sim_socket_level(struct wf_sim *sim, struct wf_sim_socket *socket)
{
	switch (socket->state) {
	case WF_SIM_FRESH:
		return EPOLLOUT | EPOLLHUP | (socket->error ? EPOLLERR : 0);
	case WF_SIM_LISTENING:
		return socket->queued > 0 ? EPOLLIN : 0;
	case WF_SIM_DIALING:
		return 0;
	case WF_SIM_PAIRED:
	case WF_SIM_FAILED:
		return level_of_pair(sim, socket);
	case WF_SIM_SIGNALFD:
		return wf_sim_host_of(sim, socket)->signals & socket->signals ? EPOLLIN : 0;
	}
	return 0;
}

void wf_sim_socket_touch(struct wf_sim *sim, struct wf_sim_socket *socket)
{
	if (socket->file && wf_list_is_empty(&socket->in_reports))
		wf_list_push_back(&sim->reports, &socket->in_reports);
}

/* What a file is told of: what it is watched for, and always of errors. */
static uint32_t mask_of(const struct wf_file *file)
{
	uint32_t mask = EPOLLHUP | EPOLLERR;

	if (file->watched & WF_WATCH_INPUT)
		mask |= EPOLLIN | EPOLLRDHUP;
	if (file->watched & WF_WATCH_OUTPUT)
		mask |= EPOLLOUT;
	return mask;
}

int wf_sim_net_watch(struct wf_ready *ready, struct wf_file *file, uint8_t what)
{
	struct wf_sim *sim = wf_container(ready, struct wf_sim, ready);
	struct wf_sim_socket *socket;
	int r = wf_sim_fault(sim, WF_SIM_WATCH);

	if (r < 0)
		return r == -ENOSPC ? -ENOMEM : r;
	r = wf_sim_socket_find(sim, file->fd, &socket);
	if (r == 0 && !file->watched)
		r = wf_ready_enter(ready, file);
	if (r < 0)
		return r;
	file->watched |= what;
	socket->file = file;
	if (wf_sim_socket_level(sim, socket) & mask_of(file))
		wf_sim_socket_touch(sim, socket);
	return 0;
}

void wf_sim_net_unwatch(struct wf_sim *sim, const struct wf_file *file)
{
	struct wf_sim_socket *socket;

	if (wf_sim_socket_find(sim, file->fd, &socket) < 0 || socket->file != file)
		return;
	socket->file = NULL;
	wf_list_remove(&socket->in_reports);
}

/* Takes one of the first reports out of the line. */
static struct wf_sim_socket *take_report(struct wf_sim *sim)
{
	struct wf_list *places[LOOK_MOST];
	struct wf_list *node = sim->reports.next;
	uint32_t most = sim->strategy == WF_SIM_FIFO ? 1 : LOOK_MOST;
	uint32_t count = 0;

	for (; node != &sim->reports && count < most; node = node->next)
		places[count++] = node;
	if (count == 0)
		return NULL;
	node = count > 1 ? places[wf_sim_draw(sim, WF_SIM_SCHEDULE, 0, count - 1)] : places[0];
	wf_list_remove(node);
	return wf_container(node, struct wf_sim_socket, in_reports);
}

bool wf_sim_net_report(struct wf_sim *sim)
{
	struct wf_sim_socket *socket;

	while ((socket = take_report(sim)) != NULL) {
		uint32_t events = wf_sim_socket_level(sim, socket) & mask_of(socket->file);

		if (events == 0)
			continue;
		wf_sim_note(sim, (uint64_t)events << 32 | (uint32_t)socket->file->fd);
		sim->net.acting = socket->host;
		wf_sim_trace(sim, "report fd %d: 0x%x", socket->file->fd, events);
		wf_ready_report(&sim->ready, socket->file, events, 0);
		sim->net.acting = 0;
		return true;
	}
	return false;
}
