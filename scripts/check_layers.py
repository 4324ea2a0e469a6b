#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The layer law: who may include what.

Prints one line for each breach, with its place and its remedy. The tables below are the law; the
order of LAYERS is from the lowest to the highest.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

# The layers of src/, and the layers each may use besides itself.
LAYERS = {
    "base": (),
    "arch": ("base",),
    "core": ("base", "arch"),
    "io": ("base", "core"),
    "net": ("base", "core", "io"),
    "http": ("base", "core", "net"),
    "runtime": ("base", "arch", "core", "io"),
    "tools": ("base",),  # and every public header
}

# The layer that each header of include/weft/ belongs to. A layer above all others is not usable
# from src/: weft.h includes everything, and is for users.
PUBLIC = {
    "error.h": "base",
    "time.h": "core",
    "scope.h": "core",
    "task.h": "core",
    "line.h": "core",
    "event.h": "core",
    "mutex.h": "core",
    "condition.h": "core",
    "semaphore.h": "core",
    "wait_group.h": "core",
    "latest.h": "core",
    "future.h": "core",
    "pool.h": "core",
    "generator.h": "core",
    "chan.h": "core",
    "select.h": "core",
    "run.h": "core",
    "test.h": "core",
    "park.h": "core",
    "signals.h": "io",
    "net.h": "net",
    "serve.h": "net",
    "sim.h": "runtime",
    "weft.h": "everything",
}

# Examples and benchmarks use public headers only, but for these.
EXCEPTIONS = {
    ("bench/timer.c", "core/timer.h"): "the wheel has no public face",
}

LINES_MAX = 800  # of a .c file in src/

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
breaches = []


def breach(path, line, what, remedy):
    breaches.append(f"{path.relative_to(ROOT)}:{line}: {what}: {remedy}")


def includes(path):
    """The includes of a file, as (line, quote, name)."""
    for number, text in enumerate(path.read_text().splitlines(), 1):
        if match := INCLUDE.match(text):
            yield number, match[1], match[2]


def layer_of(name):
    """The layer of an included file; None if it is none of the project's."""
    folder, _, rest = name.partition("/")
    if folder == "weft":
        return PUBLIC.get(rest, "no layer")
    return folder if (ROOT / "src" / name).exists() else None


def check_source(path, allowed, public_allowed=()):
    """A file of the library or of a test may include the layers `allowed`."""
    for line, quote, name in includes(path):
        layer = layer_of(name)
        if ".." in name.split("/"):
            breach(path, line, f"include of {name}", 'write it as "layer/file.h"')
        elif quote == '"' and layer is None and not (ROOT / "tests" / name).exists():
            breach(path, line, f"include of {name} names no layer", 'write it as "layer/file.h"')
        elif layer == "no layer":
            breach(path, line, f"{name} has no layer", f"enter it in PUBLIC of {sys.argv[0]}")
        elif layer and layer not in allowed and not (
                name.startswith("weft/") and layer in public_allowed):
            breach(path, line, f"include of {name}, of layer {layer}",
                   f"allowed here are {', '.join(allowed)}; define what you need in one of these "
                   "as a contract")


def check_own_header_first(path):
    """A .c file with a header of its name includes it first: so each header stands alone."""
    own = f"{path.parent.name}/{path.stem}.h"
    if not (ROOT / "src" / own).exists():
        own = f"weft/{path.stem}.h"
        if PUBLIC.get(f"{path.stem}.h") != path.parent.name:
            return
    line, _, first = next(includes(path), (1, "", None))
    if first != own:
        breach(path, line, f"the first include is {first}", f"put its own header, {own}, first")


def check_program(path):
    """An example, a benchmark or a scenario includes public headers, the system's, and its neighbours."""
    for line, quote, name in includes(path):
        neighbour = quote == '"' and "/" not in name and (path.parent / name).exists()
        if (str(path.relative_to(ROOT)), name) in EXCEPTIONS or neighbour:
            continue
        if quote == '"' or ".." in name.split("/") or not (
                name.startswith("weft/") or layer_of(name) is None):
            breach(path, line, f"include of {name}", "use <weft/...> and system headers only")


def check_cycles(headers):
    """No header includes itself, however indirectly."""
    names = {str(path.relative_to(path.parents[1])): path for path in headers}
    state = {}

    def visit(name, trail):
        if state.get(name) == "done":
            return
        if name in trail:
            cycle = " -> ".join([*trail[trail.index(name):], name])
            breach(names[name], 1, f"headers include each other: {cycle}",
                   "move what both need into a third")
            return
        for _, _, included in includes(names[name]):
            if included in names:
                visit(included, [*trail, name])
        state[name] = "done"

    for name in names:
        visit(name, [])


def main():
    order = list(LAYERS)
    sources = sorted(path for path in (ROOT / "src").rglob("*") if path.suffix in (".c", ".h", ".S"))
    public = sorted((ROOT / "include/weft").glob("*.h"))
    for path in sources:
        layer = path.parent.name
        if path.parent.parent != ROOT / "src" or layer not in LAYERS:
            breach(path, 1, "no layer", "files lie in src/<layer>/, the layers in LAYERS of "
                   f"{sys.argv[0]}")
            continue
        check_source(path, (layer, *LAYERS[layer]), PUBLIC.values() if layer == "tools" else ())
        if path.suffix == ".c":
            check_own_header_first(path)
            lines = len(path.read_text().splitlines())
            if lines > LINES_MAX:
                breach(path, lines, f"longer than {LINES_MAX} lines", "split it by its ideas")
    for path in public:
        layer = PUBLIC.get(path.name)
        if layer is None:
            breach(path, 1, "no layer", f"enter it in PUBLIC of {sys.argv[0]}")
            continue
        check_source(path, (layer, *LAYERS.get(layer, LAYERS)))
        for line, _, name in includes(path):
            if layer_of(name) and not name.startswith("weft/"):
                breach(path, line, f"include of {name}", "a public header includes public ones")
    for folder in ("examples", "bench"):
        for path in sorted((ROOT / folder).glob("*.[ch]")):
            check_program(path)
    for path in sorted((ROOT / "tests").rglob("*.[ch]")):
        layer = path.parent.name
        if layer == "sim":  # scenarios, written as users write theirs
            check_program(path)
            continue
        check_source(path, order[:order.index(layer) + 1] if layer in order
                     else [*order, "everything"])
    check_cycles([path for path in sources if path.suffix == ".h"] + public)
    print("\n".join(breaches) or f"{len(sources) + len(public)} files keep the layer law")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
