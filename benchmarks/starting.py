"""Figures of what a person or a client starts and waits for: how long it takes, and how much of the processor."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator

import fleets
from floors import python_pass
from measure import Check, Figure, Series, in_turns, processor_s
from options import Options
from running import LIMIT_S, Agent
from writing import WORDS

from gitcoord.mcp.calls import Calls
from gitcoord.node.node import open_node

TICKS = 4  # calls that are measured together: the system counts processor time in hundredths of a second


def waited(done: Callable[[], bool]) -> bool:
    """Whether it came to that in time."""
    until = time.monotonic() + LIMIT_S
    while not done() and time.monotonic() < until:
        time.sleep(0.05)
    return done()


def commands(options: Options) -> Iterator[Figure]:
    """--help, status, append --no-sync as whole processes"""
    fleets.fresh(options.folder).node.close()
    large = fleets.large(options.times(100_000, 400), options.folder / "large", options.cache)
    clone = options.folder / "alice"

    def whole(*words: str, at: object = clone) -> Callable[[], object]:
        command = fleets.command(clone if at is clone else large.clone, *words)
        return lambda: subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL)

    works = {
        "--help": (whole("--help"), 120.0),
        "status": (whole("status"), 250.0),
        "append --no-sync": (whole("append", "note", WORDS, "--no-sync"), 200.0),
        f"status, {large.events:,} events": (whole("status", at=large), 250.0),
        f"append --no-sync, {large.events:,} events": (whole("append", "note", WORDS, "--no-sync", at=large), 200.0),
    }
    floor, *ours = in_turns(options.times(25, 2), python_pass, *(work for work, _ in works.values()))
    beside = Series("python -c pass", "ms", floor)
    measured = [Series(f"gitcoord {name}", "ms", values) for name, values in zip(works, ours)]
    checks = [
        Check(f"{series.what} above it", series.median - beside.median, limit, "ms")
        for series, (_, limit) in zip(measured, works.values())
    ]
    yield Figure("commands", "commands as whole processes", measured, beside, checks)


def processor_time(options: Options) -> Iterator[Figure]:
    """task list, agent list, inbox, the commit hook and MCP reads, beside a running agent, in processor time"""
    member = fleets.fresh(options.folder)
    for number in range(options.times(200, 5)):
        member.node.append(member.node.draft("note", f"{WORDS} {number}", actor="alice"))
    member.sync()
    member.node.close()
    clone = options.folder / "alice"
    (clone / "a.txt").write_text("words\n", "utf-8")
    subprocess.run(["git", "add", "a.txt"], cwd=clone, check=True)

    def several(*words: str) -> Callable[[], object]:
        def work() -> None:
            for _ in range(TICKS):
                subprocess.run(fleets.command(clone, *words), check=True, capture_output=True, stdin=subprocess.DEVNULL)

        return work

    def floor() -> None:
        for _ in range(TICKS):
            python_pass()

    lists = {
        "task list": (several("task", "list"), 250.0),
        "agent list": (several("agent", "list"), 250.0),
        "inbox": (several("inbox"), 250.0),
        "hook pre-commit": (several("hook", "pre-commit"), 150.0),
    }
    calls = Calls(lambda: open_node(clone), "alice")
    agent = Agent(clone)
    try:
        if not waited(lambda: agent.led_at() is not None):
            raise RuntimeError(f"no agent led within {LIMIT_S:.0f} s")
        rounds, scale = options.times(3, 1), 1000.0 / TICKS
        works = [work for work, _ in lists.values()]
        beside_ms, *ours = in_turns(rounds, floor, *works, scale=scale, clock=processor_s)

        def read() -> None:
            for _ in range(TICKS):
                calls.call("task_show", {"action": "list"})

        [reads] = in_turns(2 * rounds, read, scale=scale, clock=processor_s)
    finally:
        calls.close()
        agent.kill()
    beside = Series("python -c pass", "ms", beside_ms)
    measured = [Series(f"gitcoord {name}", "ms", values) for name, values in zip(lists, ours)]
    limits = [limit for _, limit in lists.values()]
    checks = [
        Check(f"{one.what} above it", one.median - beside.median, limit, "ms") for one, limit in zip(measured, limits)
    ]
    measured.append(Series("an MCP read", "ms", reads))
    checks.append(Check("an MCP read", measured[-1].median, 20.0, "ms"))
    yield Figure("processor-time", "processor time beside a running agent", measured, beside, checks)
