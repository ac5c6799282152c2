"""The command line's edge: finds commands, and turns errors into one line and an exit code."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import click

from gitcoord import __version__
from gitcoord.cli.common import echo
from gitcoord.core.errors import GitcoordError
from gitcoord.core.text import Place
from gitcoord.features import LISTED, control
from gitcoord.store.program import search_path

COMMANDS: dict[str, tuple[str, str]] = {
    # name: (module with an attribute `command`, what it does). Listed by hand: nothing is imported to show help.
    "init": ("gitcoord.cli.init", "Make a fleet, or join the one that the remote has"),
    "append": ("gitcoord.cli.append", "Write an event"),
    "events": ("gitcoord.cli.events", "Show events, newest last"),
    "status": ("gitcoord.cli.status", "Show what needs attention, and how things stand"),
    "sync": ("gitcoord.cli.sync", "Exchange events with the remote now"),
    "wait": ("gitcoord.cli.wait", "Wait until something is so"),
    "agent": ("gitcoord.cli.agent", "Run an agent, say what it can do, see who takes part"),
    "fleet": ("gitcoord.cli.fleet", "Run the agents of a fleet file on this machine"),
    "elect": ("gitcoord.cli.elect", "Take part in the election of a leader"),
    "snapshot": ("gitcoord.cli.snapshot", "Render the conversations for people"),
    "import": ("gitcoord.cli.import_", "Take over a log of five-field JSON lines"),
    "queue": ("gitcoord.cli.queue", "Look at what waits on this disk"),
    "config": ("gitcoord.cli.config", "Show and change settings of fleet and node"),
    "hook": ("gitcoord.cli.hook", "Be told before a commit touches what is reserved"),
    "verify": ("gitcoord.cli.verify", "Check the whole ledger from its first event"),
    "doctor": ("gitcoord.cli.doctor", "Find out what is wrong here, and how to mend it"),
    "simulate": ("gitcoord.cli.simulate", "Try the protocol in virtual time, with faults"),
    "resume": ("gitcoord.cli.resume", "Go on after a pause for disk or permission"),
    "leave": ("gitcoord.cli.leave", "Take this clone out of the fleet"),
    "conflicts": ("gitcoord.cli.conflicts", "See which branches conflict, before they are merged"),
    "review": ("gitcoord.cli.review", "Say on GitHub what the fleet thinks of a pull request"),
    "actions": ("gitcoord.cli.actions", "Tell a workflow on GitHub how the fleet stands"),
    "mcp": ("gitcoord.cli.mcp", "Serve the fleet to an AI agent (Model Context Protocol)"),
    "demo": ("gitcoord.cli.demo", "See the main job done by real processes"),
}


FEATURE_WORDS = {word: help_ for words in LISTED.values() for word, help_ in words.items() if word not in COMMANDS}


EXTENDED = {"inbox": "gitcoord.cli.inbox"}  # a feature's words, with what this machine alone knows


class Commands(click.Group):
    """Imports a command's module only when that command is asked for: `--help` stays fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS, *FEATURE_WORDS]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, control.command_line(args))
        except click.NoSuchCommand as wrong:  # with what it was meant to be, among those not imported yet
            raise click.NoSuchCommand(wrong.command_name, possibilities=self.list_commands(ctx), ctx=ctx) from None

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        command: click.Command
        if name in FEATURE_WORDS:
            from gitcoord.cli import feature_commands

            command = feature_commands.command(name)
            return importlib.import_module(EXTENDED[name]).extended(command) if name in EXTENDED else command
        if name not in COMMANDS:
            return None
        command = importlib.import_module(COMMANDS[name][0]).command
        if isinstance(command, click.Group) and any(name in words for words in LISTED.values()):
            from gitcoord.cli import feature_commands

            feature_commands.extend(command, name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("What agents do together"):
            formatter.write_dl(list(FEATURE_WORDS.items()))
        with formatter.section("The fleet, and this clone"):
            formatter.write_dl([(name, words) for name, (_, words) in COMMANDS.items()])


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gitcoord")
@click.option("-C", "directory", type=click.Path(file_okay=False), help="Act as if started in this folder.")
def gitcoord(directory: str | None) -> None:
    """Let agents on many machines work together through one git remote.

    \b
    Begin:     gitcoord init --agent alice
    Say:       gitcoord append question "Who takes the parser?"
    Take part: gitcoord agent run

    Exit codes: 0 done, 1 failed, 2 wrong use, 3 lost (a claim, a race), 4 not confirmed in time (queued, or the
    remote is unreachable), 5 credentials, 6 verification found something.
    """
    if directory is not None:
        try:
            os.chdir(directory)
        except OSError as wrong:
            raise click.BadParameter(f"{directory}: {wrong.strerror}", param_hint="-C") from None


def _pipe_closed() -> int:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit. The only place that catches broadly."""
    debug = os.environ.get("GITCOORD_DEBUG") == "1"
    os.environ["PATH"] = search_path(os.environ)  # also for what git and commands start: ssh, helpers, a shell
    try:
        code: Any = gitcoord.main(arguments, prog_name="gitcoord", standalone_mode=False)
    except click.exceptions.Exit as end:
        code = end.exit_code
    except click.ClickException as wrong:
        _show(wrong)
        code = 2
    except (click.Abort, KeyboardInterrupt):
        code = 130
    except SystemExit as end:
        if end.code != 1:
            raise
        code = _pipe_closed()  # click's way with a closed pipe, such as that of `| head`
    except BrokenPipeError:
        code = _pipe_closed()
    except GitcoordError as wrong:
        echo(_traced() if debug else f"gitcoord: {wrong}", err=True)
        code = wrong.exit_code
    except Exception as wrong:
        echo(_traced() if debug else f"gitcoord: {_unforeseen(wrong)}", err=True)
        code = 1
    sys.exit(code if isinstance(code, int) else 0)


def _show(wrong: click.ClickException) -> None:
    """Tell of wrong use as click does; its own words quote what was typed, which may be others'."""
    context = wrong.ctx if isinstance(wrong, click.UsageError) else None
    if context is not None:
        help_ = f"Try '{context.command_path} {max(context.help_option_names, key=len)}' for help."
        echo(f"{context.get_usage()}\n{help_}\n", err=True, place=Place.DATA)
    echo(f"Error: {wrong.format_message()}", err=True)


def _traced() -> str:
    return traceback.format_exc().rstrip("\n")


def _unforeseen(wrong: Exception) -> str:
    """The disk may refuse where no write pauses the node: a lock cannot be made, or a folder. All else is a bug."""
    from gitcoord.store import files

    if isinstance(wrong, OSError) and files.is_disk_trouble(wrong):
        return f"{files.describe(wrong)}: nothing acknowledged is lost; {files.REMEDY}"
    return (
        f"{type(wrong).__name__}: {wrong}\nThis is a bug in gitcoord, or something it did not foresee; "
        "GITCOORD_DEBUG=1 shows where. What was acknowledged is safe."
    )
