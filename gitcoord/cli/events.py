"""`gitcoord events`: lists the ledger as this node has it, newest last, then the events that are not sequenced."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import click

from gitcoord.cli.common import echo, json_option, node_here, print_json
from gitcoord.core import times
from gitcoord.core.errors import GitcoordError, Refused
from gitcoord.core.names import event_type, same_agent

if TYPE_CHECKING:
    from gitcoord.core.fleet_state import FleetState
    from gitcoord.core.format.event import Event
    from gitcoord.node.node import Node

    Printer = Callable[[FleetState, int | None, str, Event], None]

POLL_S = 0.1  # while following: the pause between two checks of this node's files


@click.command("events")
@click.option("-f", "--follow", is_flag=True, help="Follow the ledger until Ctrl-C")
@click.option(
    "--type", "types", metavar="T", multiple=True, help="Only events of this type; `heartbeat`: live heartbeats"
)
@click.option("--actor", "actors", metavar="A", multiple=True, help="Only events of this agent")
@click.option("--interaction", type=click.IntRange(min=1), metavar="N", help="Only events of this interaction")
@click.option("--since", metavar="POS|TIME", help="Only events after this position, or from this time on (UTC)")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the newest N events")
@click.option("--no-sync", is_flag=True, help="Show the local state; do not sync first")
@json_option
def command(
    follow: bool,
    types: tuple[str, ...],
    actors: tuple[str, ...],
    interaction: int | None,
    since: str | None,
    limit: int | None,
    no_sync: bool,
    as_json: bool,
) -> None:
    """List events, newest last; events that are not sequenced yet follow, marked.

    The command syncs once first. Imported events are shown with their original author and time.

    \b
    Example:
      gitcoord events --limit 20
      gitcoord events --actor alice --type question --since 2026-01-31
      gitcoord events --follow --json
    """
    node = node_here()
    wanted = EventFilter(frozenset(map(event_type, types)), actors, interaction, *_since(since))
    show = _json_printer() if as_json else _line_printer()
    if not follow:
        _show(node, wanted, show, limit=limit, sync=not no_sync)
        return
    with contextlib.suppress(KeyboardInterrupt):
        position = _show(node, wanted, show, limit=limit, sync=not no_sync, pending=False)
        for place, event in following(node, wanted, after=position, sync=not no_sync):
            show(node.fleet, place, "sequenced", event)


def _show(
    node: Node, wanted: EventFilter, show: Printer, *, limit: int | None, sync: bool, pending: bool = True
) -> int:
    """Show the present events, and return the position of the last one."""
    if sync:
        refresh(node)
    fleet = node.fleet
    waiting = list(_waiting(node, wanted)) if pending else []
    waiting = waiting[-limit:] if limit else waiting
    for place, event in _newest(node, wanted, limit - len(waiting) if limit else None):
        show(fleet, place, "sequenced", event)
    for level, event in waiting:
        show(fleet, None, level, event)
    return fleet.position


@dataclass(frozen=True, slots=True)
class EventFilter:
    """A filter: the events that a user asked for."""

    types: frozenset[str] = frozenset()
    actors: tuple[str, ...] = ()
    interaction: int | None = None
    after: int = 0  # position
    from_time: str | None = None

    def matches(self, event: Event) -> bool:
        if self.types and event.type not in self.types:
            return False
        authors = (event.actor, event.shown_actor)
        if self.actors and not any(same_agent(one, author) for one in self.actors for author in authors):
            return False
        return self.from_time is None or _comparable(event.shown_timestamp) >= self.from_time

    def may_match(self, line: bytes) -> bool:
        """Return False if the line certainly does not match, so that most lines need not be parsed."""
        from gitcoord.core.format.raw_line import may_name, times_in, type_of

        if self.types and type_of(line) not in self.types:
            return False
        if self.actors and not any(may_name(line, one) for one in self.actors):
            return False
        return self.from_time is None or any(_comparable(one) >= self.from_time for one in times_in(line))


def sequenced(node: Node, wanted: EventFilter, *, newest_first: bool = False) -> Iterator[tuple[int, Event]]:
    """Yield the wanted events of the ledger, with their positions."""
    from gitcoord.core.format.event import parse

    read = node.replica.branch.line_at()
    for position in _positions(node, wanted, newest_first):
        line = read(position)
        if wanted.may_match(line):
            event = parse(line)
            if wanted.matches(event):
                yield position, event


def _positions(node: Node, wanted: EventFilter, newest_first: bool) -> Iterable[int]:
    if wanted.interaction is None:
        positions: Sequence[int] = range(wanted.after + 1, node.fleet.position + 1)
    else:
        members = node.fleet.states["conversation"].positions.get(wanted.interaction, [])
        positions = [position for position in members if position > wanted.after]
    return reversed(positions) if newest_first else positions


def _newest(node: Node, wanted: EventFilter, limit: int | None) -> Iterable[tuple[int, Event]]:
    """Return the newest `limit` events (None: all), oldest first; parse no others."""
    if limit is None:
        return sequenced(node, wanted)
    newest = list(islice(sequenced(node, wanted, newest_first=True), limit))
    return newest[::-1]


def _waiting(node: Node, wanted: EventFilter) -> Iterator[tuple[str, Event]]:
    """Yield the wanted pending events and live heartbeats, with their levels. `after` does not apply: they have no
    position yet."""
    from gitcoord.cli import shown
    from gitcoord.node import peers

    fleet = node.fleet
    for level, event in peers.pending(node):
        if wanted.matches(event) and wanted.interaction in (None, shown.interaction(fleet, event, None)):
            yield level, event
    if "heartbeat" in wanted.types and wanted.interaction is None:
        for heartbeat in peers.live_heartbeats(node):
            if wanted.matches(heartbeat):
                yield "live", heartbeat


def following(node: Node, wanted: EventFilter, *, after: int, sync: bool) -> Iterator[tuple[int, Event]]:
    """Yield each wanted event that is sequenced after position `after`, forever."""
    due_s, complained = 0.0, False
    while True:
        if sync and time.monotonic() >= due_s and not node.home.running():
            complained = not refresh(node, quiet=complained)  # report an outage once
            due_s = time.monotonic() + node.local.profile.poll_s
        position = node.fleet.position
        if position > after:
            yield from sequenced(node, EventFilter(wanted.types, wanted.actors, wanted.interaction, after, None))
            after = position
        time.sleep(POLL_S)


def refresh(node: Node, *, quiet: bool = False, fresh_s: float = 0.0) -> bool:
    """Do one round, unless a running agent does them, or the last round was less than `fresh_s` ago.

    Return whether the remote could be reached. A failure is printed (unless `quiet`), not raised, because the local
    state can still be shown.
    """
    import filelock

    from gitcoord.node import peers

    if node.home.running():
        progress = node.home.progress()
        if not progress.online and not quiet:
            echo(f"gitcoord: {progress.problem}; showing the local state", err=True)
        return progress.online
    _, synced_s = peers.observations(node.home.cache)
    if synced_s is not None and 0 <= time.time() - synced_s < fresh_s:
        return True
    try:
        node.sync()
    except filelock.Timeout:
        return True  # another process of this node syncs
    except GitcoordError as wrong:
        if not quiet:
            echo(f"gitcoord: {wrong}; showing the local state", err=True)
        return False
    return True


def _json_printer() -> Printer:
    from gitcoord.cli import shown

    return lambda fleet, place, level, event: print_json(shown.as_json(fleet, event, position=place, level=level))


def _line_printer() -> Printer:
    from gitcoord.cli import shown

    columns = shown.terminal_columns()
    return lambda fleet, place, level, event: echo(
        shown.one_line(fleet, event, position=place, level=level, columns=columns)
    )


def _since(text: str | None) -> tuple[int, str | None]:
    """Parse --since: a position, or a time in its comparable form."""
    if text is None:
        return 0, None
    if re.fullmatch(r"[0-9]{1,15}", text):
        return int(text), None
    if not times.is_time(text):
        raise Refused(f"--since {text!r} is neither a position nor a time such as 2026-01-31 or 2026-01-31T08:00Z")
    return 0, _comparable(times.later(text, 0))


def _comparable(timestamp: str) -> str:
    """Pad a UTC time to 6 digits after the point: times of equal length compare as text."""
    whole, _, part = timestamp.removesuffix("Z").removesuffix("+00:00").partition(".")
    return f"{whole}.{part:0<6}"
