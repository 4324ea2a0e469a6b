#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Builds the tests and runs them in every configuration; the last line counts the results.

    scripts/test.py [--full] [--matrix] [FILTER]

FILTER keeps the runs whose "configuration/program" contains it: "core_scope", "tsan/", "asan/net_". The configuration "sim"
also has the scenarios of tests/sim (scripts/scenarios.py), and "sim" alone keeps these; --matrix shows how
often they met each mishap.

Each program is a Check suite in fork mode that writes its results as XML. A program that crashes,
hangs, or writes no results counts as a failed test, and so does a build that fails. A test that
prints the line "skip: reason" counts as skipped.
"""
import argparse
import collections
import concurrent.futures
import os
import pathlib
import re
import scenarios
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import typing
from xml.etree import ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
ENGINES = ("epoll", "uring", "sim")
JOBS = 2
PROGRAM_SECONDS = 120  # how long a program may run; the harness limits each test
NAMESPACE = "{http://check.sourceforge.net/ns}"
VALGRIND = "valgrind -q --error-exitcode=99"  # leaks are what AddressSanitizer reports
ON_SIMULATOR = "core_|io_|net_|runtime_"  # what knows no engine needs no third one
NOT_INSTALLED = "(?!install_)"  # what is installed is the release build
SANITIZERS = {
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1",
}


class Config(typing.NamedTuple):
    """One way to run the programs whose names match `programs`."""
    name: str
    preset: str
    programs: str = ""
    env: dict = {}
    wrapper: str = ""
    slowness: int = 1  # by which the time limit is multiplied


class Result(typing.NamedTuple):
    name: str
    failed: bool
    seconds: float
    message: str


def missing_for_aarch64():
    """What the tests need to be built for aarch64, and run here, and this machine lacks."""
    library = "/usr/lib/aarch64-linux-gnu/pkgconfig/check.pc"
    missing = [name for name in ("aarch64-linux-gnu-gcc", "qemu-aarch64") if not shutil.which(name)]
    return missing + ([] if os.path.exists(library) else ["check:arm64"])


def configurations(full):
    """Every way the tests are run."""
    # The sanitizers reserve fixed addresses that the kernel's randomisation may take from them.
    fixed = "setarch -R" if subprocess.run(["setarch", "-R", "true"]).returncode == 0 else ""
    for engine in ENGINES:
        env = {"WEFT_ENGINE": engine}
        some = ON_SIMULATOR if engine == "sim" else ""
        yield Config(engine, "release", some, env)
        yield Config(f"{engine}-asan", "asan", some or NOT_INSTALLED, env | SANITIZERS, fixed, 3)
    # A simulated world has one thread.
    yield Config("tsan", "tsan", "(?!install_|io_sim|runtime_sim|runtime_swarm)", SANITIZERS, fixed, 5)
    yield Config("clang", "clang", NOT_INSTALLED)  # another compiler finds other undefined behaviour
    yield Config("ucontext", "ucontext", "arch_|core_|io_|net_")
    yield Config("yield-always", "release", "core_|io_|net_|examples_", {"WEFT_YIELD_ALWAYS": "1"})
    slow = NOT_INSTALLED if full else "base_|arch_|core_"
    # Valgrind does not know what the kernel writes into a ring.
    yield Config("valgrind", "release", slow, {"WEFT_ENGINE": "epoll"}, VALGRIND, 10)
    if full and not missing_for_aarch64():
        env = {"CK_TIMEOUT_MULTIPLIER": "10"}
        yield Config("aarch64", "aarch64", NOT_INSTALLED, env, "qemu-aarch64", 10)
        # With these the emulator finds no thread to signal after a fork, so io_ is left out.
        large_pages = "qemu-aarch64 -p 65536"
        yield Config("aarch64-64k", "aarch64", "core_|net_|runtime_", env, large_pages, 10)


def build(preset):
    """Builds a preset; returns its output if that failed, else nothing."""
    start = time.monotonic()
    for command in (["cmake", "--preset", preset, "-DWEFT_TESTS=ON", "-DWEFT_WERROR=ON"],
                    ["cmake", "--build", f"build/{preset}", "--", "--quiet"]):
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, errors="replace")
        if done.returncode:
            return done.stdout
    print(f"build {preset}: {time.monotonic() - start:.1f} s", flush=True)
    return None


def kill_session(session):
    """Kills what a program left running; a test in fork mode has a process group of its own."""
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text(errors="replace").rpartition(")")[2].split()[3]) == session:
                os.kill(int(stat.parent.name), signal.SIGKILL)
        except (OSError, IndexError):
            pass  # it has ended meanwhile


def read_results(xml, name):
    """The results a program wrote; those written before a crash are not well-formed, and lost."""
    try:
        tests = list(ElementTree.parse(xml).iter(f"{NAMESPACE}test"))
    except (OSError, ElementTree.ParseError):
        return []
    results = []
    for test in tests:
        text = {child.tag.removeprefix(NAMESPACE): child.text or "" for child in test}
        loop = f"[{text['iteration']}]" if text["iteration"] != "0" else ""
        results.append(Result(f"{name}:{text['id']}{loop}", test.get("result") != "success",
                              float(text["duration"]), f"{text['fn']}: {text['message']}"))
    return results


running = set()  # the sessions of the programs under way


def run(config, program):
    """Runs one program; returns its results, its skips and its output."""
    name = f"{config.name}/{program}"
    limit = PROGRAM_SECONDS * config.slowness
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        xml, log = pathlib.Path(folder, "results.xml"), pathlib.Path(folder, "output")
        env = os.environ | config.env | {"CK_FORK": "yes", "CK_XML_LOG_FILE_NAME": str(xml)}
        command = [*config.wrapper.split(), str(ROOT / "build" / config.preset / "tests" / program)]
        with log.open("wb") as output:
            process = subprocess.Popen(command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL,
                                       stdout=output, stderr=output, start_new_session=True)
            running.add(process.pid)
            try:
                process.wait(limit)
                trouble = f"ended with status {process.returncode}" if process.returncode else ""
            except subprocess.TimeoutExpired:
                trouble = f"still running after {limit} s"
            kill_session(process.pid)
            process.wait()
            running.discard(process.pid)
        output = log.read_text(errors="replace")
        results = read_results(xml, name)
    if not results:
        trouble = f"wrote no results; {trouble or 'ended with status 0'}"
    if trouble and not any(result.failed for result in results):
        results.append(Result(name, True, time.monotonic() - start, trouble))
    return results, re.findall(r"^skip: (.*)$", output, re.MULTILINE), output


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--full", action="store_true",
                        help="valgrind over everything, and aarch64 under qemu")
    parser.add_argument("--matrix", action="store_true",
                        help="show how often the scenarios met each mishap")
    parser.add_argument("filter", nargs="?", default="", help='part of "configuration/program"')
    options = parser.parse_args()

    def wanted(name):
        return options.filter in name

    programs = sorted(f"{path.parent.name}_{path.stem}" for path in ROOT.glob("tests/*/*.c")
                      if path.parent.name not in ("harness", "sim"))
    runs = [(config, program) for config in configurations(options.full) for program in programs
            if re.match(config.programs, program) and wanted(f"{config.name}/{program}")
            and options.filter != "sim"]
    if options.full and missing_for_aarch64():
        print("aarch64: not run: no", ", no ".join(missing_for_aarch64()),
              "(dpkg --add-architecture arm64; apt-get update; ./dev full)")
    results, skips = [], collections.Counter()
    broken = set()
    for preset in dict.fromkeys(config.preset for config, _ in runs):
        output = build(preset)
        if output is not None:
            broken.add(preset)
            results.append(Result(f"{preset}:build", True, 0, ""))
            print(f"FAILED {preset}:build\n{output}", flush=True)

    def run_and_print(config, program):
        ran, skipped, output = run(config, program)
        failures = [f"FAILED {result.name}: {result.message}\n" for result in ran if result.failed]
        if failures:
            print("".join(failures), output, sep="", flush=True)
        return ran, skipped

    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        ready = [(config, program) for config, program in runs if config.preset not in broken]
        for ran, skipped in pool.map(lambda pair: run_and_print(*pair), ready):
            results += ran
            skips.update(skipped)

    for name, failure, seconds in scenarios.run_all(wanted, options.full, options.matrix):
        if failure is not None:
            print(f"FAILED {name}\n{failure}", flush=True)
        results.append(Result(name, failure is not None, seconds, failure or ""))

    if not results:
        print("no test matches")
    for reason, count in skips.items():
        print(f"skipped {count}: {reason}")
    print("slowest:")
    for result in sorted(results, key=lambda result: -result.seconds)[:10]:
        print(f"{result.seconds:8.2f} s  {result.name}")
    failed = sum(result.failed for result in results)
    skipped = skips.total()
    print(f"{len(results) - failed - skipped} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not results else 0


def end(*_):
    """Kills the running tests, each of which has a session of its own."""
    for session in list(running):
        kill_session(session)
    os._exit(130)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    sys.exit(main())
