/* SPDX-License-Identifier: MIT */
/*
 * The engine on io_uring: io/ready.h tells how operations are done, this file how their descriptors
 * are watched.
 *
 * A descriptor is watched for input by one multishot poll, edge-triggered, which lasts until the
 * descriptor is closed, and for room by a poll for one time. Submissions gather in the ring and go
 * to the kernel with the wait: one io_uring_enter a turn registers all that blocked and fetches all
 * that happened. The ring never grows. When completions outrun it the kernel keeps them in a list
 * and ends the polls concerned; a poll that has ended is made anew as long as somebody waits.
 *
 * The ring belongs to one thread, and the kernel does its part of the work when that thread enters
 * (SINGLE_ISSUER, DEFER_TASKRUN): nothing interrupts a task.
 *
 * Connections are accepted ahead, by one multishot accept, which costs up to a tenth less than a poll of
 * the listener and calls of accept4.
 *
 * The kernel reports the keys of a wake-up rather than the state of a socket, and says "urgent data" of
 * any data: so that is not asked for. A receive that ends at an urgent mark is taken for one that found
 * the end, and what lies behind the mark is received with what comes next.
 *
 * A poll keeps the open file alive, so that close(2) alone would not end the connection: closing
 * first takes the polls back, at once, because the caller may count on the address being free.
 */
#include "io/uring.h"

#include "base/assert.h"
#include "base/compiler.h"
#include "io/attempt.h"
#include "io/clock.h"
#include "io/op.h"
#include "io/ready.h"
#include "io/system.h"

#include <errno.h>
#include <liburing.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <weft/error.h>

enum {
	SUBMISSIONS = 256,
	COMPLETIONS = 4096,
	AHEAD_MAX = 64, /* connections that wait to be taken: more, and the tasks are behind */
	INPUT = EPOLLIN | EPOLLRDHUP,
	SETUP = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
		IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE |
		IORING_SETUP_CLAMP,
	FEATURES = IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG | IORING_FEAT_CQE_SKIP,
};

/* A poll for output and an accept bear the file's tag with a bit that no descriptor reaches. */
static const uint64_t OUTPUT_TAG = 1u << 30;
static const uint64_t ACCEPT_TAG = 1u << 31;
static const uint64_t NO_TAG = UINT64_MAX - 1; /* nobody cares how it went */

/*
 * The connections of a listener that the kernel has accepted ahead of the tasks: a ring. A multishot
 * accept takes all there is at once, whatever the tasks can bear. So it is armed only while the caller
 * can take a whole backlog more than wait here already, and ended when that ceases to be; then accept4
 * takes over until the backlog is empty. So the limit on connections holds.
 */
struct wf_accepts {
	uint32_t ahead_max; /* may wait here before accepting ahead is ended; 0: none */
	uint32_t first, count, capacity;
	bool is_armed;	/* the kernel accepts */
	bool is_ending; /* and will cease to */
	int fds[];
};

struct engine {
	struct wf_ready ready;
	bool wake_ended; /* its poll is to be made anew */
	struct io_uring ring;
};

static struct engine *engine_of(struct wf_poller *poller)
{
	return wf_container(poller, struct engine, ready.poller);
}

/* ---- Submitting ------------------------------------------------------------------------------ */

/* A free submission; NULL if the kernel takes none, for lack of memory. */
static struct io_uring_sqe *submission(struct engine *engine, uint64_t tag)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&engine->ring);

	if (wf_unlikely(!sqe)) {
		(void)io_uring_submit(&engine->ring); /* seen by what is free then */
		sqe = io_uring_get_sqe(&engine->ring);
	}
	if (sqe)
		sqe->user_data = tag; /* the functions that fill it in leave this alone */
	return sqe;
}

static int poll_input(struct engine *engine, int fd, uint64_t tag)
{
	struct io_uring_sqe *sqe = submission(engine, tag);

	if (!sqe)
		return -ENOMEM;
	io_uring_prep_poll_multishot(sqe, fd, INPUT);
	return 0;
}

static int poll_wakes(struct engine *engine)
{
	return poll_input(engine, engine->ready.wake_fd, WF_READY_WAKE_TAG);
}

