/* SPDX-License-Identifier: MIT */
/*
 * Where simulated sockets are found: addresses, ports and paths.
 *
 * A host N has its IPv4 address, the same in the last place of fd00::, and the loopback ones; each
 * host has ports and paths of its own. The families do not overlap: IPV6_V6ONLY is always on.
 *
 * A port is a bit in its host's map: of a connection out, of what is bound to it, or of TIME_WAIT. What
 * is bound is in a list, too, in which listeners are found; connections that were accepted are neither.
 */
#include "io/sim_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { TIME_WAIT_S = 60 };

/* ---- Addresses ------------------------------------------------------------------------------- */

/* fd00:: and the IPv4 address. */
static struct in6_addr ipv6_of(uint32_t ipv4)
{
	struct in6_addr address = { .s6_addr = { 0xfd } };
	uint32_t low = htonl(ipv4);

	memcpy(&address.s6_addr[12], &low, sizeof low);
	return address;
}

static bool is_any(const struct wf_sim_name *name)
{
	return name->u.any.sa_family == AF_INET6 ? IN6_IS_ADDR_UNSPECIFIED(&name->u.v6.sin6_addr) :
						   name->u.v4.sin_addr.s_addr == INADDR_ANY;
}

static bool is_loopback(const struct wf_sim_name *name)
{
	return name->u.any.sa_family == AF_INET6 ? IN6_IS_ADDR_LOOPBACK(&name->u.v6.sin6_addr) :
						   ntohl(name->u.v4.sin_addr.s_addr) >> 24 == 127;
}

static bool is_of_host(const struct wf_sim_name *name, const struct wf_sim_host *host)
{
	struct in6_addr ipv6 = ipv6_of(host->ipv4);

	if (name->u.any.sa_family == AF_INET6)
		return memcmp(&name->u.v6.sin6_addr, &ipv6, sizeof ipv6) == 0;
	return name->u.v4.sin_addr.s_addr == htonl(host->ipv4);
}

/* Whether hosts of the simulation might have such an address. */
static bool is_routed(const struct wf_sim_name *name)
{
	return name->u.any.sa_family == AF_INET6 ? name->u.v6.sin6_addr.s6_addr[0] == 0xfd :
						   ntohl(name->u.v4.sin_addr.s_addr) >> 24 == 10;
}

static bool is_same_address(const struct wf_sim_name *a, const struct wf_sim_name *b)
{
	if (a->u.any.sa_family == AF_INET6)
		return memcmp(&a->u.v6.sin6_addr, &b->u.v6.sin6_addr, sizeof(struct in6_addr)) == 0;
	return a->u.v4.sin_addr.s_addr == b->u.v4.sin_addr.s_addr;
}

/* The port lies at the same place in both. */
_Static_assert(offsetof(struct sockaddr_in, sin_port) == offsetof(struct sockaddr_in6, sin6_port),
	       "one way to a port");

static uint16_t port_of(const struct wf_sim_name *name)
{
	return ntohs(name->u.v4.sin_port);
}

static void set_port(struct wf_sim_name *name, uint16_t port)
{
	name->u.v4.sin_port = htons(port);
}

void wf_sim_name_unnamed(struct wf_sim_name *name, int family)
{
	*name = (struct wf_sim_name){ .length = sizeof(sa_family_t) };
	if (family == AF_INET)
		name->length = sizeof name->u.v4;
	else if (family == AF_INET6)
		name->length = sizeof name->u.v6;
	name->u.any.sa_family = (sa_family_t)family;
}

/* Takes an address of the socket's family; the parts that say nothing are cleared. */
static int read_name(const struct wf_sim_socket *socket, const struct sockaddr *address,
		     socklen_t length, struct wf_sim_name *ret_name)
{
	struct wf_sim_name given = { .length = length }, *name = ret_name;

	wf_sim_name_unnamed(name, socket->family);
	if (length < name->length || length > sizeof given.u)
		return -EINVAL;
	memcpy(&given.u, address, length);
	if (given.u.any.sa_family != socket->family)
		return -EAFNOSUPPORT;
	if (socket->family == AF_INET6) {
		name->u.v6.sin6_port = given.u.v6.sin6_port;
		name->u.v6.sin6_addr = given.u.v6.sin6_addr;
	} else {
		name->u.v4.sin_port = given.u.v4.sin_port;
		name->u.v4.sin_addr = given.u.v4.sin_addr;
	}
	return 0;
}

