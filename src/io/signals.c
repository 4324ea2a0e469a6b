/* SPDX-License-Identifier: MIT */
/* Signals through a signalfd: blocked in the thread, read like input. */
#include <weft/signals.h>

#include "core/worker.h"
#include "io/op.h"
#include "io/system.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>

struct weft_signals {
	struct wf_file file;
	sigset_t set;
};

static void release(struct wf_file *file)
{
	struct weft_signals *signals = wf_container(file, struct weft_signals, file);

	wf_memory_free(&file->worker->memory, signals, sizeof *signals);
}

static const struct wf_file_kind signals_kind = { .release = release };

static int read_numbers(const int *numbers, sigset_t *set)
{
	sigemptyset(set);
	for (; *numbers; numbers++)
		if (*numbers == SIGKILL || *numbers == SIGSTOP || sigaddset(set, *numbers) < 0)
			return -EINVAL;
	return 0;
}

static void block(struct weft_worker *worker, const sigset_t *set)
{
	struct wf_poller *poller = worker->poller;
	sigset_t before;

	poller->system->hold_signals(poller, set, &before);
	for (int i = 1; i < NSIG; i++) {
		if (sigismember(set, i) != 1 || worker->signal_users[i]++ > 0)
			continue;
		if (sigismember(&before, i) == 1)
			(void)sigaddset(&worker->signals_before, i); /* `i` is in a set */
		else
			(void)sigdelset(&worker->signals_before, i);
	}
}

/* Unblocks the signals that no other set holds and that were not blocked before. Those that have
 * come were meant for the set; they must not strike now. */
static void unblock(struct weft_worker *worker, const sigset_t *set)
{
	struct wf_poller *poller = worker->poller;
	sigset_t last;

	sigemptyset(&last);
	for (int i = 1; i < NSIG; i++)
		if (sigismember(set, i) == 1 && --worker->signal_users[i] == 0 &&
		    sigismember(&worker->signals_before, i) == 0)
			(void)sigaddset(&last, i); /* `i` is in a set */
	poller->system->release_signals(poller, &last);
}

int weft_signals_open(const int *numbers, struct weft_signals **ret_signals)
{
	struct weft_worker *worker = wf_worker;
	struct weft_signals *signals;
	struct wf_poller *poller;
	int fd, r;

	if (!wf_task_self())
		return -EPERM;
	signals = wf_memory_new(&worker->memory, sizeof *signals);
	if (!signals)
		return -ENOMEM;
	r = read_numbers(numbers, &signals->set);
	if (r < 0)
		goto free_signals;
	poller = worker->poller;
	fd = r = poller->system->signals(poller, &signals->set);
	if (r < 0)
		goto free_signals;
	wf_file_init(&signals->file, worker, fd, &signals_kind);
	block(worker, &signals->set);
	*ret_signals = signals;
	return 0;

free_signals:
	wf_memory_free(&worker->memory, signals, sizeof *signals);
	return r;
}

int weft_signals_wait(struct weft_signals *signals)
{
	struct signalfd_siginfo info;
	struct wf_op op = { .file = &signals->file, .kind = WF_OP_READ };
	int64_t n;

	op.u.receive.buffer = &info;
	op.u.receive.bytes = sizeof info;
	n = wf_op_run(&op, signals, WF_WAIT_SIGNAL);
	return n < 0 ? (int)n : (int)info.ssi_signo;
}

void weft_signals_close(struct weft_signals *signals)
{
	if (!signals)
		return;
	wf_file_close(&signals->file);
	unblock(signals->file.worker, &signals->set);
	wf_file_drop(&signals->file);
}
