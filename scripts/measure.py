# SPDX-License-Identifier: MIT
"""What bench.py measures with: processes on chosen cores, CPU time, statistics, verdicts."""
import contextlib
import json
import os
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BENCH = ROOT / "build/release/bench"
PEERS = ROOT / "bench/peers"
PEERS_OUT = ROOT / "build/peers"
SERVER_CPU, CLIENT_CPU = 0, 1
HOST = "127.0.0.1"
PONG = b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nPong!\r\n"  # then the end
PONG_KEPT = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nPong!"
ENVIRONMENT = dict(os.environ, PATH=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/go/bin")


class NotRun(Exception):
    """A figure cannot be measured here; the text says why."""


# --- processes --------------------------------------------------------------------------------


def pinned(cpu):
    """A preexec_fn that puts the child on one core, if there is that one and one is asked for."""
    if cpu not in os.sched_getaffinity(0):
        return None
    return lambda: os.sched_setaffinity(0, {cpu})


def output(command, cpu=None, timeout=300, environment=None):
    """The standard output of a command that must succeed."""
    command = [str(word) for word in command]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout,
            env=ENVIRONMENT | (environment or {}), preexec_fn=pinned(cpu),
        )
    except FileNotFoundError as error:
        raise NotRun(f"{command[0]} is not installed") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotRun(str(error)) from error
    if done.returncode:
        reason = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
        raise NotRun(f"{Path(command[0]).name}: exit {done.returncode}: {reason[-1]}")
    return done.stdout or done.stderr


def figures(command, cpu=CLIENT_CPU, environment=None):
    """Runs a program of bench/; returns {name: values in the order printed}."""
    values = {}
    for line in output(command, cpu, environment=environment).splitlines():
        record = json.loads(line)
        values.setdefault(record["name"], []).append(record["value"])
    return values


def first_free_port():
    """Ports outside the range clients get theirs from, and above those httperf walks through."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        last = int(file.read().split()[1])
    for port in range(last + 1 if last < 65000 else 50000, 65536):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
                return port
            except OSError:
                continue
    raise NotRun("no free port")


class Server:
    """A server on a core of its own, ready when the constructor returns. In the command, {host},
    {port}, {address}, {dir} (an empty folder), {config}, {out} and {peers} are filled in. One that
    `keeps` leaves the connection open after a reply."""

    def __init__(self, command, environment=None, config=None, files=None, http="11",
                 own_reply=False, keeps=False):
        self.http, self.own_reply, self.keeps = http, own_reply, keeps
        self.port = first_free_port()
        self.address = f"{HOST}:{self.port}"
        self.dir = tempfile.mkdtemp(prefix="weft-bench-")
        os.chmod(self.dir, 0o755)  # some servers give up root
        for name, text in (files or {}).items():
            Path(self.dir, name).write_text(text, encoding="utf-8")
        if config:
            text = (PEERS / config).read_text(encoding="utf-8")
            for word, value in (("HOST", HOST), ("PORT", str(self.port)), ("DIR", self.dir)):
                text = text.replace(f"@{word}@", value)
            Path(self.dir, config).write_text(text, encoding="utf-8")
        names = {
            "host": HOST, "port": self.port, "address": self.address, "dir": self.dir,
            "config": f"{self.dir}/{config}", "out": PEERS_OUT, "peers": PEERS,
        }
        self.log = open(f"{self.dir}/log", "w+b")
        try:
            self.process = subprocess.Popen(
                [str(word).format(**names) for word in command], stdout=self.log, stderr=self.log,
                stdin=subprocess.DEVNULL, env=ENVIRONMENT | (environment or {}),
                preexec_fn=pinned(SERVER_CPU),
            )
        except OSError as error:
            self.log.close()
            shutil.rmtree(self.dir, ignore_errors=True)
            raise NotRun(f"{error.filename} is not installed") from error
        try:
            self._await_right_reply()
        except BaseException:
            self.stop()
            raise

    def _await_right_reply(self):
        until = time.monotonic() + 15
        while self.process.poll() is None and time.monotonic() < until:
            try:
                reply = self.ask()
                break
            except ConnectionRefusedError:
                time.sleep(0.02)
            except OSError as error:
                raise NotRun(f"no reply: {error}") from error
        else:
            self.log.seek(0)
            lines = self.log.read().decode(errors="replace").strip().splitlines()
            raise NotRun(lines[-1] if lines else "it did not start")
        right = reply == (PONG_KEPT if self.keeps else PONG)
        if self.own_reply:
            right = re.match(rb"HTTP/1\.[01] 200 .*\r\n\r\nPong!$", reply, re.DOTALL)
        if not right:
            raise NotRun(f"wrong reply: {reply[:80]!r}")

    def ask(self):
        """The reply to the request the load client sends, but in two pieces."""
        with socket.create_connection((HOST, self.port), timeout=10) as conn:
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            conn.sendall(b"GET / HTTP/1." + self.http[1:].encode() + b"\r\nHost: localhost\r\n\r")
            time.sleep(0.05)
            conn.sendall(b"\n")
            reply = b""
            while data := conn.recv(4096):
                reply += data
                if self.keeps and reply.endswith(b"Pong!"):
                    break
            return reply

    def processes(self):
        """The server and its descendants."""
        found = [self.process.pid] if self.process.poll() is None else []
        for pid in found:
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                found += [int(child) for child in children.read_text().split()]
        return found

    def cpu_ns(self):
        """CPU time used so far, user and system, by all threads of all its processes."""
        return sum(
            int(schedstat.read_text().split()[0])
            for pid in self.processes()
            for schedstat in Path(f"/proc/{pid}/task").glob("*/schedstat")
        )

    def memory(self):
        """Bytes of all its processes: pages, each divided among those that map it; page tables."""
        pages = tables = 0
        for pid in self.processes():
            pages += 1024 * int(read_first(f"/proc/{pid}/smaps_rollup", r"Pss:\s*(\d+)"))
            tables += 1024 * int(read_first(f"/proc/{pid}/status", r"VmPTE:\s*(\d+)"))
        return pages, tables

    def stop(self):
        """Ends it and its descendants, youngest first: not every parent ends its children."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid in reversed(self.processes()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
                break
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


