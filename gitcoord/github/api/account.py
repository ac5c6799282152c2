"""An agent's account on GitHub: its credentials are checked at the start, an app's token is renewed, limits are shared.

Git gets an installation's token through the environment, like any other token. The token is valid for an hour, and is
renewed here well before its end. Each process puts its use of GitHub's limits into its heartbeats, and counts the
others' use.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any

from gitcoord.core.errors import BadCredentials, GitcoordError, Unreachable
from gitcoord.github.api import credentials, urls
from gitcoord.github.api.credentials import Credentials
from gitcoord.github.api.limits import Meter
from gitcoord.node.node import Node
from gitcoord.node.shutdown import StopFlag
from gitcoord.store.git.credentials import LENT

LIFE_S, RENEW_S = 3600.0, 600.0  # lifetime of an installation's token; time before its end at which it is renewed
RETRY_S = 60.0  # after a failure, and between two checks while waiting for new credentials
Say = Callable[[str, str], None]


def lend(name: str, environ: MutableMapping[str, str]) -> float:
    """Put a new token of the app's installation into `environ`, where git finds it. Return its end, in seconds since
    1970.

    If the environment names no app, do nothing, and return infinity. Raise BadCredentials or Unreachable.
    """
    known = credentials.find(environ)
    if known is None or known.app is None:
        return float("inf")
    from gitcoord.github.api.client import Client

    with Client(name, known, patience_s=0) as client:
        token, ends = client.installation_token()
    environ[LENT] = token
    return ends.timestamp()


class Account:
    """The account of one process. `agent run` calls it between two rounds."""

    agent = ""  # it belongs to no single agent
    busy = False

    def __init__(self, node: Node, name: str, known: Credentials, *, say: Say) -> None:
        self.node = node
        self.name = name
        self.known = known
        self.meter = Meter()
        self.say = say
        # In seconds since 1970, as GitHub reports it. The command that opened the node has just lent a token, if it
        # could.
        lent = known.app is None or LENT in os.environ
        self._renew_at = time.time() + LIFE_S - RENEW_S if lent else 0.0

    def check(self, stop: StopFlag, *, wait: bool) -> None:
        """Check the credentials. Raise BadCredentials; or with `wait`, retry each minute until they are valid.

        An outage is reported, and does not prevent the start.
        """
        while True:
            try:
                return self._check_once()
            except Unreachable as wrong:
                return self.say("unreachable", f"{wrong}; starting all the same")
            except BadCredentials as wrong:
                if not wait:
                    raise
                self.say("credentials", f"{wrong}; waiting for new ones")
            with stop.on_signals():
                if stop.wait(RETRY_S):
                    return
            self.known = credentials.find(os.environ) or self.known

    def _check_once(self) -> None:
        from gitcoord.github.api.client import Client
        from gitcoord.github.checkup import checked

        with Client(self.name, self.known, patience_s=0, meter=self.meter) as client:
            checked(client)
            client.me()

    def heartbeat_extras(self) -> Mapping[str, Any]:
        """Return the fields that this account adds to heartbeats."""
        return self.meter.heartbeat_fields()

    def is_due(self, now_s: float) -> bool:
        """Return whether the token must be renewed."""
        return time.time() >= self._renew_at

    def step(self, now_s: float) -> bool:
        """Renew a token that ends soon, and read the others' use from their heartbeats. Return False, because
        a second step would have nothing to do."""
        if self.is_due(now_s):
            self._renew()
        self.meter.heard(self.node.replica.heartbeats(), {session.id for session in self.node.local.sessions})
        return False

    def _renew(self) -> None:
        """Renew the token. Credentials of another kind than an app's need no renewal, and are never due."""
        try:
            self._renew_at = lend(self.name, os.environ) - RENEW_S
        except GitcoordError as wrong:
            self._renew_at = time.time() + RETRY_S
            self.say("credentials", f"{wrong}; retrying in {RETRY_S:.0f} s")

    def ask_to_end(self) -> None:
        """Do nothing: a step is short."""

    def end(self) -> None:
        """Do nothing: no resource is held."""


def of(node: Node, *, say: Say) -> Account | None:
    """Return the account of a node whose remote is on GitHub, if credentials are set for gitcoord; otherwise None.

    GITHUB_TOKEN on a developer's machine is not used: it may belong to another program, and permit reading only.
    """
    name = repository(node)
    known = credentials.find(os.environ) if name is not None else None
    return Account(node, name, known, say=say) if name is not None and known is not None and known.is_ours else None


def ready(url: str, *, say: Say) -> None:
    """Check the credentials for a remote on GitHub before `init` begins, and lend a token. Raise BadCredentials.

    An outage is reported. A remote elsewhere, or credentials that were not set for gitcoord, are not checked.
    """
    name = urls.repository_of(url, os.environ)
    known = credentials.find(os.environ) if name is not None else None
    if name is None or known is None or not known.is_ours:
        return
    from gitcoord.github.api.client import Client
    from gitcoord.github.checkup import checked

    try:
        with Client(name, known, patience_s=0) as client:
            checked(client)
        lend(name, os.environ)
    except Unreachable as wrong:
        say("unreachable", str(wrong))


def lend_here(url: str, *, say: Say) -> None:
    """Lend an app's token to a command whose remote is on GitHub. An outage of the API is reported: git then uses its
    own credentials."""
    name = urls.repository_of(url, os.environ)
    if name is None or not os.environ.get("GITCOORD_APP_ID"):
        return
    try:
        lend(name, os.environ)
    except Unreachable as wrong:
        say("unreachable", str(wrong))


def lend_to_doctor(path: Path) -> None:
    """Lend an app's token to the doctor. Errors are ignored, because the doctor checks the credentials itself."""
    from gitcoord.store.git import local_repo, repo_health

    common = local_repo.find_common_dir(path)
    url = repo_health.default_remote(common) if common is not None else None
    if url is not None:
        with contextlib.suppress(GitcoordError):
            lend_here(url, say=lambda kind, text: None)


def repository(node: Node) -> str | None:
    """Return "owner/name" of the node's remote; None if that is not on GitHub."""
    return urls.repository_of(remote_url(node), os.environ)


def remote_url(node: Node) -> str:
    """Return the URL of the remote that has the code: the fleet's, or origin where the register is on this machine."""
    from gitcoord.node.membership.shared_remote import code_remote
    from gitcoord.store.git import local_repo

    common = node.home.path.parent
    remote = code_remote(common, node.config.remote)
    return local_repo.remote_url(common, remote) or remote
