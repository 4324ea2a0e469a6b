#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The figures of a suite: weft beside its bare twins and its peers.

    bench.py [core|channels] [--quick] [--json FILE] [--only NAME...]

Every comparison is a ratio taken in interleaved rounds (A B, B A, A B...) within one run: at least
11, or 5 with --quick. A goal is met when the median reaches it and the unfavourable quartile does
not lie beyond it, missed when not even the favourable quartile reaches it, undecided in between.
What lacks a program it is compared with is not run, which is not met.

Exit status: 0 all goals met, 1 one missed, 3 none missed but some undecided or not run.
"""
import argparse
import contextlib
import functools
import json
import os
import re
import signal
import statistics
import sys
import time
from dataclasses import asdict, dataclass, field

from measure import (
    BENCH, CLIENT_CPU, PEERS, PEERS_OUT, ROOT, NotRun, Server, environment, figures, first_line,
    idle_connections, interleave, judge, output, quartiles, slab_bytes, stolen_ticks,
)

WEFT_PONG = [ROOT / "build/release/examples/pong", "{address}"]
BARE_PONG = {  # on each engine; examples/pong.c defers it, too
    engine: [BENCH / f"bare_{engine}", "--defer-accept", 1, "{address}"]
    for engine in ("epoll", "uring")
}
WEFT_KEEP = [BENCH / "keep_alive", "{address}"]
WEFT_PARK = [BENCH / "keep_alive", "--park", "{address}"]
BARE_KEEP = {
    engine: [BENCH / f"bare_{engine}", "--keep-alive", "{address}"] for engine in BARE_PONG
}
ENGINES = {engine: {"WEFT_ENGINE": engine} for engine in BARE_PONG}
REQUESTS = 19200  # of one round: on connections of their own, or on KEPT ones
WARM_UP = 4800
KEPT = 64
IDLE = 10000  # connections whose memory is measured: half of the descriptors a process may have
GO_ONE_CORE = {"GOMAXPROCS": "1"}


@dataclass
class Figure:
    """One line of the table. With `other`, the goal is for ours / other; else for ours itself.
    Both hold one value a round. Without a goal it is for information."""

    name: str
    unit: str
    ours: list = field(default_factory=list)
    other: list = field(default_factory=list)
    goal: float | None = None
    versus: str = ""
    note: str = ""
    not_run: str = ""
    broken: str = ""

    def judged(self):
        return [a / b for a, b in zip(self.ours, self.other)] if self.other else self.ours

    def verdict(self):
        if self.not_run or self.broken:
            return "not run" if self.not_run else "missed"
        return judge(self.judged(), self.goal) if self.goal is not None else ""


def paired(name, unit, values, ours, other, goal=None, **more):
    return Figure(name, unit, values[ours], values[other], goal, **more)


class Broken(Exception):
    """A program of ours did not do its work."""


def ours(function, *arguments, **more):
    """Calls it, for a program of ours: one that does not run is broken, not missing."""
    try:
        return function(*arguments, **more)
    except NotRun as error:
        raise Broken(str(error)) from error


# --- programs that measure themselves -----------------------------------------------------------


def go_program(name):
    PEERS_OUT.mkdir(parents=True, exist_ok=True)
    output(["go", "build", "-o", PEERS_OUT / name, PEERS / f"{name}.go"])
    return PEERS_OUT / name


def beside_go(program, go_command, rounds):
    """Rounds of a program of ours and of a Go one: {name: one value a round}."""
    peer, *arguments = go_command
    command = [go_program(peer), *arguments]
    measure = {
        "weft": lambda: ours(figures, [BENCH / program, "--rounds", 3]),
        "go": lambda: figures(command, environment=GO_ONE_CORE),
    }
    runs = interleave(list(measure), rounds, lambda who: measure[who]())
    return {
        name: [statistics.median(run[name]) for run in runs[who]]
        for who in measure
        for name in runs[who][0]
    }


def judged_beside_go(program, go_command, goals, rounds):
    """A figure for each name in `goals`, beside Go's "go." and that; returns our values."""
    try:
        values = beside_go(program, go_command, rounds)
        for name, goal in goals.items():
            yield paired(name, "ns", values, name, f"go.{name}", goal, versus="Go")
    except NotRun as error:
        for name, goal in goals.items():
            yield Figure(name, "ns", goal=goal, not_run=str(error))
        values = ours(figures, [BENCH / program, "--rounds", rounds])
    return values


