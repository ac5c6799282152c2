"""The page of all commands, made from the command line itself: `docs/commands.md` between its two markers."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import click

from gitcoord.cli.main import gitcoord

PAGE = Path(__file__).resolve().parents[1] / "docs" / "commands.md"
BEGIN, END = "<!-- BEGIN COMMANDS (written by scripts/docs) -->", "<!-- END COMMANDS -->"


def main() -> None:
    """Write the page anew."""
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def page(text: str) -> str:
    """Return the page with its generated part made anew."""
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n\n{generated()}\n{END}{after}"


def generated() -> str:
    context = click.Context(gitcoord, info_name="gitcoord")
    return "\n".join((*_overview(context), *_sections(context)))


def top_level() -> list[str]:
    """Return the first words of all commands, in the order of `gitcoord --help`."""
    return gitcoord.list_commands(click.Context(gitcoord, info_name="gitcoord"))


def _overview(context: click.Context) -> Iterator[str]:
    yield from ("| command | does |", "|---|---|")
    for word in top_level():
        command = _named(gitcoord, word, context)
        yield f"| [`{word}`](#{word}) | {_cell(command.get_short_help_str(limit=200))} |"
    yield ""


def _sections(context: click.Context) -> Iterator[str]:
    for word in top_level():
        command = _named(gitcoord, word, context)
        yield from (f"## {word}", "")
        inner = click.Context(command, info_name=word, parent=context)
        yield from _command(command, inner)
        if isinstance(command, click.Group):
            for part in command.list_commands(inner):
                below = _named(command, part, inner)
                yield from (f"### {word} {part}", "")
                yield from _command(below, click.Context(below, info_name=part, parent=inner))


def _named(group: click.Group, name: str, context: click.Context) -> click.Command:
    found = group.get_command(context, name)
    assert found is not None
    return found


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    """Yield what a command does, how it is typed, its options, and its examples."""
    words, examples = _help(command.help or "")
    yield from (words, "")
    yield from ("```text", " ".join((context.command_path, *command.collect_usage_pieces(context))), "```", "")
    shown = [parameter.get_help_record(context) for parameter in command.params if isinstance(parameter, click.Option)]
    rows = [record for record in shown if record is not None]
    if rows:
        yield from ("| option | |", "|---|---|")
        yield from (f"| `{left.replace('|', '/')}` | {_cell(right)} |" for left, right in rows)
        yield ""
    if examples:
        yield from ("```sh", examples, "```", "")


def _help(text: str) -> tuple[str, str]:
    """Return the paragraphs of a help text, and the lines of its examples."""
    paragraphs, examples = [], ""
    for part in inspect.cleandoc(text).split("\n\n"):
        if not part.startswith("\b"):
            paragraphs.append(_escaped(" ".join(part.split())))
            continue
        first, _, rest = part.removeprefix("\b").lstrip("\n").partition("\n")
        if first.startswith("Example"):
            examples = inspect.cleandoc(rest)
        else:
            paragraphs.append(f"```text\n{first}\n{rest}\n```")
    return "\n\n".join(paragraphs), examples


def _cell(text: str) -> str:
    return _escaped(" ".join(text.split())).replace("|", "\\|")


def _escaped(text: str) -> str:
    """Return text in which nothing is taken for a tag or for emphasis."""
    return text.replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_")


if __name__ == "__main__":
    main()
