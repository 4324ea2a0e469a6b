#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Each public header compiles alone, without a warning, as C11 and as C++17."""
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
COMPILERS = ("gcc -x c -std=c11", "clang -x c -std=c11", "clang++ -x c++ -std=c++17")
FLAGS = "-I include -pedantic -Wall -Wextra -Werror -fsyntax-only -".split()

failed = 0
for header in sorted(ROOT.glob("include/weft/*.h")):
    for compiler in COMPILERS:
        done = subprocess.run([*compiler.split(), *FLAGS], cwd=ROOT, text=True,
                              input=f"#include <weft/{header.name}>\n", stderr=subprocess.PIPE)
        if done.returncode:
            failed = 1
            print(f"weft/{header.name} alone, with {compiler}:\n{done.stderr}")
sys.exit(failed)
