"""Common parts of commands: open the node, choose the acting agent, print for people or for programs."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gitcoord.core import names
from gitcoord.core import text as text_
from gitcoord.core.errors import Refused
from gitcoord.core.text import Place, fit

if TYPE_CHECKING:
    from rich.text import Text

    from gitcoord.node.node import Node
    from gitcoord.node.writer import Writer

Line = Sequence[tuple[str, str]]  # parts, each with its style on a terminal
F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

REDRAW_S = 1.0
ALLOW_SECRET = "gitcoord.allow_secret"
WHOLE_SENTENCE = 1000  # characters, more than any help sentence has
CHATTER = (
    "start",
    "checking",
    "leader",
    "leading",
    "online",
    "resumed",
    "goodbye",
    "task",
    "draining",
    "withheld",
)  # kinds that --quiet leaves out


class Noun(click.Group):
    """A group of commands. Its help shows each sentence uncut; an unknown command gets the list of known ones."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as wrong:
            words = f"No such command {wrong.command_name!r}: one of {', '.join(self.list_commands(ctx))}."
            raise click.NoSuchCommand(wrong.command_name, words, self.list_commands(ctx), ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        found = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (name, one.get_short_help_str(WHOLE_SENTENCE).rstrip("."))
                    for name, one in found
                    if one is not None and not one.hidden
                ]
            )


def echo(text: str, *, err: bool = False, place: Place = Place.LINES) -> None:
    """Print text for a person. Characters in it that could act on the terminal are made harmless.

    All commands print with this function or `draw`, so that a new command is safe without further care. `Place.DATA`
    is for several lines of our own, and for commands to a workflow's runner.
    """
    click.echo(fit(text, place), err=err)


def draw(lines: Iterable[Line]) -> None:
    """Print lines, with their styles if standard output is a terminal."""
    if not sys.stdout.isatty():
        for line in lines:
            echo("".join(fit(words, Place.LINE) for words, _ in line))
        return
    from rich.console import Console

    console = Console(highlight=False)  # honours NO_COLOR
    for line in lines:
        console.print(styled(line), soft_wrap=True)


def styled(line: Line) -> Text:
    """Return the line as text of rich, with its styles."""
    from rich.text import Text

    return Text.assemble(*((fit(words, Place.LINE), style) for words, style in line))


def print_json(value: Any) -> None:
    """Print one JSON value on one line."""
    click.echo(text_.as_json(value))


def json_option(function: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for programs")(function)


def as_option(function: F) -> F:
    """Add --as; `{worktree}` in it is filled in."""
    return click.option(
        "--as",
        "actor",
        metavar="ID",
        callback=lambda _ctx, _option, value: value and placed(value),
        help="The acting agent  [default: this clone's agent]",
    )(function)


def allow_secret_option(function: F) -> F:
    """Add --allow-secret, to every command that writes text. `node_here` and `writer_here` apply it."""

    def allow(ctx: click.Context, _: click.Parameter, value: bool) -> None:
        ctx.meta[ALLOW_SECRET] = value

    return click.option(
        "--allow-secret", is_flag=True, expose_value=False, callback=allow, help="Write text that looks like a secret"
    )(function)


def watch_option(function: F) -> F:
    return click.option("--watch", is_flag=True, help="Show the answer again when it changes, until Ctrl-C")(function)


def show_again(ask: Callable[[], T], show: Callable[[T], None], *, watch: bool) -> None:
    """Show the answer of `ask`: once, or with `watch` again whenever it changes, each REDRAW_S."""
    shown = ask()
    show(shown)
    while watch:
        time.sleep(REDRAW_S)
        answer = ask()
        if answer != shown:
            show(answer)
        shown = answer


def node_here() -> Node:
    """Open the node of the clone that the command was started in, and close it with the command."""
    from gitcoord.node.node import open_node

    node = open_node(Path.cwd(), tell=tell)
    click.get_current_context().call_on_close(node.close)
    _apply_allow_secret(node.writer)
    if os.environ.get("GITCOORD_APP_ID"):
        from gitcoord.github.api import account

        account.lend_here(account.remote_url(node), say=tell)
    return node


def writer_here() -> Writer:
    """Open that node for writing only, for commands that read nothing of the fleet."""
    from gitcoord.node.writer import Writer
    from gitcoord.store.home.home import find_home

    found = Writer(find_home(Path.cwd()))
    _apply_allow_secret(found)
    return found


def _apply_allow_secret(writer: Writer) -> None:
    if click.get_current_context().meta.get(ALLOW_SECRET):
        from gitcoord.core.secret_scan.credentials import OnSecret

        writer.on_secret = OnSecret.ALLOW


def tell(kind: str, text: str) -> None:
    """Print a notice of the protocol on standard error. `kind` is for logs only."""
    echo(f"gitcoord: {text}", err=True)


def speaker(node: Node | Writer, actor: str | None) -> str:
    """Return the acting agent. Raise Refused if none is set."""
    return chosen_agent(node, actor)[0]


def chosen_agent(node: Node | Writer, actor: str | None) -> tuple[str, str]:
    """Return the acting agent, and what chose it: --as, GITCOORD_AGENT, the work tree or the clone. Raise Refused."""
    if actor is not None:
        if not actor.strip():
            raise Refused(
                "--as names no agent: leave it out, or name one (`gitcoord whoami` shows who acts without it)"
            )
        return actor, "chosen with --as"
    found = os.environ.get("GITCOORD_AGENT", "").strip()
    if found:
        return placed(found), "chosen with GITCOORD_AGENT"
    if node.home.worktree_agent is not None:
        return node.home.worktree_agent, "the agent of this work tree"
    if node.config.agent is not None:
        return node.config.agent, "the agent of this clone"
    raise Refused(
        "no agent is chosen here: name one with --as or GITCOORD_AGENT, or give this place one with "
        "`gitcoord init --agent NAME`"
    )


def placed(agent: str) -> str:
    """Return the agent that a name with `{worktree}` means in this work tree. Raise Refused outside of any."""
    if names.WORKTREE not in agent:
        return agent
    from gitcoord.store.git import repo_location

    return names.agent_id(names.in_worktree(agent, repo_location.worktree_title(Path.cwd())))


def event_id(node: Node, short: str) -> str:
    """Return the full id of the event that `short` names: by its beginning, or by its position. Raise Refused."""
    positions = node.fleet.positions
    known = {*positions, *(event.uid for event in node.disk.pending())}
    return names.named_id(short, known, positions, "event", shown_by="events")


def content_or_stdin(content: str) -> str:
    """Return the content; `-` reads standard input, as UTF-8, without its last newline."""
    if content != "-":
        return content
    try:
        text = sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as wrong:
        raise Refused(f"standard input is not UTF-8 at byte {wrong.start}: an event holds text only") from None
    return text.removesuffix("\n")


def teller(*, quiet: bool, json_logs: bool) -> Callable[[str, str], None]:
    """Return the function that prints the log of a long-running process, line by line."""
    from gitcoord.node.clock import utc_now

    def say(kind: str, text: str) -> None:
        if json_logs:
            print_json({"schema": "gitcoord.log/1", "time": utc_now(), "kind": kind, "text": text})
        elif not quiet or kind not in CHATTER:
            echo(f"{utc_now()[11:23]} {kind}: {text}", err=True)

    return say
