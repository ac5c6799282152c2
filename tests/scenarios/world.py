"""The stage on which the scenario files are played: real rounds, real commands, a remote in memory, virtual time.

What an agent types goes through the parser of the command line; what is shown is the ledger as it grows. Things are
named by their titles, as people would, and no id is ever shown.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from gitcoord.cli import feature_commands, field_options, tables
from gitcoord.core import liveness
from gitcoord.core.commands import Command, Context, Query
from gitcoord.core.errors import Lost, Refused, Unreachable
from gitcoord.core.feature import SequencedEvent
from gitcoord.core.fleet_state import FleetState
from gitcoord.core.format.event import Event
from gitcoord.core.format.keys import Verifier
from gitcoord.core.ports import Fetched
from gitcoord.features import FEATURES
from gitcoord.features.tasks import state as task_state
from gitcoord.node.operations import submit
from tests.core.driver import Machine, World, run

DAWN_S = 9 * 3600.0
WAIT_S = 10.0  # for the ledger's word
EPOCH_S = datetime(2026, 11, 21, tzinfo=UTC).timestamp()
UNSHOWN = {"fleet_founded", "leader_renewed"}
WHEN = re.compile(r"\d{4}-\d\d-\d\dT(\d\d:\d\d:\d\d)(?:\.\d{3})?Z")


class Stage:
    """What the directives of a scenario do. Each gives the lines that it makes visible."""

    def __init__(self) -> None:
        self.world = World(seed=1, now_s=DAWN_S)
        self.homes: dict[str, Machine] = {}  # by agent
        self.off: set[str] = set()  # machines without power
        self.cut: set[str] = set()  # machines without a line to the remote
        self.work_s: dict[str, float] = {}
        self.begun: dict[tuple[str, str, int], float] = {}  # agent, task, attempt → since
        self.observed: dict[str, list[liveness.Observation]] = {}
        self.looked_s: dict[str, float] = {}
        self.labels: dict[str, str] = {}  # uid → what people call it
        self.ledger = FleetState(FEATURES, Verifier())
        self.shown: list[str] = []

    def play(self, directive: str) -> list[str]:
        """One line of a scenario, without its `>`."""
        self.shown = []
        for pattern, act in DIRECTIVES.items():
            found = re.fullmatch(pattern, directive)
            if found:
                act(self, *found.groups())
                return [self._readable(line) for line in self.shown]
        raise AssertionError(f"nobody knows how to play {directive!r}")

    # Directives

    def run_apart(self, names: str) -> None:
        for name in _names(names):
            self._boot(name, [name])

    def run_together(self, names: str) -> None:
        self._boot(_names(names)[0], _names(names))

    def _boot(self, name: str, agents: list[str]) -> None:
        machine = self.world.machine(name, *agents, runs=True)
        machine.local.standings = lambda: self._standings(machine)
        self.homes |= dict.fromkeys(agents, machine)
        self._turn()

    def work(self, agent: str, seconds: str) -> None:
        self.work_s[agent] = float(seconds)

    def lose_power(self, agent: str) -> None:
        machine = self.homes[agent]
        self.off.add(machine.agents[0])
        self.begun = {key: since for key, since in self.begun.items() if key[0] not in machine.agents}

    def restart(self, agent: str) -> None:
        machine = self.homes[agent]
        machine.crash()
        machine.local.standings = lambda: self._standings(machine)
        self.off.discard(machine.agents[0])

    def cut_off(self, agent: str) -> None:
        self.cut.add(self.homes[agent].agents[0])

    def connect(self, agent: str) -> None:
        self.cut.discard(self.homes[agent].agents[0])

    def go_down(self) -> None:
        self.world.server.reachable = False

    def come_back(self) -> None:
        self.world.server.reachable = True

    def wait(self, seconds: str) -> None:
        end_s = self.world.now_s + float(seconds)
        while self.world.now_s < end_s:
            self._pass()

    def say(self, names: str, words: str) -> None:
        """A command of one, or of several at the same moment."""
        what, given = self._parse(words)
        speakers = _names(names)
        if isinstance(what, Query):
            answer = what.ask(self._look(speakers[0]), submit.arguments(what, given))
            self.shown += _table(what, answer)
            return
        said: dict[str, list[Event]] = {}
        for agent in speakers:
            try:
                said[agent] = self._decide(agent, what, given)
            except (Refused, Lost) as wrong:
                self.shown.append(f"{agent} is told: {wrong} (exit code {2 if isinstance(wrong, Refused) else 3})")
        self._race([self.homes[agent] for agent in said if self._connected(self.homes[agent])])
        end_s = self.world.now_s + WAIT_S
        while self.world.now_s < end_s and not all(map(self._is_judged, said)):
            self._pass()
        for agent, events in said.items():
            self._tell_verdict(agent, events)

    # The commands

    def _parse(self, words: str) -> tuple[Command | Query, Mapping[str, Any]]:
        """As the command line does."""
        first, *rest = shlex.split(words)
        command, name = feature_commands.command(first), first
        with click.Context(command, info_name=first) as context:
            if isinstance(command, click.Group):
                command, name = command.get_command(context, rest[0]) or command, f"{first} {rest[0]}"
                rest = rest[1:]
            uids = {label: uid for uid, label in self.labels.items()}
            values = command.make_context(name, [uids.get(word, word) for word in rest]).params
        what = submit.named(name)
        return what, field_options.raw_arguments({one: values[one] for one in _fields(what) & values.keys()}, what)

    def _decide(self, agent: str, what: Command, given: Mapping[str, Any]) -> list[Event]:
        machine = self.homes[agent]
        events = [
            machine.append(
                one.type,
                one.content,
                actor=agent,
                data=dict(one.data),
                to=one.to,
                re=one.re,
                interaction=one.interaction,
            )
            for one in what.decide(self._look(agent), submit.arguments(what, given))
        ]
        for event in events:
            self._label(event)
        return events

    def _look(self, agent: str) -> Context:
        machine = self.homes[agent]
        return Context(
            machine.fleet,
            self.world.wall(),
            agent,
            machine.disk.node,
            liveness=self._standings(machine),
            read=machine.replica.branch.line_at(),
        )

    def _is_judged(self, agent: str) -> bool:
        return not self.homes[agent].disk.pending()

    def _tell_verdict(self, agent: str, events: Sequence[Event]) -> None:
        fleet = self.homes[agent].fleet
        if not self._is_judged(agent):
            self.shown.append(f"{agent} is told: not confirmed yet, it is safe on this disk (exit code 4)")
        for event in events:
            if event.uid in fleet.refusals:
                self.shown.append(f"{agent} is told: {fleet.refusals[event.uid]} (exit code 3)")

    # Time

    def _pass(self) -> None:
        self.world.pass_time(self.world.profile.poll_s)
        self._turn()

    def _turn(self) -> None:
        """One round of each machine that runs, one after the other, and what its agents do in between."""
        for machine in self.world.machines.values():
            if machine.agents[0] not in self.off:
                for agent in machine.agents:
                    self._work(agent)
                self._race([machine])

    def _race(self, machines: Sequence[Machine]) -> None:
        for machine in machines:
            machine.store.server = self.world.server
            machine.fetch_through = machine.store.fetch if self._connected(machine) else _no_line
        try:
            run(*machines, seed=1)
        except Unreachable:
            return
        for machine in machines:
            name, now_s = machine.agents[0], EPOCH_S + self.world.now_s
            blind_s = liveness.blind_s(self.looked_s.get(name), now_s, poll_s=self.world.profile.poll_s)
            self.observed[name] = liveness.observe(
                self.observed.get(name, ()), machine.replica.heartbeats(), now_s, blind_s=blind_s
            )
            self.looked_s[name] = now_s
        self._read_ledger()

    def _connected(self, machine: Machine) -> bool:
        return self.world.server.reachable and machine.agents[0] not in self.cut

    def _standings(self, machine: Machine) -> Mapping[str, liveness.Standing]:
        name = machine.agents[0]
        return liveness.standings(
            self.observed.get(name, ()), self.looked_s.get(name, 0.0), poll_s=self.world.profile.poll_s, watched=True
        )

    def _work(self, agent: str) -> None:
        """Begin what was assigned to it, and finish what it began long enough ago."""
        if agent not in self.work_s:
            return
        state: task_state.State = self.homes[agent].fleet.states["tasks"]
        for task in [state.tasks[uid] for uid in state.held.get(agent, ())]:
            key = agent, task.id, task.attempt
            if task.status == task_state.ASSIGNED and key not in self.begun:
                self.begun[key] = self.world.now_s
                self._do(agent, "task start", task=task.id)
            elif (
                task.status == task_state.RUNNING
                and self.world.now_s - self.begun.get(key, self.world.now_s) >= self.work_s[agent]
            ):
                del self.begun[key]
                self._do(agent, "task finish", task=task.id, result="yes")

    def _do(self, agent: str, name: str, **given: Any) -> None:
        self._decide(agent, submit.named(name), given)  # type: ignore[arg-type]

    # What is shown

    def _read_ledger(self) -> None:
        if not self.world.server.reachable:
            return
        for line in self.world.lines()[self.ledger.position :]:
            sequenced = self.ledger.append(line)
            self._label(sequenced.event)
            if sequenced.event.type not in UNSHOWN:
                self.shown.append(self._told(sequenced))

    def _told(self, sequenced: SequencedEvent) -> str:
        event = sequenced.event
        reason = sequenced.void or self.ledger.refusals.get(event.uid)
        text = event.content
        if not text.startswith(f"{event.actor} "):
            text = f"{event.actor}, {event.type.replace('_', ' ')}: {text}"
        return f"{self.world.wall()[11:19]} {text}" + (f"  [no effect: {reason}]" if reason else "")

    def _label(self, event: Event) -> None:
        definition = event.data.get("definition")
        label = event.data.get("title") or (definition or {}).get("name") or event.content
        if event.re is None:
            self.labels[event.uid] = str(label)

    def _readable(self, line: str) -> str:
        for uid, label in self.labels.items():
            line = line.replace(f"{uid[:8]} {label!r}", repr(label)).replace(uid, label).replace(uid[:8], label)
        return WHEN.sub(r"\1", line)


def _fields(what: Command | Query) -> set[str]:
    return {field.alias or name for name, field in what.arguments.model_fields.items()}


def _table(what: Query, answer: Any) -> Iterator[str]:
    if not isinstance(answer, Sequence):
        yield from tables.detail({key: value for key, value in answer.items() if key != "id"})
        return
    columns = [column for column in what.columns if column != "id"]
    rows = [[tables.describe(row[column]) for column in columns] for row in answer]
    widths = [max(map(len, cells)) for cells in zip(*rows)]
    yield from ("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)
    if not rows:
        yield "nothing"


def _no_line() -> Fetched:
    raise Unreachable("no line to the remote")


def _names(text: str) -> list[str]:
    return re.split(r", | and ", text)


DIRECTIVES: Mapping[str, Callable[..., None]] = {
    r"(.+) run, each on a machine of its own": Stage.run_apart,
    r"(\S+) runs on a machine of its own": Stage.run_apart,
    r"(.+) run on one machine": Stage.run_together,
    r"(\w+) works, (\d+) s at each task": Stage.work,
    r"(\w+)'s machine loses its power": Stage.lose_power,
    r"(\w+)'s machine starts again": Stage.restart,
    r"(\w+) is cut off": Stage.cut_off,
    r"(\w+) is connected again": Stage.connect,
    r"the remote goes down": Stage.go_down,
    r"the remote is back": Stage.come_back,
    r"(\d+) s pass": Stage.wait,
    r"(.+?)(?: at once)?: (.+)": Stage.say,
}
"""What a line after `>` may say."""
