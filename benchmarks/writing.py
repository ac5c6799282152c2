"""Figures of writing: one append, many writers, a long queue."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import fleets
from floors import Pusher, growing
from measure import Check, Figure, Series, in_turns, quantile, ratio
from options import Options

HERE = Path(__file__).resolve().parent
WORDS = "The parser fails on empty input; I take src/parse.py and tell you when it is green again."


def append_queued(options: Options) -> Iterator[Figure]:
    """append, QUEUED"""
    with fleets.fresh(options.folder) as member, open(options.folder / "bare", "ab", buffering=0) as file:
        line = member.append("note", WORDS).event.line + b"\n"

        def bare() -> None:
            file.write(line)
            os.fsync(file.fileno())

        ours, floor = in_turns(options.times(400, 30), lambda: member.append("note", WORDS), bare, warm_up=5)
    measured, beside = Series("append", "ms", ours), Series("bare write + fsync", "ms", floor)
    yield Figure(
        "append-queued",
        "append, QUEUED (synced to disk), from Python",
        [measured],
        beside,
        [Check("of a bare write + fsync", ratio(measured, beside), 2.0)],
    )


@contextlib.contextmanager
def http_server(folder: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A git server in a process of its own, with one repository: its URL, and the process that counts pushes."""
    path = folder / "served" / "fleet.git"
    fleets.make_bare_remote(path)
    fleets.git("config", "http.receivepack", "true", folder=path)
    server = subprocess.Popen(
        [sys.executable, str(HERE / "serve.py"), str(path.parent), path.name],
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert server.stdin is not None and server.stdout is not None
    try:
        yield server.stdout.readline().strip(), server
    finally:
        server.stdin.close()
        server.wait()
        server.stdout.close()


def append_sequenced(options: Options) -> Iterator[Figure]:
    """append confirmed SEQUENCED over file:// and HTTP"""
    for kind in ("file", "http"):
        folder = options.folder / kind
        folder.mkdir()
        with contextlib.ExitStack() as stack:
            url = None if kind == "file" else stack.enter_context(http_server(folder))[0]
            member = stack.enter_context(fleets.fresh(folder, url=url))
            rounds = options.times(60, 4)
            remote = url or str(folder / "remote.git")
            pusher = Pusher(folder / "floor.git", remote, "refs/heads/floor", growing(rounds + 3))
            ours, floor = in_turns(
                rounds, lambda: member.append("note", WORDS, wait="sequenced"), pusher.push, warm_up=2
            )
        measured, beside = Series("append", "ms", ours), Series("bare push of one ready commit", "ms", floor)
        name = "file://" if kind == "file" else "smart HTTP"
        yield Figure(
            f"append-sequenced-{kind}",
            f"append confirmed SEQUENCED, one node, {name}",
            [measured],
            beside,
            [Check("of a bare push", ratio(measured, beside), 1.8)],
        )


# Many at once


def at_once(commands: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    """What workers report that begin together."""
    workers = [
        subprocess.Popen(
            [sys.executable, str(HERE / "worker.py"), *words], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for words in commands
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            if worker.stdout.readline() != "ready\n":
                raise RuntimeError("a worker did not get ready")
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
        return [json.loads(worker.communicate(timeout=300)[0]) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


def rate(reports: Sequence[dict[str, Any]], group: int = 1) -> float:
    """Events a second of all together."""
    return sum(len(one["times"]) / one["took"] for one in reports) * group


def failures(reports: Sequence[dict[str, Any]]) -> list[str]:
    return [words for one in reports for words in one["failed"]]


def eight_nodes(options: Options) -> Iterator[Figure]:
    """8 nodes with own clones, each one confirmed append after another"""
    writers, seconds = options.times(8, 3), options.times(30, 1.0)  # fewer appends differ by chance
    names = [f"agent{number}" for number in range(writers)]
    for name in names:
        fleets.fresh(options.folder, name).node.close()
    bare = options.folder / "bare.git"
    fleets.make_bare_remote(bare)
    ours: list[list[dict[str, Any]]] = []
    floor: list[list[dict[str, Any]]] = []
    for number in range(options.times(3, 1)):
        ours.append(at_once([["append", str(options.folder / name), name, str(seconds), "1"] for name in names]))
        floor.append(
            at_once(
                [
                    [
                        "push",
                        str(options.folder / f"floor{number}-{name}"),
                        str(bare),
                        f"refs/heads/{number}-{name}",
                        str(seconds),
                    ]
                    for name in names
                ]
            )
        )
    measured = Series("confirmed events/s, all together", "/s", [rate(one) for one in ours])
    beside = Series(f"bare pushes of {writers} writers to {writers} refs", "/s", [rate(one) for one in floor])
    everyone = [report for one in ours for report in one]
    shares = [min(len(r["times"]) for r in one) / max(1, max(len(r["times"]) for r in one)) for one in ours]
    times = Series("one append", "ms", [1000 * t for report in everyone for t in report["times"]])
    failed = failures(everyone)
    yield Figure(
        "eight-nodes",
        f"{writers} nodes, own clones, one confirmed append after another, file://",
        [measured, Series("slowest writer / fastest", "", shares), times],
        beside,
        [
            Check("of the rate of bare pushes", ratio(measured, beside), 0.35, least=True),
            Check("appends that failed", len(failed), 0, ""),
            Check("slowest writer of the fastest", min(shares), 0.5, least=True),
            Check("p99 of one append", quantile(times.values, 0.99) / 1000, 2.0, "s"),
        ],
        failed[:3],
    )


def sixteen_processes(options: Options) -> Iterator[Figure]:
    """16 processes on one node"""
    processes, seconds = options.times(16, 3), options.times(8, 1.0)
    fleets.fresh(options.folder).node.close()
    clone = str(options.folder / "alice")
    series, checks, notes = [], [], []
    for group in (1, 20):
        runs = [
            at_once([["append", clone, "alice", str(seconds), str(group)]] * processes)
            for _ in range(options.times(3, 1))
        ]
        words = "each one after another" if group == 1 else f"each {group} at a time, the last one confirmed"
        series.append(Series(words, "/s", [rate(one, group) for one in runs]))
        checks.append(Check(f"confirmed events/s, {words}", series[-1].median, 500, "/s", least=True))
        notes += [f"failed: {words}" for one in runs for words in failures(one)][:3]
    yield Figure(
        "sixteen-processes",
        f"{processes} processes on one node, confirmed events/s, file://",
        series,
        None,
        checks,
        notes,
    )


def drain(options: Options) -> Iterator[Figure]:
    """drain of a 10,000-event queue"""
    events, rounds = options.times(10_000, 300), options.times(5, 2)
    with fleets.fresh(options.folder) as member:
        node = member.node

        def fill() -> bytes:
            queued = node.append(*[node.draft("note", f"{WORDS} {n}", actor="alice") for n in range(events)])
            return b"".join(event.line + b"\n" for event in queued)

        def empty() -> None:
            last = node.disk.pending()[-1]
            while node.sync().sequenced.seq < (last.seq or 0):
                pass

        measured = Series(f"{events} events, until all are SEQUENCED", "s", [])
        beside = Series("bare push of the same bytes", "s", [])
        for number in range(rounds):
            data = fill()
            pusher = Pusher(
                options.folder / f"floor{number}.git",
                str(options.folder / "remote.git"),
                f"refs/heads/floor{number}",
                [data],
            )
            ours, floor = in_turns(1, empty, pusher.push, warm_up=0, scale=1.0)
            measured.values += ours
            beside.values += floor
    checks = [Check("of a bare push", ratio(measured, beside), 3.0)]
    if not options.quick:
        checks.insert(0, Check("seconds", measured.median, 3.0, "s"))
    yield Figure(
        "drain",
        f"drain of a {events:,}-event queue, file://",
        [measured],
        beside,
        checks,
        [f"{len(data) / 2**20:.1f} MiB of lines"],
    )
