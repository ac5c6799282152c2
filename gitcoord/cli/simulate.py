"""`gitcoord simulate`: runs the protocol in virtual time, with faults; a failing seed is explained step by step."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import click

from gitcoord.cli.common import echo, json_option, print_json
from gitcoord.core.errors import Refused
from gitcoord.core.leadership.timings import PROFILES
from gitcoord.core.text import Place

if TYPE_CHECKING:
    from gitcoord.simulation.schedule import Options, Result

FAILED = 6  # verification found something


@click.command("simulate")
@click.option(
    "--schedules", type=click.IntRange(1), default=100, show_default=True, metavar="N", help="Number of schedules"
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=None,
    metavar="S",
    help="The seed of the first schedule  [default: random]",
)
@click.option(
    "--nodes", type=click.IntRange(2, 50), default=4, show_default=True, metavar="N", help="Number of machines"
)
@click.option(
    "--profile", type=click.Choice(list(PROFILES)), default="github", show_default=True, help="The fleet's timings"
)
@click.option(
    "--seconds",
    type=click.FloatRange(10),
    default=1500,
    show_default=True,
    metavar="S",
    help="Virtual time of each schedule",
)
@click.option("--only", default=None, metavar="FAULTS", help="Only these classes of faults; `none` for no faults")
@click.option("--without", default="", metavar="FAULTS", help="Leave these classes of faults out")
@click.option("--hostile", is_flag=True, help="Add a hostile member to each schedule")
@click.option(
    "--processes",
    type=click.IntRange(1),
    default=None,
    metavar="N",
    help="Schedules at a time  [default: the number of processors]",
)
@click.option("--trace", is_flag=True, help="Print every step")
@json_option
def command(
    schedules: int,
    seed: int | None,
    nodes: int,
    profile: str,
    seconds: float,
    only: str | None,
    without: str,
    hostile: bool,
    processes: int | None,
    trace: bool,
    as_json: bool,
) -> None:
    """Test the protocol in virtual time, with a remote and machines that fail in every known way.

    Each schedule has its own seed, draws its faults from it, and is checked against an independent record of what
    was promised. A seed that fails is explained step by step, with the command that replays it; exit code 6.

    \b
    Example:
      gitcoord simulate --schedules 5 --seed 1
    """
    from gitcoord.simulation.schedule import Options

    options = Options(
        nodes, profile, float(seconds), None if only is None else _classes(only), _classes(without), hostile
    )
    first = random.SystemRandom().randrange(10**6) if seed is None else seed
    began = time.monotonic()
    found = _run(range(first, first + schedules), options, processes=processes, trace=trace)
    took_s = time.monotonic() - began
    failed = [result for result in found if result.violation]
    if as_json:
        print_json(
            {
                "schema": "gitcoord.simulate/1",
                "seed": first,
                "schedules": schedules,
                "seconds": round(took_s, 2),
                "events": sum(one.events for one in found),
                "elections": sum(one.elections for one in found),
                "pushes": sum(one.pushes for one in found),
                "excused": sum(one.excused for one in found),
                "failed": [
                    {"seed": one.seed, "violation": one.violation, "faults": list(one.classes)} for one in failed
                ],
            }
        )
    else:
        _print(first, found, took_s)
        _tell(failed, options)
    if failed:
        raise click.exceptions.Exit(FAILED)


def _classes(text: str) -> frozenset[str]:
    from gitcoord.simulation.faults import FAULTS

    names = frozenset(name.strip() for name in text.split(",") if name.strip() not in ("", "none"))
    if names - set(FAULTS):
        raise Refused(f"unknown faults: {', '.join(sorted(names - set(FAULTS)))}; name some of {', '.join(FAULTS)}")
    return names


def _run(seeds: range, options: Options, *, processes: int | None, trace: bool) -> list[Result]:
    """Return all results. Print each failure at once, because a long run may be interrupted."""
    from gitcoord.simulation import many, schedule

    traced = (_traced(schedule.run(seed, options, keep_trace=True)) for seed in seeds)
    found = []
    for result in traced if trace else many.results(seeds, options, processes=processes):
        found.append(result)
        if result.violation:
            echo(f"seed {result.seed} failed: {result.violation}", err=True)
    return found


def _traced(result: Result) -> Result:
    for line in result.trace:
        echo(line)
    return result


def _print(first: int, found: list[Result], took_s: float) -> None:
    events, elections = sum(one.events for one in found), sum(one.elections for one in found)
    failed = sum(1 for one in found if one.violation)
    echo(
        f"{len(found)} schedules from seed {first} in {took_s:.1f} s ({len(found) / max(took_s, 0.001):.1f}/s): "
        f"{events} events acknowledged, {elections} elections, {failed} failed"
    )


def _tell(failed: list[Result], options: Options) -> None:
    from gitcoord.simulation import story

    for result in failed[:3]:
        echo(f"\nseed {result.seed}: shrinking it", err=True, place=Place.DATA)
        echo("\n" + story.tell(*story.shrink(result.seed, options)), place=Place.DATA)
