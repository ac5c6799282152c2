"""The heads of open pull requests as refs, so that they can be merged on trial with each other and with their base."""

from __future__ import annotations

from collections.abc import Iterable

from gitcoord.code import branches, fetched
from gitcoord.code.conflicts import REFS_MAX, Ref
from gitcoord.code.fetched import Source
from gitcoord.code.objects import Repository
from gitcoord.core.errors import Refused
from gitcoord.github.client import Client


def opened(client: Client, repository: Repository, source: Source, agents: Iterable[str], *, base: str | None
           ) -> tuple[list[Ref], Ref]:
    """Those to be merged into `base` (the repository's default branch), and the base itself; fetched into `repository`.

    One whose commit is gone is left out. Raises Refused where there is no such branch.
    """
    onto = base or client.facts().default_branch
    known = list(agents)
    name = f"refs/heads/{onto}"
    tip = fetched.heads(repository, source, [name]).get(name)
    if tip is None:
        raise Refused(f"{client.repository} has no branch {onto!r}")
    pulls = [one for one in client.open_pulls() if one.base_ref == onto][:REFS_MAX]
    there = fetched.bring(repository, source, [tip, *(one.head for one in pulls)])
    refs = [Ref(f"#{one.number}", one.head, branches.agent_of(one.head_ref, known)) for one in pulls
            if one.head in there]
    return refs, Ref(onto, tip)
