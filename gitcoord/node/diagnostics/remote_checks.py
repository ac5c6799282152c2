"""The doctor's checks beyond this machine: the remote, its permissions, and what others left there."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator, Sequence

from gitcoord.core.errors import BadCredentials, Denied, Unreachable
from gitcoord.core.format.event import Event
from gitcoord.core.ledger import outbox
from gitcoord.core.ledger.trees import readable
from gitcoord.core.names import NODE
from gitcoord.core.ports import Oid, Pushed, PushOutcome, Update
from gitcoord.node.clock import new_uid, passing_node_id
from gitcoord.node.diagnostics.finding import FAIL, OK, WARN, Check, DoctorContext, DoctorFinding, age_s, rounded
from gitcoord.node.membership.init import profile_for
from gitcoord.node.node import Node, open_node
from gitcoord.store.git import git_store, repo_health
from gitcoord.store.git.backoff import Backoff
from gitcoord.store.git.repo_health import Probe

AHEAD_S_MAX = 300.0  # a clock may be off by so much without consequences
LEFT_SHOWN = 5  # refs named in one finding
OUTBOXES_MAX = 200  # a fetch of 100 refs takes 13 ms, of 1000 59 (measured)
LOOSE_OBJECTS_MAX = 20_000  # 30,000 took 126 MB and 2.4 s for a cold fetch
EVENTS_LOOKED_AT = 500
RACES = {"github": 1}  # pushes are counted there
RACES_ELSEWHERE = 3


def _probe(ctx: DoctorContext) -> Probe:
    assert ctx.url is not None and ctx.common is not None
    config = ctx.config
    return Probe(
        ctx.url,
        config_from=ctx.common,
        timeout_s=min(config.timeout_s, 30.0) if config else 30.0,
        ledger_ref=config.ledger if config else "refs/heads/gitcoord/ledger",
        outbox_prefix=_prefix(ctx) if config else "refs/gitcoord/nodes/",
    )


def _prefix(ctx: DoctorContext) -> str:
    assert ctx.config is not None
    return f"{ctx.config.namespace}/nodes/"


def _remote(ctx: DoctorContext) -> Iterator[DoctorFinding]:
    with _probe(ctx) as probe:
        started = time.monotonic()
        try:
            ctx.refs = probe.refs()
        except Unreachable as wrong:
            yield DoctorFinding(
                "remote",
                FAIL,
                str(wrong),
                "check the network and the remote's name (`git remote -v`); what is queued goes out when it answers",
            )
            return
        except Denied as wrong:
            yield DoctorFinding("remote", FAIL, str(wrong), "ask the remote's owner for access")
            return
        took_ms = (time.monotonic() - started) * 1000
    moved = probe.store._transport.moved_to
    if moved:
        yield DoctorFinding(
            "remote",
            WARN,
            f"it redirects to {moved}: each command asks twice",
            "give the remote that address: `git remote set-url`, or `gitcoord config set remote URL --node`",
        )
    yield DoctorFinding("remote", OK, f"answers in {took_ms:.0f} ms, {len(ctx.refs)} refs")
    more = "" if ctx.config else "; whether it may write is tried in a fleet"
    yield DoctorFinding("credentials", OK, f"may read{more}")


def _ledger(ctx: DoctorContext) -> Iterator[DoctorFinding]:
    """Check whether the remote's ledger is the one that this clone has followed."""
    if ctx.refs is None or ctx.home is None or ctx.config is None:
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
            "ledger", OK, f"at {tip[:12]}, last seen at {seen[:12]}: the next sync tells whether it went on"
        )


# The host's permissions: tried on a scratch ref that is removed again


