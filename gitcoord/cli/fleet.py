"""`gitcoord fleet`: run the agents of a fleet file on this machine; see how they are; stop them."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gitcoord.cli.common import (
    Noun,
    echo,
    json_option,
    node_here,
    print_json,
    show_again,
    teller,
    watch_option,
    writer_here,
)
from gitcoord.cli.dry_run import dry_run_option, would
from gitcoord.core.errors import GitcoordError

if TYPE_CHECKING:
    from gitcoord.node.fleet.supervisor import SupervisorStatus

STOP_S = 60.0  # longer than the supervisor waits for its agents


@click.group("fleet", cls=Noun)
def command() -> None:
    """Run the agents of a fleet file on this machine, in the order of their dependencies.

    \b
    Example:
      gitcoord fleet status
    """


@command.command("start")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--check", is_flag=True, help="Check the file and show the start order; start nothing")
@dry_run_option
@json_option
def start(file: Path, check: bool, dry_run: bool, as_json: bool) -> None:
    """Start the agents of FILE in the order of their dependencies, and supervise them until Ctrl-C or SIGTERM.

    FILE is TOML, with a table [agents.NAME] for each: capabilities, role, depends_on, backup, slots, exec (the command
    for its tasks) or handler (FILE.py:FUNCTION, relative to the fleet file), lead, about, and pass_env: the names of
    variables that look like credentials, such as GITHUB_TOKEN, which its command gets only if they are named. An agent
    that crashes is restarted when the leader requests it, by the fleet's setting `recovery`.
    GITCOORD_FLEET_FOLDER names the folder of FILE for the commands.

    \b
    Example:
      gitcoord fleet start examples/nine.toml --check
    """
    from gitcoord.node.fleet import fleet_file, supervisor
    from gitcoord.node.shutdown import StopFlag

    node = node_here()
    plan = fleet_file.read(file, known=[one.id for one in node.fleet.members.by_id.values()])
    if check and as_json:
        print_json(
            {
                "schema": "gitcoord.fleet.start/1",
                "agents": [{"agent": name, **one.model_dump()} for name, one in plan.agents.items()],
            }
        )
    elif check:
        for name, one in plan.agents.items():
            echo(name + (f" (after {', '.join(one.depends_on)})" if one.depends_on else ""))
    elif dry_run:
        supervisor.check_alone(node.home)
        would(
            "fleet.start",
            as_json,
            changes=[
                f"start {name}" + (f" after {', '.join(one.depends_on)}" if one.depends_on else "")
                for name, one in plan.agents.items()
            ],
        )
    else:
        node.tell = say = teller(quiet=False, json_logs=as_json)
        supervisor.Supervisor(node, plan, folder=Path.cwd(), say=say, stop=StopFlag()).run()


@command.command("stop")
@dry_run_option
@json_option
def stop(dry_run: bool, as_json: bool) -> None:
    """Stop the agents of this node's supervisor, after the work that they have begun.

    \b
    Example:
      gitcoord fleet stop
    """
    from gitcoord.node.fleet import supervisor

    home = writer_here().home
    found = supervisor.status(home)
    if dry_run:
        would("fleet.stop", as_json, changes=[f"stop process {found.pid}, which runs {found.file}"] if found else [])
        return
    if found is not None:
        os.kill(found.pid, signal.SIGTERM)
        until_s = time.monotonic() + STOP_S
        while supervisor.status(home) is not None:
            if time.monotonic() > until_s:
                raise GitcoordError(
                    f"process {found.pid} did not end in {STOP_S:.0f} s: `gitcoord fleet status` shows its agents"
                )
            time.sleep(0.1)
    if as_json:
        print_json({"schema": "gitcoord.fleet.stop/1", "stopped": found is not None})
    else:
        echo("stopped" if found is not None else "no supervisor runs on this node")


@command.command("status")
@watch_option
@json_option
def status(watch: bool, as_json: bool) -> None:
    """Show the state of the agents of this node's supervisor.

    \b
    Example:
      gitcoord fleet status
    """
    from gitcoord.node.fleet import supervisor

    home = writer_here().home
    show_again(lambda: supervisor.status(home), lambda found: _show(found, as_json), watch=watch)


def _show(found: SupervisorStatus | None, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "schema": "gitcoord.fleet.status/1",
                "running": found is not None,
                "pid": found.pid if found else None,
                "file": found.file if found else None,
                "agents": found.agents if found else [],
            }
        )
        return
    if found is None:
        echo("no supervisor runs on this node: start one with `gitcoord fleet start FILE`")
        return
    echo(f"process {found.pid} runs {found.file}")
    for one in found.agents:
        again = f", started {one['starts']} times" if one["starts"] > 1 else ""
        echo(f"{one['state']:<8} {one['agent']}" + (f" (process {one['pid']}{again})" if one["pid"] else again))
