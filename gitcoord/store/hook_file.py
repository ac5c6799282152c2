"""The hook that `gitcoord hook install` writes: a section of ours in the script that runs before a commit.

A manager of hooks writes git's own file again when it likes, and some find their scripts by that file's name. So the
section goes where the manager looks: husky's script, the hook that pre-commit keeps (`pre-commit.legacy`), lefthook's
local configuration. Any other script of a shell gets the section after its first line, and goes on under its own
name. What cannot hold a section, such as a hook in Python, is moved aside, and runs first.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gitcoord.core import sections
from gitcoord.core.errors import Refused
from gitcoord.store import program
from gitcoord.store.files import make_folders, read_regular, write_durably
from gitcoord.store.hooks import NAME, HooksFolder, hooks_folder

BEFORE = f"before-gitcoord/{NAME}"  # a hook that was moved aside: some look at their own name
LEGACY = f"{NAME}.legacy"  # pre-commit runs it first, and puts it back when it is uninstalled
BEGIN, END = "# BEGIN GITCOORD: `gitcoord hook uninstall` removes this", "# END GITCOORD"
HOOK_BYTES_MAX = 1024 * 1024
SHEBANG = "#!/bin/sh\n"
ODD = b"\0"  # in the place of what is no script: a large file, a pipe, a folder, a link to nothing
ON_PATH = 'case "$(command -v gitcoord)" in /*) ;; *) false ;; esac'  # "./gitcoord" would be a file of the branch
_SHELL = re.compile(rb"#!.*[/ ](ba|da|k|z|a)?sh\b")

CHECK = """\
if {found}; then
    gitcoord=0
    {command} hook pre-commit || gitcoord=$?
    [ $gitcoord -ne 3 ] || exit 1 # no other failure of gitcoord stops a commit
fi
"""
ASIDE = f"""\
if [ -x "${{0%/*}}/{BEFORE}" ]; then
    "${{0%/*}}/{BEFORE}" "$@" || exit $?
fi
"""
LOCAL = """\
pre-commit:
  commands:
    gitcoord:
      run: {run}
