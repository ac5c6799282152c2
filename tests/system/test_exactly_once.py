"""Sixteen writers in four clones, killed at random, the remote away for a while: acknowledged ⊆ ledger ⊆ attempted."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from gitcoord.node import ledger_pages
from tests.http_remote import HttpRemote
from tests.system.fleet import Agent, Clone, Fleet
from tests.waiting import wait_until

CLONES, WRITERS, EVENTS = 4, 4, 12
KILL_EVERY_S = 1.0
OUTAGE_S = 3.0
KILLS_MIN = 8
KILLS_MAX = 40  # a machine that needs longer than this to start a writer would never end


@pytest.mark.timeout(300)
def test_nothing_is_lost_doubled_or_out_of_order(tmp_path: Path) -> None:
    with HttpRemote(tmp_path / "server") as server, Fleet(tmp_path / "fleet", server.make()) as fleet:
        clones = [fleet.clone(f"clone{number}") for number in range(CLONES)]
        writers = {f"w{number}x{at}": clone for number, clone in enumerate(clones) for at in range(WRITERS)}
        kills = Torment(fleet, writers, tmp_path).run(server)
        assert kills >= KILLS_MIN
        for clone in [*clones, *clones]:
            wait_until(partial(drained, clone), what="queues to drain")
        check(clones, writers, tmp_path)


class Torment:
    def __init__(self, fleet: Fleet, writers: dict[str, Clone], folder: Path) -> None:
        self.fleet, self.writers, self.folder = fleet, writers, folder
        self.rng = random.Random(4)
        self.running = {agent: self.start(agent) for agent in writers}

    def start(self, agent: str) -> Agent:
        clone = self.writers[agent]
        return clone.launch("-m", "tests.system.writer", str(clone.path), agent, str(EVENTS), str(self.folder))

    def run(self, server: HttpRemote) -> int:
        """Until all writers have ended by themselves; returns how many were killed."""
        kills, next_kill_s = 0, time.monotonic() + KILL_EVERY_S
        outage = threading.Thread(target=self.interrupt, args=(server,))
        outage.start()
        while self.running:
            for agent, process in list(self.running.items()):
                code = process.process.poll()
                if code == 0:
                    del self.running[agent]
                elif code is not None:
                    assert code in (3, 4), f"{agent} ended with {code}: {process.complaint()}"
                    self.running[agent] = self.start(agent)
            if time.monotonic() >= next_kill_s and self.running and kills < KILLS_MAX:
                agent = self.rng.choice(sorted(self.running))
                self.running[agent].kill()
                self.running[agent] = self.start(agent)
                kills, next_kill_s = kills + 1, time.monotonic() + KILL_EVERY_S
            time.sleep(0.02)
        outage.join()
        return kills

    def interrupt(self, server: HttpRemote) -> None:
        wait_until(
            lambda: sum(1 for _ in self.folder.glob("*.acknowledged")) >= WRITERS, what="some writers to be at work"
        )
        with server.outage():
            time.sleep(OUTAGE_S)  # it is away for three seconds: that is the fault, not a wait


def drained(clone: Clone) -> bool:
    with clone.node() as node:
        node.sync()
        return not node.disk.pending()


def check(clones: list[Clone], writers: dict[str, Clone], folder: Path) -> None:
    pages, states = set(), set()
    ledgers = []
    for clone in clones:
        lines = clone.lines()
        ledgers.append(lines)
        with clone.node() as node:
            states.add(json.dumps(node.fleet.dump(), sort_keys=True))
            pages.add(tuple(sorted(ledger_pages.render(node.replica.branch).items())))
    assert len(pages) == len(states) == 1 and all(lines == ledgers[0] for lines in ledgers)
    events = [json.loads(line) for line in ledgers[0]]
    held = [event["content"] for event in events if event["type"] == "note"]
    attempted = lines_of(folder, "attempted", writers)
    acknowledged = lines_of(folder, "acknowledged", writers)
    assert set(acknowledged) <= set(held) <= set(attempted)
    assert max(Counter(held).values()) == 1
    assert len(held) >= CLONES * WRITERS * EVENTS - 200 and len(acknowledged) > 0.9 * CLONES * WRITERS * EVENTS
    for agent in writers:  # each author's own order
        mine = [int(content.split()[1]) for content in held if content.split()[0] == agent]
        assert mine == sorted(mine)
    for name in {event["node"] for event in events}:  # each node's chain is contiguous
        seqs = [event["seq"] for event in events if event["node"] == name and "seq" in event]
        assert seqs == list(range(1, len(seqs) + 1))
    clones[0].run("verify")


def lines_of(folder: Path, name: str, agents: dict[str, Clone]) -> list[str]:
    return [line for agent in agents for line in (folder / f"{agent}.{name}").read_text().splitlines()]
