"""Drafts, signers and faulty disks for the tests of what lies on the disk."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gitcoord.core.format.event import Draft, Signer
from gitcoord.core.format.keys import Ed25519Signer
from gitcoord.core.names import uid_from

FLEET = "f" * 16
SIGNER = Ed25519Signer(b"k" * 32)

_count = itertools.count(1)


def signer(agent: str) -> Signer:
    return SIGNER


def draft(content: str = "hello", *, actor: str = "alice", uid: str | None = None) -> Draft:
    entropy = next(_count).to_bytes(4, "big") + os.urandom(6)
    return Draft(
        actor=actor, type="note", content=content, timestamp="2026-11-21T03:04:05.678Z", uid=uid or uid_from(entropy)
    )


class Crash(BaseException):
    """The process ends here: nothing that it does afterwards happens."""


class FaultyOs:
    """The `os` of one module, whose k-th change of the disk (from 1) fails, or is the process's last.

    `error`: raised once at that change. Without it the process crashes: that change is torn (a write) or does not
    happen, and every later one neither. With `power_cut`, what was not synced is lost as well.
    """

    CHANGES = ("open", "write", "fsync", "replace", "truncate", "ftruncate", "unlink")

    def __init__(self, fail_at: int, *, error: int | None = None, power_cut: bool = False) -> None:
        self.left = fail_at
        self.error = error
        self.power_cut = power_cut
        self.crashed = False
        self.hit: str | None = None
        self._paths: dict[int, Path] = {}
        self._synced: dict[Path, int] = {}

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        return self._wrapped(name, real) if name in self.CHANGES else real

    def _wrapped(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if self.crashed:
                raise Crash
            self.left -= 1
            if self.left == 0:
                self.hit = name
                if name == "write":
                    real(args[0], bytes(args[1])[: len(args[1]) // 2])
                if self.error is not None:
                    raise OSError(self.error, os.strerror(self.error))
                self.crashed = True
                raise Crash
            self._note(name, args)
            answer = real(*args, **kwargs)
            if name == "open" and Path(args[0]).is_file():
                path = Path(args[0])
                self._paths[answer] = path
                size = path.stat().st_size
                self._synced.setdefault(path, size)
                self._synced[path] = min(size, self._synced[path])
            return answer

        return call

    def _note(self, name: str, args: tuple[Any, ...]) -> None:
        if name == "fsync" and args[0] in self._paths:
            self._synced[self._paths[args[0]]] = os.fstat(args[0]).st_size
        elif name == "replace" and Path(args[0]) in self._synced:
            self._synced[Path(args[1])] = self._synced.pop(Path(args[0]))

    def cut_power(self) -> None:
        """Take away what was written and not synced."""
        for path, size in self._synced.items():
            if self.power_cut and path.is_file() and path.stat().st_size > size:
                os.truncate(path, size)
