/* SPDX-License-Identifier: MIT */
/*
 * A generator is a task that yields values to a consumer, one for each it is asked for. So what
 * produces is written as a loop, and what consumes is another:
 *
 *	for (int i = 0; r == 0 && i < 10; i++)
 *		r = weft_gen_yield(gen, &i);
 *
 *	while ((r = weft_gen_next(&gen, &value)) > 0)
 *		use(value);
 *
 * The producer starts with the first weft_gen_next, and runs only while it is asked for a value; a value
 * lives until it is asked for the next. To delegate to another function, call it with the same
 * generator; to another generator, by weft_gen_delegate.
 *
 * A producer that has not come to its end waits in weft_gen_yield, and its scope waits for it: close
 * the generator before the scope, or cancel the scope. A generator lies in the consumer's memory, must not
 * move while open, and belongs to one worker.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <weft/error.h>
#include <weft/line.h>
#include <weft/scope.h>

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

struct weft_gen;
struct wf_task;

/* What produces. A negative result is a failure, which the consumer gets and the scope sees. */
typedef int weft_gen_function(struct weft_gen *gen, void *arg);

/* All fields are private. All zero is one that has ended. */
struct weft_gen {
	struct weft_scope *scope;
	weft_gen_function *function;
	void *arg;
	const char *site, *name;
	struct wf_task *producer;  /* once it runs, until it returns */
	struct weft_line_ yielder; /* the producer, while it waits in weft_gen_yield */
	struct weft_line_ asker;   /* the consumer, while it waits in weft_gen_next */
	struct weft_line_ closers; /* who waits for the producer to return */
	void *value;		   /* what the producer yields while nobody asks */
	int result;		   /* of the producer, once it has returned: 0, or negative */
	uint8_t state;		   /* private to generator.c */
	bool offers;		   /* the yielder has a value that nobody has taken */
	bool closed;
};

/* Prepares a generator; its producer will be a task of the scope. Never suspends. -EPERM if the scope is
 * not open, or of another worker. */
#define weft_gen_open(gen, scope, function, arg) \
	weft_gen_open_at((gen), (scope), (function), (arg), WEFT_HERE, #function)
int weft_gen_open_at(struct weft_gen *gen, struct weft_scope *scope, weft_gen_function *function,
		     void *arg, const char *site, const char *name) WEFT_MUST_USE;

/* For the producer: hands `value` to the consumer, now or when it asks, and waits until it is asked for
 * the next one. A checkpoint: 0; WEFT_ECLOSED when the consumer wants no more; -ECANCELED,
 * WEFT_EDEADLINE, also if the value has been taken and the stop came while it waited to be asked;
 * -EPERM in any other task. A producer that goes on after 1,000 refusals in a row ends the program. */
int weft_gen_yield(struct weft_gen *gen, void *value) WEFT_MUST_USE;

/* For the consumer: gets the next value, which is good until the next call, or until the producer is
 * stopped. A checkpoint: 1 with a value; 0 at the end; the producer's negative result, at each call;
 * WEFT_ECLOSED once it has been closed; what weft_spawn returns, if the producer could not be started;
 * -EBUSY while another task waits for a value; -EDEADLK in the producer; -ECANCELED,
 * WEFT_EDEADLINE, and then no value is lost; -EPERM outside a task. */
int weft_gen_next(struct weft_gen *gen, void **ret_value) WEFT_MUST_USE;

/* For the consumer: wants no more. The producer's weft_gen_yield returns WEFT_ECLOSED, and its
 * result is no failure whatever it is. Waits until it has returned, and cannot be interrupted in that, like
 * the close of a scope; at once if it has not started or has ended, also for a generator that was closed
 * before, is all zero, or NULL. Ends the program in the producer, which returns in place of it, and outside
 * a task if there is something to wait for. */
void weft_gen_close(struct weft_gen *gen);

/* For the producer of `gen`: yields all that is left of another generator, and closes that if it does not
 * come to its end. A checkpoint: 0 at its end, its negative result, or that of weft_gen_yield. -EBUSY while
 * another task asks it, -EDEADLK for `gen` itself: then it is left as it is. */
int weft_gen_delegate(struct weft_gen *gen, struct weft_gen *other) WEFT_MUST_USE;

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop
