"""Work trees with an agent each: made at the remote's default branch, each on a new branch of its own.

All names are checked before anything is made. If a later step fails, what was made is removed again, because nobody has
worked there yet. The agents join last, all with one push.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gitcoord.core import names
from gitcoord.core.errors import GitcoordError, Lost, Refused, Unreachable
from gitcoord.core.text import count
from gitcoord.node.membership import joining
from gitcoord.node.membership.init import check_new_name
from gitcoord.node.node import Node
from gitcoord.store.git import code_remote, repo_location, worktrees
from gitcoord.store.git.code_remote import Base
from gitcoord.store.home.home import Home
from gitcoord.store.home.locks import LockHeld
from gitcoord.store.removal import remove_tree

WORKTREES_MAX = 20  # of one command; each is a whole checkout
PATH = "../{clone}-{name}"  # beside the clone
NAME, CLONE = "{name}", "{clone}"  # placeholders in a path that the user gives


@dataclass(frozen=True, slots=True)
class AgentWorktree:
    """A work tree to be made. Its branch has the agent's name."""

    agent: str
    folder: Path

    @property
    def branch(self) -> str:
        return self.agent


@dataclass(frozen=True, slots=True)
class AddPlan:
    """The work trees that a command makes, and where their branches begin."""

    top: Path
    base: Base
    worktrees: Sequence[AgentWorktree]
    notes: Sequence[str] = ()


@dataclass(slots=True)
class Added:
    """What was made. `did` says by agent what was written for the client."""

    worktrees: list[AgentWorktree] = field(default_factory=list)
    did: dict[str, list[str]] = field(default_factory=dict)


def numbered(name: str, count: int) -> list[str]:
    """Return NAME-1, NAME-2, and so on."""
    return [f"{name}-{number}" for number in range(1, count + 1)]


def main_top(node: Node) -> Path:
    """Return the top of the clone's main work tree; for a bare clone, that of the work tree that the node acts in."""
    common = node.home.path.parent
    around = repo_location.work_tree(node.folder) if node.folder is not None else None
    return common.parent if common.name == ".git" else around or common


def clone_folder(node: Node) -> Path:
    """Return the folder beside which the work trees are made."""
    common = node.home.path.parent
    is_bare = common.name != ".git" and node.worktree is not None  # otherwise it is a submodule's
    return common if is_bare else main_top(node)


def plan(node: Node, agents: Sequence[str], path: str = PATH, branch: str = "", *, dry: bool = False) -> AddPlan:
    """Return what `add` would make, and write nothing. Raise Refused if a name, a branch or a folder is not free.

    `path` may have the placeholders NAME and CLONE; `branch` is the one to begin at ("": the remote's default branch).
    """
    top = main_top(node)
    if len(agents) > WORKTREES_MAX:
        raise Refused(f"{len(agents)} work trees at once: at most {WORKTREES_MAX}")
    if len({one.casefold() for one in agents}) < len(agents):
        raise Refused(f"a name is given twice: {', '.join(agents)}; case does not count")
    if len(agents) > 1 and NAME not in path:
        raise Refused(f"--path is for {len(agents)} work trees: put {NAME} where the agent's name belongs")
    try:
        node.sync()
    except (Unreachable, Lost, LockHeld):
        if not all(joining.is_known(node, one) for one in agents):  # the name may be another agent's by now
            raise
    for agent in agents:
        _check_agent(node, top, agent)
    clone = clone_folder(node)
    path = path.replace(CLONE, clone.name.removesuffix(".git") or "work")
    made = [AgentWorktree(one, _folder(clone, path.replace(NAME, one))) for one in agents]
    base, taken = code_remote.base(top, node.config.remote, branch, names=agents, fetches=not dry)
    for one in made:
        _check_branch(top, one, base, taken)
        if one.folder.exists() or one.folder.is_symlink():
            raise Refused(f"{one.folder} exists already: move it away, or name another folder with --path")
    return AddPlan(top, base, made, [*([base.note] if base.note else []), *_left_out(top, base)])


def _check_agent(node: Node, top: Path, agent: str) -> None:
    """Raise Refused if the name is invalid, another agent's, or that of an agent with another place in this clone."""
    check_new_name(agent)
    joining.check_name(node, agent)
    if names.same_agent(node.home.config().agent or "", agent):
        raise Refused(f"{agent} is the agent of the clone {top}: give the work tree another name")
    for one in worktrees.listed(top)[1:]:
        if names.same_agent(agent_of(node.home, one.folder), agent):
            raise Refused(
                f"{agent} is the agent of the work tree {one.folder}: work there, give another name, or run "
                f"`gitcoord worktree remove {agent}` first"
            )