def switch(rounds):
    values = ours(figures, [BENCH / "switch", "--rounds", max(rounds, 11)])
    if "switch.bare" not in values:
        yield Figure("switch.bare", "ns", goal=1.5, not_run="no twin for this processor")
    else:
        yield paired("switch.bare", "ns", values, "switch.weft", "switch.bare", 1.5,
                     versus="bare ring")
    try:
        values = beside_go("switch", ["go_core", "yield"], rounds)
        yield paired("switch.go", "ns", values, "switch.weft", "go.yield", 0.2, versus="Go Gosched")
    except NotRun as error:
        yield Figure("switch.go", "ns", goal=0.2, not_run=str(error))


def spawn(rounds):
    goals = {"spawn.single": 0.2, "spawn.thousand": None}
    values = yield from judged_beside_go("spawn", ["go_core", "spawn"], goals, rounds)
    yield Figure("spawn.thousand.each", "ns", values["spawn.thousand"], note="aim: at most 20 ns")


def timer(rounds):
    values = ours(figures, [BENCH / "timer", "--rounds", max(rounds, 11)])
    for kind, aim in ("fresh", 12), ("random", 90):
        name = f"timer.{kind}"
        yield paired(name, "ns", values, f"{name}.weft", f"{name}.bare", 1.3, versus="bare wheel",
                     note=f"aim: at most {aim} ns")


def sleepers(rounds):
    mine = [ours(figures, [BENCH / "sleepers"]) for _ in range(min(rounds, 5))]
    guard = next(name.split(".")[-1] for name in mine[0] if name.startswith("sleepers.guard."))
    try:
        go = [figures([go_program("go_core"), "sleepers"], environment=GO_ONE_CORE) for _ in mine]
    except NotRun:
        go = []
    parts = [f"{part} {mine[0][f'sleepers.{part}'][0]:.0f}" for part in ("resident", "page_tables")]
    yield Figure("sleepers.memory", "B", [run["sleepers.memory"][0] for run in mine],
                 goal=4.9 * 1024, note=", ".join([*parts, f"guard {guard}"]))
    yield Figure("sleepers.maps", "lines", [run["sleepers.maps"][0] for run in mine],
                 goal=499 if guard == "light" else None, note=f"guard {guard}")
    for what, unit in ("memory", "B"), ("virtual", "B"), ("mappings", ""):
        weft = [run[f"sleepers.{what}"][0] for run in mine]
        others = [run[f"go.sleepers.{what}"][0] for run in go]
        if go:
            yield Figure(f"sleepers.{what}.go", unit, weft, others, versus="Go")
        elif what != "memory":
            yield Figure(f"sleepers.{what}", unit, weft)


def bursts(_):
    values = ours(figures, [BENCH / "bursts"])["bursts.idle"]
    yield Figure("bursts", "B", values[-1:], values[1:2], 1.05, versus="after the second",
                 note=f"resident after {len(values)} bursts of 50,000 tasks")
    values = ours(figures, [BENCH / "bursts", "--tasks", 100000, "--bursts", 1, "--seconds", 5])
    yield Figure("bursts.trim", "B", values["bursts.idle"], values["bursts.before"], 1.2,
                 versus="before", note="resident 5 s after 100,000 tasks")


def channels(rounds):
    goals = {f"channels.{what}": 0.3 for what in ("pair", "buffered", "select", "ring")}
    values = yield from judged_beside_go("channels", ["go_chan"], goals, rounds)
    yield Figure("channels.shares", "%", values["channels.shares"], goal=5,
                 note="the share of a ready case furthest from a quarter")
    values = ours(figures, [BENCH / "mutex", "--rounds", rounds])
    yield Figure("mutex.uncontended", "ns", values["mutex.uncontended"],
                 note="a lock and its unlock; no system call (tests/core/mutex.c)")


