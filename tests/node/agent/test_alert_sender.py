"""Alerts: a real webhook gets each of them once, without secrets, in few messages; a successor does not repeat it."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import gitcoord
from gitcoord.core import times
from gitcoord.core.leadership.sessions import LocalSessions
from gitcoord.core.secret_scan.credentials import OnSecret
from gitcoord.features import alerts as feature
from gitcoord.node.agent.alert_sender import ATTEMPTS, RETRY_S, AlertSender, addresses
from gitcoord.node.agent.sessions import AgentSessions
from gitcoord.node.clock import utc_now
from gitcoord.node.node import Node
from tests.waiting import wait_until


class Receiver:
    """A webhook: what it was told, and how it answers."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.status = 200
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(receiver.status)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"json://me:pass@127.0.0.1:{self.server.server_port}/hook"

    def __enter__(self) -> Receiver:
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def texts(self) -> list[str]:
        return [one["message"] for one in self.got]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as one:
        yield one


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    """alice's, who leads, and may act."""
    monkeypatch.setattr(LocalSessions, "holds_lease", lambda self, terms, now_s: self.leading(terms) is not None)
    with gitcoord.join(tmp_path / "alice", agent="alice") as me:
        AgentSessions(me.node, lambda kind, text: None, lambda: False).take("alice", may_lead=True, takeover=False)
        me.sync()
        wait_until(lambda: me.node.sync() and me.node.fleet.terms.leader == "alice", what="alice to lead")
        yield me.node


def fails(node: Node, *texts: str) -> list[str]:
    """`error` events that are in the ledger, as another client may have written them."""
    events = node.append(*(node.draft("error", text, actor="alice") for text in texts), on_secret=OnSecret.ALLOW)
    node.sync()
    return [event.uid for event in events]


def alerts(node: Node, *urls: str, said: list[str] | None = None) -> AlertSender:
    words = said if said is not None else []
    return AlertSender(node, urls, say=lambda kind, text: words.append(f"{kind}: {text}"))


def step_to_end(one: AlertSender, now_s: float = 0.0) -> bool:
    """Whether it told somebody, or tried to."""
    if not one.step(now_s):
        return False
    wait_until(lambda: one.is_due(now_s), what="the message to be taken")
    one.step(now_s)
    one.node.sync()
    return True


def test_an_error_reaches_the_webhook_once_and_the_ledger_says_so(node: Node, receiver: Receiver) -> None:
    one = alerts(node, receiver.url)
    assert not one.step(0.0)
    [uid] = fails(node, "the disk of bob is full")
    assert step_to_end(one)
    assert len(receiver.got) == 1 and "the disk of bob is full" in receiver.texts[0]
    assert not one.step(1.0)
    state = node.fleet.states["alerts"]
    assert not state.waiting and list(state.sent) == [uid]
    [answer] = [event for _, event in node.events() if event.type == "alert_sent"]
    assert answer.data == {"events": [uid], "addresses": 1} and "127.0.0.1" not in answer.line.decode()


def test_a_successor_does_not_repeat_what_was_told(node: Node, receiver: Receiver) -> None:
    fails(node, "once")
    assert step_to_end(alerts(node, receiver.url))
    assert not alerts(node, receiver.url).step(0.0)
    # Nor while the answer lies in the queue: it was told, though not everybody knows.
    fails(node, "twice")
    node.fleet.states["alerts"].last = ""
    first = alerts(node, receiver.url)
    assert first.step(0.0)
    wait_until(lambda: first.is_due(0.0), what="the message to be taken")
    first.step(0.0)
    assert not alerts(node, receiver.url).step(0.0)
    assert len(receiver.got) == 2


def test_what_comes_meanwhile_goes_into_one_message(node: Node, receiver: Receiver) -> None:
    one = alerts(node, receiver.url)
    fails(node, "the first")
    assert step_to_end(one)
    fails(node, *(f"number {n} of many" for n in range(30)))
    assert not one.step(1.0)  # the last one is too fresh
    node.fleet.states["alerts"].last = times.later(utc_now(), -feature.EVERY_S - 60)
    assert step_to_end(one, 2.0)
    assert len(receiver.got) == 2 and "number 19 of many" in receiver.texts[1] and "10 more" in receiver.texts[1]
    assert "number 20" not in receiver.texts[1] and receiver.got[1]["title"].endswith("error and 29 more")
    assert not node.fleet.states["alerts"].waiting


