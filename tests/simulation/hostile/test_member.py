"""A hostile member in the simulator: honest machines go on beside it, and it gains nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner

from gitcoord.cli.simulate import command
from gitcoord.core import duties
from gitcoord.core.errors import Refused
from gitcoord.core.feature import Duty
from gitcoord.core.fold.occasions import Occasions
from gitcoord.core.round import ledger_sync, own_outbox, protocol, reconcile, sight
from gitcoord.core.round.replica import advance_to
from gitcoord.simulation import chores, faults, story
from gitcoord.simulation.checking import refold
from gitcoord.simulation.schedule import Options, run

ALONE = Options(nodes=3, seconds=700, only=frozenset({"hostile"}))
BESIDE = Options(nodes=3, seconds=700, hostile=True)


@pytest.mark.parametrize("seed", range(4))
def test_honest_machines_go_on_beside_a_hostile_member(seed: int) -> None:
    result = run(seed, ALONE)
    assert result.violation == ""
    assert result.events and result.elections and result.pushes


@pytest.mark.parametrize("seed", range(4))
def test_honest_machines_go_on_beside_a_hostile_member_in_bad_weather(seed: int) -> None:
    result = run(seed, BESIDE)
    assert result.violation == "" and "hostile" in result.classes
    assert set(result.classes) <= faults.BESIDE_HOSTILE


def test_a_hostile_member_does_all_that_it_can() -> None:
    told = "\n".join(line for seed in range(4) for line in run(seed, ALONE, keep_trace=True).trace)
    done = set(re.findall(r"the hostile +([a-z' -]+)$", told, re.MULTILINE))
    assert done >= {
        "says anything",
        "floods",
        "claims leadership",
        "front-runs",
        "overwrites outboxes",
        "makes stray refs",
        "respells lines",
        "forges a checkpoint",
        "replays lines",
        "joins others' chains",
        "rearranges files",
        "replaces the ledger",
    }
    for found in ("outbox_defaced", "bad_line", "odd_refs", "replaced"):
        assert found in told, f"and honest machines tell {found}"


def test_some_schedules_of_all_have_a_hostile_member_and_none_of_those_a_liar() -> None:
    drawn = [faults.draw(seed).on for seed in range(400)]
    hostile = [on for on in drawn if "hostile" in on]
    assert 20 < len(hostile) < 200
    assert all(on <= faults.BESIDE_HOSTILE for on in hostile)


def test_the_command_invites_one_and_a_failing_seed_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    words = "--schedules 2 --seed 4 --seconds 300 --nodes 3 --processes 1 --hostile".split()
    assert CliRunner().invoke(command, words).exit_code == 0
    monkeypatch.setattr(reconcile, "is_of_a_copy", lambda *_: True)
    result = run(1, BESIDE)
    assert "takes itself for a copy" in result.violation
    assert story.command(1, BESIDE).endswith("--hostile")


def _forgets_what_was_done(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Occasions, "load", classmethod(lambda cls, value: cls()))


def _is_slow(patch: pytest.MonkeyPatch) -> None:
    fold = chores.fold
    patch.setattr(chores, "fold", lambda state, sequenced: (sum(1 for _ in range(20_000)), fold(state, sequenced))[1])


def _says_it_again(patch: pytest.MonkeyPatch) -> None:
    """A feature wants one thing for ever, and nothing counts as done."""
    patch.setattr(Occasions, "note_done", lambda self, key: None)
    patch.setattr(chores, "duty", lambda state, look: [Duty("chore_done", "again", "chore:1", {"number": 1})])


def _says_too_much(patch: pytest.MonkeyPatch) -> None:
    every = [Duty("chore_done", "one", f"chore:{number}", {"number": number}) for number in range(500)]
    patch.setattr(duties.limits, "DUTIES_PER_TICK", 500)
    patch.setattr(chores, "duty", lambda state, look: every)


def _ends_for_an_odd_ref(patch: pytest.MonkeyPatch) -> None:
    def tell(me: Any, fetched: Any) -> Any:
        if fetched.strays:
            raise Refused("odd refs")
        return ledger_sync.tell_left(me, fetched)

    patch.setattr(protocol, "tell_left", tell)


def _waits_while_its_outbox_rests(patch: pytest.MonkeyPatch) -> None:
    decide = protocol.plan_push
    patch.setattr(own_outbox, "DEFACED_PAUSE_S", 600.0)
    patch.setattr(own_outbox, "DEFACED_FREE", 0)
    patch.setattr(
        protocol,
        "plan_push",
        lambda me, disk, local, now_s: None if now_s < me.own.quiet_until_s else decide(me, disk, local, now_s),
    )


def _restores_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sight, "SIGHT_S", -1)


def _takes_any_ledger_for_a_fork(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ledger_sync, "_read_fork", lambda me, tip: (advance_to(me, tip), me.branch)[1])


def _leaves_what_is_no_ledger(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ledger_sync, "_restore_replaced", lambda *_: iter(()))


@pytest.mark.no_cover  # the test below runs the same lines, without a fault; tracing would double the time
@pytest.mark.parametrize(
    ("wrong", "seen"),
    [
        (_restores_nothing, "round ends with ForeignLedger"),
        (_takes_any_ledger_for_a_fork, "round ends with ForeignLedger"),
        (_leaves_what_is_no_ledger, "was not put back|waited"),
        (_waits_while_its_outbox_rests, "waited .* s for its place"),
        (_forgets_what_was_done, "a newcomer that folds the ledger has another state"),
        (_is_slow, f"takes .* steps; {refold.STEPS_MAX} is the bound"),
        (_says_it_again, "writes of chore:1 .* times in one term"),
        (_says_too_much, "events in one round"),
        (_ends_for_an_odd_ref, "round ends with Refused: odd refs"),
    ],
)
def test_what_a_hostile_member_would_gain_is_seen(
    wrong: Callable[[pytest.MonkeyPatch], None], seen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        wrong(patch)
        found = [result.violation for seed in range(3) if (result := run(seed, ALONE)).violation]
    assert found and all(re.search(seen, one) for one in found), found


def test_in_some_schedules_nothing_but_the_hostile_member_delays_anybody() -> None:
    hostile = [on for seed in range(400) if "hostile" in (on := faults.draw(seed).on)]
    assert len(hostile) * 0.1 < sum(on <= faults.NO_DELAY for on in hostile) < len(hostile) * 0.6
