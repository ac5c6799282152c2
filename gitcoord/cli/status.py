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

STYLES = {"alive": "green", "late": "yellow", "gone": "red", "waiting": "yellow"}


@click.command("status")
@click.option("--watch", is_flag=True, help="Refresh each second, until Ctrl-C")
@json_option
def command(watch: bool, as_json: bool) -> None:
    """Show what needs attention, and the state of the fleet.

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
            draw(lines(value))
        return
    with contextlib.suppress(KeyboardInterrupt):
        _watch(writer, as_json)


def read(writer: Writer) -> dict[str, Any]:
    """Return `gitcoord.status/1`, as this node last saw the fleet."""
    from gitcoord.node import status_cache
    from gitcoord.node.operations.status import status

    seen = status_cache.read(writer.home)
    if seen is None:  # a round was cut short before it wrote one
        from gitcoord.node.node import open_node

        with open_node(Path.cwd(), tell=tell) as node:
            seen = status_cache.compute(node.replica.branch, node.disk.node)
        status_cache.save(writer.home, seen)
    return status(writer, seen)


def _watch(writer: Writer, as_json: bool) -> None:
    if as_json:
        while True:
            print_json(read(writer))
            time.sleep(REDRAW_S)
    while not sys.stdout.isatty():
        draw(lines(read(writer)))
        time.sleep(REDRAW_S)
    from rich.console import Console, Group
    from rich.live import Live

    with Live(console=Console(highlight=False), auto_refresh=False, screen=True) as live:
        while True:
            live.update(Group(*map(styled, lines(read(writer)))), refresh=True)
            time.sleep(REDRAW_S)


def lines(value: dict[str, Any]) -> Iterator[Line]:
    """Yield the lines of the screen."""
    from gitcoord.core import times
    from gitcoord.core.text import count, cut
    from gitcoord.node.operations.status import TEXT_SHOWN, describe_finding

    for text in value["attention"]:
        yield ((f"! {text}", "bold yellow"),)
    if value["attention"]:
        yield ()
    queue, ledger, leader, snapshot = value["queue"], value["ledger"], value["leader"], value["snapshot"]
    seen = "never" if value["seen_s"] is None else f"{times.roughly(value['seen_s'])} ago"
    rows = [
        ("fleet", value["fleet"]),
        ("trust", f"{value['trust']}, or {value['trust_digest']}" if value["trust"] else "not known yet"),
        ("node", f"{value['node']}, {value['agent'] or 'no agent'}, profile {value['profile']}"),
        ("remote", f"{'reached' if value['online'] else 'NOT reached'}, last seen {seen}"),
        (
            "queue",
            f"{count(queue['events'], 'event')}, {queue['durable']} on the remote, the oldest for "
            f"{times.roughly(queue['oldest_s'])}"
            if queue["events"]
            else "empty",
        ),
        ("ledger", f"position {ledger['position']}, commit {(ledger['tip'] or 'none')[:12]}"),
        (
            "leader",
            f"{leader['agent']} ({leader['state']}), term {leader['term']}, since position {leader['since']}"
            if leader
            else "nobody",
        ),
        ("snapshot", f"position {snapshot['position']}, {snapshot['behind']} behind" if snapshot else "none yet"),
    ]
    if value["mirror"]:
        mirror = value["mirror"]
        since = "never pushed" if mirror["pushed_s"] is None else f"pushed {times.roughly(mirror['pushed_s'])} ago"
        rows.append(("mirror", f"{mirror['remote']}, {since}{', behind' * mirror['behind']}"))
    if value["pushes_per_minute"]:
        budget = value["pushes_per_minute"]
        rows.append(("pushes", f"at most {budget['fleet']:g} a minute, shared by {count(budget['nodes'], 'node')}"))
    for name, words in rows:
        yield (f"{name:<9} ", "dim"), (words, "")
    yield from _agents(value["agents"])
    for title, entries in (("errors", value["errors"]), ("void", value["void"])):
        for one in entries:
            if describe_finding(one) in value["attention"]:
                continue
            words = f"{one['position'] or '-'} {one['actor']}, {one['time']}: {cut(one['text'], TEXT_SHOWN)}"
            yield (f"{title:<9} ", "dim"), (words, "")
    yield ()
    for name, path in value["paths"].items():
        yield (f"{name:<20} ", "dim"), (path, "")


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
