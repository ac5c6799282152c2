"""Work trees of the user's repository, made for a task or an agent, and removed: the only writes to it, on request.

A work tree is removed only if nothing is lost with it (`unsaved`), and after a ref was made for each commit that had
none (`hold`). If git cannot tell, there may be work in it.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import re
import subprocess
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from gitcoord.core.errors import GitcoordError
from gitcoord.store import program
from gitcoord.store.git import repo_location

GIT_S = 120.0  # a checkout of a large repository
OPTIONS = (*program.IN_CHECKOUT, *program.WITHOUT_HOOKS)
REFLOG_MAX = 1000  # entries of a work tree's HEAD that are read
NAMED_MAX = 3  # files that a message names
DEPTH_MAX = 5  # of repositories in repositories
IGNORED_MAX = 1_000_000  # files in ignored folders that are searched, in some seconds
SHARED = ("--branches", "--tags", "--remotes", "--glob=refs/stash", "--glob=refs/notes")
"""Refs that outlive a work tree. Each one has refs/worktree, refs/bisect and refs/rewritten for itself alone."""
UNSTAGED = " M"
SHA1_CHARACTERS = 40
_LEFT_HEAD = re.compile(r"(?:checkout|reset):")


def tip(top: Path, name: str) -> str:
    """Return the commit of a branch, or of HEAD; "" if there is none."""
    found = _git(top, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}", check=False)
    return found.strip()


def current_branch(folder: Path) -> str:
    """Return the branch that is checked out; "" if HEAD is detached."""
    return _git(folder, "symbolic-ref", "--quiet", "--short", "HEAD", check=False).strip()


def add(top: Path, folder: Path, branch: str, base: str) -> None:
    """Make a work tree in `folder` on the new `branch` at `base`.

    Raise GitcoordError with git's reason, such as a filter that fails: then there is neither.
    """
    was_there = tip(top, f"refs/heads/{branch}")
    try:
        _git(top, "worktree", "add", "--quiet", "-b", branch, str(folder), base)
    except GitcoordError:
        with contextlib.suppress(GitcoordError):  # it may be half made, and nobody has worked in it
            remove(top, folder)
        if not was_there:  # git makes the branch first, and leaves it
            delete_branch(top, branch)
        raise


@dataclass(frozen=True, slots=True)
class Worktree:
    """A work tree as git lists it. `branch` is "" if HEAD is detached."""

    folder: Path
    commit: str = ""
    branch: str = ""
    is_bare: bool = False


def listed(top: Path) -> list[Worktree]:
    """Return the work trees of a clone, the main one first. Raise GitcoordError if git fails."""
    found = []
    for part in _git(top, "worktree", "list", "--porcelain", "-z").split("\0\0"):
        fields = {name: value for name, _, value in (line.partition(" ") for line in part.split("\0"))}
        if "worktree" in fields:
            branch = fields.get("branch", "").removeprefix("refs/heads/")
            found.append(Worktree(Path(fields["worktree"]), fields.get("HEAD", ""), branch, "bare" in fields))
    return found


def is_branch_name(top: Path, name: str) -> bool:
    """Return whether git accepts the name for a branch."""
    return bool(_git(top, "check-ref-format", "--branch", name, check=False)) and not name.startswith("-")


def ahead_behind(top: Path, commit: str, base: str) -> tuple[int, int]:
    """Return how many commits `commit` has that `base` lacks, and the reverse. Raise GitcoordError if git fails."""
    ahead, behind = _git(top, "rev-list", "--left-right", "--count", f"{commit}...{base}").split()
    return int(ahead), int(behind)


def holds(top: Path, commit: str, file: str, data: bytes | None) -> bool:
    """Return whether a commit has a file with these bytes; if `data` is None, whether it has no such file."""
    entry = _git(top, "ls-tree", "-z", "--full-tree", commit, "--", f":(literal){file}").partition("\t")[0]
    if data is None or not entry:
        return data is None and not entry
    kind, blob = entry.split()[1:]
    digest = hashlib.sha1 if len(blob) == SHA1_CHARACTERS else hashlib.sha256
    return kind == "blob" and digest(b"blob %d\0" % len(data) + data).hexdigest() == blob


def unsaved(folder: Path, *, but: Collection[str] = ()) -> str:
    """Return what would be lost with this work tree, besides its commits; "" if nothing would be.

    Files that the tree's own .gitignore files name do not count, because the repository says that they can be made
    again. No user's setting, no `.git/info/exclude` and no bit of the index hides anything else. `but` has files that
    are nobody's work.
    """
    try:
        return _unsaved(folder, DEPTH_MAX, but)
    except GitcoordError as wrong:
        return f"it is not known what is in it ({wrong})"


def _unsaved(folder: Path, depth: int, but: Collection[str] = ()) -> str:
    status = _git(folder, "status", "--porcelain", "-z", "--untracked-files=no", "--ignore-submodules=none")
    changed = [one for one in status.split("\0") if one and not (one.startswith(UNSTAGED) and one[3:] in but)]
    if changed:
        return f"changes that are not committed ({_named([one[3:] for one in changed])})"
    others = [one for one in _paths(folder, "--others", "--exclude-per-directory=.gitignore") if one not in but]
    if others:
        return f"files that are not committed ({_named(others)})"
    # `h` for assume-unchanged, `S` for skip-worktree: git does not check these files
    hidden = [one[2:] for one in _paths(folder, "-v") if one[0].islower() or one[0] == "S"]
    hidden = [one for one in hidden if (folder / one).is_symlink() or (folder / one).exists()]
    if hidden:
        return f"files that git was told not to look at ({_named(hidden)})"
    inner = [folder / one.partition("\t")[2] for one in _paths(folder, "--stage") if one.startswith("160000 ")]
    for one in (*(one for one in inner if (one / ".git").exists()), *_ignored_repositories(folder)):
        lost = _unsaved_repository(one, depth - 1)
        if lost:
            return f"in the repository {one.relative_to(folder)}: {lost}"
    return ""


def _ignored_repositories(folder: Path) -> Iterator[Path]:
    """Yield the clones and work trees in folders that .gitignore names, whose content git does not list."""
    searched = 0
    ignored = _paths(folder, "--others", "--ignored", "--exclude-per-directory=.gitignore", "--directory")
    for name in (one for one in ignored if one.endswith("/")):
        for root, folders, files in os.walk(folder / name):
            searched += len(folders) + len(files)
            if searched > IGNORED_MAX:
                raise GitcoordError(f"more than {IGNORED_MAX} ignored files")
            if ".git" in folders or ".git" in files:
                folders[:] = [one for one in folders if one != ".git"]
                yield Path(root)


def _unsaved_repository(folder: Path, depth: int) -> str:
    """Return what would be lost with a submodule, a clone or a work tree inside a work tree that is removed.

    A linked work tree has its commits on branches elsewhere. The others lose all their refs.
    """
    if depth < 0:
        return "repositories nested too deep to look at"
    linked = repo_location.worktree_git_dir(folder) is not None
    refs = [*(["HEAD"] if tip(folder, "HEAD") else []), *([] if linked else ["--all"]), "--reflog"]
    if _git(folder, "rev-list", "--max-count=1", *refs, "--not", *(SHARED if linked else ("--remotes", "--tags"))):
        return "commits that no branch has" if linked else "commits that no remote is known to have"
    return _unsaved(folder, depth)


def hold(folder: Path, prefix: str) -> list[str]:
    """Make a branch for each commit that only this work tree's HEAD had, now or before a checkout or reset.

    Return the names of the branches: `prefix`, `prefix-2` and so on. Commits that an amend or a rebase replaced get
    none. Raise GitcoordError if git fails.
    """
    held: list[str] = []
    for commit in _heads(folder):
        if _git(folder, "rev-list", "--max-count=1", commit, "--not", *SHARED):
            held.append(_new_branch(folder, prefix, commit))
    return held


def _heads(folder: Path) -> Iterator[str]:
    """Yield the commits that the work tree has, or had before it left them by a checkout or reset, the newest first."""
    head = tip(folder, "HEAD")
    if head:
        yield head
    own = _git(folder, "for-each-ref", "--format=%(objectname)", "refs/worktree", "refs/bisect", "refs/rewritten")
    yield from own.split()
    log = _git(folder, "log", "-g", f"--max-count={REFLOG_MAX}", "--format=%H %gs", "HEAD", check=False)
    entries = [one.partition(" ") for one in log.splitlines()]
    yield from (
        before[0] for after, before in itertools.pairwise(entries) if _LEFT_HEAD.match(after[2])
    )  # an entry has the commit after the action that it describes


def _new_branch(folder: Path, prefix: str, commit: str) -> str:
    for number in itertools.count(1):
        name = prefix if number == 1 else f"{prefix}-{number}"
        if not tip(folder, f"refs/heads/{name}"):
            # the empty old value says that the ref must not exist yet
            _git(folder, "update-ref", "--end-of-options", f"refs/heads/{name}", commit, "")
            return name
    raise AssertionError


def has_new_commits(folder: Path, branch: str, base: str) -> bool:
    """Return whether the branch has a commit that `base` does not have."""
    return bool(_git(folder, "rev-list", "--max-count=1", f"refs/heads/{branch}", "--not", base, check=False))


def remove(top: Path, folder: Path) -> None:
    """Remove a work tree with its whole content. Raise GitcoordError if git refuses, for example for a locked one."""
    _git(top, "worktree", "remove", "--force", str(folder))


def delete_branch(top: Path, branch: str) -> None:
    """Delete a branch. Use it only for one without commits of its own. A failure is ignored."""
    _git(top, "branch", "--quiet", "-D", "--", branch, check=False)


def _paths(folder: Path, *words: str) -> list[str]:
    return [one for one in _git(folder, "ls-files", "-z", *words).split("\0") if one]


def _named(paths: list[str]) -> str:
    more = len(paths) - NAMED_MAX
    return ", ".join(paths[:NAMED_MAX]) + (f" and {more} more" if more > 0 else "")


def _git(folder: Path, *words: str, check: bool = True) -> str:
    try:
        done = subprocess.run(
            ["git", *OPTIONS, "-C", str(folder), *words],
            executable=program.git(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=GIT_S,
            encoding="utf-8",
            errors="replace",
        )
    except (OSError, subprocess.TimeoutExpired) as wrong:
        raise GitcoordError(f"git {words[0]}: {wrong}") from None
    if done.returncode and check:
        raise GitcoordError(f"git {words[0]}: {done.stderr.strip()}")
    return done.stdout if not done.returncode else ""
