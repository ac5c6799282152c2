"""The user's git hooks: what a commit is about to change, and the one file that `gitcoord hook install` writes."""

from __future__ import annotations

import errno
import os
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

from gitcoord.core.errors import Refused
from gitcoord.store import program
from gitcoord.store.files import read_regular, write_durably

NAME = "pre-commit"
BEFORE = "pre-commit.before-gitcoord"
MARK = "# gitcoord: "
HOOK_BYTES_MAX = 1024 * 1024
GIT_S = 30.0  # a first look at a large index on a slow disk

SCRIPT = """\
#!/bin/sh
{mark}warns if a commit touches what another agent has reserved; `gitcoord hook uninstall` removes this.
before="${{0%/*}}/{before}"
if [ -x "$before" ]; then "$before" "$@" || exit $?; fi
{found} || exit 0
{command} hook pre-commit
[ $? -ne 3 ]  # no other failure of gitcoord stops a commit
"""


def staged_paths(folder: Path) -> list[str]:
    """Return the paths that the commit in progress in `folder`'s work tree changes, relative to its top.

    A rename gives both paths. A merge gives only paths that differ from both sides. Raise Refused if git fails.
    """
    diff = ("diff", "--cached", "--name-only", "--no-renames", "-z")
    paths = _git(folder, *diff)
    if _run(folder, "rev-parse", "-q", "--verify", "MERGE_HEAD").returncode == 0:
        theirs = set(_git(folder, *diff, "MERGE_HEAD").split("\0"))
        return [path for path in paths.split("\0") if path and path in theirs]
    return [path for path in paths.split("\0") if path]


@dataclass(frozen=True, slots=True)
class HooksFolder:
    """The folder in which git looks for the clone's hooks."""

    folder: Path
    shared: bool  # with other clones, by the configuration of the user or the machine
    own: bool  # in the clone's git directory

    @property
    def file(self) -> Path:
        return self.folder / NAME


def hooks_folder(folder: Path) -> HooksFolder:
    """Return the hooks' folder of the clone around `folder`. Raise Refused outside of any work tree."""
    top = Path(_git(folder, "rev-parse", "--show-toplevel").rstrip("\n"))
    named = Path(os.path.abspath(top / _git(top, "rev-parse", "--git-path", "hooks").rstrip("\n")))
    hooks = named.resolve()
    if named.is_relative_to(top) and not hooks.is_relative_to(top.resolve()) and ".git" not in named.parts:
        raise Refused(f"core.hooksPath is {named}, a link of this checkout that leads out of it, to {hooks}: remove it")
    common = (top / _git(top, "rev-parse", "--git-common-dir").rstrip("\n")).resolve()
    configured = _git(top, "config", "--show-scope", "--default", "", "--get", "core.hooksPath").split("\t")[0]
    return HooksFolder(hooks, configured in ("global", "system", "command"), hooks.is_relative_to(common))


def install(folder: Path, *, dry_run: bool = False) -> str:
    """Write the hook. Return what was done; "" if nothing. An existing hook is kept, and runs first.

    With `dry_run`, only return what would be done, as an imperative. Raise Refused if the hook cannot be written.
    """
    where = hooks_folder(folder)
    by_hand = f"call `gitcoord hook {NAME}; [ $? -ne 3 ] || exit 1` from {where.file} yourself"
    if where.shared:
        raise Refused(
            f"core.hooksPath of this user or machine is {where.folder}: a hook there runs in every "
            f"repository; {by_hand}, or set core.hooksPath in this clone alone"
        )
    # In the work tree it may be committed, and run on other machines.
    if where.own:
        words = program.gitcoord_argv()
        found = f"[ -x {shlex.quote(words[0])} ] && [ -f {shlex.quote(words[-1])} ]"
    else:  # "./gitcoord", where PATH names the working folder, is a file of the branch
        words, found = ["gitcoord"], 'case "$(command -v gitcoord)" in /*) ;; *) false ;; esac'
    script = SCRIPT.format(mark=MARK, before=BEFORE, found=found, command=shlex.join(words))
    before, aside = where.folder / BEFORE, False
    try:
        if where.file.is_symlink() or where.file.exists():
            if _is_ours(where.file):
                if where.file.read_text("utf-8") == script and not where.file.is_symlink():
                    return ""
            elif os.path.lexists(before):
                raise Refused(
                    f"{where.file} is not gitcoord's, and {before} exists from an earlier installation: {by_hand}, "
                    "or remove one of them"
                )
            else:
                aside = True
        if not dry_run:
            if aside:
                where.file.rename(before)
            where.folder.mkdir(parents=True, exist_ok=True)
            write_durably(where.file, script.encode(), mode=0o755)  # a link in its place is replaced, not followed
    except OSError as wrong:
        raise Refused(f"{wrong.filename}: {wrong.strerror}; {by_hand}") from None
    kept = f"; the previous hook is kept as {BEFORE}, and runs first" if aside or before.exists() else ""
    return f"{'write' if dry_run else 'wrote'} {where.file}{kept}"


def uninstall(folder: Path, *, dry_run: bool = False) -> str:
    """Remove the hook, and restore the previous one. Return a description as `install` does. Raise Refused."""
    where = hooks_folder(folder)
    before = where.folder / BEFORE
    try:
        if not _is_ours(where.file):
            if before.exists():
                raise Refused(f"{where.file} is not gitcoord's any more: restore {before} by hand, or remove it")
            return ""
        back = before.exists()
        if not dry_run:
            where.file.unlink()
            if back:
                before.rename(where.file)
    except OSError as wrong:
        raise Refused(f"{wrong.filename}: {wrong.strerror}") from None
    did = "remove" if dry_run else "removed"
    return f"{did} gitcoord from {where.file}: the previous hook is restored" if back else f"{did} {where.file}"


def _is_ours(file: Path) -> bool:
    try:
        return f"\n{MARK}".encode() in read_regular(file, bytes_max=HOOK_BYTES_MAX)[:200]
    except FileNotFoundError:
        return False
    except OSError as wrong:
        if wrong.errno in (errno.EOVERFLOW, errno.EINVAL, errno.ELOOP):  # large, a pipe, a folder, a cycle of links
            return False
        raise


def _git(folder: Path, *args: str) -> str:
    """Return git's output. The environment is passed on: there git tells its hooks from which index it commits."""
    done = _run(folder, *args)
    if done.returncode:
        raise Refused(f"git {args[0]}: {done.stderr.decode('utf-8', 'replace').strip()}")
    return done.stdout.decode("utf-8", "replace")


def _run(folder: Path, *args: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            ["git", *program.IN_CHECKOUT, *args],
            executable=program.git(),
            cwd=folder,
            capture_output=True,
            timeout=GIT_S,
            check=False,
            env={**os.environ, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.TimeoutExpired) as wrong:
        raise Refused(f"git could not be run: {wrong}") from None
