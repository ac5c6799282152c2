"""The doctor's checks of the remote: the connection, the ledger, and what others left there."""

from __future__ import annotations

import time
from collections.abc import Iterator

from gitcoord.core.errors import Denied, GitcoordError, Unreachable
from gitcoord.core.ledger.trees import readable
from gitcoord.core.names import NODE
from gitcoord.core.ports import Oid
from gitcoord.node import status_cache
from gitcoord.node.diagnostics.finding import FAIL, OK, WARN, Check, DoctorContext, DoctorFinding
from gitcoord.node.remotes import ledger_mirror
from gitcoord.store.git import local_repo, repo_health
from gitcoord.store.git.backoff import Backoff

LEFT_SHOWN = 5  # refs named in one finding
OUTBOXES_MAX = 200  # a fetch of 100 refs takes 13 ms, of 1000 59 (measured)
LOOSE_OBJECTS_MAX = 20_000  # with 30,000, a cold fetch took 126 MB and 2.4 s


def _remote(ctx: DoctorContext) -> Iterator[DoctorFinding]:
    with ctx.probe() as probe:
        started = time.monotonic()
        try:
            ctx.refs = probe.refs()
        except Unreachable as wrong:
            yield DoctorFinding(
                "remote",
                FAIL,
                str(wrong),
                "check the network and the remote's name (`git remote -v`); queued events are pushed when it answers",
            )
            return
        except Denied as wrong:
            yield DoctorFinding("remote", FAIL, str(wrong), "ask the remote's owner for access")
            return
        took_ms = (time.monotonic() - started) * 1000
    moved = probe.store.moved_to
    if moved:
        yield DoctorFinding(
            "remote",
            WARN,
            f"it redirects to {moved}, which costs each command a second request",
            "use that address: `git remote set-url`, or `gitcoord config set remote URL --node`",
        )
    yield DoctorFinding("remote", OK, f"answers in {took_ms:.0f} ms, {len(ctx.refs)} refs")
    more = "" if ctx.config else "; write access is checked as soon as this clone is in a fleet"
    yield DoctorFinding("credentials", OK, f"may read{more}")


def _ledger(ctx: DoctorContext) -> Iterator[DoctorFinding]:
    """Check whether the remote's ledger is the one that this clone has followed."""
    if ctx.refs is None or ctx.home is None or ctx.config is None:
        return
    cached = status_cache.read(ctx.home)
    if cached is not None and cached.moves_to:
        fix = "run `gitcoord move --follow` if that is right; `gitcoord events --type fleet_moved` shows who moved it"
        yield DoctorFinding("ledger", FAIL, f"it has ended here: the fleet moved to {cached.moves_to}", fix)
        return
    tip, seen = ctx.refs.get(ctx.config.ledger), ctx.home.tip
    if tip is None:
        yield DoctorFinding(
            "ledger",
            FAIL,
            f"{ctx.config.ledger} is not on the remote",
            "run `gitcoord sync`: it puts the ledger back as this clone has it"
            if seen
            else "check that the remote is the right one",
        )
    elif seen is None or tip == seen:
        yield DoctorFinding("ledger", OK, f"at {tip[:12]}")
    else:
        yield DoctorFinding(
            "ledger", OK, f"at {tip[:12]}, last seen at {seen[:12]}: the next sync checks that it descends from that"
        )


def _packing(ctx: DoctorContext) -> Iterator[DoctorFinding]:
    """Check that the remote does not pack its refs: while git does (`pack-refs --prune`), a race of two pushes may have
    two winners (git 2.39 on ext4: 84 of 150 races)."""
    folder = repo_health.local_folder(ctx.url or "")
    if folder is None:
        return
    lacking = [key for key, value in local_repo.REMOTE.items() if repo_health.setting(folder, key) != value]
    if lacking and ctx.fix:
        failed = [words for key in lacking if (words := repo_health.set_setting(folder, key, local_repo.REMOTE[key]))]
        if failed:
            yield DoctorFinding(
                "packing",
                WARN,
                f"cannot set {', '.join(lacking)} in {folder}: {failed[0]}",
                "let the remote's owner set them to false",
            )
        else:
            yield DoctorFinding("packing", OK, f"set {', '.join(lacking)} to false in {folder}")
    elif lacking:
        yield DoctorFinding(
            "packing",
            WARN,
            f"{folder} may pack its refs during a push ({', '.join(lacking)} not false): two nodes might both win",
            "run `gitcoord doctor --fix`, which sets them",
        )
    else:
        yield DoctorFinding("packing", OK, "the remote does not pack its refs by itself")
    loose = repo_health.loose_objects(folder)
    if loose > LOOSE_OBJECTS_MAX:
        yield DoctorFinding(
            "objects",
            WARN,
            f"about {loose} loose objects in {folder}: new clones are slow",
            f"while nobody pushes, run `git -C {folder} repack -ad`, which does not pack the refs",
        )