/* ---- Ports ----------------------------------------------------------------------------------- */

static bool is_taken(const struct wf_sim_host *host, uint16_t port)
{
	return host->ports[port / 64] >> port % 64 & 1;
}

static void take_port(struct wf_sim *sim, struct wf_sim_socket *socket, uint16_t port)
{
	wf_sim_host_of(sim, socket)->ports[port / 64] |= (uint64_t)1 << port % 64;
	socket->owns_port = true;
	set_port(&socket->local, port);
}

/* Takes a free one of those for connections out. */
static int take_any_port(struct wf_sim *sim, struct wf_sim_socket *socket, int otherwise)
{
	struct wf_sim_host *host = wf_sim_host_of(sim, socket);
	uint32_t count = (uint32_t)host->port_last - host->port_first + 1;

	for (uint32_t i = 0; i < count; i++) {
		uint16_t port = host->port_next;

		host->port_next = port == host->port_last ? host->port_first : port + 1;
		if (!is_taken(host, port)) {
			take_port(sim, socket, port);
			return 0;
		}
	}
	return otherwise;
}

static void free_port(struct wf_sim *sim, void *object, uint64_t port)
{
	struct wf_sim_host *host = &sim->net.hosts[port >> 16];

	(void)object;
	port &= UINT16_MAX;
	host->ports[port / 64] &= ~((uint64_t)1 << port % 64);
}

/* A socket of the host that is bound to the port, at whatever address. */
static struct wf_sim_socket *find_bound(struct wf_sim *sim, uint8_t host, uint16_t port)
{
	const struct wf_list *bound = &sim->net.hosts[host].bound;

	for (struct wf_list *node = wf_list_first(bound); node; node = wf_list_next(bound, node)) {
		struct wf_sim_socket *socket = wf_container(node, struct wf_sim_socket, in_bound);

		if (port_of(&socket->local) == port)
			return socket;
	}
	return NULL;
}

/* The end that closed first keeps its port for a while: late segments must not reach another
 * connection. */
void wf_sim_name_release(struct wf_sim *sim, struct wf_sim_socket *socket)
{
	uint64_t port = (uint64_t)socket->host << 16 | port_of(&socket->local);
	struct wf_sim_socket *heir;

	if (socket->path)
		socket->path->socket = NULL;
	socket->path = NULL;
	wf_list_remove(&socket->in_bound);
	if (!socket->owns_port)
		return;
	socket->owns_port = false;
	heir = find_bound(sim, socket->host, port_of(&socket->local));
	if (heir)
		heir->owns_port = true;
	else if (socket->ended_first && !socket->is_dead)
		wf_sim_plan(sim, sim->now + TIME_WAIT_S * WEFT_SECOND, free_port, NULL, port);
	else
		free_port(sim, NULL, port);
}

/* ---- Paths ----------------------------------------------------------------------------------- */

struct wf_sim_path *wf_sim_name_find_path(struct wf_sim *sim, uint8_t host, const char *text)
{
	const struct wf_list *paths = &sim->net.paths;

	for (struct wf_list *node = wf_list_first(paths); node; node = wf_list_next(paths, node)) {
		struct wf_sim_path *path = wf_container(node, struct wf_sim_path, in_paths);

		if (path->host == host && strcmp(path->text, text) == 0)
			return path;
	}
	return NULL;
}

void wf_sim_name_remove_path(struct wf_sim_path *path)
{
	if (path->socket)
		path->socket->path = NULL;
	wf_list_remove(&path->in_paths);
	free(path);
}

/* Takes the address of a file; `ret_text` has room for any, and a 0. */
static int read_path(const struct sockaddr *address, socklen_t length, struct wf_sim_name *ret_name,
		     char *ret_text)
{
	const size_t start = offsetof(struct sockaddr_un, sun_path);

	wf_sim_name_unnamed(ret_name, AF_UNIX);
	if (length <= start || length > sizeof(struct sockaddr_un))
		return -EINVAL;
	memcpy(&ret_name->u.path, address, length);
	if (ret_name->u.any.sa_family != AF_UNIX || ret_name->u.path.sun_path[0] == 0)
		return -EINVAL; /* or abstract, which this network has not */
	memcpy(ret_text, ret_name->u.path.sun_path, length - start);
	ret_text[length - start] = 0;
	ret_name->length = (socklen_t)(start + strlen(ret_text) + 1);
	return 0;
}