"""


@dataclass(frozen=True, slots=True)
class _Place:
    """The file that holds the section, and who runs it ("": git)."""

    file: Path
    manager: str
    own: bool  # in the git directory: never committed

    @property
    def before(self) -> Path:
        return self.file.parent / BEFORE


def install(folder: Path, *, dry_run: bool = False) -> str:
    """Write the hook; return what was done, in words ("": nothing). An existing hook is kept.

    `dry_run`: return what would be done, as an imperative. Raise Refused.
    """
    where = hooks_folder(folder)
    if where.shared:
        raise Refused(
            f"core.hooksPath of this user or machine is {where.folder}: a hook there runs in every "
            f"repository; {_by_hand(where.file)}, or set core.hooksPath in this clone alone"
        )
    place = _place(where)
    try:
        old = _read(place.file)
        aside = old is not None and not _takes_section(place, old)
        if aside and os.path.lexists(place.before):
            raise Refused(
                f"{place.file} cannot hold a section of gitcoord's, and {place.before} is there from before: "
                f"{_by_hand(place.file)}, or remove one of them"
            )
        text = _with_section(place, None if aside else old, aside=aside or os.path.lexists(place.before))
        if text == old and not place.file.is_symlink():
            return ""
        if not dry_run:
            if aside:
                _move(place.file, place.before, up="../")
            make_folders(place.file.parent)
            write_durably(place.file, text, mode=_mode(place.file))
    except OSError as wrong:
        raise Refused(f"{wrong.filename}: {wrong.strerror}; {_by_hand(place.file)}") from None
    return f"{'write' if dry_run else 'wrote'} {place.file}{_remarks(place, old, aside)}"


def uninstall(folder: Path, *, dry_run: bool = False) -> str:
    """Remove the section, and put back a hook that was moved aside; return words as `install` does."""
    where, did = hooks_folder(folder), []
    try:
        for place in _places(where):
            old = _read(place.file)
            if old is not None and BEGIN.encode() in old:
                did.append(_take_out(place, old, dry_run=dry_run))
        git = _places(where)[1]
        if not did and os.path.lexists(git.before):
            raise Refused(f"{git.file} is not gitcoord's any more: put {git.before} back by hand, or remove it")
    except OSError as wrong:
        raise Refused(f"{wrong.filename}: {wrong.strerror}") from None
    return "; ".join(did)


def _take_out(place: _Place, old: bytes, *, dry_run: bool) -> str:
    rest = _edited(place, old, sections.without_section, f"{BEGIN}\n{END}")
    back, empty = os.path.lexists(place.before), rest.strip() in (b"", SHEBANG.strip().encode())
    if not dry_run:
        if empty:
            place.file.unlink()
        else:
            write_durably(place.file, rest, mode=_mode(place.file))
        if back:
            _move(place.before, place.file, up="")
            place.before.parent.rmdir()
    did = "remove" if dry_run else "removed"
    return f"{did} {place.file}" if empty and not back else f"{did} gitcoord from {place.file}: the rest is as before"


def _place(where: HooksFolder) -> _Place:
    """Return the place for the section, by who manages the hooks."""
    husky, git, legacy, lefthook = _places(where)
    if (where.folder / "h").is_file() and where.folder.name == "_":
        return husky
    stub = _read(git.file) or b""
    if BEGIN.encode() in stub:
        return git
    if b"File generated by pre-commit: https://pre-commit.com" in stub:
        return legacy
    return lefthook if b"call_lefthook" in stub else git


def _places(where: HooksFolder) -> tuple[_Place, _Place, _Place, _Place]:
    local = [where.top / f"lefthook-local.{ending}" for ending in ("yml", "yaml")]
    return (
        _Place(where.folder.parent / NAME, "husky", where.own),
        _Place(where.file, "", where.own),
        _Place(where.file.with_name(LEGACY), "pre-commit", where.own),
        _Place(next((one for one in local if one.exists()), local[0]), "lefthook", own=False),
    )


def _takes_section(place: _Place, old: bytes) -> bool:
    """Return whether the file can hold a section; raise Refused if it cannot, and must not be moved either."""
    if BEGIN.encode() in old and not place.file.is_symlink():
        return True
    if place.manager == "lefthook":
        if place.file.is_symlink() or re.search(rb"^(pre-commit|['\"]pre-commit['\"])\s*:", old, re.MULTILINE):
            raise Refused(f"{place.file} has commands for pre-commit: add one that runs `{_one_line()}`")
        return True
    if place.manager == "husky":
        if place.file.is_symlink():
            raise Refused(f"{place.file} is a link: {_by_hand(place.file)}")
        return True
    runs = os.access(place.file, os.X_OK) and not place.file.is_symlink()
    return runs and _SHELL.match(old) is not None


def _with_section(place: _Place, old: bytes | None, *, aside: bool) -> bytes:
    if place.manager == "lefthook":
        section = f"{BEGIN}\n{LOCAL.format(run=json.dumps(_one_line()))}{END}\n"
        return _edited(place, old or b"", sections.with_section, section)
    found, words = ON_PATH, ["gitcoord"]  # in the work tree it may be committed, and run on other machines
    if place.own:
        words = program.gitcoord_argv()
        found = f"[ -x {shlex.quote(words[0])} ] && [ -f {shlex.quote(words[-1])} ]"
    check = CHECK.format(found=found, command=shlex.join(words))
    section = f"{BEGIN}\n{ASIDE if aside else ''}{check}{END}"
    if old is None:
        return f"{'' if place.manager == 'husky' else SHEBANG}{section}\n".encode()
    if BEGIN.encode() in old:
        return _edited(place, old, sections.with_section, section)
    first, newline, rest = old.partition(b"\n") if old.startswith(b"#!") else (b"", b"", old)
    return first + newline + section.encode() + b"\n" + rest


def _edited(place: _Place, old: bytes, edit: Callable[[str, str], str], section: str) -> bytes:
    try:
        return edit(old.decode("utf-8", "surrogateescape"), section).encode("utf-8", "surrogateescape")
    except Refused as wrong:
        raise Refused(f"{place.file}: {wrong}") from None


def _remarks(place: _Place, old: bytes | None, aside: bool) -> str:
    said = f"; {place.manager} runs it" if place.manager else ""
    if aside:
        said += f"; the hook that was there is kept as {BEFORE}, and runs first"
    elif old is not None and BEGIN.encode() not in old:
        said += "; what was there is kept, and runs after it"
    if not place.own and program.which("gitcoord", os.environ) is None:
        said += "; `gitcoord` is not on PATH here, so it checks nothing until it is"
    return said


def _by_hand(file: Path) -> str:
    return f"call `gitcoord hook {NAME}; [ $? -ne 3 ] || exit 1` from {file} yourself"


def _one_line() -> str:
    return f"if {ON_PATH}; then gitcoord hook {NAME}; [ $? -ne 3 ]; fi"


def _read(file: Path) -> bytes | None:
    try:
        return read_regular(file, bytes_max=HOOK_BYTES_MAX)
    except FileNotFoundError:
        return ODD if file.is_symlink() else None
    except OSError as wrong:
        if wrong.errno in (errno.EOVERFLOW, errno.EINVAL, errno.ELOOP):
            return ODD
        raise


def _mode(file: Path) -> int:
    try:
        return stat.S_IMODE(os.lstat(file).st_mode) if not file.is_symlink() else 0o755
    except FileNotFoundError:
        return 0o644 if file.suffix in (".yml", ".yaml") else 0o755


def _move(file: Path, to: Path, *, up: str) -> None:
    """Move a hook; a link that is written from its own folder leads where it led. `up`: from the new folder."""
    make_folders(to.parent)
    if not file.is_symlink() or os.path.isabs(target := os.readlink(file)):
        file.rename(to)
        return
    os.symlink(up + target if up else target.removeprefix("../"), to)
    file.unlink()