# --- ping-pong servers --------------------------------------------------------------------------


def peers(kind="pong"):
    """The peers that answer once on each connection, or those that keep it."""
    text = (PEERS / "peers.json").read_text(encoding="utf-8")
    return {peer["name"]: peer for peer in json.loads(text) if peer.get("kind", "pong") == kind}


def peer_server(peer):
    if "build" in peer:
        PEERS_OUT.mkdir(parents=True, exist_ok=True)
        output([word.format(out=PEERS_OUT, peers=PEERS) if "{out}" in word or "{peers}" in word
                else word for word in peer["build"]])
    keys = "environment", "config", "files", "http", "own_reply"
    server = Server(peer["run"], keeps=peer.get("kind") == "keep",
                    **{key: peer[key] for key in keys if key in peer})
    try:
        load(server, WARM_UP)
    except Broken as error:
        server.stop()
        raise NotRun(str(error)) from error
    return server


def load(server, requests, kept=KEPT, concurrency=KEPT):
    """Drives a server; every request must have been answered, to the last byte."""
    calls = requests // kept if server.keeps else 1
    values = figures([
        BENCH / "load", "--connections", requests // calls, "--calls", calls,
        "--concurrency", concurrency,
        "--version", server.http, "--exact", int(not server.own_reply), server.address,
    ])
    if values["load.errors"][0]:
        errors = {name: v[0] for name, v in values.items() if v[0] and name.count(".") == 1}
        raise Broken(f"{server.address} did not answer every request: {errors}")
    return values


def cpu_per_request(server):
    """Microseconds of the server's CPU time."""
    before = server.cpu_ns()
    load(server, REQUESTS)
    return (server.cpu_ns() - before) / REQUESTS / 1e3


def compare(servers, rounds):
    for server in servers.values():
        load(server, WARM_UP)
    return interleave(list(servers), rounds, lambda name: cpu_per_request(servers[name]))


def beside_twin(name, engine, weft, bare, rounds, **more):
    """The cost of a request, beside the twin on the same engine; what does not even carry the twin
    is no fault of weft's."""
    try:
        twin = Server(bare, **more)
    except NotRun as error:
        return Figure(name, "us", goal=1.08, not_run=str(error))
    with twin, ours(Server, weft, ENGINES[engine], **more) as server:
        values = compare({"weft": server, "bare": twin}, 2 * rounds)
    return paired(name, "us", values, "weft", "bare", 1.08, versus=f"bare {engine}")


def pong_bare(rounds):
    yield beside_twin("pong.bare", "epoll", WEFT_PONG, BARE_PONG["epoll"], rounds)


def pong_uring(rounds):
    yield beside_twin("pong.uring", "uring", WEFT_PONG, BARE_PONG["uring"], rounds)


def weft_servers(stack, weft, **more):
    """A server of ours on each engine that works here; {engine: server}."""
    servers = {"epoll": stack.enter_context(ours(Server, weft, ENGINES["epoll"], **more))}
    with contextlib.suppress(NotRun):
        servers["uring"] = stack.enter_context(Server(weft, ENGINES["uring"], **more))
    return servers


def peer_servers(stack, table):
    """Those that run here, and why the others do not."""
    servers, missing = {}, {}
    for name, peer in table.items():
        try:
            servers[name] = stack.enter_context(peer_server(peer))
        except NotRun as error:
            missing[name] = str(error)
    return servers, missing


