"""Neighbours' heartbeats: the processes of a node leave theirs for each other, and whichever pushes takes all along."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping, Sequence
from typing import Any

from gitcoord.core import times
from gitcoord.core.fold.members import Members
from gitcoord.core.format.event import Event


def others(lines: Sequence[bytes], own: Container[str]) -> list[bytes]:
    """Return the heartbeats in `lines` that are not of the agents in `own`; other lines are left out."""
    return [line for line in lines if (left := _read(line)) and left.get("actor") not in own]


def numbers(lines: Sequence[bytes]) -> tuple[tuple[str, int], ...]:
    """Return the session and the number of each heartbeat."""
    said = [left["data"] for line in lines if (left := _read(line))]
    return tuple(
        (one["session"], one["n"]) for one in said if isinstance(one.get("session"), str) and type(one.get("n")) is int
    )


def is_due(lines: Sequence[bytes], sent: Sequence[Event], members: Members) -> bool:
    """Return whether the remote, which has `sent`, lacks a heartbeat in `lines` that its agent promised by now."""
    known = {heartbeat.actor: heartbeat for heartbeat in sent}
    for left in filter(None, map(_read, lines)):
        member = members.get(str(left.get("actor")))
        if member is None or member.key != left.get("key"):
            continue  # a heartbeat with another key is pushed along, but is no reason to push
        before = known.get(member.id)
        if before is None or before.data.get("session") != left["data"].get("session"):
            return True
        promise_s = before.data.get("next_s")
        # One machine's clock made both timestamps.
        passed_s = times.between_s(before.timestamp, str(left.get("timestamp")))
        if isinstance(promise_s, (int, float)) and passed_s >= promise_s:
            return True
    return False


def _read(line: bytes) -> Mapping[str, Any]:
    try:
        left = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    whole = isinstance(left, dict) and isinstance(left.get("data"), dict) and isinstance(left.get("actor"), str)
    return left if whole else {}
