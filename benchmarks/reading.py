"""Figures of reading: looking for news, starting cold, refolding everything; and what it all takes on the remote."""

from __future__ import annotations

import shutil
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path

import fleets
from fleets import LEDGER
from floors import git, ls_remote, shallow_fetch
from measure import Check, Figure, Series, in_turns, ratio, took
from options import Options
from writing import WORDS

from gitcoord.core.fleet_state import FleetState
from gitcoord.core.ledger.branch import LedgerBranch
from gitcoord.features import FEATURES


def idle_round(options: Options) -> Iterator[Figure]:
    """a round with nothing new, at 1,000 and at 100,000 events"""
    sizes = (options.times(1_000, 100), options.times(100_000, 400))
    small, large = [fleets.large(size, options.folder / str(size), options.cache) for size in sizes]
    with small.open() as one, large.open() as other:
        for member in (one, other):
            member.sync()
            member.sync()
        few, many, floor = in_turns(options.times(100, 8), one.sync, other.sync, lambda: ls_remote(large.url))
    measured = [Series(f"{size:,} events", "ms", values) for size, values in zip(sizes, (few, many))]
    beside = Series("git ls-remote", "ms", floor)
    yield Figure(
        "idle-round",
        "a round with nothing new, file://",
        measured,
        beside,
        [
            Check("of git ls-remote", ratio(measured[1], beside), 1.5),
            Check("the larger ledger of the smaller", ratio(measured[1], measured[0]), 1.2),
        ],
    )


def cold_start(options: Options) -> Iterator[Figure]:
    """cold start on 100,000 events"""
    events = options.times(100_000, 400)
    large = fleets.large(events, options.folder / "large", options.cache)
    number = 0

    def forget() -> None:
        """The clone's copy of the fleet, as if it had just been told of it: identity and queue stay."""
        for name in ("store.git", "cache"):
            shutil.rmtree(large.home / name)
        (large.home / "cache").mkdir()
        for name in ("tip", "progress.json"):
            (large.home / name).unlink(missing_ok=True)

    def start() -> None:
        with large.open() as member:
            member.sync()
            assert member.state.position >= events

    def bare() -> None:
        nonlocal number
        number += 1
        shallow_fetch(large.url, LEDGER, options.folder / f"shallow{number}.git")

    ours, floor = Series("until the ledger is folded", "s", []), Series("bare shallow fetch", "s", [])
    warm = Series("the same process again, from the local cache", "s", [])
    for _ in range(options.times(3, 2)):
        forget()
        ours.values.append(took(start))
        floor.values.append(took(bare))
        warm.values.append(took(start))
    yield Figure(
        "cold-start",
        f"cold start on {events:,} events, file://",
        [ours, warm],
        floor,
        [Check("of a bare shallow fetch", ratio(ours, floor), 2.0)],
    )


def refold(options: Options) -> Iterator[Figure]:
    """full refold of 100,000 events, and verify with signatures"""
    events = options.times(100_000, 400)
    large = fleets.large(events, options.folder / "large", options.cache)
    with large.open() as member:
        member.sync()
        node, tip = member.node, member.node.home.tip
        assert tip is not None

        def fold(*, checking: bool) -> None:
            branch = LedgerBranch(node.store, FleetState(FEATURES, node.keyring.verifier() if checking else None))
            branch.apply_commit(tip)
            assert branch.fleet.position >= events and not branch.damaged

        bare, checked = in_turns(
            options.times(3, 2), lambda: fold(checking=False), lambda: fold(checking=True), warm_up=0, scale=1.0
        )
    whole = Series(
        "gitcoord verify, as a process",
        "s",
        [took(lambda: fleets.run(large.clone, "verify")) for _ in range(options.times(2, 1))],
    )
    measured = [Series("refold", "s", bare), Series("refold, every signature checked", "s", checked), whole]
    checks = (
        []
        if options.quick
        else [Check("refold", measured[0].median, 3.0, "s"), Check("verify with signatures", whole.median, 12.0, "s")]
    )
    yield Figure("refold", f"full refold of {events:,} events; verify with signatures", measured, None, checks)


def storage(options: Options) -> Iterator[Figure]:
    """remote storage per 100,000 events, objects a push"""
    events = options.times(100_000, 400)
    large = fleets.large(events, options.folder / "large", options.cache)
    with large.open() as member:
        read = member.node.replica.branch.line_at()
        lines = b"".join(read(position) + b"\n" for position in range(1, member.state.position + 1))
        member.sync()
        git("gc", "--quiet", "--prune=now", folder=Path(large.url))
        packed = _packed_bytes(Path(large.url))
        before = _objects(Path(large.url))
        pushes = options.times(30, 5)
        for _ in range(pushes):
            member.append("note", WORDS, wait="sequenced")
        after = _objects(Path(large.url))
        newest = member.node.replica.branch.log.open_path
    log_only = _pack_of(Path(large.url), newest, "events")
    mib = float(2**20)
    measured = Series("the remote after gc", "MiB", [packed / mib])
    beside = Series("the raw lines, compressed (zlib -9)", "MiB", [len(zlib.compress(lines, 9)) / mib])
    yield Figure(
        "storage",
        f"remote storage per {events:,} events, {fleets.PER_COMMIT} a commit",
        [
            measured,
            Series("of that the log alone: the tip's segments", "MiB", [log_only / mib]),
            Series("objects a push of one event", "", [(after - before) / pushes]),
        ],
        beside,
        [Check("of the raw lines, compressed", ratio(measured, beside), 2.0)],
        [
            f"the raw lines are {len(lines) / mib:.1f} MiB; the snapshot is written every "
            f"{fleets.PER_COMMIT * fleets.PUBLISH_EVERY} events, the checkpoint every 2048 or more"
        ],
    )


def _packed_bytes(remote: Path) -> int:
    return sum(path.stat().st_size for path in (remote / "objects" / "pack").glob("*.pack"))


def _objects(remote: Path) -> int:
    rows = dict(row.split(": ") for row in git("count-objects", "-v", folder=remote).decode().splitlines())
    return int(rows["count"]) + int(rows["in-pack"])


def _pack_of(remote: Path, *names: str) -> int:
    """Bytes of a pack of these files and folders of the tip's tree, and nothing else."""
    wanted = b"".join(git("rev-parse", f"{LEDGER}:{name}", folder=remote) for name in names)
    done = subprocess.run(
        ["git", "-C", str(remote), "pack-objects", "--revs", "--stdout", "--quiet"],
        input=wanted,
        capture_output=True,
        check=True,
    )
    return len(done.stdout)
