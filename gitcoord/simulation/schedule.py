"""One schedule: a fleet, its work and its faults, all drawn from one seed, and the checks at its end."""

from __future__ import annotations

import traceback
from dataclasses import dataclass, field

from gitcoord.core.format.event import Head
from gitcoord.core.leadership.timings import PROFILES
from gitcoord.core.round.sight import Sight
from gitcoord.features import FEATURES
from gitcoord.simulation import fault_injection, faults, memo, rounds
from gitcoord.simulation.checking import checks
from gitcoord.simulation.disk import Files
from gitcoord.simulation.hostile.member import Hostile
from gitcoord.simulation.machine import Machine
from gitcoord.simulation.remote import SimulatedRemote
from gitcoord.simulation.signing import Signers
from gitcoord.simulation.world import Violation, World
from gitcoord.store.home.queue_file import HeadFile

REAL_ONE_IN = 50  # schedules with real signatures


@dataclass(frozen=True, slots=True)
class Options:
    """The settings of a schedule, besides its seed."""

    nodes: int = 4
    profile: str = "github"
    seconds: float = 1500.0
    only: frozenset[str] | None = None  # fault classes; None: as the seed draws them
    without: frozenset[str] = frozenset()
    hostile: bool = False  # a hostile member, whatever the seed draws


@dataclass(slots=True)
class Result:
    """The end of a schedule. `violation` is empty if every promise was kept."""

    seed: int
    violation: str = ""
    classes: tuple[str, ...] = ()
    events: int = 0
    elections: int = 0
    pushes: int = 0
    excused: int = 0
    trace: list[str] = field(default_factory=list)


def run(seed: int, options: Options, *, keep_trace: bool = False) -> Result:
    """Simulate one seed. The same seed and options give the same result, byte for byte."""
    weather = faults.draw(seed, only=options.only, without=options.without, hostile=options.hostile)
    # Half of the schedules end while faults still happen. In the others these stop, and the fleet must recover.
    profile = PROFILES[options.profile]
    bound_s = profile.bound_s()
    stops = seed % 2 == 0
    calm_at_s = max(options.seconds * 0.2, options.seconds - 4 * bound_s) if stops else options.seconds
    world = World(
        seed, weather, profile, Signers(real=seed % REAL_ONE_IN == REAL_ONE_IN - 1), calm_at_s, options.seconds
    )
    result = Result(seed, classes=tuple(sorted(weather.on)))
    remote = SimulatedRemote(world)
    try:
        with memo.shared(world.signers):
            if "hostile" in weather.on:
                _invite(world, remote, options.nodes)
            _people(world, remote, options.nodes)
            fault_injection.plan(world, remote)
            world.run()
            checks.all_of(world, remote, stops=stops)
    except Violation as wrong:
        result.violation = str(wrong)
    except Exception as wrong:
        place = traceback.extract_tb(wrong.__traceback__)[-1]
        result.violation = f"{type(wrong).__name__} in {place.name}: {wrong}"
        world.say("BUG", "".join(traceback.format_exception(wrong)))
    result.events, result.elections = len(world.acknowledged), len(remote.elections)
    result.pushes, result.excused = remote.pushes, len(world.excused)
    if keep_trace or result.violation:
        result.trace = world.trace
    return result


def _invite(world: World, remote: SimulatedRemote, nodes: int) -> None:
    """Add a hostile member, and all features to the fleet, since the member may attack each of them."""
    world.features = {**FEATURES, **world.features}
    world.hostile = hostile = Hostile(world, remote)
    hostile.join([f"agent{number + 1}" for number in range(nodes)])
    world.spawn(hostile.life())


def _people(world: World, remote: SimulatedRemote, nodes: int) -> None:
    """Add the machines. Each has one agent, which joins and then writes an event now and then."""
    dice = world.dice("people")
    pace_s = dice.choice([40, 100, 300, 600])
    acts = dice.random() < 0.5
    for number in range(nodes):
        name = f"m{number + 1}"
        writes, at_s = [], 0.0
        while (at_s := at_s + dice.expovariate(1 / pace_s)) < world.end_s - (world.end_s - world.calm_at_s) / 2:
            writes.append(at_s)
        files = Files(
            HeadFile(world.signers.new_node(name), Head()), sight=Sight().seen(int(world.now_s))
        )  # as `init` keeps it
        machine = Machine(
            world,
            remote,
            name,
            f"agent{number + 1}",
            files,
            writes_s=writes,
            may_lead=number < 2 or dice.random() < 0.7,
            acts=acts,
            one_round=rounds.one,
        )
        machine.write("agent_joined", f"{machine.agent} joins", safely=True)
        world.machines.append(machine)
        world.spawn(machine.life(), dice.uniform(0, 10))
