/* SPDX-License-Identifier: MIT */
/*
 * The system calls on sockets, as a table: the kernel's own (io/kernel.c), or those of a simulated
 * network (io/sim_socket.c). Everything above, from the retries of io/ready.c to weft_serve, is the same
 * code on both.
 *
 * None of them blocks. Each returns a count or 0, or a negative errno, with the meaning that the
 * manual page of the call gives it on a non-blocking stream socket.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

struct wf_poller;

struct wf_system {
	/* A stream socket of the family, non-blocking and closed on exec. */
	int (*socket)(struct wf_poller *poller, int family);
	/* Two Unix sockets that are connected. */
	int (*socket_pair)(struct wf_poller *poller, int ret_fds[2]);
	int (*set_option)(struct wf_poller *poller, int fd, int level, int name, int value);
	int (*get_option)(struct wf_poller *poller, int fd, int level, int name, int *ret_value);
	/* Makes somebody else's descriptor non-blocking. */
	int (*set_nonblocking)(struct wf_poller *poller, int fd);
	/* The address of this end, or of the other one. */
	int (*name)(struct wf_poller *poller, int fd, bool of_peer,
		    struct sockaddr_storage *ret_address, socklen_t *ret_length);

	int (*bind)(struct wf_poller *poller, int fd, const struct sockaddr *address,
		    socklen_t length);
	int (*listen)(struct wf_poller *poller, int fd, int backlog);
	/* A new descriptor, non-blocking and closed on exec. */
	int (*accept)(struct wf_poller *poller, int fd);
	int (*connect)(struct wf_poller *poller, int fd, const struct sockaddr *address,
		       socklen_t length);

	ssize_t (*receive)(struct wf_poller *poller, int fd, void *buffer, size_t bytes, int flags);
	/* From a descriptor that may be no socket. */
	ssize_t (*read)(struct wf_poller *poller, int fd, void *buffer, size_t bytes);
	ssize_t (*send)(struct wf_poller *poller, int fd, const struct iovec *vector, int count,
			int flags);
	/* Ends the output. */
	int (*shutdown)(struct wf_poller *poller, int fd);
	/* 1 if any of the POLL* events of poll(2) is there, 0 if none is. */
	int (*poll)(struct wf_poller *poller, int fd, short events);
	/* On Linux the number is free whatever close returns, and there is nobody to tell. */
	void (*close)(struct wf_poller *poller, int fd);

	/* What a descriptor, and what a path is; the last link of a path is not followed. */
	int (*stat)(struct wf_poller *poller, int fd, struct stat *ret_status);
	int (*stat_path)(struct wf_poller *poller, const char *path, struct stat *ret_status);
	int (*unlink)(struct wf_poller *poller, const char *path);

	/* How many descriptors a process may have. */
	uint64_t (*descriptors_max)(struct wf_poller *poller);

	/* A descriptor from which the signals of the set are read, as signalfd(2) has them. They are
	 * blocked from hold_signals to release_signals, which throws away those that have come;
	 * `ret_before` is what was blocked already. */
	int (*signals)(struct wf_poller *poller, const sigset_t *set);
	void (*hold_signals)(struct wf_poller *poller, const sigset_t *set, sigset_t *ret_before);
	void (*release_signals)(struct wf_poller *poller, const sigset_t *set);
};

/* The kernel's; the poller is not looked at. */
extern const struct wf_system wf_kernel;
