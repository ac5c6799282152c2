"""The keyring: signing keys from the environment (a workflow, a container) or from the node's home."""

from __future__ import annotations

import binascii
import os
import secrets

from gitcoord.core.errors import Refused
from gitcoord.core.format.event import Signer
from gitcoord.core.format.keys import (
    FINGERPRINT_PREFIX,
    SEED_BYTES,
    Ed25519Signer,
    HmacSigner,
    Verifier,
    decode,
    fingerprint,
)
from gitcoord.core.names import same_agent
from gitcoord.store.files import write_durably
from gitcoord.store.home.home import Home


class Keyring:
    """The signers of this node's agents. Ed25519: each agent has a key; HMAC: all agents share the fleet's secret."""

    def __init__(self, home: Home, auth: str, *, founder: str = "") -> None:
        """Set up the keyring. `founder` is the fingerprint of the key that founded the fleet; "" if it is unknown."""
        self.home = home
        self.auth = auth
        self._founder = founder
        self._signers: dict[str, Signer] = {}

    def signer(self, agent: str) -> Signer:
        """Return the agent's signer. Raise Refused if its key is not here."""
        known = self._signers.get(agent.casefold())
        if known is None:
            known = self._signers[agent.casefold()] = self._find(agent)
        return known

    def _find(self, agent: str) -> Signer:
        if self.auth == "hmac":
            return self._shared()
        seed = seed_of(self.home, agent)
        if seed is None:
            raise Refused(
                f"the key of {agent} is not on this node: run `gitcoord init --agent '{agent}'` to join as a new "
                "agent, or set GITCOORD_AGENT and GITCOORD_KEY"
            )
        return Ed25519Signer(seed)

    def _shared(self) -> HmacSigner:
        secret = hmac_secret(self.home)
        if secret is None:
            raise Refused(
                f"this fleet signs with HMAC: set GITCOORD_HMAC_KEY, or put it into "
                f"{self.home.path / 'keys' / 'hmac.secret'}"
            )
        signer = HmacSigner(secret)
        if self._founder.startswith(FINGERPRINT_PREFIX) and fingerprint(signer.key) != self._founder:
            raise Refused(
                f"the secret here is not this fleet's: set GITCOORD_HMAC_KEY to the content of the founder's "
                f"keys/hmac.secret, or unset it if {self.home.path / 'keys' / 'hmac.secret'} has that content"
            )
        return signer

    def verifier(self) -> Verifier:
        """Return the verifier of all agents' lines. Raise Refused if the fleet's shared secret is not here."""
        return Verifier(self.auth, self._shared() if self.auth == "hmac" else None)


def seed_from_environment(agent: str) -> bytes | None:
    """Return the 32 bytes of GITCOORD_KEY (hexadecimal or base64url); None if it is not set or another agent's."""
    text = os.environ.get("GITCOORD_KEY", "").strip()
    owner = os.environ.get("GITCOORD_AGENT", "").strip()
    if not text or (owner and not same_agent(owner, agent)):
        return None
    return seed_from_text(text)


def seed_from_text(text: str, source: str = "GITCOORD_KEY") -> bytes:
    """Return the 32 bytes of the key in `text`: 64 hexadecimal characters, or base64url.

    Raise Refused if it is neither. The message names the source, and never the text.
    """
    for read in (bytes.fromhex, decode):
        try:
            seed = read(text)
        except (ValueError, binascii.Error):
            continue
        if len(seed) == SEED_BYTES:
            return seed
    raise Refused(f"{source} is not a key: 32 bytes as 64 hexadecimal characters or as base64 are needed")


def hmac_secret(home: Home) -> bytes | None:
    """Return GITCOORD_HMAC_KEY, otherwise the secret in the home's file; None if there is neither."""
    text = os.environ.get("GITCOORD_HMAC_KEY", "").strip()
    if text:
        return text.encode()
    try:
        return home.keys.content(home.path / "keys" / "hmac.secret").strip()
    except FileNotFoundError:
        return None


def seed_of(home: Home, agent: str) -> bytes | None:
    """Return the 32 bytes of the agent's key, from the environment or the home; None if neither has it."""
    return seed_from_environment(agent) or home.keys.seed(agent)


def ensure_key(home: Home, auth: str, agent: str, *, founding: bool = False) -> None:
    """Make the agent's key, unless it is in the environment or the home. A shared secret is made by a founder only."""
    if auth == "hmac":
        if hmac_secret(home) is None and founding:
            path = home.path / "keys" / "hmac.secret"
            home.keys.make()
            write_durably(path, secrets.token_urlsafe(32).encode() + b"\n", mode=0o600)
        return
    if seed_of(home, agent) is None:
        home.keys.make()
        home.keys.save(agent, secrets.token_bytes(SEED_BYTES))
