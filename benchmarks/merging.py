"""Figures of trial merges: all pairs of a repository's branches, where most are clean and where all conflict."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from floors import git
from measure import Check, Figure, Series, took
from options import Options

LINES = 200  # of each file
WHO = b"bench <bench@example.invalid> 1700000000 +0000"
# A process of its own, and small: to a new process the system counts the memory of the one that started it, too.
WATCHED = """
import json, resource, subprocess, sys, time
began = time.perf_counter()
done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, check=True)
seconds = time.perf_counter() - began
told = json.loads(done.stdout)
mib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
print(json.dumps([seconds, mib, told["tried"], len(told["conflicts"])]))
"""


def conflicts(options: Options) -> Iterator[Figure]:
    """gitcoord conflict check: 1,035 pairs of branches in a repository of 10,000 files; outside a fleet, so no cache"""
    files, count, few = options.times(10_000, 200), options.times(46, 12), options.times(10, 4)
    for name, words, clashing in (("clean", "few conflict", False), ("worst", "all conflict", True)):
        folder = options.folder / name
        tips = _build(folder, files, count, clashing=clashing)
        pairs = list(itertools.combinations(tips, 2))
        seconds, peak = Series("gitcoord conflict check, as a process", "s"), Series("peak memory", "MiB")
        peak_of_few = Series(f"peak memory, {few * (few - 1) // 2} pairs", "MiB")
        floor = Series("git merge-tree, as one process", "s")
        for _ in range(options.times(3, 1)):
            used_s, mib = _conflicts(folder, count, len(pairs) if clashing else count // 2)
            seconds.values.append(used_s)
            peak.values.append(mib)
            peak_of_few.values.append(_conflicts(folder, few, few * (few - 1) // 2 if clashing else few // 2)[1])
            floor.values.append(took(lambda: _merge_tree(folder, pairs)))
        checks = [Check("peak memory, of that of few pairs", peak.median / peak_of_few.median, 2.0)]
        yield Figure(
            f"conflicts-{name}",
            f"conflicts: {len(pairs):,} pairs of branches, {files:,} files, {words}",
            [seconds, peak, peak_of_few],
            floor,
            checks if options.quick else [Check("seconds", seconds.median, 15.0, "s"), *checks],
        )


def _build(folder: Path, files: int, count: int, *, clashing: bool) -> list[str]:
    """Branches from one commit that all change one file: all the same line, or every two of them. Their tips."""
    git("init", "--quiet", "--bare", str(folder))
    stream = [b"commit refs/heads/main\nmark :1\ncommitter %s\ndata 4\nbase\n" % WHO]
    stream += [_file(b"part%d/file%d.py" % (number // 100, number), _text(number)) for number in range(files)]
    for branch in range(count):
        stream.append(b"commit refs/heads/b%d\ncommitter %s\ndata 6\nbranch\nfrom :1\n" % (branch, WHO))
        lines = _text(0)
        lines[LINES // 2 if clashing else branch // 2 * 4] = b"    return %d\n" % branch
        stream += [_file(b"part0/file0.py", lines), _file(b"new/file%d.py" % branch, _text(branch))]
    git("fast-import", "--quiet", folder=folder, given=b"".join(stream))
    return [git("rev-parse", f"b{branch}", folder=folder).decode().strip() for branch in range(count)]


def _text(number: int) -> list[bytes]:
    return [
        b"def f%d():\n" % line if line % 10 == 0 else b"    x = %d * %d\n" % (number, line)
        for line in range(1, LINES + 1)
    ]


def _file(path: bytes, lines: Sequence[bytes]) -> bytes:
    data = b"".join(lines)
    return b"M 100644 inline %s\ndata %d\n%s\n" % (path, len(data), data)


def _conflicts(folder: Path, count: int, expected: int) -> tuple[float, float]:
    """Seconds, and MiB of the largest of its processes, git's among them."""
    command = [
        sys.executable,
        "-m",
        "gitcoord",
        "conflict",
        "check",
        "--json",
        "--base",
        "main",
        *(f"b{branch}" for branch in range(count)),
    ]
    done = subprocess.run([sys.executable, "-c", WATCHED, *command], cwd=folder, check=True, stdout=subprocess.PIPE)
    seconds, mib, tried, found = json.loads(done.stdout)
    if (tried, found) != (count * (count - 1) // 2, expected):
        raise RuntimeError(f"{tried} pairs were tried, and {found} conflict, not {expected}")
    return seconds, mib


def _merge_tree(folder: Path, pairs: Sequence[tuple[str, str]]) -> None:
    """What it writes goes beside the repository, and away."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        subprocess.run(
            ["git", "merge-tree", "--write-tree", "--stdin", "-z"],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            check=True,
            input="".join(f"{ours} {theirs}\n" for ours, theirs in pairs).encode(),
            env=os.environ
            | {"GIT_OBJECT_DIRECTORY": scratch, "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(folder / "objects")},
        )
