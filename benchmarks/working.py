"""Figures of the fleet at work: who has a task, how soon it runs, how soon a dead agent's goes on, and large states."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fleets
from floors import Pusher, growing
from measure import Check, Figure, Series, quantile, took
from options import Options
from running import Agent, agents, until

from gitcoord.core.commands import Command, Context, Query
from gitcoord.core.errors import Lost
from gitcoord.core.fleet_state import FleetState
from gitcoord.core.fold.members import FleetFounded
from gitcoord.core.format.event import Draft, Head, seal
from gitcoord.core.format.keys import Ed25519Signer
from gitcoord.core.names import uid_from
from gitcoord.features import FEATURES
from gitcoord.node import fold_cache
from gitcoord.node.membership.api import Member
from gitcoord.node.operations import submit

RACERS = 8
NOW = "2026-11-21T03:04:05.678Z"


def claim_race(options: Options) -> Iterator[Figure]:
    """claim race of 8 agents: one winner in each round, and the time until each knows"""
    rounds = options.times(100, 2)
    known, floor, winners = Series("from the claim until its author knows", "s"), Series("one bare push", "s"), []
    with contextlib.ExitStack() as stack:
        members = [stack.enter_context(fleets.fresh(options.folder, f"agent{number}")) for number in range(RACERS)]
        pusher = Pusher(
            options.folder / "floor", str(options.folder / "remote.git"), "refs/bench/floor", growing(rounds)
        )
        for number in range(rounds):
            task = _do(members[0], "task create", title=f"Race {number}").events[0].uid
            for member in members:
                member.sync()
            said = _race(members, task)
            winners.append(sum(won for won, _ in said))
            known.values += [seconds for _, seconds in said]
            floor.values.append(took(pusher.push))
        for member in members:
            member.sync()
        holders = {str(member.node.fleet.states["tasks"].tasks[task].agent) for member in members}
    yield Figure(
        "claim-race",
        f"claim race of {RACERS} agents on {RACERS} clones, {rounds} rounds, file://",
        [known],
        floor,
        [
            Check("rounds without exactly one winner", sum(won != 1 for won in winners), 0, ""),
            Check("agents that know another winner of the last one", len(holders) - 1, 0, ""),
        ],
        [f"95 % know within {quantile(known.values, 0.95):.2f} s"],
    )


def _race(members: list[Member], task: str) -> list[tuple[bool, float]]:
    """All claim it at the same moment: who won, and how long each took to know."""
    said: list[tuple[bool, float]] = []
    ready = threading.Barrier(len(members))

    def claim(member: Member) -> None:
        ready.wait()
        began = time.perf_counter()
        try:
            _do(member, "task claim", task=task)
            won = True
        except Lost:
            won = False
        said.append((won, time.perf_counter() - began))

    threads = [threading.Thread(target=claim, args=[member]) for member in members]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(said) != len(members):
        raise RuntimeError("a racer failed")
    return said


def _do(member: Member, name: str, **given: Any) -> submit.Outcome:
    command = submit.named(name)
    assert isinstance(command, Command)
    return submit.act(member.node, command, given, actor=member.agent)


def dispatch(options: Options) -> Iterator[Figure]:
    """from a task's creation to its running, and on to its end; leader, worker and author on three clones"""
    with fleets.fresh(options.folder, "author") as author:
        for name in ("lea", "worker"):
            with fleets.fresh(options.folder, name):
                pass
        leader, worker = options.folder / "lea", options.folder / "worker"
        running, ended = Series("from created until its command runs", "s"), Series("until its result is known", "s")
        with agents([leader]), agents([worker], "--exec", f"touch {options.folder}/began-$GITCOORD_TASK_ID") as [one]:
            until(lambda: one.said("start"), "the worker to start")
            for number in range(options.times(50, 2)):
                began = time.perf_counter()
                task = _do(author, "task create", title=f"Run {number}").events[0].uid
                until(lambda: (options.folder / f"began-{task}").exists(), "the command to run")
                running.values.append(time.perf_counter() - began)
                until(lambda: _status(author, task) == "done", "its end to be known")
                ended.values.append(time.perf_counter() - began)
    yield Figure("dispatch", "dispatch of a task, profile local, 3 clones, file://", [running, ended])


