"""A cache of the outcomes of trial merges, by the pair of commits. It is a disposable file in a node's cache folder.

A repository without a fleet has no such folder, and is left as it was: each pair is merged each time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gitcoord.code.hunks import Hunk
from gitcoord.code.merge_result import Outcome, Pair, Unmerged
from gitcoord.code.objects import Repository
from gitcoord.store.files import write_quickly

FILE = "trial-merges"
FORMAT = 1  # version of the lines, and of how an outcome is judged
BYTES_MAX = 4 * 1024 * 1024  # 46,000 pairs that merge cleanly, at 90 bytes each
OUTCOME_BYTES_MAX = 16 * 1024  # a larger outcome is not cached
SETTINGS = (b"merge.", b"diff.", b"core.attributesfile")  # of git, on which the outcome of a merge may depend


def read(cache: Path, repository: Repository) -> dict[Pair, Outcome]:
    """Return the outcomes, oldest first; none if git or its settings have changed, or the file is damaged."""
    with contextlib.suppress(OSError):
        digest, _, lines = (cache / FILE).read_bytes().partition(b"\n")
        if digest == _digest(repository, lines):
            return dict(_parsed(line) for line in lines.splitlines())
    return {}


def save(cache: Path, repository: Repository, outcomes: Mapping[Pair, Outcome]) -> None:
    """Save the newest outcomes, up to BYTES_MAX. `outcomes` has the oldest first. A failure to write is ignored."""
    kept: list[bytes] = []
    left = BYTES_MAX
    for pair, outcome in reversed([*outcomes.items()]):
        line = _line(pair, outcome)
        if len(line) > OUTCOME_BYTES_MAX:
            continue
        left -= len(line)
        if left < 0:
            break
        kept.append(line)
    lines = b"".join(reversed(kept))
    with contextlib.suppress(OSError):
        write_quickly(cache / FILE, _digest(repository, lines) + b"\n" + lines)


def _digest(repository: Repository, lines: bytes) -> bytes:
    """Return a digest of the lines and of git's version and settings, which the outcomes depend on."""
    settings = repository.git("config", "--list", "-z").split(b"\0")
    attributes = repository.git_dir / "info" / "attributes"
    parts = (
        b"%d" % FORMAT,
        repository.git("version"),
        *(one for one in settings if one.startswith(SETTINGS)),
        attributes.read_bytes() if attributes.exists() else b"",
        lines,
    )
    return hashlib.sha256(b"\0".join(parts)).hexdigest().encode()


def _line(pair: Pair, outcome: Outcome) -> bytes:
    paths = [
        [
            one.path,
            one.kind,
            [[hunk.ours, hunk.theirs, hunk.ours_at, hunk.theirs_at, hunk.function] for hunk in one.hunks],
            one.messages,
        ]
        for one in outcome
    ]
    return json.dumps([*pair, paths], separators=(",", ":")).encode("ascii") + b"\n"


def _parsed(line: bytes) -> tuple[Pair, Outcome]:
    ours, theirs, paths = json.loads(line)
    return (ours, theirs), tuple(
        Unmerged(path, kind, tuple(_hunk(*one) for one in hunks), tuple(messages))
        for path, kind, hunks, messages in paths
    )


def _hunk(ours: list[str], theirs: list[str], *rest: Any) -> Hunk:
    return Hunk(tuple(ours), tuple(theirs), *rest)
