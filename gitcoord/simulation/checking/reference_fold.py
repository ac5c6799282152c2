"""A second fold of the ledger, as simple as possible, by code that shares nothing with the product's fold.

It is slow and simple on purpose: if both agree, both are probably right. It does not know the daily limit of lines
without effect (`core/fold/places.py`): the hostile member stops before it, so no schedule reaches it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gitcoord.core.ports import Objects, Oid

CONTROL = ("leader_election", "leader_renewed")
TERM_JUMP_MAX = 1000
FILE_BYTES_MAX = 1024 * 1024
FILE_LINES_MAX = 4096
LEADERS = ("leader_election", "leader_renewed", "leader_resigned")


@dataclass
class Ledger:
    """The state that follows from the lines."""

    lines: list[bytes] = field(default_factory=list)
    heads: dict[str, tuple[int, str]] = field(default_factory=dict)
    node_keys: dict[str, set[str]] = field(default_factory=dict)  # node → keys that its own key vouched for
    effective: dict[str, dict[str, Any]] = field(default_factory=dict)  # uid → fields
    positions: dict[str, int] = field(default_factory=dict)
    void: list[dict[str, Any]] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)  # agent → key
    term: int = 0
    highest: int = 0
    honest: frozenset[str] | None = None  # whose elections and terms count; None: anybody's
    leader: str | None = None
    session: str | None = None
    digest: str = ""
    elections: list[dict[str, Any]] = field(default_factory=list)


def digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


def identity(actor: str, nonce: str) -> str:
    number = int.from_bytes(hashlib.sha256(f"{actor.casefold()}\n{nonce}".encode()).digest()[:10], "big")
    return "".join("0123456789abcdefghjkmnpqrstvwxyz"[number >> shift & 31] for shift in range(75, -1, -5))


def read(
    objects: Objects, tip: Oid, signed: Callable[[bytes], bool], *, honest: frozenset[str] | None = None
) -> Ledger:
    """Return the fold of the valid new lines of every commit from the first to `tip`.

    `signed` returns whether a line's signature is right. `honest`: the agents whose elections and terms count.
    """
    commits: list[Oid] = []
    at: Oid | None = tip
    while at is not None:
        commits.append(at)
        at = next(iter(objects.commit(at).parents), None)
    ledger = Ledger(digest=digest(b"gitcoord ledger"), honest=honest)
    seen: dict[Oid, list[bytes]] = {}
    known: set[bytes] = set()
    for commit in reversed(commits):
        for line in raw_lines(objects, commit, seen):
            if line not in known and take(ledger, line, signed):
                known.add(line)
    return ledger


def raw_lines(objects: Objects, commit: Oid, seen: dict[Oid, list[bytes]] | None = None) -> list[bytes]:
    """Return the lines in a commit's tree: those of sealed files in the order of their names, then the open file's.

    The tree may be a hostile one: a folder or a file that it names twice is read once.
    """
    seen = {} if seen is None else seen
    root = objects.tree(objects.commit(commit).tree)
    blobs: list[Oid] = []
    if "events" in root and root["events"].is_tree:
        folders = [folder.oid for _, folder in sorted(objects.tree(root["events"].oid).items()) if folder.is_tree]
        for folder in dict.fromkeys(folders):
            files = [
                file.oid
                for name, file in sorted(objects.tree(folder).items())
                if name.endswith(".log") and not file.is_tree
            ]
            blobs += [oid for oid in dict.fromkeys(files) if oid not in blobs]
    number, digits = len(blobs), ""
    while len(digits) < 10:
        number, digit = divmod(number, 4)
        digits = f"{digit}{digits}"
    name = f"events-{digits}.log"
    blobs += [root[name].oid] if name in root and not root[name].is_tree else []
    for oid in blobs:
        if oid not in seen:
            seen[oid] = _lines_in(objects.blob(oid))
    return [line for oid in blobs for line in seen[oid]]


def _lines_in(data: bytes) -> list[bytes]:
    """Return the lines of a file; none if it is larger than any log file may be."""
    if len(data) > FILE_BYTES_MAX or data.count(b"\n") > FILE_LINES_MAX:
        return []
    return [line for line in data.split(b"\n") if line]


def take(ledger: Ledger, line: bytes, signed: Callable[[bytes], bool]) -> bool:
    """Fold the line if it gets the next position; return whether it does."""
    try:
        fields = json.loads(line)
        actor, kind, node = (fields[name] for name in ("actor", "type", "node"))
        uid = identity(actor, fields["nonce"])
        spelling = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False
    if spelling != line or not signed(line):
        return False
    fields["uid"] = identity(actor, fields["nonce"])
    seq, first = fields.get("seq"), not ledger.lines
    if first != (kind == "fleet_founded") or (seq is None) != (first or kind in CONTROL):
        return False
    if seq is not None:
        last, hash_ = ledger.heads.get(node, (0, ""))
        if seq != last + 1 or fields.get("prev") != hash_:
            return False
        keys = ledger.node_keys.setdefault(node, set())
        if re.search("-[0-9a-hjkmnp-tv-z]{16}$", node) and "vouch" not in fields and fields["key"] not in keys:
            return False
        if "vouch" in fields:
            keys.add(fields["key"])
    elif not first and fields.get("data", {}).get("after") != ledger.digest:
        return False
    is_members = ledger.keys.get(actor.casefold()) == fields["key"]
    if _counts(ledger, fields, first):
        ledger.effective[uid] = fields
        ledger.positions[uid] = len(ledger.lines) + 1
        _fold(ledger, fields)
    else:
        ledger.void.append(fields)
    term = fields.get("term") or 0
    if is_members and _may_lead(ledger, fields) and term <= ledger.highest + TERM_JUMP_MAX:
        ledger.highest = max(ledger.highest, term)
    if seq is not None:
        ledger.heads[node] = (seq, digest(line))
    ledger.lines.append(line)
    ledger.digest = digest(ledger.digest.encode() + line)
    return True


def _may_lead(ledger: Ledger, fields: dict[str, Any]) -> bool:
    """Return False only for an election by an agent that may not campaign."""
    return (
        fields["type"] != "leader_election"
        or ledger.honest is None
        or (fields["actor"] in ledger.honest and fields["actor"].casefold() in ledger.keys)
    )


def _counts(ledger: Ledger, fields: dict[str, Any], first: bool) -> bool:
    if fields["uid"] in ledger.effective:
        return False
    key = ledger.keys.get(fields["actor"].casefold())
    if key is None and not (first or fields["type"] == "agent_joined"):
        return False
    if key is not None and key != fields["key"]:
        return False
    if key is None and fields["key"] in ledger.keys.values():
        return False  # one key, one agent
    term = fields.get("term")
    if fields["type"] == "leader_election":
        near = term is not None and ledger.highest < term <= ledger.highest + TERM_JUMP_MAX
        return near and _may_lead(ledger, fields)
    if term is None:
        return fields["type"] not in LEADERS
    duty = fields.get("data", {}).get("duty")
    if isinstance(duty, str) and any(
        one.get("term") and one.get("data", {}).get("duty") == duty for one in ledger.effective.values()
    ):
        return False
    return bool(term == ledger.term and fields["actor"] == ledger.leader)


def _fold(ledger: Ledger, fields: dict[str, Any]) -> None:
    if fields["type"] in ("fleet_founded", "agent_joined"):
        ledger.keys.setdefault(fields["actor"].casefold(), fields["key"])
    elif fields["type"] == "leader_election":
        ledger.term, ledger.leader, ledger.session = fields["term"], fields["actor"], fields["data"]["session"]
        ledger.elections.append(fields)
    elif fields["type"] == "leader_resigned" or (fields["type"] == "agent_left" and fields["actor"] == ledger.leader):
        ledger.leader = ledger.session = None
