/* SPDX-License-Identifier: MIT */
/* Tells when something in a folder changes, until nothing has for a while. No task waits for that:
 * the descriptors of inotify(7) are parked, and each change starts one.
 *
 *	watch IDLE_MS FOLDER... */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>
#include <weft/weft.h>

static weft_time idle_ns;

/* Makes one line of the events that have come; 0, or why it cannot. */
static int tell(const char *folder, int fd)
{
	_Alignas(struct inotify_event) char events[1024];
	ssize_t n = read(fd, events, sizeof events);

	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	printf("%s: changed\n", folder);
	(void)fflush(stdout);
	return 0;
}

static void close_both(struct weft_watch *watch)
{
	int fd = weft_watch_fd(watch);

	weft_watch_close(watch);
	(void)close(fd);
}

/* Follows each parking, and parks the watch again or closes it. */
static int follow(struct weft_watch *watch, int why, void *arg)
{
	struct weft_lot *const *lot = arg;
	const char *folder = weft_watch_user(watch);

	if (why == 0)
		why = tell(folder, weft_watch_fd(watch));
	if (why == 0)
		why = weft_park(*lot, watch);
	if (why == 0)
		return 0;
	if (why == WEFT_EDEADLINE)
		printf("%s: quiet\n", folder);
	close_both(watch);
	return why == WEFT_EDEADLINE ? 0 : why;
}

static int start(struct weft_lot *lot, char *folder)
{
	struct weft_watch *watch;
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC), r;

	if (fd < 0)
		return -errno;
	r = inotify_add_watch(fd, folder, IN_CREATE | IN_DELETE | IN_MOVE | IN_CLOSE_WRITE);
	r = r < 0 ? -errno : weft_watch_open(fd, folder, &watch);
	if (r < 0) {
		(void)close(fd);
		return r;
	}
	r = weft_park(lot, watch);
	if (r < 0)
		close_both(watch);
	return r;
}

static int app(void *arg)
{
	struct weft_scope scope;
	struct weft_lot *lot;
	int r;

	weft_scope_open(&scope);
	r = weft_lot_open(&scope, follow, &lot, idle_ns, &lot);
	for (char **folder = arg; *folder && r == 0; folder++) {
		r = start(lot, *folder);
		if (r < 0)
			(void)fprintf(stderr, "watch: %s: %s\n", *folder, weft_strerror(r));
		else
			printf("%s: watched\n", *folder);
	}
	(void)fflush(stdout);
	if (r < 0)
		weft_scope_cancel(&scope); /* those that are parked end, too */
	return weft_scope_close(&scope);
}

int main(int argc, char **argv)
{
	idle_ns = argc > 2 ? atoi(argv[1]) * WEFT_MILLISECOND : 0;
	if (idle_ns <= 0) {
		(void)fputs("usage: watch IDLE_MS FOLDER...\n", stderr);
		return 2;
	}
	return weft_run(app, argv + 2, NULL) < 0;
}
