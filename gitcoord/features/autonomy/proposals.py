"""Proposals: what the leader would do if it were let; the first answer counts, and what was rejected is never done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, Field

from gitcoord.core import limits
from gitcoord.core.commands import Context
from gitcoord.core.feature import Duty, SequencedEvent
from gitcoord.core.fields import NAMED, Agent, Content, EventType, Json, Payload, Reason, Uid
from gitcoord.core.fold.authority import ADMIN, APPROVER, LEADER, Asked, Persons, Resolver, Who, Whose
from gitcoord.core.format.event import Event
from gitcoord.features import control

Level = Literal["full", "supervised", "manual"]
Approvers = Literal["members", "admins"]

MAJOR = frozenset({"assignment", "recovery", "contingency", "workflow"})
"""Kinds of decisions that wait under `supervised`; under `manual` all do that come to `gate`."""

GATED: Mapping[str, str] = {
    "task_assigned": "assignment",
    "recovery_started": "recovery",
    "directive_reassigned": "contingency",
    "workflow_started": "workflow",
}
"""Types of the leader's events that are such a decision, whatever is said in them: the fold asks `withholds`."""

WAITING_MAX = 200  # proposals at a time: more than anybody reads; the leader makes no more
KEPT_MAX = 1000  # pending proposals: a leader sees its newest ones only when they are in the ledger
FINISHED_MAX = 500  # kept, so that what was rejected stays so
PENDING_S = 86_400.0  # unanswered for a day, it is proposed again if it is still wanted
APPROVED_S = 3600.0  # not asked for since then: what it was about is over

OVER = {
    "approved": "{judge} approved it already",
    "rejected": "{judge} rejected it already",
    "done": "{judge} approved it, and it is done",
    "overtaken": "a newer proposal took its place",
    "lapsed": "it lapsed without an answer; what is still wanted is proposed again",
}
"""Why nobody judges a proposal of that status any more."""

Key = Annotated[str, Field(max_length=300), NAMED]


class AutonomyChanged(Payload):
    """From here on the leader decides so much by itself; `approvers` null: as before."""

    level: Level
    approvers: Approvers | None = None


class Wanted(Payload):
    """The event that the leader would append."""

    type: EventType
    content: Content
    data: Json = {}
    to: list[Agent] = Field([], max_length=limits.AGENTS_PER_EVENT_MAX)
    re: Uid | None = None


class ProposalMade(Payload):
    """The leader would do this. `occasion` is the key of the duty, `round` counts the proposals for it from 1."""

    kind: Annotated[str, Field(max_length=64), NAMED]
    occasion: Key
    round: int = Field(1, ge=1, le=1_000_000)
    event: Wanted


class ProposalApproved(Payload):
    """The proposal that the event's `re` names shall be done."""


class ProposalRejected(Payload):
    """It shall never be done."""

    why: Reason = ""


class ProposalLapsed(Payload):
    """By the leader: nobody answered in a day, or what was approved is wanted no more."""


EVENTS: Mapping[str, type[BaseModel]] = {
    "autonomy_changed": AutonomyChanged,
    "proposal_made": ProposalMade,
    "proposal_approved": ProposalApproved,
    "proposal_rejected": ProposalRejected,
    "proposal_lapsed": ProposalLapsed,
}
AUTHORITY: Mapping[str, Who] = {
    "autonomy_changed": ADMIN,
    "proposal_made": LEADER,
    "proposal_approved": APPROVER,
    "proposal_rejected": APPROVER,
    "proposal_lapsed": LEADER,
}


@dataclass(slots=True)
class Proposal:
    """A proposed decision. `status`: pending, approved, rejected, done, lapsed, or overtaken by a newer one."""

    id: str
    kind: str
    occasion: str
    round: int
    type: str
    content: str
    data: dict[str, Any]
    to: list[str]
    re: str | None
    by: str
    since: str
    status: str = "pending"
    judge: str = ""
    why: str = ""
    changed: str = ""
    position: int = 0  # of the event that set its status

    @property
    def waits(self) -> bool:
        return self.status in ("pending", "approved")


