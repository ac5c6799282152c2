"""Clones of one fleet on a file remote, and the command line run in them, in this process or in another."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gitcoord.cli.main import main
from gitcoord.node.node import Node, open_node
from gitcoord.store.git import local_repo

TOP = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)

    def rows(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass(frozen=True)
class Clone:
    """A clone that belongs to a fleet, and what is typed in it."""

    path: Path
    remote: Path
    agent: str

    @property
    def home(self) -> Path:
        return self.path / ".git" / "gitcoord"

    def __call__(self, *args: str, code: int | None = 0, stdin: bytes = b"", **environment: str) -> Result:
        """Run a command; `code`: the exit code that it must have (None: any)."""
        result = gitcoord(self.path, *args, stdin=stdin, environment=environment)
        if code is not None:
            assert result.code == code, result
        return result

    def write(self, type_: str, content: str, *, to: Sequence[str] = (), **data: Any) -> None:
        """Queue an event that no command writes, such as one without effect."""
        with self.node() as node:
            node.append(node.draft(type_, content, actor=self.agent, to=to, data=data))

    def start(self, *args: str, **environment: str) -> subprocess.Popen[str]:
        """The same in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "gitcoord", *args],
            cwd=self.path,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=process_environment(environment),
        )

    def node(self) -> contextlib.closing[Node]:
        return contextlib.closing(open_node(self.path))

    @contextlib.contextmanager
    def outage(self) -> Iterator[None]:
        """The remote is not there."""
        away = self.remote.with_name(self.remote.name + ".away")
        self.remote.rename(away)
        try:
            yield
        finally:
            away.rename(self.remote)

    def hook(self, script: str) -> Path:
        """A `pre-receive` hook of the remote's."""
        path = self.remote / "hooks" / "pre-receive"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o755)
        return path


def process_environment(more: Mapping[str, str]) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(TOP), **more}


def make_remote(path: Path) -> Path:
    local_repo.make_bare_remote(path)
    return path


def make_clone(path: Path, remote: Path, agent: str, *options: str) -> Clone:
    """A clone whose agent is a member of the remote's fleet, which is founded where there is none."""
    local_repo.init_repository(path)
    clone = Clone(path, remote, agent)
    clone("init", "--remote", str(remote), "--agent", agent, *options)
    return clone


@functools.cache
def _pair() -> tempfile.TemporaryDirectory[str]:
    """A fleet of alice and bob, made once: to copy it takes a fiftieth of the time that it takes to make it."""
    kept = tempfile.TemporaryDirectory(prefix="gitcoord-pair-")
    folder = Path(kept.name)
    remote = make_remote(folder / "remote.git")
    make_clone(folder / "alice", remote, "alice")
    shutil.copytree(folder / "remote.git", folder / "founded.git")
    make_clone(folder / "bob", remote, "bob")
    return kept


def copied(folder: Path, *agents: str) -> list[Clone]:
    """Clones of a new fleet in `folder`, as `make_clone` makes them: of alice, the founder, or of alice and bob."""
    made, remote = Path(_pair().name), folder / "remote.git"
    shutil.copytree(made / ("founded.git" if len(agents) == 1 else "remote.git"), remote, symlinks=True)
    clones = []
    for agent in agents:
        shutil.copytree(made / agent, folder / agent, symlinks=True)
        config = folder / agent / ".git" / "gitcoord" / "config.json"
        config.write_text(config.read_text("utf-8").replace(str(made / "remote.git"), str(remote)), "utf-8")
        clones.append(Clone(folder / agent, remote, agent))
    return clones


def gitcoord(folder: Path, *args: str, stdin: bytes = b"", environment: Mapping[str, str] = {}) -> Result:
    """The command line's own `main`, in this process: quick, and with its exit codes."""
    before, variables, old_stdin = Path.cwd(), dict(os.environ), sys.stdin
    out, err = io.StringIO(), io.StringIO()
    os.chdir(folder)
    os.environ.update(environment)
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")
    code: Any = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main(list(args))
    except SystemExit as end:
        code = end.code
    finally:
        sys.stdin = old_stdin
        os.environ.clear()
        os.environ.update(variables)
        os.chdir(before)
    return Result(code, out.getvalue(), err.getvalue())
