"""Repositories on GitHub: created if missing, and set as a clone's remote."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from github import GithubException

from gitcoord.core.errors import BadCredentials, Denied, Refused
from gitcoord.github.api import convert, credentials, urls
from gitcoord.github.api.client import Client
from gitcoord.github.api.models import RepositoryFacts
from gitcoord.github.api.retry import AlreadyDone, NotFound, Unprocessable
from gitcoord.github.checkup import checked
from gitcoord.node.membership.clone import common_dir
from gitcoord.store.git import local_repo, repo_health

REMOTE = "origin"


def connect(path: Path, name: str, *, public: bool, messages: list[str]) -> str:
    """Make "owner/name" the remote of the clone at `path`, and return the remote's name.

    The repository is created on GitHub if it is missing.

    Raise Refused if the clone has another remote of that name, BadCredentials, Denied or Unreachable.
    """
    name = urls.repository_name(name)
    common = common_dir(path, messages)
    url = local_repo.remote_url(common, REMOTE)
    if url is not None and urls.repository_of(url, os.environ) != name:
        raise Refused(
            f"this clone has a remote {REMOTE} already, which is not {name}: rename that "
            f"(`git remote rename {REMOTE} other`), or leave out --github"
        )
    with Client(name, credentials.required(os.environ)) as client:
        made = ensure(client, public=public)
        facts = checked(client)
    if made:
        messages.append(f"made {name} on GitHub, {'private' if facts.private else 'public'}")
    if url is None:
        for key, value in (
            (f"remote.{REMOTE}.url", facts.clone_url),
            (f"remote.{REMOTE}.fetch", f"+refs/heads/*:refs/remotes/{REMOTE}/*"),
        ):
            wrong = repo_health.set_setting(common, key, value)
            if wrong:
                raise Refused(f"cannot write {key} into this clone's configuration: {wrong}")
        messages.append(f"{REMOTE} is {facts.clone_url}")
    return REMOTE


def ensure(client: Client, *, public: bool) -> bool:
    """Create the repository if it is missing. Return whether it was created. Raise BadCredentials or Denied."""
    owner, _, short = client.repository.partition("/")
    made = False

    def make() -> RepositoryFacts:
        nonlocal made
        made = True
        user = client.github.get_user()
        if user.login.lower() == owner.lower():
            return convert.facts(user.create_repo(short, private=not public))
        return convert.facts(client.github.get_organization(owner).create_repo(short, private=not public))

    def plan() -> AlreadyDone[RepositoryFacts] | Callable[[], RepositoryFacts]:
        try:
            return AlreadyDone(convert.facts(client.there))
        except GithubException as wrong:
            if wrong.status != 404:
                raise
        return make

    try:
        client.write("the page", plan)
    except NotFound:
        raise BadCredentials(
            f"GitHub has no account {owner}, or {client.credentials.label} may not create repositories there: check "
            "the name, or use credentials that may"
        ) from None
    except Unprocessable as wrong:
        raise Denied(f"{wrong}; if the repository exists, {client.credentials.label} may not see it") from wrong
    return made