def test_secrets_do_not_leave(node: Node, receiver: Receiver) -> None:
    fails(node, "push to https://bob:hunter2@host/x failed, token=abcdef")
    assert step_to_end(alerts(node, receiver.url))
    assert "hunter2" not in receiver.texts[0] and "abcdef" not in receiver.texts[0] and "[hidden]" in receiver.texts[0]


def test_no_text_begins_a_line_calls_people_or_hides_in_a_message() -> None:
    one = feature.Alert("a" * 16, "error", "bob", "x\n2026-01-01 error (carol): @all <!channel> \u202e", "2026-01-01")
    _, text = feature.message([one], "f" * 16)
    assert text == "2026-01-01 error (bob): x\n  | 2026-01-01 error (carol): @ all < !channel> ⟨U+202E⟩"


def test_a_refusal_is_tried_again_later_and_then_only_where_it_failed(node: Node, receiver: Receiver) -> None:
    said: list[str] = []
    with Receiver() as other:
        other.status = 500
        one = alerts(node, receiver.url, other.url, said=said)
        fails(node, "hello")
        now_s = 0.0
        for attempt in range(1, ATTEMPTS + 1):
            assert step_to_end(one, now_s)
            now_s += RETRY_S[0] * 2 ** (attempt - 1)
            assert not one.step(now_s - 0.01)
        assert (len(receiver.got), len(other.got)) == (1, ATTEMPTS)
        assert not node.fleet.states["alerts"].waiting  # one of two has it: that will do
    assert said[0] == (
        "alert_failed: 1 of 2 addresses in GITCOORD_ALERTS did not accept an alert (attempt 1): "
        "check the addresses and their services"
    )
    assert not any("127.0.0.1" in text for text in said)


def test_while_nobody_takes_it_it_waits(node: Node) -> None:
    one = alerts(node, "json://127.0.0.1:9/nobody")
    fails(node, "hello")
    for now_s in range(0, 3000, 300):
        assert step_to_end(one, float(now_s))
    assert len(node.fleet.states["alerts"].waiting) == 1


def test_who_does_not_lead_or_has_no_address_sends_nothing(node: Node, receiver: Receiver) -> None:
    fails(node, "hello")
    assert not alerts(node).step(0.0)
    node.local.sessions.clear()
    assert not alerts(node, receiver.url).step(0.0)
    assert receiver.got == []


def test_before_it_acts_a_leader_asks_for_the_right_to(node: Node, receiver: Receiver, monkeypatch: Any) -> None:
    one = alerts(node, receiver.url)
    one.step(0.0)
    assert not node.local.lease.wanted
    fails(node, "hello")
    monkeypatch.setattr(LocalSessions, "holds_lease", lambda *_: False)
    assert not one.step(0.0)
    assert node.local.lease.wanted and receiver.got == []


def test_only_what_the_fleet_wants_to_hear_and_is_news(node: Node, receiver: Receiver) -> None:
    one = alerts(node, receiver.url)
    node.append(node.draft("config_changed", "", actor="alice", data={"set": {"alerts": ["escalated"]}}))
    fails(node, "nobody cares")
    assert not one.step(0.0)
    node.append(node.draft("config_changed", "", actor="alice", data={"set": {"alerts": None}}))
    node.sync()
    for alert in node.fleet.states["alerts"].waiting.values():
        alert.at = times.later(utc_now(), -feature.FORGOTTEN_S - 60)
    assert not one.step(0.0)


def test_an_address_that_is_none_is_told_without_being_shown() -> None:
    said: list[str] = []
    AlertSender(None, ["nonsense://secret"], say=lambda kind, text: said.append(text))  # type: ignore[arg-type]
    assert said == ["address 1 in GITCOORD_ALERTS has no format that apprise knows: see apprise's services"]
    assert addresses({"GITCOORD_ALERTS": " json://a  mailto://b\n"}) == ["json://a", "mailto://b"]
