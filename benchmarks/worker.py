"""One of several writers at once: for so many seconds, one confirmed append (or bare push) after another.

    worker.py append FOLDER AGENT SECONDS GROUP
    worker.py push FOLDER URL REF SECONDS

Says `ready`, begins at the first line that it reads, and prints what it did as JSON: the seconds that each took.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

COMMITS = 3000  # ready to be pushed; nobody pushes that many in the time


def main() -> None:
    kind, folder, *rest = sys.argv[1:]
    if kind == "append":
        from gitcoord.node.membership.api import Member
        from gitcoord.node.node import open_node

        node = open_node(Path(folder))
        member, group = Member(node, rest[0]), int(rest[2])
        node.sync()
        go_on(lambda: append(member, group), float(rest[1]))
        node.close()
    else:
        from floors import Pusher, growing

        pusher = Pusher(Path(folder), rest[0], rest[1], growing(COMMITS))
        go_on(pusher.push, float(rest[2]))


def append(member: object, group: int) -> None:
    drafts = [member.node.draft("note", f"number {n} of a group", actor=member.agent) for n in range(group)]
    events = member.node.append(*drafts)
    member.node.confirm(events[-1], "sequenced", timeout_s=60)


def go_on(work: Callable[[], None], seconds: float) -> None:
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.monotonic()
    times: list[float] = []
    failed: list[str] = []
    while time.monotonic() - began < seconds:
        at = time.monotonic()
        try:
            work()
        except Exception as wrong:
            failed.append(f"{type(wrong).__name__}: {wrong}"[:300])
        else:
            times.append(time.monotonic() - at)
    print(json.dumps({"times": times, "failed": failed, "took": time.monotonic() - began}), flush=True)


main()
