"""The remote of the user's code: work begins at the tip of its default branch, and branches are pushed to it.

It may be another remote than the ledger's. It is reached from the user's clone, with the clone's settings or the token
in the environment. Of the clone's refs, only the remote-tracking branch is moved, as `git fetch` does.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gitcoord.core.errors import Denied, GitcoordError, Refused, Unreachable
from gitcoord.store import program
from gitcoord.store.git import credentials, git_output, local_repo, worktrees
from gitcoord.store.git import url as git_url
from gitcoord.store.git.process import GitResult
from gitcoord.store.git.spawn import LOCAL_S, spawn

ASK_S = 30.0  # to list the remote's branches
FETCH_S = 600.0  # to fetch what is new in a large repository
PUSH_S = 600.0
ATTEMPTS = 2  # the branch may be rewritten between the list and the fetch
PLAIN = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--no-recurse-submodules")
USUAL = ("main", "master")  # a clone that was not made by `git clone` does not know the remote's default branch


@dataclass(frozen=True, slots=True)
class Base:
    """The commit at which a branch begins. `remote` is "" if it is a commit of the clone's own branch."""

    commit: str
    branch: str
    remote: str = ""
    note: str = ""  # why it is not the present commit of the remote's branch

    @property
    def words(self) -> str:
        """Return it as people write it, such as "origin/main (1a2b3c4)"."""
        name = f"{self.remote}/{self.branch}" if self.remote else self.branch
        return f"{name} ({self.commit[:7]})"


@dataclass(frozen=True, slots=True)
class CodeRemote:
    """The remote that has the code of a clone. `name` is its name in the clone; "" if it has none."""

    top: Path
    name: str
    url: str

    @property
    def shown(self) -> str:
        """Return its name, or its URL without secrets, for messages."""
        return self.name or git_url.without_secret(self.url)


def find(top: Path, fleet_remote: str) -> CodeRemote | None:
    """Return the remote that has the code of this clone; None if the clone has no remote.

    It is `origin`, otherwise the clone's only remote, otherwise the fleet's: the ledger may be elsewhere.
    """
    names = _local(top, "remote").split()
    first = [one for one in ("origin", *(names if len(names) == 1 else ()), fleet_remote) if one in names]
    name = first[0] if first else ""
    url = local_repo.remote_url(top, name) if name else fleet_remote
    return CodeRemote(top, name, url) if url else None


def base(
    top: Path,
    fleet_remote: str,
    branch: str = "",
    *,
    names: Sequence[str] = (),
    ask_s: float = ASK_S,
    fetch_s: float = FETCH_S,
    fetches: bool = True,
) -> tuple[Base, set[str]]:
    """Return the commit at which new branches begin, and which of `names` are branches of the remote.

    It is the present commit of the remote's `branch` ("": its default branch), or the last one that this clone saw if
    the remote does not answer. Without `fetches`, this clone may lack the commit. Raise Refused if there is no such
    branch, Unreachable if nothing is known of the remote.
    """
    remote = find(top, fleet_remote)
    if remote is None:
        return _own(top, branch, "this clone has no remote"), set()
    branch = branch.removeprefix(f"{remote.name}/") if remote.name else branch
    for _ in range(ATTEMPTS):
        try:
            default, heads = _listed(remote, [*filter(None, [branch]), *names], ask_s)
        except GitcoordError as wrong:
            return _last_seen(remote, branch, str(wrong)), set()
        wanted = branch or default
        taken = {one for one in names if one in heads}
        if wanted not in heads:
            return _own(top, branch, f"{remote.shown} has no branch {wanted or 'yet'}"), taken
        if not fetches or _fetched(remote, wanted, heads[wanted], fetch_s):
            return Base(heads[wanted], wanted, remote.shown), taken
    return _last_seen(remote, branch, f"its branch {wanted} cannot be fetched"), taken


def _fetched(remote: CodeRemote, branch: str, commit: str, fetch_s: float) -> bool:
    """Fetch the remote's branch, unless its commit is here. Return whether the commit is here now."""
    if not worktrees.tip(remote.top, commit):
        with contextlib.suppress(GitcoordError):  # the next attempt reports what is wrong
            _reach(remote, ["fetch", *PLAIN, "--refmap=", "--", git_url.ALIAS, f"refs/heads/{branch}"], fetch_s)
    found = bool(worktrees.tip(remote.top, commit))
    if found:
        _note(remote, branch, commit)
    return found


def _listed(remote: CodeRemote, names: Sequence[str], ask_s: float) -> tuple[str, dict[str, str]]:
    """Return the remote's default branch ("" if it has none), and the commits of it and of the branches `names`."""
    refs = [f"refs/heads/{one}" for one in (*names, *USUAL)]
    out = _reach(remote, ["ls-remote", "--quiet", "--symref", "--", git_url.ALIAS, "HEAD", *refs], ask_s).stdout
    lines = [line.partition("\t") for line in out.splitlines()]
    default = next((one[0][16:] for one in lines if one[2] == "HEAD" and one[0].startswith("ref: refs/heads/")), "")
    heads = {name[11:]: commit for commit, _, name in lines if name in refs}
    head = next((one[0] for one in lines if one[2] == "HEAD" and not one[0].startswith("ref: ")), "")
    if default and head:
        return default, {**heads, default: head}
    # HEAD names no branch that is there, or the server does not say which
    usual = [one for one in USUAL if one in heads]
    return next(iter([*(one for one in usual if heads[one] == head), *usual]), ""), heads


