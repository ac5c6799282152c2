"""A working day of four coding agents on one repository, played twice: with gitcoord, and with git alone.

The agents are scripts, so this measures coordination and not cleverness. In both plays they do the same twelve jobs,
some after others, two pairs of which edit the same lines; one agent is killed when it has pushed its branch and not
merged it, and comes back later; the remote is away for a while. Whose branch conflicts does its job again on the new
main.

- With git alone an agent knows what is on the remote's main: it takes an open job of `todo/` at random, and the file
  goes with the job's commit. A conflict shows at the merge.
- With gitcoord it asks `next --claim`, names its branch, and looks for conflicts before it merges. Who is told of one
  says so to the other agent, and waits for its merge. Two agents are MCP clients, two use the command line. A branch
  that a dead agent left is gone on with.
"""

from __future__ import annotations

import json
import random
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import fleets
from day_faces import Beaten, Face, Mcp, Shell, Unanswered
from day_world import BYTES_PER_TOKEN, JOBS, Away, Job, Place, World, run
from measure import Check, Figure, Series
from options import Options
from running import until

AGENTS = ("ada", "bo", "cy", "di")  # ada and cy have a clone each; bo and di a work tree of it
VICTIM = "cy"
SEED = 5
T = TypeVar("T")


class Killed(Exception):
    """The agent's process ended in the middle of a job."""


@dataclass
class Mortality:
    """One agent is killed once, after it has pushed its first branch."""

    away_s: float  # until it is started again
    happened: threading.Event = field(default_factory=threading.Event)

    def strikes(self, place: Place, job: Job) -> bool:
        if place.folder.name != VICTIM or self.happened.is_set():
            return False
        self.happened.set()
        with place.world.lock:
            place.world.counts.begun.remove((job.key, VICTIM))
        return True


def day(options: Options) -> Iterator[Figure]:
    """a day of four agents, twelve tasks, a kill and an outage: with gitcoord, and with git alone"""
    seconds = options.times(4.0, 0.3)
    alone, told = World(options.folder / "alone", seconds), World(options.folder / "told", seconds)
    lasted_alone = _timed(alone, with_git_alone)
    judged: list[Check] = []
    lasted = _timed(told, lambda world: judged.extend(with_gitcoord(world)))
    counts = told.counts
    yield Figure(
        "day",
        f"a day of {len(AGENTS)} agents and {len(JOBS)} tasks of {seconds:g} s, a kill and an outage, file://",
        [
            Series("until all is merged", "s", [lasted]),
            Series("commands that the person typed", "", [counts.typed]),
            Series("tokens of an agent for one task", "", [counts.bytes_read / BYTES_PER_TOKEN / len(JOBS)]),
        ],
        Series("git alone, until all is merged", "s", [lasted_alone]),
        [
            *judged,
            Check("tasks begun by a second agent", _twice(told), 0, ""),
            Check("merges that met a conflict", counts.clashes, 0, ""),
            Check("commits thrown away that no told conflict explains", _thrown(told) - len(counts.told), 0, ""),
        ],
        [_story("git alone", alone), _story("with gitcoord", told)],
    )


def _timed(world: World, play: Callable[[World], object]) -> float:
    world.folder.mkdir(parents=True)
    world.found()
    began = time.monotonic()
    play(world)
    return time.monotonic() - began


def _twice(world: World) -> int:
    return len(set(world.counts.begun)) - len({job for job, _ in world.counts.begun})


def _thrown(world: World) -> int:
    return world.counts.commits - len(JOBS)


def _story(what: str, world: World) -> str:
    counts, refs = world.counts, world.pushed()
    ledger = sum("gitcoord" in ref for ref in refs)
    return (
        f"{what}: {_twice(world)} tasks begun by a second agent, {counts.clashes} merges that met a conflict, "
        f"{_thrown(world)} commits thrown away, {len(counts.told)} conflicts told before the merge; "
        f"{len(refs) - ledger} refs of work pushed, {ledger} of the ledger"
    )


def _together(world: World, works: dict[str, Callable[[], None]]) -> None:
    """Run the agents, and take the remote away for a while; raise what one of them raised."""
    wrong: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            wrong.append(error)
            world.ends_at = 0.0  # the others end, too

    threads = [threading.Thread(target=guarded, args=[work], name=name) for name, work in works.items()]
    for thread in threads:
        thread.start()
    time.sleep(3 * world.seconds)
    world.outage(2 * world.seconds)
    for thread in threads:
        thread.join()
    if wrong:
        raise wrong[0]


def with_git_alone(world: World) -> None:
    """Play the day of agents who know only what is on main."""
    for clone in ("ada", "cy"):
        run(world.folder, "git", "clone", "--quiet", str(world.remote), clone)
    for clone, name in (("ada", "bo"), ("cy", "di")):
        run(world.folder / clone, "git", "worktree", "add", "--quiet", "--detach", f"../{name}")
    mortality = Mortality(4 * world.seconds)

    def work(name: str) -> None:
        place, rng = Place(world, world.folder / name), random.Random(f"{SEED} {name}")
        while not world.is_over():
            todo = place.todo()
            free = sorted(key for key, after in todo.items() if not set(after) & todo.keys())
            if not free:
                time.sleep(0.1)
                continue
            try:
                _do_alone(place, JOBS[rng.choice(free)], mortality)
            except Killed:
                time.sleep(mortality.away_s)

    _together(world, {name: lambda name=name: work(name) for name in AGENTS})  # type: ignore[misc]


