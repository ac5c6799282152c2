"""An oracle for conflicts: the paths that `git merge` leaves unmerged, for the merges in a repository's history.

`scripts/conflict-check REPO` compares it with the trial merges. It merges in a scratch clone, and only reads REPO.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gitcoord.code import merges
from gitcoord.code.objects import Repository
from gitcoord.core.errors import Refused
from gitcoord.store import program

MERGES_MAX = 500  # the newest of a repository


def merge_commits(repository: Repository, limit: int = MERGES_MAX) -> list[tuple[str, str]]:
    """Return the parents of each merge of two, newest first."""
    out = repository.git(
        "rev-list", "--all", "--min-parents=2", "--max-parents=2", "--parents", f"--max-count={limit}"
    ).decode()
    return [(words[1], words[2]) for words in (line.split() for line in out.splitlines())]


def by_git_merge(repository: Path, pairs: list[tuple[str, str]]) -> Iterator[frozenset[str]]:
    """Yield the unmerged paths after `git merge` of the second into the first, in a scratch clone."""
    with tempfile.TemporaryDirectory(prefix="gitcoord-truth-") as folder:

        def git(*words: str, check: bool = True) -> bytes:
            return subprocess.run(
                [
                    program.git(),
                    *program.WITHOUT_HOOKS,
                    "-c",
                    "user.name=truth",
                    "-c",
                    "user.email=truth@example.org",
                    "-c",
                    "gc.auto=0",
                    *words,
                ],
                cwd=folder,
                check=check,
                capture_output=True,
            ).stdout

        git("clone", "--quiet", "--shared", "--no-checkout", str(repository), ".")
        for ours, theirs in pairs:
            git("checkout", "--quiet", "--force", "--detach", ours)
            git("clean", "--quiet", "-xdff")
            git("merge", "--quiet", "--no-commit", "--no-ff", "--allow-unrelated-histories", theirs, check=False)
            unmerged = git("diff", "--name-only", "--diff-filter=U", "-z", "--no-relative")
            paths = (part.decode("utf-8", "surrogateescape") for part in unmerged.split(b"\0") if part)
            yield frozenset(path.removesuffix("~HEAD").removesuffix(f"~{theirs}") for path in paths)
            git("reset", "--quiet", "--hard", "HEAD", check=False)


@dataclass(slots=True)
class Comparison:
    """Counts of merges and of conflicting ones, and a text for each merge with different results."""

    merges: int = 0
    conflicting: int = 0
    differing: list[str] = field(default_factory=list)


def compare(path: Path, limit: int = MERGES_MAX) -> Comparison:
    """Compare both results for the newest `limit` merges in the history of the repository at `path`."""
    compared = Comparison()
    with Repository(path) as repository:
        pairs = merge_commits(repository, limit)
        trials = merges.trial(repository, pairs)
        for pair, trial, truth in zip(pairs, trials, by_git_merge(repository.git_dir, pairs), strict=True):
            found = frozenset(one.name(*pair) for one in trial.conflicted)
            compared.merges += 1
            compared.conflicting += bool(truth)
            if found != truth:
                compared.differing.append(
                    f"{pair[0][:12]} and {pair[1][:12]}: git merge {sorted(truth)}, trial {sorted(found)}"
                )
    return compared


def main(arguments: list[str]) -> int:
    if len(arguments) not in (1, 2) or not all(word.isdecimal() for word in arguments[1:]):
        print("usage: scripts/conflict-check REPO [HOW_MANY]", file=sys.stderr)
        return 2
    try:
        found = compare(Path(arguments[0]), int(arguments[1]) if len(arguments) > 1 else MERGES_MAX)
    except Refused as wrong:
        print(f"conflict-check: {wrong}", file=sys.stderr)
        return 2
    print(*found.differing, sep="\n", end="\n" if found.differing else "")
    print(
        f"{found.merges - len(found.differing)} of {found.merges} merges are judged as by git merge; "
        f"{found.conflicting} of them conflict"
    )
    return 1 if found.differing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