def _note(remote: CodeRemote, branch: str, commit: str) -> None:
    """Move the clone's remote-tracking branch, if it has one, so that git shows what is new."""
    copy = f"refs/remotes/{remote.name}/{branch}"
    if remote.name and worktrees.tip(remote.top, copy) not in ("", commit):
        _local(remote.top, "update-ref", copy, commit)  # fails if another process moves it right now


def last_seen(remote: CodeRemote, branch: str = "") -> tuple[str, str]:
    """Return a branch of the remote ("": its default branch), and its commit as this clone saw it last ("": never)."""
    if remote.name:
        copies = f"refs/remotes/{remote.name}/"
        known = _local(remote.top, "symbolic-ref", "--quiet", f"{copies}HEAD").strip().removeprefix(copies)
        for one in filter(None, [branch] if branch else [known, *USUAL]):
            commit = worktrees.tip(remote.top, copies + one)
            if commit:
                return one, commit
    return branch, ""


def _last_seen(remote: CodeRemote, branch: str, trouble: str) -> Base:
    name, commit = last_seen(remote, branch)
    if commit:
        note = f"{remote.shown} gave no answer ({trouble}): this is what the clone saw last"
        return Base(commit, name, remote.shown, note)
    raise Unreachable(
        f"{remote.shown} gave no answer ({trouble}), and this clone has no copy of its "
        f"{'branch ' + branch if branch else 'branches'}: try again when it answers"
    )


def _own(top: Path, branch: str, why: str) -> Base:
    """Return the commit of a branch of this clone ("": the one that is checked out), with the reason as a note."""
    name = branch or worktrees.current_branch(top) or "HEAD"
    commit = worktrees.tip(top, f"refs/heads/{branch}" if branch else "HEAD")
    if not commit and branch:
        raise Refused(f"{why}, and this clone has no branch of that name: name another one")
    if not commit:
        raise Refused(f"{why}, and a work tree needs a commit to begin at: commit something first")
    return Base(commit, name, note=f"{why}: this is the clone's own branch")


def push(top: Path, fleet_remote: str, branches: Sequence[str], *, push_s: float = PUSH_S) -> str:
    """Push branches of this clone under their names, and return the remote's name. Raise GitcoordError with the reason.

    Hooks in the clone's git directory run, such as that of LFS, which sends the large files. Files of a branch do not.
    """
    remote = find(top, fleet_remote)
    if remote is None:
        raise Refused("this clone has no remote to push to: `git remote add origin URL`")
    hooks = Path(_local(top, "rev-parse", "--path-format=absolute", "--git-common-dir").strip()) / "hooks"
    pairs = [f"refs/heads/{one}:refs/heads/{one}" for one in branches]
    words = ["-c", f"core.hooksPath={hooks}", "push", "--quiet", "--no-follow-tags", "--", git_url.ALIAS, *pairs]
    _reach(remote, words, push_s, pushes=True)
    return remote.shown


def _reach(remote: CodeRemote, words: Sequence[str], timeout_s: float, *, pushes: bool = False) -> GitResult:
    """Run git, for which `git_url.ALIAS` is the remote's URL. Raise GitcoordError without secrets in its message."""
    with _access(remote, pushes=pushes) as access:
        done = spawn([*worktrees.OPTIONS, "-C", str(remote.top), *words], access.environment, timeout_s)
    if not done.status:
        return done
    if done.timed_out:
        raise Unreachable(f"{remote.shown} did not answer within {timeout_s:g} s")
    stderr = git_output.scrub(done.stderr, access.secrets)
    if pushes and not git_output.is_transport_failure(stderr):
        raise Denied(git_output.message_of(stderr) or "git gave no reason")
    raise git_output.fetch_error(access.url, stderr)


@contextlib.contextmanager
def _access(remote: CodeRemote, *, pushes: bool) -> Iterator[credentials.Access]:
    credentials.leave_hook()
    url = remote.url
    if pushes and remote.name:
        url = _local(remote.top, "config", "--get", f"remote.{remote.name}.pushurl").strip() or url
    listing = _local(remote.top, "config", "--list", "--show-scope", "-z")
    with tempfile.TemporaryDirectory(prefix="gitcoord-reaching-") as folder:
        askpass = Path(folder) / "askpass"
        askpass.write_text(credentials.ASKPASS)
        askpass.chmod(0o700)
        yield credentials.access(url, listing, private={}, askpass=askpass, environ=os.environ, pushes=pushes)


def _local(top: Path, *words: str) -> str:
    return spawn([*program.IN_CHECKOUT, "-C", str(top), *words], {}, LOCAL_S).stdout
