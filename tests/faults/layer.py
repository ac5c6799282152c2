"""Faults without strace: the `os` functions of this process that change files, counted, failing, or the last ones.

Reaches what Python itself does, not the git processes that it starts.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

CALLS = ("write", "fsync", "replace", "rename", "unlink", "remove", "mkdir", "ftruncate", "truncate", "chmod", "fchmod")


def install(
    *, log: str, call: str = "", when: int = 0, error: int | None = None, for_good: bool = False, sandbox: str = ""
) -> None:
    """Write down every call in `log`; at the `when`-th `call`, fail with `error`, or (None) end this process."""
    counts: Counter[str] = Counter()
    notes = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    write = os.write

    def wrapped(name: str, real: Any) -> Any:
        def changed(*arguments: Any, **more: Any) -> Any:
            if not arguments or not _inside(arguments[0], sandbox):
                return real(*arguments, **more)
            counts[name] += 1
            write(notes, f"{name} {counts[name]}\n".encode())
            if name == call and (counts[name] == when or (for_good and counts[name] > when)):
                write(notes, b"INJECTED\n")
                if error is None:
                    os.kill(os.getpid(), signal.SIGKILL)
                raise OSError(error, os.strerror(error))
            return real(*arguments, **more)

        return changed

    for name in CALLS:
        setattr(os, name, wrapped(name, getattr(os, name)))


def _inside(what: Any, sandbox: str) -> bool:
    """Whether a path, or what is open under a number, lies in the sandbox."""
    if isinstance(what, int):
        try:
            what = os.readlink(f"/proc/self/fd/{what}")
        except OSError:
            return what > 2
    return str(Path(os.path.abspath(os.fspath(what)))).startswith(sandbox)
