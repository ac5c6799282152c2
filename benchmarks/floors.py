"""Floors: what git itself takes for the same work, with nothing of gitcoord around it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

LINE = b'{"interaction":null,"actor":"alice","type":"note","content":"' + b"x" * 300 + b'"}\n'


def git(*arguments: str, folder: Path | None = None, given: bytes | None = None) -> bytes:
    """What git prints. Fails when git does."""
    command = ["git", *(["-C", str(folder)] if folder else []), *arguments]
    done = subprocess.run(command, input=given, capture_output=True)
    if done.returncode:
        raise RuntimeError(f"git {arguments[0]} ended with {done.returncode}: {done.stderr.decode(errors='replace')}")
    return done.stdout


class Pusher:
    """A writer who pushes one ready commit after the other to a ref of its own."""

    def __init__(self, folder: Path, url: str, ref: str, contents: Sequence[bytes]) -> None:
        self.folder, self.url, self.ref = folder, url, ref
        git("init", "--quiet", "--bare", str(folder))
        stream = [b"reset refs/heads/ready\n"]
        for number, data in enumerate(contents, 1):
            who = b"bench <bench@example.invalid> %d +0000" % (1_700_000_000 + number)
            stream.append(b"commit refs/heads/ready\nmark :%d\ncommitter %s\ndata 5\nready\n" % (number, who))
            stream.append(b"M 100644 inline events.log\ndata %d\n%s\n" % (len(data), data))
        marks = folder / "marks"
        git("fast-import", "--quiet", f"--export-marks={marks}", folder=folder, given=b"".join(stream))
        rows = [row.split() for row in marks.read_text("ascii").splitlines()]
        oids = {int(mark[1:]): oid for mark, oid in rows}
        self._ready = iter([oids[number] for number in range(1, len(contents) + 1)])

    def push(self) -> None:
        git("push", "--quiet", self.url, f"{next(self._ready)}:{self.ref}", folder=self.folder)


def growing(count: int, line: bytes = LINE, lines_max: int = 20) -> list[bytes]:
    """A file that grows by a line a commit, and begins anew where gitcoord would seal it."""
    return [line[:-3] + b'%06d"}\n' % number + line * (number % lines_max) for number in range(count)]


def ls_remote(url: str) -> None:
    git("ls-remote", "--quiet", url)


def shallow_fetch(url: str, ref: str, into: Path) -> None:
    git("init", "--quiet", "--bare", str(into))
    git("fetch", "--quiet", "--depth=1", "--no-tags", url, f"+{ref}:{ref}", folder=into)


def python_pass() -> None:
    subprocess.run([sys.executable, "-c", "pass"], check=True)
