/* SPDX-License-Identifier: MIT */
/* The scheduler: the loop, the run queue, and the one place where stacks are switched. */
#include "core/worker.h"

#include "base/assert.h"
#include "core/line.h"
#include "core/park.h"
#include "core/scope.h"

#include <errno.h>

_Thread_local struct weft_worker *wf_worker;
bool wf_forked;

/* ---- Choosing who runs next ------------------------------------------------------------------ */

/* Reads the clock; true if the turn is over. */
static WF_NOINLINE bool turn_is_over(struct weft_worker *worker)
{
	worker->now = worker->poller->ops->now(worker->poller);
	worker->runs_left = worker->runs_per_reading;
	worker->turn_runs += worker->runs_per_reading;
	return worker->turn_runs >= WF_TURN_RUNS || worker->now - worker->turn_start >= WF_TURN_NS;
}

static inline struct wf_task *pop(struct wf_queue *queue)
{
	return queue->head ? wf_container(wf_queue_pop(queue), struct wf_task, ready) : NULL;
}

/* The same, where the engine may decide who runs. */
static struct wf_task *pop_chosen(struct wf_poller *poller, struct wf_queue *queue)
{
	struct wf_queue_node *before;

	if (wf_likely(!poller->ops->choose) || !queue->head)
		return pop(queue);
	before = poller->ops->choose(poller, queue);
	return wf_container(wf_queue_take_behind(queue, before), struct wf_task, ready);
}

/* Takes the next task to run off the run queue; NULL: the loop. */
static WF_NOINLINE struct wf_task *pick(struct weft_worker *worker)
{
	struct wf_queue *normal = &worker->ready[WEFT_PRIORITY_NORMAL];
	struct wf_queue *low = &worker->ready[WEFT_PRIORITY_LOW];

	if (--worker->runs_left == 0 && turn_is_over(worker))
		return NULL;
	if (!low->head || (normal->head && ++worker->low_skipped < WF_LOW_EVERY))
		return pop_chosen(worker->poller, normal);
	worker->low_skipped = 0;
	return pop_chosen(worker->poller, low);
}

/* ---- Switching ------------------------------------------------------------------------------- */

/* Gives a task that has not run yet a stack to run on. */
static void bind(struct weft_worker *worker, struct wf_task *task, struct wf_stack *stack)
{
	task->stack = stack;
	task->context = stack->context;
	worker->unstarted--;
}

static int switch_to_fresh(struct weft_worker *worker, struct wf_context *from,
			   struct wf_fiber *from_fiber, struct wf_task *next);

/*
 * Leaves the running code in `from` and goes on with `next`, or with the loop. Every switch of the
 * library happens here. The switch itself is a tail call: what a suspended task keeps on its stack,
 * and what the processor has to predict when it returns, is the caller's caller at once.
 */
static WF_NOINLINE int switch_to(struct weft_worker *worker, struct wf_context *from,
				 struct wf_fiber *from_fiber, struct wf_task *next)
{
	struct wf_context *to = &worker->loop;
	struct wf_fiber *to_fiber = &worker->loop_fiber;

	if (wf_likely(next)) {
		if (wf_unlikely(!next->stack))
			return switch_to_fresh(worker, from, from_fiber, next);
		to = &next->context;
		to_fiber = &next->stack->fiber;
	}
	worker->current = next;
	worker->switches++;
	worker->credit = worker->credit_max;
	return wf_fiber_switch(&worker->left, from_fiber, to_fiber, from, to);
}

static WF_NOINLINE int switch_to_fresh(struct weft_worker *worker, struct wf_context *from,
				       struct wf_fiber *from_fiber, struct wf_task *next)
{
	bind(worker, next, wf_stacks_take(&worker->stacks));
	return switch_to(worker, from, from_fiber, next);
}

static int suspend_for(struct weft_worker *worker, struct wf_task *next)
{
	struct wf_task *task = worker->current;

	if (wf_likely(next != task))
		return switch_to(worker, &task->context, &task->stack->fiber, next);
	worker->credit = worker->credit_max;
	return 0;
}

static WF_NOINLINE int suspend_slow(struct weft_worker *worker)
{
	return suspend_for(worker, pick(worker));
}

/* The common case of pick, without a frame. */
int wf_worker_suspend(struct weft_worker *worker)
{
	if (wf_unlikely(worker->runs_left == 1 || worker->ready[WEFT_PRIORITY_LOW].head))
		return suspend_slow(worker);
	worker->runs_left--;
	return suspend_for(worker, pop(&worker->ready[WEFT_PRIORITY_NORMAL]));
}

