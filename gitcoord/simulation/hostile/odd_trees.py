"""Odd trees: a ledger's files in arrangements that git and a host accept, but no honest writer makes."""

from __future__ import annotations

import random
from collections.abc import Callable

from gitcoord.core import limits
from gitcoord.core.ledger.log_files import SEALED, open_path
from gitcoord.core.ports import Objects, TreeEntry

Tree = dict[str, TreeEntry]
Folders = dict[str, Tree]


class OddTrees:
    """Rearranges the log files of a tree. Lines are removed, doubled and moved; none is made."""

    def __init__(self, objects: Objects, rng: random.Random) -> None:
        self.objects, self.rng = objects, rng
        self.ways: dict[str, Callable[[Tree], object]] = {
            "seals it twice": self._double,
            "reverses segments": self._reverse,
            "renames files": self._rename,
            "takes a segment away": self._take,
            "makes folders of files": self._nest,
            "pads a file": self._pad,
            "cuts a file": self._cut,
            "mixes files and folders": self._mix,
            "opens another file": self._open_another,
            "has no sealed files": lambda root: root.pop(SEALED, None),
            "has no open file": self._close,
        }

    def rearranged(self, root: Tree, way: str | None = None) -> tuple[Tree, str]:
        """Return the tree in another arrangement, and the name of that arrangement."""
        other, way = dict(root), way or self.rng.choice(sorted(self.ways))
        self.ways[way](other)
        return other, way

    def _folders(self, root: Tree) -> Folders:
        entry = root.get(SEALED)
        inside = self.objects.tree(entry.oid) if entry is not None and entry.is_tree else {}
        return {name: self.objects.tree(folder.oid) for name, folder in inside.items() if folder.is_tree}

    def _put(self, root: Tree, folders: Folders, **beside: TreeEntry) -> None:
        entries = {name: TreeEntry(self.objects.put_tree(files), is_tree=True) for name, files in folders.items()}
        root[SEALED] = TreeEntry(self.objects.put_tree(entries | beside), is_tree=True)

    def _open_of(self, root: Tree) -> str:
        return max((name for name in root if name.startswith("events-")), default=open_path(0))

    def _files(self, root: Tree) -> tuple[Folders, list[tuple[str, str]]]:
        folders = self._folders(root)
        return folders, [(folder, name) for folder, files in folders.items() for name in files]

    def _double(self, root: Tree) -> None:
        folders, files = self._files(root)
        inside = [folders[folder][name] for folder, name in files] or [*root.values()][:1]
        folders.setdefault("0000000", {})[f"events-{'3' * 10}.log"] = self.rng.choice(inside)
        if self.rng.random() < 0.5:
            folders["9"] = dict(self.rng.choice([*folders.values()]))
        self._put(root, folders)

    def _reverse(self, root: Tree) -> None:
        folders, files = self._files(root)
        entries = [folders[folder][name] for folder, name in reversed(files)]
        for (folder, name), entry in zip(files, entries):
            folders[folder][name] = entry
        self._put(root, folders)

    def _rename(self, root: Tree) -> None:
        folders, files = self._files(root)
        for folder, name in files:
            if self.rng.random() < 0.5:
                new = self.rng.choice([f"x{name}", f"{name}.bak", ".log", name.upper(), "events-0.log"])
                folders[folder][new] = folders[folder].pop(name)
        self._put(root, {self.rng.choice([name, "zz", f"a{name}"]): files for name, files in folders.items()})

    def _take(self, root: Tree) -> None:
        folders, files = self._files(root)
        if files:
            folder, name = self.rng.choice(files)
            del folders[folder][name]
        self._put(root, {name: files for name, files in folders.items() if files})

    def _nest(self, root: Tree) -> None:
        folders, files = self._files(root)
        for folder, name in files[-1:]:
            inner = self.objects.put_tree({"a.log": folders[folder][name]})
            folders[folder][self.rng.choice([name, "zz.log"])] = TreeEntry(inner, is_tree=True)
        self._put(root, folders)

    def _pad(self, root: Tree) -> None:
        """Make the open file exactly as long as a log file may be, or a little longer, in bytes or in lines."""
        path = self._open_of(root)
        data = self._data(root, path)
        most, lines = limits.LOG_FILE_BYTES_MAX, limits.LOG_FILE_LINES_MAX - data.count(b"\n")
        rest = max(0, most - len(data))
        root[path] = TreeEntry(
            self.objects.put_blob(
                data
                + self.rng.choice([b"x" * (rest - 1) + b"\n", b"x" * rest + b"\n", b"\n" * lines, b"\n" * (lines + 1)])
            )
        )

    def _cut(self, root: Tree) -> None:
        path = self._open_of(root)
        data = self._data(root, path)
        at = self.rng.randrange(len(data) + 1)
        root[path] = TreeEntry(
            self.objects.put_blob(
                self.rng.choice(
                    [data[:at], data[at:], data[:-1], data.replace(b"\n", b"\r\n"), data.replace(b"\n", b"\n\n")]
                )
            )
        )

    def _mix(self, root: Tree) -> None:
        """Put the open file among the folders, or a folder into its place."""
        path = self._open_of(root)
        folders, entry = self._folders(root), root.get(path)
        if self.rng.random() < 0.5 and entry is not None:
            self._put(root, folders, **{self.rng.choice([path, "0000000x"]): entry})
        else:
            root[path] = TreeEntry(self.objects.put_tree({"a.log": entry} if entry is not None else {}), is_tree=True)

    def _open_another(self, root: Tree) -> None:
        path = open_path(self.rng.randrange(70))
        root[path] = root.pop(self._open_of(root), TreeEntry(self.objects.put_blob(b"")))

    def _close(self, root: Tree) -> None:
        root.pop(self._open_of(root), None)

    def _data(self, root: Tree, path: str) -> bytes:
        entry = root.get(path)
        return b"" if entry is None or entry.is_tree else self.objects.blob(entry.oid)