def agent_of(home: Home, folder: Path) -> str:
    """Return the agent of a linked work tree; "" if it has none, or its file cannot be read."""
    with contextlib.suppress(GitcoordError, OSError):
        return Home(home.path, worktree=repo_location.worktree_git_dir(folder)).worktree_agent or ""
    return ""


def _folder(top: Path, path: str) -> Path:
    return Path(path).expanduser() if Path(path).expanduser().is_absolute() else (top / path).resolve()


def _check_branch(top: Path, one: AgentWorktree, base: Base, taken: set[str]) -> None:
    """Raise Refused if the new branch cannot be made, or if the remote has a branch of that name."""
    if not worktrees.is_branch_name(top, one.branch):
        raise Refused(f"git does not accept the branch name {one.branch!r}: give the work tree another name")
    if worktrees.tip(top, f"refs/heads/{one.branch}"):
        folder = shlex.quote(str(one.folder))
        raise Refused(
            f"this clone has a branch {one.branch}: give another name. To use that branch, run `git worktree add "
            f"{folder} {one.branch}`, then `gitcoord -C {folder} init --agent {one.agent}`"
        )
    if one.branch in taken:
        raise Refused(f"{base.remote or 'the remote'} has a branch {one.branch} already: give another name")


def _left_out(top: Path, base: Base) -> list[str]:
    """Return a note if the clone's own branch has commits that the remote's branch does not have."""
    mine = f"refs/heads/{base.branch}"
    if not base.remote or not worktrees.tip(top, mine) or not worktrees.tip(top, base.commit):
        return []
    ahead, _ = worktrees.ahead_behind(top, mine, base.commit)
    has = f"your branch {base.branch} has {count(ahead, 'commit')} that {base.remote}/{base.branch} does not have"
    return [f"{has}: the new work trees begin without {'it' if ahead == 1 else 'them'}"] if ahead else []


def add(node: Node, wanted: AddPlan, set_up: Callable[[Path], list[str]]) -> Added:
    """Make the work trees, call `set_up` for each folder, let their agents join, and return what was made.

    Raise GitcoordError with a message that also names what was made and is kept.
    """
    added = Added()
    try:
        for one in wanted.worktrees:
            _make_folder(one.folder)
            added.worktrees.append(one)  # BEFORE it is made: a half-made one is removed as well
            worktrees.add(wanted.top, one.folder, one.branch, wanted.base.commit)
            added.did[one.agent] = set_up(one.folder)
        lost = joining.join(node, [one.agent for one in added.worktrees])
    except BaseException as wrong:
        left = [words for one in added.worktrees if (words := _undo(wanted, one))]
        if isinstance(wrong, GitcoordError):
            raise type(wrong)(f"{wrong}. {'; '.join(left) or 'Nothing was made'}") from None
        raise
    for one in [one for one in added.worktrees if one.agent in lost]:
        _undo(wanted, one)
        added.worktrees.remove(one)
    for one in added.worktrees:
        Home(node.home.path, worktree=repo_location.worktree_git_dir(one.folder)).save_worktree_agent(one.agent)
    if lost:
        ready = ", ".join(f"{one.agent} in {one.folder}" for one in added.worktrees)
        why = "; ".join(str(wrong) for wrong in lost.values())
        raise Refused(f"{', '.join(lost)}: not made ({why}). " + (f"Made: {ready}" if ready else "Nothing was made"))
    return added


def _make_folder(folder: Path) -> None:
    """Make a folder for this command alone. Raise Refused if it exists, because then it is somebody else's."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir()
    except OSError as wrong:
        raise Refused(f"{folder}: {wrong.strerror}") from None


def _undo(wanted: AddPlan, one: AgentWorktree) -> str:
    """Remove a work tree in which nobody has worked. Return what remains and what to run; "" if nothing does."""
    with contextlib.suppress(GitcoordError):  # it may not be there yet
        worktrees.remove(wanted.top, one.folder)
    remove_tree(one.folder)
    if worktrees.tip(wanted.top, f"refs/heads/{one.branch}") == wanted.base.commit:
        worktrees.delete_branch(wanted.top, one.branch)
    if one.folder.exists() or worktrees.tip(wanted.top, f"refs/heads/{one.branch}"):
        return f"{one.folder} and the branch {one.branch} remain: `gitcoord worktree remove {one.agent}` removes them"
    return ""
