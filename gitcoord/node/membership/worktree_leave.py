"""The removal of a work tree: no work is lost, and what its agent holds goes back to the fleet."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gitcoord.core.errors import Refused, Unreachable
from gitcoord.core.format.event import Draft
from gitcoord.core.names import same_agent
from gitcoord.core.secret_scan.credentials import OnSecret
from gitcoord.core.text import count
from gitcoord.node.keyring import seed_of
from gitcoord.node.membership.worktree_agents import agent_of, main_top
from gitcoord.node.node import Node
from gitcoord.node.operations import handover
from gitcoord.store.git import code_remote, repo_location, worktrees
from gitcoord.store.git.code_remote import Base
from gitcoord.store.git.worktrees import Worktree


@dataclass(frozen=True, slots=True)
class RemovePlan:
    """What is removed. `tree` is None if only the agent remains.

    `merged` is the branch that was made with the tree, if the remote's default branch has all its commits, or "".
    """

    top: Path
    tree: Worktree | None
    agent: str
    drafts: Sequence[Draft]
    base: Base | None
    merged: str

    @property
    def changes(self) -> list[str]:
        """Return what is done besides the events, as imperatives."""
        if self.tree is None:
            return []
        holds = f"delete the branch {self.merged}: {self.base.words} holds all its commits" if self.base else ""
        return [f"remove the work tree {self.tree.folder}", *([holds] if self.merged else [])]


@dataclass(slots=True)
class Removed:
    """What was done, and what a person should know of the branch."""

    did: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def plan(node: Node, name: str, own_files: Collection[str] | None = None, *, cwd: Path) -> RemovePlan:
    """Return what `remove` would do to the work tree with that agent, name or path.

    `own_files` has the files in it that are nobody's work. Raise Refused with what would be lost and what to run.
    """
    top = main_top(node)
    tree = found(node, name)
    agent = agent_of(node.home, tree.folder) if tree is not None else name
    if tree is not None:
        _check(node, tree, agent, own_files or (), cwd)
    base = _base(node, top)
    drafts = handover.goodbye(node, agent) if _leaves(node, agent) else []
    if tree is None and not drafts:
        raise Refused(f"this clone has no work tree {name!r}: `gitcoord worktree list` shows them")
    merged = agent if tree is not None and base is not None and _is_merged(top, agent, tree, base) else ""
    return RemovePlan(top, tree, agent, drafts, base, merged)


def found(node: Node, name: str) -> Worktree | None:
    """Return the linked work tree with that agent, path, name in git, or branch; None if there is none.

    Raise Refused for the clone's main work tree.
    """
    own, *linked = worktrees.listed(main_top(node))
    path = Path(name).expanduser().resolve()
    if (
        path == own.folder.resolve()
        or name in (own.folder.name,)
        and not any(one.folder.name == name for one in linked)
    ):
        raise Refused(f"{own.folder} is the clone itself: `gitcoord leave` takes it out of the fleet")
    by_agent = [one for one in linked if same_agent(agent_of(node.home, one.folder), name)]
    by_name = [one for one in linked if name in (one.folder.name, repo_location.worktree_name(one.folder))]
    by_path = [one for one in linked if one.folder.resolve() == path]
    by_branch = [one for one in linked if one.branch == name]  # if `add` was killed, the tree has no agent yet
    return next(iter([*by_agent, *by_path, *by_name, *by_branch]), None)


def _check(node: Node, tree: Worktree, agent: str, own_files: Collection[str], cwd: Path) -> None:
    if agent and agent.casefold() in node.home.running():
        raise Refused(f"{agent} runs in {tree.folder}: end its client, or its `gitcoord agent run`, first")
    if cwd.resolve().is_relative_to(tree.folder.resolve()):
        other = shlex.quote(str(main_top(node)))
        raise Refused(f"this is {tree.folder} itself: run the command in another folder (`cd {other}`)")
    if not tree.folder.is_dir():
        return
    lost = worktrees.unsaved(tree.folder, but=own_files)
    if lost:
        at = f"git -C {shlex.quote(str(tree.folder))}"
        raise Refused(
            f"{tree.folder} has {lost}: nothing was removed. `{at} status` shows it; commit it (`{at} add -A && {at} "
            f"commit`), or stash it (`{at} stash -u`), then try again"
        )


def _base(node: Node, top: Path) -> Base | None:
    """Return the remote's default branch as it is now, or was when the remote last answered; None if it is unknown."""
    try:
        found, _ = code_remote.base(top, node.config.remote)
    except (Refused, Unreachable):
        return None
    return found if found.remote else None


def _is_merged(top: Path, branch: str, tree: Worktree, base: Base) -> bool:
    """Return whether no other work tree has the branch that was made for the tree, and `base` has all its commits."""
    if not branch or not worktrees.tip(top, f"refs/heads/{branch}"):
        return False
    if any(one.branch == branch for one in worktrees.listed(top) if one.folder != tree.folder):
        return False
    return worktrees.ahead_behind(top, f"refs/heads/{branch}", base.commit)[0] == 0


def _leaves(node: Node, agent: str) -> bool:
    """Return whether the agent is a member whose key is here, and not the clone's own agent."""
    member = node.fleet.members.get(agent)
    if member is None or member.left or same_agent(node.home.config().agent or "", agent):
        return False
    return node.config.auth == "hmac" or seed_of(node.home, agent) is not None


def remove(node: Node, wanted: RemovePlan) -> Removed:
    """Remove the work tree, then write the events by which its agent leaves, and return what was done.

    Commits that no branch has get one first. If this is interrupted, another run does the rest. Raise GitcoordError if
    git refuses; then nothing was changed.
    """
    done = Removed()
    tree = wanted.tree
    if tree is not None:
        held = (
            worktrees.hold(tree.folder, f"{tree.branch or wanted.agent or 'work'}-left") if tree.folder.is_dir() else []
        )
        done.did += [f"made the branch {one} for commits that were on none" for one in held]
        worktrees.remove(wanted.top, tree.folder)
        done.did.append(f"removed the work tree {tree.folder}")
    if wanted.drafts:
        node.append(*wanted.drafts, on_secret=OnSecret.HIDE)  # a task's title may look like a secret
        done.did += [one.content for one in wanted.drafts]
    if wanted.merged and wanted.base is not None:
        worktrees.delete_branch(wanted.top, wanted.merged)
        done.did.append(f"deleted the branch {wanted.merged}: {wanted.base.words} holds all its commits")
    branches = {wanted.agent, tree.branch} - {"", wanted.merged} if tree is not None else set()
    done.notes += [words for one in sorted(branches) if (words := _of_branch(wanted, one))]
    return done


def _of_branch(wanted: RemovePlan, branch: str) -> str:
    """Return what a person should know of a branch that is kept; "" if there is no branch of that name."""
    if not worktrees.tip(wanted.top, f"refs/heads/{branch}"):
        return ""
    words = f"the branch {branch} is kept"
    if wanted.base is None:
        return words
    ahead, _ = worktrees.ahead_behind(wanted.top, f"refs/heads/{branch}", wanted.base.commit)
    return words + (f": it has {count(ahead, 'commit')} that {wanted.base.words} does not have" if ahead else "")