class _Scratch:
    """One scratch ref, and pushes to it."""

    def __init__(self, ctx: DoctorContext, probe: Probe) -> None:
        self.ctx = ctx
        self.probe = probe
        self.ref = _prefix(ctx) + passing_node_id("doctor")
        self.at: Oid | None = None

    def commit(self, parent: Oid | None = None) -> Oid:
        return self.probe.commit(new_uid(), parent, int(time.time()))

    def push(self, old: Oid | None, new: Oid | None) -> Pushed:
        answer = self.probe.store.push([Update(self.ref, old, new)])[self.ref]
        if answer.reason.startswith("credentials:"):
            raise BadCredentials(answer.reason.removeprefix("credentials:").strip())
        if answer.outcome in (PushOutcome.UNREACHABLE, PushOutcome.UNKNOWN):
            raise Unreachable(f"the remote stopped answering ({answer.reason}): try again")
        if answer.outcome is PushOutcome.ACCEPTED:
            self.at = new
        return answer

    def remove(self) -> Pushed:
        return self.push(self.at, None)


def _writing(ctx: DoctorContext) -> Iterator[DoctorFinding]:
    """Check namespace, compare-and-swap, rewriting and removal, on one scratch ref."""
    if ctx.refs is None:
        return
    with _probe(ctx) as probe:
        scratch = _Scratch(ctx, probe)
        answer = scratch.push(None, scratch.commit())
        if answer.outcome is not PushOutcome.ACCEPTED:
            yield DoctorFinding(
                "namespace",
                FAIL,
                f"the host refuses {_prefix(ctx)}*: {answer.reason}",
                "ask for the right to write there; a new fleet can use `--namespace refs/heads/gitcoord`",
            )
            return
        try:
            yield DoctorFinding("namespace", OK, f"{_prefix(ctx)}* may be written")
            yield _compare_and_swap(scratch)
            yield _rewriting(scratch)
        finally:
            gone = scratch.remove()
        if gone.outcome is PushOutcome.ACCEPTED:
            yield DoctorFinding("removal", OK, "outboxes may be removed")
        else:
            yield DoctorFinding(
                "removal",
                WARN,
                f"the host refuses to remove {scratch.ref}: {gone.reason}",
                "outboxes of nodes that left stay there; allow deletions, or remove them by hand at times",
            )


def _compare_and_swap(scratch: _Scratch) -> DoctorFinding:
    first, second = scratch.at, scratch.commit(scratch.at)
    tries = [
        ("create what exists", scratch.push(None, second), PushOutcome.STALE),
        ("a wrong lease", scratch.push(second, scratch.commit(first)), PushOutcome.STALE),
        ("the right lease", scratch.push(first, second), PushOutcome.ACCEPTED),
    ]
    wrong = [f"{what}: {answer.outcome.value}" for what, answer, expected in tries if answer.outcome is not expected]
    assert scratch.ctx.config is not None
    races = RACES.get(scratch.ctx.config.profile or "local", RACES_ELSEWHERE)
    winners = [_race(scratch) for _ in range(races)] if not wrong else []
    wrong += [f"a race had {count} winners" for count in winners if count != 1]
    if wrong:
        return DoctorFinding(
            "compare-and-swap",
            FAIL,
            "; ".join(wrong),
            "use another remote: without compare-and-swap two nodes overwrite each other's events",
        )
    # FACTS of git: pushing the value that is there already is not checked at all, whatever the lease.
    noop = scratch.push(first, scratch.at)
    said = "refused too" if noop.outcome is PushOutcome.STALE else "not checked (so every commit carries a nonce)"
    return DoctorFinding(
        "compare-and-swap", OK, f"works: one winner in each of {races} races; a push of what is there already is {said}"
    )


