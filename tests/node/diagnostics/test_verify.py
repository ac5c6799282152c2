"""Verifying finds whatever no honest node writes, names its place, and accuses nobody who was merely late."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from gitcoord.cli.verify import command
from gitcoord.core import limits
from gitcoord.core.fold.terms import LeaderElection
from gitcoord.core.format.event import Draft, Event, Head, hash_of, parse, seal
from gitcoord.core.format.keys import Ed25519Signer
from gitcoord.core.ledger.branch import LedgerBranch
from gitcoord.core.ledger.log_files import Log, segment_path
from gitcoord.core.ledger.trees import root_of
from gitcoord.core.ports import Oid, PushOutcome, Update
from gitcoord.node import ledger_pages
from gitcoord.node.clock import new_uid, utc_now
from gitcoord.node.diagnostics.verify import VerifyReport, verify
from gitcoord.node.membership.init import InitRequest, init
from gitcoord.node.node import Node

LEDGER = "refs/heads/gitcoord/ledger"
STRANGER = Ed25519Signer(b"s" * 32)


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    """A ledger of some segments, with pages and a checkpoint beside it."""
    monkeypatch.setattr(limits, "SEGMENT_BYTES", 2048)
    monkeypatch.setattr(ledger_pages, "CHECKPOINT_EVENTS", 4)
    with init(tmp_path / "clone", InitRequest(agent="alice")).node as joined:
        for batch in (range(6), range(6, 12)):
            joined.append(*(joined.draft("question", f"content {number}", actor="alice") for number in batch))
            joined.sync()
        put(joined, files=ledger_pages.due(joined.replica.branch))
        say(joined, "after the snapshot")
        yield joined


def say(node: Node, content: str) -> Event:
    [event] = node.append(node.draft("question", content, actor="alice"))
    node.sync()
    return event


def put(node: Node, *, files: Mapping[str, bytes | None] | None = None, log: Log | None = None) -> Oid:
    """A commit on the remote's ledger, by hand; whoever makes it needs no more than access."""
    tip = node.store.fetch().refs[LEDGER]
    branch = node.replica.branch
    writer = LedgerBranch(node.store, branch.fleet)
    writer.root = root_of(node.store, tip)
    tree = writer.write(branch.log if log is None else log, files or {})
    commit = node.store.put_commit(tree=tree, parents=[tip], message=f"by hand {new_uid()}", author="m", time_s=0)
    assert node.store.push([Update(LEDGER, tip, commit)])[LEDGER].outcome is PushOutcome.ACCEPTED
    return commit


def with_lines(node: Node, *lines: bytes) -> Log:
    log = node.replica.branch.log
    return Log(log.segments, log.counts, (*log.open, *lines))


def line(
    node: Node,
    *,
    signer: Ed25519Signer | None = None,
    actor: str = "alice",
    chain: str = "mallory-1",
    after: Head = Head(),
    type_: str = "note",
    uid: str = "",
    fleet: str = "",
    content: str = "x",
) -> bytes:
    """A line such as anybody can make who has read the ledger."""
    draft = Draft(actor, type_, content, utc_now(), uid or new_uid())
    return seal(
        draft,
        node=chain,
        after=after,
        signer=signer or node.keyring.signer("alice"),
        fleet=fleet or node.config.fleet_id,
    ).line


def kinds(verdict: VerifyReport) -> list[str]:
    return [finding.kind for finding in verdict.findings]


def test_a_good_ledger_is_clean_every_way(node: Node) -> None:
    for verdict in (verify(node), verify(node, history=True), verify(node, since=6)):
        assert (verdict.findings, verdict.notes, verdict.races, verdict.position) == ([], [], 0, 14)


def test_nothing_is_changed(node: Node) -> None:
    node.append(node.draft("note", "queued", actor="alice"))
    before = node.store.fetch(), node.home.tip, (node.home.path / "events.offline.log").read_bytes()
    verify(node, history=True)
    assert before == (node.store.fetch(), node.home.tip, (node.home.path / "events.offline.log").read_bytes())


