"""Conditions of `gitcoord wait`, such as `task 4 done`. Each is met, not met yet, or can never be met."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gitcoord.core import liveness
from gitcoord.core.commands import Context
from gitcoord.core.errors import Refused
from gitcoord.core.lookup import find
from gitcoord.core.names import same_agent
from gitcoord.features import agents
from gitcoord.features.messages import state as message_state
from gitcoord.features.tasks import queries as task_queries
from gitcoord.features.tasks.state import DONE, FAILED, OVER, STATUSES, in_a_line
from gitcoord.features.workflows import runs as workflow_runs

_AGENT_STATES = (
    liveness.ALIVE,
    liveness.LATE,
    liveness.GONE,
    liveness.GOODBYE,
    "active",
    "busy",
    "idle",
    "input-required",
    "paused",
    "offline",
    "registered",
    "joined",
)
_RUN_STATES = (DONE, workflow_runs.RUNNING, workflow_runs.STOPPING, FAILED, workflow_runs.STOPPED, "over")
_MESSAGE_STATES = ("delivered", "read", "acknowledged", "answered")

FORMS = {
    "task": f"task ID {'|'.join((*STATUSES, 'over'))}",
    "workflow": f"workflow ID|NAME {'|'.join(_RUN_STATES)}",  # a name means its newest run
    "agent": f"agent NAME {'|'.join(_AGENT_STATES)}",
    "leader": "leader [NAME]",
    "message": f"message ID {'|'.join(_MESSAGE_STATES)}",
    "event": "event TYPE",
}
"""Kind of condition → the form in which people type it. `node/operations/wait.py` handles `event`."""


@dataclass(frozen=True, slots=True)
class ConditionStatus:
    """Whether a condition is met, and why, in `words`. `never`: the condition cannot be met any more."""

    met: bool
    words: str
    never: bool = False


Condition = Callable[[Context], ConditionStatus]


def condition(ctx: Context, text: str) -> Condition:
    """Parse the condition `text`. Raise Refused if its form is unknown, or the task, run or message in it."""
    kind, *words = text.split() or [""]
    if kind not in KINDS:
        forms = "\n  ".join(FORMS.values())
        raise Refused(f"cannot wait for {text!r}: write one of\n  {forms}")
    return KINDS[kind](ctx, words)


def _task(ctx: Context, words: Sequence[str]) -> Condition:
    name, wanted = _name_and_state(words, "task", (*STATUSES, "over"))
    uid = task_queries.named(ctx, name).id

    def check(ctx: Context) -> ConditionStatus:
        task = ctx.state("tasks").tasks.get(uid)
        if task is None:
            return ConditionStatus(False, f"task {uid[:8]} ended long ago", never=True)
        met = task.status in OVER if wanted == "over" else task.status == wanted
        return ConditionStatus(met, f"task {uid[:8]}: {in_a_line(task)}", never=task.status in OVER)

    return check


def _workflow(ctx: Context, words: Sequence[str]) -> Condition:
    name, wanted = _name_and_state([" ".join(words[:-1]), *words[-1:]], "workflow", _RUN_STATES)
    runs: Mapping[str, workflow_runs.Run] = ctx.state("workflows").runs
    named = [run.id for run in runs.values() if run.definition.name == name]
    uid = named[-1] if named else find(ctx, runs, name, "run of a workflow", shown_by="workflow list --all")

    def check(ctx: Context) -> ConditionStatus:
        run: workflow_runs.Run | None = ctx.state("workflows").runs.get(uid)
        if run is None:
            return ConditionStatus(False, f"workflow {uid[:8]} ended long ago", never=True)
        because = f" ({run.reason})" if run.reason else ""
        return ConditionStatus(
            run.over if wanted == "over" else run.status == wanted,
            f"workflow {uid[:8]} {run.definition.name} is {run.status}{because}",
            never=run.over,
        )

    return check


def _agent(ctx: Context, words: Sequence[str]) -> Condition:
    name, wanted = _name_and_state([" ".join(words[:-1]), *words[-1:]], "agent", _AGENT_STATES)

    def check(ctx: Context) -> ConditionStatus:
        known = agents.get(ctx, name)
        seen = ctx.liveness.get(name.casefold())
        alive = agents.liveness(ctx, known) if known else seen.state if seen else liveness.SILENT
        member = ctx.fleet.members.get(name)
        if member is None:
            return ConditionStatus(False, f"no agent {name} is in this fleet yet")
        says = [
            alive,
            *([known.status, "registered"] if known else []),
            *(["joined"] if member.admitted and not member.left else []),
        ]
        return ConditionStatus(wanted in says, f"{name} is {', '.join(says)}")

    return check


def _leader(ctx: Context, words: Sequence[str]) -> Condition:
    name = " ".join(words)

    def check(ctx: Context) -> ConditionStatus:
        leader = ctx.fleet.terms.leader
        seen = ctx.liveness.get((leader or "").casefold())
        leads = leader is not None and (seen is None or seen.state in (liveness.ALIVE, liveness.LATE))
        return ConditionStatus(
            leads and (not name or same_agent(name, leader or "")), f"{leader} leads" if leads else "nobody leads"
        )

    return check


def _message(ctx: Context, words: Sequence[str]) -> Condition:
    name, wanted = _name_and_state(words, "message", _MESSAGE_STATES)
    messages: Mapping[str, message_state.StoredMessage] = ctx.state("messages").messages
    uid = find(ctx, messages, name, "message", shown_by="message list")
    if wanted == "answered" and message_state.request(messages[uid]) is None:
        raise Refused(f"message {uid[:8]} is not a request, so no answer is expected: wait for `message ID read`")

    def check(ctx: Context) -> ConditionStatus:
        one: message_state.StoredMessage | None = ctx.state("messages").messages.get(uid)
        if one is None:
            return ConditionStatus(False, f"message {uid[:8]} was removed long ago", never=True)
        if wanted == "answered":
            now = message_state.request(one)
            return ConditionStatus(now == wanted, f"message {uid[:8]} is {now}", never=now == "lapsed")
        got = {agent: message_state.receipt(ctx, one, agent) for agent in message_state.recipients(ctx, one)}
        met = (
            all(
                _MESSAGE_STATES.index(wanted) <= _MESSAGE_STATES.index(state)
                for state in got.values()
                if state in _MESSAGE_STATES
            )
            and "sent" not in got.values()
        )
        return ConditionStatus(
            met, f"message {uid[:8]}: " + ", ".join(f"{agent} {state}" for agent, state in got.items())
        )

    return check


def _name_and_state(words: Sequence[str], kind: str, known: Sequence[str]) -> tuple[str, str]:
    if len(words) != 2 or words[1] not in known or not words[0]:
        raise Refused(f"cannot wait for {' '.join([kind, *words]).strip()!r}: write {FORMS[kind]}")
    return words[0], words[1]


KINDS: Mapping[str, Callable[[Context, Sequence[str]], Condition]] = {
    "task": _task,
    "workflow": _workflow,
    "agent": _agent,
    "leader": _leader,
    "message": _message,
}
