"""A user's repository for trial merges, which only reads it.

The objects of a trial merge go into a temporary folder, which borrows the user's objects (`alternates`).
"""

from __future__ import annotations

import functools
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

from gitcoord.core.errors import GitcoordError, Refused
from gitcoord.store import program
from gitcoord.store.git import repo_location

GIT_S = 300.0
LEAST_GIT = (2, 39)  # merge-tree --stdin
ANSWERS_MAX = 256  # cached results of one command
BLOB_BYTES_MAX = 2 * 1024 * 1024  # of a merged file whose conflicts are examined
PART_BYTES = 64 * 1024  # of the rest, which is read and dropped


class Repository:
    """The repository around `path`, and a temporary folder for new objects. A context manager. Raise Refused."""

    def __init__(self, path: Path) -> None:
        words = ["-C", str(path), "rev-parse", "--path-format=absolute", "--git-common-dir"]
        found = subprocess.run(
            ["git", *words],
            executable=program.git(),
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="surrogateescape",
        )
        if found.returncode:
            raise Refused(f"{path} is in no git repository: run the command in a clone")
        self.path = path
        self.git_dir = repo_location.not_in_tree(Path(found.stdout.removesuffix("\n")))
        self._folder = tempfile.TemporaryDirectory(prefix="gitcoord-merges-")
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
            "GIT_DIR": str(self.git_dir),
            "GIT_OBJECT_DIRECTORY": self._folder.name,
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": _quoted(self.git_dir / "objects"),
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_CONFIG_COUNT": "2",
            "GIT_CONFIG_KEY_0": "merge.conflictStyle",
            "GIT_CONFIG_VALUE_0": "merge",
            "GIT_CONFIG_KEY_1": "gc.auto",
            "GIT_CONFIG_VALUE_1": "0",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "LC_ALL": "C",
        }
        self._cat: subprocess.Popen[bytes] | None = None
        # A check of one branch against many others, or of many paths of one pair, repeats the same commands.
        self.merge_base = functools.lru_cache(ANSWERS_MAX)(self._merge_base)
        self.hunk_headers = functools.lru_cache(ANSWERS_MAX)(self._hunk_headers)

    def __enter__(self) -> Repository:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._cat is not None:
            self._cat.communicate()
        self._folder.cleanup()

    @property
    def scratch(self) -> dict[str, str]:
        """Return the environment variables with which git writes new objects to the temporary folder."""
        return {name: self._environment[name] for name in ("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES")}

    def git(self, *words: str, stdin: bytes | None = None, codes: Sequence[int] = (0,)) -> bytes:
        """Return git's output. Raise GitcoordError, with git's reason, for an exit code that is not in `codes`."""
        try:
            done = subprocess.run(
                ["git", *words],
                executable=program.git(),
                cwd=self._folder.name,
                env=self._environment,
                input=stdin,
                stdin=subprocess.DEVNULL if stdin is None else None,
                capture_output=True,
                timeout=GIT_S,
            )
        except subprocess.TimeoutExpired:
            raise GitcoordError(f"git {words[0]} did not end in {GIT_S:g} s") from None
        if done.returncode not in codes:
            raise GitcoordError(f"git {words[0]}: {done.stderr.decode('utf-8', 'replace').strip()}")
        return done.stdout

    def commit(self, name: str) -> str:
        """Return the id of the commit that `name`, a ref or an id, names. Raise Refused if there is none."""
        found = self.git(
            "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}", codes=(0, 1, 128)
        )
        if not found.strip():
            raise Refused(f"no branch or commit {name!r} in {self.path}: `git branch --all` lists branches")
        return found.decode().strip()

    def _merge_base(self, one: str, other: str) -> str | None:
        """Return the best common ancestor, or None."""
        return self.git("merge-base", one, other, codes=(0, 1)).decode().strip() or None

    def _hunk_headers(self, base: str, tip: str, path: str) -> list[bytes]:
        """Return the lines `@@ … @@ function` of a file's changes between two commits, as `git diff` shows them."""
        out = self.git(
            "diff",
            "--no-ext-diff",
            "--no-textconv",
            "--no-color",
            "--unified=0",
            base,
            tip,
            "--",
            f":(top,literal){path}",
        )
        return [line for line in out.split(b"\n") if line.startswith(b"@@ ")]

    def changed(self, base: str, tip: str) -> frozenset[str]:
        """Return the paths that differ between two commits; for a renamed file, both names."""
        out = self.git("diff-tree", "-r", "-z", "--no-renames", "--name-only", base, tip)
        return frozenset(_path(part) for part in out.split(b"\0") if part)

    def blob(self, oid: str) -> bytes:
        """Return the content of a blob, at most BLOB_BYTES_MAX of it; empty if there is no such blob."""
        if self._cat is None:
            self._cat = subprocess.Popen(
                ["git", "cat-file", "--batch"],
                executable=program.git(),
                cwd=self._folder.name,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        assert self._cat.stdin is not None and self._cat.stdout is not None
        self._cat.stdin.write(oid.encode() + b"\n")
        self._cat.stdin.flush()
        header = self._cat.stdout.readline().split()
        if len(header) < 3:
            return b""
        size = int(header[2])
        data = self._cat.stdout.read(min(size, BLOB_BYTES_MAX))
        left = size - len(data) + 1  # with the newline at its end
        while left and (part := self._cat.stdout.read(min(left, PART_BYTES))):
            left -= len(part)
        return data

    def records(self, *words: str, stdin: bytes | None = None, codes: Sequence[int] = (0,)) -> Iterator[str]:
        """Yield the parts of git's output with -z, without their NULs."""
        for part in self.git(*words, stdin=stdin, codes=codes).split(b"\0"):
            yield _path(part)


def _path(part: bytes) -> str:
    return part.decode("utf-8", "surrogateescape")


def _quoted(path: Path) -> str:
    """Return a path quoted for a list with colons between."""
    text = str(path)
    return text if not {":", '"', "\n"} & set(text) else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
