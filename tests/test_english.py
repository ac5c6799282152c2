"""Help and messages are in plain English, as far as a machine can check it in the folders that print them."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from gitcoord.cli.main import GROUPS, gitcoord, words
from gitcoord.core.commands import Command, Query
from gitcoord.features import FEATURES, LISTED

TREE = Path(__file__).resolve().parents[1]
TOP = TREE / "gitcoord"
DOCUMENTS = sorted([*TREE.glob("*.md"), *(TREE / "docs").glob("*.md"), TREE / "benchmarks" / "README.md"])
FOLDERS = ("cli", "code", "core", "features", "github", "mcp", "node", "simulation", "store")
READ_ONCE = (
    "cli",
    "code",
    "features",
    "github",
    "integrations",
    "mcp",
    "node",
    "simulation",
    "store",
)  # with every comment
BARE = re.compile(r"(?:\A|[.?!] +|\n\s*)(?:Who|What|Whose|Of|That)\b")  # a sentence that names no subject
BARE_START = re.compile(r"\A(?:who|what|whose|of)\b(?! is\b)", re.IGNORECASE)  # messages begin in lower case
ARCHAIC = re.compile(
    r"\b(?:mend(?:s|ed|ing)?|anew|for ever|oneself|whosoever|whoever|whomever|naught|shall|ought|lest|wish(?:es|ed)?"
    r"|stands?(?! in for)|stood|(?:is|makes?|takes?|wants?) no more(?! than)|c(?:ame|omes?) of (?:it|a|the)|come about"
    r"|a bug in gitcoord)\b",
    re.IGNORECASE,
)
PRIVATE = re.compile(  # words for which the field has better ones; documents of the product had them
    r"\b(?:of late|lately|(?:carr(?:y|ies|ied)|tak(?:e|es|en)) (?:[\w']+ ){0,4}along|carried line|made fit|a look)\b"
    r"|\b(?:is|are|was|were) told\b|\b[wW]ho (?:is|are) no\b|\bgive way\b"
)
QUOTED = re.compile(  # figures, code, links, and the names of mutants in italics
    r"<!-- BEGIN FIGURES.*?END FIGURES -->|^```.*?^```|`[^`\n]*`|\]\([^)]*\)|(?<!\*)\*(?![\s*])[^*\n]+\*(?!\*)",
    re.DOTALL | re.MULTILINE,
)
NO_VERBS = {
    *("a", "all", "an", "any", "as", "at", "before", "by", "each", "every", "for", "from", "how", "in", "it", "its"),
    *("nobody", "none", "nothing", "of", "on", "one", "only", "that", "the", "these", "this", "those", "to", "until"),
    *("what", "whatever", "when", "where", "whether", "which", "who", "whoever", "whom", "whose", "why", "with"),
    *("without", "some", "two", "there", "if", "none", "once", "while"),
}
TELLS = {"echo", "tell", "say", "UsageError", "BadParameter", "ClickException", "Refused", "Lost", "Corrupt"}
TELLS |= {"Unreachable", "GitcoordError", "CredentialsRefused", "NotConfirmed"}


def walk(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for part in command.list_commands(context):
            found = command.get_command(context, part)
            assert found is not None
            yield from walk(found, f"{name} {part}")


def every_command() -> Iterator[tuple[str, click.Command]]:
    context = click.Context(gitcoord)
    for word in words():
        found = gitcoord.get_command(context, word)
        assert found is not None
        yield from walk(found, word)


def declared() -> Iterator[tuple[str, Command | Query]]:
    for feature in FEATURES.values():
        yield from feature.COMMANDS.items()


def helps() -> Iterator[tuple[str, str]]:
    """Yield each line of help that describes one command, with its name."""
    for name, command in every_command():
        yield name, (command.help or "").split("\n\n")[0].replace("\n", " ").split(". ")[0].removesuffix(".")
    for name, what in declared():
        yield name, what.help
    for heading in (*GROUPS.values(), *LISTED.values()):
        yield from heading.items()


def descriptions() -> Iterator[tuple[str, str]]:
    """Yield what describes each option."""
    for name, command in every_command():
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, (name, parameter.name)
                yield f"{name} --{parameter.name}", parameter.help
    for name, what in declared():
        for field_name, field in what.arguments.model_fields.items():
            yield f"{name} {field_name}", field.description or ""


def messages(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the words of each text that a module's calls tell people, or that it returns (the reasons of the fold)."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Return) and node.value is not None and " " in words_of(node.value):
            yield node.lineno, words_of(node.value)
        called = getattr(node.func, "attr", getattr(node.func, "id", "")) if isinstance(node, ast.Call) else ""
        if called in TELLS and isinstance(node, ast.Call):
            for argument in node.args:
                text = words_of(argument)
                if " " in text:
                    yield node.lineno, text


def words_of(node: ast.expr) -> str:
    """Return the text of a literal, with `{}` in the place of what is filled in; "" for anything else."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(words_of(part) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    return ""


