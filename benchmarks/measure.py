"""Measuring: a figure and its floor take turns in one run, so that both meet the same machine."""

from __future__ import annotations

import contextlib
import datetime
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

VALUES_KEPT = 100  # of a series, in the results; more than that are told by their quartiles


@dataclass
class Series:
    """Repeated measurements of one thing."""

    what: str
    unit: str
    values: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def as_json(self) -> dict[str, Any]:
        return {
            "what": self.what,
            "unit": self.unit,
            "n": len(self.values),
            "median": self.median,
            "quartiles": [quantile(self.values, 0.25), quantile(self.values, 0.75)],
            "min": min(self.values),
            "max": max(self.values),
            "values": [round(value, 6) for value in self.values] if len(self.values) <= VALUES_KEPT else [],
        }


@dataclass
class Check:
    """A target: `value` against `limit`, which is the most (or, `least`, the least) that is wanted."""

    what: str
    value: float
    limit: float
    unit: str = "×"
    least: bool = False

    @property
    def met(self) -> bool:
        return self.value >= self.limit if self.least else self.value <= self.limit

    def as_json(self) -> dict[str, Any]:
        by = 0.0 if self.met or not self.limit else abs(self.value / self.limit - 1)
        return asdict(self) | {"met": self.met, "missed_by": by}


@dataclass
class Figure:
    """One row of the table: what was measured, the floor beside it, and the targets."""

    name: str
    what: str
    measured: list[Series]
    floor: Series | None = None
    checks: list[Check] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "what": self.what,
            "measured": [series.as_json() for series in self.measured],
            "floor": self.floor.as_json() if self.floor else None,
            "checks": [check.as_json() for check in self.checks],
            "notes": self.notes,
        }


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of all lie, between two of them where it must be."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def ratio(measured: Series, floor: Series) -> float:
    """Of the medians."""
    return measured.median / floor.median


def took(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds."""
    began = clock()
    work()
    return clock() - began


def processor_s() -> float:
    """Seconds of processor time that this process and its children that ended have taken."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def in_turns(
    rounds: int,
    *works: Callable[[], object],
    warm_up: int = 1,
    scale: float = 1000.0,
    clock: Callable[[], float] = time.perf_counter,
) -> list[list[float]]:
    """Milliseconds of each work in each round. The order turns, so that nobody is always second."""
    values: list[list[float]] = [[] for _ in works]
    for number in range(-warm_up, rounds):
        places = range(len(works))
        for place in places if number % 2 else reversed(places):
            seconds = took(works[place], clock)
            if number >= 0:
                values[place].append(seconds * scale)
    return values


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Nobody's git configuration, fleet or credentials in this process and in those that it starts."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(("GIT", "GH_"))}
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(
        kept
        | {
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "PYTHONUTF8": "1",
            "GIT_AUTHOR_NAME": "bench",
            "GIT_AUTHOR_EMAIL": "bench@example.invalid",
            "GIT_COMMITTER_NAME": "bench",
            "GIT_COMMITTER_EMAIL": "bench@example.invalid",
            "no_proxy": "127.0.0.1,localhost",
            "NO_COLOR": "1",
            "PYTHONPATH": str(Path(__file__).resolve().parents[1]),
        }
    )
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def machine(folder: Path) -> dict[str, Any]:
    """What the figures were taken on; nothing that tells whose machine it is."""
    import psutil

    def said(*command: str) -> str:
        done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent)
        return done.stdout.strip() if done.returncode == 0 else ""

    partitions = [part for part in psutil.disk_partitions(all=True) if folder.is_relative_to(part.mountpoint)]
    disk = max(partitions, key=lambda part: len(part.mountpoint)).fstype if partitions else "unknown"
    return {
        "time": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "processors": os.cpu_count(),
        "processor": _processor(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "file_system": disk,
        "python": platform.python_version(),
        "git": said("git", "--version").split()[-1],
        "commit": said("git", "rev-parse", "--short=12", "HEAD") or "unknown",
    }


def load() -> float:
    """Processes that wanted a processor in the last minute, on average; above their number, figures are noise."""
    return round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else 0.0


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.machine()
