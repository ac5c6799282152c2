"""Checks of GitHub credentials before they are used. Each kind of problem has its own message."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from gitcoord.core import times
from gitcoord.core.errors import BadCredentials
from gitcoord.github.api import credentials, urls
from gitcoord.node.diagnostics.finding import OK, WARN, Check, DoctorContext, DoctorFinding

if TYPE_CHECKING:
    from gitcoord.github.api.client import Client
    from gitcoord.github.api.models import RepositoryFacts

SCARCE = 0.1  # of the quota
EXPIRES_SOON_S = 7 * 86400.0


def checked(client: Client) -> RepositoryFacts:
    """Return the facts of the client's repository. Raise BadCredentials if the credentials permit less than an agent
    needs."""
    facts, who = client.facts(), client.credentials.label
    enough = {"repo"} if facts.private else {"repo", "public_repo"}
    if facts.scopes is not None and not enough & set(facts.scopes):
        has = ", ".join(facts.scopes) or "none"
        raise BadCredentials(
            f"{who} lacks the scope `repo` (it has {has}): add it in GitHub's settings, or make a token that has it"
        )
    # GitHub does not report an app's permissions here: a push, or the first request, shows what it may do.
    if client.credentials.kind == "token" and not facts.may_push:
        raise BadCredentials(
            f"{who} may read {facts.name}, but not write to it: give it write access, or ask the "
            "repository's owner to make its account a collaborator"
        )
    return facts


def _github(ctx: DoctorContext) -> Iterator[DoctorFinding]:
    """Check the credentials of a remote on GitHub, if there are credentials for its API."""
    name = urls.repository_of(ctx.url, os.environ) if ctx.url else None
    if name is None:
        return
    known = credentials.find(os.environ)
    if known is None:
        yield DoctorFinding(
            "github",
            WARN,
            "no credentials for GitHub's API: this clone cannot write reviews, statuses or issues",
            "set GITCOORD_TOKEN if it should",
        )
        return
    from gitcoord.github.api.client import Client

    with Client(name, known, patience_s=0) as client:
        facts = checked(client)
        left = client.quota()
    yield DoctorFinding("github", OK, f"{known.label} may use {facts.name}")
    now = datetime.datetime.now(datetime.UTC)
    renewed = times.roughly(max(0.0, left.reset_at - now.timestamp()))
    words = f"{left.left} of {left.limit} requests left, renewed in {renewed}"
    if left.left < SCARCE * left.limit:
        yield DoctorFinding(
            "quota", WARN, words, "reviews wait until then; check which other programs use this account's requests"
        )
    else:
        yield DoctorFinding("quota", OK, words)
    if facts.expires is not None and (facts.expires - now).total_seconds() < EXPIRES_SOON_S:
        yield DoctorFinding(
            "token",
            WARN,
            f"{known.label} expires at {facts.expires:%Y-%m-%d %H:%M} UTC",
            "make a new token in GitHub's settings, and set it",
        )


CHECKS: dict[str, Check] = {"github": _github}
