"""The heads of open pull requests as refs, so that they can be merged on trial with each other and with their base."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gitcoord.code import branches, fetched
from gitcoord.code.conflicts import REFS_MAX, Ref
from gitcoord.code.fetched import Source
from gitcoord.code.objects import Repository
from gitcoord.core.errors import Refused
from gitcoord.github.api.client import Client


@dataclass(frozen=True, slots=True)
class PullRefs:
    """Pull requests as refs to their commits. `names` has their branches by commit; a fork's branch is left out."""

    refs: list[Ref]
    base: Ref
    names: dict[str, str]


def opened(
    client: Client, repository: Repository, source: Source, agents: Iterable[str], *, base: str | None
) -> PullRefs:
    """Return the open pull requests onto `base` (None: the default branch), and fetch their commits into `repository`.

    GitHub also has the commits of forks. A pull request whose commit is gone is left out. Raise Refused if there is no
    branch `base`.
    """
    onto = base or client.facts().default_branch
    known = list(agents)
    name = f"refs/heads/{onto}"
    tip = fetched.heads(repository, source, [name]).get(name)
    if tip is None:
        raise Refused(f"{client.repository} has no branch {onto!r}")
    pulls = [one for one in client.open_pulls() if one.base_ref == onto][:REFS_MAX]
    there = fetched.bring(repository, source, [tip, *(one.head for one in pulls)])
    refs = [
        Ref(f"#{one.number}", one.head, branches.agent_of(one.head_ref, known)) for one in pulls if one.head in there
    ]
    here = client.repository.casefold()
    own = {one.head: one.head_ref for one in pulls if (one.head_repository or "").casefold() == here}
    return PullRefs(refs, Ref(onto, tip), own | {tip: onto})