def _status(member: Member, task: str) -> str:
    member.sync()
    return str(member.node.fleet.states["tasks"].tasks[task].status)


def recovery(options: Options) -> Iterator[Figure]:
    """recovery after SIGKILL of an agent in the middle of a task, profile local: until another one's command runs"""
    found = Series("from SIGKILL until another agent works on its task", "s")
    with fleets.fresh(options.folder, "author") as author:
        for name in ("lea", "bob", "carol"):
            with fleets.fresh(options.folder, name):
                pass
        folders = [options.folder / name for name in ("bob", "carol")]
        words = f"echo >> {options.folder}/began-$GITCOORD_TASK_ID; exec sleep 20"
        with agents([options.folder / "lea"]), agents(folders, "--exec", words) as running:
            until(lambda: all(one.said("start") for one in running), "the agents to start")
            for number in range(options.times(20, 1)):
                task = _do(author, "task create", title=f"Lost {number}").events[0].uid
                note = options.folder / f"began-{task}"
                until(lambda: _lines(note) == 1 and _status(author, task) == "running", "the task to run")
                holder = author.node.fleet.states["tasks"].tasks[task].agent
                place = [folder.name for folder in folders].index(str(holder))
                killed = time.perf_counter()
                running[place].kill()
                until(lambda: _lines(note) == 2, "another agent to begin it")
                found.values.append(time.perf_counter() - killed)
                _do(author, "task cancel", task=task)
                running[place] = Agent(folders[place], "--exec", words)
                until(lambda: running[place].said("start"), "the killed agent to start again")
                until(lambda: not _lost(author), "it to be known as back")
    checks = [] if options.quick else [Check("maximum", max(found.values), 5.0, "s")]
    yield Figure(
        "recovery",
        f"recovery of a task after SIGKILL of its agent, profile local, {len(found.values)} runs",
        [found],
        None,
        checks,
    )


def _lines(path: Path) -> int:
    return path.read_text().count("\n") if path.exists() else 0


def _lost(member: Member) -> bool:
    member.sync()
    return any(one.liveness != "alive" for one in member.node.fleet.states["agents"].agents.values())


def mixed(options: Options) -> Iterator[Figure]:
    """fold of 100,000 mixed events of all features; `ready` among 10,000 open tasks; the order of nine agents"""
    tasks = options.times(12_500, 50)
    events = list(_mixed(tasks))
    fold, parse = Series("fold", "s"), Series("the lines read once and hashed", "s")
    for _ in range(options.times(3, 1)):
        fleet = FleetState(FEATURES)
        with fold_cache.gc_paused():  # as a node folds what it fetched
            fold.values.append(took(lambda: [fleet.append(line) for line in events]))
        parse.values.append(took(lambda: hashlib.sha256(b"\n".join(events)).digest()))
    if fleet.refusals or fleet.states["health"].void:
        raise RuntimeError("an event of the bench had no effect")
    yield Figure(
        "mixed",
        f"fold of {len(events):,} mixed events of tasks, messages, agents, reservations",
        [fold],
        parse,
        [] if options.quick else [Check("fold", fold.median * 100_000 / len(events), 4.0, "s")],
    )
    open_tasks = options.times(10_000, 50)
    crowded = FleetState(FEATURES)
    for line in _opened(open_tasks):
        crowded.append(line)
    ready = submit.named("ready")
    assert isinstance(ready, Query)
    arguments = ready.arguments.model_validate({})
    shown = Series(
        "ready, from the fold at hand",
        "ms",
        [
            1000 * took(lambda: ready.ask(Context(crowded, NOW, "agent0"), arguments))
            for _ in range(options.times(20, 2))
        ],
    )
    yield Figure(
        "ready",
        f"ready among {open_tasks:,} open tasks",
        [shown],
        None,
        [] if options.quick else [Check("ready", shown.median, 100.0, "ms")],
    )
    order, nine = submit.named("agent order"), FleetState(FEATURES)
    assert isinstance(order, Query)
    for line in _nine():
        nine.append(line)
    arguments = order.arguments.model_validate({})
    if sum(len(layer["agents"]) for layer in order.ask(Context(nine, NOW, "agent0"), arguments)) != 10:
        raise RuntimeError("an agent of the nine is missing")
    shown = Series(
        "agent order, from the fold at hand",
        "ms",
        [1000 * took(lambda: order.ask(Context(nine, NOW, "agent0"), arguments)) for _ in range(options.times(200, 2))],
    )
    yield Figure(
        "order",
        "the order in which nine agents start, by what they depend on",
        [shown],
        None,
        [] if options.quick else [Check("order", shown.median, 50.0, "ms")],
    )


