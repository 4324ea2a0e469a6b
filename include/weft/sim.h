/* SPDX-License-Identifier: MIT */
/*
 * The simulator: a program, its network and its mishaps, replayed from a seed.
 *
 *	static void scenario(struct weft_sim *sim)
 *	{
 *		weft_sim_host(sim, "server", "10.0.0.1", serve, NULL);
 *		weft_sim_host(sim, "client", "10.0.0.2", ask, NULL);
 *		weft_sim_swarm(sim);
 *		weft_sim_run_for(sim, 60 * WEFT_SECOND, 10 * WEFT_SECOND);
 *	}
 *
 *	int main(int argc, char **argv)
 *	{
 *		return weft_sim_main(argc, argv, scenario);
 *	}
 *
 * The functions `serve` and `ask` are those of any weft program. They run on hosts of their own, in
 * one thread, on a clock that jumps when nobody has anything to do. weft_sim_main(3) tries the scenario
 * with many seeds, says which of them fail, and replays and shrinks those.
 *
 * A scenario is called once for each seed, before time begins; it sets the world up and runs nothing.
 * One process runs many seeds: static variables that the programs use are for the scenario to set.
 * What is called later, actions and checks, runs between two tasks and must not suspend.
 *
 * Functions that take a host take NULL for every host. Nothing here suspends or fails: a world that
 * cannot be is the end of the program, which says why. Everything belongs to one thread. Strings and
 * arguments must live as long as the run.
 *
 * Times are nanoseconds from the beginning of the run.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <weft/error.h>
#include <weft/scope.h>
#include <weft/task.h>
#include <weft/time.h>

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

struct weft_sim;
struct weft_sim_host;

typedef void weft_sim_scenario(struct weft_sim *sim);
typedef void weft_sim_action(struct weft_sim *sim, void *arg);

/* ---- The world ------------------------------------------------------------------------------- */

/* Adds a host with an IPv4 address of 10.0.0.0/8, and runs `function(arg)` on it as the first task of a
 * program of its own. A negative result is a failure of the run, unless it is that of a stop. At most
 * 64 hosts; in the scenario only. */
