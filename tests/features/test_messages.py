"""Messages: they arrive in order, whenever their readers are back; who sent them sees how far they got."""

from __future__ import annotations

from typing import Any

import pytest

from gitcoord.core import times
from gitcoord.core.commands import Context, NewEvent
from gitcoord.core.errors import Refused
from gitcoord.core.format.event import parse
from gitcoord.core.liveness import ALIVE, AgentLiveness
from gitcoord.features import conversation, messages
from gitcoord.features.messages import COMMANDS
from gitcoord.features.pages.snapshot import Interaction
from tests.core.lines import NOW, Story


class Post:
    """alice, who leads, bob and carol, who write python, and dave; what they type, and what it shows."""

    def __init__(self, *more: str) -> None:
        self.story = Story().founded().joined("bob", "carol", "dave", *more)
        self.story.elect("alice", 1)
        self.now = NOW
        self.seen: dict[str, AgentLiveness] = {}
        for agent in ("bob", "carol"):
            self.story.say(agent, "agent_registered", data={"capabilities": ["python"]})

    @property
    def position(self) -> int:
        return self.story.fleet.position

    def ctx(self, actor: str) -> Context:
        return Context(self.story.fleet, self.now, actor, f"node-{actor}", liveness=self.seen, read=self.story.read)

    def decide(self, actor: str, name: str, **given: Any) -> list[NewEvent]:
        what = COMMANDS[name]
        return list(what.decide(self.ctx(actor), what.arguments(**given)))  # type: ignore[union-attr]

    def do(self, actor: str, name: str, **given: Any) -> str:
        """Run a command; the id of its last event."""
        uid = ""
        for one in self.decide(actor, name, **given):
            uid = self.say(actor, one.type, one.content, data=one.data, re=one.re, to=one.to)
        return uid

    def say(self, actor: str, type_: str, content: str = "", **fields: Any) -> str:
        return self.story.say(actor, type_, content, timestamp=self.now, **fields).event.uid

    def ask(self, actor: str, name: str, **given: Any) -> Any:
        what = COMMANDS[name]
        return what.ask(self.ctx(actor), what.arguments(**given))  # type: ignore[union-attr]

    def inbox(self, actor: str, **given: Any) -> list[str]:
        return [f"{row['from']}: {row['text']}" for row in self.ask(actor, "inbox", **given)]

    def receipts(self, uid: str) -> dict[str, str]:
        receipts: dict[str, str] = self.ask("alice", "message show", message=uid)["receipts"]
        return receipts

    def lead(self) -> list[str]:
        """alice does her duties; their types."""
        duties = list(messages.duty(self.story.fleet.states["messages"], self.ctx("alice")))
        for one in duties:
            self.say("alice", one.type, one.content, data={"duty": one.key}, term=1, to=one.to, re=one.re)
        return [one.type for one in duties]


def test_a_message_is_for_those_it_names() -> None:
    post = Post()
    post.do("alice", "message send", text="the parser is yours", to=["BOB,carol"])
    assert post.inbox("bob") == post.inbox("carol") == ["alice: the parser is yours"]
    assert post.inbox("dave") == post.inbox("alice") == []


def test_one_for_a_capability_goes_to_those_who_have_it_when_it_is_sent() -> None:
    post = Post()
    [one] = post.decide("bob", "message send", text="who reviews?", capability="Python")
    assert (one.to, one.data["capability"]) == (("carol",), "Python")
    with pytest.raises(Refused, match="no other agent has the capability 'cobol'"):
        post.decide("bob", "message send", text="who reviews?", capability="cobol")


def test_a_broadcast_to_two_hundred_is_one_event_and_one_to_two_hundred_named_is_two() -> None:
    crowd = [f"agent{number}" for number in range(200)]
    post = Post(*crowd)
    [one] = post.decide("alice", "message broadcast", text="release at noon")
    assert one.to == ()
    uid = post.do("alice", "message broadcast", text="release at noon")
    assert post.inbox("agent7") == post.inbox("bob") == ["alice: release at noon"]
    assert post.inbox("alice") == []
    assert len(post.receipts(uid)) == 203
    assert [len(part.to) for part in post.decide("alice", "message send", text="x", to=crowd)] == [100, 100]


def test_who_was_away_gets_all_in_order_and_who_joins_later_nothing_of_before() -> None:
    post = Post()
    for number in range(3):
        post.do("alice", "message send", text=f"word {number}", to=["bob"])
        post.do("carol", "message broadcast", text=f"news {number}")
    assert post.inbox("bob") == [f"{who} {number}" for number in range(3) for who in ("alice: word", "carol: news")]
    post.story.joined("erin")
    assert post.inbox("erin") == []


