"""`gitcoord status`: one screen, problems first; as last seen, without asking the remote."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gitcoord.cli.common import Line, draw, json_option, print_json, styled, tell, writer_here

if TYPE_CHECKING:
    from gitcoord.node.writer import Writer

REDRAW_S = 1.0
WORKING_SHOWN = 20  # tasks
READY_SHOWN = 3
RESERVED_SHOWN = 5

STYLES = {"alive": "green", "late": "yellow", "gone": "red", "waiting": "yellow"}


@click.command("status")
@click.option("--watch", is_flag=True, help="Refresh each second, until Ctrl-C")
@click.option("-v", "--verbose", is_flag=True, help="Show this node's files and internals too")
@json_option
def command(watch: bool, verbose: bool, as_json: bool) -> None:
    """Show what needs attention, who works on what, and who is alive.

    The command shows what this node last saw, and how long ago; `gitcoord sync` refreshes it. An agent is alive as long
    as its heartbeats come when it announced them; then it is late, then gone. A silent agent sends no heartbeats.

    \b
    Example:
      gitcoord status
      gitcoord status --json
      gitcoord status --watch
    """
    writer = writer_here()
    if not watch:
        value = read(writer)
        if as_json:
            print_json(value)
        else:
            draw(lines(value, verbose=verbose))
        return
    with contextlib.suppress(KeyboardInterrupt):
        _watch(writer, as_json, verbose)


def read(writer: Writer) -> dict[str, Any]:
    """Return `gitcoord.status/1`, as this node last saw the fleet."""
    from gitcoord.node import status_cache
    from gitcoord.node.operations.status import status

    seen = status_cache.read(writer.home)
    if seen is None:  # a round was cut short before it wrote one
        from gitcoord.node.node import open_node

        with open_node(Path.cwd(), tell=tell) as node:
            seen = status_cache.compute(node.replica.branch, node.home)
        status_cache.save(writer.home, seen)
    return status(writer, seen)


def _watch(writer: Writer, as_json: bool, verbose: bool) -> None:
    if as_json:
        while True:
            print_json(read(writer))
            time.sleep(REDRAW_S)
    while not sys.stdout.isatty():
        draw(lines(read(writer), verbose=verbose))
        time.sleep(REDRAW_S)
    from rich.console import Console, Group
    from rich.live import Live

    with Live(console=Console(highlight=False), auto_refresh=False, screen=True) as live:
        while True:
            live.update(Group(*map(styled, lines(read(writer), verbose=verbose))), refresh=True)
            time.sleep(REDRAW_S)


def lines(value: dict[str, Any], *, verbose: bool = False) -> Iterator[Line]:
    """Yield the lines of the screen: what needs attention, the work, the agents; `verbose`: this node's own state."""
    for text in value["attention"]:
        yield ((f"! {text}", "bold yellow"),)
    if value["attention"]:
        yield ()
    for name, words in (*_work(value), *_fleet(value), *(_node(value) if verbose else ())):
        yield (f"{name:<9} ", "dim"), (words, "")
    yield from _agents(value["agents"])
    yield from _findings(value)
    if verbose:
        yield ()
        for name, path in value["paths"].items():
            yield (f"{name:<20} ", "dim"), (path, "")


