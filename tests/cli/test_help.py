"""Help pages tell what one needs: sentences are whole, values have names."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from gitcoord.cli.main import COMMANDS, FEATURE_WORDS, gitcoord


def pages() -> Iterator[tuple[str, ...]]:
    context = click.Context(gitcoord)
    for name in (*COMMANDS, *FEATURE_WORDS):
        yield (name,)
        found = gitcoord.get_command(context, name)
        for part in found.list_commands(context) if isinstance(found, click.Group) else ():
            yield name, part


@pytest.mark.parametrize(("mistyped", "meant"), [("tsk", "task"), ("statu", "status")])
def test_a_mistyped_word_is_answered_with_what_was_meant(mistyped: str, meant: str) -> None:
    assert f"'{meant}'" in CliRunner().invoke(gitcoord, [mistyped]).output


@pytest.mark.parametrize("words", list(pages()), ids=" ".join)
def test_no_page_cuts_a_sentence_or_calls_a_value_by_its_type(words: tuple[str, ...]) -> None:
    page = CliRunner().invoke(gitcoord, [*words, "--help"]).output
    assert [line for line in page.splitlines() if line.endswith("...") and "Usage" not in line] == []
    assert "RANGE" not in page and "INTEGER" not in page


def test_an_argument_that_is_one_of_few_words_names_them() -> None:
    assert "PR {approve|reject}" in CliRunner().invoke(gitcoord, ["vote", "--help"]).output
