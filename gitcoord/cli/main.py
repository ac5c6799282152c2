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
from gitcoord.cli.common import echo, placed
from gitcoord.core.errors import GitcoordError
from gitcoord.core.names import WORKTREE
from gitcoord.core.text import Place
from gitcoord.features import FEATURES, LISTED, control
from gitcoord.store.program import search_path

GROUPS: dict[str, dict[str, str]] = {
    # heading: {command, or several related commands: help}, in the order in which a newcomer needs them.
    "Begin": {
        "init": "Create a fleet, or join the one on the remote",
        "status, whoami": "Show what needs attention; show who acts here",
        "demo, simulate": "Watch a demonstration; test the protocol with faults",
    },
    "Talk": {
        "append, events, wait": "Write an event; list events; wait for a condition",
        "inbox": "List your unread messages, oldest first",
        "message": "Send messages, reply to them, and see who read them",
    },
    "Share the work": {
        "reserve": "Reserve paths, to keep other agents out of them",
        "release, reservations": "Give reserved paths back; list who holds which paths",
        "next, board": "Show what to do now; show who does what",
        "task, ready": "Create, claim and finish tasks; list claimable tasks",
        "directive": "Give orders to agents, and follow their progress",
        "workflow": "Run graphs of tasks that outlive their agents",
        "conflict": "Find branches that conflict; settle conflicts",
        "review": "Request, post and list reviews of pull requests; vote",
    },
    "Run agents": {
        "agent": "Run, register, list and admit agents",
        "fleet, worktree": "Run a fleet file's agents; give agents worktrees",
        "elect": "Show the leader, or campaign to become the leader",
        "autonomy": "Limit what the leader decides alone; approve proposals",
        "recovery, alerts": "List agent failures, how they were handled, and alerts",
        "setup, mcp": "Set up an AI client; serve the fleet to it (MCP)",
        "hook, actions": "Install the git hook; report to a GitHub workflow",
    },
    "Look after this clone": {
        "sync": "Exchange events with the remote now",
        "config": "Show and change the settings of fleet and node",
        "queue, resume": "List unsent events; resume after a full disk",
        "doctor, verify": "Find problems and their fixes; check the whole ledger",
        "snapshot, import": "Render the ledger for people; import a log",
        "move, leave": "Take the fleet to another remote; leave the fleet",
    },
}
NEW_WORDS = "Share the work"  # the heading of words that a feature adds, and that are not listed above

COMMANDS: dict[str, str] = {
    # name: the module with an attribute `command`. Listed by hand: nothing is imported to show help.
    "init": "gitcoord.cli.init",
    "whoami": "gitcoord.cli.whoami",
    "status": "gitcoord.cli.status",
    "demo": "gitcoord.cli.demo",
    "simulate": "gitcoord.cli.simulate",
    "append": "gitcoord.cli.append",
    "events": "gitcoord.cli.events",
    "wait": "gitcoord.cli.wait",
    "conflict": "gitcoord.cli.conflict",
    "review": "gitcoord.cli.review",
    "agent": "gitcoord.cli.agent",
    "fleet": "gitcoord.cli.fleet",
    "worktree": "gitcoord.cli.worktree",
    "elect": "gitcoord.cli.elect",
    "mcp": "gitcoord.cli.mcp",
    "setup": "gitcoord.cli.setup",
    "hook": "gitcoord.cli.hook",
    "actions": "gitcoord.cli.actions",
    "sync": "gitcoord.cli.sync",
    "config": "gitcoord.cli.config",
    "queue": "gitcoord.cli.queue",
    "resume": "gitcoord.cli.resume",
    "doctor": "gitcoord.cli.doctor",
    "verify": "gitcoord.cli.verify",
    "snapshot": "gitcoord.cli.snapshot",
    "import": "gitcoord.cli.import_",
    "move": "gitcoord.cli.move",
    "leave": "gitcoord.cli.leave",
}

FEATURE_WORDS = {word: help_ for words in LISTED.values() for word, help_ in words.items() if word not in COMMANDS}

EXTENDED = {"inbox": "gitcoord.cli.inbox"}  # a feature's commands with an option that needs this machine's files


def groups() -> dict[str, dict[str, str]]:
    """Return the rows of `--help` under their headings, with the words of features that are not listed by hand."""
    listed = {name for rows in GROUPS.values() for names in rows for name in names.split(", ")}
    more = {word: help_ for word, help_ in FEATURE_WORDS.items() if word not in listed}
    return {heading: rows | (more if heading == NEW_WORDS else {}) for heading, rows in GROUPS.items()}


