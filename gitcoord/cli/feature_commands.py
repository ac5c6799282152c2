"""The command line of the features: options, help, tables and JSON follow from their commands and queries."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from gitcoord.cli import field_options
from gitcoord.cli.common import (
    Noun,
    allow_secret_option,
    as_option,
    echo,
    json_option,
    node_here,
    print_json,
    show_again,
    speaker,
    watch_option,
)
from gitcoord.cli.dry_run import dry_run_option, would_write
from gitcoord.cli.events import refresh
from gitcoord.cli.tables import detail, print_table
from gitcoord.core.commands import ROWS_MAX, Answer, Command, Query
from gitcoord.features import FEATURES, LISTED

if TYPE_CHECKING:
    from gitcoord.node.node import Node


def command(word: str) -> click.Command:
    """Return what `gitcoord WORD` runs: a command, or a group of commands."""
    found = _named(word)
    if word in found:
        return _click(word, found[word])
    group = Noun(word, help=_group_help(word, found))
    extend(group, word)
    return group


def extend(group: click.Group, word: str) -> None:
    """Add to `group` what the features have under `word`."""
    for name, what in _named(word).items():
        group.add_command(_click(name, what))


def _named(word: str) -> dict[str, Command | Query]:
    return {
        name: what
        for feature, words in LISTED.items()
        if word in words
        for name, what in FEATURES[feature].COMMANDS.items()
        if name.split(" ")[0] == word
    }


def _group_help(word: str, found: Mapping[str, Command | Query]) -> str:
    help_ = next(words[word] for words in LISTED.values() if word in words)
    first = next(iter(found.values()))
    return f"{help_}.\n\n\b\nExample:\n" + "\n".join(f"  {line}" for line in (*first.before, first.example))


def _click(name: str, what: Command | Query) -> click.Command:
    run: Callable[..., None] = _runs_command(name, what) if isinstance(what, Command) else _runs_query(name, what)
    for field_name, field in reversed(what.arguments.model_fields.items()):
        run = field_options.decorator(field.alias or field_name, field, field_name in what.positional)(run)
    lines = "\n".join(f"  {line}" for line in (*what.before, what.example))
    return click.command(name.split(" ")[-1], help=f"{what.help}.\n\n\b\nExample:\n{lines}")(run)


# Commands


def _runs_command(name: str, what: Command) -> Callable[..., None]:
    @as_option
    @click.option(
        "--timeout",
        metavar="SECONDS",
        type=click.FloatRange(min=0),
        default=60.0,
        show_default=True,
        help="Seconds to wait for the ledger's answer",
    )
    @allow_secret_option
    @dry_run_option
    @json_option
    def run(
        *, actor: str | None, timeout: float, dry_run: bool, as_json: bool, takeover: bool = False, **values: Any
    ) -> None:
        from gitcoord.node.operations import submit

        node = node_here()
        who, raw_args = speaker(node, actor), field_options.raw_arguments(values, what)
        if dry_run:
            drafts = submit.drafted(node, submit.propose(node, what, raw_args, actor=who, takeover=takeover), who)
            would_write(node, name.replace(" ", "."), drafts, as_json)
            return
        if what.fresh:
            refresh(node, fresh_s=node.local.profile.poll_s)
        done = submit.act(node, what, raw_args, actor=who, timeout_s=timeout, takeover=takeover)
        _show_outcome(name, what, done, as_json)

    if not what.binds:
        return run
    return click.option(
        "--takeover", is_flag=True, help="Do it although a session of the agent lives in another place"
    )(run)


def _show_outcome(name: str, what: Command, outcome: Any, as_json: bool) -> None:
    ids = [event.uid for event in outcome.events]
    if as_json:
        print_json(
            {
                "schema": f"gitcoord.{name.replace(' ', '.')}/1",
                "ids": ids,
                "level": outcome.level,
                "position": outcome.position,
                **outcome.answer,
            }
        )
    elif not ids and what.lines is None:
        known = outcome.answer.get("task")
        echo(f"nothing to do: {known['id'][:8]} {known['title']} is {known['status']}" if known else "nothing to do")
    for event in outcome.events if not as_json else ():
        echo(f"{event.uid[:8]} {event.content}" + (f" ({outcome.level.upper()})" if outcome.trouble else ""))
    if what.lines is not None and not as_json:
        for line in what.lines(outcome.answer):
            echo(line)
    for complaint in filter(None, (outcome.trouble, outcome.answer.get("warning"))):
        echo(f"gitcoord: {complaint}", err=True)


# Queries


def _runs_query(name: str, what: Query) -> Callable[..., None]:
    @as_option
    @watch_option
    @click.option("--no-sync", is_flag=True, help="Show the local state; do not sync first")
    @json_option
    def run(
        *,
        actor: str | None,
        watch: bool,
        no_sync: bool,
        as_json: bool,
        limit: int = ROWS_MAX,
        after: int = 0,
        **values: Any,
    ) -> None:
        from gitcoord.node.operations import submit

        node = node_here()
        who = actor or _actor_if_any(node)
        raw_args, complained = field_options.raw_arguments(values, what), False
        beside: Answer = {}

        def fetch() -> Sequence[Answer] | Answer:
            nonlocal complained, beside
            if not no_sync:  # report an outage once
                complained = not refresh(node, quiet=complained, fresh_s=node.local.profile.poll_s)
            answer = submit.ask(node, what, raw_args, actor=who, again=not no_sync)
            beside = submit.beside(node, what, raw_args, actor=who)
            return answer[after : after + limit] if isinstance(answer, Sequence) else answer

        show_again(fetch, lambda answer: _show_answer(name, what, raw_args, answer, beside, as_json), watch=watch)

    if not what.columns:
        return run
    run = click.option("--after", metavar="N", type=click.IntRange(min=0), default=0, help="Skip the first N rows")(run)
    return click.option(
        "--limit",
        metavar="N",
        type=click.IntRange(1, ROWS_MAX),
        default=ROWS_MAX,
        show_default=True,
        help="Show at most N rows",
    )(run)


def _actor_if_any(node: Node) -> str:
    """Return the acting agent, or "" if none is set: a query needs none."""
    return os.environ.get("GITCOORD_AGENT") or node.config.agent or ""


def _show_answer(
    name: str,
    what: Query,
    raw_args: Mapping[str, Any],
    answer: Sequence[Answer] | Answer,
    beside: Answer,
    as_json: bool,
) -> None:
    if as_json:
        value = {"items": list(answer), **beside} if isinstance(answer, Sequence) else dict(answer)
        print_json({"schema": f"gitcoord.{name.replace(' ', '.')}/1", **value})
    elif isinstance(answer, Sequence):
        if answer:
            print_table(what.columns, answer)
        else:  # on standard error, so that a program that counts lines counts none
            echo(_nothing(what, raw_args), err=True)
        if beside.get("note"):
            echo(f"gitcoord: {beside['note']}", err=True)
    else:
        for line in detail(answer) if what.lines is None else what.lines(answer):
            echo(line)


def _nothing(what: Query, raw_args: Mapping[str, Any]) -> str:
    more = what.arguments.model_fields.get("all")
    words = f"; --all: {more.description[0].lower()}{more.description[1:]}" if more and more.description else ""
    return "gitcoord: nothing to show" + (words if not raw_args.get("all") else "")
