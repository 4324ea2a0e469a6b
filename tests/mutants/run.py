#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Breaks the library on purpose, one thing at a time, and sees whether the scenarios notice.

    tests/mutants/run.py [--seeds N] [NAME...]

Each patch of this folder, a *mutant*, begins with a line that says what it breaks. It is applied to a copy
of the tree under build/mutants, and the scenarios of tests/sim run there with a bounded number of seeds
until one fails; what survives is built with the sanitizers and runs again. The table tells which one killed the mutant, and with which seed. docs/design/mutants.md
explains those that survive; any other survivor, and a patch that does not apply, make this fail.
"""
import argparse
import concurrent.futures
import os
import pathlib
import queue
import re
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = ROOT / "build/mutants"
JOBS = 2
NAMES = sorted(path.stem for path in ROOT.glob("tests/sim/*.c"))
RUN_SECONDS = 10  # that a run may take; it takes milliseconds if all is well
FLAGS = {"build": "-O1", "sanitized": "-O1 -fsanitize=address,undefined -fno-sanitize-recover=all"}
COPIED = ("CMakeLists.txt", "include", "packaging", "src", "tests/sim")
EXPLAINED = set(re.findall(r"^\| `([a-z-]+)` \|", (ROOT / "docs/design/mutants.md").read_text(), re.M))


class Broken(Exception):
    """The mutant cannot be made."""


def command(tree, *words):
    # What is applied here must not be taken for a part of the repository around it.
    env = os.environ | {"GIT_CEILING_DIRECTORIES": str(BUILD)}
    done = subprocess.run(words, cwd=tree, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace")
    if done.returncode:
        raise Broken(f"{' '.join(words)}:\n{done.stdout[-2000:]}")


def make_tree(number):
    """A copy of what the scenarios need, built once; each mutant then builds what it changes."""
    tree = BUILD / str(number)
    shutil.rmtree(tree, ignore_errors=True)
    for name in COPIED:
        source, target = ROOT / name, tree / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, target)
    for folder, flags in FLAGS.items():
        command(tree, "cmake", "-G", "Ninja", "-B", folder, "-DCMAKE_C_COMPILER=gcc",
                "-DCMAKE_BUILD_TYPE=None", f"-DCMAKE_C_FLAGS={flags} -g -fno-omit-frame-pointer",
                "-DWEFT_SHARED=OFF", "-DWEFT_TESTS=ON")
        build(tree, folder)
    return tree


def build(tree, folder):
    command(tree, "cmake", "--build", folder, "--target", *[f"tests_sim_{name}" for name in NAMES],
            "--", "--quiet")


def simulate(tree, folder, name, first, last):
    """What a scenario finds, in a few words; nothing if all is well."""
    # The sanitizers reserve fixed addresses that the kernel's randomisation may take from them.
    words = ["setarch", "-R", tree / folder / "tests" / f"sim_{name}", "--seeds", f"{first}..{last}", "--jobs", "1",
             "--run-limit", str(RUN_SECONDS), "--time-limit", "30"]
    done = subprocess.run(words, cwd=tree, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace")
    if done.returncode == 0:
        return None
    name = name if folder == "build" else f"{name} with sanitizers"
    failure = re.search(r"^seed=(\d+) .*\n  (.*)", done.stdout, re.M)
    if failure:
        return f"{name}, seed {failure[1]}: {failure[2].partition(', at ')[0]}"
    never = re.search(r"^never \w+: (.*), at ", done.stdout, re.M)
    return f"{name}, {last} seeds: never seen: {never[1]}" if never else f"{name}: {done.stdout[-200:]}"


def hunt(tree, seeds):
    """Looks through a few seeds of all scenarios first, then through more."""
    for folder, first, last in (("build", 1, 200), ("build", 201, max(seeds, 400)), ("sanitized", 1, 300)):
        build(tree, folder)
        for name in NAMES:
            found = simulate(tree, folder, name, first, last)
            if found:
                return found
    return None


def try_mutant(trees, path, seeds):
    """Returns the verdict: how it was killed, None if it survives, or a Broken."""
    tree = trees.get()
    try:
        command(tree, "git", "apply", path)
        try:
            return hunt(tree, seeds)
        finally:
            command(tree, "git", "apply", "--reverse", path)
    except Broken as trouble:
        return trouble
    finally:
        trees.put(tree)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=3000, help="of each scenario, at most")
    parser.add_argument("names", nargs="*", help="mutants; default all")
    options = parser.parse_args()
    paths = [path for path in sorted(HERE.glob("*.patch"))
             if not options.names or path.stem in options.names]
    trees = queue.SimpleQueue()
    killed, bad = 0, False

    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for tree in pool.map(make_tree, range(JOBS)):
            trees.put(tree)
        found = hunt(BUILD / "0", options.seeds)
        if found:
            print(f"the tree fails as it is: {found}")
            return 1
        for path, verdict in zip(paths, pool.map(lambda path: try_mutant(trees, path, options.seeds), paths)):
            survives = verdict is None
            killed += not survives
            bad |= isinstance(verdict, Broken) or survives != (path.stem in EXPLAINED)
            note = ("survives, as explained" if path.stem in EXPLAINED else "SURVIVES") if survives else verdict
            print(f"{path.stem:28}{note}", flush=True)
    print(f"{killed} of {len(paths)} mutants killed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
