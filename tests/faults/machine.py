"""A machine on which a `gitcoord` command is killed, or refused by the system, at its k-th change of a file.

With strace the changes are system calls, those of the git processes included; `when=k` counts, in each process, the
calls of one name. Where there is no strace (or it may not trace), a layer of Python's `os` does the same less well.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from tests.system.fleet import surroundings
from tests.waiting import wait_until

CHANGES = (
    "write,pwrite64,fsync,fdatasync,?rename,?renameat,?renameat2,?unlink,?unlinkat,ftruncate,truncate,?mkdir,"
    "?mkdirat,?rmdir,?link,?linkat,?chmod,fchmod,?fchmodat,openat"
)
COMMAND_S_MAX = 120.0
KINDS = ("KILL", "ENOSPC", "EIO", "EACCES")
WANTED = os.environ.get("FAULTS")  # a kind: that one at every point, instead of all at a spread of them
assert WANTED is None or WANTED in KINDS, f"FAULTS={WANTED}: say one of {', '.join(KINDS)}"


@dataclass(frozen=True)
class Fault:
    """At the `when`-th `call`: `error` (an errno's name), once or for good; or ("KILL") the end."""

    call: str
    when: int
    what: str = "KILL"
    for_good: bool = False

    def __str__(self) -> str:
        return f"{self.what} at {self.call} {self.when}{' and ever after' if self.for_good else ''}"


@dataclass(frozen=True)
class Done:
    """How a command ended; `hit`: the fault happened. `points`: where it changed a file, in order."""

    code: int
    out: str
    err: str
    hit: bool = False
    points: tuple[tuple[str, int], ...] = ()


class Machine:
    """Runs commands in clones below `folder`."""

    def __init__(self, folder: Path, *, strace: bool | None = None) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.strace = shutil.which("strace") if strace is not False else None
        self._zygote = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=surroundings(),
            cwd=Path(__file__).parents[2],
        )
        self._answer()

    def __enter__(self) -> Machine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zygote.kill()
        self._zygote.communicate()

    def run(self, cwd: Path, *arguments: str, fault: Fault | None = None, watch: bool = False) -> Done:
        """`watch`: note where it changes files."""
        out, err, log = (self.folder / f"{name}.txt" for name in ("out", "err", "trace"))
        log.unlink(missing_ok=True)
        traced = fault is not None or watch
        layer = self._layer(log, fault) if traced and not self.strace else None
        asked = {"cwd": str(cwd), "arguments": arguments, "out": str(out), "err": str(err), "layer": layer}
        pid = self._ask(asked)["pid"]
        tracer = self._traced(pid, log, fault) if traced and self.strace else None
        code = self._ask("go")["code"]
        if tracer is not None:
            tracer.communicate(timeout=COMMAND_S_MAX)
        text = log.read_text(errors="replace") if log.exists() else ""
        hit = "INJECTED" in text or "killed by SIGKILL" in text
        return Done(code, out.read_text(errors="replace"), err.read_text(errors="replace"), hit, self._points(text))

    def _traced(self, pid: int, log: Path, fault: Fault | None) -> subprocess.Popen[str]:
        words = [str(self.strace), "-f", "-y", "-qq", "-o", str(log), "-p", str(pid), "-e", f"trace={CHANGES}"]
        if fault is not None:
            what = "signal=KILL" if fault.what == "KILL" else f"error={fault.what}"
            words += ["-e", f"inject={fault.call}:{what}:when={fault.when}{'+' if fault.for_good else ''}"]
        tracer = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)

        def attached() -> bool:
            assert tracer.poll() is None, tracer.communicate()[1]
            return "TracerPid:\t0\n" not in Path(f"/proc/{pid}/status").read_text()

        wait_until(attached, what="strace to attach")
        return tracer

    def _layer(self, log: Path, fault: Fault | None) -> dict[str, object]:
        layer: dict[str, object] = {"log": str(log), "sandbox": str(self.folder)}
        if fault is not None:
            number = None if fault.what == "KILL" else getattr(errno, fault.what)
            layer |= {"call": fault.call, "when": fault.when, "error": number, "for_good": fault.for_good}
        return layer

    def _points(self, log: str) -> tuple[tuple[str, int], ...]:
        """The changes of files below the folder, each (call, number in its process) once."""
        points: dict[tuple[str, int], None] = {}
        counts: Counter[tuple[str, str]] = Counter()
        for line in log.splitlines():
            if not self.strace:
                name, _, number = line.partition(" ")
                if number:
                    points[name, int(number)] = None
                continue
            match = re.match(r"(\d+) +(\w+)\((.*)", line)
            if match:
                pid, name, arguments = match.groups()
                counts[pid, name] += 1
                relative = re.match(r'(AT_FDCWD<[^>]*>, )?"[^/]', arguments)
                ours = str(self.folder) in arguments or (relative and name != "openat")
                if ours and (name != "openat" or "O_CREAT" in arguments):
                    points[name, counts[pid, name]] = None
        return tuple(points)

    def _ask(self, request: object) -> dict[str, int]:
        assert self._zygote.stdin is not None
        self._zygote.stdin.write(("go" if request == "go" else json.dumps(request)) + "\n")
        self._zygote.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, int]:
        assert self._zygote.stdout is not None
        line = self._zygote.stdout.readline()
        assert line, "the process that runs the commands has ended"
        answer: dict[str, int] = json.loads(line)
        return answer


def spread(points: Sequence[tuple[str, int]], number: int) -> list[tuple[str, int]]:
    """`number` of the points, from the first to the last; all of them where one kind of fault is `WANTED`."""
    if WANTED or len(points) <= number:
        return list(points)
    return [points[at * (len(points) - 1) // (number - 1)] for at in range(number)]


def may_trace(folder: Path) -> bool:
    """Whether strace is here and may inject: some machines forbid it."""
    if shutil.which("strace") is None:
        return False
    with contextlib.suppress(subprocess.SubprocessError):
        inject = "inject=write:error=ENOSPC:when=1"
        words = ["strace", "-f", "-qq", "-o", str(folder / "probe"), "-e", inject, "echo", "x"]
        return subprocess.run(words, capture_output=True, timeout=20).stdout == b""
    return False