def _work(value: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield rows about tasks, those first whose agents give no sign of life, reservations, messages and conflicts."""
    from gitcoord.core import times
    from gitcoord.core.text import count

    work = value["work"]
    stale = {one["task"]: one["note"] for one in value["stale"]}
    working = sorted(work["working"], key=lambda one: one["id"] not in stale)
    for one in working[:WORKING_SHOWN]:
        branch = f", on the branch {one['branch']}" if one["branch"] else ""
        share = f", {one['share']:.0%} done" if one["share"] else ""
        note = f": {stale[one['id']]}" if one["id"] in stale else ""
        since = times.shown(one["since"])
        yield (
            "task",
            f"{one['id'][:8]} {one['title']!r}: {one['agent']} since {since}, {one['status']}{share}{branch}{note}",
        )
    more = work["working_count"] - len(working[:WORKING_SHOWN])
    if more > 0:
        yield "task", f"{more} more that agents have: `gitcoord task list`"
    if not working:
        yield "task", "no agent has one"
    first = ", ".join(f"{one['id'][:8]} {one['title']!r} ({one['priority']})" for one in work["ready"][:READY_SHOWN])
    blocked = f"; {work['blocked_count']} more wait for other tasks" if work["blocked_count"] else ""
    yield "ready", (f"{count(work['ready_count'], 'task')}: {first}" if first else "no task") + blocked
    for one in work["reservations"][:RESERVED_SHOWN]:
        where = f" in the work tree {one['place']}" if one["place"] else ""
        why = f" ({one['why']})" if one["why"] else ""
        yield "reserved", f"{', '.join(one['paths'][:3])}: {one['agent']}{where} until {times.shown(one['until'])}{why}"
    more = len(work["reservations"]) - RESERVED_SHOWN
    if more > 0:
        yield "reserved", f"{more} more: `gitcoord reservations`"
    for agent, number in work["unread"].items():
        yield "unread", f"{count(number, 'message')} to {agent}: `gitcoord inbox --as '{agent}'`"
    for one in work["conflicts"]:
        yield "conflict", f"{one['a']} and {one['b']} ({one['severity']}) since {times.shown(one['since'])}"
    if work["conflicts_count"] > len(work["conflicts"]):
        yield "conflict", f"{work['conflicts_count'] - len(work['conflicts'])} more: `gitcoord conflict list`"


def _fleet(value: dict[str, Any]) -> Iterator[tuple[str, str]]:
    from gitcoord.core import times
    from gitcoord.core.text import count

    queue, leader, seen_s = value["queue"], value["leader"], value["seen_s"]
    if seen_s is None:
        yield "remote", "not seen yet"
    else:
        yield "remote", f"{'reached' if value['online'] else 'NOT reached'}, last seen {times.roughly(seen_s)} ago"
    if queue["events"]:
        waits = f"{queue['durable']} on the remote, the oldest for {times.roughly(queue['oldest_s'])}"
        yield "queue", f"{count(queue['events'], 'event')}, {waits}"
    yield (
        "leader",
        f"{leader['agent']} ({leader['state']}), term {leader['term']}, since position {leader['since']}"
        if leader
        else "nobody",
    )
    mirror = value["mirror"]
    if mirror:
        since = "never pushed" if mirror["pushed_s"] is None else f"pushed {times.roughly(mirror['pushed_s'])} ago"
        yield "mirror", f"{mirror['remote']}, {since}{', behind' * mirror['behind']}"


def _node(value: dict[str, Any]) -> Iterator[tuple[str, str]]:
    from gitcoord.core.text import count

    ledger, snapshot, budget = value["ledger"], value["snapshot"], value["pushes_per_minute"]
    yield "fleet", value["fleet"]
    yield "trust", f"{value['trust']}, or {value['trust_digest']}" if value["trust"] else "not known yet"
    yield "node", f"{value['node']}, {value['agent'] or 'no agent'}, profile {value['profile']}"
    yield "queue", "empty" if not value["queue"]["events"] else count(value["queue"]["events"], "event")
    yield "ledger", f"position {ledger['position']}, commit {(ledger['tip'] or 'none')[:12]}"
    yield "snapshot", f"position {snapshot['position']}, {snapshot['behind']} behind" if snapshot else "none yet"
    if budget:
        yield "pushes", f"at most {budget['fleet']:g} a minute, shared by {count(budget['nodes'], 'node')}"


def _findings(value: dict[str, Any]) -> Iterator[Line]:
    from gitcoord.core.text import cut
    from gitcoord.node.operations.status import TEXT_SHOWN, describe_finding

    for title, entries in (("errors", value["errors"]), ("void", value["void"])):
        for one in entries:
            if describe_finding(one) not in value["attention"]:
                words = f"{one['position'] or '-'} {one['actor']}, {one['time']}: {cut(one['text'], TEXT_SHOWN)}"
                yield (f"{title:<9} ", "dim"), (words, "")


def _agents(agents: list[dict[str, Any]]) -> Iterator[Line]:
    from gitcoord.core import times

    width = max((len(one["id"]) for one in agents), default=0)
    for one in agents:
        words = ["leads"] * one["leads"] + [one["role"]] * (one["role"] != "member") + ["runs here"] * one["runs_here"]
        words += [one["key"]] * (one["state"] == "waiting")
        words.append(f"seen {times.roughly(one['heard_s'])} ago on {one['node']}" if one["node"] else "writes only")
        yield (
            ("agent     ", "dim"),
            (f"{one['id']:<{width}}  ", ""),
            (f"{one['state']:<8}", STYLES.get(one["state"], "")),
            (f"  {', '.join(words)}", ""),
        )
