/* SPDX-License-Identifier: MIT */
/* Signals through a signalfd: blocked in the thread, read like input. */
#include <weft/signals.h>

#include "core/worker.h"
#include "io/op.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct weft_signals {
	struct wf_file file;
	sigset_t before; /* those of the set that the thread had blocked already stay so */
	sigset_t set;
};

static void release(struct wf_file *file)
{
	struct weft_signals *signals = wf_container(file, struct weft_signals, file);

	wf_memory_free(&file->worker->memory, signals, sizeof *signals);
}

static int read_numbers(const int *numbers, sigset_t *set)
{
	sigemptyset(set);
	for (; *numbers; numbers++)
		if (*numbers == SIGKILL || *numbers == SIGSTOP || sigaddset(set, *numbers) < 0)
			return -EINVAL;
	return 0;
}

int weft_signals_open(const int *numbers, struct weft_signals **ret_signals)
{
	struct weft_worker *worker = wf_worker;
	struct weft_signals *signals;
	int fd, r;

	if (!wf_task_self())
		return -EPERM;
	signals = wf_memory_new(&worker->memory, sizeof *signals);
	if (!signals)
		return -ENOMEM;
	r = read_numbers(numbers, &signals->set);
	if (r < 0)
		goto free_signals;
	fd = signalfd(-1, &signals->set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0) {
		r = -errno;
		goto free_signals;
	}
	wf_file_init(&signals->file, worker, fd, release);
	/* Fails only for a bad `how`. */
	(void)pthread_sigmask(SIG_BLOCK, &signals->set, &signals->before);
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
	struct signalfd_siginfo info;
	sigset_t mine;

	if (!signals)
		return;
	/* What has come was meant for this set; it must not strike when the mask is restored. */
	while (read(signals->file.fd, &info, sizeof info) > 0)
		continue;
	wf_file_close(&signals->file);
	sigemptyset(&mine);
	for (int i = 1; i < NSIG; i++)
		if (sigismember(&signals->set, i) == 1 && sigismember(&signals->before, i) == 0)
			(void)sigaddset(&mine, i); /* `i` was in a set already */
	(void)pthread_sigmask(SIG_UNBLOCK, &mine, NULL);
	wf_file_drop(&signals->file);
}
