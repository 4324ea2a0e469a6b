#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The symbols of build/release: what each layer needs from outside, and what the libraries offer.

The layer law: every undefined symbol of a layer's objects must be defined in the layer itself or in one it may use
(LAYERS of check_layers.py), or be one the layer may take from the C library, by the table below. A
new entry there is a decision: core makes no system call but those for memory.

The libraries: libweft.so exports the functions that include/weft/ declares and nothing else, and what
libweft.a defines begins with weft_ or wf_, so that it meets no name of a program's own.
"""
import pathlib
import re
import subprocess
import sys

from check_layers import LAYERS, ROOT

# The variables of libweft.so: this one is what the macros of weft/sim.h test.
VARIABLES = {"weft_simulating_"}

# What the compiler itself asks for, in any layer.
COMPILER = "_GLOBAL_OFFSET_TABLE_ __stack_chk_fail memcmp memcpy memmove memset"

LIBC = {
    "base": """
        abort free malloc realloc snprintf strcmp strlen strncmp
        vsnprintf write""",
    "arch": "abort",
    "core": """
        free malloc realloc strcmp strlen
        madvise mmap mprotect munmap
        pthread_mutex_destroy pthread_mutex_init pthread_mutex_lock pthread_mutex_unlock""",
    "io": """
        __errno_location calloc free malloc realloc strcmp strlen vsnprintf
        epoll_create1 epoll_ctl epoll_wait eventfd poll socketpair
        io_uring_queue_exit io_uring_queue_init_params io_uring_register_ring_fd
        io_uring_register_sync_cancel io_uring_ring_dontfork io_uring_submit
        io_uring_submit_and_get_events io_uring_submit_and_wait io_uring_submit_and_wait_timeout
        accept4 bind connect getpeername getsockname getsockopt listen recv send sendmsg
        in6addr_loopback setsockopt shutdown socket
        close fcntl fstat getrlimit lstat read unlink write
        clock_gettime getrandom syscall
        pthread_sigmask sigaddset sigdelset sigemptyset sigismember signalfd sigtimedwait""",
    "net": """
        free realloc snprintf strchr strcmp strcspn strlen strncmp strrchr strspn
        inet_ntop inet_pton""",
    "http": "",
    "runtime": """
        __errno_location aligned_alloc calloc free getenv malloc realloc
        snprintf strchr strcmp strcspn strlen strncmp strsignal strspn strtoull vsnprintf
        fflush fprintf fputc fwrite isatty printf putc putchar puts stderr stdout
        _exit alarm dup2 fork ftruncate kill lseek memfd_create nanosleep prctl pread waitpid
        clock_gettime inet_pton
        __isoc23_fscanf __isoc99_fscanf close fclose fopen madvise mmap mprotect munmap pipe2 raise write
        pthread_atfork pthread_mutex_lock pthread_mutex_unlock pthread_once sigaction sigaltstack sigemptyset signal sysconf""",
    "tools": "",
}


def output(*command, **more):
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, **more).stdout


def symbols(layer):
    """The symbols of a layer: those it defines, and the undefined ones with an object for each."""
    defined, undefined = set(), {}
    folder = ROOT / f"build/release/CMakeFiles/weft_{layer}.dir/src/{layer}"
    for source in sorted((ROOT / "src" / layer).glob("*.[cS]")):
        path = folder / f"{source.name}.o"
        if not path.exists():
            continue  # a switch for another machine
        for line in output("nm", "--format=posix", path).splitlines():
            name, kind = line.split()[:2]
            if kind in "Uw":
                undefined.setdefault(name, f"src/{layer}/{source.name}")
            elif kind.isupper():
                defined.add(name)
    return defined, undefined


def declared():
    """The functions of the public headers, each with its place, as the compiler sees them."""
    includes = "".join(f"#include <weft/{path.name}>\n"
                       for path in sorted((ROOT / "include/weft").glob("*.h")))
    listing = output("gcc", "-x", "c", "-std=c11", "-Iinclude", "-S", "-o", "/dev/null",
                     "-aux-info", "/dev/stdout", "-", input=includes, cwd=ROOT)
    return {match[2]: match[1] for match in
            re.finditer(r"^/\* (include/weft/\S+:\d+):\S+ \*/ extern .*?\b(weft_\w+) \(", listing,
                        re.MULTILINE)}


def check_shared(path):
    """Says where the exports of libweft.so differ from the public headers; returns whether."""
    if not path.exists():
        print("no libweft.so in build/release: build it with -DWEFT_SHARED=ON")
        return 1
    exported, public = set(), declared()
    for line in output("nm", "--dynamic", "--defined-only", "--format=posix", path).splitlines():
        name, kind = line.split()[:2]
        if kind != "A":  # the name of the version itself
            exported.add(name.partition("@")[0])
    for name in sorted(public.keys() - exported):
        print(f"{public[name]}: {name} is not in libweft.so: define it, and declare it where "
              "`#pragma GCC visibility push(default)` holds")
    for name in sorted(exported - public.keys() - VARIABLES):
        print(f"libweft.so exports {name}, which no public header declares: declare it, make it "
              "static, or call it wf_")
    return public.keys() != exported - VARIABLES


def check_static(path):
    """Says which global symbols of libweft.a belong to somebody else; returns whether any does."""
    listing = output("nm", "--defined-only", "--extern-only", "--format=posix", path)
    foreign = [line.split()[0] for line in listing.splitlines()
               if not re.match(r"weft_|wf_|.*:$|$", line)]
    for name in foreign:
        print(f"libweft.a defines {name}: make it static, or call it wf_")
    return bool(foreign)


def main():
    found = {layer: symbols(layer) for layer in LAYERS}
    failed = 0
    if not found["base"][0]:
        print("no objects of src/base in build/release: build it first")
        failed = 1
    for layer, (defined, undefined) in found.items():
        usable = defined.union(COMPILER.split(), LIBC[layer].split(),
                               *(found[below][0] for below in LAYERS[layer]))
        for name, source in sorted(undefined.items()):
            if name in usable:
                continue
            failed = 1
            owners = [other for other in LAYERS if name in found[other][0]]
            if owners:
                print(f"{source}:1: {layer} needs {name} of {owners[0]}, which it may not use: "
                      "reach it through a contract that lies below")
            else:
                print(f"{source}:1: {layer} needs {name} from outside: do without, or enter it in "
                      f"LIBC[\"{layer}\"] of scripts/check_symbols.py")
    failed |= check_shared(ROOT / "build/release/libweft.so")
    failed |= check_static(ROOT / "build/release/libweft.a")
    return failed


if __name__ == "__main__":
    sys.exit(main())