#define weft_sim_host(sim, name, address, function, arg) \
	weft_sim_host_at((sim), (name), (address), (function), (arg), WEFT_HERE, #function)
struct weft_sim_host *weft_sim_host_at(struct weft_sim *sim, const char *name, const char *address,
				       weft_function *function, void *arg, const char *site,
				       const char *function_name);

/* What lies between two hosts. Zero means the default; no minimum exceeds its maximum. */
struct weft_sim_link {
	weft_time latency_min_ns; /* default 100 us, or the maximum if that is less */
	weft_time latency_max_ns; /* default 2 ms, or the minimum if that is more */
	uint64_t bandwidth;	  /* bytes in a second; default any */
	uint32_t segment_min;	  /* bytes that travel together; default 1 */
	uint32_t segment_max;	  /* default 1,460, or the minimum if that is more */
	uint32_t capacity;	  /* bytes sent and not yet read; default 64 KiB */
};

/* Sets the link from one host to another; the one back is another link. A host talks to itself without
 * delay. Set links are left alone by weft_sim_swarm. */
void weft_sim_link_set(struct weft_sim *sim, struct weft_sim_host *from, struct weft_sim_host *to,
		       const struct weft_sim_link *link);

/* Cuts the link from one host to another: what is sent is held until it is healed, as retransmission
 * would have it. The second does so from one time to another, WEFT_FOREVER for no end. A link that is cut
 * more than once is whole again when all its cuts have ended; weft_sim_heal ends those that have begun. */
void weft_sim_cut(struct weft_sim *sim, struct weft_sim_host *from, struct weft_sim_host *to);
void weft_sim_cut_during(struct weft_sim *sim, struct weft_sim_host *from, struct weft_sim_host *to,
			 weft_time begin, weft_time end);
void weft_sim_heal(struct weft_sim *sim, struct weft_sim_host *from, struct weft_sim_host *to);

/* Cuts, and heals, both ways. */
void weft_sim_partition(struct weft_sim *sim, struct weft_sim_host *a, struct weft_sim_host *b);
void weft_sim_rejoin(struct weft_sim *sim, struct weft_sim_host *a, struct weft_sim_host *b);

/* Resets every connection between two hosts, now, or at a time. */
void weft_sim_reset(struct weft_sim *sim, struct weft_sim_host *a, struct weft_sim_host *b);
void weft_sim_reset_at(struct weft_sim *sim, struct weft_sim_host *a, struct weft_sim_host *b,
		       weft_time time);

/* Whether a reset takes away what has arrived and was not read, as on other systems than Linux. */
void weft_sim_harsh_resets(struct weft_sim *sim, bool harsh);

/* How many descriptors a host may have, and how many ports for connections out; 0 leaves that limit as it
 * is, which is 20,000 and 28,232 at first. What a host has beyond a new limit it keeps. */
void weft_sim_limit(struct weft_sim *sim, struct weft_sim_host *host, uint32_t descriptors,
		    uint32_t ports);

/* Asks the program of a host to stop (weft_scope_stop), or cancels it; raises a signal there for those
 * who wait by weft/signals.h. A program that has not begun finds it when it does, a signal when it first
 * opens a set with that in it. Of a program that has ended they do nothing. */
void weft_sim_stop(struct weft_sim *sim, struct weft_sim_host *host);
void weft_sim_cancel(struct weft_sim *sim, struct weft_sim_host *host);
void weft_sim_signal(struct weft_sim *sim, struct weft_sim_host *host, int number);

/* ---- Time, chance, mishaps ------------------------------------------------------------------- */

/* Calls an action at a time; never at WEFT_FOREVER. */
void weft_sim_at(struct weft_sim *sim, weft_time time, weft_sim_action *action, void *arg);

/* How long the run has lasted. */
weft_time weft_sim_now(const struct weft_sim *sim);

/* A number from min to max, both included, from the seed. */
uint64_t weft_sim_choose(struct weft_sim *sim, uint64_t min, uint64_t max);

/* What can fail. */
enum weft_sim_operation {
	WEFT_SIM_SOCKET,
	WEFT_SIM_OPTION,
	WEFT_SIM_BIND,
	WEFT_SIM_LISTEN,
	WEFT_SIM_ACCEPT,
	WEFT_SIM_CONNECT,   /* at once */
	WEFT_SIM_CONNECTED, /* later */
	WEFT_SIM_RECEIVE,
	WEFT_SIM_SEND,
	WEFT_SIM_SHUTDOWN,
	WEFT_SIM_NAME,
	WEFT_SIM_CLOSE,
	WEFT_SIM_WATCH,	   /* of a descriptor by the engine */
	WEFT_SIM_SIGNALS,  /* opening a set of them */
	WEFT_SIM_READ,	   /* one of a set */
	WEFT_SIM_ALLOCATE, /* memory */
};

/* Has the count-th operation of that kind on a host fail, from 1, with a negative errno; the second, all
 * from then on. For WEFT_SIM_SEND a positive number is the most bytes that are sent. For every host, the
 * operations of all are counted together. */
void weft_sim_fail_nth(struct weft_sim *sim, struct weft_sim_host *host,
		       enum weft_sim_operation operation, uint64_t count, int error);
void weft_sim_fail_from(struct weft_sim *sim, struct weft_sim_host *host,
			enum weft_sim_operation operation, uint64_t count, int error);

/* Swarm mode: each seed turns a part of all that can go wrong on, at rates of its own, and chooses
 * latencies, segments, partitions, resets, and how many operations a task may do without a switch. In the
 * scenario only. */
void weft_sim_swarm(struct weft_sim *sim);

/* From now on nothing goes wrong any more that was planned or is left to chance, and links are healed.
 * What a program does afterwards has to succeed. */
void weft_sim_calm(struct weft_sim *sim);

/* Which of the ready tasks runs next; by default the seed chooses the strategy. In the scenario only. */
enum weft_sim_strategy {
	WEFT_SIM_FIFO,	 /* the one that has been ready longest: the order of production */
	WEFT_SIM_RANDOM, /* any */
	WEFT_SIM_PCT,	 /* random priorities that change at a few random points
			    (S. Burckhardt et al., ASPLOS 2010) */
};
void weft_sim_strategy(struct weft_sim *sim, enum weft_sim_strategy strategy);

/* How many operations that complete on the spot a task may do in a row, from 1 to 64; default 64, as in
 * production. In the scenario only. */
void weft_sim_credit(struct weft_sim *sim, uint32_t operations);

/* ---- What must hold -------------------------------------------------------------------------- */

/* Calls a check after each step, that is, whenever a task has run; it speaks through weft_always. */
void weft_sim_check(struct weft_sim *sim, weft_sim_action *check, void *arg);

/* How the run ends. After `duration_ns` no mishap happens any more, links are healed, and every host is
 * asked to stop; within `bound_ns` from then all tasks must have ended, and nothing be left: no task, no
 * descriptor, no byte of the library's memory. Default: 60 s and 60 s. A run whose programs end by
 * themselves ends earlier. With WEFT_FOREVER they have to; if all of them wait for ever, that is a
 * deadlock. In the scenario only. */
void weft_sim_run_for(struct weft_sim *sim, weft_time duration_ns, weft_time bound_ns);

/* How many steps a run may have before it is taken for one that does not end; default 10 million. */
void weft_sim_steps_max(struct weft_sim *sim, uint64_t steps);

/* A property that must hold whenever the line is reached; one that must hold at least once in all runs
 * together; a line that must be reached at least once. In a program that is not simulated they cost one
 * test, and evaluate nothing: a condition has no side effects. With gcc in C++ they cannot stand in inline
 * functions and templates, whose data it does not put into a section of ours. */
#define weft_always(condition, text) WEFT_POINT_(WEFT_POINT_ALWAYS_, (condition), text)
#define weft_sometimes(condition, text) WEFT_POINT_(WEFT_POINT_SOMETIMES_, (condition), text)
#define weft_reachable(text) WEFT_POINT_(WEFT_POINT_REACHABLE_, 1, text)

/* The rest of this section is private. */

enum weft_point_kind_ { WEFT_POINT_ALWAYS_, WEFT_POINT_SOMETIMES_, WEFT_POINT_REACHABLE_ };

/* One such line. The linker gathers them, so that those that were never reached are known, too. */
struct weft_point_ {
	const char *text, *site;
	uint64_t reached, held;
	uint64_t kind; /* enum weft_point_kind_ */
};

/* Whether this process simulates. */
extern bool weft_simulating_;

void weft_point_hit_(struct weft_point_ *point, bool holds);

#define WEFT_POINT_(kind, condition, text)                                                 \
	do {                                                                               \
		static struct weft_point_ weft_point                                       \
			__attribute__((section("weft_points"), used,                       \
				       aligned(8))) = { (text), WEFT_HERE, 0, 0, (kind) }; \
		if (__builtin_expect(weft_simulating_, 0))                                 \
			weft_point_hit_(&weft_point, (condition) ? true : false);          \
	} while (0)

/* ---- Running it ------------------------------------------------------------------------------ */

/* Runs a scenario as the command line says, and returns the exit status: 0 if no seed failed, 1 if one
 * did, 2 for a command line that is none. weft_sim_main(3) lists the options. Outside of weft_run. */
#define weft_sim_main(argc, argv, scenario) \
	weft_sim_main_((argc), (argv), (scenario), __start_weft_points, __stop_weft_points)
int weft_sim_main_(int argc, char **argv, weft_sim_scenario *scenario, struct weft_point_ *first,
		   struct weft_point_ *end);

/* Where the linker puts the lines of this program or library; NULL without any. */
extern struct weft_point_ __start_weft_points[] __attribute__((weak, visibility("hidden")));
extern struct weft_point_ __stop_weft_points[] __attribute__((weak, visibility("hidden")));

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop
