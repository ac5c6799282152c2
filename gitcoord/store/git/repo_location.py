"""The location of a path: its clone, and the clone's work tree. Found in the files, without starting git."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from gitcoord.core.errors import Refused


def common_dir(path: Path) -> Path | None:
    """Return the git directory that all work trees of the clone around `path` share; None outside of any."""
    plain = plain_common_dir(path)
    if plain is not None:
        return plain
    from gitcoord.store.git import local_repo  # 0.1 s to import, for a rare case

    return local_repo.find_common_dir(path)


def plain_common_dir(path: Path) -> Path | None:
    """Return the git directory of an ordinary clone, or of a linked work tree; None otherwise: then GitPython
    decides."""
    path = path.absolute()
    for folder in (path, *path.parents):
        found = folder / ".git"
        if found.is_dir():
            return found.resolve() if _is_whole(found) and not (found / "commondir").exists() else None
        if found.is_file():
            return _of_linked(found)
        if found.exists() or (folder / "HEAD").exists():
            return None  # inside a git directory, or something odd
    return None


def work_tree(path: Path) -> Path | None:
    """Return the top of the work tree around `path`, links resolved; None outside of any."""
    path = path.resolve()
    return next((folder for folder in (path, *path.parents) if (folder / ".git").exists()), None)


def _of_linked(found: Path) -> Path | None:
    """Return the common git directory of a linked work tree: `.git` is a file that names the tree's own git directory,
    which names the common one."""
    try:
        own = found.parent / found.read_text("utf-8").removeprefix("gitdir:").strip()
        common = (own / (own / "commondir").read_text("utf-8").strip()).resolve()
    except (OSError, ValueError):
        return None  # a submodule, or damaged
    return common if (own / "HEAD").is_file() and _is_whole(common) else None


def _is_whole(folder: Path) -> bool:
    return (folder / "HEAD").is_file() and (folder / "objects").is_dir() and (folder / "refs").is_dir()


def not_in_tree(git_dir: Path) -> Path:
    """Return the git directory. Raise Refused if it is among the files of another work tree.

    A branch may hold a folder that looks like a bare repository; its configuration names commands, which git runs.
    It cannot hold anything whose path has `.git` in it.
    """
    for folder in git_dir.parents if ".git" not in git_dir.parts else ():
        if (folder / ".git").exists():
            raise Refused(
                f"{git_dir} looks like a repository and is in the work tree {folder}, whose branches may "
                "hold it: it is not used. Run the command elsewhere, or move that repository away"
            )
    return git_dir


def worktree_name(path: Path) -> str:
    """Return the name of the linked work tree around `path`, as git keeps it; "" in a clone's own."""
    found = worktree_git_dir(path)
    return found.name if found is not None else ""


def from_top(folder: Path, text: str) -> str:
    """Return a path, or a pattern of paths, as from the top of the work tree around `folder`.

    It is relative to `folder`, as git takes it. An absolute one may be in any work tree of the clone. Raise Refused if
    it is in none.
    """
    given, top = text.strip(), work_tree(folder)
    if top is None:
        return given
    if given.startswith("/"):
        names, start = _real(given).split("/"), []
        tops = [str(one).split("/") for one in _tops(folder, top)]
        found = max((one for one in tops if names[: len(one)] == one), key=len, default=None)
        if found is None:
            raise Refused(f"{text!r} is in no work tree of this clone: write it from the top, such as src/auth/**")
        names = names[len(found) :]
    else:
        names, start = given.split("/"), list(folder.resolve().relative_to(top).parts)
    for name in names:
        if name == ".." and start:
            start.pop()
        elif name == "..":
            raise Refused(f"{text!r} is outside of the work tree {top}")
        elif name not in ("", "."):
            start.append(name)
    return "/".join(start) or "**"


def _real(pattern: str) -> str:
    """Return an absolute pattern with the links resolved in the part before its first wildcard."""
    names = pattern.split("/")
    plain = next((at for at, name in enumerate(names) if "*" in name or "?" in name), len(names))
    return "/".join([str(Path("/".join(names[:plain]) or "/").resolve()), *names[plain:]])


def _tops(folder: Path, top: Path) -> Iterator[Path]:
    """Yield the tops of all work trees of the clone."""
    yield top
    common = common_dir(folder)
    if common is None:
        return
    if common.name == ".git":
        yield common.parent
    for one in sorted(common.glob("worktrees/*/gitdir")):
        with contextlib.suppress(OSError, ValueError):
            yield Path(one.read_text("utf-8").strip()).parent.resolve()


def worktree_git_dir(path: Path) -> Path | None:
    """Return git's own folder of the linked work tree around `path`; None in a clone's own. It goes with the tree."""
    for folder in (path.absolute(), *path.absolute().parents):
        found = folder / ".git"
        if found.is_dir():
            return None
        if found.is_file():
            named = found.read_text(encoding="utf-8", errors="surrogateescape").removeprefix("gitdir:").strip()
            place = folder / named  # absolute, unless git was told to write relative ones
            return place if place.parent.name == "worktrees" else None
    return None


def branch_at(git_dir: Path | None) -> str:
    """Return the branch that a linked work tree has checked out; "" if HEAD is detached, or there is no such tree."""
    try:
        head = (git_dir / "HEAD").read_text(encoding="utf-8", errors="replace").strip() if git_dir else ""
    except OSError:
        return ""
    ref = head.removeprefix("ref: refs/heads/")
    return ref if ref not in (head, ".invalid") else ""  # git writes the latter where refs are in a table


def worktree_title(path: Path) -> str:
    """Return how the work tree around `path` is called: as git keeps a linked one, the folder's name for a clone's own.

    If a linked one has that name, `-main` is added to the clone's own. Raise Refused outside of any.
    """
    linked, top = worktree_name(path), work_tree(path)
    if linked:
        return linked
    if top is None:
        raise Refused(f"{path} is in no work tree of a git repository")
    name = top.name
    while (top / ".git" / "worktrees" / name).exists():
        name += "-main"
    return name
