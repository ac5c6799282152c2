"""A desk: what it takes to write on a node, its home, its settings and its keys.

To read what others wrote takes a `Node`, which folds the ledger. Who only writes needs none of that, nor the time
that it takes to import.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitcoord.core.credentials import looks_like_credential
from gitcoord.core.errors import Refused
from gitcoord.core.event import Draft, Event, Head, seal
from gitcoord.node import preferences
from gitcoord.node.keyring import Keyring
from gitcoord.node.naming import new_uid, utc_now
from gitcoord.store import checkout
from gitcoord.store.disk import NodeDisk
from gitcoord.store.files import check_not_paused
from gitcoord.store.home import Config, Home

if TYPE_CHECKING:
    from gitcoord.core.commands import Proposal


class Desk:
    """One process's place to write on a node."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.config: Config = preferences.overlaid(home.config(), os.environ)
        self.keyring = Keyring(home, self.config.auth)
        home.queue.speaker = os.environ.get("GITCOORD_AGENT") or self.config.agent
        self.disk = NodeDisk(home, fleet=self.config.fleet, signer=self.keyring.signer)

    def draft(
        self, type_: str, content: str, *, actor: str, interaction: int | None = None, re: str | None = None,
        to: Sequence[str] = (), data: Mapping[str, Any] | None = None, uid: str | None = None, term: int | None = None,
    ) -> Draft:
        """A draft with a new identity. Refused when it looks like a credential."""
        found = looks_like_credential(content)
        if found is None and data:
            found = looks_like_credential(json.dumps(data, ensure_ascii=False))
        if found:
            raise Refused(f"this looks like {found}: the log cannot forget, so it was not written; revoke it if it "
                          "has been elsewhere, and name where it is kept instead")
        return Draft(
            actor=actor, type=type_, content=content, timestamp=utc_now(), uid=uid or new_uid(),
            interaction=interaction, re=re, to=tuple(to), term=term, data=data or {},
        )

    def drafted(self, proposals: Sequence[Proposal], *, actor: str) -> list[Draft]:
        """Return the events that `actor` would write. Raises Refused where one looks like a credential."""
        return [self.draft(one.type, one.content, actor=actor, interaction=one.interaction, re=one.re, to=one.to,
                           data=one.data) for one in proposals]

    def append(self, *drafts: Draft) -> list[Event]:
        """On the local disk when this returns (QUEUED), in this order."""
        return self.disk.append(drafts)

    def check(self, *drafts: Draft) -> None:
        """Raises what `append` would: no key, too large, paused. Writes nothing."""
        check_not_paused(self.home.path)
        for draft in drafts:
            seal(draft, node=self.disk.node, after=Head(), signer=self.keyring.signer(draft.actor),
                 fleet=self.config.fleet)


def find_home(path: Path) -> Home:
    """The home of the node whose clone (or work tree) is around `path`. Raises Refused outside of any."""
    common = checkout.common_dir(path)
    if common is None:
        raise Refused(f"{path} is in no git repository: run `gitcoord init` there first")
    return Home(common / "gitcoord")