@contextlib.contextmanager
def idle_connections(server, count):
    """Holds connections that have each made one request."""
    command = [BENCH / "load", "--connections", 0, "--idle", count, "--hold", 1,
               "--exact", int(not server.own_reply), server.address]
    with subprocess.Popen(
        [str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True, preexec_fn=pinned(CLIENT_CPU),
    ) as client:
        if "load.idle" not in client.stdout.readline():
            raise NotRun(f"{server.address} did not answer {count} connections")
        yield


def slab_bytes():
    """Bytes of kernel objects in use on the whole machine, or None if that is not ours to know."""
    try:
        lines = Path("/proc/slabinfo").read_text(encoding="ascii").splitlines()[2:]
    except OSError:
        return None
    return sum(int(active) * int(size) for _, active, _, size, *_ in map(str.split, lines))


# --- rounds and statistics ---------------------------------------------------------------------


def interleave(subjects, rounds, measure):
    """Measures each subject once a round, in the order A B, B A, A B...; {subject: values}."""
    values = {subject: [] for subject in subjects}
    for i in range(rounds):
        for subject in subjects if i % 2 == 0 else reversed(subjects):
            values[subject].append(measure(subject))
    return values


def quartiles(values):
    """First quartile, median, third quartile."""
    if len(values) < 2:
        return (values[0],) * 3
    return tuple(statistics.quantiles(values, n=4, method="inclusive"))


def judge(values, goal):
    """Whether values reach "at most goal": the median must, the third quartile not exceed it."""
    q1, median, q3 = quartiles(values)
    if median <= goal and q3 <= goal:
        return "met"
    return "missed" if q1 > goal else "undecided"


# --- the machine -------------------------------------------------------------------------------


def first_line(command):
    try:
        return output(command, timeout=30).strip().splitlines()[0]
    except (NotRun, IndexError):
        return None


def read_first(path, pattern=".+"):
    try:
        match = re.search(pattern, Path(path).read_text(encoding="utf-8"))
        return match[match.lastindex or 0] if match else None
    except OSError:
        return None


def environment(versions):
    """What the figures depend on besides the code: recorded with them."""
    sysctls = (
        "net/core/somaxconn", "net/ipv4/ip_local_port_range", "net/ipv4/tcp_max_syn_backlog",
        "net/ipv4/tcp_tw_reuse", "net/ipv4/tcp_max_tw_buckets", "net/core/netdev_max_backlog",
        "vm/max_map_count",
    )
    git = ["git", "-C", ROOT]
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "cpu": read_first("/proc/cpuinfo", r"model name\s*: (.+)"),
        "cpus": os.cpu_count(),
        "kernel": platform.release(),
        "memory": read_first("/proc/meminfo", r"MemTotal:\s*(.+)"),
        "governor": read_first("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "load_average": os.getloadavg(),
        "descriptors": resource_limit(),
        "sysctl": {name.replace("/", "."): read_first(f"/proc/sys/{name}") for name in sysctls},
        "commit": first_line([*git, "rev-parse", "HEAD"]),
        "modified": bool(first_line([*git, "status", "--porcelain"])),
        "compiler": first_line(["gcc", "--version"]),
        "flags": read_first(ROOT / "build/release/CMakeCache.txt", r"CMAKE_C_FLAGS:\w+=(.*)"),
        "versions": versions,
    }


def resource_limit():
    import resource

    return resource.getrlimit(resource.RLIMIT_NOFILE)


def stolen_ticks():
    """Ticks all cores have spent, and those of them that the hypervisor took away."""
    words = Path("/proc/stat").read_text(encoding="ascii").split("\n")[0].split()[1:]
    ticks = [int(word) for word in words[:8]]
    return sum(ticks), ticks[7]