def test_each_help_line_begins_with_a_verb_and_has_no_full_stop() -> None:
    wrong = [
        (name, text)
        for name, text in helps()
        if not text[:1].isupper()
        or text.endswith(".")
        or "\n" in text
        or text.split()[0].casefold() in NO_VERBS
        or BARE.search(text)
        or ARCHAIC.search(text)
    ]
    assert wrong == []


def test_each_option_is_described_in_plain_words_without_a_full_stop() -> None:
    wrong = [
        (name, text)
        for name, text in descriptions()
        if not text or text.endswith(".") or BARE.search(text) or ARCHAIC.search(text)
    ]
    assert wrong == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_docstring_of_a_function_begins_with_a_verb(folder: str) -> None:
    """`ruff check` (D401) finds verbs in a wrong form; this finds what is no verb."""
    wrong = [
        (path.relative_to(TOP).as_posix(), node.name, text)
        for path in sorted((TOP / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (text := ast.get_docstring(node) or "")
        if not any(isinstance(one, ast.Name) and one.id == "property" for one in node.decorator_list)  # a noun, as D401
        if not text[0].isupper() or text.split()[0].strip(",:").casefold() in NO_VERBS
    ]
    assert wrong == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_messages_name_their_subject_and_have_no_archaic_words(folder: str) -> None:
    found = [
        (path.relative_to(TOP).as_posix(), line, text)
        for path in sorted((TOP / folder).rglob("*.py"))
        for line, text in messages(path)
    ]
    assert folder in ("code", "mcp") or len(found) > 10
    wrong = [row for row in found if BARE.search(row[2]) or BARE_START.search(row[2]) or ARCHAIC.search(row[2])]
    assert wrong == []


@pytest.mark.parametrize("folder", READ_ONCE)
def test_texts_and_comments_have_no_archaic_words(folder: str) -> None:
    wrong = [
        (path.relative_to(TOP).as_posix(), token.start[0], found[0])
        for path in sorted((TOP / folder).rglob("*.py"))
        for token in tokenize.generate_tokens(io.StringIO(path.read_text("utf-8")).readline)
        if token.type in (tokenize.COMMENT, tokenize.STRING) and (found := ARCHAIC.search(token.string)) is not None
    ]
    assert wrong == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_documents_have_no_archaic_or_private_words(document: Path) -> None:
    text = QUOTED.sub(lambda found: "\n" * found[0].count("\n"), document.read_text("utf-8"))
    wrong = [
        (number, found[0])
        for number, line in enumerate(text.splitlines(), 1)
        for words in (ARCHAIC, PRIVATE)
        if (found := words.search(line)) is not None
    ]
    assert wrong == []


def test_the_checks_can_fail() -> None:
    assert BARE.search("It ends. Who never beat is not in it") and BARE.search("Whose; none: one's own")
    assert BARE_START.search("who speaks? Name the agent") and ARCHAIC.search("Mend it, for ever")
    assert ARCHAIC.search("it stands again") and not ARCHAIC.search("bob stands in for alice, on standard input")
    assert not BARE.search("The file that is named here. The others stay")
    assert PRIVATE.search("carried along") and PRIVATE.search("takes the others' lines along")
    assert PRIVATE.search("it is told") and not PRIVATE.search(QUOTED.sub("", "as `is told` in [it](is told)"))
    assert {"ARCHITECTURE.md", "github.md"} <= {document.name for document in DOCUMENTS}
