"""A repository with a merge of every kind: `python -m tests.code.kinds merges.bundle` makes the bundle in tests/data.

Each kind is a pair of branches, `KIND-a` and `KIND-b`, from one commit, merged by `KIND` (with whatever resolution).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

LINES = "".join(f"line {number}\n" for number in range(1, 41))
CODE = (
    "def first():\n    one = 1\n    two = 2\n    return one\n\n\n"
    "def second():\n    three = 3\n    four = 4\n    return four\n"
)

Change = Callable[["Builder"], None]


class Builder:
    """A work tree in which one branch after another is made."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *words: str, check: bool = True) -> str:
        date = f"{1_700_000_000 + self.count} +0000"
        environment = os.environ | {
            "GIT_AUTHOR_DATE": date,
            "GIT_COMMITTER_DATE": date,
            "GIT_AUTHOR_NAME": "kinds",
            "GIT_AUTHOR_EMAIL": "kinds@example.org",
            "GIT_COMMITTER_NAME": "kinds",
            "GIT_COMMITTER_EMAIL": "kinds@example.org",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_SYSTEM": os.devnull,
        }
        return subprocess.run(
            ["git", *words], cwd=self.folder, env=environment, check=check, text=True, capture_output=True
        ).stdout

    def write(self, path: str, content: str | bytes) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())

    def edit(self, path: str, old: str, new: str) -> None:
        text = (self.folder / path).read_text(encoding="utf-8")
        assert old in text
        self.write(path, text.replace(old, new, 1))

    def commit(self, words: str) -> None:
        self.count += 1
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", words)

    def kind(self, name: str, a: Change, b: Change) -> None:
        for side, change in (("a", a), ("b", b)):
            self.git("checkout", "--quiet", "--force", "-b", f"{name}-{side}", "main")
            change(self)
            self.commit(f"{name} {side}")
        self.git("checkout", "--quiet", "--force", "-B", name, f"{name}-a")
        self.git("merge", "--quiet", "--no-commit", "--no-ff", f"{name}-b", check=False)
        self.count += 1
        tree = self.git("rev-parse", f"{name}-a^{{tree}}").strip()
        merge = self.git("commit-tree", tree, "-p", f"{name}-a", "-p", f"{name}-b", "-m", f"merge {name}").strip()
        self.git("reset", "--quiet", "--hard", merge)
        self.git("clean", "--quiet", "-xdff")


