"""The remote of the user's code: where work begins, at its default branch as it is now, and where branches are pushed.

It need not be the remote of the ledger. It is reached from the user's clone, with the clone's own settings or the token
in the environment; of the clone's refs only the copy of the remote's branch is moved, as `git fetch` does.
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

ASK_S = 30.0  # for the list of the remote's branches
FETCH_S = 600.0  # for what a large repository has new
PUSH_S = 600.0
LOOKS = 2  # the branch may be rewritten between the list and the fetch
PLAIN = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--no-recurse-submodules")
USUAL = ("main", "master")  # a clone that was not made by `git clone` does not know the remote's default branch


@dataclass(frozen=True, slots=True)
class Base:
    """The commit at which a branch begins. `remote` is "" where it is the clone's own, and not a remote's."""

    commit: str
    branch: str
    remote: str = ""
    note: str = ""  # why it is not the remote's branch of this moment

    @property
    def words(self) -> str:
        """Return it as people write it, such as origin/main (1a2b3c4)."""
        name = f"{self.remote}/{self.branch}" if self.remote else self.branch
        return f"{name} ({self.commit[:7]})"


@dataclass(frozen=True, slots=True)
class CodeRemote:
    """The remote that the code of a clone comes from. `name`: as the clone calls it; "" if it has no name there."""

    top: Path
    name: str
    url: str

    @property
    def shown(self) -> str:
        return self.name or git_url.without_secret(self.url)


def find(top: Path, fleet_remote: str) -> CodeRemote | None:
    """Return where the code of this clone comes from; None if it has no remote.

    A fleet may keep its ledger elsewhere, so `origin` comes first, and a clone's only remote next.
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
    """Return where new branches begin, and which of `names` the remote has as branches.

    They begin at `branch` of the remote, by default its default branch, as it is now; if the remote does not answer, as
    this clone knows it. Without `fetches`, this clone may lack the commit. Raise Refused if there is no such branch,
    Unreachable if nothing is known of the remote.
    """
    remote = find(top, fleet_remote)
    if remote is None:
        return _own(top, branch, "this clone has no remote"), set()
    branch = branch.removeprefix(f"{remote.name}/") if remote.name else branch
    for _ in range(LOOKS):
        try:
            default, heads = _asked(remote, [*filter(None, [branch]), *names], ask_s)
        except GitcoordError as wrong:
            return _last_seen(remote, branch, str(wrong)), set()
        wanted = branch or default
        taken = {one for one in names if one in heads}
        if wanted not in heads:
            return _own(top, branch, f"{remote.shown} has no branch {wanted or 'yet'}"), taken
        if not fetches or _brought(remote, wanted, heads[wanted], fetch_s):
            return Base(heads[wanted], wanted, remote.shown), taken
    return _last_seen(remote, branch, f"its branch {wanted} cannot be fetched"), taken


def _brought(remote: CodeRemote, branch: str, commit: str, fetch_s: float) -> bool:
    """Fetch the remote's branch, unless its commit is here; return whether it is here now."""
    if not worktrees.tip(remote.top, commit):
        with contextlib.suppress(GitcoordError):  # the next look says what is wrong
            _reach(remote, ["fetch", *PLAIN, "--refmap=", "--", git_url.ALIAS, f"refs/heads/{branch}"], fetch_s)
    found = bool(worktrees.tip(remote.top, commit))
    if found:
        _note(remote, branch, commit)
    return found


def _asked(remote: CodeRemote, names: Sequence[str], ask_s: float) -> tuple[str, dict[str, str]]:
    """Return the remote's default branch ("" if it has none), and the commits of it and of the branches `names`."""
    refs = [f"refs/heads/{one}" for one in names]
    out = _reach(remote, ["ls-remote", "--quiet", "--symref", "--", git_url.ALIAS, "HEAD", *refs], ask_s).stdout
    lines = [line.partition("\t") for line in out.splitlines()]
    default = next((one[0][16:] for one in lines if one[2] == "HEAD" and one[0].startswith("ref: refs/heads/")), "")
    heads = {name[11:]: commit for commit, _, name in lines if name in refs}
    heads |= {default: commit for commit, _, name in lines if name == "HEAD" and not commit.startswith("ref: ")}
    return default, heads


def _note(remote: CodeRemote, branch: str, commit: str) -> None:
    """Move the clone's copy of the remote's branch, if it has one: all that compares with it sees what is new."""
    copy = f"refs/remotes/{remote.name}/{branch}"
    if remote.name and worktrees.tip(remote.top, copy) not in ("", commit):
        _local(remote.top, "update-ref", copy, commit)  # fails if another process moves it right now


def last_seen(remote: CodeRemote, branch: str = "") -> tuple[str, str]:
    """Return a branch of the remote, by default its default branch, and its commit as this clone saw it last."""
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
        note = f"{remote.shown} could not be asked ({trouble}): this is what the clone saw last"
        return Base(commit, name, remote.shown, note)
    raise Unreachable(
        f"{remote.shown} could not be asked ({trouble}), and this clone has no copy of its "
        f"{'branch ' + branch if branch else 'branches'}: try again when it answers"
    )


def _own(top: Path, branch: str, why: str) -> Base:
    """Return a branch of this clone, by default the one that is checked out, with the reason."""
    name = branch or worktrees.current_branch(top) or "HEAD"
    commit = worktrees.tip(top, f"refs/heads/{branch}" if branch else "HEAD")
    if not commit and branch:
        raise Refused(f"{why}, and this clone has no branch of that name: name another one")
    if not commit:
        raise Refused(f"{why}, and a work tree needs a commit to begin at: commit something first")
    return Base(commit, name, note=f"{why}: this is the clone's own")


def push(top: Path, fleet_remote: str, branches: Sequence[str], *, push_s: float = PUSH_S) -> str:
    """Push branches of this clone under their names; return the remote's name. Raise GitcoordError with the reason.

    Hooks in the clone's own folder run, such as that of LFS, which sends the large files; no file of a branch does.
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
    """Run git, which finds the remote at `git_url.ALIAS`. Raise GitcoordError without any secret in it."""
    with _access(remote, pushes=pushes) as access:
        done = spawn([*worktrees.OPTIONS, "-C", str(remote.top), *words], access.environment, timeout_s)
    if not done.status:
        return done
    if done.timed_out:
        raise Unreachable(f"{remote.shown} did not answer within {timeout_s:g} s")
    said = git_output.scrub(done.stderr, access.secrets)
    if pushes and not git_output.is_transport_failure(said):
        raise Denied(git_output.message_of(said) or "git gave no reason")
    raise git_output.fetch_error(access.url, said)


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
