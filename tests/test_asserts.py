"""An assert is for our own bugs: `python -O` leaves it out, so nothing may depend on its being evaluated."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import gitcoord

SOURCES = Path(gitcoord.__file__).parent
PURE = {
    "isinstance",
    "issubclass",
    "callable",
    "len",
    "all",
    "any",
    "type",
    "bool",
    "int",
    "set",
    "startswith",
    "endswith",
    "isdigit",
    "match",
    "fullmatch",
    "get",
    "keys",
    "values",
    "items",
}


def properties(trees: Iterator[ast.AST]) -> set[str]:
    """The names behind which code of ours may run when an attribute is read."""
    return {
        node.name
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and any(isinstance(one, ast.Name) and one.id == "property" for one in node.decorator_list)
    }


def impure(source: str, known: set[str]) -> list[int]:
    """The lines of asserts that do more than look at values: a call that is not known, a property, `:=`, await.

    A bare attribute is told too: in others' packages it may be a property, and nothing compares what it gives.
    """
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assert) and (
            isinstance(node.test, ast.Attribute)
            or any(
                isinstance(part, ast.NamedExpr | ast.Await | ast.Yield | ast.YieldFrom)
                or isinstance(part, ast.Attribute)
                and part.attr in known
                or isinstance(part, ast.Call)
                and _name(part.func) not in PURE
                for part in ast.walk(node.test)
            )
        ):
            found.append(node.lineno)
    return found


def _name(called: ast.expr) -> str:
    return called.id if isinstance(called, ast.Name) else called.attr if isinstance(called, ast.Attribute) else ""


def test_no_assert_does_anything() -> None:
    files = sorted(SOURCES.rglob("*.py"))
    known = properties(ast.parse(path.read_bytes()) for path in files)
    assert {"replica", "busy", "code"} <= known
    found = {
        str(path.relative_to(SOURCES)): lines
        for path in files
        if (lines := impure(path.read_text(encoding="utf-8"), known))
    }
    assert not found


@pytest.mark.parametrize(
    "test",
    ["me.replica is not None", "as_app.token", "node.sync()", "(tip := read())", "found.pop()", "[].append(1) is None"],
)
def test_an_assert_with_a_side_effect_is_found(test: str) -> None:
    assert impure(f"assert {test}", {"replica"}) == [1]


@pytest.mark.parametrize("test", ["x is not None", "isinstance(x, int)", "all(one.startswith('a') for one in x)"])
def test_an_assert_that_only_looks_is_none(test: str) -> None:
    assert not impure(f"assert {test}", {"replica"})


OPTIMISED = """
import gitcoord
with gitcoord.join({path!r}, agent="alice") as me:
    me.node.append(me.node.draft("config_changed", "timings", actor="alice", data={{"set": {{"profile": "lan"}}}}))
    me.node.sync(); me.node.sync()
with gitcoord.join({path!r}, agent="alice") as me:
    print(me.node.profile.name)
"""


def test_the_fleets_settings_hold_under_python_o(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-O", "-c", OPTIMISED.format(path=str(tmp_path / "alice"))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "lan", done.stderr
