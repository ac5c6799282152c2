"""Chains: each node's events, one after the other, and the keys that may continue a chain.

A node has a key of its own, and its id ends in a tag that follows from the key. The first line of each author in the
chain has a `vouch`: the node key's signature of the author's key. A line by any other key is inadmissible, so nobody
else can take a place in the chain, not even the first. (A node id without a tag belongs to nobody.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from gitcoord.core import limits, names
from gitcoord.core.format.event import Draft, Event, Head, Signer, seal
from gitcoord.core.format.vouches import vouch

_EMPTY = Head()
_NO_KEYS: frozenset[str] = frozenset()


class Inadmissible(ValueError):
    """The line cannot take a position; says why. `gap`: an earlier line is missing. `waits`: it may come tomorrow."""

    def __init__(self, reason: str, *, gap: bool = False, waits: bool = False) -> None:
        super().__init__(reason)
        self.gap, self.waits = gap, waits


class Chains:
    """The end of each node's chain, and the keys for which the node vouched."""

    def __init__(self, heads: Mapping[str, Head] = {}, keys: Mapping[str, frozenset[str]] = {}) -> None:
        self.heads = dict(heads)
        self.keys = dict(keys)

    def fork(self) -> Chains:
        """Return a copy, to fill a batch."""
        return Chains(self.heads, self.keys)

    def check(self, event: Event) -> None:
        """Raise Inadmissible unless `event` comes next in its chain. The signature in its vouch is not checked."""
        head, seq = self.heads.get(event.node, _EMPTY), event.seq or 0
        if seq <= head.seq:
            raise Inadmissible(f"{event.node} has sequenced its event {seq} already")
        if seq > head.seq + 1:
            raise Inadmissible(f"events {head.seq + 1} to {seq - 1} of {event.node} are missing", gap=True)
        if event.prev != head.hash:
            raise Inadmissible(f"not the successor of event {head.seq} of {event.node}")
        keys = self.keys.get(event.node, _NO_KEYS)
        if event.key not in keys and names.node_tag(event.node):
            if event.vouch is None:
                raise Inadmissible(f"signed by a key for which the key of {event.node} did not vouch")
            if len(keys) >= limits.NODE_KEYS_MAX:
                raise Inadmissible(f"more than {limits.NODE_KEYS_MAX} keys write from {event.node}")

    def take(self, event: Event) -> None:
        """Append an event that `check` accepted to its chain."""
        self.heads[event.node] = event.head
        if event.vouch is not None:
            self.keys[event.node] = self.keys.get(event.node, _NO_KEYS) | {event.key}

    def dump(self) -> Any:
        return {
            node: [head.seq, head.hash, *sorted(self.keys.get(node, ()))] for node, head in sorted(self.heads.items())
        }

    @classmethod
    def load(cls, value: Mapping[str, Any]) -> Chains:
        """Return what `dump` wrote. Raise TypeError or ValueError for anything else."""
        chains = cls()
        for node, (seq, hash, *keys) in value.items():
            chains.heads[node] = Head(int(seq), str(hash))
            if keys:
                chains.keys[node] = frozenset(map(str, keys))
        return chains


class Sealing:
    """Seals drafts one after the other in a node's chain. The first line of each key has the node's vouch."""

    def __init__(
        self,
        node: str,
        after: Head,
        keys: Iterable[str],
        *,
        signer: Callable[[str], Signer],
        node_signer: Callable[[str], Signer],
        fleet: str,
    ) -> None:
        """Begin after the head `after`. `keys` are those for which the chain is known to have a vouch."""
        self.node, self.head, self.keys = node, after, set(keys)
        self._signer, self._node_signer, self._fleet = signer, node_signer, fleet

    def __call__(self, draft: Draft) -> Event:
        """Return the next event. Raise Refused, and change nothing, if a key is missing or the event is too large."""
        signer, vouched = self._signer(draft.actor), None
        if signer.key not in self.keys and names.node_tag(self.node):
            vouched = vouch(self._node_signer(self.node), self.node, signer.key, self._fleet)
        event = seal(draft, node=self.node, after=self.head, signer=signer, fleet=self._fleet, vouch=vouched)
        self.head = event.head
        self.keys.add(signer.key)
        return event
