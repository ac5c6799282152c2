"""What the core asks of the world: content-addressed objects, one remote, one durable disk.

`store/git/git_store.py` answers with git, `store/memory.py` with dicts; one contract suite
(`tests/store/test_contract.py`) holds both to the words below.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

Oid = str
"""The name of a git object: 40 hexadecimal characters."""


NAME_TAKEN = "name taken:"
"""So begins the reason of a denied push where another ref has our ref's folder's name, or we have its."""

ALREADY_THERE = "already there"
"""The reason of an accepted push whose ref had the new value before: git compares nothing then."""


class PushOutcome(enum.Enum):
    """What became of one compare-and-swap (DESIGN, section 4)."""

    ACCEPTED = "accepted"
    STALE = "stale"  # the ref was not at `old`: a lost race
    DENIED = "denied"  # permission, a hook, a protected ref
    UNREACHABLE = "unreachable"  # the push certainly did not arrive
    UNKNOWN = "unknown"  # no answer: the server may still apply it; only a fetch can tell


class Update(NamedTuple):
    """One compare-and-swap: `ref` goes from `old` (None: must not exist) to `new` (None: delete)."""

    ref: str
    old: Oid | None
    new: Oid | None


class Pushed(NamedTuple):
    """The answer to one `Update`; `reason` is the remote's own words, one line, for a person."""

    outcome: PushOutcome
    reason: str = ""


class Fetched(NamedTuple):
    """What a fetch found. Whatever others put on the remote, it costs them their own outboxes only."""

    refs: dict[str, Oid]
    """The ledger and the outboxes, as the remote has them. All that they reach is here, but for those in `left`."""

    left: dict[str, str] = {}
    """Outboxes that stay on the remote, and why: too large, damaged, more than there may be. Perhaps not in `refs`."""

    strays: dict[str, Oid] = {}
    """Refs among the outboxes that can be none, by their names: nothing of them is fetched."""


class TreeEntry(NamedTuple):
    """One name in a tree."""

    oid: Oid
    is_tree: bool = False


class CommitInfo(NamedTuple):
    """What a commit object says."""

    oid: Oid
    tree: Oid
    parents: tuple[Oid, ...]
    message: str


class Objects(Protocol):
    """The node's private object database. Writing is idempotent; equal content has equal oids.

    Reading an object that is not there, or is of another kind, raises `Corrupt`.
    """

    def put_blob(self, data: bytes) -> Oid: ...

    def put_tree(self, entries: Mapping[str, TreeEntry]) -> Oid: ...

    def put_commit(self, *, tree: Oid, parents: Sequence[Oid], message: str, author: str, time_s: int) -> Oid:
        """`author` is an agent id; `time_s` seconds since 1970, UTC."""

    def blob(self, oid: Oid, *, bytes_max: int | None = None) -> bytes:
        """Raises Oversized, before anything is read, where there is more than `bytes_max`."""

    def ahead(self, oids: Sequence[Oid]) -> None:
        """A hint, which changes no answer: these blobs are read next, in this order."""

    def tree(self, oid: Oid) -> dict[str, TreeEntry]: ...

    def commit(self, oid: Oid) -> CommitInfo: ...

    def is_ancestor(self, old: Oid, new: Oid) -> bool:
        """Whether `new` descends from `old` (or is it). False when either is not here."""

    def first_parents(self, tip: Oid, *, stop: Oid | None, limit: int) -> list[Oid]:
        """Commits from just after `stop` (None: from the root) to `tip`, oldest first.

        Follows first parents. When there are more than `limit`, only the newest `limit` of them. What a newcomer's
        fetch left on the remote is brought here first (Unreachable, if it cannot be); Corrupt, where it is nowhere.
        """

    def keep(self, name: str, oid: Oid | None) -> None:
        """Set (None: delete) a local ref, so that what it reaches stays here. `name` is `[a-z0-9/-]+`."""

    def kept(self, prefix: str = "") -> dict[str, Oid]:
        """Local refs set by `keep`, by name, that begin with `prefix`."""


class Remote(Protocol):
    """The shared git remote."""

    def fetch(self, *, newcomer: bool = False, first: Collection[str] = ()) -> Fetched:
        """Bring the ledger and the outboxes here.

        `newcomer`: of a ledger that is not here at all, the newest `LOOK_BACK_COMMITS` are enough for now.
        `first`: nodes whose outboxes are brought before others', where not all are: there may be `OUTBOXES_MAX`.
        Raises `Unreachable`, `BadCredentials` or `Denied`, and for no outbox's sake.
        """

    def push(self, updates: Sequence[Update]) -> dict[str, Pushed]:
        """Try each update by itself, in one conversation. Never raises for what the remote did."""
