"""Cheap signatures: no simulated attacker computes another's digest, so a keyed digest proves the author."""

from __future__ import annotations

import hashlib

from gitcoord.core.format.event import Event, Signer
from gitcoord.core.format.keys import Ed25519Signer, Verifier, encode
from gitcoord.core.format.vouches import node_id


class StubSigner:
    """Signs with a digest keyed with the public key: its form is that of a real signature, and no liar forges it."""

    def __init__(self, agent: str) -> None:
        self.key = encode(hashlib.sha256(agent.encode()).digest())

    def sign(self, message: bytes) -> str:
        return _digest(self.key, message)


class StubVerifier(Verifier):
    """Checks signatures of `StubSigner`."""

    def _misses(self, event: Event, message: bytes) -> str | None:
        return None if event.sig == _digest(event.key, message) else "wrong signature"

    def _is_of_node(self, key: str, message: bytes, signature: str) -> bool:
        return signature == _digest(key, message)


def _digest(key: str, message: bytes) -> str:
    return encode(hashlib.blake2b(message, key=key.encode()).digest())


class Signers:
    """The signers of all agents and nodes: real ones, or stubs."""

    def __init__(self, *, real: bool) -> None:
        self.real = real
        self.verifier = Verifier() if real else StubVerifier()
        self._known: dict[str, Signer] = {}
        self._nodes: dict[str, Signer] = {}

    def of(self, agent: str) -> Signer:
        if agent not in self._known:
            seed = hashlib.sha256(f"simulated {agent}".encode()).digest()
            self._known[agent] = Ed25519Signer(seed) if self.real else StubSigner(agent)
        return self._known[agent]

    def new_node(self, name: str) -> str:
        """Return the id of a node that is called `name` and has a key that follows from `name`."""
        signer = self.of(f"node {name}")
        node = node_id(name, signer.key)
        self._nodes[node] = signer
        return node

    def of_node(self, node: str) -> Signer:
        return self._nodes[node]