static int poll_output(struct engine *engine, int fd, uint64_t tag)
{
	struct io_uring_sqe *sqe = submission(engine, tag | OUTPUT_TAG);

	if (!sqe)
		return -ENOMEM;
	io_uring_prep_poll_add(sqe, fd, EPOLLOUT);
	return 0;
}

static int watch(struct wf_ready *ready, struct wf_file *file, uint8_t what)
{
	struct engine *engine = wf_container(ready, struct engine, ready);
	uint8_t missing = (uint8_t)(what & ~file->watched);
	int r = file->watched ? 0 : wf_ready_enter(ready, file);

	if (r == 0 && missing & WF_WATCH_INPUT)
		r = poll_input(engine, file->fd, wf_ready_tag(file));
	if (r == 0)
		file->watched |= missing & WF_WATCH_INPUT;
	if (r == 0 && missing & WF_WATCH_OUTPUT)
		r = poll_output(engine, file->fd, wf_ready_tag(file));
	if (r == 0)
		file->watched |= missing;
	return r;
}

/* Takes a poll or an accept back. Needs no submission to be free: there is a call that does without. */
static void withdraw(struct engine *engine, uint64_t tag)
{
	struct io_uring_sqe *sqe = submission(engine, NO_TAG);

	if (wf_unlikely(!sqe)) {
		struct io_uring_sync_cancel_reg cancel = {
			.addr = tag,
			.timeout = { .tv_sec = -1, .tv_nsec = -1 },
		};

		(void)io_uring_register_sync_cancel(&engine->ring, &cancel); /* it has ended */
		return;
	}
	io_uring_prep_cancel64(sqe, tag, 0);
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
}

/* ---- Accepting ------------------------------------------------------------------------------- */

static struct wf_accepts *accepts_of(struct engine *engine, const struct wf_op *op)
{
	struct wf_file *file = op->file;
	uint32_t capacity =
		engine->ring.cq.ring_entries + AHEAD_MAX + 1; /* what one look may find */
	size_t bytes = sizeof *file->accepts + capacity * sizeof file->accepts->fds[0];
	struct wf_accepts *accepts = file->accepts;

	if (accepts)
		return accepts;
	accepts = wf_memory_new(engine->ready.memory, bytes);
	if (!accepts)
		return NULL;
	*accepts = (struct wf_accepts){ .capacity = capacity };
	if (wf_ready_enter(&engine->ready, file) < 0) {
		wf_memory_free(engine->ready.memory, accepts, bytes);
		return NULL;
	}
	file->watched = WF_WATCH_INPUT;
	file->accepts = accepts;
	return accepts;
}

/* Resets a connection that nobody will serve, as the kernel does with the backlog of a listener that is
 * closed. */
static void reset(int fd)
{
	const struct linger now = { .l_onoff = 1 };

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now); /* else it just ends */
	(void)close(fd);
}

static void push(struct wf_accepts *accepts, int fd)
{
	if (accepts->count == accepts->capacity) /* the ring has overflowed */
		reset(fd);
	else
		accepts->fds[(accepts->first + accepts->count++) % accepts->capacity] = fd;
}

static int pop(struct wf_accepts *accepts)
{
	int fd = accepts->fds[accepts->first];

	accepts->first = (accepts->first + 1) % accepts->capacity;
	accepts->count--;
	return fd;
}

/* Has the kernel accept: all that come, if the caller can take a whole backlog besides; else one. */
static int arm_accept(struct engine *engine, struct wf_op *op)
{
	struct wf_accepts *accepts = op->file->accepts;
	struct io_uring_sqe *sqe = submission(engine, wf_ready_tag(op->file) | ACCEPT_TAG);
	int flags = SOCK_NONBLOCK | SOCK_CLOEXEC;

	if (!sqe)
		return -ENOMEM;
	if (accepts->ahead_max > 0)
		io_uring_prep_multishot_accept(sqe, op->file->fd, NULL, NULL, flags);
	else
		io_uring_prep_accept(sqe, op->file->fd, NULL, NULL, flags);
	accepts->is_armed = true;
	accepts->is_ending = accepts->ahead_max == 0; /* by itself */
	return 0;
}

