"""Nothing of ours starts Python so that it takes modules from a working folder that may be anybody's.

A static look at each tracked file: `python -m` and `python -c` need -I or -P, as does a script of a checkout; gitcoord
starts itself by `gitcoord/store/program.py` only, and git by the path that it finds.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[1]

# Tests and benchmarks stand in folders of their own; recorded events are others' words; these two tell of the danger.
LEFT_OUT = re.compile(r"tests/|benchmarks/|.*\.log\Z|gitcoord/store/program\.py\Z|gitcoord/__main__\.py\Z")
SOURCES = {".py", ".sh", ".yml", ".yaml", ".md", ".toml", ".cfg", ""}

SHELL = re.compile(
    r"""(?:\bpython[\d.]*|[\w}]*python\}?|\$INTERPRETER|\$PYTHON)["'`]?\s+-(?![IP]\b)[A-Za-z]*[mc]\b""", re.I
)
WORDS = re.compile(r"""sys\.executable,\s*["']-(?![IP]["'])""")
GIT = re.compile(r"""(?:run|Popen|call|check_output)\(\s*\[\s*["']git["'](?![\s\S]{0,200}executable=)""")
BY_NAME = re.compile(r"""sys\.executable|shutil\.which|os\.exec|os\.system|os\.spawn""")


def files() -> list[Path]:
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(words, cwd=TOP, check=True, capture_output=True, text=True).stdout.split("\0")
    return [
        TOP / name
        for name in listed
        if name and not LEFT_OUT.match(name) and Path(name).suffix in SOURCES and (TOP / name).is_file()
    ]


def found(pattern: re.Pattern[str], text: str) -> list[str]:
    return [match[0] for match in pattern.finditer(text)]


def test_no_python_is_started_where_its_modules_could_be_anybodys() -> None:
    assert len(files()) > 200
    wrong = [
        (str(one.relative_to(TOP)), hit)
        for one in files()
        for pattern in (SHELL, WORDS)
        for hit in found(pattern, one.read_text("utf-8", "replace"))
    ]
    # README says what happens without -P, and CI's own tree is no foreign one.
    assert [one for one in wrong if one[0] != ".ci/run" or "pytest" not in one[1]] == []


@pytest.mark.parametrize(
    "text",
    [
        "python -m pip install x",
        "\"$python\" -c 'import venv'",
        '"$PYTHON" -m venv x',
        "python3.12 -m venv",
        "`python -m gitcoord`",
        '"$tree/bin/python" -m pip',
        "${env_python} -m gitcoord",
        "python3 -Bm venv",
    ],
)
def test_a_careless_start_is_seen(text: str) -> None:
    assert found(SHELL, text)


@pytest.mark.parametrize(
    "text", ["python -I -m pip", '"$python" -P -m gitcoord', "python3 -I -c 'pass'", "python -P script.py"]
)
def test_a_careful_start_passes(text: str) -> None:
    assert not found(SHELL, text)


def test_only_one_module_knows_how_a_program_is_found() -> None:
    code = {one: one.read_text("utf-8") for one in files() if one.suffix == ".py" and TOP / "gitcoord" in one.parents}
    assert [(str(one.relative_to(TOP)), hit) for one, text in code.items() for hit in found(GIT, text)] == []
    assert found(GIT, 'subprocess.run(["git", "status"], cwd=x)')
    # The demo's own command is a script in the demo's own folder.
    allowed = {"gitcoord/cli/demonstration/play.py"}
    assert {str(one.relative_to(TOP)) for one, text in code.items() if found(BY_NAME, text)} <= allowed
