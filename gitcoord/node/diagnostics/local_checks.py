"""The doctor's checks of this machine: disk, locks, queue, keys, and the private store."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter
from pathlib import Path

import filelock

from gitcoord.core import times
from gitcoord.core.errors import GitcoordError
from gitcoord.node import store_repair
from gitcoord.node.diagnostics.finding import FAIL, OK, WARN, Check, DoctorContext, DoctorFinding, age_s
from gitcoord.node.keyring import Keyring, seed_from_environment
from gitcoord.node.tasks import branch_pushes
from gitcoord.store import files
from gitcoord.store.home import locks, sharing
from gitcoord.store.home.home import Home
from gitcoord.store.home.records import Config

FREE_BYTES_MIN = 64 * 1024 * 1024
FSYNC_S_MAX = 0.25  # an append waits for two of them
LOCK_WAIT_S = 2.0  # a round that is well may hold the lock for this long
QUEUE_AGE_S_MAX = 3600.0
QUEUE_EVENTS_MAX = 20_000
SHOWN_MAX = 5
LEFTOVER = re.compile(r".+\.(?:new|\d+|fresh)\Z")


def _parts(ctx: DoctorContext) -> tuple[Home, Config]:
    assert ctx.home is not None and ctx.config is not None
    return ctx.home, ctx.config


def _disk(ctx: DoctorContext) -> Iterator[DoctorFinding]:
    home, _ = _parts(ctx)
    free = shutil.disk_usage(home.path).free
    started = time.perf_counter()
    files.check_writable(home.path)
    took_s = (time.perf_counter() - started) / 10  # five files and their folders
    seen = f"writable, {free // 2**20} MiB free, a sync takes {took_s * 1000:.1f} ms"
    if free < FREE_BYTES_MIN:
        yield DoctorFinding("disk", WARN, seen, f"free some space: less than {FREE_BYTES_MIN // 2**20} MiB are left")
    elif took_s > FSYNC_S_MAX:
        yield DoctorFinding("disk", WARN, seen, "appends are slow: move the clone to a faster or less busy disk")
    else:
        yield DoctorFinding("disk", OK, seen)


def _paused(ctx: DoctorContext) -> Iterator[DoctorFinding]:
    home, _ = _parts(ctx)
    reason = files.paused(home.path)
    if reason is None:
        yield DoctorFinding("paused", OK, "not paused")
    elif ctx.fix:
        files.resume(home.path)
        yield DoctorFinding("paused", OK, f"was paused ({reason}); resumed")
    else:
        yield DoctorFinding("paused", FAIL, f"paused: {reason}", "fix that, then run `gitcoord resume`")


def _lock(ctx: DoctorContext) -> Iterator[DoctorFinding]:
    home, _ = _parts(ctx)
    held = []
    for name, what in (("queue.lock", "the queue"), ("lock", "syncing")):
        deadline = time.monotonic() + LOCK_WAIT_S
        while locks.is_held(home.path / name) and time.monotonic() < deadline:
            time.sleep(0.02)
        if time.monotonic() >= deadline:
            held.append(f"{locks.holder(home.path / name)} has held {what} ({name}) for more than {LOCK_WAIT_S:g} s")
    if held:
        yield DoctorFinding(
            "lock", WARN, "; ".join(held), "if that process does not end by itself, end it, which frees the lock"
        )
        return
    running = home.running()
    yield DoctorFinding("lock", OK, "free" + (f"; running here: {', '.join(running)}" if running else ""))


def _queue(ctx: DoctorContext) -> Iterator[DoctorFinding]:
    home, _ = _parts(ctx)
    if ctx.fix and home.queue.damaged:
        with home.queue.locked():
            pass  # the lock's holder repairs it
    pending = home.queue.pending()
    oldest_s = max((age_s(event.timestamp) for event in pending), default=0.0)
    seen = f"{len(pending)} events" + (f", the oldest from {times.roughly(oldest_s)} ago" if pending else "")
    waiting = len(list(home.queue.spool.folder.glob("*.json"))) if home.queue.spool else 0
    if waiting:
        seen += f", {waiting} more in the spool"
    if home.queue.damaged:
        yield DoctorFinding(
            "queue",
            WARN,
            f"{seen}; {home.queue.damaged} damaged lines in {home.queue.path}",
            "run `gitcoord doctor --fix`, which moves them to events.error.log and keeps the others",
        )
    elif home.queue.broken:
        yield DoctorFinding(
            "queue",
            WARN,
            f"{seen}; the chain is broken where a line was damaged",
            "run `gitcoord sync`: the events after it are chained again",
        )
    elif len(pending) > QUEUE_EVENTS_MAX or oldest_s > QUEUE_AGE_S_MAX:
        yield DoctorFinding("queue", WARN, seen, "run `gitcoord sync`, which says why they are not pushed")
    else:
        yield DoctorFinding("queue", OK, seen)


def _branches(ctx: DoctorContext) -> Iterator[DoctorFinding]:
    """Check that the branches of finished tasks are on the remote; nothing is said if none was to be pushed."""
    home, _ = _parts(ctx)
    for agent, notes in groupby(
        sorted(branch_pushes.recorded(home.path), key=attrgetter("agent")), attrgetter("agent")
    ):
        names = [name for note in notes for name in note.branches]
        more = f" and {len(names) - SHOWN_MAX} more" if len(names) > SHOWN_MAX else ""
        yield DoctorFinding(
            "branches",
            WARN,
            f"the remote lacks {', '.join(names[:SHOWN_MAX])}{more}, on which {agent} did tasks",
            f"run `gitcoord agent run --as {agent}`, which pushes again and says why it failed; or `git push` them",
        )


def _keys(ctx: DoctorContext) -> Iterator[DoctorFinding]:
    home, config = _parts(ctx)
    loose: list[Path] = []
    folder = home.path / "keys"
    of_folder = sharing.KEYS_SHARED if sharing.is_shared(home.path) else 0o700
    for path, allowed in ((folder, of_folder), *((path, 0o600) for path in sorted(folder.glob("*")))):
        if path.exists() and os.name != "nt" and stat.S_IMODE(path.stat().st_mode) & ~allowed:
            loose.append(path)
            if ctx.fix:
                with contextlib.suppress(PermissionError):  # another user's file, which that user has to fix
                    path.chmod(allowed)
    if loose and not ctx.fix:
        yield DoctorFinding(
            "keys",
            FAIL,
            "others may read " + ", ".join(str(path) for path in loose),
            "run `gitcoord doctor --fix`; if somebody may have read a key, change it with `gitcoord agent rekey`",
        )
        return
    fixed = f"; made {len(loose)} unreadable to others" if loose else ""
    agent = os.environ.get("GITCOORD_AGENT") or config.agent
    if agent is None:
        yield DoctorFinding(
            "keys", WARN, "no agent is named here" + fixed, "set GITCOORD_AGENT, or run `gitcoord init --agent NAME`"
        )
        return
    try:
        Keyring(home, config.auth).signer(agent)
    except GitcoordError as wrong:
        yield DoctorFinding("keys", FAIL, str(wrong), "copy the agent's key here, or join as another agent")
        return
    whose = "the environment" if seed_from_environment(agent) else "this home"
    yield DoctorFinding("keys", OK, f"{agent} signs ({config.auth}) with a key from {whose}{fixed}")


def _sharing(ctx: DoctorContext) -> Iterator[DoctorFinding]:
    """Check that the home's owner, or its group, may write here, and nobody else."""
    home, _ = _parts(ctx)
    found = list(sharing.wrong_modes(home.path)) if os.name != "nt" else []
    who = "this home is shared with its group" if sharing.is_shared(home.path) else "this home is its owner's alone"
    if found and ctx.fix:
        left = [path for path in found if not sharing.fix_mode(home.path, path)]
        if not left:
            yield DoctorFinding("sharing", OK, f"{who}; fixed the modes of {len(found)} files and folders")
            return
        found = left
    if not found:
        yield DoctorFinding("sharing", OK, who)
        return
    shown = ", ".join(str(path.relative_to(home.path)) for path in found[:SHOWN_MAX])
    yield DoctorFinding(
        "sharing",
        WARN,
        f"{who}, and {len(found)} files or folders have other modes: {shown}",
        "run `gitcoord doctor --fix` as each user who owns some of them",
    )