/* Accepts one that is there, or arms; -EAGAIN then. */
static int64_t accept_one(struct engine *engine, struct wf_op *op)
{
	int64_t result = wf_attempt(op);
	int r;

	if (result != -EAGAIN)
		return result;
	r = arm_accept(engine, op);
	return r < 0 ? r : -EAGAIN;
}

/* Ends accepting ahead when so many wait that the backlog might not fit in besides. */
static void limit_accepts(struct engine *engine, struct wf_file *file)
{
	struct wf_accepts *accepts = file->accepts;

	if (accepts->count < accepts->ahead_max || !accepts->is_armed || accepts->is_ending)
		return;
	withdraw(engine, wf_ready_tag(file) | ACCEPT_TAG);
	accepts->is_ending = true;
}

static bool submit(struct wf_poller *poller, struct wf_op *op)
{
	struct engine *engine = engine_of(poller);
	struct wf_accepts *accepts;
	uint32_t room;

	if (op->kind != WF_OP_ACCEPT)
		return wf_ready_submit(poller, op);
	accepts = accepts_of(engine, op);
	op->waiter.result = -ENOMEM;
	if (!accepts)
		return true;
	op->waiter.result = -EAGAIN;
	/* Besides those ahead: the one that is asked for now, and one more than the backlog's number. */
	room = op->u.accept.room > 2 ? op->u.accept.room - 2 : 0;
	accepts->ahead_max = room > op->u.accept.backlog ? room - op->u.accept.backlog : 0;
	if (accepts->ahead_max > AHEAD_MAX)
		accepts->ahead_max = AHEAD_MAX;
	if (accepts->count > 0)
		op->waiter.result = pop(accepts);
	else if (!accepts->is_armed)
		op->waiter.result = accept_one(engine, op);
	limit_accepts(engine, op->file);
	if (op->waiter.result != -EAGAIN)
		return true;
	op->file->reader = op;
	return false;
}

/* Takes what the kernel has to say of a listener: another connection, or why it accepts no more. */
static void take_accept(struct engine *engine, struct wf_file *file, const struct io_uring_cqe *cqe)
{
	struct wf_accepts *accepts = file->accepts;
	struct wf_op *op = file->reader;
	int64_t result = -EAGAIN;

	if (!(cqe->flags & IORING_CQE_F_MORE))
		accepts->is_armed = false;
	if (cqe->res >= 0 && op)
		result = cqe->res;
	else if (cqe->res >= 0)
		push(accepts, cqe->res);
	else if (op && !accepts->is_armed)
		result = accept_one(engine, op);
	if (result != -EAGAIN)
		wf_ready_settle(op, result);
	limit_accepts(engine, file);
}

/* Ends accepting for good. */
static void end_accepts(struct engine *engine, struct wf_file *file)
{
	struct wf_accepts *accepts = file->accepts;

	while (accepts->count > 0)
		reset(pop(accepts));
	wf_memory_free(engine->ready.memory, accepts,
		       sizeof *accepts + accepts->capacity * sizeof accepts->fds[0]);
	file->accepts = NULL;
	withdraw(engine, wf_ready_tag(file) | ACCEPT_TAG);
}

/* ---- Completions ----------------------------------------------------------------------------- */

static void take(struct engine *engine, const struct io_uring_cqe *cqe)
{
	uint64_t tag = cqe->user_data;
	struct wf_file *file;
	uint8_t what;

	if (tag == WF_READY_WAKE_TAG) {
		wf_ready_take_wakes(&engine->ready);
		engine->wake_ended = !(cqe->flags & IORING_CQE_F_MORE);
	}
	if (tag == WF_READY_WAKE_TAG || tag == NO_TAG)
		return;
	file = wf_ready_find(&engine->ready, tag & ~(OUTPUT_TAG | ACCEPT_TAG));
	if (tag & ACCEPT_TAG) {
		if (file)
			take_accept(engine, file, cqe);
		else if (cqe->res >= 0)
			reset(cqe->res); /* its listener is closed */
		return;
	}
	if (!file)
		return;
	what = tag & OUTPUT_TAG ? WF_WATCH_OUTPUT : WF_WATCH_INPUT;
	if (cqe->flags & IORING_CQE_F_MORE)
		wf_ready_report(&engine->ready, file, (uint32_t)cqe->res, 0);
	else if (cqe->res >= 0)
		wf_ready_report(&engine->ready, file, (uint32_t)cqe->res, what);
	else
		wf_ready_fail(file, what, cqe->res);
}

