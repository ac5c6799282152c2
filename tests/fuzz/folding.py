"""Random events of every type through the fold, then all that is made of it: does anything fail?

Each world is a function of its seed: events from the schemas of their models, with values from the edges of what a
field may hold and from beyond; then the leader's duties, all queries, the pages, and the state's way to disk and back.
"""

from __future__ import annotations

import json
import random
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gitcoord.core.commands import Context, Query
from gitcoord.core.duties import draft, wanted
from gitcoord.core.errors import GitcoordError
from gitcoord.core.fields import BUG
from gitcoord.core.fleet_state import FleetState
from gitcoord.core.format.event import Head, parse
from gitcoord.core.liveness import ALIVE, GONE, AgentLiveness
from gitcoord.features import FEATURES, conversation
from gitcoord.node import ledger_pages
from gitcoord.simulation.hostile.grammar import MODELS, MOMENTS, TEXTS, data_of
from tests.core.lines import Story, signer_of

AGENTS = ("alice", "bob", "mal")
LEFT_OUT = {
    "fleet_founded",
    "leader_election",
    "leader_renewed",
    "leader_resigned",
    "agent_left",
    "key_changed",
    "admission_changed",
    "agent_muted",
}  # after which nothing else has effect
TYPES = sorted(MODELS.keys() - LEFT_OUT) + ["note", "error"]
COMMON = sorted(one for one in TYPES if one.startswith(("task_", "workflow_", "directive_", "agent_", "paths_")))

LATER = ("2026-01-01T00:10:00.000Z", "2026-01-03T00:00:00.000Z", "2030-01-01T00:00:00.000Z")


class Trouble(AssertionError):
    """Something failed that must not; says where."""


def world(seed: int) -> int:
    """Play one world; the number of its events. Raises Trouble."""
    rng, story = random.Random(seed), Story(FleetState(FEATURES))
    story.founded("alice").joined("bob", "mal")
    story.elect("alice", 1)
    uids: list[str] = []
    for _ in range(rng.choice([20, 60, 120])):
        _say(rng, story, uids)
        if rng.random() < 0.1:
            _lead(rng, story, rng.choice(LATER[:2]))
    for now in LATER:
        _lead(rng, story, now)
        _ask(story, now)
    _render(story)
    _load(story)
    return story.fleet.position


def _say(rng: random.Random, story: Story, uids: list[str]) -> None:
    type_ = rng.choice(COMMON if rng.random() < 0.5 else TYPES)
    data = data_of(rng, type_, AGENTS, uids[-12:])
    leads = story.fleet.terms.leader
    actor = rng.choice(AGENTS)
    fields: dict[str, Any] = {
        "content": rng.choice(TEXTS),
        "timestamp": rng.choice(MOMENTS),
        "term": story.fleet.terms.term if actor == leads and rng.random() < 0.5 else None,
        "re": rng.choice(uids) if uids and rng.random() < 0.6 else None,
        "to": tuple(rng.sample(AGENTS, rng.choice([0, 0, 1, 2]))),
        "interaction": rng.choice([None, None, None, 1, 10**9]),
    }
    node = f"node-{actor}"
    try:
        event = story.sealed(actor, type_, node=node, after=story.heads.get(node, Head()), **fields)
    except GitcoordError:
        return
    event = event._replace(data=data)  # also what no parser lets through, such as infinity
    story.heads[node] = event.head
    try:
        void = story.fleet.apply(event).void
    except Exception as wrong:
        raise Trouble(f"the fold of {type_}: {_place(wrong)}: {json.dumps(data, default=str)[:300]}") from wrong
    reason = void or story.fleet.refusals.get(event.uid, "")
    if BUG in reason:
        raise Trouble(f"the fold of {type_}: {reason}: {json.dumps(data, default=str)[:300]}")
    story.lines.append(event.line)
    uids.append(event.uid)


def _lead(rng: random.Random, story: Story, now: str) -> None:
    """Whoever leads does its duties: each is written, takes effect, and is not wanted again at once."""
    fleet = story.fleet
    leader = fleet.terms.leader
    if leader is None:
        return
    seen = {one: AgentLiveness(one, rng.choice([ALIVE, GONE]), f"node-{one}", "s", 99.0, 1.0) for one in AGENTS}
    ctx = Context(fleet, now, leader, f"node-{leader}", liveness=seen)
    for duty in wanted(fleet, ctx):
        if duty.key.startswith("duty-failed:"):
            raise Trouble(f"a duty of {duty.key.split(':')[1]}: {duty.content}")
        made = draft(fleet, duty, signer_of(leader), actor=leader, node=f"node-{leader}", timestamp=now, uid="z" * 16)
        if made is None or (made.type == "error" and made.type != duty.type):
            raise Trouble(f"the duty {duty.key}: {made.content if made is not None else 'not even its error'}")
        sequenced = story.say(
            leader, made.type, made.content, data=made.data, to=made.to, re=made.re, term=made.term, timestamp=now
        )
        if sequenced.void is not None and "done before" not in sequenced.void:
            raise Trouble(f"the duty {duty.key} is void: {sequenced.void}")


def _ask(story: Story, now: str) -> None:
    ctx = Context(story.fleet, now, "alice", "node-alice", read=story.read)
    for name, what in _queries():
        for given in ({}, {"all": True}):
            try:
                json.dumps(what.ask(ctx, what.arguments.model_validate(given)))
            except (GitcoordError, ValidationError):
                continue
            except Exception as wrong:
                raise Trouble(f"the query {name}: {_place(wrong)}") from wrong


def _queries() -> Iterator[tuple[str, Query]]:
    for module in FEATURES.values():
        for name, what in module.COMMANDS.items():
            if isinstance(what, Query):
                yield name, what


def _render(story: Story) -> None:
    try:
        pages = ledger_pages.pages(
            story.fleet, ledger_pages.layout_of(story.fleet), lambda at: conversation.entry(at, parse(story.read(at)))
        )
    except Exception as wrong:
        raise Trouble(f"the pages: {_place(wrong)}") from wrong
    assert "communication.md" in pages


def _load(story: Story) -> None:
    dumped = story.fleet.dump()
    text = json.dumps(dumped, allow_nan=False)
    again = FleetState.load(json.loads(text), FEATURES).dump()
    for name, state in dumped["features"].items():
        if json.dumps(again["features"][name]) != json.dumps(state):
            raise Trouble(f"the state of {name} is another one when it was read back")
    if json.dumps(again) != text:
        raise Trouble("the core's state is another one when it was read back")


def _place(wrong: Exception) -> str:
    frame = traceback.extract_tb(wrong.__traceback__)[-1]
    return f"{type(wrong).__name__} at {Path(frame.filename).name}:{frame.lineno}: {str(wrong)[:200]}"


def play(first: int, worlds: int | None = None, *, until_s: float | None = None) -> tuple[int, int]:
    """Play worlds, as many or until then (by a monotonic clock); how many, and how many events. Raises Trouble."""
    count = events = 0
    while (worlds is None or count < worlds) and (until_s is None or time.monotonic() < until_s):
        try:
            events += world(first + count)
        except Trouble as trouble:
            raise Trouble(f"seed {first + count}: {trouble}") from trouble
        count += 1
    return count, events