static int bind_path(struct wf_sim *sim, struct wf_sim_socket *socket,
		     const struct sockaddr *address, socklen_t length)
{
	struct wf_sim_path *path = wf_sim_allocate(sizeof *path);
	struct wf_sim_name name;
	int r = read_path(address, length, &name, path->text);

	if (r == 0 && wf_sim_name_find_path(sim, socket->host, path->text))
		r = -EADDRINUSE;
	if (r == 0 && socket->local.length > sizeof(sa_family_t))
		r = -EINVAL; /* it has one */
	if (r < 0) {
		free(path);
		return r;
	}
	path->socket = socket;
	path->host = socket->host;
	path->inode = ++sim->net.inodes;
	wf_list_init(&path->in_paths);
	wf_list_push_back(&sim->net.paths, &path->in_paths);
	socket->path = path;
	socket->local = name;
	return 0;
}

/* ---- Binding and listening --------------------------------------------------------------------- */

/* Whether two sockets cannot both have their addresses; once one `listens`, SO_REUSEADDR is no help. */
static bool is_in_the_way(const struct wf_sim_socket *bound, const struct wf_sim_socket *socket,
			  const struct wf_sim_name *name, bool listens)
{
	if (bound == socket || bound->family != socket->family ||
	    port_of(&bound->local) != port_of(name))
		return false;
	if (!is_any(&bound->local) && !is_any(name) && !is_same_address(&bound->local, name))
		return false;
	if (bound->reuse_port && socket->reuse_port)
		return false;
	if (bound->state == WF_SIM_LISTENING)
		return true;
	return !listens && !(bound->reuse_address && socket->reuse_address);
}

static bool is_free(struct wf_sim *sim, const struct wf_sim_socket *socket,
		    const struct wf_sim_name *name, bool listens)
{
	const struct wf_list *bound = &wf_sim_host_of(sim, socket)->bound;

	for (struct wf_list *node = wf_list_first(bound); node; node = wf_list_next(bound, node))
		if (is_in_the_way(wf_container(node, struct wf_sim_socket, in_bound), socket, name,
				  listens))
			return false;
	return true;
}

int wf_sim_name_bind(struct wf_sim *sim, struct wf_sim_socket *socket,
		     const struct sockaddr *address, socklen_t length)
{
	struct wf_sim_host *host = wf_sim_host_of(sim, socket);
	struct wf_sim_name name;
	uint16_t port;
	int r;

	if (wf_sim_is_unix(socket))
		return bind_path(sim, socket, address, length);
	r = read_name(socket, address, length, &name);
	if (r < 0)
		return r;
	if (socket->state != WF_SIM_FRESH || port_of(&socket->local) != 0)
		return -EINVAL;
	if (!is_any(&name) && !is_loopback(&name) && !is_of_host(&name, host))
		return -EADDRNOTAVAIL;
	port = port_of(&name);
	if (port != 0 && !is_free(sim, socket, &name, false))
		return -EADDRINUSE;
	if (port != 0 && is_taken(host, port) && !socket->reuse_address &&
	    !find_bound(sim, socket->host, port))
		return -EADDRINUSE; /* a connection has it, or had */
	socket->local = name;
	if (port == 0)
		r = take_any_port(sim, socket, -EADDRINUSE);
	else if (!is_taken(host, port))
		take_port(sim, socket, port);
	if (r == 0)
		wf_list_push_back(&host->bound, &socket->in_bound);
	return r;
}

/* Without an address it gets any port of all addresses. */
static int bind_somewhere(struct wf_sim *sim, struct wf_sim_socket *socket)
{
	struct wf_sim_name any;

	if (wf_sim_is_unix(socket))
		return -EINVAL;
	wf_sim_name_unnamed(&any, socket->family);
	return wf_sim_name_bind(sim, socket, &any.u.any, any.length);
}

