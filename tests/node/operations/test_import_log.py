"""A log that other tools wrote is taken over whole, once, and under the names of those who spoke in it."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gitcoord.features import conversation
from gitcoord.node.membership.init import InitRequest, init
from gitcoord.node.node import Node
from gitcoord.node.operations.import_log import LINE_BYTES_MAX, ImportResult, import_log, nonce_of

TOP = Path(__file__).resolve().parents[3]
TIME = "2026-01-31T08:00:00Z"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with init(tmp_path / "clone", InitRequest(agent="alice")).node as joined:
        yield joined


def five(
    interaction: Any = 1,
    actor: Any = "bob",
    type_: Any = "question",
    content: Any = "hello",
    time: Any = TIME,
    **more: Any,
) -> bytes:
    fields = {"interaction": interaction, "actor": actor, "type": type_, "content": content, "timestamp": time}
    return json.dumps(fields | more).encode() + b"\n"


def take(node: Node, data: bytes) -> ImportResult:
    return import_log(node, io.BytesIO(data), name="old.log", actor="alice")


def errors(node: Node) -> list[dict[str, Any]]:
    path = node.home.path / "events.error.log"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def shown(node: Node) -> list[tuple[int | None, str, str, str]]:
    """(interaction, author, type, content) of the ledger's conversations."""
    state = node.fleet.states["conversation"]
    return [
        (conversation.number_of(state, position), event.shown_actor, event.type, event.content)
        for position, event in node.events()
        if "source" in event.data
    ]


def test_the_importer_signs_and_the_author_is_shown(node: Node) -> None:
    take(node, five(7, "Agent B", content="a\nb"))
    [event] = node.disk.pending()
    assert (event.actor, event.shown_actor, event.shown_timestamp, event.content) == ("alice", "Agent B", TIME, "a\nb")
    assert event.data["source"] == {"actor": "Agent B", "timestamp": TIME, "interaction": 7, "line": 1}


def test_interactions_stay_together_under_numbers_of_their_own(node: Node) -> None:
    node.append(node.draft("question", "mine", actor="alice"))
    take(
        node,
        five(9)
        + five(1, content="x")
        + five(9, type_="answer")
        + five(None)
        + five(1, type_="error")
        + five(None, content="two"),
    )
    node.sync()
    assert [one[0] for one in shown(node)] == [2, 3, 2, 4, 3, 5]


def test_an_interaction_that_begins_with_a_heartbeat_stays_together(node: Node) -> None:
    take(node, five(4, type_="heartbeat") + five(4) + five(4, type_="error"))
    node.sync()
    assert [one[0] for one in shown(node)] == [1, 1, 1]


def test_a_file_imported_twice_adds_nothing(node: Node) -> None:
    data = five(1) + five(1) + five(2, content="x")
    assert take(node, data).imported == 3
    assert (take(node, data).imported, take(node, data).known) == (0, 3)
    node.sync()
    assert (take(node, data).imported, take(node, data).known) == (0, 3)


def test_a_file_that_has_grown_adds_what_is_new_to_its_interaction(node: Node) -> None:
    take(node, five(1))
    node.sync()
    assert take(node, five(1) + five(1, content="more")).imported == 1
    node.sync()
    assert [one[0] for one in shown(node)] == [1, 1]


def test_two_files_with_the_same_number_are_two_interactions(node: Node) -> None:
    take(node, five(1, content="one"))
    take(node, five(1, content="other"))
    node.sync()
    assert [one[0] for one in shown(node)] == [1, 2]


def test_two_clones_that_import_one_file_have_it_once(node: Node, tmp_path: Path) -> None:
    remote = str(node.config.remote)
    with init(tmp_path / "other", InitRequest(agent="bob", remote=remote)).node as other:
        shutil.copy(node.home.keys.path("alice"), other.home.keys.path("alice"))
        take(node, five(1) + five(2))
        import_log(other, io.BytesIO(five(1) + five(2)), name="old.log", actor="alice")
        node.sync()
        other.sync()
        node.sync()
    assert node.fleet.states["health"].void_total == 2
    assert len(node.fleet.states["conversation"].positions) == 2


