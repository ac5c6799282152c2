"""Figures of agents that run: how soon a dead leader is replaced, what they push, and what they take of the machine."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import fleets
import psutil
from measure import Check, Figure, Series, quantile, took
from options import Options
from writing import WORDS, http_server

from gitcoord.core.leadership.timings import PROFILES
from gitcoord.node.membership.api import Member

LIMIT_S = 300.0  # for anything that is waited for; several times what is promised


class Agent:
    """`gitcoord agent run` in a clone; each line that it logs is kept with the moment of its arrival."""

    def __init__(self, clone: Path, *options: str) -> None:
        self.lines: list[tuple[float, dict[str, str]]] = []
        self.process = subprocess.Popen(
            fleets.command(clone, "agent", "run", "--json-logs", *options),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with contextlib.suppress(ValueError):
                self.lines.append((time.monotonic(), json.loads(line)))

    def led_at(self) -> float | None:
        """When it last said that it leads; None when the last that it said of leaders is something else."""
        of_leaders = [(moment, line["text"]) for moment, line in self.lines if line.get("kind") == "leader"]
        return of_leaders[-1][0] if of_leaders and of_leaders[-1][1].endswith("(here)") else None

    def said(self, kind: str) -> bool:
        return any(line.get("kind") == kind for _, line in self.lines)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(5)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(30)
        self.kill()


@contextlib.contextmanager
def agents(clones: Sequence[Path], *options: str) -> Iterator[list[Agent]]:
    running = [Agent(clone, *options) for clone in clones]
    try:
        yield running
    finally:
        for agent in running:
            if agent.process.poll() is None:
                agent.process.send_signal(signal.SIGTERM)
        for agent in running:
            agent.end()


def until(ctx: Callable[[], bool], what: str, limit_s: float = LIMIT_S) -> None:
    deadline = time.monotonic() + limit_s
    while not ctx():
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited {limit_s:g} s for {what}")
        time.sleep(0.005)


# Failover


def failover(options: Options) -> Iterator[Figure]:
    """failover after SIGKILL, profiles local and lan"""
    yield _failover(options, "local", options.times(50, 2))
    if not options.quick:
        yield _failover(options, "lan", 10)


def _failover(options: Options, profile: str, times: int) -> Figure:
    folder = options.folder / profile
    names = ["alice", "bob", "carol"]
    travel = Series("one round", "s", [])
    for name in names:
        with fleets.fresh(folder, name, profile=profile) as member:
            travel.values += [took(lambda: member.append("note", WORDS, wait="sequenced")) for _ in range(3)]
    bound = PROFILES[profile].bound_s(travel.median)
    found = Series("from SIGKILL until another one leads", "s", [])
    with agents([folder / name for name in names]) as running:
        until(lambda: all(agent.said("start") for agent in running), "agents to start")
        for _ in range(times):
            until(lambda: any(agent.led_at() for agent in running), "a leader")
            time.sleep(3 * PROFILES[profile].poll_s)  # the restarted one has been heard of, and counts polls
            [place] = [place for place, agent in enumerate(running) if agent.led_at()][:1]
            others = [agent for agent in running if agent is not running[place]]
            killed = time.monotonic()
            running[place].kill()
            until(lambda: any((agent.led_at() or 0) > killed for agent in others), "a successor")
            found.values.append(max(agent.led_at() or 0 for agent in others) - killed)
            running[place] = Agent(folder / names[place])
            until(lambda: running[place].said("start"), "the killed agent to start again")
    return Figure(
        f"failover-{profile}",
        f"failover after SIGKILL, profile {profile}, {times} runs, 3 nodes, file://",
        [found],
        None,
        [Check("maximum, of the computed bound", max(found.values), round(bound, 2), "s")],
        [f"the computed bound is {bound:.2f} s, with a measured round of {travel.median:.2f} s"],
    )


# Pushes a minute


def pushes(options: Options) -> Iterator[Figure]:
    """pushes a minute of ten agents, profile github (with --long)"""
    if not (options.long or options.quick):
        return
    warm_up_s, minutes = options.times(180, 2), options.times(6.0, 0.1)
    scenes = [(nodes, speaking) for nodes in (1, 4) for speaking in (False, True)]
    results: dict[tuple[int, bool], Figure] = {}
    failed: list[BaseException] = []

    def play(scene: tuple[int, bool]) -> None:
        try:
            results[scene] = _scene(options.folder / f"{scene[0]}-{scene[1]}", *scene, warm_up_s, minutes)
        except BaseException as wrong:
            failed.append(wrong)

    threads = [threading.Thread(target=play, args=(scene,)) for scene in scenes]  # all four wait most of the time
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    yield from (results[scene] for scene in scenes)


def _scene(folder: Path, nodes: int, speaking: bool, warm_up_s: float, minutes: float) -> Figure:
    names = [f"agent{number}" for number in range(10)]
    folder.mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        url, server = stack.enter_context(http_server(folder))
        homes: list[tuple[Path, list[str]]] = []
        for number in range(nodes):
            mine = names[number::nodes]
            with fleets.fresh(folder, mine[0], url=url, profile="local"):
                pass
            for name in mine[1:]:
                fleets.run(folder / mine[0], "init", "--agent", name)
            homes.append((folder / mine[0], mine))
        running = []
        for clone, mine in homes:
            ids = [word for name in mine for word in ("--id", name)]
            running += stack.enter_context(agents([clone], "--profile", "github", *ids))
        until(lambda: all(agent.said("start") for agent in running), "agents to start")
        latencies: list[float] = []
        stop = threading.Event()
        members = [stack.enter_context(fleets.open_again(clone, mine[0])) for clone, mine in homes]
        talk = threading.Thread(target=_talk, args=(members, [mine for _, mine in homes], speaking, latencies, stop))
        talk.start()
        try:
            time.sleep(warm_up_s)
            before, began = _count(server), time.monotonic()
            latencies.clear()
            time.sleep(minutes * 60)
            pushed, passed_s = _count(server) - before, time.monotonic() - began
        finally:
            stop.set()
            talk.join()
    measured = [Series("pushes a minute, all nodes together", "/min", [pushed / passed_s * 60])]
    if latencies:
        measured.append(Series("from append to SEQUENCED", "s", list(latencies)))
    words = "each writing an event a second" if speaking else "idle"
    notes = [f"95 % of the events within {quantile(latencies, 0.95):.0f} s"] if latencies else []
    return Figure(
        f"pushes-{nodes}-{'busy' if speaking else 'idle'}",
        f"10 agents on {nodes} node{'s' * (nodes > 1)}, profile github, {words}",
        measured,
        None,
        [Check("pushes a minute, GitHub's recommended limit", measured[0].median, 6.0, "/min")],
        notes,
    )


def _talk(
    members: Sequence[Member],
    names: Sequence[Sequence[str]],
    speaking: bool,
    latencies: list[float],
    stop: threading.Event,
) -> None:
    """Each agent writes an event a second; how long until its node knows its place."""
    waiting: list[list[tuple[int, float]]] = [[] for _ in members]
    due = time.monotonic()
    while not stop.is_set():
        if speaking and time.monotonic() >= due:
            due += 1.0
            for member, mine, queue in zip(members, names, waiting):
                drafts = [member.node.draft("note", WORDS, actor=name) for name in mine]
                queue += [(event.seq or 0, time.monotonic()) for event in member.node.append(*drafts)]
        for member, queue in zip(members, waiting):
            reached = member.node.home.progress().sequenced
            while queue and queue[0][0] <= reached:
                latencies.append(time.monotonic() - queue.pop(0)[1])
        stop.wait(0.05)


def _count(server: subprocess.Popen[str]) -> int:
    assert server.stdin is not None and server.stdout is not None
    server.stdin.write("\n")
    server.stdin.flush()
    return int(server.stdout.readline())


# What it takes of the machine


def resident(options: Options) -> Iterator[Figure]:
    """resident memory of agent run at 100,000 events, and processor time when idle"""
    events = options.times(100_000, 400)
    for profile, limit, seconds in (("local", 1.0, options.times(60, 2)), ("github", 0.2, options.times(120, 2))):
        large = fleets.large(events, options.folder / profile, options.cache)
        with agents([large.clone], "--profile", profile) as [agent]:
            until(lambda: agent.led_at() is not None, "the agent to lead")
            time.sleep(options.times(10, 1))
            process = psutil.Process(agent.process.pid)
            before, began = _processor_s(process), time.monotonic()
            rss = []
            while time.monotonic() - began < seconds:
                time.sleep(0.5)
                rss.append(process.memory_info().rss / 2**20)
            used = 100 * (_processor_s(process) - before) / (time.monotonic() - began)
        checks = [Check("processor when idle", used, limit, "%")]
        checks += [] if options.quick else [Check("resident memory", max(rss), 120.0, "MiB")]
        yield Figure(
            f"resident-{profile}",
            f"agent run at {events:,} events, leading, idle, profile {profile}",
            [Series("resident memory", "MiB", rss), Series("processor, with its children", "%", [used])],
            None,
            checks,
        )


def _processor_s(process: psutil.Process) -> float:
    """Of the process and of all children that have ended."""
    times = process.cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)
