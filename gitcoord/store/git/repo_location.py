"""The location of a path: its clone and its work tree, found in the files, without starting git."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from gitcoord.core.errors import Refused


def common_dir(path: Path) -> Path | None:
    """Return the git directory that all work trees of the clone around `path` share; None outside of any clone."""
    plain = plain_common_dir(path)
    if plain is not None:
        return plain
    from gitcoord.store.git import local_repo  # imported late: it takes 0.1 s, and the case is rare

    return local_repo.find_common_dir(path)


def plain_common_dir(path: Path) -> Path | None:
    """Return the common git directory of an ordinary clone or a linked work tree; None if GitPython must decide."""
    path = path.absolute()
    for folder in (path, *path.parents):
        found = folder / ".git"
        if found.is_dir():
            return found.resolve() if _is_complete(found) and not (found / "commondir").exists() else None
        if found.is_file():
            return _of_linked(found)
        if found.exists() or (folder / "HEAD").exists():
            return None  # inside a git directory, or something odd
    return None


def work_tree(path: Path) -> Path | None:
    """Return the top of the work tree around `path`, with links resolved; None outside of any work tree."""
    path = path.resolve()
    return next((folder for folder in (path, *path.parents) if (folder / ".git").exists()), None)


def _of_linked(found: Path) -> Path | None:
    """Return the common git directory of a linked work tree; None if `found` belongs to none.

    `found` is its file `.git`, which names the tree's own git directory, which names the common one.
    """
    try:
        own = found.parent / found.read_text("utf-8").removeprefix("gitdir:").strip()
        common = (own / (own / "commondir").read_text("utf-8").strip()).resolve()
    except (OSError, ValueError):
        return None  # a submodule, or damaged
    return common if (own / "HEAD").is_file() and _is_complete(common) else None


def _is_complete(folder: Path) -> bool:
    return (folder / "HEAD").is_file() and (folder / "objects").is_dir() and (folder / "refs").is_dir()


def not_in_tree(git_dir: Path) -> Path:
    """Return the git directory. Raise Refused if it is among the files of another work tree.

    A branch may have a folder that looks like a bare repository, and whose configuration names commands that git runs.
    It cannot have a path with `.git` in it.
    """
    for folder in git_dir.parents if ".git" not in git_dir.parts else ():
        if (folder / ".git").exists():
            raise Refused(
                f"{git_dir} looks like a repository, but is in the work tree {folder}, so a branch may have brought "
                "it: it is not used. Run the command elsewhere, or move that repository away"
            )
    return git_dir


def worktree_name(path: Path) -> str:
    """Return git's name of the linked work tree around `path`; "" in the main work tree of a clone."""
    found = worktree_git_dir(path)
    return found.name if found is not None else ""


def from_top(folder: Path, text: str) -> str:
    """Return a path, or a pattern of paths, relative to the top of the work tree around `folder`.

    `text` is relative to `folder`, as in git. An absolute path may be in any work tree of the clone. Raise Refused if
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
    """Return an absolute pattern, with links resolved in the part before its first wildcard."""
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
    """Return git's folder for the linked work tree around `path`, removed with the tree; None in a main work tree."""
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
    """Return the branch that is checked out in a linked work tree; "" if HEAD is detached, or `git_dir` is None."""
    try:
        head = (git_dir / "HEAD").read_text(encoding="utf-8", errors="replace").strip() if git_dir else ""
    except OSError:
        return ""
    ref = head.removeprefix("ref: refs/heads/")
    return ref if ref not in (head, ".invalid") else ""  # git writes the latter if the repository has a reftable


def has_branch(common: Path, name: str) -> bool:
    """Return whether a clone has a branch of that name, its own or a remote's. True where that is not in files."""
    if (common / "reftable").exists():
        return True
    try:
        lines = (common / "packed-refs").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    packed = {line.split(" ")[1] for line in lines if line.count(" ") == 1 and "refs/" in line}
    remotes = [one.name for one in (common / "refs" / "remotes").glob("*")]
    remotes += [ref.split("/")[2] for ref in packed if ref.startswith("refs/remotes/")]
    refs = [f"refs/heads/{name}", *(f"refs/remotes/{remote}/{name}" for remote in remotes)]
    return any(ref in packed or (common / ref).is_file() for ref in refs)


def worktree_title(path: Path) -> str:
    """Return a title of the work tree around `path`: git's name of a linked one, the folder's name of a main one.

    If a linked one has that name, `-main` is added to the main one's. Raise Refused outside of any work tree.
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
