"""Newcomers on real git: they fetch the newest commits, begin with the checkpoint, and miss nothing that matters."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitcoord.core import limits
from gitcoord.node import ledger_pages
from gitcoord.node.agent.sessions import AgentSessions
from gitcoord.node.diagnostics.doctor import examine
from gitcoord.node.diagnostics.verify import verify
from gitcoord.node.node import Node
from tests.node.test_bad_days import LEDGER, Clones
from tests.waiting import wait_until

NEWEST = 5


@pytest.fixture
def clones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clones]:
    """A ledger of some commits, with a checkpoint; `one` was there, and `late` comes when all is written."""
    monkeypatch.setattr(limits, "LOOK_BACK_COMMITS", NEWEST)
    monkeypatch.setattr("gitcoord.node.local_replica.CACHE_EVENTS", 1)
    clones = Clones(tmp_path)
    one = clones.join("one")
    AgentSessions(one, lambda kind, text: None, lambda: False).take("one", may_lead=True, takeover=False)
    wait_until(lambda: one.sync() and one.fleet.terms.leader, what="a leader")
    one.local.sessions.clear()  # it has led, and writes nothing more as a leader
    for number in range(12):
        clones.say("one", f"early {number}")
        clones.settle(1)
    put_checkpoint(clones, one)
    clones.say("one", "after the checkpoint")
    clones.settle(1)
    clones.join("late")
    yield clones
    for node in clones.open.values():
        node.close()


def put_checkpoint(clones: Clones, node: Node, spoil: tuple[bytes, bytes] = (b"", b"")) -> None:
    """As the leader would, or with something else in it."""
    node.sync()
    branch = node.replica.branch
    files = {name: data for name, data in ledger_pages.due(branch).items() if name != "state.json"}
    data = ledger_pages.checkpoint.write(branch).replace(*spoil)
    terms = json.loads(data)["terms"]
    files["state.json"] = ledger_pages.checkpoint.sign(
        data,
        agent=terms["leader"],
        term=terms["term"],
        position=branch.fleet.position,
        signer=node.keyring.signer("one"),
        fleet_id=branch.fleet.id or "",
    )
    tree = branch.write(branch.log, files)
    commit = node.store.put_commit(tree=tree, parents=[branch.tip or ""], message="pages", author="one", time_s=0)
    node.store.keep("ledger", commit)
    clones.git("fetch", "-q", str(node.home.store), f"refs/gitcoord/kept/ledger:{LEDGER}")
    node.sync()


@pytest.mark.parametrize("auth", ["ed25519", "hmac"])
def test_an_idle_leader_writes_pages_and_checkpoint_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, auth: str
) -> None:
    monkeypatch.setattr(ledger_pages, "CHECKPOINT_EVENTS", 4)
    clones = Clones(tmp_path)
    one = clones.join("one", auth)
    AgentSessions(one, lambda kind, text: None, lambda: False).take("one", may_lead=True, takeover=False)
    for number in range(6):
        clones.say("one", f"early {number}")
    wait_until(lambda: one.sync() and ledger_pages.read_file(one.replica.branch, "state.json"), what="a checkpoint")
    tips = set()
    for _ in range(4):
        one.sync()
        tips.add(one.home.tip)
    assert len(tips) == 1
    one.close()


def commits_of(node: Node) -> int:
    """How many commits of the ledger are in the private store."""
    done = subprocess.run(
        ["git", "--git-dir", str(node.home.store), "rev-list", "--count", str(node.home.tip)],
        check=True,
        capture_output=True,
    )
    return int(done.stdout)


def test_a_newcomer_has_the_newest_commits_and_the_whole_state(clones: Clones) -> None:
    one, late = clones.open["one"], clones.open["late"]
    assert commits_of(late) < commits_of(one)
    assert late.replica.branch.checkpoint_position > 10 and late.fleet.id == one.config.fleet_id
    clones.say("late", "hello")
    clones.say("one", "hello yourself")
    clones.settle()
    assert late.fleet.dump() == one.fleet.dump()
    assert clones.notes()[0] == "early 0" and sorted(clones.notes()[-2:]) == ["hello", "hello yourself"]
    assert [event.content for _, event in late.events()] == [event.content for _, event in one.events()]
    late = clones.reopen("late")
    assert late.replica.branch.checkpoint_position > 10, "the cache knows how it began"
    clones.agree()


def test_verifying_the_history_brings_what_was_left_on_the_remote(clones: Clones) -> None:
    late = clones.open["late"]
    assert verify(late).findings == [] and commits_of(late) < 15
    clones.settle(1)
    verdict = verify(late, history=True)
    assert verdict.findings == [] and verdict.commits == commits_of(clones.open["one"]) == commits_of(late)


def test_damage_is_judged_by_the_whole_history_also_by_a_newcomer(clones: Clones) -> None:
    good = clones.log()
    clones.by_hand(good.replace(b"early 3", b"never 3"))
    clones.settle()
    assert clones.told["late"].count("bad_line") == clones.told["one"].count("bad_line") > 0
    assert clones.open["late"].replica.branch.fully_walked
    clones.say("late", "mended")
    clones.settle()
    assert clones.log().startswith(good)
    clones.agree()


def test_a_ledger_set_back_to_before_a_newcomer_s_first_commit_is_pushed_back(clones: Clones) -> None:
    tip = clones.tip()
    clones.open.pop("one").close()
    clones.git("update-ref", LEDGER, clones.git("rev-parse", f"{tip}~{NEWEST + 3}"))
    clones.settle(1)
    assert clones.told["late"].count("rollback") == 1 and not clones.told["late"].count("fork")
    assert clones.git("merge-base", tip, clones.tip()) == tip


def test_what_a_remote_lost_for_good_is_offered_again_by_a_newcomer(clones: Clones) -> None:
    tip, notes = clones.tip(), clones.notes()
    clones.open.pop("one").close()
    clones.git("update-ref", LEDGER, clones.git("rev-parse", f"{tip}~{NEWEST + 3}"))
    clones.git("reflog", "expire", "--expire=now", "--all")
    clones.git("gc", "-q", "--prune=now")
    clones.settle(4)
    assert clones.told["late"].count("fork") == 1
    assert clones.notes() == notes
    clones.agree()


def test_a_lying_checkpoint_is_found_by_verifying_and_never_believed_again(clones: Clones) -> None:
    one = clones.open["one"]
    put_checkpoint(clones, one, (b'"one"', b'"eve"'))
    assert clones.told["one"] == ["bad_line"], "whoever was there sees it at once"
    deceived = clones.join("deceived")
    assert deceived.fleet.members.get("one") is None
    said = [(f.state, f.fix) for f in examine(clones.folder / "deceived") if f.check == "verified"]
    assert said == [("warn", "run `gitcoord verify`")]
    [finding] = verify(deceived).findings
    assert finding.kind == "checkpoint"
    honest = clones.reopen("deceived")
    clones.settle(1)
    assert honest.fleet.dump() == one.fleet.dump() and not honest.replica.branch.checkpoint_position
    assert json.loads((honest.home.path / "verified.json").read_text())["accepts_checkpoints"] is False


def test_a_checkpoint_of_other_log_files_is_believed_by_nobody_and_found_by_verifying(clones: Clones) -> None:
    one = clones.open["one"]
    put_checkpoint(clones, one, (b'"files":"', b'"files":"A'))
    assert clones.told["one"] == ["bad_line"]
    wary = clones.join("wary")
    assert not wary.replica.branch.checkpoint_position and wary.fleet.members.get("one") is not None
    [finding] = verify(wary).findings
    assert finding.kind == "checkpoint" and "not of the" in finding.text


def test_the_doctor_says_whether_this_clone_has_checked_what_it_believes(clones: Clones) -> None:
    folder = clones.folder / "late"
    assert [f.state for f in examine(folder) if f.check == "verified"] == ["warn"]
    assert verify(clones.open["late"]).findings == []
    assert [f.state for f in examine(folder) if f.check == "verified"] == ["ok"]
    assert [f.state for f in examine(clones.folder / "one") if f.check == "verified"] == ["ok"]