static void reap(struct engine *engine)
{
	struct io_uring_cqe *cqe;
	unsigned head, count = 0;

	io_uring_for_each_cqe(&engine->ring, head, cqe)
	{
		take(engine, cqe);
		count++;
	}
	io_uring_cq_advance(&engine->ring, count);
}

/* ---- Closing --------------------------------------------------------------------------------- */

/* The kernel does the work that has gathered in portions, and the end of a poll is the last of it. What
 * that completes is looked at each time, so that a listener that accepts ahead keeps its limit; it makes
 * tasks ready and does nothing else. */
static void run_gathered_work(struct engine *engine)
{
	struct io_uring *ring = &engine->ring;
	enum { PORTIONS_MAX = 4096 }; /* others go on gathering more */

	for (int i = 0; i < PORTIONS_MAX; i++) {
		(void)io_uring_submit_and_get_events(ring);
		reap(engine);
		if (!(IO_URING_READ_ONCE(*ring->sq.kflags) & IORING_SQ_TASKRUN))
			return;
	}
}

static void close_file(struct wf_poller *poller, struct wf_file *file)
{
	struct engine *engine = engine_of(poller);

	wf_ready_leave(&engine->ready, file);
	if (file->watched) {
		if (file->kind->is_listener)
			end_accepts(engine, file);
		else if (file->watched & WF_WATCH_INPUT)
			withdraw(engine, wf_ready_tag(file));
		if (file->watched & WF_WATCH_OUTPUT)
			withdraw(engine, wf_ready_tag(file) | OUTPUT_TAG);
		run_gathered_work(engine);
	}
	wf_ready_close(&engine->ready, file);
}

/* ---- Waiting --------------------------------------------------------------------------------- */

static void enter(struct engine *engine, weft_time deadline)
{
	struct io_uring *ring = &engine->ring;
	struct io_uring_cqe *cqe;
	weft_time left = deadline <= 0 ? 0 : deadline - wf_clock_now(NULL);
	struct __kernel_timespec timeout = { .tv_sec = left / WEFT_SECOND,
					     .tv_nsec = left % WEFT_SECOND };

	if (deadline == WEFT_FOREVER)
		(void)io_uring_submit_and_wait(ring, 1);
	else if (left > 0)
		(void)io_uring_submit_and_wait_timeout(ring, &cqe, 1, &timeout, NULL);
	else if (io_uring_sq_ready(ring) ||
		 IO_URING_READ_ONCE(*ring->sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW))
		(void)io_uring_submit_and_get_events(ring);
	/* What fails (EINTR, a time that ran out, no memory for a submission) is tried again. */
}

static void wait_for_completions(struct wf_poller *poller, weft_time deadline)
{
	struct engine *engine = engine_of(poller);

	if (wf_unlikely(engine->wake_ended)) {
		engine->wake_ended = poll_wakes(engine) < 0;
		if (engine->wake_ended) /* for lack of memory: nobody could wake this sleep */
			deadline = 0;
	}
	enter(engine, deadline);
	reap(engine);
}

/* ---- The beginning and the end --------------------------------------------------------------- */

static void done(struct wf_poller *poller)
{
	struct engine *engine = engine_of(poller);

	reap(engine); /* there may be connections among them */
	io_uring_queue_exit(&engine->ring);
	wf_ready_done(&engine->ready);
	wf_memory_free(engine->ready.memory, engine, sizeof *engine);
}