@dataclass
class State:
    level: Level = "full"
    approvers: Approvers = "members"
    by: str = ""  # the agent that set the level
    since: str = ""
    proposals: dict[str, Proposal] = field(default_factory=dict)  # by id, oldest first
    newest: dict[str, str] = field(default_factory=dict)  # occasion → id

    def __post_init__(self) -> None:
        self.waiting = sum(one.waits for one in self.proposals.values())


def _approvers(state: State, asked: Asked, persons: Persons) -> Whose | None:
    """Return the rule for approvers: admins or any member, as set, and never the proposer under another name."""
    proposal = state.proposals.get(asked.re or "")
    if proposal is None:
        return None
    by, admins_only = proposal.by, state.approvers == "admins"
    who = "an admin" if admins_only else "a member"

    def may(agent: str) -> bool:
        return not persons.same_person(agent, by) and (not admins_only or persons.role_of(agent) == "admin")

    return Whose(f"{who} other than {by} (who proposed it)", may)


WHOSE: Mapping[str, Resolver] = {"proposal_approved": _approvers, "proposal_rejected": _approvers}


def gate(ctx: Context, kind: str, duty: Duty) -> tuple[Duty, ...]:
    """Return what the leader may append for `duty`: the duty, a proposal, or nothing while the proposal is pending.

    `kind` is one of MAJOR, or anything else for a minor decision. Ask again for as long as the duty is wanted: what was
    approved is appended only then, as it was approved. What was rejected is given no more. Where the proposal names
    an agent (`data["agent"]`) that is gone, and the duty names another one, it is proposed again.
    """
    state: State = ctx.state("autonomy")
    if not _asks(state.level, kind):
        return (duty,)
    known = state.proposals.get(state.newest.get(duty.key, ""))
    if known is None or known.status == "lapsed" or (known.waits and _is_moot(ctx, known, duty)):
        if state.waiting >= WAITING_MAX:
            return ()
        return (_proposed(kind, duty, known.round + 1 if known else 1),)
    if known.status == "approved":
        data = {**known.data, "proposal": known.id}
        return (Duty(known.type, known.content, duty.key, data, tuple(known.to), known.re),)
    return ()


def _asks(level: Level, kind: str) -> bool:
    return level == "manual" or (level == "supervised" and kind in MAJOR)


def withholds(state: State, event: Event) -> str | None:
    """Return why the leader may not decide this by itself; None when it may, or when somebody approved just this.

    The fold asks for it at each line of the leader's: a leader that does not come to `gate` gains nothing.
    """
    kind = GATED.get(event.type)
    if kind is None or not _asks(state.level, kind):
        return None
    proposal = state.proposals.get(str(event.data.get("proposal")))
    if proposal is None or proposal.status != "approved":
        return f"autonomy is {state.level}: {event.type} waits for an approved proposal (`gitcoord autonomy proposals`)"
    data = {**proposal.data, "proposal": proposal.id, "duty": proposal.occasion}
    if (event.type, event.content, event.data, event.to, event.re) != (
        proposal.type,
        proposal.content,
        data,
        tuple(proposal.to),
        proposal.re,
    ):
        return f"it is not what {proposal.judge} approved by proposal {proposal.id[:8]}"
    return None


def _proposed(kind: str, duty: Duty, round_: int) -> Duty:
    event = {"type": duty.type, "content": duty.content, "data": dict(duty.data), "to": list(duty.to), "re": duty.re}
    return Duty(
        "proposal_made",
        f"proposes: {duty.content}",
        f"propose:{duty.key}:{round_}",
        {"kind": kind, "occasion": duty.key, "round": round_, "event": event},
        re=duty.re,
    )


def _is_moot(ctx: Context, known: Proposal, duty: Duty) -> bool:
    agent, wanted = known.data.get("agent"), duty.data.get("agent")
    if not isinstance(agent, str) or agent == wanted:
        return False
    registered = ctx.state("agents").agents.get(agent.casefold())
    return registered is None or registered.liveness == "gone"


