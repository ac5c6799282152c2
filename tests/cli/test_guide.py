"""The guide for AI agents: a section of a file, written anew without a change to the rest; what it names is there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from gitcoord.cli.main import gitcoord as group
from gitcoord.core.errors import Refused
from gitcoord.node.membership import agent_guide
from tests.cli.clones import Clone

COMMANDS = sorted(
    {line for block in re.findall(r"```sh\n(.*?)```", agent_guide.TEXT, re.DOTALL) for line in block.splitlines()}
    | set(re.findall(r"`(gitcoord [^`]*)`", agent_guide.TEXT))
)


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_that_it_names_can_be_typed(line: str) -> None:
    words = shlex.split(line)[1:]
    command: click.Command = group
    context = click.Context(group)
    while words and isinstance(command, click.Group):
        name, found, words = command.resolve_command(context, words)
        assert found is not None
        command, context = found, click.Context(found, info_name=name, parent=context)
    if isinstance(command, click.Group) or "`" + line + "`" in agent_guide.TEXT:
        return  # named only
    command.make_context(command.name, words, resilient_parsing=False)


def test_it_is_short_and_its_exit_codes_are_those_of_the_commands() -> None:
    assert len(agent_guide.TEXT) < 4000  # about a thousand tokens of an agent's attention
    assert [code for code in re.findall(r"\b(\d) (?:done|refused|somebody|queued)", agent_guide.TEXT)] == [
        "0",
        "2",
        "3",
        "4",
    ]


def test_a_new_file_is_made_and_again_changes_nothing(alice: Clone) -> None:
    assert "into AGENTS.md" in alice("init", "--agent-guide", "AGENTS.md").out  # a clone that has joined already
    assert (alice.path / "AGENTS.md").read_text("utf-8") == agent_guide.TEXT
    assert alice("init", "--agent-guide", "AGENTS.md").out.startswith("nothing to do")


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_the_rest_of_the_file_stays(tmp_path: Path, newline: str) -> None:
    file = tmp_path / "CLAUDE.md"
    before, after = f"# Ours{newline}{newline}Keep it so.{newline}", f"{newline}{newline}## More{newline}"
    file.write_bytes(before.encode())
    file.chmod(0o640)
    assert agent_guide.write(file, tmp_path) and not agent_guide.write(file, tmp_path)
    text = file.read_bytes().decode()
    assert text == before + newline + agent_guide.TEXT.replace("\n", newline)
    old = text.replace("Rules:", "No rules:").removesuffix(newline) + after
    file.write_bytes(old.encode())
    assert agent_guide.write(file, tmp_path) and not agent_guide.write(file, tmp_path)
    assert file.read_bytes().decode() == text.removesuffix(newline) + after
    assert file.stat().st_mode & 0o777 == 0o640


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "AGENTS.md").write_text("no newline at its end")
    (tmp_path / "CLAUDE.md").symlink_to("AGENTS.md")
    agent_guide.write(tmp_path / "CLAUDE.md", tmp_path)
    assert (tmp_path / "CLAUDE.md").is_symlink()
    assert (tmp_path / "AGENTS.md").read_text("utf-8") == f"no newline at its end\n{agent_guide.TEXT}"


@pytest.mark.parametrize(
    "content",
    [
        agent_guide.BEGIN.encode(),
        agent_guide.END.encode(),
        f"{agent_guide.END} {agent_guide.BEGIN}".encode(),
        agent_guide.TEXT.encode() * 2,
        f"{agent_guide.TEXT}{agent_guide.END}".encode(),
        b"\xff",
        b"x" * (agent_guide.FILE_BYTES_MAX + 1),
    ],
)
def test_what_it_would_spoil_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "AGENTS.md"
    file.write_bytes(content)
    with pytest.raises(Refused):
        agent_guide.write(file, tmp_path)
    assert file.read_bytes() == content