def test_what_was_read_is_shown_no_more_with_one_event_for_all() -> None:
    post = Post()
    first = post.do("alice", "message send", text="one", to=["bob"])
    second = post.do("alice", "message broadcast", text="two")
    [mark] = post.decide("bob", "message read")
    assert mark.data == {"upto": post.position}
    post.do("bob", "message read", messages=[first[:6] if first[:6] != second[:6] else first])
    assert post.inbox("bob") == ["alice: two"]
    post.do("alice", "message send", text="three", to=["bob"])
    post.do("bob", "message read")
    assert post.inbox("bob") == [] and post.decide("bob", "message read") == []
    assert post.inbox("carol") == ["alice: two"]
    assert post.inbox("bob", all=True) == ["alice: one", "alice: two", "alice: three"]


def test_a_mark_cannot_lie_ahead_of_what_was_said() -> None:
    post = Post()
    post.do("alice", "message send", text="one", to=["bob"])
    post.say("bob", "messages_read", data={"upto": 10**6})
    post.do("alice", "message send", text="two", to=["bob"])
    assert post.inbox("bob") == ["alice: two"]


def test_receipts_go_from_sent_over_delivered_and_read_to_acknowledged() -> None:
    post = Post()
    uid = post.do("alice", "message send", text="the parser is yours", to=["bob", "carol"])
    assert post.receipts(uid) == {"bob": "sent", "carol": "sent"}
    post.seen["bob"] = AgentLiveness("bob", ALIVE, "n", "s", 0.0, 1.0, post.position - 1)
    assert post.receipts(uid)["bob"] == "sent"
    # his heartbeat says that he has folded it
    post.seen["bob"] = AgentLiveness("bob", ALIVE, "n", "s", 0.0, 1.0, post.position)
    assert post.receipts(uid) == {"bob": "delivered", "carol": "sent"}
    post.do("bob", "message read")
    assert post.receipts(uid)["bob"] == "read"
    post.do("bob", "message ack", messages=[uid])
    assert post.receipts(uid) == {"bob": "acknowledged", "carol": "sent"}
    assert post.decide("bob", "message ack", messages=[uid]) == []
    with pytest.raises(Refused, match="is not for dave"):
        post.decide("dave", "message ack", messages=[uid])
    with pytest.raises(Refused, match=f"message ack {uid[:8]}` acknowledges all that wait"):
        post.decide("carol", "message ack")
    with pytest.raises(Refused, match="no message waits for your acknowledgement"):
        post.decide("bob", "message ack")
    late = post.say("dave", "messages_acknowledged", data={"ids": [uid]})
    assert post.story.fleet.refusals[late] == "none of them is for dave"


def test_a_reply_belongs_to_the_conversation_and_marks_what_it_answers_as_read() -> None:
    post = Post()
    uid = post.do("alice", "message send", text="who takes it?", to=["bob"])
    post.do("bob", "message reply", message=uid, text="I do", data='{"path": "src/a.py"}')
    [row] = post.ask("alice", "inbox")
    [first] = post.ask("alice", "message list", to="bob")
    assert (row["text"], row["re"], row["data"]) == ("I do", uid, {"path": "src/a.py"})
    assert row["interaction"] == first["interaction"] is not None
    assert post.inbox("bob") == [] and post.receipts(uid) == {"bob": "read"}
    more = post.do("alice", "message reply", message=uid, text="by noon")  # to one's own: to the same once more
    assert post.ask("alice", "message show", message=more)["to"] == ["bob"]


def test_plain_words_of_the_log_are_in_the_inbox_too() -> None:
    post = Post()
    question = post.say("alice", "question", "who takes the parser?", to=("bob",))
    post.say("alice", "note", "to nobody in particular")
    open_ = post.say("dave", "question", "does anybody know?")
    assert post.inbox("bob") == ["alice: who takes the parser?"]
    post.say("bob", "answer", "I do", re=question)
    post.say("bob", "answer", "I do not", re=open_)
    assert post.inbox("alice") == ["bob: I do"] and post.inbox("dave") == ["bob: I do not"]
    assert post.inbox("bob") == []