def words() -> list[str]:
    """Return all commands in the order of `--help`."""
    return [name for rows in groups().values() for row in rows for name in row.split(", ")]


def _commands_ending_in(word: str) -> list[str]:
    """Return the features' commands whose last word it is, such as `task claim` for `claim`."""
    found = (name for feature in FEATURES.values() for name in feature.COMMANDS)
    return sorted(name for name in found if " " in name and name.split()[-1] == word)


class Commands(click.Group):
    """Imports a command's module only when that command is asked for: `--help` stays fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return words()

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, control.command_line(args))
        except click.NoSuchCommand as wrong:  # with suggestions, also from commands that are not imported yet
            grouped = [f"`gitcoord {name}`" for name in _commands_ending_in(wrong.command_name)]
            said = f"No such command {wrong.command_name!r}: there is {', '.join(grouped)}." if grouped else None
            likely = [] if grouped else self.list_commands(ctx)
            raise click.NoSuchCommand(wrong.command_name, said, likely, ctx) from None

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        command: click.Command
        if name in FEATURE_WORDS:
            from gitcoord.cli import feature_commands

            command = feature_commands.command(name)
            return importlib.import_module(EXTENDED[name]).extended(command) if name in EXTENDED else command
        if name not in COMMANDS:
            return None
        command = importlib.import_module(COMMANDS[name]).command
        if isinstance(command, click.Group) and any(name in words for words in LISTED.values()):
            from gitcoord.cli import feature_commands

            feature_commands.extend(command, name)
        return command

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands in groups without blank lines between them: all of them fit on one screen."""
        formatter.write_paragraph()
        width = max(len(names) for rows in groups().values() for names in rows)
        for heading, rows in groups().items():
            formatter.write(f"{heading}:\n")
            for names, help_ in rows.items():
                formatter.write(f"  {names:<{width}}  {help_}\n")


@click.command(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    options_metavar="[-C DIRECTORY]",
    epilog="""\b
    -C DIRECTORY acts as if started there. COMMAND --help shows an example.
    Exit codes: 0 done, 1 failed, 2 wrong use, 3 lost (a claim, a race),
    4 not confirmed in time, 5 credentials, 6 verification found something.""",
)
@click.version_option(__version__, prog_name="gitcoord")
@click.option("-C", "directory", type=click.Path(file_okay=False), help="Act as if started in this folder")
def gitcoord(directory: str | None) -> None:
    """Coordinate agents on many machines through one git remote."""
    if directory is not None:
        try:
            os.chdir(directory)
        except OSError as wrong:
            raise click.BadParameter(f"{directory}: {wrong.strerror}", param_hint="-C") from None
    if WORKTREE in os.environ.get("GITCOORD_AGENT", ""):
        os.environ["GITCOORD_AGENT"] = placed(
            os.environ["GITCOORD_AGENT"]
        )  # everybody who reads it later, children too


def _pipe_closed() -> int:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit. The only place that catches broadly."""
    debug = os.environ.get("GITCOORD_DEBUG") == "1"
    os.environ["PATH"] = search_path(os.environ)  # also for programs that git and commands start: ssh, helpers, a shell
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
    """Report wrong use as click does, but filter it: it quotes what was typed, which may be text of others."""
    context = wrong.ctx if isinstance(wrong, click.UsageError) else None
    if context is not None:
        help_ = f"Try '{context.command_path} {max(context.help_option_names, key=len)}' for help."
        echo(f"{context.get_usage()}\n{help_}\n", err=True, place=Place.DATA)
    echo(f"Error: {wrong.format_message()}", err=True)


def _traced() -> str:
    return traceback.format_exc().rstrip("\n")


def _unforeseen(wrong: Exception) -> str:
    """Return the message for an exception that no command handles: the machine failed, or the program has a bug.

    A full disk is handled here only if a lock or a folder cannot be created: any other write pauses the node.
    """
    from gitcoord.store import files

    if isinstance(wrong, OSError) and files.is_disk_trouble(wrong):
        return f"{files.describe(wrong)}: nothing acknowledged is lost; {files.REMEDY}"
    safe = "Acknowledged events are safe."
    if isinstance(wrong, OSError | MemoryError):
        return f"this machine refused: {wrong or type(wrong).__name__}. {safe} Run `gitcoord doctor`, then try again"
    return (
        f"unexpected {type(wrong).__name__}: {wrong}\n{safe} Run the command again with GITCOORD_DEBUG=1, "
        "and report the traceback that it prints"
    )
