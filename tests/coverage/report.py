#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""report.py BUILD: what gcov counted in the build folder, for the files below.

Prints lines and branches covered per file, then every line that was never run and every branch that was never taken,
unless the list `explained` has it. Exit status 1 when anything is left, or when the list speaks of lines that are gone.

An assert's own branches do not count: that they cannot be taken is what they say.
"""
import collections
import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILES = [
    "framework/core/*.c",
    "framework/barrier/*.c",
    "framework/types/*.c",
    "framework/wire/*.c",
    "framework/coordinator/plan.c",
    "framework/coordinator/record.c",
    "rpc/src/decode.c",
    "rpc/src/encode.c",
]
EXPLAINED = pathlib.Path(__file__).parent / "explained"


class Source:
    """One file: how often each line was run and each of its branches taken, all objects made of it added up."""

    def __init__(self, path):
        self.path = path
        self.text = (ROOT / path).read_text().splitlines()
        self.lines = collections.Counter()
        self.branches = {}

    def add(self, line):
        number = line["line_number"]
        counts = [branch["count"] for branch in line["branches"]]
        self.lines[number] += line["count"]
        before = self.branches.setdefault(number, [0] * len(counts))
        if len(before) != len(counts):
            sys.exit(f"{self.path}:{number}: two objects disagree about its branches")
        self.branches[number] = [a + b for a, b in zip(before, counts)]

    def text_of(self, number):
        return " ".join(self.text[number - 1].split())

    def drop_asserts(self):
        for first, last in assert_statements(self.text):
            for number in range(first, last + 1):
                self.branches.pop(number, None)

    def gaps(self):
        """(line number, how many branches were never taken, of how many); a line that was never run counts as one."""
        for number in sorted(self.lines):
            counts = self.branches.get(number, [])
            missed = counts.count(0)
            if self.lines[number] == 0:
                yield number, max(missed, 1), len(counts)
            elif missed > 0:
                yield number, missed, len(counts)


def assert_statements(text):
    """The first and last line of each assert, counted from 1."""
    for first, line in enumerate(text, 1):
        start = re.match(r"\s*assert\(", line)
        if start is None:
            continue
        depth = 0
        for last in range(first, len(text) + 1):
            code = re.sub(r'"(\\.|[^"\\])*"', "", text[last - 1])
            depth += code.count("(") - code.count(")")
            if depth == 0:
                yield first, last
                break


def sources():
    return {str(path.relative_to(ROOT)): Source(path.relative_to(ROOT)) for glob in FILES for path in ROOT.glob(glob)}


def read_counts(build, found):
    """Asks gcov about every object of a file that is wanted; one that was never run has notes but no counts."""
    names = {pathlib.Path(path).name for path in found}
    notes = [str(path) for path in build.rglob("*.gcno")
             if path.name.removesuffix(".gcno") in names and path.with_suffix(".o").exists()]
    answer = subprocess.run(["gcov", "--branch-counts", "--branch-probabilities", "--json-format", "--stdout", *notes],
                            cwd=build, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    for document in answer.splitlines():
        report = json.loads(document)
        for part in report["files"]:
            path = (pathlib.Path(report["current_working_directory"]) / part["file"]).resolve()
            source = found.get(str(path.relative_to(ROOT))) if path.is_relative_to(ROOT) else None
            for line in part["lines"] if source is not None else []:
                source.add(line)


def read_explained():
    """{(file, line's text): branches that may be missed}. An entry is "file COUNT text", then indented reasons."""
    entries = {}
    for line in EXPLAINED.read_text().splitlines():
        if line and not line[0].isspace() and line[0] != "#":
            path, count, text = line.split(None, 2)
            entries[path, text] = int(count)
    return entries


def print_table(found):
    print(f"{'':36}{'lines':>14}{'branches':>16}")
    for path, source in found.items():
        run = sum(count > 0 for count in source.lines.values())
        counts = [count for branches in source.branches.values() for count in branches]
        taken = sum(count > 0 for count in counts)
        print(f"{path:36}{run:>6} of {len(source.lines):>4}{taken:>8} of {len(counts):>4}")


def main():
    found = sources()
    read_counts(pathlib.Path(sys.argv[1]).resolve(), found)
    explained = read_explained()
    is_good = True
    missed_count = 0
    for source in found.values():
        source.drop_asserts()
    print_table(found)
    for path, source in found.items():
        if not source.lines:
            print(f"{path}: no object of it has been built for coverage")
            is_good = False
        for number, missed, of in source.gaps():
            text = source.text_of(number)
            missed_count += missed
            if missed > explained.get((path, text), 0):
                print(f"{path}:{number}: {f'{missed} of {of} branches' if of else 'not run'}: {text}")
                is_good = False
    for path, text in explained:
        if path not in found or all(" ".join(line.split()) != text for line in found[path].text):
            print(f"explained, but there is no such line in {path}: {text}")
            is_good = False
    print(f"{missed_count} not taken, every one explained" if is_good else "not every branch is taken or explained")
    return 0 if is_good else 1


sys.exit(main())