def build(folder: Path) -> None:
    """All kinds, those that conflict and those that do not."""
    make = Builder(folder)
    make.write("text", LINES)
    make.write("code.py", CODE)
    make.write("binary", bytes(range(256)))
    make.write("script", "#!/bin/sh\n" + LINES)
    make.write("folder/one", LINES)
    make.write("folder/two", LINES.replace("line", "row"))
    make.write("name with spaces and ü", LINES)
    make.commit("base")
    sub = make.git("rev-parse", "HEAD").strip()
    other = make.git("commit-tree", "HEAD^{tree}", "-m", "other").strip()

    def gitlink(commit: str) -> Change:
        return lambda b: void(
            b.git("update-index", "--add", "--cacheinfo", f"160000,{commit},module"),
            (b.folder / "module").mkdir(exist_ok=True),
        )

    make.kind("content", lambda b: b.edit("text", "line 5\n", "five\n"), lambda b: b.edit("text", "line 5\n", "FIVE\n"))
    make.kind(
        "two-hunks",
        lambda b: (b.edit("code.py", "one = 1", "one = 11"), b.edit("code.py", "four = 4", "four = 44")),
        lambda b: (b.edit("code.py", "one = 1", "one = 111"), b.edit("code.py", "four = 4", "four = 444")),
    )
    make.kind(
        "clean", lambda b: b.edit("text", "line 5\n", "five\n"), lambda b: b.edit("text", "line 30\n", "thirty\n")
    )
    make.kind("same", lambda b: b.edit("text", "line 5\n", "five\n"), lambda b: b.edit("text", "line 5\n", "five\n"))
    make.kind(
        "apart", lambda b: b.edit("text", "line 5\n", "five\n"), lambda b: b.edit("code.py", "one = 1", "one = 0")
    )
    make.kind("deleted", lambda b: (b.folder / "text").unlink(), lambda b: b.edit("text", "line 5\n", "FIVE\n"))
    make.kind("binary", lambda b: b.write("binary", bytes(256)), lambda b: b.write("binary", bytes(100)))
    make.kind("mode", lambda b: (b.folder / "script").chmod(0o755), lambda b: b.edit("script", "line 5\n", "FIVE\n"))
    make.kind("both-added", lambda b: b.write("new", "a\n"), lambda b: b.write("new", "b\n"))
    make.kind(
        "renamed-twice", lambda b: void(b.git("mv", "text", "text-a")), lambda b: void(b.git("mv", "text", "text-b"))
    )
    make.kind("renamed-and-deleted", lambda b: void(b.git("mv", "text", "text-a")), lambda b: void(b.git("rm", "text")))
    make.kind(
        "renamed-and-changed",
        lambda b: void(b.git("mv", "text", "text-a"), b.edit("text-a", "line 5\n", "five\n")),
        lambda b: b.edit("text", "line 5\n", "FIVE\n"),
    )
    make.kind(
        "renamed-and-changed-elsewhere",
        lambda b: void(b.git("mv", "text", "text-a")),
        lambda b: b.edit("text", "line 5\n", "FIVE\n"),
    )
    make.kind(
        "folder-renamed", lambda b: void(b.git("mv", "folder", "moved")), lambda b: b.write("folder/three", "3\n")
    )
    make.kind("file-and-folder", lambda b: b.write("spot", "file\n"), lambda b: b.write("spot/inside", "folder\n"))
    make.kind(
        "file-to-folder",
        lambda b: void((b.folder / "text").unlink(), b.write("text/inside", "x\n")),
        lambda b: b.edit("text", "line 5\n", "FIVE\n"),
    )
    make.kind("symlink", lambda b: (b.folder / "spot").symlink_to("text"), lambda b: b.write("spot", "file\n"))
    make.kind(
        "odd-name",
        lambda b: b.edit("name with spaces and ü", "line 5\n", "five\n"),
        lambda b: b.edit("name with spaces and ü", "line 5\n", "FIVE\n"),
    )
    make.kind(
        "markers",
        lambda b: b.edit("text", "line 5\n", "<<<<<<< ours\nfive\n=======\n"),
        lambda b: b.edit("text", "line 5\n", ">>>>>>> theirs\nFIVE\n"),
    )
    make.kind("submodule", gitlink(sub), gitlink(other))
    crossed(make)


def crossed(make: Builder) -> None:
    """Two branches that merged each other: no single best ancestor."""
    for side, word in (("a", "five"), ("b", "FIVE")):
        make.git("checkout", "--quiet", "--force", "-b", f"crossed-{side}", "main")
        make.edit("text", "line 20\n" if side == "a" else "line 35\n", f"{word}\n")
        make.commit(f"crossed {side}")
    heads = [make.git("rev-parse", f"crossed-{side}").strip() for side in "ab"]
    for side, parent in (("a", heads[1]), ("b", heads[0])):
        make.git("checkout", "--quiet", "--force", f"crossed-{side}")
        make.count += 1
        make.git("merge", "--quiet", "--no-ff", "-m", f"cross {side}", parent)
        make.edit("text", "line 10\n", f"ten {side}\n")
        make.commit(f"crossed {side} again")
    make.git("checkout", "--quiet", "--force", "-B", "crossed", "crossed-a")
    make.count += 1
    tree = make.git("rev-parse", "crossed-a^{tree}").strip()
    merge = make.git("commit-tree", tree, "-p", "crossed-a", "-p", "crossed-b", "-m", "merge crossed").strip()
    make.git("reset", "--quiet", "--hard", merge)


def void(*_: object) -> None:
    """For what answers something that nobody wants."""


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as work:
        build(Path(work))
        subprocess.run(
            ["git", "bundle", "create", "--quiet", str(Path(sys.argv[1]).resolve()), "--all"], cwd=work, check=True
        )