/* The commonest switch of all: to the end of the queue, and on with its head. */
int weft_yield(void)
{
	struct wf_task *task = wf_task_self();
	struct weft_worker *worker = wf_worker;
	struct wf_queue *normal;
	struct wf_queue_node *next;

	if (wf_unlikely(!task))
		return -EPERM;
	if (wf_unlikely(task->scope->stop || worker->now >= task->scope->deadline))
		return wf_checkpoint_slow(task);
	task->refusals = 0;
	normal = &worker->ready[WEFT_PRIORITY_NORMAL];
	next = normal->head;
	if (wf_unlikely(!next || worker->runs_left == 1 || task->priority != WEFT_PRIORITY_NORMAL ||
			worker->ready[WEFT_PRIORITY_LOW].head)) {
		wf_worker_ready(worker, task);
		return suspend_slow(worker);
	}
	worker->runs_left--;
	wf_queue_push(normal, &task->ready);
	normal->head = next->next;
	return switch_to(worker, &task->context, &task->stack->fiber,
			 wf_container(next, struct wf_task, ready));
}

static void arm_trim(struct weft_worker *worker, weft_time delay_ns)
{
	worker->trim_timer.when = worker->now + delay_ns;
	wf_timers_arm(&worker->timers, &worker->trim_timer);
}

/* A little at a time, once a second has shown what is not needed. */
static void trim(struct weft_timer_ *timer)
{
	struct weft_worker *worker = wf_container(timer, struct weft_worker, trim_timer);
	uint32_t count = wf_stacks_trim(&worker->stacks, WF_WARM_STACKS, WF_TRIM_MOST);

	count += wf_stacks_release(&worker->stacks, worker->unstarted, WF_RELEASE_MOST);
	count += wf_tasks_release(worker, WF_RELEASE_MOST);
	if (count > 0)
		arm_trim(worker, 10 * WEFT_MILLISECOND);
	else if (worker->stacks.warm_count > WF_WARM_STACKS)
		arm_trim(worker, WEFT_SECOND);
}

static void give_back(struct weft_worker *worker, struct wf_stack *stack)
{
	wf_stacks_give(&worker->stacks, stack);
	if (wf_unlikely(worker->stacks.warm_count > WF_WARM_STACKS ||
			worker->chunk_count > WF_CHUNKS_KEPT) &&
	    !wf_timer_is_armed(&worker->trim_timer))
		arm_trim(worker, WEFT_SECOND);
}

/* The tasks of a forked child belong to its parent (runtime/run.c). */
static void assert_not_forked(const struct wf_task *task)
{
	if (wf_likely(wf_worker))
		return;
	wf_panic(
		"task \"%s\" (spawned at %s) returned in a forked child; there it may only exec or "
		"_exit",
		task->name, task->site);
}

/*
 * What every stack does for ever: run the task it was given; go on with the next one if that has no
 * stack yet; otherwise lie down in the pool until it is given another. A stack is entered anew only
 * once; from then on a fresh task costs the same switch as a resumed one, or none at all.
 */
static void run_tasks(void *arg)
{
	struct wf_stack *stack = arg;
	struct weft_worker *worker = wf_worker;

	wf_fiber_enter(&stack->fiber, worker->left);
	for (;;) {
		struct wf_task *task = worker->current;
		struct wf_task *next;
		int result;

		wf_assert_slow(task);
		worker->credit = worker->credit_max;
		result = task->function(task->arg);
		assert_not_forked(task);
		wf_task_end(task, result);
		next = pick(worker);
		if (next && !next->stack) {
			bind(worker, next, stack);
			worker->current = next;
			continue;
		}
		give_back(worker, stack);
		(void)switch_to(worker, &stack->context, &stack->fiber, next);
	}
}

/* ---- The loop -------------------------------------------------------------------------------- */

static bool is_idle(const struct weft_worker *worker)
{
	return wf_queue_is_empty(&worker->ready[WEFT_PRIORITY_NORMAL]) &&
	       wf_queue_is_empty(&worker->ready[WEFT_PRIORITY_LOW]) &&
	       (wf_list_is_empty(&worker->due) || wf_timer_is_armed(&worker->due_timer));
}

static void run_turn(struct weft_worker *worker)
{
	const struct wf_poller_ops *ops = worker->poller->ops;
	bool may_sleep = is_idle(worker) && !worker->idlers.first;
	bool posted;
	struct wf_task *next;

	ops->wait(worker->poller, may_sleep ? wf_timers_next(&worker->timers) : 0);
	worker->turns++;
	worker->now = worker->turn_start = ops->now(worker->poller);
	wf_parked_start(worker); /* in the order of causes: what ended before these timers */
	wf_timers_advance(&worker->timers, worker->now);
	posted = wf_posts_run(worker);
	wf_parked_start(worker);
	/* What a posted call did to a descriptor, the engine has yet to report. */
	if (wf_unlikely(worker->idlers.first && !posted && is_idle(worker)))
		wf_line_settle_all(&worker->idlers, 0);

	worker->turn_runs = 0;
	worker->runs_left = worker->runs_per_reading + 1;
	next = pick(worker);
	if (next)
		(void)switch_to(worker, &worker->loop, &worker->loop_fiber, next);
}