def test_what_another_agent_imported_is_known_and_what_it_only_pretends_is_not(node: Node, tmp_path: Path) -> None:
    with init(tmp_path / "other", InitRequest(agent="bob", remote=str(node.config.remote))).node as other:
        first, second = (nonce_of(node.fleet.id or "", json.loads(line), 1) for line in (five(1), five(2)))
        assert first != second
        other.append(
            other.draft(
                "note",
                "not what the log says",
                actor="bob",
                uid=first,
                data={"source": {"actor": "a", "timestamp": "x", "interaction": 2}},
            )
        )
        import_log(other, io.BytesIO(five(2)), name="old.log", actor="bob")
        other.sync()
    node.sync()
    done = take(node, five(1) + five(2))
    assert (done.imported, done.known) == (1, 1)


@pytest.mark.parametrize("ending", [b"\r\n", b"\n", b"\n\n", b"\n   \n"])
def test_line_ends_of_every_kind_and_a_bom_are_no_content(node: Node, ending: bytes) -> None:
    data = b"\xef\xbb\xbf" + five(1).rstrip() + ending + five(1, content="b").rstrip()
    assert (take(node, data).imported, errors(node)) == (2, [])
    assert [event.content for event in node.disk.pending()] == ["hello", "b"]


BAD = {
    "not JSON": b"nonsense\n",
    "torn": five()[:-20],
    "not UTF-8": five().replace(b"hello", b"\xff"),
    "no object": b"[1]\n",
    "field missing": b'{"interaction":1,"actor":"a","type":"question","content":"x"}\n',
    "field twice": five().replace(b'"actor"', b'"type": "note", "actor"'),
    "interaction text": five("1"),
    "interaction true": five(True),
    "interaction negative": five(-1),
    "interaction 1.5": five(1.5),
    "type": five(type_="No Type"),
    "actor empty": five(actor=""),
    "actor long": five(actor="x" * 201),
    "actor with an escape": five(actor="a\x1b[2J"),
    "time in words": five(time="yesterday"),
    "month 13": five(time="2026-13-01T00:00:00Z"),
    "time without zone": five(time="2026-01-01T00:00:00"),
    "content number": five(content=3),
    "content with NUL": five(content="a\0b"),
    "lone surrogate": five(content="\ud800"),
    "too large for an event": five(content="x" * 65_000),
    "line oversized": five(content="x" * (LINE_BYTES_MAX + 10)),
    "nested": five(x=None).replace(b"null", b"[" * 5000 + b"]" * 5000),
    "credential": five(content="use ghp_" + "a1B2" * 9),
}


@pytest.fixture(scope="module")
def lasting_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with init(tmp_path_factory.mktemp("lasting") / "clone", InitRequest(agent="alice")).node as joined:
        yield joined


@pytest.mark.parametrize("name", BAD)
def test_a_bad_line_is_set_aside_with_its_number_and_the_others_are_taken(lasting_node: Node, name: str) -> None:
    before = len(errors(lasting_node))
    good = [five(content=f"{name} {number}") for number in (1, 2)]
    torn = not BAD[name].endswith(b"\n")
    data = b"".join([*good, BAD[name]]) if torn else good[0] + BAD[name] + good[1]
    done = take(lasting_node, data)
    assert (done.imported, done.bad) == (2, 1)
    [error] = errors(lasting_node)[before:]
    assert (error["file"], error["number"]) == ("old.log", 3 if torn else 2)
    assert done.reasons == [f"line {error['number']}: {error['reason']}"]


def test_a_credential_is_copied_nowhere(node: Node) -> None:
    take(node, BAD["credential"])
    assert "ghp_" not in (node.home.path / "events.error.log").read_text()


def test_words_of_another_log_do_not_act_in_this_one(node: Node) -> None:
    types = ["leader_election", "agent_left", "fleet_founded", "config_changed", "key_changed"]
    done = take(node, b"".join(five(1, "alice", type_) for type_ in types))
    node.sync()
    assert done.imported == len(types)
    assert [one[2] for one in shown(node)] == [f"imported_{type_}" for type_ in types]
    assert node.fleet.states["health"].void_total == 0
    assert not node.fleet.members.by_id["alice"].left


def test_the_recorded_sample_is_imported_whole(node: Node) -> None:
    data = (TOP / "events.offline.log").read_bytes()
    recorded = [json.loads(line) for line in data.splitlines()]
    assert take(node, data).imported == len(recorded)
    node.sync()
    assert [one[1:] for one in shown(node)] == [(r["actor"], r["type"], r["content"]) for r in recorded]
    assert (TOP / "events.offline.log").read_bytes() == data
