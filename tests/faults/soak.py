"""The soak: writers and running agents in several clones, killed at random, the remote away at random; then the books.

With a hostile member beside them (`hostile_member.py`) the books are those of the honest ones, and hold all the same.
Run by `scripts/soak`; a test runs a short one of each kind.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gitcoord.core.errors import GitcoordError
from gitcoord.node import ledger_pages
from tests.faults.hostile_books import HostileBooks
from tests.http_remote import HttpRemote
from tests.system.fleet import Agent, Clone, Fleet

KILL_EVERY_S = (0.5, 4.0)  # a writer needs a second to begin
OUTAGE_EVERY_S = (2.0, 15.0)
OUTAGE_S = (0.5, 6.0)
TELL_EVERY_S = 60.0
DRAIN_S = 240.0
HOSTILE_ACTS_MIN = 8
ENDS = {3, 4}  # exit codes of who could not join now
ENDS_BY_FOREIGN_LEDGER = {6}  # or at that moment met another fleet's ledger; who runs as an agent goes on
STORY_LINES = 60  # shown of what happened, the newest
ALONE = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}


@dataclass
class Soak:
    """One run. `story` tells what was done to the fleet, with seconds since the start."""

    folder: Path
    seconds: float
    agents: int
    nodes: int
    seed: int
    over_http: bool = True
    is_hostile: bool = False  # whether a hostile member is there too
    story: list[str] = field(default_factory=list)
    kills: int = 0
    outages: int = 0
    wrong: list[str] = field(default_factory=list)

    def run(self) -> bool:
        """Whether all is well; what is not is in `wrong`."""
        self.rng = random.Random(self.seed)
        self.began_s = time.monotonic()
        with contextlib.ExitStack() as stack:
            self.server = stack.enter_context(HttpRemote(self.folder / "server")) if self.over_http else None
            url = self.server.make() if self.server else ""
            self.fleet = stack.enter_context(Fleet(self.folder / "fleet", url))
            self._populate()
            weather = threading.Thread(target=self._weather, daemon=True)
            weather.start()
            self._torment()
            weather.join()
            self._recover()
            self._drain()
            self._account()
        return not self.wrong

    def _populate(self) -> None:
        self.clones = [self.fleet.clone(f"clone{number}") for number in range(self.nodes)]
        self.writers = {f"w{number}": self.clones[number % self.nodes] for number in range(self.agents)}
        for agent, clone in self.writers.items():
            clone.run("init", "--agent", agent)
        self.hostile = HostileBooks(self.fleet, self.clones, self.folder, self.seed) if self.is_hostile else None
        if self.hostile is not None:
            self.hostile.start()
        self.running: dict[str, Agent] = {}
        self.began_s = time.monotonic()
        self.end_s = self.began_s + self.seconds
        for name in (*self.writers, *(clone.agent for clone in self.clones)):
            self._start(name)
        self.note(f"{self.agents} writers and {self.nodes} running agents in {self.nodes} clones, seed {self.seed}")

    def _start(self, name: str) -> None:
        if name in self.writers:
            clone = self.writers[name]
            words = ["-m", "tests.system.writer", str(clone.path), name, str(10**9), str(self.folder)]
        else:
            clone = next(clone for clone in self.clones if clone.agent == name)
            words = ["-m", "gitcoord", "agent", "run", "--json-logs", "--id", name]
        self.running[name] = clone.launch(*words)

    def note(self, what: str) -> None:
        self.story.append(f"{time.monotonic() - self.began_s:7.1f} s  {what}")

    # What is done to it

    def _torment(self) -> None:
        next_kill_s = time.monotonic() + 1
        next_told_s = self.began_s + TELL_EVERY_S
        while (now_s := time.monotonic()) < self.end_s or self._is_too_early(now_s):
            for name, process in list(self.running.items()):
                code = process.process.poll()
                if code is not None:
                    self._ended(name, process, code)
            if now_s >= next_kill_s:
                name = self.rng.choice(sorted(self.running))
                self.running[name].kill()
                self.kills += 1
                self.note(f"killed {name}")
                self._start(name)
                next_kill_s = now_s + self.rng.uniform(*KILL_EVERY_S)
            if now_s >= next_told_s:
                self._tell()
                next_told_s += TELL_EVERY_S
            time.sleep(0.02)
        for name, process in self.running.items():
            process.kill()
        if self.hostile is not None:
            self.wrong += self.hostile.stop()
        self.note("all are killed")

    def _is_too_early(self, now_s: float) -> bool:
        """Whether the hostile member, on a busy machine, has hardly begun."""
        return self.hostile is not None and self.hostile.acted() < HOSTILE_ACTS_MIN and now_s < self.end_s + DRAIN_S

    def _ended(self, name: str, process: Agent, code: int) -> None:
        said = process.complaint()
        self.note(f"{name} ended with {code}: {said[-300:]}")
        borne = ENDS | (ENDS_BY_FOREIGN_LEDGER if self.hostile is not None and name in self.writers else set())
        if code not in borne or "Traceback" in said:
            self.wrong.append(f"{name} ended by itself with {code}: {said[-2000:]}")
        self._start(name)

    def _weather(self) -> None:
        """The remote's: it refuses, it fails, it cuts the line, for a while."""
        if self.server is None:
            return
        rng = random.Random(self.seed + 1)
        while True:
            time.sleep(max(0.0, min(rng.uniform(*OUTAGE_EVERY_S), self.end_s - time.monotonic())))
            length_s = min(rng.uniform(*OUTAGE_S), self.end_s - time.monotonic())
            if length_s <= 0:
                return
            kind = rng.choice(["outage", "outage", "502", "429", "cut", "answer cut", "slow"])
            self.note(f"{kind} for {length_s:.1f} s")
            self.outages += 1
            with self._fault(kind, rng):
                time.sleep(length_s)

    @contextlib.contextmanager
    def _fault(self, kind: str, rng: random.Random) -> Iterator[None]:
        assert self.server is not None
        if kind == "outage":
            with self.server.outage():
                yield
        elif kind == "slow":
            with self.server.delay(0.5):
                yield
        elif kind.endswith("cut"):
            with self.server.cut(rng.randrange(300), times=None, applied=kind == "answer cut"):
                yield
        else:
            with self.server.respond(int(kind), times=None):
                yield

    # The books

    def lines(self, kind: str) -> list[str]:
        """What the writers noted: "attempted" or "acknowledged"."""
        found = []
        for agent in self.writers:
            path = self.folder / f"{agent}.{kind}"
            found += [line for line in path.read_text().split("\n")[:-1]] if path.exists() else []
        return found

    def _tell(self) -> None:
        minutes = (time.monotonic() - self.began_s) / 60
        print(
            f"{minutes:5.1f} min: {len(self.lines('acknowledged'))} acknowledged of {len(self.lines('attempted'))} "
            f"attempted, {self.kills} killed, {self.outages} bad times of the remote, {len(self.wrong)} complaints",
            flush=True,
        )

    def _recover(self) -> None:
        """Let the agents that run repair what a hostile member left: then `verify` finds nothing else of anybody's."""
        if self.hostile is None:
            return
        names = [clone.agent for clone in self.clones]
        for name in names:
            self._start(name)
        deadline_s = time.monotonic() + DRAIN_S
        while others := self.hostile.others_findings(self.clones[0]):
            if time.monotonic() > deadline_s:
                self.wrong.append(f"verify finds, {DRAIN_S:g} s after the hostile member has gone: {others}")
                break
            time.sleep(1)
        for name in names:
            code = self.running[name].terminate()
            self._expect(code == 0, f"{name}, told to end, ended with {code}", self.running[name].complaint())

    def _drain(self) -> None:
        """Sync each clone until all know the same ledger, twice in a row, and nothing waits."""
        deadline_s = time.monotonic() + DRAIN_S
        before: set[str | None] = set()
        while True:
            tips = {self._drained(clone) for clone in self.clones}
            if len(tips) == 1 and None not in tips and tips == before:
                return
            if time.monotonic() > deadline_s:
                self.wrong.append(f"the queues do not drain in {DRAIN_S:g} s")
                return
            before = tips
            time.sleep(0.2)

    def _drained(self, clone: Clone) -> str | None:
        """The ledger's tip after a round of this clone's; None while it failed, or something waits."""
        try:
            with clone.node() as node:
                node.sync()
                return node.home.tip if not node.disk.pending() else None
        except GitcoordError as wrong:
            self.note(f"{clone.path.name}: {wrong}")
            return None

    def _account(self) -> None:
        ledgers, states, pages = [], set(), set()
        for clone in self.clones:
            ledgers.append(clone.lines())
            with clone.node() as node:
                states.add(json.dumps(node.fleet.dump(), sort_keys=True))
                pages.add(tuple(sorted(ledger_pages.render(node.replica.branch).items())))
        if any(lines != ledgers[0] for lines in ledgers) or len(states) > 1 or len(pages) > 1:
            self.wrong.append(
                f"the clones differ: {len(states)} states, {len(pages)} pages, "
                f"{sorted({len(lines) for lines in ledgers})} lines"
            )
        events = [json.loads(line) for line in ledgers[0]]
        honest = [event for event in events if self.hostile is None or self.hostile.is_honest(event)]
        held = [event["content"] for event in honest if event["type"] == "note"]
        attempted, acknowledged = set(self.lines("attempted")), set(self.lines("acknowledged"))
        self.figures = (
            f"{len(acknowledged)} acknowledged, {len(held)} in the ledger, {len(attempted)} attempted, "
            f"{len(events)} events, {self.kills} killed, {self.outages} bad times of the remote"
        )
        self._expect(not acknowledged - set(held), "acknowledged and lost", acknowledged - set(held))
        self._expect(not set(held) - attempted, "never attempted", set(held) - attempted)
        twice = [content for content, times in Counter(held).items() if times > 1]
        self._expect(not twice, "sequenced twice", twice)
        for name in {event["node"] for event in events}:
            seqs = [event["seq"] for event in events if event["node"] == name and "seq" in event]
            self._expect(seqs == list(range(1, len(seqs) + 1)), f"{name} is out of order", seqs)
        for agent in self.writers:
            mine = [int(content.split()[1]) for content in held if content.split()[0] == agent]
            self._expect(mine == sorted(mine), f"{agent} is out of order", mine)
        for process in self.fleet.agents:  # those too that were killed
            self._expect(
                "Traceback" not in process.complaint(), f"a traceback in {process.errors}", process.complaint()
            )
        if self.hostile is None:
            done = self.clones[0].run("verify", code=None)
            self._expect(done.returncode == 0, "verify found something", [done.stdout, done.stderr])
            return
        self.figures += f", {self.hostile.figures(events)}"
        with self.clones[0].node() as node:
            self.wrong += self.hostile.check(node.fleet, events, acknowledged)

    def _expect(self, fine: bool, what: str, which: object) -> None:
        if not fine:
            self.wrong.append(f"{what}: {str(which)[:2000]}")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--agents", type=int, default=8, help="writers")
    parser.add_argument("--nodes", type=int, default=3, help="clones, each with an agent that runs beside its writers")
    parser.add_argument("--seed", type=int, default=None, help="of the kills and the weather")
    parser.add_argument("--remote", choices=("http", "file"), default="http")
    parser.add_argument("--hostile", action="store_true", help="a hostile member, too")
    parser.add_argument("--folder", type=Path, default=None, help="kept; else it is removed when all is well")
    asked = parser.parse_args(arguments)
    for name in [name for name in os.environ if name.startswith(("GIT_", "GITCOORD_"))]:
        del os.environ[name]  # nobody's settings or credentials
    os.environ |= ALONE
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="gitcoord-soak-"))
    folder.mkdir(parents=True, exist_ok=True)
    seed = asked.seed if asked.seed is not None else random.SystemRandom().randrange(10**6)
    soak = Soak(folder, 60 * asked.minutes, asked.agents, asked.nodes, seed, asked.remote == "http", asked.hostile)
    if soak.run():
        print(f"all is well: {soak.figures} (seed {seed})")
        if asked.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
        return 0
    print(
        "\n".join(
            [
                "what happened:",
                *soak.story[-STORY_LINES:],
                "",
                "what is wrong:",
                *soak.wrong,
                "",
                f"all of it is in {folder}; again: scripts/soak --seed {seed} --minutes {asked.minutes:g} "
                f"--agents {asked.agents} --nodes {asked.nodes} --remote {asked.remote}"
                f"{' --hostile' if asked.hostile else ''}",
            ]
        ),
        file=sys.stderr,
    )
    return 1
