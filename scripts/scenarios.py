#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the scenarios of tests/sim in the simulator; scripts/test.py does so as its configuration "sim".

For each scenario there are these runs:

    NAME              as many seeds as fit, at least SEEDS_LEAST
    NAME-asan         fewer, with the sanitizers
    NAME-determinism  the hashes of some seeds are the same in each build; and each seed twice
    NAME-allocations  each allocation of a run fails, once alone and once with all that follow

and one for all together, `mishaps`: every line of the simulator's list of mishaps was met by some scenario.
A failure shows the command that replays it.
"""
import collections
import pathlib
import re
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
NAMES = sorted(path.stem for path in ROOT.glob("tests/sim/*.c"))
SECONDS = 180  # for the seeds of all scenarios together
SEEDS_LEAST = 2000
SEEDS_ASAN = 300
SEEDS_COMPARED = 200
SEEDS_TWICE = 200
BUILDS = ("release", "clang", "asan", "unoptimized")
LINE = re.compile(r"^([a-z]+ +(?:[A-Z0-9]+|at most \d+)) +(\d+)$", re.M)
met = collections.Counter()  # how often each mishap was, by the runs of the seeds


def program(build, name):
    return ROOT / "build" / build / "tests" / f"sim_{name}"


def simulate(build, name, *options):
    """Runs a scenario; returns what it printed, and whether it failed."""
    # The sanitizers reserve fixed addresses that the kernel's randomisation may take from them.
    fixed = ["setarch", "-R"] if build == "asan" else []
    done = subprocess.run([*fixed, program(build, name).relative_to(ROOT), *options], cwd=ROOT,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace")
    return done.stdout, done.returncode != 0


def count_runs(output):
    return int(re.findall(r"^(\d+) runs in", output, re.M)[-1])


def run_seeds(name):
    """As many seeds as fit into its share of the time, and then as many as it needs."""
    output, failed = simulate("release", name, "--matrix", "--time-limit", str(SECONDS // len(NAMES)))
    if not failed and count_runs(output) < SEEDS_LEAST:
        output, failed = simulate("release", name, "--matrix", "--seeds", f"1..{SEEDS_LEAST}")
    for mishap, count in LINE.findall(output):
        met[re.sub(" +", " ", mishap)] += int(count)
    if failed:
        return LINE.sub("", output).strip(), None
    return None, f"{count_runs(output)} seeds"


def run_asan(name):
    output, failed = simulate("asan", name, "--seeds", f"1..{SEEDS_ASAN}")
    return (output, None) if failed else (None, f"{count_runs(output)} seeds with the sanitizers")


def run_determinism(name):
    """Compares the builds with each other, and two runs in one process."""
    seeds = f"1..{SEEDS_COMPARED}"
    hashes = {}
    for build in BUILDS:
        output, failed = simulate(build, name, "--seeds", seeds, "--hashes")
        hashes[build] = re.findall(r"^(\d+) ([0-9a-f]{16})$", output, re.M)
        if failed or len(hashes[build]) != SEEDS_COMPARED:
            return output, None
    for build in BUILDS[1:]:
        for ours, theirs in zip(hashes[BUILDS[0]], hashes[build]):
            if ours != theirs:
                return (f"seed {ours[0]} has the hash {ours[1]} in build/{BUILDS[0]}, and {theirs[1]} in "
                        f"build/{build}; compare what --trace --replay {ours[0]} shows in both"), None
    output, failed = simulate("release", name, "--seeds", f"1..{SEEDS_TWICE}", "--check-determinism")
    if failed:
        return output, None
    return None, f"{SEEDS_COMPARED} seeds, {len(BUILDS)} builds, equal"


def run_allocations(name, seeds):
    """Fails each allocation of each seed. A seed that allocates nothing has nothing to fail."""
    runs = 0
    for seed in range(1, seeds + 1):
        output, failed = simulate("release", name, "--seeds", str(seed), "--allocations")
        if failed:
            return output, None
        runs += count_runs(output)
    return None, f"{runs // 2} allocations failed, alone and with all that follow"


def check_mishaps(shows):
    """Every line of the list was met; shows the table if asked to."""
    if shows:
        for mishap, count in met.items():
            operation, _, error = mishap.partition(" ")
            print(f"{operation:12}{error:16}{count:12}")
    never = [mishap for mishap, count in met.items() if count == 0]
    if never or not met:
        return "never met: " + (", ".join(never) or "all, as no scenario has run"), None
    return None, f"{len(met)} pairs of operation and error were met {met.total()} times, and survived"


def build():
    """Builds the scenarios where the tests do not; returns what failed, or nothing."""
    targets = [f"tests_sim_{name}" for name in NAMES]
    for preset in BUILDS:
        for command in (["cmake", "--preset", preset, "-DWEFT_TESTS=ON"],
                        ["cmake", "--build", f"build/{preset}", "--target", *targets, "--", "--quiet"]):
            done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  text=True, errors="replace")
            if done.returncode:
                return done.stdout
    return None


def runs(full):
    """Every run, as its name and what runs it: a function that returns what failed, or None and a note."""
    for name in NAMES:
        yield name, lambda name=name: run_seeds(name)
    for name in NAMES:
        yield f"{name}-asan", lambda name=name: run_asan(name)
        yield f"{name}-determinism", lambda name=name: run_determinism(name)
        yield f"{name}-allocations", lambda name=name: run_allocations(name, 100 if full else 5)


def run_all(wanted, full=False, matrix=False):
    """Builds and runs what is wanted: yields the name, what failed or None, and the seconds of each."""
    chosen = [(name, function) for name, function in runs(full) if wanted(f"sim/{name}")]
    if not chosen:
        return
    output = build()
    if output is not None:
        yield "sim:build", output, 0
        return
    if all(wanted(f"sim/{name}") for name in NAMES):
        chosen.append(("mishaps", lambda: check_mishaps(matrix)))
    for name, function in chosen:
        start = time.monotonic()
        failure, note = function()
        seconds = time.monotonic() - start
        if failure is None:
            print(f"sim/{name}: {note}, {seconds:.1f} s", flush=True)
        yield f"sim/{name}", failure, seconds
