"""Guards: what one part raises is told once, tried again later, and felt by no other part."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import gitcoord
from gitcoord.core import limits
from gitcoord.core.commands import Context, NewEvent
from gitcoord.core.errors import Corrupt, Refused
from gitcoord.core.ledger import checkpoint
from gitcoord.core.ledger.branch import LedgerBranch
from gitcoord.features.pages import card
from gitcoord.node import ledger_pages, status_cache
from gitcoord.node.agent.leader_jobs import LeaderJobs
from gitcoord.node.agent.options import RunOptions
from gitcoord.node.agent.runner import Runner
from gitcoord.node.agent.sessions import AgentSessions
from gitcoord.node.guards import RETRY_S, Guards
from gitcoord.node.local_replica import LocalReplica
from gitcoord.node.node import Node
from tests.waiting import wait_until


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with gitcoord.join(tmp_path / "alice", agent="alice") as me:
        yield me.node


def raising(wrong: Exception) -> Callable[..., bool]:
    def part(*args: object, **more: object) -> bool:
        raise wrong

    return part


@pytest.mark.parametrize(
    "wrong",
    [
        OverflowError("date"),
        RecursionError(),
        ValueError("a\nb"),
        Refused("too large"),
        KeyError("x"),
        OSError(28, "full"),
        AssertionError(),
    ],
)
def test_a_part_that_fails_waits_longer_each_time_and_is_told_once(wrong: Exception) -> None:
    said: list[str] = []
    guards, now = Guards(lambda kind, text: said.append(text)), 0.0
    part = raising(wrong)
    for number in range(12):
        assert guards.run("pages", part, otherwise=False, now_s=now) is False
        wait_s = min(RETRY_S[0] * 2**number, RETRY_S[1])
        assert guards.waits("pages", now + wait_s - 0.01) and not guards.waits("others", now)
        assert guards.run("pages", lambda: True, otherwise=False, now_s=now + wait_s - 0.01) is False
        now += wait_s
    assert len(said) == 1 and said[0].startswith("pages: ") and "\n" not in said[0]
    assert guards.run("pages", lambda: True, otherwise=False, now_s=now)
    guards.run("pages", part, otherwise=False, now_s=now)
    assert len(said) == 2


class Part:
    """What `agent run` looks after; it raises wherever it is told to."""

    agent = ""

    def __init__(self, *wrong: str) -> None:
        self.wrong, self.steps, self.ended = wrong, 0, False

    @property
    def busy(self) -> bool:
        return False

    def is_due(self, now_s: float) -> bool:
        return self._does("is_due") and False

    def step(self, now_s: float) -> bool:
        self.steps += 1
        return self._does("step") and False

    def ask_to_end(self) -> None:
        self._does("ask_to_end")

    def end(self) -> None:
        self.ended = self._does("end")

    def _does(self, what: str) -> bool:
        if what in self.wrong:
            raise ZeroDivisionError(what)
        return True


def test_a_run_outlives_each_of_its_parts(node: Node) -> None:
    said: list[str] = []
    bad, good = Part("is_due", "step", "ask_to_end", "end"), Part()
    Runner(
        node,
        RunOptions(
            agents=["alice"], for_s=1.0, say=lambda kind, text: said.append(f"{kind}: {text}"), components=[bad, good]
        ),
    ).run()
    assert good.steps > 1 and good.ended and said[-1] == "goodbye: goodbye"
    told = [words for words in said if "step" in words]
    assert len(told) == 1 and told[0].startswith("part_failed: part: ZeroDivisionError: step (test_guards.py:")


@pytest.mark.parametrize("part", ["_after_round", "_gone_in_s", "round"])
def test_a_run_outlives_what_follows_a_round(node: Node, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    said: list[str] = []
    monkeypatch.setattr(Runner, part, raising(OverflowError(part)))
    good = Part()
    Runner(
        node,
        RunOptions(
            agents=["alice"], for_s=0.5, say=lambda kind, text: said.append(f"{kind}: {text}"), components=[good]
        ),
    ).run()
    assert good.steps and said[-1] == "goodbye: goodbye" and len([one for one in said if part in one]) == 1


@pytest.mark.parametrize("part", [(status_cache, "save"), (LocalReplica, "save_cache")])
def test_a_round_after_round_though_what_comes_along_fails(
    node: Node, monkeypatch: pytest.MonkeyPatch, part: tuple[object, str]
) -> None:
    said: list[str] = []
    node.tell = lambda kind, text: said.append(text)
    monkeypatch.setattr(*part, raising(OverflowError("date")))
    for number in range(3):
        node.append(node.draft("note", "x", actor="alice"))
        node.sync()
    assert len(said) == 1 and "OverflowError: date" in said[0]


# Pages


def leading(node: Node) -> LedgerBranch:
    AgentSessions(node, lambda kind, text: None, lambda: False).take("alice", may_lead=True, takeover=False)
    wait_until(lambda: node.sync() and node.fleet.terms.leader, what="a leader")
    return node.replica.branch


def test_a_page_that_cannot_be_made_is_left_out_and_the_round_goes_on(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    node.tell = lambda kind, text: said.append(text)
    monkeypatch.setattr(card, "readme", raising(OverflowError("date")))
    branch = leading(node)
    before = branch.fleet.position
    node.append(*(node.draft("note", "x", actor="alice") for _ in range(3)))
    wait_until(lambda: node.sync() and not node.disk.pending(), what="the events in the ledger")
    assert node.fleet.position > before and len(said) == 1 and "snapshot cannot be written" in said[0]
    monkeypatch.undo()
    node.append(*(node.draft("note", "x", actor="alice") for _ in range(5000 // 100)))
    node.sync()
    assert wait_until(lambda: node.sync() and ledger_pages.README in node.replica.branch.root, what="the card")


def test_a_part_that_fails_is_tried_after_ever_more_events_and_keeps_no_other_from_being_written(node: Node) -> None:
    branch, tried = node.replica.branch, 0

    def fails(branch: LedgerBranch, sealed: object) -> dict[str, bytes | None]:
        nonlocal tried
        tried += 1
        raise OverflowError("date")

    said: list[str] = []
    publisher = ledger_pages.Publisher(lambda kind, text: said.append(text), lambda data, branch: data)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ledger_pages, "PARTS", {"bad": fails, "good": lambda branch, sealed: {"good": b"x"}})
        for branch.fleet.position in range(100, 200):
            assert publisher.due(branch) == {"good": b"x"}
        assert tried == 6
        patched.setattr(ledger_pages, "PARTS", {"store": raising(Corrupt("an object"))})
        with pytest.raises(Corrupt):  # which is mended, and is no page's fault
            publisher.due(branch)


def test_a_checkpoint_that_nobody_would_read_is_not_written(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_pages, "CHECKPOINT_EVENTS", 1)
    said: list[str] = []
    publisher = ledger_pages.Publisher(lambda kind, text: said.append(text), lambda data, branch: data)
    assert checkpoint.PATH in publisher.due(node.replica.branch)
    monkeypatch.setattr(limits, "CHECKPOINT_BYTES_MAX", 100)
    found = publisher.due(node.replica.branch)
    assert ledger_pages.README in found and checkpoint.PATH not in found
    assert "at most 100 are read" in said[0]


# Errands


class Fine:
    name = "fine"

    def interval_s(self, ctx: Context) -> float:
        return 1.0

    def prepare(self, ctx: Context) -> Callable[[Callable[[], bool]], list[NewEvent]]:
        return lambda may: [NewEvent("note", "x" * 100_000, {}), NewEvent("note", "the other one", {})]


class Bad(Fine):
    name = "bad"

    def __init__(self, place: str) -> None:
        setattr(self, place, raising(OverflowError(place)))


@pytest.mark.parametrize("place", ["interval_s", "prepare"])
def test_an_errand_that_cannot_be_prepared_keeps_no_other_waiting_and_one_refused_note_costs_that_one(
    node: Node, place: str
) -> None:
    leading(node)
    said: list[str] = []
    jobs = LeaderJobs(node, [Bad(place), Fine()], say=lambda kind, text: said.append(f"{kind}: {text}"))
    wait_until(lambda: node.sync() and jobs.step(10.0), what="the job to begin")
    wait_until(lambda: not jobs.busy or jobs.step(10.0), what="its end")
    assert any(words.startswith(f"job_failed: bad: OverflowError: {place}") for words in said)
    assert any("one result cannot be recorded" in words for words in said)
    assert "the other one" in [event.content for event in node.disk.pending()]
