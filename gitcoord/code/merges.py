"""Trial merges: the result of `git merge` for pairs of commits, many at a time, without a work tree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gitcoord.code.objects import Repository
from gitcoord.core.errors import GitcoordError

KINDS = {
    # a word in git's type of conflict → our kind; the first match counts
    "submodule": "submodule",
    "binary": "binary",
    "rename": "rename",
    "location": "rename",
    "modify/delete": "delete",
    "file/directory": "directory",
    "modes": "mode",
    "types": "mode",
    "contents": "content",
}


@dataclass(frozen=True, slots=True)
class Side:
    """A file as one side of a merge has it."""

    mode: str
    oid: str


@dataclass(frozen=True, slots=True)
class Conflicted:
    """A path that a merge leaves unmerged. `base`, `ours` or `theirs` is None if that side does not have it."""

    path: str
    kind: str  # content, binary, rename, delete, mode, submodule, directory
    base: Side | None = None
    ours: Side | None = None
    theirs: Side | None = None
    messages: tuple[str, ...] = ()  # git's own words

    def name(self, ours: str, theirs: str) -> str:
        """Return the path without the suffix `~SIDE` that git adds if a file and a folder have the same path."""
        return self.path.removesuffix(f"~{ours}").removesuffix(f"~{theirs}")


@dataclass(frozen=True, slots=True)
class Merge:
    """The result of merging commit `theirs` into `ours`. `tree`: the merged files, with markers at conflicts."""

    ours: str
    theirs: str
    tree: str
    conflicted: tuple[Conflicted, ...] = ()

    @property
    def clean(self) -> bool:
        return not self.conflicted


def trial(repository: Repository, pairs: Sequence[tuple[str, str]]) -> Iterator[Merge]:
    """Yield the merge of each pair of commits, in the order of the pairs, by one process of git.

    Raise GitcoordError if git fails, such as for an object that a shallow or partial clone lacks.
    """
    if not pairs:
        return
    stdin = "".join(f"{ours} {theirs}\n" for ours, theirs in pairs).encode()
    parts = repository.records(
        "merge-tree", "--write-tree", "--stdin", "-z", "--allow-unrelated-histories", stdin=stdin, codes=(0, 1)
    )
    for ours, theirs in pairs:
        flag = next(parts, "")
        if flag not in ("0", "1"):
            raise GitcoordError(f"unexpected output of git merge-tree: {flag[:100]!r}; `git version` shows its version")
        tree = next(parts)
        stages = list(iter(parts.__next__, ""))
        messages = dict[str, list[str]]() if flag == "1" else _messages(parts)
        kinds = {path: [text.partition("\0")[0] for text in texts] for path, texts in messages.items()}
        yield Merge(ours, theirs, tree, tuple(_conflicted(stages, kinds, messages)))


def _messages(parts: Iterator[str]) -> dict[str, list[str]]:
    """Return git's conflict messages by path: type and text, with a NUL between."""
    messages: dict[str, list[str]] = {}
    while (count := next(parts)).isdigit():  # then comes nothing, or git's advice on submodules, outside its own format
        paths = [next(parts) for _ in range(int(count))]
        kind, text = next(parts), next(parts)
        for path in paths if kind.startswith("CONFLICT") else ():
            messages.setdefault(path, []).append(f"{kind}\0{text.strip()}")
    return messages


def _conflicted(
    stages: Sequence[str], kinds: dict[str, list[str]], messages: dict[str, list[str]]
) -> Iterator[Conflicted]:
    sides: dict[str, dict[str, Side]] = {}
    for line in stages:
        info, _, path = line.partition("\t")
        mode, oid, stage = info.split(" ")
        sides.setdefault(path, {})[stage] = Side(mode, oid)
    for path, found in sides.items():
        yield Conflicted(
            path,
            _kind(kinds.get(path, []), found),
            found.get("1"),
            found.get("2"),
            found.get("3"),
            tuple(text.partition("\0")[2] for text in messages.get(path, ())),
        )


def _kind(words: Sequence[str], sides: dict[str, Side]) -> str:
    ours, theirs = sides.get("2"), sides.get("3")
    if ours and theirs and ours.oid == theirs.oid and ours.mode != theirs.mode:
        return "mode"  # git calls this a conflict of contents
    for word, kind in KINDS.items():
        if any(word in one for one in words):
            return kind
    if any(side.mode == "160000" for side in sides.values()):
        return "submodule"
    return "delete" if len(sides) < 3 and "1" in sides else "content"
