"""`gitcoord` as a user runs it, in processes of its own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.waiting import WAIT_S

TOP = Path(__file__).resolve().parents[2]
GITCOORD = (sys.executable, "-m", "gitcoord")


@dataclass
class Clone:
    """A clone of a fleet; `prefix` and `before` say how its commands are started."""

    path: Path
    prefix: Sequence[str] = ()
    before: Callable[[], None] | None = None
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return self.path / ".git" / "gitcoord"

    def run(self, *arguments: str, code: int | None = 0, timeout_s: float = WAIT_S) -> subprocess.CompletedProcess[str]:
        """Run to its end, and check its exit code and its manners."""
        done = subprocess.run(
            [*self.prefix, *GITCOORD, *arguments],
            cwd=self.path,
            env=self._environment(),
            text=True,
            capture_output=True,
            preexec_fn=self.before,
            timeout=timeout_s,
        )
        said = f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert code is None or done.returncode == code, said
        assert "Traceback" not in done.stderr and "report the traceback" not in done.stderr, said
        return done

    @contextlib.contextmanager
    def started(self, *arguments: str, output: Path) -> Iterator[subprocess.Popen[bytes]]:
        """Run beside the test; what it says goes to the file `output`."""
        with open(output, "wb") as file:
            process = subprocess.Popen(
                [*self.prefix, *GITCOORD, *arguments],
                cwd=self.path,
                env=self._environment(),
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def append(self, content: str, *options: str) -> str:
        """The id of an acknowledged event."""
        return str(json.loads(self.run("append", "note", content, "--json", *options).stdout)["id"])

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.run("events", "--json").stdout.splitlines()]

    def _environment(self) -> dict[str, str]:
        return os.environ | {"PYTHONPATH": str(TOP), "PYTHONUNBUFFERED": "1"} | self.environment


def new_clone(path: Path, remote: Path, agent: str = "alice") -> Clone:
    """A clone whose agent has joined the fleet on the bare repository `remote`, made if it is not there."""
    if not remote.exists():
        subprocess.run(["git", "init", "--quiet", "--bare", str(remote)], check=True)
    path.mkdir(parents=True, exist_ok=True)
    clone = Clone(path)
    clone.run("init", "--remote", str(remote), "--agent", agent)
    return clone


@contextlib.contextmanager
def holding(lock: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock file until it is killed."""
    program = (
        "import filelock, sys; lock = filelock.FileLock(sys.argv[1]); lock.acquire(); "
        "print('held', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdin is not None
    assert process.stdout.readline() == "held\n"
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()
