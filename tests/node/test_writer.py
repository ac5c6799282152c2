"""A desk: no secret passes it into the ledger, in any field, and its error gives none away."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gitcoord.core.errors import Refused
from gitcoord.core.format.keys import HmacSigner
from gitcoord.core.round.batch import why_waiting
from gitcoord.core.secret_scan.credentials import OnSecret
from gitcoord.node.membership.init import InitRequest, init
from gitcoord.node.node import Node
from gitcoord.node.own_secrets import own_secrets
from gitcoord.node.writer import Writer

TOKEN = "ghp_" + "a1B2" * 9


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with init(tmp_path / "clone", InitRequest(agent="alice")).node as joined:
        yield joined


def test_nothing_is_written_with_another_fleets_shared_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody could check such a line: it is no event, and all that its node says later waits for it."""
    with init(tmp_path / "clone", InitRequest(agent="alice", auth="hmac")).node as joined:
        joined.sync()
    monkeypatch.setenv("GITCOORD_HMAC_KEY", "the secret of another fleet")
    writer = Writer(joined.home)
    with pytest.raises(Refused, match="not this fleet's.*GITCOORD_HMAC_KEY"):
        writer.append(writer.draft("note", "lost", actor="alice"))
    assert not writer.disk.pending()


def test_a_line_that_is_signed_with_another_secret_takes_no_place_and_is_named(tmp_path: Path) -> None:
    """It was folded here and nowhere else: whoever wrote it was told SEQUENCED for all that came after it."""
    with init(tmp_path / "clone", InitRequest(agent="alice", auth="hmac")).node as node:
        position = node.fleet.position
        wrong = HmacSigner(b"the secret of another fleet")
        [lost] = node.home.queue.append(
            [node.draft("note", "lost", actor="alice")], signer=lambda agent: wrong, fleet_id=node.config.fleet_id
        )
        [later] = node.append(node.draft("note", "later", actor="alice"))
        node.sync()
        assert node.fleet.position == position and node.disk.pending() == [lost, later]
        assert "signed with another secret" in str(why_waiting(node.replica, node.disk.pending()))
        node.home.queue.drop(lost.uid, signer=node.keyring.signer, fleet_id=node.config.fleet_id)
        node.sync()
        assert later.uid in node.fleet.positions and lost.uid not in node.fleet.positions


def key_of(node: Node) -> bytes:
    seed = node.home.keys.seed("alice")
    assert seed is not None
    return seed


@pytest.mark.parametrize(
    "place, fields",
    [
        ("content, line 2", {"content": f"see\n{TOKEN}"}),
        ("data.result", {"data": {"result": f"it is {TOKEN}"}}),
        ("data.a[1].b", {"data": {"a": ["x", {"b": TOKEN}]}}),
        ("a name in data", {"data": {TOKEN: 1}}),
        ("data.password", {"data": {"password": "correct7horse"}}),
    ],
)
def test_a_secret_is_refused_and_the_error_says_where_it_stands_and_not_what_it_is(
    node: Node, place: str, fields: dict[str, Any]
) -> None:
    draft = node.draft("note", fields.get("content", "words"), actor="alice", data=fields.get("data"))
    before = node.disk.pending()
    for write in (node.append, node.check):
        with pytest.raises(Refused, match="seems to hold a secret") as caught:
            write(draft)
        said = str(caught.value)
        assert f"in {place}." in said and "--allow-secret" in said and TOKEN not in said and "7horse" not in said
    assert node.disk.pending() == before


def test_of_several_events_none_is_written_where_one_holds_a_secret(node: Node) -> None:
    with pytest.raises(Refused):
        node.append(node.draft("note", "fine", actor="alice"), node.draft("note", TOKEN, actor="alice"))
    assert "fine" not in [one.content for one in node.disk.pending()]


def test_it_is_written_where_somebody_has_looked_at_it(node: Node) -> None:
    [event] = node.append(node.draft("note", TOKEN, actor="alice"), on_secret=OnSecret.ALLOW)
    assert event.content == TOKEN


def test_what_a_program_tells_counts_without_it(node: Node) -> None:
    node.writer.on_secret = OnSecret.HIDE
    data = {"env": {"API_TOKEN": "x1y2z3w4v5"}}
    [event] = node.append(node.draft("error", f"push failed: {TOKEN}", actor="alice", data=data))
    assert event.content == "push failed: [hidden]" and event.data == {"env": {"API_TOKEN": "[hidden]"}}


@pytest.mark.parametrize(
    "spelled",
    [
        bytes.hex,
        lambda key: base64.b64encode(key).decode(),
        lambda key: base64.urlsafe_b64encode(key).decode().rstrip("="),
    ],
)
def test_the_agents_own_key_is_refused(node: Node, spelled: Any) -> None:
    with pytest.raises(Refused, match=r"the key in keys/alice\.key( as bytes)?, in content"):
        node.append(node.draft("note", f"my key {spelled(key_of(node))}", actor="alice"))


def test_a_key_that_came_later_is_known_too(node: Node) -> None:
    node.append(node.draft("note", "words", actor="alice"))
    node.home.keys.save("bob", bytes(range(100, 132)))
    keys = node.home.path / "keys"
    os.utime(keys, ns=(0, keys.stat().st_mtime_ns + 1))
    with pytest.raises(Refused, match=r"keys/bob\.key"):
        node.append(node.draft("note", bytes(range(100, 132)).hex(), actor="alice"))


def test_events_of_our_own_pass(node: Node) -> None:
    """They hold public keys, digests and positions."""
    node.writer.on_secret = OnSecret.REFUSE
    for event in (one for _, one in node.events(0)):
        node.check(node.draft(event.type, event.content, actor="alice", data=event.data))


def test_the_nodes_own_key_is_refused(node: Node) -> None:
    [path] = node.home.path.glob("*.key")
    for text in (path.read_text(), bytes.fromhex(path.read_text()).hex(" ").upper()):
        with pytest.raises(Refused, match=f"the key in {path.name}"):
            node.append(node.draft("note", f"look: {text}", actor="alice"))


def test_secrets_of_the_environment_are_ours_and_paths_and_words_are_not(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("from-a-file-4711\n")
    found = own_secrets(
        tmp_path / "keys",
        {
            "GITCOORD_KEY": "ab" * 32,
            "GITCOORD_HMAC_KEY": "we all know it",
            "GITCOORD_TOKEN_FILE": str(file),
            "OPENAI_API_KEY": "odd-and-9-long-enough",
            "SSH_PRIVATE_KEY": "/home/me/.ssh/id_ed25519",
            "MODE_TOKEN": "disabled",
            "PATH": "/bin",
            "GITHUB_TOKEN": "",
        },
    )
    ours = {bytes.fromhex("ab" * 32), b"we all know it", b"from-a-file-4711", b"odd-and-9-long-enough"}
    assert ours <= set(found.raw.values())
    assert not any(b"/" in one or one == b"disabled" for one in found.raw.values())
    assert "ab" * 32 not in json.dumps(list(found.raw))
    assert own_secrets(tmp_path / "nowhere", {}).raw == {}