def beside_peers(prefix, table, weft, rounds, nginx_goal=None, **more):
    """Our engines and the peers in the same rounds; the better engine is judged beside nginx."""
    goals = {"nginx": nginx_goal}
    with contextlib.ExitStack() as stack:
        mine = weft_servers(stack, weft, **more)
        servers, missing = peer_servers(stack, table)
        if "nginx" in servers:
            both = compare(mine | {"nginx": servers.pop("nginx")}, 2 * rounds)
            best = min(mine, key=lambda engine: statistics.median(both[engine]))
            yield paired(f"{prefix}.nginx", "us", both, best, "nginx", nginx_goal,
                         versus=table["nginx"]["title"], note=f"weft on {best}")
        values = compare(mine | servers, rounds)
    best = min(mine, key=lambda engine: statistics.median(values[engine]))
    for name in servers:
        yield paired(f"{prefix}.{name}", "us", values, best, name, versus=table[name]["title"],
                     note=f"{table[name]['style']}; weft on {best}")
    for name, reason in missing.items():
        yield Figure(f"{prefix}.{name}", "us", goal=goals.get(name), not_run=reason)


def pong_peers(rounds):
    yield from beside_peers("pong", peers(), WEFT_PONG, rounds, 0.92)


def keep(rounds):
    for engine in ENGINES:
        yield beside_twin(f"keep.{engine}", engine, WEFT_KEEP, BARE_KEEP[engine], rounds,
                          keeps=True)
    for engine in ENGINES:
        figure = beside_twin(f"keep.{engine}.park", engine, WEFT_PARK, BARE_KEEP[engine],
                             rounds // 2, keeps=True)
        figure.goal = None
        yield figure
    yield from beside_peers("keep", peers("keep"), WEFT_KEEP, rounds, keeps=True)


# --- memory of servers --------------------------------------------------------------------------


def memory_per_connection(server):
    """What idle connections take, each of which has asked once, over the server without any: bytes
    of pages, of page tables, and of kernel objects, the client's included. Few come at once before:
    what the server had for those, it could give back or use again meanwhile."""
    load(server, 400, kept=200, concurrency=4)
    time.sleep(0.5)
    pages, tables = server.memory()
    objects = slab_bytes()
    with ours(idle_connections, server, IDLE):
        time.sleep(1)
        pages_after, tables_after = server.memory()
        objects_after = slab_bytes()
    found = {"pages": (pages_after - pages) / IDLE, "page tables": (tables_after - tables) / IDLE}
    if objects is not None:
        found["kernel objects of both ends"] = (objects_after - objects) / IDLE
    return found


def memory_rounds(subjects, rounds):
    """{subject: {what: values}}, of a fresh server each time: memory has a history. A subject that
    does not run has its reason in place of values."""
    found = {}
    for name, subject in subjects.items():
        try:
            runs = []
            for _ in range(min(rounds, 3)):
                with subject() as server:
                    runs.append(memory_per_connection(server))
            found[name] = {what: [run[what] for run in runs] for what in runs[0]}
        except NotRun as error:
            found[name] = str(error)
    return found


def memory_figure(name, weft, goal, other=None, versus=""):
    for reason in weft, other:
        if isinstance(reason, str):
            return Figure(name, "B", goal=goal, not_run=reason)
    note = ", ".join(f"{what} {number(statistics.median(values))}"
                     for what, values in weft.items() if what != "pages")
    return Figure(name, "B", weft["pages"], other["pages"] if other else [], goal, versus, note)


def on_engines(command):
    return {engine: functools.partial(Server, command, environment, keeps=True)
            for engine, environment in ENGINES.items()}


def parked(rounds):
    found = memory_rounds(on_engines(WEFT_PARK), rounds)
    for engine in ENGINES:
        yield memory_figure(f"parked.{engine}", found[engine], 128)


def readers(rounds):
    """Straight-line tasks beside goroutines that read through the buffer Go programs use; and, for
    information, through a small one of their own."""
    table = peers("keep")
    subjects = {name: functools.partial(peer_server, table[name]) for name in ("go", "go_lean")}
    found = memory_rounds(on_engines(WEFT_KEEP) | subjects, rounds)
    for name, goal in ("go", 0.65), ("go_lean", None):
        for engine in ENGINES:
            yield memory_figure(f"readers.{engine}" + name.removeprefix("go").replace("_", "."),
                                found[engine], goal, found[name], table[name]["title"])


# --- the ping-pong server in other ways ---------------------------------------------------------


def count_system_calls(command, connections=10000):
    """System calls of a server for one connection, its start and end included; and which."""
    with Server(["strace", "-f", "-c", "-o", "{dir}/calls", *command], ENGINES["epoll"]) as server:
        load(server, connections)
        traced = server.processes()[1]
        os.kill(traced, signal.SIGTERM)
        server.process.wait(10)
        calls = {}
        with open(f"{server.dir}/calls", encoding="ascii") as file:
            for line in file:
                words = line.split()
                if len(words) >= 5 and words[3].isdigit() and words[-1] != "total":
                    calls[words[-1]] = int(words[3])
    per_connection = {name: count / connections for name, count in calls.items()}
    return sum(per_connection.values()), per_connection


def pong_syscalls(rounds):
    commands = {"weft": WEFT_PONG, "bare": BARE_PONG["epoll"]}
    runs = interleave(list(commands), min(rounds, 3),
                      lambda name: count_system_calls(commands[name]))
    which = sorted(runs["weft"][0][1].items(), key=lambda item: -item[1])[:6]
    yield Figure("pong.syscalls", "", [total for total, _ in runs["weft"]], goal=4.3,
                 note=", ".join(f"{name} {count:.2f}" for name, count in which))
    yield Figure("pong.syscalls.bare", "", [total for total, _ in runs["weft"]],
                 [total for total, _ in runs["bare"]], versus="bare epoll")


HTTPERF = {
    "time_ms": r"Connection time \[ms\]: min \S+ avg (\S+)",
    "rate": r"Connection rate: (\S+)",
    "errors": r"Errors: total (\d+)",
    "client_limits": r"fd-unavail (\d+ addrunavail \d+ ftab-full \d+)",
}


def httperf(server, rate=20000, connections=40000):
    """One open-loop run, or None if it hit a limit of the client, which says nothing about the
    server: httperf can use 1,024 descriptors. It walks its source ports upward from 1024, and the
    server's port lies above the last of them."""
    text = output([
        "httperf", "--hog", "--server", "127.0.0.1", "--port", server.port,
        "--num-conns", connections, "--rate", rate, "--num-calls", 1, "--timeout", 5,
    ], CLIENT_CPU, timeout=60)  # it can hang
    found = {key: re.search(pattern, text)[1] for key, pattern in HTTPERF.items()}
    if re.search("[1-9]", found.pop("client_limits")):
        return None
    return {key: float(value) for key, value in found.items()}


def httperf_pairs(servers, rounds):
    """Rounds in which no run hit a limit of the client; {name: results}."""
    runs = {name: [] for name in servers}
    for i in range(3 * rounds):
        order = list(servers) if i % 2 == 0 else list(servers)[::-1]
        pair = {name: httperf(servers[name]) for name in order}
        if all(pair.values()):
            for name, result in pair.items():
                runs[name].append(result)
        if len(runs["weft"]) == rounds:
            return runs
    raise NotRun(f"httperf ran out of descriptors or ports in {3 * rounds - len(runs['weft'])} of "
                 f"{3 * rounds} rounds: the machine is too slow, or too busy, for 20,000/s")


def httperf_time(rounds):
    try:
        with ours(Server, WEFT_PONG, ENGINES["epoll"]) as weft, \
                ours(Server, BARE_PONG["epoll"]) as bare:
            runs = httperf_pairs({"weft": weft, "bare": bare}, max(5, rounds // 2))
    except NotRun as error:
        yield Figure("httperf.time", "ms", goal=1.3, not_run=str(error))
        yield Figure("httperf.errors", "", goal=0, not_run=str(error))
        return
    times = {name: [run["time_ms"] for run in runs[name]] for name in runs}
    rate = statistics.median(run["rate"] for run in runs["weft"])
    yield paired("httperf.time", "ms", times, "weft", "bare", 1.3, versus="bare epoll",
                 note=f"20,000/s asked, {rate:,.0f}/s reached")
    yield Figure("httperf.errors", "", [run["errors"] for run in runs["weft"]], goal=0,
                 note="of 40,000 connections a round")


# --- the command --------------------------------------------------------------------------------

SUITES = {
    "core": {
        "switch": switch, "spawn": spawn, "timer": timer, "sleepers": sleepers, "bursts": bursts,
        "pong.bare": pong_bare, "pong.uring": pong_uring, "pong.peers": pong_peers,
        "pong.syscalls": pong_syscalls, "httperf": httperf_time, "keep": keep, "parked": parked,
        "readers": readers,
    },
    "channels": {"channels": channels},
}
GROUPS = {name: group for suite in SUITES.values() for name, group in suite.items()}


def run_group(name, rounds):
    """The figures of one group; what stops it early is a figure of its own, and not met."""
    try:
        yield from GROUPS[name](rounds)
    except NotRun as error:
        yield Figure(name, "", goal=0, not_run=str(error))
    except Broken as error:
        yield Figure(name, "", goal=0, broken=str(error))


def number(value):
    if value and abs(value) < 100:
        return f"{value:.3g}"
    return f"{value:,.0f}"


def row(figure):
    if reason := figure.not_run or figure.broken:
        return [figure.name, "", "", "", "", "", f"{figure.verdict()}: {reason}"]
    q1, ratio, q3 = map(number, quartiles(figure.judged()))
    ours = f"{number(statistics.median(figure.ours))} {figure.unit}".strip()
    other = f"{number(statistics.median(figure.other))} {figure.versus}" if figure.other else ""
    goal = f"<= {number(figure.goal)}" if figure.goal is not None else ""
    return [figure.name, ours, other, ratio if figure.other else "", f"[{q1}, {q3}]", goal,
            "; ".join(filter(None, (figure.verdict(), figure.note)))]


def print_table(found):
    rows = [["figure", "weft", "other", "ratio", "quartiles", "goal", "verdict"]]
    rows += [row(figure) for figure in found]
    widths = [max(len(cells[i]) for cells in rows) for i in range(6)]
    for cells in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(cells, [*widths, 0])).rstrip())


def versions():
    probes = {name: peer["version"] for name, peer in (peers("keep") | peers()).items()} | {
        "httperf": ["httperf", "--version"], "strace": ["strace", "--version"],
    }
    return {name: first_line(probe) for name, probe in probes.items()}


def exit_status(found):
    verdicts = [figure.verdict() for figure in found if figure.goal is not None]
    if "missed" in verdicts:
        return 1
    return 0 if all(verdict == "met" for verdict in verdicts) else 3


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("suite", nargs="?", default="core", choices=SUITES)
    parser.add_argument("--quick", action="store_true", help="5 rounds in place of 11")
    parser.add_argument("--json", metavar="FILE", help="write all values and the environment")
    parser.add_argument("--only", nargs="+", choices=GROUPS,
                        type=lambda name: name.replace("_", "."),
                        metavar="NAME", help="of " + ", ".join(GROUPS))
    arguments = parser.parse_args()
    rounds = 5 if arguments.quick else 11

    ticks, stolen = stolen_ticks()
    found = []
    for name in arguments.only or SUITES[arguments.suite]:
        print(f"{name}...", file=sys.stderr, flush=True)
        found += run_group(name, rounds)
    ticks_after, stolen_after = stolen_ticks()
    steal = 100 * (stolen_after - stolen) / max(1, ticks_after - ticks)
    print_table(found)
    print(f"\n{rounds} rounds; the hypervisor took {steal:.1f} % of the processor time")

    if arguments.json:
        record = {
            "rounds": rounds,
            "steal_percent": steal,
            "environment": environment(versions()),
            "figures": [asdict(figure) | {"verdict": figure.verdict()} for figure in found],
        }
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(record, file, indent=1)
    return exit_status(found)


if __name__ == "__main__":
    # Both unwind, and so stop what was started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
