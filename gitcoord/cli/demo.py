"""`gitcoord demo`: a demonstration with real processes, on a temporary remote."""

from __future__ import annotations

import signal
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from gitcoord.core.errors import GitcoordError

if TYPE_CHECKING:
    from gitcoord.cli.demonstration.stage import Stage

FAST_AGENTS, AGENTS = 3, 5


@click.command("demo")
@click.option(
    "--agents",
    metavar="N",
    type=click.IntRange(2, 10),
    help=f"Number of agents  [default: {AGENTS}; {FAST_AGENTS} with --fast]",
)
@click.option("--fast", is_flag=True, help="Use fewer agents and events")
@click.option("--keep", is_flag=True, help="Keep the temporary folder")
def command(agents: int | None, fast: bool, keep: bool) -> None:
    """Run a demonstration with real processes: join, talk, outage, failover, snapshots, verification.

    The demonstration runs in a temporary folder, changes nothing else, and needs no network. It checks each promise
    of gitcoord. If one is broken, the exit code is 1 and the folder is kept.

    \b
    Example:
      gitcoord demo --fast
    """
    from rich.console import Console

    from gitcoord.cli.demonstration.play import NAMES, Play
    from gitcoord.cli.demonstration.stage import Stage

    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace", line_buffering=True)
    signal.signal(signal.SIGTERM, _end)
    began = time.monotonic()
    with Stage(Console(highlight=False), keep=keep) as stage:
        play = Play(stage, list(NAMES[: agents or (FAST_AGENTS if fast else AGENTS)]), fast=fast)
        try:
            _perform(play)
        except GitcoordError as wrong:
            stage.promise("the demo reaches its end", str(wrong), False)
        finally:
            play.close()
        broken = len(stage.broken)
        _sum_up(stage, time.monotonic() - began)
    if broken:
        raise click.exceptions.Exit(1)


def _end(*_: object) -> Any:
    sys.exit(143)


def _perform(play: Any) -> None:
    from gitcoord.cli.demonstration import checks, scenes

    play.stage.say(f"{len(play.cast)} agents, each with its own clone of one git remote, in {play.stage.folder}")
    for scene in (
        scenes.join,
        scenes.elect,
        scenes.talk,
        scenes.take_over,
        scenes.outage,
        scenes.failover,
        checks.snapshots,
        checks.verify,
        checks.goodbye,
    ):
        scene(play)


def _sum_up(stage: Stage, seconds: float) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table("promise", "seen", "", title=f"{len(stage.promises)} promises in {seconds:.1f} s")
    for promise in stage.promises:
        verdict = Text("kept", "green") if promise.kept else Text("BROKEN", "bold red")
        table.add_row(Text(promise.what), Text(promise.seen), verdict)
    stage.console.print()
    stage.console.print(table)
    if stage.broken:
        stage.say(f"{len(stage.broken)} broken", style="bold red")
    else:
        stage.say("All kept. Next, in a clone of your own: gitcoord init --agent NAME", style="green")
