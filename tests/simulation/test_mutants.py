"""A check that cannot fail is none: each wrong variant of the protocol is caught within 2,000 seeds."""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Callable
from types import FunctionType
from typing import Any

import pytest

from gitcoord.core import following, protocol, session, settling, terms, timings
from gitcoord.core.event import Event
from gitcoord.core.fleet import Fleet
from gitcoord.simulation.disk import SimDisk
from gitcoord.simulation.schedule import Options, run

SCHEDULES_MAX = 2000

Patch = Callable[[pytest.MonkeyPatch], None]


def rewritten(owner: Any, name: str, *changes: tuple[str, str]) -> Patch:
    """A function of the product with some of its words changed; every module that knows it gets the wrong one."""
    real = getattr(owner, name)
    source = textwrap.dedent(inspect.getsource(real))
    for right, wrong in changes:
        assert right in source, f"{name} does not say {right!r} any more: mend the mutant"
        source = source.replace(right, wrong)
    space: dict[str, Any] = {}
    exec(compile("from __future__ import annotations\n" + source, f"<mutant of {name}>", "exec"),
         real.__globals__, space)
    mutant = space[name]
    assert isinstance(mutant, FunctionType)

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(owner, name, mutant)
        for module in list(sys.modules.values()):
            if getattr(module, "__name__", "").startswith("gitcoord.") and vars(module).get(name) is real:
                monkeypatch.setattr(module, name, mutant)

    return patch


def ack_before_sync(self: SimDisk, events: list[Event]) -> None:
    self.content.add(events)


def on(owner: Any, name: str, mutant: Any) -> Patch:
    return lambda monkeypatch: monkeypatch.setattr(owner, name, mutant)


MUTANTS: dict[str, tuple[str, Patch]] = {
    # name: the classes of faults that reveal it, what is wrong
    "told_before_the_queue_is_synced": ("crash", on(SimDisk, "_add", ack_before_sync)),
    "a_rollback_is_followed": ("rollback", rewritten(following, "follow_ledger", (
        "refs.get(me.ledger_ref), disk.tip", "refs.get(me.ledger_ref), None"))),
    "what_a_fork_lost_is_not_offered_again": ("cas,rollback", rewritten(following, "_part", (
        "yield Carry(tuple(dict.fromkeys([*disk.carried, *lost])))", "pass"))),
    "a_copied_clone_overwrites_the_outbox": ("copy", rewritten(settling, "know_oneself", (
        "not disk.pushed(mine.oid)", "False"))),
    "a_copy_believes_that_its_old_session_is_dead": ("copy", rewritten(session.Crew, "begin_anew", (
        "session.proven_dead = None", "pass"))),
    "admission_without_prev": ("liar", rewritten(Fleet, "check_place", ("if event.prev != head.hash:", "if False:"))),
    "terms_ignored_by_the_fold": ("liar,partition,suspend", rewritten(terms.Terms, "rejects", (
        "if event.term is not None and (event.term != self.term or event.actor != self.leader):", "if False:"))),
    "v_counted_from_the_answer": ("late,delay,pause,suspend", rewritten(protocol, "_ledger_accepted", (
        "started_s + crew.profile.act_s", "me.clock.monotonic_s() + crew.profile.act_s"))),
    "v_counted_from_an_accepted_outbox": ("partition,delay,lost,suspend", rewritten(protocol, "_own_accepted", (
        "crew.heard()", "crew.heard()\n    crew.act_until_s = me.clock.monotonic_s() + crew.profile.act_s"))),
    "v_without_an_end": ("partition,suspend", rewritten(protocol, "_ledger_accepted", (
        "started_s + crew.profile.act_s", "started_s + 1e6"))),
    "an_impatient_follower": ("partition,suspend,delay", rewritten(timings.Profile, "stretched_silence_s", (
        "return self.silence_s", "return 0.3 * self.silence_s"))),
}


def caught(seeds: range, options: Options) -> int | None:
    """The first seed that fails."""
    return next((seed for seed in seeds if run(seed, options).violation), None)


@pytest.mark.parametrize("name", MUTANTS)
def test_a_wrong_protocol_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    classes, patch = MUTANTS[name]
    options = Options(only=frozenset(classes.split(",")))
    patch(monkeypatch)
    assert caught(range(SCHEDULES_MAX), options) is not None