def _do_alone(place: Place, job: Job, mortality: Mortality) -> None:
    place.takes(job)
    while True:
        place.begin(job)
        if job.key not in place.todo():
            return  # another agent did it meanwhile: what was done here is thrown away
        place.edit(job)
        place.publish()
        if mortality.strikes(place, job):
            raise Killed
        if job.key not in place.todo() or place.merge():
            return
        place.world.count(clashes=1)


def with_gitcoord(world: World) -> list[Check]:
    """Play the day of agents who ask gitcoord; return what the ledger says of it afterwards."""
    for clone, name in (("ada", "bo"), ("cy", "di")):
        run(world.folder, "git", "clone", "--quiet", str(world.remote), clone)
        world.person(world.folder / clone, "gitcoord", "init", "--agent", clone, "--profile", "local")
        world.person(world.folder / clone, "gitcoord", "worktree", "add", name, "--path", "../{name}")
    tasks = world.folder / "tasks.yaml"
    listed = [{"title": job.title, "key": job.key, "after": list(job.after)} for job in JOBS.values()]
    tasks.write_text(json.dumps({"tasks": listed}), "utf-8")
    world.person(world.folder / "ada", "gitcoord", "task", "create", "--from", str(tasks))
    world.person(world.folder / "ada", "gitcoord", "config", "set", "task_grace_s", str(15 + 2 * world.seconds))
    mortality = Mortality(8 * world.seconds)
    faces: dict[str, Face] = {
        name: (Mcp if name in ("ada", "cy") else Shell)(world, world.folder / name) for name in AGENTS
    }

    def work(name: str) -> None:
        place, face = Place(world, world.folder / name), faces[name]
        face.start()
        while not world.is_over():
            try:
                _do_told(place, face, mortality)
            except (Beaten, Unanswered, Away):
                time.sleep(0.1)
            except Killed:
                face.kill()
                time.sleep(mortality.away_s)
                face.start()

    try:
        _together(world, {name: lambda name=name: work(name) for name in AGENTS})  # type: ignore[misc]
        return _judged(world)
    finally:
        for face in faces.values():
            face.end()


def _do_told(place: Place, face: Face, mortality: Mortality) -> None:
    answer = face.next()
    task = answer.get("begin")
    if task is None:
        time.sleep(0.3)
        return
    job = JOBS[task["title"].partition(":")[0]]
    if job.key in place.world.on_main():  # merged before the outage; only the word was lost
        face.finish(task["id"], place.branch(job))
        return
    place.takes(job)
    if not place.begin(job, task.get("branch", "")):
        place.edit(job)
    place.publish()
    _until_answered(place.world, lambda: face.names_branch(task["id"], place.branch(job)))
    with place.world.lock:
        place.world.named.append(job.key)
    if mortality.strikes(place, job):
        raise Killed
    while _gives_way(place, face, job):
        place.begin(job)
        place.edit(job)
        place.publish()
    if not place.merge():
        place.world.count(clashes=1)
        return
    _until_answered(place.world, lambda: face.finish(task["id"], place.branch(job)))


def _gives_way(place: Place, face: Face, job: Job) -> bool:
    """Return whether a told conflict asks for the job to be done again, once the other branch is on main."""
    world = place.world
    merged = _until_answered(world, world.on_main)  # before the fetch: what main has then shows as a conflict with main
    place.patiently("fetch", "--quiet", "origin")
    for name in _until_answered(place.world, lambda: face.conflicts(place.branch(job))):
        _, _, rest = name.partition("work/")
        key, _, agent = rest.partition("/")
        if key == job.key or key in merged:
            continue
        with world.lock:
            world.counts.told.add(frozenset((key, job.key)))
            named = world.named[: world.named.index(job.key)]  # before this one
        first = not key or key in named
        if key and first:
            _wait_for(place, face, job, key, agent)
        if first:
            return True
    return False


def _wait_for(place: Place, face: Face, job: Job, rival: str, agent: str) -> None:
    """Tell the other agent, whose branch was named first, and wait for its merge."""
    _until_answered(
        place.world, lambda: face.tells(agent, f"{job.key} conflicts with your {rival}: I wait until you merge")
    )
    while rival not in _until_answered(place.world, place.world.on_main):
        place.world.is_over()  # raises at the end of the day
        time.sleep(0.1)


def _until_answered(world: World, ask: Callable[[], T]) -> T:
    while True:
        try:
            return ask()
        except (Unanswered, Away) as wrong:
            world.is_over(str(wrong))
            time.sleep(0.1)


def _judged(world: World) -> list[Check]:
    """Return what must be true of the ledger, and of the clones, after the day."""
    ada = world.folder / "ada"
    until(lambda: _is_done(ada), "all tasks to be done")
    faults = subprocess.run(fleets.command(ada, "verify", "--json"), capture_output=True, text=True).stdout
    branches = {f"work/{key}/{agent}" for key, agent in world.counts.begun}
    kept = {
        name
        for clone in ("ada", "cy")
        for name in run(world.folder / clone, "git", "branch", "--format=%(refname:short)").split()
    }
    return [
        Check("findings of gitcoord verify", len(json.loads(faults)["findings"]), 0, ""),
        Check("branches of work that are gone", len(branches - kept), 0, ""),
    ]


def _is_done(folder: Path) -> bool:
    tasks = json.loads(run(folder, "gitcoord", "task", "list", "--all", "--json"))["items"]
    return {task["status"] for task in tasks} == {"done"}