def fold(state: State, sequenced: SequencedEvent) -> str | None:
    event, payload = sequenced.event, sequenced.payload
    if sequenced.void is not None:
        return None
    if event.term is not None and state.newest:
        _note_done(state, sequenced)
    if payload is None or event.content.startswith("*"):
        word = control.said(sequenced, "autonomy")
        return _command(state, sequenced, word) if word is not None and word.verb != "status" else None
    match payload:
        case AutonomyChanged(level=level, approvers=approvers):
            return _change(state, sequenced, level, approvers)
        case ProposalMade():
            return _propose(state, sequenced, payload)
        case ProposalApproved():
            return _judge(state, sequenced, "approved", "")
        case ProposalRejected(why=why):
            return _judge(state, sequenced, "rejected", why)
        case ProposalLapsed():
            return _lapse(state, sequenced)
    return None


def _command(state: State, sequenced: SequencedEvent, word: control.Word) -> str | None:
    level = next((level for level in get_args(Level) if level == word.verb), None)
    if level is None or word.rest:
        return f"*autonomy:{word.verb} is none of *autonomy:full, *autonomy:supervised, *autonomy:manual"
    if sequenced.role != "admin":
        return "only an admin sets how much the leader decides alone"
    return _change(state, sequenced, level, None)


def _change(state: State, sequenced: SequencedEvent, level: Level, approvers: Approvers | None) -> str | None:
    state.level, state.approvers = level, approvers or state.approvers
    state.by, state.since = sequenced.event.actor, sequenced.event.timestamp
    return None


def why_not_judge(proposal: Proposal) -> str | None:
    if proposal.status != "pending":
        return OVER[proposal.status].format(judge=proposal.judge or "somebody")
    return None


def _propose(state: State, sequenced: SequencedEvent, made: ProposalMade) -> str | None:
    event = sequenced.event
    before = state.proposals.get(state.newest.get(made.occasion, ""))
    if before is not None and before.status in ("rejected", "done"):
        return f"it was {before.status} before"
    if state.waiting >= KEPT_MAX:
        return f"{KEPT_MAX} proposals wait already"
    if before is not None and before.waits:
        _finish(state, before, "overtaken", sequenced)
    wanted = made.event
    state.proposals[event.uid] = Proposal(
        event.uid,
        made.kind,
        made.occasion,
        made.round,
        wanted.type,
        wanted.content,
        wanted.data,
        wanted.to,
        wanted.re,
        event.actor,
        event.timestamp,
        position=sequenced.position,
    )
    state.newest[made.occasion] = event.uid
    state.waiting += 1
    _forget(state)
    return None


def _forget(state: State) -> None:
    finished = [one for one in state.proposals.values() if not one.waits]
    for one in finished[:-FINISHED_MAX]:
        del state.proposals[one.id]
        if state.newest.get(one.occasion) == one.id:
            del state.newest[one.occasion]


def _judge(state: State, sequenced: SequencedEvent, status: str, why: str) -> str | None:
    proposal = state.proposals.get(sequenced.event.re or "")
    if proposal is None:
        return "no such proposal is known"
    reason = why_not_judge(proposal)
    if reason is None:
        proposal.judge, proposal.why = sequenced.event.actor, why
        _finish(state, proposal, status, sequenced)
    return reason


def _lapse(state: State, sequenced: SequencedEvent) -> str | None:
    proposal = state.proposals.get(sequenced.event.re or "")
    if proposal is None or not proposal.waits:
        return "it does not wait any more"
    _finish(state, proposal, "lapsed", sequenced)
    return None


def _note_done(state: State, sequenced: SequencedEvent) -> None:
    occasion = sequenced.event.data.get("duty")
    proposal = state.proposals.get(state.newest.get(occasion, "")) if isinstance(occasion, str) else None
    if proposal is not None and proposal.waits:
        _finish(state, proposal, "done", sequenced)


def _finish(state: State, proposal: Proposal, status: str, sequenced: SequencedEvent) -> None:
    waited = proposal.waits
    proposal.status, proposal.changed, proposal.position = status, sequenced.event.timestamp, sequenced.position
    state.waiting += proposal.waits - waited
    if not proposal.waits:
        proposal.data = {}  # the ledger has it; here it would only take room


def duty(state: State, ctx: Context) -> Iterable[Duty]:
    for one in state.proposals.values():
        limit_s = {"pending": PENDING_S, "approved": APPROVED_S}.get(one.status)
        if limit_s is not None and ctx.age_s(one.changed or one.since, one.position) > limit_s:
            yield Duty("proposal_lapsed", f"no more: {one.content}", f"lapse:{one.id}", re=one.id)
