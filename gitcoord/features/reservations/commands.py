"""Commands about reservations: reserve paths, release them, list them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from gitcoord.core.commands import Arguments, Command, Context, NewEvent, Query
from gitcoord.core.errors import Lost, Refused
from gitcoord.core.fields import Given, Span, Words
from gitcoord.core.lookup import find
from gitcoord.core.names import same_agent
from gitcoord.features import paths
from gitcoord.features.reservations import endings
from gitcoord.features.reservations.state import (
    HOLD_S,
    HOLD_S_MAX,
    PATTERNS_MAX,
    PatternGiven,
    Reservation,
    describe,
    in_force,
    is_over,
    overlapping,
)
from gitcoord.features.tasks.events import Branch
from gitcoord.features.tasks.queries import named
from gitcoord.features.tasks.state import HELD, in_a_line
from gitcoord.features.typed import AgentGiven, Ids


class ReservePaths(Arguments):
    paths: list[PatternGiven] = Field(
        description="Paths, relative to this folder; *, ** and ? as in .gitignore",
        min_length=1,
        max_length=PATTERNS_MAX,
    )
    for_s: Span = Field(HOLD_S, alias="for", le=HOLD_S_MAX, description="How long: 90s, 15m, 2h, 3d")
    why: Words = Field("", description="Why, for the others")
    task: Given | None = Field(None, description="Your task, which ends it")
    branch: Branch = Field("", description="A branch of this clone; it ends with it")


class ReleasePaths(Arguments):
    ids: Ids = Field([], description="Ids (default: all of this work tree)")


class ListReservations(Arguments):
    id: Given | None = Field(None, description="Show all details of this reservation")
    path: PatternGiven | None = Field(None, description="Only reservations that contain this path")
    agent: AgentGiven | None = Field(None, description="Only this agent's reservations")


def reserve(ctx: Context, args: ReservePaths) -> list[NewEvent]:
    wanted = list(dict.fromkeys(ctx.located(one) for one in args.paths))
    for pattern in wanted:
        paths.check(pattern)
    party = (ctx.actor, ctx.node, ctx.place)
    for other in overlapping(ctx.state("reservations"), party, wanted):
        if not is_over(other, ctx):
            raise Lost(describe(other))
        why = endings.of_task(other, ctx.state("tasks"))
        if why:
            raise Lost(
                f"{describe(other)}: {why}, but the ledger does not show that the reservation is over. It will as soon "
                f"as a leader runs (`gitcoord agent run`); {other.agent} or an admin can run "
                f"`gitcoord release {other.id[:8]}`"
            )
        if other.until > ctx.fleet.time.now:
            raise Lost(
                f"{describe(other)}: that time is over, but ledger time has not passed it yet. The reservation ends as "
                f"soon as {other.agent} or another member writes an event. A leader (`gitcoord agent run`) or an admin "
                f"can end it now: `gitcoord release {other.id[:8]}`"
            )
    data = {"paths": wanted, "for_s": args.for_s, "place": ctx.place, "why": args.why}
    if args.task is not None:
        data["task"] = _own_task(ctx, args.task)
    if args.branch:
        if ctx.has_branch is not None and not ctx.has_branch(args.branch):
            raise Refused(f"this clone has no branch {args.branch!r}: create it first, or leave --branch out")
        data["branch"] = args.branch
    return [NewEvent("paths_reserved", f"{ctx.actor} reserves {', '.join(wanted)}", data)]


def _own_task(ctx: Context, text: str) -> str:
    task = named(ctx, text)
    if task.status not in HELD or not same_agent(task.last.agent, ctx.actor):
        raise Refused(
            f"{ctx.actor} does not have the task {task.title!r} ({in_a_line(task)}): "
            f"claim it first (`gitcoord task claim {task.id[:8]}`)"
        )
    return task.id


def release(ctx: Context, args: ReleasePaths) -> list[NewEvent]:
    held = ctx.state("reservations").held
    if args.ids:
        chosen = [held[find(ctx, held, text, "reservation", shown_by="reservations")] for text in args.ids]
    else:
        chosen = [one for one in held.values() if one.party == (ctx.actor, ctx.node, ctx.place)]
    return [NewEvent("paths_released", f"{ctx.actor} releases {', '.join(one.paths)}", re=one.id) for one in chosen]


def reservations(ctx: Context, args: ListReservations) -> list[dict[str, Any]] | dict[str, Any]:
    held = {one.id: one for one in in_force(ctx)}
    if args.id is not None:
        one = held[find(ctx, held, args.id, "reservation", shown_by="reservations")]
        return {**to_row(one), "position": ctx.fleet.positions.get(one.id)}
    among = ctx.state("reservations").index.owners([ctx.located(args.path)]) if args.path is not None else held
    return [
        to_row(one)
        for one in held.values()
        if (args.agent is None or one.agent.casefold() == args.agent.casefold()) and one.id in among
    ]


def to_row(one: Reservation) -> dict[str, Any]:
    return {
        "id": one.id,
        "agent": one.agent,
        "node": one.node,
        "place": one.place,
        "paths": one.paths,
        "since": one.since,
        "until": one.until,
        "why": one.why,
        "task": one.task or None,
        "branch": one.branch,
    }


def _answer(ctx: Context, uid: str) -> dict[str, Any]:
    return {"reservation": to_row(ctx.state("reservations").held[uid])}


COMMANDS: Mapping[str, Command | Query] = {
    "reserve": Command(
        help="Reserve paths, to keep other agents out of them",
        example="gitcoord reserve 'src/auth/**' --for 2h --why 'new login'",
        arguments=ReservePaths,
        decide=reserve,
        binds=True,
        positional=("paths",),
        answer=_answer,
        urgent=True,
        tool="path_reserve",
    ),
    "release": Command(
        help="Give reserved paths back",
        example="gitcoord release",
        before=("gitcoord reserve README.md",),
        arguments=ReleasePaths,
        decide=release,
        positional=("ids",),
        idempotent=True,
        tool="path_reserve",
    ),
    "reservations": Query(
        help="List reserved paths and their holders",
        example="gitcoord reservations --path src/auth/login.py",
        arguments=ListReservations,
        ask=reservations,
        positional=("id",),
        columns=("id", "agent", "place", "paths", "until", "why"),
        tool="fleet_show",
    ),
}
