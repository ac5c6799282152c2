"""A fleet at work in a test: commands are decided and judged, and the leader does its duties, all in one fold."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gitcoord.core import rights, times
from gitcoord.core.commands import Command, Context, Query
from gitcoord.core.errors import Refused
from gitcoord.core.feature import Duty
from gitcoord.core.liveness import ALIVE, AgentLiveness
from gitcoord.features import FEATURES
from gitcoord.features.tasks.state import State, Task
from tests.core.lines import NOW, Story

COMMANDS = {name: what for module in FEATURES.values() for name, what in module.COMMANDS.items()}


class Work:
    """alice leads; time stands still until `wait`. Everybody is seen alive, but those in `away`."""

    def __init__(self, **agents: list[str]) -> None:
        self.story = Story().founded("alice")
        self.story.elect("alice", 1)
        self.now = NOW
        self.away: dict[str, str] = {}
        for agent, capabilities in agents.items():
            self.story.joined(agent)
            self.do(agent, "agent register", capabilities=capabilities, accept_assignments=True)

    @property
    def state(self) -> State:
        state: State = self.story.fleet.states["tasks"]
        return state

    def task(self, uid: str) -> Task:
        return self.state.tasks[uid]

    def wait(self, span_s: float) -> None:
        self.now = times.later(self.now, span_s)

    def ctx(self, actor: str) -> Context:
        seen = {
            key: AgentLiveness(one.id, self.away.get(one.id, ALIVE), f"node-{key}", f"s-{key}", 0.0, 1.0)
            for key, one in self.story.fleet.members.by_id.items()
        }
        return Context(self.story.fleet, self.now, actor, f"node-{actor.lower()}", liveness=seen)

    def say(self, actor: str, type_: str, *, re: str | None = None, term: int | None = None, **data: Any) -> str | None:
        """Why the event changed nothing; None when it did."""
        sequenced = self.story.say(actor, type_, data=data, re=re, term=term, timestamp=self.now)
        return sequenced.void or self.story.fleet.refusals.get(sequenced.event.uid)

    def do(self, actor: str, name: str, **given: Any) -> str:
        """Run a command of an actor's; the id of its first event ("" for none). Fails where it has no effect."""
        what = COMMANDS[name]
        assert isinstance(what, Command)
        uids = []
        proposals = what.decide(self.ctx(actor), what.arguments.model_validate(given))
        for one in proposals:
            reason = rights.why_not(self.story.fleet, one.type, actor=actor, re=one.re, data=one.data)
            if reason is not None:  # as `acting.propose` says it
                raise Refused(reason)
        for one in proposals:
            sequenced = self.story.say(
                actor, one.type, one.content, data=one.data, re=one.re, to=one.to, timestamp=self.now
            )
            assert sequenced.void is None, sequenced.void
            assert sequenced.event.uid not in self.story.fleet.refusals, self.story.fleet.refusals
            uids.append(sequenced.event.uid)
        return uids[0] if uids else ""

    def ask(self, actor: str, name: str, **given: Any) -> Any:
        what = COMMANDS[name]
        assert isinstance(what, Query)
        return what.ask(self.ctx(actor), what.arguments.model_validate(given))

    def create(self, title: str = "work", **given: Any) -> str:
        return self.do("alice", "task create", title=title, **{"again": True, **given})

    def duties(self) -> list[Duty]:
        """What the leader ought to write of tasks."""
        return list(FEATURES["tasks"].duty(self.state, self.ctx("alice")))

    def lead(self, duties: Iterable[Duty] | None = None) -> list[str]:
        """The leader does its duties; what it wrote, in words."""
        written = []
        for duty in self.duties() if duties is None else duties:
            if duty.key not in self.story.fleet.done:
                self.story.say(
                    "alice",
                    duty.type,
                    duty.content,
                    data={**duty.data, "duty": duty.key},
                    re=duty.re,
                    to=duty.to,
                    term=1,
                    timestamp=self.now,
                )
                written.append(duty.content)
        return written
