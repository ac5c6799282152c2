"""A fleet file: what is wrong in it is told with its place, before anything is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitcoord.core.errors import Refused
from gitcoord.node.fleet import child, fleet_file

NINE = Path(__file__).resolve().parents[3] / "examples" / "nine.toml"


def plan(tmp_path: Path, text: str, known: tuple[str, ...] = ()) -> fleet_file.Plan:
    path = tmp_path / "fleet.toml"
    path.write_text(text)
    return fleet_file.read(path, known=known)


def test_the_nine_are_read_in_the_order_of_their_dependencies() -> None:
    order = list(fleet_file.read(NINE).agents)
    assert order[-1] == "AI Model Coordinator" and len(order) == 9
    for name, one in fleet_file.read(NINE).agents.items():
        assert all(order.index(other) < order.index(name) for other in one.depends_on)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "agents: Field required"),
        ("agents = {}", "agents: Dictionary should have at least 1 item"),
        ("[agents.bob\n[agents.eve]", "at line 1"),
        ("[agents.bob]\nexec = 'x'\nexec = 'y'\n", "at line 3"),
        (
            "[agents.bob]\ncapability = ['x']",
            "agents.bob.capability: there is no such field; there are: capabilities, ",
        ),
        ("[workers]\n[agents.bob]", "workers: there is no such field; there are: agents"),
        ("[agents.bob]\nslots = 0", "agents.bob.slots: must be greater than or equal to 1"),
        ("[agents.bob]\nexec = 'x'\nhandler = 'y:z'", "agents.bob: exec and handler exclude each other"),
        ("[agents.'b/b']", "agents.b/b: invalid agent id"),
        ("[agents.bob]\n[agents.BOB]", "agents.BOB: differs from agents.bob in case only"),
        ("[agents.bob]\nbackup = 'bob'", "agents.bob.backup: an agent cannot be its own backup"),
        ("[agents.bob]\nworktree = true", "agents.bob: worktree needs exec or handler"),
        ("[agents.bob]\nbackup = 'eve'", "agents.bob.backup: 'eve' is neither in this file nor in the fleet"),
        ("[agents.bob]\ndepends_on = ['eve']", "agents.bob.depends_on: 'eve' is neither"),
        (
            "[agents.bob]\ndepends_on = ['eve']\n[agents.eve]\ndepends_on = ['Bob']",
            "depend on each other: bob → eve → bob",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(Refused) as refused:
        plan(tmp_path, text)
    assert "fleet.toml: " in str(refused.value) and why in str(refused.value)


def test_agents_of_other_machines_may_be_named(tmp_path: Path) -> None:
    text = "[agents.bob]\ndepends_on = ['alice']\nbackup = 'Alice'"
    assert plan(tmp_path, text, known=("alice",)).agents["bob"].registration["backup"] == "Alice"


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="none.toml: No such file"):
        fleet_file.read(tmp_path / "none.toml")


def test_the_command_line_of_an_agent_says_what_the_file_says(tmp_path: Path) -> None:
    text = "[agents.bob]\ncapabilities = ['python,rust']\nexec = 'run it'\nslots = 2\nlead = false\nworktree = true"
    words = child.argv("bob", plan(tmp_path, text).agents["bob"])
    assert words[3:] == [
        "agent",
        "run",
        "--id",
        "bob",
        "--quiet",
        "--until-eof",
        "--slots",
        "2",
        "--exec",
        "run it",
        "--capabilities",
        "python,rust",
        "--worktree",
        "--no-lead",
    ]
