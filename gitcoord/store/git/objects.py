"""Git objects: an object is its kind, its length and its bytes, and its id is their SHA-1."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence

from gitcoord.core.errors import Corrupt
from gitcoord.core.ports import CommitInfo, Oid, TreeEntry

OID = re.compile(r"[0-9a-f]{40}\Z")

_TREE_MODE = b"40000"
_FILE_MODE = b"100644"
_SUBMODULE_MODE = b"160000"
_NOT_IN_A_NAME = re.compile(r"[\x00-\x1f\x7f<>]+")
_NOT_IN_A_SLUG = re.compile(r"[^a-z0-9]+")


def oid_of(kind: str, data: bytes) -> Oid:
    """Return the id that git gives to an object of `kind` ("blob", "tree", "commit")."""
    return hashlib.sha1(encoded(kind, data), usedforsecurity=False).hexdigest()


def encoded(kind: str, data: bytes) -> bytes:
    """Return an object's bytes with git's header, of which its id is the hash."""
    return b"%s %d\0%s" % (kind.encode(), len(data), data)


def encode_tree(entries: Mapping[str, TreeEntry]) -> bytes:
    """Return a tree's bytes. Raise ValueError for a name that git would not check out.

    Git sorts a folder as if its name ended in a slash: `a.b` comes before `a/`.
    """
    rows = []
    for name, entry in entries.items():
        raw = name.encode("utf-8", "surrogateescape")
        if not _is_plain(raw):
            raise ValueError(f"{name!r} cannot be the name of a tree's entry")
        key = raw + b"/" if entry.is_tree else raw
        mode = _TREE_MODE if entry.is_tree else _FILE_MODE
        rows.append((key, mode + b" " + raw + b"\0" + bytes.fromhex(entry.oid)))
    return b"".join(row for _, row in sorted(rows))


def decode_tree(oid: Oid, data: bytes) -> dict[str, TreeEntry]:
    """Return the entries of a tree, which anybody may have written, by name. Raise Corrupt if the bytes are no tree."""
    entries: dict[str, TreeEntry] = {}
    at = 0
    while at < len(data):
        space = data.find(b" ", at)
        end = data.find(b"\0", space + 1)
        if space < 0 or end < 0 or end + 21 > len(data):
            raise Corrupt(f"object {oid} is not a well-formed tree")
        name = data[space + 1 : end].decode("utf-8", "surrogateescape")
        mode = data[at:space].lstrip(b"0")
        # A submodule names a commit of another repository, which is not here. A name that git would not check out was
        # written by hand. Without it, the next commit can be made, and removes it.
        if mode != _SUBMODULE_MODE and _is_plain(data[space + 1 : end]):
            entries[name] = TreeEntry(data[end + 1 : end + 21].hex(), mode == _TREE_MODE)
        at = end + 21
    return entries


def _is_plain(name: bytes) -> bool:
    """Return whether a tree's entry may have this name."""
    return bool(name) and name.lower() not in (b".", b"..", b".git") and b"/" not in name and b"\0" not in name


def encode_commit(*, tree: Oid, parents: Sequence[Oid], message: str, author: str, time_s: int) -> bytes:
    """Return a commit's bytes. Author and committer are the same, and the time zone is +0000."""
    name = _NOT_IN_A_NAME.sub(" ", author).strip(" .,:;\"'") or "gitcoord"
    slug = _NOT_IN_A_SLUG.sub("-", name.lower()).strip("-") or "agent"
    who = f"{name} <{slug}@gitcoord.invalid> {max(0, time_s)} +0000"
    lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents)]
    lines += [f"author {who}", f"committer {who}", "", message.replace("\0", "")]
    return "\n".join(lines).encode("utf-8", "replace")


def decode_commit(oid: Oid, data: bytes) -> CommitInfo:
    """Return a commit's content, which anybody may have written. Unknown headers are ignored. Raise Corrupt."""
    head, _, message = data.partition(b"\n\n")
    tree = ""
    parents: list[Oid] = []
    for line in head.split(b"\n"):
        word, _, value = line.partition(b" ")
        if word == b"tree" and not tree:
            tree = value.decode("ascii", "replace")
        elif word == b"parent":
            parents.append(value.decode("ascii", "replace"))
    if not all(OID.match(name) for name in (tree, *parents)):
        raise Corrupt(f"object {oid} is not a well-formed commit")
    return CommitInfo(oid, tree, tuple(parents), message.decode("utf-8", "replace"))