/* Timers lie in objects of tasks, none of which is left: one that is still armed points into nothing. */
static void assert_no_timer(struct weft_worker *worker)
{
	wf_timer_disarm(&worker->trim_timer);
	wf_timer_disarm(&worker->due_timer);
	wf_assert(wf_timers_next(&worker->timers) == WEFT_FOREVER);
}

/* The first task. When the user's function has returned, what it left behind is cancelled. */
static int run_root(void *arg)
{
	struct weft_worker *worker = arg;

	worker->result = worker->function(worker->arg);
	assert_not_forked(worker->current);
	wf_task_assert_closed(worker->current); /* before the tree is walked: that frame is gone */
	weft_scope_cancel(&worker->root);
	return 0;
}

int wf_worker_init(struct weft_worker *worker, const struct wf_worker_options *options)
{
	struct wf_stacks_options stacks = options->stacks;

	*worker = (struct weft_worker){
		.credit_max = options->yield_always ? 1 : WF_CREDIT,
		.tasks_max = options->tasks_max ? options->tasks_max : 1000 * 1000,
		.posts_max = options->posts_max ? options->posts_max : 65536,
		.trim_timer.fire = trim,
	};
	if (options->allocator && options->allocator->resize)
		wf_memory_init(&worker->memory, options->allocator->resize,
			       options->allocator->user);
	else
		wf_memory_init(&worker->memory, NULL, NULL);
	wf_queue_init(&worker->ready[WEFT_PRIORITY_NORMAL]);
	wf_queue_init(&worker->ready[WEFT_PRIORITY_LOW]);
	wf_list_init(&worker->chunks);
	wf_list_init(&worker->full_chunks);
	wf_list_init(&worker->due);
	if (options->buffer_bytes && options->buffer_bytes < WF_BUFFER_BYTES_MIN)
		return WEFT_EOPTION;
	wf_blocks_init(&worker->buffers, &worker->memory,
		       options->buffer_bytes ? options->buffer_bytes : WF_BUFFER_BYTES,
		       options->buffers_max ? options->buffers_max : WF_BUFFERS_MAX);
	stacks.entry = run_tasks;
	return wf_stacks_init(&worker->stacks, &worker->memory, &stacks);
}

int wf_worker_run(struct weft_worker *worker, struct wf_poller *poller, weft_function *function,
		  void *arg)
{
	int r;

	wf_assert(!wf_worker);
	wf_worker = worker;
	worker->poller = poller;
	worker->runs_per_reading = poller->ops->choose ? 1 : WF_RUNS_PER_READING;
	worker->function = function;
	worker->arg = arg;
	worker->now = worker->turn_start = poller->ops->now(poller);
	wf_timers_init(&worker->timers, worker->now);
	wf_fiber_init_thread(&worker->loop_fiber);
	wf_scope_open_root(worker);

	r = weft_spawn_at(&worker->root, run_root, worker, "weft_run", "main");
	if (r < 0) {
		wf_worker = NULL;
		return r;
	}
	while (worker->root.live > 0)
		run_turn(worker);
	wf_posts_end(
		worker); /* whatever was accepted runs, also what the last calls post themselves */
	assert_no_timer(worker);
	wf_worker = NULL;
	return worker->result;
}

void wf_worker_done(struct weft_worker *worker)
{
	wf_stacks_done(&worker->stacks);
	wf_tasks_done(worker);
	wf_blocks_done(&worker->buffers);
}

/* ---- Looking at it --------------------------------------------------------------------------- */

struct weft_worker *weft_worker_self(void)
{
	return wf_worker;
}

int weft_stats(struct weft_stats *ret_stats)
{
	const struct weft_worker *worker = wf_worker;
	const struct wf_blocks *buffers;

	if (!worker)
		return -EPERM;
	buffers = &worker->buffers;
	*ret_stats = (struct weft_stats){
		.tasks = worker->tasks,
		.tasks_peak = worker->tasks_peak,
		.spawned = worker->spawned,
		.failed = worker->failed,
		.switches = worker->switches,
		.turns = worker->turns,
		.parked = worker->parked,
		.stacks = worker->stacks.slab_count * (uint64_t)WF_SLAB_SLOTS,
		.stack_bytes = worker->stacks.slot_bytes,
		.guard = worker->stacks.guard,
		.buffers = buffers->count - buffers->free_count,
		.buffers_peak = buffers->peak,
		.buffer_waits = buffers->waits,
		.bytes_stacks = wf_stacks_bytes(&worker->stacks),
		.bytes_tasks = worker->blocks * sizeof(struct wf_task),
		.bytes_buffers =
			buffers->count * (uint64_t)buffers->buffer_bytes + buffers->kept_bytes,
		.bytes_watches = worker->watch_bytes,
		.bytes_allocated = worker->memory.bytes_used,
	};
	return 0;
}
