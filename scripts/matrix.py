#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Builds weft with every compiler and C library it is for, and tries what was built.

    scripts/matrix.py [PRESET...]

Each preset builds the libraries, the examples and the benchmarks, with warnings as errors and without
the tests, into build/matrix/PRESET. Then an example must say what it should, and a server must answer
one connection and stop when told. One line for each; a compiler that is missing is no failure.
"""
import argparse
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import typing

ROOT = pathlib.Path(__file__).resolve().parent.parent
SECONDS = 60  # how long a program may take to say what it has to say
HELLO = "hello from warp\nhello from weft\n" * 3
PONG = b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nPong!\r\n"


class Build(typing.NamedTuple):
    """A preset, and the programs without which it cannot be built and tried, the compiler first."""
    preset: str
    needs: tuple
    emulator: tuple = ()


BUILDS = (
    Build("release", ("gcc",)),
    Build("clang", ("clang",)),
    Build("musl", ("musl-gcc",)),
    Build("aarch64", ("aarch64-linux-gnu-gcc",), ("qemu-aarch64",)),
    Build("aarch64-clang", ("clang", "aarch64-linux-gnu-gcc"), ("qemu-aarch64",)),
)

# Where the emulator finds the C library: the one that came with the cross compiler, unless there is
# one that belongs to the system.
if not os.path.exists("/lib/ld-linux-aarch64.so.1"):
    os.environ.setdefault("QEMU_LD_PREFIX", "/usr/aarch64-linux-gnu")


class Failed(Exception):
    """Something did not do what it should; the text is for the reader."""


def output_of(command):
    """What a command prints, to either stream; it must succeed."""
    try:
        done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace")
    except OSError as error:
        raise Failed(f"{command[0]}: {error.strerror}") from error
    if done.returncode:
        raise Failed(f"{' '.join(command)}: status {done.returncode}\n{done.stdout}")
    return done.stdout


def make(build, folder):
    # Afresh, for libraries may have come or gone.
    output_of(["cmake", "--fresh", "--preset", build.preset, "-B", str(folder), "-DWEFT_SHARED=ON",
               "-DWEFT_TESTS=OFF", "-DWEFT_WERROR=ON"])
    output_of(["cmake", "--build", str(folder), "--", "--quiet"])


def compiler_of(build, folder):
    """The compiler, with the version that CMake found."""
    for path in folder.glob("CMakeFiles/*/CMakeCCompiler.cmake"):
        if found := re.search(r'set\(CMAKE_C_COMPILER_VERSION "([^"]*)"\)', path.read_text()):
            return f"{build.needs[0]} {found[1]}"
    return build.needs[0]


def ask(port, server):
    """One request, and all that comes back."""
    end = time.monotonic() + SECONDS
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), SECONDS) as conn:
                conn.sendall(b"GET / HTTP/1.0\r\n\r\n")
                return b"".join(iter(lambda: conn.recv(4096), b""))
        except ConnectionRefusedError:
            if server.poll() is not None or time.monotonic() > end:
                raise Failed("examples/pong does not listen") from None
            time.sleep(0.01)


def serve(command):
    with socket.socket() as probe:  # a port that nobody uses
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen([*command, f"127.0.0.1:{port}"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL)
    try:
        reply = ask(port, server)
        server.send_signal(signal.SIGTERM)
        status = server.wait(SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failed(f"examples/pong: {error}") from error
    finally:
        server.kill()
        server.wait()
    if reply != PONG or status != 0:
        raise Failed(f"examples/pong answered {reply!r} and ended with status {status}")


def smoke(build, folder):
    said = output_of([*build.emulator, str(folder / "examples/hello")])
    if said != HELLO:
        raise Failed(f"examples/hello said:\n{said}")
    serve([*build.emulator, str(folder / "examples/pong")])


def try_build(build):
    """Builds and tries; the compiler, the verdict, and what there is to say of it."""
    folder = ROOT / "build/matrix" / build.preset
    for program in build.needs + build.emulator:
        if not shutil.which(program):
            return build.needs[0], f"not run: no {program}", ""
    try:
        make(build, folder)
        smoke(build, folder)
    except Failed as error:
        return compiler_of(build, folder), "FAILED", f"{error}\n"
    return compiler_of(build, folder), "ok", ""


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("preset", nargs="*", help="some of them only")
    wanted = parser.parse_args().preset
    unknown = set(wanted) - {build.preset for build in BUILDS}
    if unknown:
        parser.error(f"no preset {', '.join(sorted(unknown))}")
    failed = 0
    for build in BUILDS:
        if wanted and build.preset not in wanted:
            continue
        start = time.monotonic()
        compiler, verdict, text = try_build(build)
        seconds = time.monotonic() - start
        print(f"{build.preset:14} {compiler:30} {verdict:30} {seconds:7.1f} s\n{text}", end="",
              flush=True)
        failed |= verdict == "FAILED"
    return failed


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds, and so stops the server
    sys.exit(main())