def _race(scratch: _Scratch) -> int:
    """Push twice at once from the same value; return how many pushes reported success."""
    before = scratch.at
    commits = [scratch.commit(before), scratch.commit(before)]
    start = threading.Barrier(2)
    outcomes: list[PushOutcome] = []

    def push(store: git_store.GitStore, new: Oid) -> None:
        start.wait(10)
        outcome = store.push([Update(scratch.ref, before, new)])[scratch.ref].outcome
        outcomes.append(outcome)
        if outcome is PushOutcome.ACCEPTED:
            scratch.at = new

    with scratch.probe.again() as other:  # a repository object is for one thread
        threads = [
            threading.Thread(target=push, args=pair) for pair in zip((scratch.probe.store, other), commits, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if PushOutcome.ACCEPTED not in outcomes:
        scratch.at = scratch.probe.refs().get(scratch.ref)
    return outcomes.count(PushOutcome.ACCEPTED)


def _rewriting(scratch: _Scratch) -> DoctorFinding:
    """Check rewriting: outboxes are rewritten at each push if the host allows it; otherwise each has its predecessor as
    parent."""
    assert scratch.ctx.config is not None
    parented = scratch.ctx.config.namespace.startswith("refs/heads/")
    answer = scratch.push(scratch.at, scratch.commit())
    if answer.outcome is PushOutcome.ACCEPTED:
        return DoctorFinding(
            "rewriting", OK, "allowed" + ("; outboxes keep their history all the same" if parented else "")
        )
    if parented:
        return DoctorFinding(
            "rewriting", OK, f"refused ({answer.reason}): outboxes keep their history, as they should here"
        )
    return DoctorFinding(
        "rewriting",
        FAIL,
        f"the host refuses it in {_prefix(scratch.ctx)}*: {answer.reason}",
        "allow non-fast-forward updates there (`git config receive.denyNonFastForwards false` on the "
        "remote), or found the fleet with `--namespace refs/heads/gitcoord`",
    )


# Leftovers of others


def _packing(ctx: DoctorContext) -> Iterator[DoctorFinding]:
    """Check git's packing of refs. Git 2.39 on ext4: while packed-refs is rewritten with --prune, 84 of 150 races had
    two winners or more."""
    folder = repo_health.local_folder(ctx.url or "")
    if folder is None:
        return
    lacking = [key for key, value in git_store.REMOTE.items() if repo_health.setting(folder, key) != value]
    if lacking and ctx.fix:
        failed = [words for key in lacking if (words := repo_health.set_setting(folder, key, git_store.REMOTE[key]))]
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
            f"{folder} may pack its refs while they are pushed to ({', '.join(lacking)} not "
            "false): two nodes might both win",
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
            f"when nobody is writing run `git -C {folder} repack -ad`, which leaves the refs alone",
        )


def _outboxes(ctx: DoctorContext) -> Iterator[DoctorFinding]:
    if ctx.refs is None:
        return
    boxes = [ref for ref in ctx.refs if ref.startswith(_prefix(ctx))]
    yield from _left(ctx)
    if len(boxes) > OUTBOXES_MAX:
        yield DoctorFinding(
            "outboxes",
            WARN,
            f"{len(boxes)} outboxes: every fetch reads their names",
            "run `gitcoord leave` in clones that are done; the leader retires those silent for a day",
        )
    else:
        yield DoctorFinding("outboxes", OK, f"{len(boxes)} on the remote")


def _left(ctx: DoctorContext) -> Iterator[DoctorFinding]:
    """Find what others put among the outboxes that no clone can use."""
    assert ctx.home is not None and ctx.refs is not None
    for ref, pause in sorted(Backoff(ctx.home.store).failing().items())[:LEFT_SHOWN]:
        yield DoctorFinding(
            "outboxes",
            WARN,
            f"{ref} stays on the remote: {pause.why}",
            "ask whoever pushes there; the "
            f"remote's owner can remove it (`git push REMOTE :{ref}`), and all others go on meanwhile",
        )
    odd = sorted(
        ref for ref in ctx.refs if ref.startswith(_prefix(ctx)) and not NODE.match(ref.removeprefix(_prefix(ctx)))
    )
    if odd:
        shown = ", ".join(readable(ref) for ref in odd[:LEFT_SHOWN])
        yield DoctorFinding(
            "outboxes",
            WARN,
            f"{len(odd)} refs, which can be no outboxes by their names, are passed over: {shown}",
            "let the remote's owner remove them, and tell who may push there",
        )
    own = _prefix(ctx) + ctx.home.queue.node
    there = ctx.refs.get(own)
    if there is not None and not ctx.home.pushed(there):
        yield DoctorFinding(
            "outboxes",
            WARN,
            f"{own}, which is this node's, holds what was not written here ({there[:12]})",
            ("run `gitcoord sync`: it writes it again, or goes on as a new node where a copy of this clone is at work"),
        )


def _clock(ctx: DoctorContext) -> Iterator[DoctorFinding]:
    """Compare others' timestamps with our clock. Nothing depends on it but what people read."""
    with open_node(ctx.path) as node:
        heartbeats = _heartbeats(node, ctx)
        others = [
            (event, -age_s(event.timestamp)) for event in (*heartbeats, *_events(node)) if event.node != node.disk.node
        ]
    ahead = sorted({event.node for event, by_s in others if by_s > AHEAD_S_MAX})
    most_s = max((by_s for _, by_s in others), default=0.0)
    newest = {event.node: -by_s for event, by_s in others}
    if ahead:
        whose = "this clock is slow, or theirs are fast" if len(ahead) > 1 else "one of the two clocks is wrong"
        yield DoctorFinding(
            "clock",
            WARN,
            f"words of {', '.join(ahead[:5])} come from up to {rounded(most_s)} in the future: {whose}",
            "set the clock by the network's time; order and elections do not need it",
        )
    elif not newest:
        yield DoctorFinding("clock", OK, "no other node has written anything to compare with")
    else:
        middle_s = statistics.median(newest.values())
        yield DoctorFinding(
            "clock",
            OK,
            f"agrees with {len(newest)} other nodes: their newest words are {rounded(middle_s)} old (median)",
        )


def _events(node: Node) -> Sequence[Event]:
    return [
        event
        for _, event in node.events(max(0, node.fleet.position - EVENTS_LOOKED_AT))
        if event.seq is not None and "source" not in event.data
    ]


def _heartbeats(node: Node, ctx: DoctorContext) -> list[Event]:
    """Return the heartbeats in the outboxes of the last sync. Nothing is fetched: nothing is changed here."""
    boxes = [oid for ref, oid in (ctx.refs or {}).items() if ref.startswith(_prefix(ctx))]
    return [heartbeat for oid in boxes[:OUTBOXES_MAX] for heartbeat in outbox.read(node.store, oid).heartbeats]


def _profile(ctx: DoctorContext) -> Iterator[DoctorFinding]:
    assert ctx.config is not None and ctx.common is not None
    name = ctx.config.profile or ""
    if not name:
        with open_node(ctx.path) as node:
            name = node.local.profile.name
    fitting = profile_for(ctx.common, ctx.config.remote)
    if fitting == "github" and name != "github":
        yield DoctorFinding(
            "profile",
            WARN,
            f"{name}, on a forge that asks for at most 6 pushes a minute",
            "run `gitcoord config set profile github`",
        )
    elif fitting == "local" and name == "github":
        yield DoctorFinding(
            "profile", OK, "github: slower than a remote on this machine needs (a failover takes 110 s)"
        )
    else:
        yield DoctorFinding("profile", OK, name)


def _spread(ctx: DoctorContext) -> Iterator[DoctorFinding]:
    """Find scratch refs of a doctor, or of an init, that was killed."""
    if ctx.refs is None:
        return
    left = [ref for ref in ctx.refs if ref.startswith((_prefix(ctx) + "doctor-", _prefix(ctx) + "probe-"))]
    if not left:
        return
    if ctx.fix:
        with _probe(ctx) as probe:
            probe.store.push([Update(ref, ctx.refs[ref], None) for ref in left])
        yield DoctorFinding("scratch", OK, f"removed {len(left)} scratch refs")
    else:
        yield DoctorFinding(
            "scratch",
            WARN,
            f"{len(left)} scratch refs of a probe that was killed",
            "run `gitcoord doctor --fix` while no other doctor runs",
        )


ANYWHERE = ("remote",)
CHECKS: dict[str, Check] = {
    "remote": _remote,
    "ledger": _ledger,
    "namespace": _writing,
    "packing": _packing,
    "outboxes": _outboxes,
    "scratch": _spread,
    "clock": _clock,
    "profile": _profile,
}
