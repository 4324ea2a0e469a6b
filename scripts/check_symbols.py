#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The layer law, seen in the machine code: what each layer's objects need from outside.

Every undefined symbol of build/release must be defined in the layer itself or in one it may use
(LAYERS of check_layers.py), or be one the layer may take from the C library, by the table below. A
new entry there is a decision: core makes no system call but those for memory.
"""
import pathlib
import subprocess
import sys

from check_layers import LAYERS, ROOT

# What the compiler itself asks for, in any layer.
COMPILER = "_GLOBAL_OFFSET_TABLE_ __stack_chk_fail memcmp memcpy memmove memset"

LIBC = {
    "base": """
        abort free malloc realloc snprintf strcmp strerrordesc_np strerrorname_np strlen strncmp
        vsnprintf write""",
    "arch": "abort",
    "core": """
        free malloc realloc strcmp strlen
        madvise mmap mprotect munmap
        pthread_mutex_destroy pthread_mutex_init pthread_mutex_lock pthread_mutex_unlock""",
    "io": """
        __errno_location free realloc strcmp strlen
        epoll_create1 epoll_ctl epoll_pwait2 epoll_wait eventfd poll socketpair
        io_uring_queue_exit io_uring_queue_init_params io_uring_register_ring_fd
        io_uring_register_sync_cancel io_uring_ring_dontfork io_uring_submit
        io_uring_submit_and_get_events io_uring_submit_and_wait io_uring_submit_and_wait_timeout
        accept4 connect getsockopt recv recvmsg send sendmsg shutdown socket
        close fcntl read readv write writev
        clock_gettime getrandom
        pthread_sigmask sigaddset sigdelset sigemptyset sigismember signalfd sigtimedwait""",
    "net": """
        __errno_location free realloc snprintf strchr strcmp strcspn strlen strncmp strrchr strspn
        bind connect getpeername getsockname getsockopt inet_ntop inet_pton listen setsockopt
        shutdown socket
        close fcntl fstat getrlimit lstat stat unlink""",
    "http": "",
    "runtime": """
        __errno_location aligned_alloc free getenv strcmp
        __isoc99_fscanf close fclose fopen madvise mmap mprotect munmap pipe2 raise write
        pthread_mutex_lock pthread_mutex_unlock sigaction sigaltstack sigemptyset signal""",
    "tools": "",
}


def symbols(layer):
    """The symbols of a layer: those it defines, and the undefined ones with an object for each."""
    defined, undefined = set(), {}
    folder = ROOT / f"build/release/CMakeFiles/weft_{layer}.dir/src/{layer}"
    for source in sorted((ROOT / "src" / layer).glob("*.[cS]")):
        path = folder / f"{source.name}.o"
        if not path.exists():
            continue  # a switch for another machine
        listing = subprocess.run(["nm", "--format=posix", path], check=True, text=True,
                                 stdout=subprocess.PIPE).stdout
        for line in listing.splitlines():
            name, kind = line.split()[:2]
            if kind in "Uw":
                undefined.setdefault(name, f"src/{layer}/{source.name}")
            elif kind.isupper():
                defined.add(name)
    return defined, undefined


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
    return failed


if __name__ == "__main__":
    sys.exit(main())
