"""Branches of a repository to check for conflicts, and the agents that they belong to."""

from __future__ import annotations

import re
from collections.abc import Iterable

from gitcoord.code.conflicts import REFS_MAX, Ref
from gitcoord.code.objects import Repository
from gitcoord.core.errors import Refused

OURS = "gitcoord/"  # branches without code
BASES = ("refs/remotes/origin/HEAD", "refs/heads/main", "refs/heads/master", "HEAD")


def base_of(repository: Repository, name: str | None) -> Ref | None:
    """Return the target of merges: `name`, otherwise the remote's default, main, master or HEAD.

    None if there is no commit yet. Raise Refused for an unknown name.
    """
    if name is not None:
        return Ref(name, repository.commit(name))
    for known in BASES:
        try:
            return Ref(_short(known, repository), repository.commit(known))
        except Refused:
            continue
    return None


def _short(name: str, repository: Repository) -> str:
    found = repository.git("rev-parse", "--abbrev-ref", name, codes=(0, 128)).decode().strip()
    return found or name


def branches(repository: Repository, base: Ref, agents: Iterable[str]) -> list[Ref]:
    """Return local and remote branches that are not in the base yet, each commit once."""
    out = repository.git(
        "for-each-ref",
        f"--no-merged={base.commit}",
        f"--count={REFS_MAX}",
        "--sort=refname",
        "--format=%(objectname)%00%(refname)%00%(symref)",
        "refs/heads",
        "refs/remotes",
    ).decode()
    known, found = list(agents), dict[str, Ref]()
    for line in out.splitlines():
        commit, name, symbolic = line.split("\0")
        short = name.removeprefix("refs/heads/").removeprefix("refs/remotes/")
        if not symbolic and f"/{OURS}" not in f"/{short}":
            found.setdefault(commit, Ref(short, commit, agent_of(short, known)))
    return list(found.values())


def shared(repository: Repository, remote: str) -> dict[str, str]:
    """Return commit → branch of a remote (its name or URL), as last fetched: these names are the same everywhere."""
    known = repository.git("config", "--get-regexp", r"^remote\..*\.url$", codes=(0, 1)).decode()
    urls = {
        url: key[len("remote.") : -len(".url")] for key, _, url in (line.partition(" ") for line in known.splitlines())
    }
    top = f"refs/remotes/{urls.get(remote, remote)}/"
    out = repository.git(
        "for-each-ref", f"--count={REFS_MAX}", "--format=%(objectname)%00%(refname)%00%(symref)", top
    ).decode()
    rows = [line.split("\0") for line in out.splitlines()]
    return {commit: name.removeprefix(top) for commit, name, symbolic in rows if not symbolic}


def chosen(repository: Repository, names: Iterable[str], agents: Iterable[str]) -> list[Ref]:
    """Return the branches of these names. Raise Refused for an unknown name."""
    known = list(agents)
    return [Ref(name, repository.commit(name), agent_of(name, known)) for name in names]


def agent_of(branch: str, agents: Iterable[str]) -> str | None:
    """Return the agent whose id is in the branch's name, as in `alice/parser` or `task/k3f97hq2-1-alice-parser`."""
    words = f"-{_words(branch)}-"
    fitting = [agent for agent in agents if f"-{_words(agent)}-" in words]
    return max(fitting, key=len, default=None)


def _words(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
