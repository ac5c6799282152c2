"""A writer that may be killed at any moment: `writer.py CLONE AGENT COUNT FOLDER`.

It appends events "AGENT 1", "AGENT 2", … up to COUNT, noting in FOLDER what it is about to attempt and what was
acknowledged. Started again, it goes on after the last one that it attempted.
"""

from __future__ import annotations

import contextlib
import random
import sys
from pathlib import Path

import gitcoord
from gitcoord.core.errors import Corrupt, GitcoordError, Lost, Unreachable


def main(clone: str, agent: str, count: str, folder: str) -> None:
    attempted, acknowledged = (Path(folder) / f"{agent}.{name}" for name in ("attempted", "acknowledged"))
    begun = len(attempted.read_text().splitlines()) if attempted.exists() else 0
    with gitcoord.join(clone, agent=agent) as me:
        for number in range(begun + 1, int(count) + 1):
            note(attempted, f"{agent} {number}")
            wait = random.choice(["queued", "queued", "queued", "durable", "sequenced"])
            try:
                me.append("note", f"{agent} {number}", wait=wait, timeout_s=2)
            except GitcoordError as wrong:
                if wrong.exit_code not in (3, 4):  # out of time, or out of luck in a race
                    raise
            note(acknowledged, f"{agent} {number}")  # on the disk in any case
        with contextlib.suppress(Unreachable, Lost):
            me.sync()


def note(path: Path, line: str) -> None:
    with path.open("a") as file:
        file.write(line + "\n")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (Unreachable, Lost, Corrupt) as wrong:  # it could not join now; or somebody laid another fleet's ledger
        print(wrong, file=sys.stderr)
        sys.exit(wrong.exit_code)
