"""The demo's last scenes: the pages for people, and whether every promise about the log was kept."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from pathlib import Path

from gitcoord.cli.demonstration.play import Play
from gitcoord.features.pages.snapshot import ARCHIVE, COMMUNICATION, parse_position


def snapshots(play: Play) -> None:
    """Show the leader's pages, and check that every clone renders the same ones."""
    stage, cast = play.stage, play.cast
    stage.title(
        7,
        "Snapshots",
        "The leader writes the newest conversations into the ledger branch, for people to read "
        "on the forge's web page; any clone renders the same bytes by itself.",
    )
    stage.until("the leader's page and every clone are up to date", lambda: settled(play), limit_s=20)
    stage.shell("git show origin/gitcoord/ledger:communication.md")
    page = stage.published(COMMUNICATION)
    for line in page.splitlines():
        stage.say(f"  | {line}")
    stage.shell("gitcoord snapshot --out pages")

    def render(agent: str) -> dict[str, bytes]:
        folder = stage.folder / f"{agent}-pages"
        stage.run(agent, "snapshot", "--out", str(folder))
        return read(folder)

    began = time.monotonic()
    rendered = stage.together(render, cast)
    same = all(one == rendered[0] for one in rendered)
    as_published = all(rendered[0][name].decode() == stage.published(name) for name in (COMMUNICATION, ARCHIVE))
    stage.promise(
        "the same pages in every clone and on the remote",
        f"{len(cast)} clones, {time.monotonic() - began:.1f} s",
        same and as_published,
    )


def settled(play: Play) -> bool:
    """Return whether the leader has nothing left to write, and all clones have seen that."""
    stage = play.stage
    tip = stage.tip()
    if any(stage.queued(agent) or stage.seen_tip(agent) != tip for agent in play.cast):
        return False
    fleet = play.view(play.cast[0]).fleet
    return parse_position(stage.published(COMMUNICATION)) == fleet.position


def read(folder: Path) -> dict[str, bytes]:
    """Read every rendered file, by its path in `folder`."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.md"))}


def verify(play: Play) -> None:
    """Check the whole log, by the command and against the events that were acknowledged to the demo."""
    stage, cast = play.stage, play.cast
    stage.title(
        8,
        "Verify",
        "Every line is signed and chained. `verify` recomputes everything from the first event: "
        "so anyone can detect a host or a leader that lies.",
    )
    stage.shell("gitcoord verify")
    began = time.monotonic()
    for line in stage.run(cast[0], "verify").splitlines()[:6]:
        stage.say(f"  {line}")
    stage.promise("verify finds nothing", f"{time.monotonic() - began:.1f} s", True)
    states = {hashlib.sha256(json.dumps(play.view(agent).fleet.dump()).encode()).hexdigest() for agent in cast}
    seen = f"{len(cast)} clones, " + ("all equal" if len(states) == 1 else f"{len(states)} different states")
    stage.promise("every clone has the same state", seen, len(states) == 1)
    _exactly_once(play)
    _one_leader_a_term(play)


def _exactly_once(play: Play) -> None:
    stage, fleet = play.stage, play.view(play.cast[0]).fleet
    events = play.events(play.cast[0])
    times = Counter(event.uid for _, event in events)
    chains: dict[str, int] = {}
    in_order = True
    for _, event in events:
        if event.seq is not None:
            in_order = in_order and event.seq == chains.get(event.node, 0) + 1
            chains[event.node] = event.seq
    found = sum(times[uid] == 1 and uid in fleet.positions for uid in stage.acknowledged)
    stage.promise(
        "each acknowledged event is in the log once, in the order of its clone",
        f"{found} of {len(stage.acknowledged)} acknowledged, among {len(events)} events",
        found == len(stage.acknowledged) and in_order and max(times.values()) == 1,
    )


def _one_leader_a_term(play: Play) -> None:
    fleet = play.view(play.cast[0]).fleet
    terms = [
        event.term
        for position, event in play.events(play.cast[0])
        if event.type == "leader_election" and fleet.positions.get(event.uid) == position
    ]
    play.stage.promise(
        "one leader a term, and terms only grow",
        ", ".join(map(str, terms)),
        terms == sorted(set(terms), key=lambda term: term or 0),
    )


def goodbye(play: Play) -> None:
    """Stop the agents, and check that each says goodbye."""
    stage = play.stage
    stage.title(
        9,
        "Goodbye",
        "SIGTERM or Ctrl-C ends an agent with a goodbye, so that no agent waits for it; a leader resigns first.",
    )
    seconds = stage.goodbye()
    stage.promise("every agent says goodbye", f"{seconds:.1f} s", True)
