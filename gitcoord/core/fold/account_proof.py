"""Account proofs: one line, signed with an agent's key, that is posted on GitHub by the account that it names.

The account posts the line, and the agent's key signs it, so both confirm that they are the same. The line is valid for
one fleet, agent, account and repository. The agent that records reviews writes the signature into the ledger, where the
fold checks it (`objections.py`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from gitcoord.core import names
from gitcoord.core.format.event import context_of
from gitcoord.core.format.keys import is_signed

PROOFS_MAX = 20  # in one text: each needs a check of a signature

_LINE = re.compile(
    r"gitcoord-proof fleet=([0-9a-z]{32}) agent=\"([A-Za-z0-9][A-Za-z0-9 ._-]{0,62})\" "
    r"github=([A-Za-z0-9_\[\]-]{1,70}) repository=([A-Za-z0-9._/-]{3,140}) "
    rf"signature=({names.inner(names.SIGNATURE)})(?![A-Za-z0-9_-])"
)


@dataclass(frozen=True, slots=True)
class AccountProof:
    """A proof that `agent` of the fleet is the account `login`, posted in `repository` ("owner/name")."""

    fleet_id: str
    agent: str
    login: str
    repository: str
    signature: str = ""

    @property
    def message(self) -> bytes:
        """The bytes that the agent's key signs."""
        return (
            context_of(self.fleet_id) + json.dumps(["github_account", self.agent, self.login, self.repository]).encode()
        )

    def line(self) -> str:
        """Return the line to post."""
        return (
            f'gitcoord-proof fleet={self.fleet_id} agent="{self.agent}" github={self.login} '
            f"repository={self.repository} signature={self.signature}"
        )

    def is_by(self, key: str) -> bool:
        """Return whether the holder of this Ed25519 key signed it."""
        return is_signed(key, self.message, self.signature)


def found_in(text: str) -> Iterator[AccountProof]:
    """Yield the first PROOFS_MAX proofs in a posted text. Their signatures are not checked."""
    for number, found in enumerate(_LINE.finditer(text)):
        if number >= PROOFS_MAX:
            return
        yield AccountProof(*found.groups())
