"""Ports: what the core needs from the world, a store of content-addressed objects and one remote.

`store/git/git_store.py` implements them with git, `store/memory.py` with dicts. One contract suite
(`tests/store/test_contract.py`) tests both against the docstrings below.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

Oid = str
"""The name of a git object: 40 hexadecimal characters."""


NAME_TAKEN = "name taken:"
"""The beginning of the reason of a push that was denied because the ref's name and another ref's exclude each other."""

ALREADY_THERE = "already there"
"""The reason of an accepted push whose ref had the new value before: git compares nothing then."""


class PushOutcome(enum.Enum):
    """The result of one compare-and-swap."""

    ACCEPTED = "accepted"
    STALE = "stale"  # the ref was not at `old`: a lost race
    DENIED = "denied"  # permission, a hook, a protected ref
    UNREACHABLE = "unreachable"  # the push certainly did not arrive
    UNKNOWN = "unknown"  # no answer: the server may still apply it; only a fetch shows that


class Update(NamedTuple):
    """One compare-and-swap: `ref` goes from `old` (None: must not exist) to `new` (None: delete)."""

    ref: str
    old: Oid | None
    new: Oid | None


class Pushed(NamedTuple):
    """The answer to one `Update`. `reason` is the remote's own message, one line, for a person."""

    outcome: PushOutcome
    reason: str = ""


class Fetched(NamedTuple):
    """The result of a fetch. An outbox that cannot be fetched does not keep the others from being fetched."""

    refs: dict[str, Oid]
    """The ledger and the outboxes, as the remote has them. All objects that they reach are here, except for `left`."""

    left: dict[str, str] = {}
    """Outboxes that were not fetched, and why: too large, damaged, too many. They may be missing in `refs`."""

    strays: dict[str, Oid] = {}
    """Refs among the outboxes whose names cannot be an outbox's. They are not fetched."""


class TreeEntry(NamedTuple):
    """One name in a tree."""

    oid: Oid
    is_tree: bool = False


class CommitInfo(NamedTuple):
    """The content of a commit object."""

    oid: Oid
    tree: Oid
    parents: tuple[Oid, ...]
    message: str


class Objects(Protocol):
    """The node's private object database. Writing is idempotent; equal content has equal oids.

    Reading an object that is missing, or of another kind, raises `Corrupt`.
    """

    def put_blob(self, data: bytes) -> Oid: ...

    def put_tree(self, entries: Mapping[str, TreeEntry]) -> Oid: ...

    def put_commit(self, *, tree: Oid, parents: Sequence[Oid], message: str, author: str, time_s: int) -> Oid:
        """Write a commit; return its id. `author` is an agent id; `time_s` are seconds since 1970, UTC."""

    def blob(self, oid: Oid, *, bytes_max: int | None = None) -> bytes:
        """Return a blob's bytes. Raise Oversized, before anything is read, if there are more than `bytes_max`."""

    def ahead(self, oids: Sequence[Oid]) -> None:
        """Prepare to read these blobs next, in this order. This is a hint, and changes no answer."""

    def tree(self, oid: Oid) -> dict[str, TreeEntry]: ...

    def commit(self, oid: Oid) -> CommitInfo: ...

    def is_ancestor(self, old: Oid, new: Oid) -> bool:
        """Return whether `new` descends from `old`, or is the same. False if one of them is not here."""

    def first_parents(self, tip: Oid, *, stop: Oid | None, limit: int) -> list[Oid]:
        """Return the commits after `stop` (None: from the first) up to `tip`, oldest first, along first parents.

        If there are more than `limit`, return the newest `limit`. Commits that a newcomer's fetch left on the remote
        are fetched first. Raise Unreachable if that fails, and Corrupt if the remote does not have them either.
        """

    def keep(self, name: str, oid: Oid | None) -> None:
        """Set (None: delete) a local ref, so that the objects that it reaches are kept. `name` is `[a-z0-9/-]+`."""

    def kept(self, prefix: str = "") -> dict[str, Oid]:
        """Return the local refs set by `keep` whose names begin with `prefix`."""


class Remote(Protocol):
    """The shared git remote."""

    def fetch(self, *, newcomer: bool = False, first: Collection[str] = ()) -> Fetched:
        """Fetch the ledger and the outboxes.

        `newcomer`: if the ledger is not here at all, its newest `LOOK_BACK_COMMITS` commits are enough. `first`: nodes
        whose outboxes to prefer, if there are more than `OUTBOXES_MAX`. Raise `Unreachable`, `BadCredentials` or
        `Denied`, but never because of an outbox.
        """

    def push(self, updates: Sequence[Update]) -> dict[str, Pushed]:
        """Try each update by itself, in one request. Return the remote's answers; never raise because of them."""
