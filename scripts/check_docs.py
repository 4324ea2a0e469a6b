#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The documents agree with the headers, with the examples, and with each other.

- Every function, constant and option of include/weft/ stands in a macro line of a page in docs/man.
- docs/design/api.md has a table row for every function, whose files mention it, and shows every
  example. A block after `<!-- file: PATH -->`, in any document, is equal to that file.
- Relative links of Markdown files lead somewhere, and so do the pages' references to each other.
- mandoc has nothing to warn of, if it is installed.
"""
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
API = ROOT / "docs/design/api.md"
MAN = sorted((ROOT / "docs/man").glob("*.[37]"))
MARKDOWN = sorted([*ROOT.glob("*.md"), *ROOT.glob("bench/*.md"), *ROOT.glob("docs/**/*.md")])
STRUCTS = r"struct (weft_(?:\w+_)?options|weft_stats|weft_allocator) \{(.*?)\n\};"
SHOWN = re.compile(r"^<!-- file: (\S+) -->\n+```\w*\n(.*?)^```$", re.M | re.S)
LINK = re.compile(r"\]\(([^)\s#]+)[^)]*\)")
ROW = re.compile(r"^\| `(weft_\w+)` \| (.*) \|$", re.M)
findings = []


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def find(path, text, offset, what, remedy):
    findings.append(f"{path.relative_to(ROOT)}:{line_of(text, offset)}: {what}: {remedy}")


def blanked(text):
    """C source without comments; every character stays where it was."""
    return re.sub(r"/\*.*?\*/", lambda match: re.sub(r"[^\n]", " ", match[0]), text, flags=re.S)


def names_of(text):
    """What a header declares, as {name: offset}: (functions, constants, options)."""
    functions, constants, options = {}, {}, {}
    for match in re.finditer(r"\b(weft_[a-z0-9_]*[a-z0-9])\s*\(", text):
        functions.setdefault(match[1], match.start())
    for match in re.finditer(r"\b(WEFT_[A-Z0-9_]*[A-Z0-9])\b", text):
        constants.setdefault(match[1], match.start())
    for struct in re.finditer(STRUCTS, text, re.S):
        for field in re.finditer(r"\b(\w+)(?:\)\([^;]*\))?;", struct[2]):
            options.setdefault(field[1], struct.start(2) + field.start())
    return functions, constants, options


def check_man(headers):
    pages = "\n".join(page.read_text() for page in MAN)
    lines = "\n".join(re.findall(r"^\..*", pages, re.M))
    for path, text in headers.items():
        functions, constants, options = names_of(text)
        for names, macros, kind in ((functions, "Fn|Fo|Ft|Nm", "function"),
                                    (constants, "Dv|Fn|Er", "constant"),
                                    (options, "Fa|Va", "option")):
            for name, offset in names.items():
                if not re.search(rf"^\.(?:.* )?(?:{macros}) (?:.*\W)?{name}\b", lines, re.M):
                    find(path, text, offset, f"the {kind} {name} is in no page of docs/man",
                         f"describe it there, in a line of the macro {macros.split('|')[0]}")
    for page in MAN:
        text = page.read_text()
        for match in re.finditer(r"^\.Xr (weft\w*) (\d)", text, re.M):
            if not (page.parent / f"{match[1]}.{match[2]}").exists():
                find(page, text, match.start(), f"no page {match[1]}({match[2]})", "correct it")


def check_api(headers):
    text = API.read_text()
    rows = {match[1]: match for match in ROW.finditer(text)}
    functions = set().union(*(names_of(header)[0] for header in headers.values()))
    for name in sorted(functions - rows.keys()):
        find(API, text, 0, f"no row for {name}", "add it to the table of functions")
    for name, match in rows.items():
        if name not in functions:
            find(API, text, match.start(), f"{name} is in no header", "remove its row")
        for place in re.findall(r"`([\w/.-]+/[\w.-]+)`", match[2]):
            path = ROOT / place
            if not path.exists() or not re.search(rf"\b{name}\b", path.read_text()):
                find(API, text, match.start(), f"{place} does not use {name}", "name one that does")
    shown = {match[1] for match in SHOWN.finditer(text)}
    for path in sorted(ROOT.glob("examples/*.c")):
        if (name := str(path.relative_to(ROOT))) not in shown:
            find(API, text, 0, f"{name} is not shown", f"add it, after <!-- file: {name} -->")


def check_markdown(path):
    text = path.read_text()
    for match in SHOWN.finditer(text):
        source = ROOT / match[1]
        if not source.exists() or source.read_text() != match[2]:
            find(path, text, match.start(), f"the block differs from {match[1]}",
                 "copy the file into it, unchanged")
    for match in LINK.finditer(re.sub(r"^```.*?^```$", lambda block: "\n" * block[0].count("\n"),
                                      text, flags=re.M | re.S)):
        if "://" not in match[1] and not (path.parent / match[1]).exists():
            find(path, text, text.find(match[0]), f"the link to {match[1]} leads nowhere",
                 "correct it")


def check_mandoc():
    if not shutil.which("mandoc"):
        print("mandoc is not installed: the pages were not linted")
        return
    done = subprocess.run(["mandoc", "-Tlint", "-Wwarning", *MAN], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    for line in done.stdout.splitlines():
        line = line.removeprefix("mandoc: ").replace(f"{ROOT}/", "")
        findings.append(f"{line}: see mdoc(7)")


def main():
    headers = {path: blanked(path.read_text()) for path in sorted(ROOT.glob("include/weft/*.h"))}
    check_man(headers)
    check_api(headers)
    for path in MARKDOWN:
        check_markdown(path)
    check_mandoc()
    print("\n".join(findings) or f"{len(MAN)} pages and {len(MARKDOWN)} documents agree")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
