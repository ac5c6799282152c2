"""The writer: what a process needs to write on a node, that is its home, its settings and its keys.

To read others' events, a process needs a `Node`, which folds the ledger. To write it needs no fold, and starts faster.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gitcoord.core.errors import Refused
from gitcoord.core.format.event import Draft, Event, Head, seal
from gitcoord.core.secret_scan.credentials import OnSecret, OwnSecrets, hidden, secret_in
from gitcoord.node import config
from gitcoord.node.clock import new_uid, utc_now
from gitcoord.node.keyring import Keyring
from gitcoord.node.own_secrets import own_secrets
from gitcoord.store.files import check_not_paused
from gitcoord.store.home.durable_state import NodeDisk
from gitcoord.store.home.home import Home
from gitcoord.store.home.records import Config

if TYPE_CHECKING:
    from gitcoord.core.commands import NewEvent


class Writer:
    """One process's access to a node's queue. Every text that enters the ledger from this node passes `append`."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.config: Config = config.effective(home, os.environ)
        self.keyring = Keyring(home, self.config.auth, founder=self.config.trust)
        home.queue.speaker = os.environ.get("GITCOORD_AGENT") or self.config.agent
        self.on_secret = OnSecret.REFUSE
        self._keys = str(home.path / "keys")
        self._own: tuple[tuple[int, str], OwnSecrets] | None = None
        self.disk = NodeDisk(home, fleet_id=self.config.fleet_id, signer=self.keyring.signer)

    def draft(
        self,
        type_: str,
        content: str,
        *,
        actor: str,
        interaction: int | None = None,
        re: str | None = None,
        to: Sequence[str] = (),
        data: Mapping[str, Any] | None = None,
        uid: str | None = None,
        term: int | None = None,
    ) -> Draft:
        """Return a draft with the present time, and with a new nonce unless `uid` gives one."""
        return Draft(
            actor=actor,
            type=type_,
            content=content,
            timestamp=utc_now(),
            uid=uid or new_uid(),
            interaction=interaction,
            re=re,
            to=tuple(to),
            term=term,
            data=data or {},
        )

    def drafted(self, proposals: Sequence[NewEvent], *, actor: str, term: int | None = None) -> list[Draft]:
        """Return the drafts of the events that `actor` would write, as the leader of `term` if it is given."""
        return [
            self.draft(
                one.type,
                one.content,
                actor=actor,
                interaction=one.interaction,
                re=one.re,
                to=one.to,
                data=one.data,
                term=term,
            )
            for one in proposals
        ]

    def append(self, *drafts: Draft, on_secret: OnSecret | None = None) -> list[Event]:
        """Seal the drafts and return their events, on the local disk BEFORE this returns (QUEUED), in this order.

        Raise Refused if one seems to hold a secret (`on_secret` overrides that), Paused if the disk fails.
        """
        return self.disk.append(self._guarded(drafts, on_secret))

    def own_secrets(self) -> OwnSecrets:
        """Return this node's keys and the secrets of the environment. They are read again after a key was added."""
        try:
            stamp = os.stat(self._keys).st_mtime_ns, self.disk.node
        except OSError:
            stamp = 0, self.disk.node
        if self._own is None or self._own[0] != stamp:
            self._own = stamp, own_secrets(self.home.path / "keys", os.environ)
        return self._own[1]

    def _guarded(self, drafts: Sequence[Draft], on_secret: OnSecret | None) -> list[Draft]:
        do = on_secret or self.on_secret
        if do is OnSecret.ALLOW:
            return list(drafts)
        own = self.own_secrets()
        found = [(draft, secret_in(draft, own)) for draft in drafts]
        for draft, one in found:
            if one is not None and do is OnSecret.REFUSE:
                raise Refused(
                    f"the event {draft.type!r} seems to hold a secret: {one[0]}, in {one[1]}. The ledger "
                    "cannot forget, so nothing was written: say where the secret is kept instead, and revoke "
                    "it if others have seen it. If it is no secret, a person can write it with --allow-secret"
                )
        return [draft if one is None else hidden(draft, own) for draft, one in found]

    def check(self, *drafts: Draft) -> None:
        """Raise what `append` would raise (a secret, no key, too large, paused), and write nothing."""
        check_not_paused(self.home.path)
        for draft in self._guarded(drafts, None):
            seal(
                draft,
                node=self.disk.node,
                after=Head(),
                signer=self.keyring.signer(draft.actor),
                fleet=self.config.fleet_id,
            )
