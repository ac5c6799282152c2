"""Sharing: which users of the machine may read and write a home, whatever the umask of each process.

The mode of the home's own folder decides: it is set once, as core.sharedRepository of the user's repository says. Each
folder and file below gets the permissions of its folder, and none may be written by all users. Keys are always private
to their owner.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

from gitcoord.core.errors import Refused
from gitcoord.store import program

PRIVATE = 0o755  # less what the umask takes away
NOT_OTHERS = 0o775
SETS_GROUP = 0o2000  # a new file in the folder belongs to the folder's group
KEYS_SHARED = 0o3770  # each user of the group may add a key, but not remove another user's
ALL, GROUP = {"all", "world", "everybody", "2"}, {"group", "true", "yes", "on", "1"}


def mode_in(folder: Path) -> int:
    """Return the mode of a new file in `folder`."""
    return stat.S_IMODE(os.stat(folder).st_mode) & NOT_OTHERS & 0o666


def folder_mode_in(folder: Path) -> int:
    """Return the mode of a new folder in `folder`."""
    return stat.S_IMODE(os.stat(folder).st_mode) & (SETS_GROUP | NOT_OTHERS)


def settle(made: int | Path, mode: int) -> None:
    """Give a new file or folder its mode, whatever the umask is. If the system refuses, leave it as it is."""
    if os.name != "nt" and stat.S_IMODE(os.stat(made).st_mode) != mode:
        with contextlib.suppress(PermissionError):
            os.chmod(made, mode)


def opened(path: Path, flags: int) -> int:
    """Return a descriptor of a file for locks or marks. Create the file if it is missing; follow no link in its
    place."""
    flags |= getattr(os, "O_NOFOLLOW", 0)
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        pass
    with contextlib.suppress(FileExistsError):  # another process was first
        file = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
        settle(file, mode_in(path.parent))
        return file
    return os.open(path, flags)


def touch(path: Path) -> Path:
    """Make an empty file unless it exists, and return its path."""
    os.close(opened(path, os.O_RDWR))
    return path


def is_shared(folder: Path) -> bool:
    """Return whether the group may write to a folder of ours."""
    return bool(os.stat(folder).st_mode & stat.S_IWGRP)


def make_home(home: Path, shared: str) -> None:
    """Make the home's folder, unless it exists. `shared` is core.sharedRepository of the repository around it."""
    try:
        os.makedirs(home, PRIVATE)
    except FileExistsError:
        return
    around = os.stat(home.parent)
    granted = _granted(shared.strip().lower(), stat.S_IMODE(os.stat(home).st_mode), stat.S_IMODE(around.st_mode))
    if granted & stat.S_IWGRP and os.name != "nt":
        with contextlib.suppress(PermissionError):  # of a group that this user is not in
            os.chown(home, -1, around.st_gid)
    settle(home, granted)


def _granted(shared: str, made: int, around: int) -> int:
    if shared in ALL:
        return SETS_GROUP | NOT_OTHERS
    if shared in GROUP or (not shared and around & SETS_GROUP and around & stat.S_IWGRP):
        return SETS_GROUP | 0o770 | made & 0o005
    with contextlib.suppress(ValueError):
        bits = int(shared, 8) if shared.startswith("0") and len(shared) > 1 else 0
        if bits & 0o600 == 0o600:
            bits = (bits | (bits & 0o444) >> 2) & NOT_OTHERS
            return bits | (SETS_GROUP if bits & stat.S_IWGRP else 0)
    return made & PRIVATE


def wrong_modes(home: Path) -> Iterator[Path]:
    """Yield the files and folders of a home that all users may write and, if it is shared, those that its group cannot.

    Keys and the folders of tasks are left out.
    """
    shared = is_shared(home)
    for folder, folders, files in os.walk(home):
        if Path(folder) == home:
            folders[:] = [name for name in folders if name not in ("keys", "work")]
        for name in (*folders, *files):
            path = Path(folder, name)
            with contextlib.suppress(FileNotFoundError):  # another process removed it meanwhile
                found = os.lstat(path)
                if stat.S_ISLNK(found.st_mode) or not _is_wrong(found, shared):
                    continue
                yield path


def _is_wrong(found: os.stat_result, shared: bool) -> bool:
    if found.st_mode & stat.S_IWOTH or not shared and found.st_mode & stat.S_IWGRP:
        return True
    needed = SETS_GROUP | 0o070 if stat.S_ISDIR(found.st_mode) else 0o040 | (found.st_mode & 0o200) >> 3
    return shared and found.st_mode & needed != needed


def fix_mode(home: Path, path: Path) -> bool:
    """Give a file or folder the mode that the home grants. Return False if it is another user's."""
    mode = os.lstat(path).st_mode
    granted = folder_mode_in(home) if stat.S_ISDIR(mode) else mode_in(home)
    if not stat.S_ISDIR(mode):
        granted = granted & 0o444 if not mode & 0o200 else granted | mode & 0o100
    with contextlib.suppress(PermissionError):
        os.chmod(path, granted)
        return True
    return False


# Users


def another_owner(*paths: Path) -> str | None:
    """Return the name of the first other user that owns one of the paths; None if all are ours.

    If a path does not exist, the folder around it counts.
    """
    if not hasattr(os, "geteuid"):
        return None
    for path in paths:
        for one in (path, path.parent):
            with contextlib.suppress(OSError):
                owner = os.lstat(one).st_uid
                if owner != os.geteuid():
                    return user(owner)
                break
    return None


def check_trusted(*repositories: Path) -> None:
    """Raise Refused, with what to run, if git does not trust the owner of a repository. Git is only asked about those
    of other users."""
    untrusted = []
    for path in repositories:
        if path.exists() and another_owner(path) is not None:
            done = subprocess.run(
                ["git", "-C", str(path), "rev-parse", "--git-dir"],
                executable=program.git(),
                capture_output=True,
                check=False,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "LC_ALL": "C"},
            )
            if done.returncode and b"dubious ownership" in done.stderr:
                untrusted.append(path)
    if untrusted:
        words = " && ".join(f"git config --global --add safe.directory {shlex.quote(str(path))}" for path in untrusted)
        raise Refused(
            f"git does not work in another user's repository, {untrusted[0]}, unless told to: if you trust "
            f"everybody who may write there, run `{words}`; otherwise use a clone of your own"
        )


def user(number: int | None = None) -> str:
    """Return the name of a user of this machine by id; None: the present user."""
    import pwd  # not on Windows, which has no such owners

    number = os.geteuid() if number is None else number
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def remedy(home: Path) -> str:
    """Return the commands by which the owner of a home shares it with the group of its repository."""
    home_, around = shlex.quote(str(home)), shlex.quote(str(home.parent))
    return (
        f"`git -C {around} config core.sharedRepository group`, then `chgrp -R GROUP {around} && chmod -R g+rwX "
        f"{around} && find {around} -type d -exec chmod g+s {{}} + && chmod 3770 {home_}/keys && chmod 600 "
        f"{home_}/keys/*`"
    )
