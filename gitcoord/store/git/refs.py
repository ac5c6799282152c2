"""Refs: small files that name objects. The durable ones are synced BEFORE anything relies on them."""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from gitcoord.core.errors import Corrupt
from gitcoord.core.ports import Oid
from gitcoord.store.files import make_folder, open_new, write_all
from gitcoord.store.git.objects import OID, oid_of
from gitcoord.store.home import sharing

NAME = re.compile(r"[a-z0-9-]+(/[a-z0-9-]+)*\Z")


def read_refs(store: Path, under: str) -> dict[str, Oid]:
    """Return all refs under `under` ("refs/x/"), by the rest of their names. Raise Corrupt for a damaged one.

    A loose ref overrides a packed one.
    """
    refs = {name[len(under) :]: oid for name, oid in _packed(store).items() if name.startswith(under)}
    top = os.path.join(store, under)
    for path in _loose_files(top):
        try:
            with open(path, encoding="ascii", errors="replace") as file:
                oid = file.read().strip()
        except FileNotFoundError:  # another process pruned it
            continue
        if not OID.match(oid):
            raise Corrupt(f"{path} does not name a git object: delete it, then run `gitcoord sync`")
        refs[path[len(top) :].replace(os.sep, "/")] = oid
    return refs


def _loose_files(folder: str) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            found = list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in found:
        if entry.is_dir():
            yield from _loose_files(entry.path)
        elif not entry.name.startswith(".") and not entry.name.endswith(".lock"):
            yield entry.path


def _packed(store: Path) -> dict[str, Oid]:
    try:
        text = (store / "packed-refs").read_text("utf-8", "surrogateescape")
    except FileNotFoundError:
        return {}
    rows = (line.split(" ", 1) for line in text.splitlines() if line[:1] not in ("#", "^", ""))
    return {name: oid for oid, name in rows}


def write_ref(store: Path, ref: str, oid: Oid) -> None:
    """Set a ref durably: sync the file, rename it, and sync each new folder."""
    path = store / ref
    made = _make_folders(path.parent)
    draft = path.with_name(f".{path.name}.{os.getpid()}.lock")  # git ignores such names
    file = open_new(draft, mode=sharing.mode_in(path.parent))
    try:
        write_all(file, f"{oid}\n".encode("ascii"))
        os.fsync(file)
    finally:
        os.close(file)
    os.replace(draft, path)
    for folder in {path.parent, *(folder.parent for folder in made)}:
        sync_folder(folder)


def write_copy(store: Path, ref: str, oid: Oid) -> None:
    """Set a ref without a sync: it is a copy of the remote's, and may be lost."""
    path = store / ref
    _make_folders(path.parent)
    draft = path.with_name(f".{path.name}.{os.getpid()}.lock")
    file = open_new(draft, mode=sharing.mode_in(path.parent))
    try:
        write_all(file, f"{oid}\n".encode("ascii"))
    finally:
        os.close(file)
    os.replace(draft, path)


def _make_folders(folder: Path) -> list[Path]:
    """Make a folder and its parents. Return those that were missing."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):
        make_folder(one, exist_ok=True)
    return missing


def delete_ref(store: Path, ref: str) -> bool:
    """Delete a loose ref, durably. Return False if packed-refs has it too, which only git may rewrite."""
    path = store / ref
    path.unlink(missing_ok=True)
    if path.parent.is_dir():
        sync_folder(path.parent)
    return ref not in _packed(store)


def sync_files(paths: Iterable[Path]) -> None:
    """Sync files and their folders to the disk. An object must be durable BEFORE the ref that names it is."""
    folders = set()
    for path in paths:
        try:
            fd = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            continue
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
        folders |= {path.parent, path.parent.parent}
    for folder in folders:
        sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Make the entries of a folder durable."""
    if os.name == "nt":  # Windows cannot open a folder
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def loose_path(store: Path, oid: Oid) -> Path:
    """Return where the file of a loose object is, or would be."""
    return store / "objects" / oid[:2] / oid[2:]


def clutter(store: Path) -> tuple[int, int]:
    """Return the number of loose objects, estimated from one of 256 folders, and the number of packs."""
    packs = (store / "objects" / "pack").glob("*.pack")
    return 256 * sum(1 for _ in (store / "objects" / "17").glob("*")), sum(1 for _ in packs)


def is_sound(path: Path, oid: Oid) -> bool:
    """Return whether the file of a loose object has the content that its id says."""
    try:
        raw = zlib.decompress(path.read_bytes())
    except (OSError, zlib.error):
        return False
    head, _, data = raw.partition(b"\0")
    kind = head.split(b" ")[0].decode("ascii", "replace")
    return oid_of(kind, data) == oid


def heal(store: Path, mirror: str) -> int:
    """Remove loose objects that a power loss emptied or tore, and the mirror of the remote's refs. Both are copies.

    Return the number of removed objects. Git does not fetch an object whose file exists, even an empty one, and one ref
    that names such an object makes every later fetch fail (git 2.39).
    """
    removed = 0
    for folder, _, files in os.walk(store / "objects"):  # `walk` skips what another git removes meanwhile
        for name in files:
            path = Path(folder, name)
            if OID.fullmatch(path.parent.name + name) and not is_sound(path, path.parent.name + name):
                path.unlink(missing_ok=True)
                removed += 1
    for folder_name, _, files in os.walk(store / mirror):
        for file in files:
            Path(folder_name, file).unlink(missing_ok=True)
    return removed
