"""Trees: folders of a commit. Nothing in them is trusted: somebody else may have written them."""

from __future__ import annotations

from collections.abc import Sequence

from gitcoord.core.errors import Corrupt, Oversized
from gitcoord.core.ports import Objects, Oid, TreeEntry

_NO_NAMES = (".", "..", ".git")


def root_of(objects: Objects, commit: Oid) -> dict[str, TreeEntry]:
    """Return the root of a commit's tree; an empty one if it is too large to be read."""
    try:
        return objects.tree(objects.commit(commit).tree)
    except Oversized:
        return {}


def tree_of(objects: Objects, oid: Oid) -> dict[str, TreeEntry]:
    """Return a tree that somebody else wrote; an empty one if it cannot be read."""
    try:
        return objects.tree(oid)
    except Corrupt:
        return {}


def file_of(objects: Objects, commit: Oid, path: str, *, bytes_max: int | None = None) -> bytes | None:
    """Return a file of a commit; None if there is none, or if it has more than `bytes_max`."""
    entries = root_of(objects, commit)
    *folders, name = path.split("/")
    try:
        for folder in folders:
            entries = objects.tree(entries[folder].oid)
        return None if entries[name].is_tree else objects.blob(entries[name].oid, bytes_max=bytes_max)
    except (KeyError, Corrupt):
        return None


def readable(path: str) -> str:
    """Return a path that somebody else chose as ASCII text of at most 100 characters, for an event or a message."""
    return path.encode("unicode_escape", "backslashreplace").decode("ascii")[:100]


def clean(entries: dict[str, TreeEntry]) -> dict[str, TreeEntry]:
    """Drop names that git itself would refuse to check out: somebody else may have put them there."""
    return {name: entry for name, entry in entries.items() if name and "/" not in name and name not in _NO_NAMES}


def place(objects: Objects, root: dict[str, TreeEntry], path: Sequence[str], data: bytes | None) -> None:
    """Put a file at `path` into `root`, and change the folders on the way (None: remove the file)."""
    name = path[0]
    if len(path) == 1:
        if data is None:
            root.pop(name, None)
        else:
            root[name] = TreeEntry(objects.put_blob(data))
        return
    inside = root.get(name)
    entries = clean(tree_of(objects, inside.oid)) if inside is not None and inside.is_tree else {}
    place(objects, entries, path[1:], data)
    root[name] = TreeEntry(objects.put_tree(entries), is_tree=True)