def _store(ctx: DoctorContext) -> Iterator[DoctorFinding]:
    home, config = _parts(ctx)
    found = store_repair.store_damage(home) if home.store.exists() else []
    if not found:
        yield DoctorFinding("store", OK, f"{home.store} is sound" if home.store.exists() else "not made yet")
    elif not ctx.fix:
        yield DoctorFinding(
            "store",
            FAIL,
            f"{home.store} is damaged: {found[0]}",
            "run `gitcoord doctor --fix` or `gitcoord sync`: it is fetched again",
        )
    else:
        try:
            with home.sync_lock.acquire(timeout=LOCK_WAIT_S):
                aside = store_repair.rebuild_store(home, config)
        except filelock.Timeout:
            yield DoctorFinding(
                "store", FAIL, f"damaged ({found[0]}), and another process syncs", "try again when it is done"
            )
            return
        yield DoctorFinding("store", OK, f"was damaged ({found[0]}); fetched again, the old one is {aside}")


def _leftovers(ctx: DoctorContext) -> Iterator[DoctorFinding]:
    """Find half-written files of killed processes. Nothing reads them."""
    home, _ = _parts(ctx)
    found = [
        path
        for folder in (home.path, home.path / "cache", home.path / "heartbeats", home.path / "keys")
        for path in folder.glob("*")
        if LEFTOVER.match(path.name) and not _is_being_written(path)
    ]
    if not found:
        yield DoctorFinding("leftovers", OK, "none")
    elif ctx.fix:
        for path in found:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        yield DoctorFinding("leftovers", OK, f"removed {len(found)} half-written files")
    else:
        yield DoctorFinding(
            "leftovers",
            WARN,
            f"{len(found)} half-written files of processes that were killed",
            "run `gitcoord doctor --fix`, which removes them",
        )


def _is_being_written(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime < 60
    except FileNotFoundError:
        return True


CHECKS: dict[str, Check] = {
    "paused": _paused,
    "disk": _disk,
    "lock": _lock,
    "queue": _queue,
    "branches": _branches,
    "keys": _keys,
    "sharing": _sharing,
    "store": _store,
    "leftovers": _leftovers,
}