static const struct wf_poller_ops uring_ops = {
	.name = "uring",
	.done = done,
	.now = wf_clock_now,
	.random = wf_clock_random,
	.submit = submit,
	.cancel = wf_ready_cancel,
	.park = wf_ready_park,
	.has_input = wf_ready_has_input,
	.close = close_file,
	.wait = wait_for_completions,
	.wake = wf_ready_wake,
};

/* Whether a poll says that there is input, and goes on. */
static bool reports_input(struct io_uring *ring)
{
	struct __kernel_timespec patience = { .tv_sec = 1 };
	struct io_uring_cqe *cqe;
	bool good;

	if (io_uring_submit_and_wait_timeout(ring, &cqe, 1, &patience, NULL) < 0)
		return false;
	good = cqe->res > 0 && cqe->res & EPOLLIN && cqe->flags & IORING_CQE_F_MORE;
	io_uring_cqe_seen(ring, cqe);
	return good;
}

/* Tries out what the engine relies on, at one end of a pair: a poll that reports input, and reports
 * it again, and can be taken back. A kernel may have the calls and forbid the operations. */
static bool can_poll(struct engine *engine, const int pair[2])
{
	static const uint64_t TEST_TAG = 0;
	struct io_uring *ring = &engine->ring;
	struct __kernel_timespec patience = { .tv_sec = 1 };
	struct io_uring_cqe *cqe;
	bool good;

	if (poll_input(engine, pair[0], TEST_TAG) < 0 || write(pair[1], "a", 1) != 1 ||
	    !reports_input(ring) || write(pair[1], "b", 1) != 1 || !reports_input(ring))
		return false;
	withdraw(engine, TEST_TAG);
	good = io_uring_submit_and_wait_timeout(ring, &cqe, 1, &patience, NULL) >= 0 &&
	       cqe->user_data == TEST_TAG && cqe->res == -ECANCELED;
	io_uring_cq_advance(ring, io_uring_cq_ready(ring));
	return good;
}

static int try_out(struct engine *engine)
{
	int pair[2];
	bool good;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	good = can_poll(engine, pair);
	(void)close(pair[0]);
	(void)close(pair[1]);
	return good ? 0 : WEFT_EENGINE;
}

static int open_ring(struct engine *engine, uint32_t submissions, uint32_t completions)
{
	struct io_uring_params params = { .flags = SETUP, .cq_entries = completions };
	int r = io_uring_queue_init_params(submissions, &engine->ring, &params);

	if (r == -ENOMEM || r == -EMFILE || r == -ENFILE)
		return r;
	if (r < 0)
		return WEFT_EENGINE;
	r = (params.features & FEATURES) == FEATURES ? try_out(engine) : WEFT_EENGINE;
	if (r < 0) {
		io_uring_queue_exit(&engine->ring);
		return r;
	}
	/* Saves the kernel looking up the ring; where it fails, it is looked up. */
	(void)io_uring_register_ring_fd(&engine->ring);
	/* A child must not write to a ring that the parent uses. */
	(void)io_uring_ring_dontfork(&engine->ring);
	return 0;
}

int wf_uring_new_sized(struct wf_memory *memory, uint32_t submissions, uint32_t completions,
		       struct wf_poller **ret_poller)
{
	struct engine *engine = wf_memory_new(memory, sizeof *engine);
	int r;

	if (!engine)
		return -ENOMEM;
	*engine =
		(struct engine){ .ready.poller = { &uring_ops, &wf_kernel }, .ready.watch = watch };
	wf_ready_init(&engine->ready, memory);
	r = wf_ready_open_wake(&engine->ready);
	if (r == 0)
		r = open_ring(engine, submissions, completions);
	if (r < 0)
		goto done_ready;
	r = poll_wakes(engine);
	wf_assert(r == 0); /* the ring is empty */
	*ret_poller = &engine->ready.poller;
	return 0;

done_ready:
	wf_ready_done(&engine->ready);
	wf_memory_free(memory, engine, sizeof *engine);
	return r;
}

int wf_uring_new(struct wf_memory *memory, struct wf_poller **ret_poller)
{
	return wf_uring_new_sized(memory, SUBMISSIONS, COMPLETIONS, ret_poller);
}
