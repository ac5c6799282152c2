"""Help pages tell what one needs: sentences are whole, values have names."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from gitcoord.cli.main import COMMANDS, FEATURE_WORDS, gitcoord, words


def pages() -> Iterator[tuple[str, ...]]:
    context = click.Context(gitcoord)
    for name in words():
        yield (name,)
        found = gitcoord.get_command(context, name)
        for part in found.list_commands(context) if isinstance(found, click.Group) else ():
            yield name, part


def test_the_first_page_fits_on_one_screen_and_names_each_command_once() -> None:
    page = CliRunner().invoke(gitcoord, ["--help"]).output.splitlines()
    assert 24 <= len(page) <= 40 and max(map(len, page)) <= 80
    assert sorted(words()) == sorted([*COMMANDS, *FEATURE_WORDS])


@pytest.mark.parametrize(("mistyped", "meant"), [("tsk", "task"), ("statu", "status")])
def test_a_mistyped_word_is_answered_with_what_was_meant(mistyped: str, meant: str) -> None:
    assert f"'{meant}'" in CliRunner().invoke(gitcoord, [mistyped]).output


@pytest.mark.parametrize(("word", "whole"), [("claim", "task claim"), ("approve", "autonomy approve")])
def test_a_command_without_its_noun_is_answered_with_both_words(word: str, whole: str) -> None:
    assert f"there is `gitcoord {whole}`." in CliRunner().invoke(gitcoord, [word]).output


@pytest.mark.parametrize("page_of", list(pages()), ids=" ".join)
def test_no_page_cuts_a_sentence_or_calls_a_value_by_its_type(page_of: tuple[str, ...]) -> None:
    page = CliRunner().invoke(gitcoord, [*page_of, "--help"]).output
    assert [line for line in page.splitlines() if line.endswith("...") and "Usage" not in line] == []
    assert "RANGE" not in page and "INTEGER" not in page


def test_an_argument_that_is_one_of_few_words_names_them() -> None:
    assert "PR {approve|reject}" in CliRunner().invoke(gitcoord, ["review", "vote", "--help"]).output