def test_neither_beats_nor_records_nor_what_was_imported_are_post() -> None:
    post = Post()
    post.say("alice", "heartbeat", to=("bob",))
    post.say("alice", "error", "broken", to=("bob",))
    post.say("alice", "message", "long ago", to=("bob",), data={"source": {"actor": "x"}})
    post.say("alice", "agent_status_changed", data={"status": "busy"}, to=("bob",))
    assert post.inbox("bob") == []


def test_after_its_time_a_message_is_shown_no_more() -> None:
    post = Post()
    post.do("alice", "message send", text="release at noon", to=["bob"], expires="1h")
    post.now = times.later(NOW, 3599)
    assert post.inbox("bob") == ["alice: release at noon"]
    post.now = times.later(NOW, 3601)
    assert post.inbox("bob") == [] and post.inbox("bob", all=True) == ["alice: release at noon"]


def test_the_most_urgent_can_come_first_and_the_rest_be_left_out() -> None:
    post = Post()
    for priority in ("low", "CRITICAL", "High", "critical"):
        post.do("alice", "message send", text=priority, to=["bob"], priority=priority)
    assert post.inbox("bob", order="priority") == ["alice: CRITICAL", "alice: critical", "alice: High", "alice: low"]
    assert post.inbox("bob", priority="high") == ["alice: CRITICAL", "alice: High", "alice: critical"]


def test_a_request_that_nobody_answers_in_time_is_told_to_who_asked_once() -> None:
    post = Post()
    uid = post.do("bob", "message request", text="which schema?", to=["carol"], within="10m")
    assert post.ask("bob", "message list", waiting=True)[0]["request"] == "waiting"
    post.now = times.later(NOW, 599)
    assert post.lead() == []
    post.now = times.later(NOW, 601)
    assert post.lead() == ["request_lapsed"] and post.lead() == []
    assert post.inbox("bob") == ["alice: carol did not answer in time"]
    assert post.ask("bob", "message show", message=uid)["request"] == "lapsed"
    post.do("carol", "message reply", message=uid, text="v2")  # late, and still an answer
    assert post.ask("bob", "message show", message=uid)["request"] == "answered"


def test_one_answer_in_time_is_enough() -> None:
    post = Post()
    uid = post.do("alice", "message request", text="which schema?", to=["bob", "carol"])
    post.do("dave", "message reply", message=uid, text="me neither")  # he was not asked
    assert post.ask("alice", "message show", message=uid)["request"] == "waiting"
    post.do("carol", "message reply", message=uid, text="v2", data={"version": 2})
    post.now = times.later(NOW, 10_000)
    assert post.lead() == []
    shown = post.ask("alice", "message show", message=uid)
    assert shown["request"] == "answered" and len(shown["answers"]) == 2


def test_who_does_not_lead_cannot_let_a_request_lapse() -> None:
    post = Post()
    uid = post.do("bob", "message request", text="which schema?", to=["carol"])
    wrong = post.say("carol", "request_lapsed", re=uid, to=("bob",))
    assert wrong not in post.story.fleet.positions and post.inbox("bob") == []


def test_bad_recipients_are_refused() -> None:
    post = Post()
    for given, words in (({"to": ["nobody"]}, "no agent 'nobody'"), ({}, "no recipient")):
        with pytest.raises(Refused, match=words):
            post.decide("alice", "message send", text="x", **given)
    post.say("dave", "agent_left")
    with pytest.raises(Refused, match="dave has left"):
        post.decide("alice", "message send", text="x", to=["dave"])
    with pytest.raises(Refused, match="name your agent with --as"):
        post.ask("", "inbox")


def test_what_is_kept_is_bounded_and_the_oldest_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gitcoord.features.messages.state.KEPT_MAX", 5)
    post = Post()
    for number in range(8):
        post.do("alice", "message request", text=str(number), to=["bob"])
    assert post.inbox("bob") == [f"alice: {number}" for number in range(3, 8)]
    assert len(post.story.fleet.states["messages"].waiting) == 5


def test_the_page_for_people_shows_messages_and_no_receipts() -> None:
    post = Post()
    uid = post.do("alice", "message send", text="the parser is yours", to=["bob"])
    post.do("bob", "message read")
    post.do("bob", "message ack", messages=[uid])
    post.do("bob", "message reply", message=uid, text="thanks")
    state = post.story.fleet.states["conversation"]
    number = conversation.number_of(state, post.story.fleet.positions[uid])
    assert number is not None
    shown: Interaction = conversation.interaction(
        state, number, lambda position: conversation.entry(position, parse(post.story.read(position)))
    )
    assert [entry.content for entry in shown.entries] == ["the parser is yours", "thanks"]
