"""The doctor's checks of what the remote's host permits, made on a scratch ref that is removed again."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from gitcoord.core.errors import BadCredentials, Unreachable
from gitcoord.core.ports import Oid, Pushed, PushOutcome, Update
from gitcoord.node.clock import new_uid, passing_node_id
from gitcoord.node.diagnostics.finding import FAIL, OK, WARN, Check, DoctorContext, DoctorFinding
from gitcoord.store.git import git_store
from gitcoord.store.git.repo_health import Probe

RACES = {"github": 1}  # by profile: GitHub limits pushes
RACES_ELSEWHERE = 3


class _Scratch:
    """A scratch ref on the remote, and pushes to it. `at` is its value; None if it does not exist."""

    def __init__(self, ctx: DoctorContext, probe: Probe) -> None:
        self.ctx = ctx
        self.probe = probe
        self.ref = ctx.outbox_prefix + passing_node_id("doctor")
        self.at: Oid | None = None

    def commit(self, parent: Oid | None = None) -> Oid:
        return self.probe.commit(new_uid(), parent, int(time.time()))

    def push(self, old: Oid | None, new: Oid | None) -> Pushed:
        answer = self.probe.store.push([Update(self.ref, old, new)])[self.ref]
        if answer.reason.startswith("credentials:"):
            raise BadCredentials(answer.reason.removeprefix("credentials:").strip())
        if answer.outcome in (PushOutcome.UNREACHABLE, PushOutcome.UNKNOWN):
            raise Unreachable(f"the remote stopped answering ({answer.reason}): run `gitcoord doctor` again")
        if answer.outcome is PushOutcome.ACCEPTED:
            self.at = new
        return answer

    def remove(self) -> Pushed:
        return self.push(self.at, None)


def _writing(ctx: DoctorContext) -> Iterator[DoctorFinding]:
    """Check namespace, compare-and-swap, rewriting and removal, on one scratch ref."""
    if ctx.refs is None:
        return
    with ctx.probe() as probe:
        scratch = _Scratch(ctx, probe)
        answer = scratch.push(None, scratch.commit())
        if answer.outcome is not PushOutcome.ACCEPTED:
            yield DoctorFinding(
                "namespace",
                FAIL,
                f"the host refuses {ctx.outbox_prefix}*: {answer.reason}",
                "ask for write access to it; a new fleet can use `--namespace refs/heads/gitcoord`",
            )
            return
        try:
            yield DoctorFinding("namespace", OK, f"{ctx.outbox_prefix}* may be written")
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
                "outboxes of nodes that left stay there; allow deletions, or remove them by hand now and then",
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
    # git does not check the push of a value that the ref has already, whatever the lease.
    noop = scratch.push(first, scratch.at)
    result = "refused too" if noop.outcome is PushOutcome.STALE else "not checked (so every commit carries a nonce)"
    return DoctorFinding(
        "compare-and-swap", OK, f"works: one winner in each of {races} races; a push of the present value is {result}"
    )


def _race(scratch: _Scratch) -> int:
    """Push two values at once onto the same old value. Return how many pushes reported success."""
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
    """Check whether refs may be rewritten. Outboxes are, unless the namespace is refs/heads/: there they need a
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
        f"the host refuses it in {scratch.ctx.outbox_prefix}*: {answer.reason}",
        "allow non-fast-forward updates there (`git config receive.denyNonFastForwards false` on the "
        "remote), or found the fleet with `--namespace refs/heads/gitcoord`",
    )


def _scratch_refs(ctx: DoctorContext) -> Iterator[DoctorFinding]:
    """Find scratch refs that a killed `doctor` or `init` left on the remote."""
    if ctx.refs is None:
        return
    left = [ref for ref in ctx.refs if ref.startswith((ctx.outbox_prefix + "doctor-", ctx.outbox_prefix + "probe-"))]
    if not left:
        return
    if ctx.fix:
        with ctx.probe() as probe:
            probe.store.push([Update(ref, ctx.refs[ref], None) for ref in left])
        yield DoctorFinding("scratch", OK, f"removed {len(left)} scratch refs")
    else:
        yield DoctorFinding(
            "scratch",
            WARN,
            f"{len(left)} scratch refs of a killed `doctor` or `init`",
            "run `gitcoord doctor --fix` while no other doctor runs",
        )


CHECKS: dict[str, Check] = {"namespace": _writing, "scratch": _scratch_refs}