int wf_sim_name_listen(struct wf_sim *sim, struct wf_sim_socket *socket, int backlog)
{
	int r = 0;

	if (socket->state != WF_SIM_FRESH && socket->state != WF_SIM_LISTENING)
		return -EINVAL;
	if (wf_sim_is_unix(socket) ? socket->local.length == sizeof(sa_family_t) :
				     wf_list_is_empty(&socket->in_bound))
		r = bind_somewhere(sim, socket);
	else if (!wf_sim_is_unix(socket) && !is_free(sim, socket, &socket->local, true))
		r = -EADDRINUSE;
	if (r < 0)
		return r;
	socket->state = WF_SIM_LISTENING;
	socket->backlog = backlog < 0 ? UINT32_MAX : (uint32_t)backlog;
	return 0;
}

/* The listener for an address; of several that share it each has its turn. */
struct wf_sim_socket *wf_sim_name_listener(struct wf_sim *sim, uint8_t host,
					   const struct wf_sim_name *name)
{
	struct wf_list *bound = &sim->net.hosts[host].bound;
	struct wf_sim_socket *found = NULL;

	for (struct wf_list *node = wf_list_first(bound); node; node = wf_list_next(bound, node)) {
		struct wf_sim_socket *socket = wf_container(node, struct wf_sim_socket, in_bound);

		if (socket->state != WF_SIM_LISTENING || port_of(&socket->local) != port_of(name) ||
		    socket->family != name->u.any.sa_family)
			continue;
		if (is_same_address(&socket->local, name) ? !found || is_any(&found->local) :
							    is_any(&socket->local) && !found)
			found = socket;
	}
	if (found && found->reuse_port) {
		wf_list_remove(&found->in_bound);
		wf_list_push_back(bound, &found->in_bound);
	}
	return found;
}

/* ---- The way to another socket ------------------------------------------------------------------- */

/* The host of an address as seen from another one, or -1. */
static int find_host(const struct wf_sim_net *net, uint8_t from, const struct wf_sim_name *name)
{
	if (is_loopback(name))
		return from;
	for (uint32_t i = 0; i < net->host_count; i++)
		if (is_of_host(name, &net->hosts[i]))
			return (int)i;
	return -1;
}

/* The address that a connection comes from: of loopback the usual one, of the own host the same. */
static void choose_source(struct wf_sim *sim, struct wf_sim_socket *socket)
{
	uint32_t ipv4 = wf_sim_host_of(sim, socket)->ipv4;
	bool loops = is_loopback(&socket->remote);

	if (!is_any(&socket->local))
		return;
	if (socket->family == AF_INET6)
		socket->local.u.v6.sin6_addr = loops ? in6addr_loopback : ipv6_of(ipv4);
	else
		socket->local.u.v4.sin_addr.s_addr = htonl(loops ? INADDR_LOOPBACK : ipv4);
}

/* No address means the own host. */
static void complete(struct wf_sim_name *remote)
{
	if (!is_any(remote))
		return;
	if (remote->u.any.sa_family == AF_INET6)
		remote->u.v6.sin6_addr = in6addr_loopback;
	else
		remote->u.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
}

int wf_sim_name_aim(struct wf_sim *sim, struct wf_sim_socket *socket,
		    const struct sockaddr *address, socklen_t length)
{
	int host, r = read_name(socket, address, length, &socket->remote);

	if (r < 0)
		return r;
	complete(&socket->remote);
	host = find_host(&sim->net, socket->host, &socket->remote);
	if (host < 0 && !is_routed(&socket->remote))
		return -ENETUNREACH;
	if (port_of(&socket->local) == 0)
		r = take_any_port(sim, socket, -EADDRNOTAVAIL);
	if (r < 0)
		return r;
	choose_source(sim, socket);
	socket->peer_host = (uint8_t)(host < 0 ? socket->host : host);
	return host >= 0;
}

int wf_sim_name_aim_path(struct wf_sim *sim, struct wf_sim_socket *socket,
			 const struct sockaddr *address, socklen_t length,
			 struct wf_sim_socket **ret_bound)
{
	struct wf_sim_name name;
	const struct wf_sim_path *path;
	char text[sizeof path->text];
	int r = read_path(address, length, &name, text);

	if (r < 0)
		return r;
	path = wf_sim_name_find_path(sim, socket->host, text);
	if (!path)
		return -ENOENT;
	socket->remote = name;
	*ret_bound = path->socket;
	return 0;
}
