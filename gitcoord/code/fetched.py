"""Commits of a remote, fetched beside a user's repository and thrown away with the trial merges made of them.

Nothing is checked out, and no ref, no FETCH_HEAD and no configuration of the user's is written.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gitcoord.code.objects import Repository
from gitcoord.core.errors import GitcoordError, Unreachable
from gitcoord.store import program
from gitcoord.store.git import credentials, git_output
from gitcoord.store.git import url as git_url

AT_ONCE = 500  # commits per fetch
ALONE_MAX = 20  # commits that are fetched one by one, if one fetch of all failed


@dataclass(frozen=True, slots=True)
class Source:
    """A remote by its URL. git's settings for it are those of the clone at `clone`, if there is one."""

    url: str
    clone: Path | None = None


@contextlib.contextmanager
def beside(clone: Path | None) -> Iterator[Repository]:
    """Yield the clone's repository if it is neither shallow nor partial, otherwise an empty temporary one."""
    if clone is not None and _is_whole(clone):
        with Repository(clone) as repository:
            yield repository
        return
    with tempfile.TemporaryDirectory(prefix="gitcoord-fetched-") as folder:
        _git(["init", "--quiet", "--bare", "--template=", folder], {})
        with Repository(Path(folder)) as repository:
            yield repository


def _is_whole(clone: Path) -> bool:
    """Return whether the clone has all commits and files, which trial merges need: it is not shallow or partial."""
    done = _git(["-C", str(clone), "rev-parse", "--is-shallow-repository"], {}, check=False)
    partial = _git(["-C", str(clone), "config", "--get", "extensions.partialClone"], {}, check=False)
    return done.strip() == "false" and not partial.strip()


def heads(repository: Repository, source: Source, patterns: Sequence[str]) -> dict[str, str]:
    """Return ref → commit of the remote, for refs that match `patterns`. Raise GitcoordError."""
    with _reaching(repository, source) as environment:
        out = _git(["ls-remote", "--quiet", "--", git_url.ALIAS, *patterns], environment)
    pairs = (line.split("\t") for line in out.splitlines())
    return {name: commit for commit, name in pairs}


def bring(repository: Repository, source: Source, commits: Iterable[str]) -> set[str]:
    """Fetch the commits that the repository lacks. Return those of `commits` that it has now. Raise GitcoordError."""
    wanted = list(dict.fromkeys(commits))
    missing = [one for one in wanted if not _has(repository, one)]
    with _reaching(repository, source) as environment:
        for first in range(0, len(missing), AT_ONCE):
            some = missing[first : first + AT_ONCE]
            try:
                _fetch(some, environment)
            except GitcoordError as wrong:
                if git_output.is_redirect(str(wrong)):
                    raise
                if len(some) == 1:
                    continue
                for one in some[:ALONE_MAX]:  # a commit that the remote lacks made the whole fetch fail
                    with contextlib.suppress(GitcoordError):
                        _fetch([one], environment)
    return {one for one in wanted if one not in missing or _has(repository, one)}


def _fetch(commits: Sequence[str], environment: dict[str, str]) -> None:
    _git(
        [
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-auto-maintenance",
            "--no-recurse-submodules",
            "--stdin",
            "--",
            git_url.ALIAS,
        ],
        environment,
        stdin="".join(f"{one}\n" for one in commits),
    )


def _has(repository: Repository, commit: str) -> bool:
    return bool(
        repository.git(
            "rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{commit}}", codes=(0, 1, 128)
        ).strip()
    )


@contextlib.contextmanager
def _reaching(repository: Repository, source: Source) -> Iterator[dict[str, str]]:
    """Yield git's environment: access to the remote as `git_url.ALIAS`, an empty repository, the scratch objects."""
    plain = {
        name: value
        for name, value in os.environ.items()
        if name not in credentials.HOOK_VARIABLES and not name.startswith("GIT_TRACE")
    }
    with tempfile.TemporaryDirectory(prefix="gitcoord-fetching-") as folder:
        askpass = Path(folder) / "askpass"
        askpass.write_text(credentials.ASKPASS)
        askpass.chmod(0o700)
        _git(["init", "--quiet", "--bare", "--template=", f"{folder}/git"], {})
        listing = _git(
            ["-C", str(source.clone or f"{folder}/git"), "config", "--list", "--show-scope", "-z"], {}, check=False
        )
        access = credentials.access(source.url, listing, private={}, askpass=askpass, environ=plain)
        environment = {**plain, **access.environment, **repository.scratch, "GIT_DIR": f"{folder}/git", "LC_ALL": "C"}
        try:
            yield environment
        except GitcoordError as wrong:
            reason = str(wrong)
            if git_output.is_redirect(reason):
                reason = git_output.moved(access.url, _moved_to(environment))
            for secret in access.secrets:
                reason = reason.replace(secret, "…")
            raise Unreachable(reason) from None


def _moved_to(environment: dict[str, str]) -> str:
    """Return the URL that the remote redirects to, without a login. We follow no redirect: it would get our token."""
    try:
        _git(["ls-remote", "--quiet", "--", git_url.ALIAS], {**environment, **git_url.TRACES_LOCATION})
    except GitcoordError as traced:
        location = git_url.location_in(str(traced))
        return git_url.moved_to(location) or location
    return ""


def _git(words: Sequence[str], environment: dict[str, str], *, stdin: str | None = None, check: bool = True) -> str:
    """Return git's output, with `check` off even if git failed. Raise GitcoordError."""
    from gitcoord.code.objects import GIT_S

    plain = environment or {name: value for name, value in os.environ.items() if name not in credentials.HOOK_VARIABLES}
    try:
        done = subprocess.run(
            ["git", *words],
            executable=program.git(),
            env=plain,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=GIT_S,
            capture_output=True,
            **({"input": stdin} if stdin is not None else {"stdin": subprocess.DEVNULL}),
        )
    except subprocess.TimeoutExpired:
        raise GitcoordError(f"git {words[0]} did not end in {GIT_S:g} s") from None
    if check and done.returncode:
        raise GitcoordError(f"git {words[0]}: {done.stderr.strip()}")
    return done.stdout
