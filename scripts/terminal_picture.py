"""The README's picture, `docs/terminal.svg`: a real run of real commands on a terminal, drawn by rich."""

from __future__ import annotations

import errno
import io
import os
import pty
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "terminal.svg"
COLUMNS, LINES = 104, 60
BEFORE = (
    "git clone -q ../remote.git . 2>&1",
    "git commit -q --allow-empty -m begin",
    "git push -q origin HEAD",
    "gitcoord init --agent ann",
    *(
        f"git worktree add -q -b {name} ../{name} && gitcoord -C ../{name} init --agent {name}"
        for name in ("ben", "cleo", "dan")
    ),
    "gitcoord elect --as ann",
    "gitcoord task create 'Fix the parser' --priority high --as ann",
    "gitcoord task create 'Write the guide' --as ann",
    "gitcoord task create 'Update the schema' --as ann",
)
SHOWN = (
    ("ben", "gitcoord ready"),
    ("ben", "gitcoord task claim {first}"),
    ("cleo", "gitcoord task claim {first}"),
    ("ben", "gitcoord reserve 'src/parser/**' --for 2h --why 'new grammar'"),
    ("dan", "gitcoord reserve src/parser/lexer.py"),
    ("ben", "gitcoord message send 'The parser is mine until noon' --to cleo"),
    ("cleo", "gitcoord inbox"),
    ("cleo", "gitcoord task list --all"),
)


def main() -> None:
    """Run the session in a temporary folder, and draw what the terminal showed."""
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        environment = _environment(top)
        (top / "work").mkdir()
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(top / "remote.git")], check=True)
        for line in BEFORE:
            subprocess.run(
                ["bash", "-ec", line], cwd=top / "work", env=environment, check=True, stdout=subprocess.DEVNULL
            )
        draw(_played(top, environment))


def draw(session: list[tuple[str, str, str]]) -> None:
    """Draw who typed what, and what was printed."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, legacy_windows=False)
    for agent, line, printed in session:
        console.print(Text.assemble((f"{agent} $ ", "bold green"), (line, "bold")))
        console.print(Text.from_ansi(printed.rstrip()))
    svg = console.export_svg(title="four agents, one repository", unique_id="terminal")
    # Without rich's fonts, which the reader's browser would load from somebody else's server.
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    PICTURE.write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n", encoding="utf-8")


def _played(top: Path, environment: dict[str, str]) -> list[tuple[str, str, str]]:
    session, first = [], ""
    for agent, line in SHOWN:
        line = line.format(first=first)
        where = top / ("work" if agent == "ann" else agent)
        printed = _on_a_terminal(line, where, environment | {"GITCOORD_AGENT": agent})
        if not first:
            [urgent] = [row for row in Text.from_ansi(printed).plain.splitlines() if "HIGH" in row]
            first = urgent.split()[0]
        session.append((agent, line, printed))
    return session


def _on_a_terminal(line: str, folder: Path, environment: dict[str, str]) -> str:
    """Return what the command prints where its output is a terminal."""
    pid, terminal = pty.fork()
    if pid == 0:  # the child: its standard streams are the terminal
        os.chdir(folder)
        os.execvpe("bash", ["bash", "-c", f"stty cols {COLUMNS} rows {LINES}; {line}"], environment)
    printed = b""
    try:
        while piece := os.read(terminal, 4096):
            printed += piece
    except OSError as end:
        if end.errno != errno.EIO:  # how Linux says that the other side is closed
            raise
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)
    return printed.decode().replace("\r\n", "\n")


def _environment(top: Path) -> dict[str, str]:
    """Return an environment with `gitcoord` of this tree, and with nobody's settings."""
    programs = top / "bin"
    programs.mkdir()
    program = programs / "gitcoord"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -P -m gitcoord "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    author = {f"GIT_{who}_{what}": "ann" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    return author | {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HOME": str(top),
        "TERM": "xterm-256color",
        "PYTHONPATH": str(PICTURE.parents[1]),
        "GIT_CONFIG_NOSYSTEM": "1",
    }


if __name__ == "__main__":
    main()
