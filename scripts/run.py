#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The demonstration behind `./dev run`: examples/pong under httperf, as in the benchmark of 2009.

Offers 40,000 connections at each of three rates, prints httperf's own report and a line of verdict
for each, and then leaves the server running in the foreground. With --check it stops there.

What httperf cannot do is told apart from what the server does wrong. It handles 1,024 descriptors at
once (`fd-unavail`) and may run out of ports (`addrunavail`): such a run says nothing about the server,
so it is repeated, and called a client limit if that does not help. It can also hang: a run ends after
a minute. It walks its source ports upward from 1024, so the server listens above all of those.
"""
import os
import re
import signal
import socket
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PONG = os.path.join(ROOT, "build", "release", "examples", "pong")
RATES = (1000, 9000, 20000)
CONNECTIONS = 40000
ATTEMPTS = 4


def free_port():
    """A port that no source port of the client can reach."""
    for port in range(64000, 65000):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    sys.exit("run: no port from 64000 to 64999 is free on 127.0.0.1; end a server that uses one")


def pinned_to(cpu):
    """Server and client do not share a processor where there are two."""
    cpus = sorted(os.sched_getaffinity(0))
    return lambda: os.sched_setaffinity(0, {cpus[cpu % len(cpus)]})


def start_server(port):
    server = subprocess.Popen([PONG, f"127.0.0.1:{port}"], preexec_fn=pinned_to(0))
    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.01)
            if server.poll() is None:
                continue
        if server.poll() is not None:
            sys.exit(f"run: the server ended with status {server.returncode}")
        return server
    server.kill()
    sys.exit("run: the server does not answer")


def drive(port, rate):
    """One run of httperf: its report, or None if it hung."""
    command = ["httperf", "--hog", "--timeout=5", "--client=0/1", "--server=127.0.0.1",
               f"--port={port}", "--uri=/", f"--rate={rate}", "--send-buffer=4096",
               "--recv-buffer=16384", f"--num-conns={CONNECTIONS}", "--num-calls=1"]
    print(flush=True)
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                              timeout=60 + CONNECTIONS / rate, preexec_fn=pinned_to(1))
    except subprocess.TimeoutExpired:
        return None
    except FileNotFoundError:
        sys.exit("run: httperf is not installed; ./dev deps installs it")
    print("\n".join(line for line in done.stdout.splitlines() if line.strip()), flush=True)
    return done.stdout


def judge(report):
    """'ok', 'client' for a limit of httperf, or 'server'; and a sentence."""
    if report is None:
        return "client", "httperf hung and was ended"
    fields = {name: int(value) for name, value in
              re.findall(r"\b(replies|total|fd-unavail|addrunavail|ftab-full|other) (\d+)", report)}
    average = re.search(r"Connection time \[ms\]: min \S+ avg (\S+) max (\S+)", report)
    limits = fields.get("fd-unavail", 0) + fields.get("addrunavail", 0) + fields.get("ftab-full", 0)
    if limits:
        return "client", f"httperf was out of descriptors or ports {limits} times"
    if fields.get("total") == 0 and fields.get("replies") == CONNECTIONS and average:
        return "ok", (f"{CONNECTIONS:,} replies, 0 errors, connection time "
                      f"{average[1]} ms on average, {average[2]} ms at most")
    return "server", f"{fields.get('replies', 0):,} replies, {fields.get('total', '?')} errors"


def run_rate(port, rate):
    for attempt in range(1, ATTEMPTS + 1):
        verdict, text = judge(drive(port, rate))
        if verdict != "client" or attempt == ATTEMPTS:
            break
        print(f"-- {rate:,}/s: {text}; once more", flush=True)
        time.sleep(2)
    word = {"ok": "ok", "client": "CLIENT LIMIT", "server": "FAILED"}[verdict]
    print(f"-- {rate:,}/s: {word}: {text}", flush=True)
    return verdict


def main():
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        sys.exit("usage: ./dev run [--check]")
    port = free_port()
    server = start_server(port)
    verdicts = []
    try:
        verdicts = [run_rate(port, rate) for rate in RATES]
        if not check:
            print(f"\nThe server goes on at http://127.0.0.1:{port}/ until Ctrl-C.", flush=True)
            server.wait()
    except KeyboardInterrupt:
        if check:
            sys.exit(130)
    finally:
        server.terminate()
        status = server.wait()
    if status != 0:
        sys.exit(f"run: the server ended with status {status}")
    if check:
        sys.exit(1 if "server" in verdicts else 3 if "client" in verdicts else 0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds, and so stops the server
    main()