BAD_LINES: dict[str, tuple[Callable[[Node], Sequence[bytes]], str]] = {
    "malformed": (lambda node: [b"{}"], "`actor`"),
    "not JSON": (lambda node: [b"hello"], "not JSON"),
    "oversized": (lambda node: [b"x" * 70_000], "more than"),
    "wrong signature": (lambda node: [line(node).replace(b'"x"', b'"y"')], "wrong signature"),
    "of another fleet": (lambda node: [line(node, fleet="0000000000000000")], "wrong signature"),
    "missing predecessor": (lambda node: [line(node, after=Head(4, hash_of(b"a")))], "are missing"),
    "forked chain": (lambda node: [line(node, chain=node.disk.node)], "already"),
    "replayed": (lambda node: [node.replica.branch.line_at()(3)], "already"),
    "founded again": (lambda node: [node.replica.branch.line_at()(1)], "begins with fleet_founded"),
}


@pytest.mark.parametrize("name", BAD_LINES)
def test_a_bad_line_is_named_with_commit_file_and_number(node: Node, name: str) -> None:
    make, reason = BAD_LINES[name]
    lines = make(node)
    commit = put(node, log=with_lines(node, *lines))
    number = len(node.replica.branch.log.open) + len(lines)
    where = f"{node.replica.branch.log.open_path}:{number} in commit {commit[:12]}"
    for history in (False, True):
        [finding] = verify(node, history=history).findings
        assert (finding.kind, finding.where) == ("line", where)
        assert reason in finding.text
    say(node, "the next commit repairs")
    assert verify(node).findings == []
    assert kinds(verify(node, history=True)) == ["line"], "what was repaired is still in the history"


def test_an_altered_segment_is_found_also_when_it_was_repaired(node: Node) -> None:
    log = node.replica.branch.log
    altered = node.store.put_blob(node.store.blob(log.segments[0]).replace(b"content 1", b"content 9"))
    commit = put(node, log=Log((altered, *log.segments[1:]), log.counts, log.open))
    for verdict in (verify(node), verify(node, history=True)):
        texts = [finding.text for finding in verdict.findings if finding.kind == "line"]
        assert "was removed or altered" in texts[0] + texts[1] and "already" in texts[0] + texts[1]
        assert all(commit[:12] in f.where and segment_path(0) in f.where for f in verdict.findings)
    say(node, "the next commit repairs")
    assert verify(node).findings == [] and verify(node, history=True).findings


def test_a_line_removed_from_the_end_is_in_the_history(node: Node) -> None:
    log = node.replica.branch.log
    put(node, log=Log(log.segments, log.counts, log.open[:-1]))
    [finding] = verify(node, history=True).findings
    assert "position 14 was removed or altered" in finding.text


def test_moved_lines_are_found(node: Node) -> None:
    say(node, "one more")
    log = node.replica.branch.log
    assert len(log.open) >= 2
    put(node, log=Log(log.segments, log.counts, log.open[::-1]))
    assert any("was moved" in finding.text for finding in verify(node).findings)


def test_an_event_by_a_key_that_is_not_its_actors_is_a_finding(node: Node) -> None:
    put(node, log=with_lines(node, line(node, signer=STRANGER)))
    [finding] = verify(node).findings
    assert (finding.kind, finding.where) == ("wrong_key", "position 15")
    assert "alice from mallory-1" in finding.text and "not alice's" in finding.text
    assert verify(node, since=15).findings == []


def test_an_identity_used_for_other_words_is_a_finding(node: Node) -> None:
    uid = say(node, "mine").nonce
    put(node, log=with_lines(node, line(node, uid=uid, content="other words")))
    assert kinds(verify(node)) == ["uid_reused"]


def test_a_replayed_election_is_a_finding(node: Node) -> None:
    data = LeaderElection(session="s", after="elsewhere").model_dump()
    draft = Draft("alice", "leader_election", "", utc_now(), new_uid(), term=1, data=data)
    event = seal(draft, node="mallory-1", after=None, signer=node.keyring.signer("alice"), fleet=node.config.fleet_id)
    put(node, log=with_lines(node, event.line))
    assert [finding.text for finding in verify(node).findings] == ["leader_election that extends another log"]


def test_an_election_whose_term_is_not_new_is_a_finding(node: Node) -> None:
    data = LeaderElection(session="s", after=node.fleet.digest).model_dump()
    draft = Draft("alice", "leader_election", "", utc_now(), new_uid(), term=0, data=data)
    event = seal(draft, node="mallory-1", after=None, signer=node.keyring.signer("alice"), fleet=node.config.fleet_id)
    put(node, log=with_lines(node, event.line))
    assert kinds(verify(node)) == ["election"]