class _Writer:
    """One node's chain, as long as is wanted. Its lines are signed; the folds here check no signature."""

    def __init__(self) -> None:
        self.head, self.count = Head(), 0

    def line(
        self,
        type_: str,
        content: str,
        *,
        actor: str = "agent0",
        re: str | None = None,
        chained: bool = True,
        **data: Any,
    ) -> bytes:
        self.count += 1
        draft = Draft(actor, type_, content, NOW, uid_from(self.count.to_bytes(10, "big")), re=re, data=data)
        self.uid = draft.event_uid
        event = seal(
            draft,
            node="node-0",
            after=self.head if chained else None,
            fleet="benchfleet",
            signer=Ed25519Signer(hashlib.sha256(actor.encode()).digest()),
        )
        self.head = event.head if chained else self.head
        return event.line


def _nine() -> Iterator[bytes]:
    """The agents of the fleet file that ships, beside the founder."""
    writer = _Writer()
    yield from _founded(writer)
    plan = tomllib.loads((Path(__file__).parent.parent / "examples" / "nine.toml").read_text())["agents"]
    for agent in plan:
        yield writer.line("agent_joined", f"{agent} joins", actor=agent)
    for agent, planned in plan.items():
        yield writer.line(
            "agent_registered",
            f"{agent} registers",
            actor=agent,
            capabilities=planned["capabilities"],
            depends_on=planned.get("depends_on", []),
        )


def _founded(writer: _Writer) -> Iterator[bytes]:
    founded = FleetFounded().model_dump(mode="json", exclude_none=True)
    yield writer.line("fleet_founded", "agent0 founds", chained=False, **founded)
    yield writer.line("agent_registered", "agent0 registers", capabilities=["python"], slots=10)


def _mixed(tasks: int) -> Iterator[bytes]:
    """Eight events for each task: half of them the task's own."""
    writer = _Writer()
    yield from _founded(writer)
    for number in range(tasks):
        yield writer.line("task_created", f"Task {number}", title=f"Task {number}", needs=["python"])
        task = writer.uid
        yield writer.line("task_claimed", "claims", re=task)
        yield writer.line("agent_status_changed", "works", status="busy", workload=0.5)
        yield writer.line("message", "how far is it?")
        yield writer.line("paths_reserved", "reserves", paths=[f"src/{number}/**"], for_s=3600)
        hold = writer.uid
        yield writer.line("task_started", "starts", re=task, attempt=1)
        yield writer.line("task_finished", "finishes", re=task, attempt=1, result="done")
        yield writer.line("paths_released", "releases", re=hold)


def _opened(tasks: int) -> Iterator[bytes]:
    writer = _Writer()
    yield from _founded(writer)
    for number in range(tasks):
        yield writer.line(
            "task_created",
            f"Task {number}",
            title=f"Task {number}",
            needs=["python"],
            priority=["LOW", "HIGH", "MEDIUM"][number % 3],
        )
