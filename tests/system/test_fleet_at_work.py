"""Eight agents on four clones do 70 tasks that depend on each other, while SIGKILL takes one after another."""

from __future__ import annotations

import random
import shlex
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitcoord.core.format.event import Draft
from gitcoord.node.node import Node
from tests.system.fleet import Agent, Clone, Fleet
from tests.waiting import wait_until

LAYERS, WIDTH = 5, 14
KILLS = 6
SEED = 11

# What a task's command does: it writes down that it was done, in one write, and takes a moment.
WORK = """
import json, os, random, sys, time
task = json.load(sys.stdin)
time.sleep(random.uniform(0.01, 0.2))
line = f"{task['id']} {task['attempt']} {os.environ['GITCOORD_AGENT']}\\n"
done = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
os.write(done, line.encode())
print("done by", os.environ["GITCOORD_AGENT"])
"""


@pytest.fixture
def local(fleet: Fleet) -> Iterator[dict[str, Clone]]:
    """By agent: its clone; two agents in each."""
    clones = {}
    for number in range(4):
        first, second = f"agent{2 * number}", f"agent{2 * number + 1}"
        clone = fleet.clone(f"clone{number}", agent=first)
        clone.run("init", "--agent", second)
        clones |= {first: clone, second: clone}
    yield clones


def start(clone: Clone, agent: str, work: Path, done: Path) -> Agent:
    words = f"{shlex.quote(sys.executable)} {shlex.quote(str(work))} {shlex.quote(str(done))}"
    return clone.launch(
        "-m",
        "gitcoord",
        "agent",
        "run",
        "--json-logs",
        "--id",
        agent,
        "--capabilities",
        "python",
        "--slots",
        "3",
        "--exec",
        words,
        "--drain",
        "5",
    )


def tasks(node: Node, rng: random.Random) -> list[Draft]:
    """Layers of tasks, each after one to three of the layer before."""
    layers: list[list[Draft]] = []
    for number in range(LAYERS):
        layers.append(
            [
                node.draft(
                    "task_created",
                    f"Task {number}.{place}",
                    actor="agent0",
                    data={
                        "title": f"Task {number}.{place}",
                        "needs": ["python"],
                        "attempts_max": 50,
                        "after": [one.event_uid for one in rng.sample(layers[-1], rng.randint(1, 3))] if layers else [],
                    },
                )
                for place in range(WIDTH)
            ]
        )
    return [draft for layer in layers for draft in layer]


@pytest.mark.timeout(400)
def test_every_task_is_done_once_in_effect_although_agents_are_killed(
    fleet: Fleet, local: dict[str, Clone], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = random.Random(SEED)
    work, done = tmp_path / "work.py", tmp_path / "done"
    work.write_text(WORK)
    running = {agent: start(clone, agent, work, done) for agent, clone in local.items()}
    with local["agent0"].node() as node:
        drafts = tasks(node, rng)
        began_s = time.monotonic()
        node.append(*drafts)
        wanted = [draft.event_uid for draft in drafts]

        def finished() -> int:
            state = node.fleet.states["tasks"].tasks
            return sum(uid in state and state[uid].status == "done" for uid in wanted)

        for kill in range(KILLS):
            goal = (kill + 1) * len(wanted) // (KILLS + 2)
            wait_until(lambda: finished() >= goal, what=f"{goal} tasks to be done")
            # The leader is one of those that are killed, every other time.
            victim = node.fleet.terms.leader if kill % 2 else rng.choice(sorted(running))
            assert victim is not None
            running[victim].kill()
            running[victim] = start(local[victim], victim, work, done)
        wait_until(lambda: finished() == len(wanted), what="all tasks to be done")
        took_s = time.monotonic() - began_s
        state = node.fleet.states["tasks"].tasks
        effects = Counter(
            event.re
            for _, event in node.events()
            if event.type == "task_finished" and event.uid not in node.fleet.refusals
        )
        events, pushes = node.fleet.position, commits(fleet)
    assert effects == Counter(wanted)
    assert all(sum(attempt.outcome == "done" for attempt in state[uid].attempts) == 1 for uid in wanted)
    lines = [tuple(line.split()) for line in done.read_text().splitlines()]
    assert {uid for uid, _, _ in lines} == set(wanted)
    assert len(set(lines)) == len(lines), Counter(lines).most_common(3)  # no attempt was made twice
    attempts = Counter(state[uid].attempt for uid in wanted)
    for agent in running.values():
        assert agent.terminate() == 0
    with capsys.disabled():
        print(
            f"\n{len(wanted)} tasks in {took_s:.1f} s with {KILLS} kills: {events} events in {pushes} pushes "
            f"of the ledger, attempts {dict(sorted(attempts.items()))}"
        )


def commits(fleet: Fleet) -> int:
    """Of the ledger on the remote: each came with a push of its own."""
    said = subprocess.run(
        ["git", "-C", fleet.url, "rev-list", "--count", "--first-parent", "gitcoord/ledger"],
        check=True,
        capture_output=True,
        text=True,
    )
    return int(said.stdout)
