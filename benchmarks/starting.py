"""Figures of whole processes: how long a command takes that a person or a script starts."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator

import fleets
from floors import python_pass
from measure import Check, Figure, Series, in_turns
from options import Options
from writing import WORDS


def commands(options: Options) -> Iterator[Figure]:
    """--help, status, append --no-sync as whole processes"""
    fleets.fresh(options.folder).node.close()
    large = fleets.large(options.times(100_000, 400), options.folder / "large", options.cache)
    clone = options.folder / "alice"

    def whole(*words: str, at: object = clone) -> Callable[[], object]:
        command = fleets.command(clone if at is clone else large.clone, *words)
        return lambda: subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL)

    works = {
        "--help": (whole("--help"), 120.0),
        "status": (whole("status"), 250.0),
        "append --no-sync": (whole("append", "note", WORDS, "--no-sync"), 200.0),
        f"status, {large.events:,} events": (whole("status", at=large), 250.0),
        f"append --no-sync, {large.events:,} events": (whole("append", "note", WORDS, "--no-sync", at=large), 200.0),
    }
    floor, *ours = in_turns(options.times(25, 2), python_pass, *(work for work, _ in works.values()))
    beside = Series("python -c pass", "ms", floor)
    measured = [Series(f"gitcoord {name}", "ms", values) for name, values in zip(works, ours)]
    checks = [
        Check(f"{series.what} above it", series.median - beside.median, limit, "ms")
        for series, (_, limit) in zip(measured, works.values())
    ]
    yield Figure("commands", "commands as whole processes", measured, beside, checks)
