#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The Debian packages in a minimal root: nothing that a program needs is missing from them.

Builds the packages, installs them into a fresh Debian that holds a C compiler and pkg-config and
nothing else, and compiles and runs tests/install/consumer/ there. Whatever is mounted is mounted in
a namespace that ends with the command.
"""
import os
import pathlib
import platform
import shutil
import signal
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
MIRROR = "http://deb.debian.org/debian"
INCLUDE = "gcc,libc6-dev,pkg-config"
# Mounts and processes of its own, which are gone when it ends or is killed.
APART = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]

SCRIPT = """
set -ex
apt-get update -qq
apt-get install -qq --no-install-recommends ./*.deb >install.log 2>&1 || { cat install.log; exit 1; }
cd consumer
. ./shared.sh
ldd server | grep /libweft.so.0
./server
. ./static.sh
./server
"""


def run(*command, **more):
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL, **more)
    if done.returncode:
        sys.exit(f"{done.stdout}\ndeb in a minimal root: FAILED: {command[0]}: {done.returncode}")
    return done.stdout


def obstacle():
    """Why it cannot be done here, or nothing."""
    if platform.freedesktop_os_release().get("ID") != "debian":
        return "this is not Debian"
    if os.geteuid():
        return "not root"
    if not shutil.which("debootstrap"):
        return "debootstrap is not installed"
    if subprocess.run([*APART, "true"], stderr=subprocess.DEVNULL).returncode:
        return "root may not mount here"
    return None


def main():
    reason = obstacle()
    if reason:
        print(f"deb in a minimal root: not run: {reason}")
        return
    run(ROOT / "dev", "deb")
    suite = platform.freedesktop_os_release()["VERSION_CODENAME"]
    with tempfile.TemporaryDirectory(prefix="root-", dir=ROOT / "build") as folder:
        root, work = pathlib.Path(folder), pathlib.Path(folder, "work")
        root.chmod(0o755)  # apt drops its privileges
        run(*APART, "debootstrap", "--variant=minbase", f"--include={INCLUDE}", suite, root, MIRROR)
        work.mkdir()
        for package in (ROOT / "build/deb").glob("libweft*.deb"):
            shutil.copy(package, work)
        shutil.copytree(ROOT / "tests/install/consumer", work / "consumer")
        print(run(*APART, f"--mount-proc={root}/proc", "chroot", root,
                  "env", "-i", "-C", "/work", "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                  "DEBIAN_FRONTEND=noninteractive", "sh", "-c", SCRIPT), end="")
    print("deb in a minimal root: ok")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds, and so removes the root
    main()