def _outboxes(ctx: DoctorContext) -> Iterator[DoctorFinding]:
    if ctx.refs is None:
        return
    boxes = [ref for ref in ctx.refs if ref.startswith(ctx.outbox_prefix)]
    yield from _unusable(ctx)
    if len(boxes) > OUTBOXES_MAX:
        yield DoctorFinding(
            "outboxes",
            WARN,
            f"{len(boxes)} outboxes, whose names every fetch reads",
            "run `gitcoord leave` in clones that are done; the leader removes outboxes that are silent for a day",
        )
    else:
        yield DoctorFinding("outboxes", OK, f"{len(boxes)} on the remote")


def _unusable(ctx: DoctorContext) -> Iterator[DoctorFinding]:
    """Find refs among the outboxes that no clone can use."""
    assert ctx.home is not None and ctx.refs is not None
    for ref, pause in sorted(Backoff(ctx.home.store).failing().items())[:LEFT_SHOWN]:
        yield DoctorFinding(
            "outboxes",
            WARN,
            f"{ref} cannot be used: {pause.why}",
            "ask its author, or let the remote's owner remove it "
            f"(`git push REMOTE :{ref}`); all other outboxes work meanwhile",
        )
    odd = sorted(
        ref
        for ref in ctx.refs
        if ref.startswith(ctx.outbox_prefix) and not NODE.match(ref.removeprefix(ctx.outbox_prefix))
    )
    if odd:
        shown = ", ".join(readable(ref) for ref in odd[:LEFT_SHOWN])
        yield DoctorFinding(
            "outboxes",
            WARN,
            f"{len(odd)} refs are ignored, because their names are not those of outboxes: {shown}",
            "let the remote's owner remove them, and check who may push there",
        )
    own = ctx.outbox_prefix + ctx.home.queue.node
    there = ctx.refs.get(own)
    if there is not None and not ctx.home.pushed(there):
        yield DoctorFinding(
            "outboxes",
            WARN,
            f"{own}, the outbox of this node, has content that this node did not write ({there[:12]})",
            "run `gitcoord sync`, which overwrites it, or continues as a new node if a copy of this clone wrote it",
        )


def _mirror(ctx: DoctorContext) -> Iterator[DoctorFinding]:
    """Check the mirror of the ledger, if this clone has one."""
    if ctx.home is None or ctx.config is None or not ctx.config.mirror:
        return
    name, ref, known = ctx.config.mirror, ctx.config.mirror_ref, ledger_mirror.read(ctx.home.path)
    there: Oid | None = None
    trouble = known.problem if known.remote == name else ""
    with ctx.probe(name) as probe:
        try:
            there = probe.refs().get(ref)
        except GitcoordError as wrong:
            trouble = str(wrong)
    if trouble:
        fix = "do what the message says; until then, people see an old ledger there, but no claim is delayed"
        yield DoctorFinding("mirror", WARN, f"{name}: {trouble}", fix)
    elif there is None or there != ctx.home.tip:
        fix = "run `gitcoord agent run` in this clone: it pushes to the mirror while its agent leads"
        yield DoctorFinding("mirror", WARN, f"{name} is behind the ledger", fix)
    else:
        yield DoctorFinding("mirror", OK, f"{name} shows the ledger at {there[:12]}")


ANYWHERE = ("remote",)
CHECKS: dict[str, Check] = {
    "remote": _remote,
    "ledger": _ledger,
    "packing": _packing,
    "outboxes": _outboxes,
    "mirror": _mirror,
}