def test_who_lost_a_race_is_only_counted(node: Node) -> None:
    """The same event by two chains (a copied clone), a deposed leader's event, one who had not joined yet."""
    first = say(node, "once")
    again = line(node, uid=first.nonce, content="once", type_="question")
    late = Draft("alice", "note", "as leader", utc_now(), new_uid(), term=7)
    deposed = seal(late, node="copy-2", after=Head(), signer=node.keyring.signer("alice"), fleet=node.config.fleet_id)
    early = line(node, actor="bob", signer=STRANGER, chain="bobs-3")
    put(node, log=with_lines(node, again, deposed.line, early))
    verdict = verify(node)
    assert (verdict.findings, verdict.races) == ([], 3)


@pytest.mark.parametrize("path", ["communication.md", "archive.md", "README.md", "state.json"])
def test_a_file_beside_the_log_that_tells_something_else_is_found(node: Node, path: str) -> None:
    data = ledger_pages.read_file(node.replica.branch, path)
    assert data
    put(node, files={path: data.replace(b"content 1", b"content 9").replace(b"alice", b"mallory")})
    [finding] = verify(node).findings
    assert finding.where == path


def test_missing_pages_and_pages_of_the_future_are_found(node: Node) -> None:
    put(node, files={"archive.md": None})
    assert [(f.where, f.text) for f in verify(node).findings] == [("archive.md", "it is missing at position 13")]
    page = ledger_pages.read_file(node.replica.branch, "communication.md") or b""
    put(node, files={"communication.md": page.replace(b"position 13 ", b"position 99 ")})
    assert any("claim to know more" in finding.text for finding in verify(node).findings)
    put(node, files={"communication.md": b"hello", "state.json": b"[]"})
    assert sorted(kinds(verify(node))) == ["checkpoint", "snapshot"]


def test_a_ledger_set_back_is_found(node: Node) -> None:
    tip = node.store.fetch().refs[LEDGER]
    [parent] = node.store.commit(tip).parents
    assert node.store.push([Update(LEDGER, tip, parent)])[LEDGER].outcome is PushOutcome.ACCEPTED
    assert kinds(verify(node)) == ["rollback"]


def test_without_the_remote_what_is_here_is_verified(node: Node) -> None:
    shutil.rmtree(str(node.config.remote))
    verdict = verify(node)
    assert (verdict.findings, verdict.position) == ([], 14)
    assert "verifying what is here" in verdict.notes[0]


def test_the_command_ends_with_6_and_names_each_finding_on_one_line(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(node.home.path.parent.parent)
    clean = CliRunner().invoke(command, [])
    assert (clean.exit_code, clean.output.startswith("14 events: nothing found, ")) == (0, True), clean.output
    put(node, log=with_lines(node, line(node, signer=STRANGER), b"\x1b[2J\xff"))
    found = CliRunner().invoke(command, [])
    assert found.exit_code == 6
    assert found.output.splitlines()[0].startswith("wrong_key: position 15: note by alice from mallory-1")
    assert "\x1b" not in found.output and len(found.output.splitlines()) == 3
    value = json.loads(CliRunner().invoke(command, ["--json"]).output)
    assert {key: value[key] for key in ("schema", "position", "events")} == {
        "schema": "gitcoord.verify/1",
        "position": 15,
        "events": 15,
    }
    assert [set(finding) for finding in value["findings"]] == [{"kind", "where", "text"}] * 2


@pytest.mark.parametrize("history", [False, True])
def test_a_key_that_was_revoked_after_it_had_counted_makes_no_finding(node: Node, history: bool) -> None:
    joined = line(node, actor="mallory", signer=STRANGER, type_="agent_joined")
    head = parse(joined).head
    put(node, log=with_lines(node, joined, line(node, actor="mallory", signer=STRANGER, after=head, content="said")))
    node.sync()
    said = node.fleet.position
    node.append(
        node.draft(
            "key_revoked", "mallory's key was stolen", actor="alice", data={"key": STRANGER.key, "after": said - 1}
        )
    )
    node.sync()
    assert node.fleet.members.revoked == {STRANGER.key: said - 1}
    verdict = verify(node, history=history)
    assert (verdict.findings, verdict.races, verdict.position) == ([], 1, said + 1)
