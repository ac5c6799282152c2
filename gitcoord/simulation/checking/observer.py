"""An observer at the remote: it records what each machine was shown, and when, so that no machine is trusted."""

from __future__ import annotations

from dataclasses import dataclass, field

from gitcoord.core.format.event import parse_all
from gitcoord.core.ports import Oid
from gitcoord.simulation.checking import reference_fold
from gitcoord.simulation.world import World

LOOKS_MAX = 500  # fetches kept per machine, more than fit into any election timeout
START_S = 60.0  # until all machines have started


@dataclass(slots=True)
class Witness:
    """The fetches of machines, the terms that they saw, and the acknowledgements that they gave."""

    world: World
    looks: dict[str, list[tuple[float, bool]]] = field(default_factory=dict)  # by machine: when, whether it succeeded
    saved: dict[str, int] = field(default_factory=dict)  # by machine: the highest term of any ledger on its disk
    # by commit: the `saved` term of the machine that made it, and the time of that machine's last fetch
    offered: dict[Oid, tuple[int, float]] = field(default_factory=dict)
    terms: dict[Oid, int] = field(default_factory=dict)  # by ledger commit: the highest term in it
    promised_s: dict[str, float] = field(default_factory=dict)  # by uid: when it was acknowledged

    def looked(self, who: str, *, well: bool) -> None:
        """Note that a fetch of `who` was answered, or failed."""
        looks = self.looks.setdefault(who, [])
        looks.append((self.world.now_s, well))
        del looks[:-LOOKS_MAX]

    def wrote_down(self, who: str, tip: Oid | None, *, restored: bool = False) -> None:
        """Note that `who` has this tip on its disk. `restored`: a backup, which may be older than the disk was."""
        before = 0 if restored else self.saved.get(who, 0)
        self.saved[who] = max(before, self.terms.get(tip or "", 0))

    def offers(self, who: str, commit: Oid, looked_s: float) -> None:
        """Note that `who` pushes this commit after a fetch at `looked_s`. The remote may apply it much later."""
        self.offered.setdefault(commit, (self.saved.get(who, 0), looked_s))

    def extended(self, parent: Oid | None, tip: Oid, term: int) -> None:
        """Note that the remote accepted a ledger commit with an election for `term`, or without one (0)."""
        self.terms[tip] = max(self.terms.get(parent or "", 0), term)

    def election_timeout_s(self, who: str, since_s: float) -> float:
        """Return the seconds since `since_s` in which `who` can have watched the leader: between good fetches only."""
        looks, cap_s = self.looks.get(who, []), 2 * self.world.profile.poll_s
        pairs = zip(looks, looks[1:])
        return sum(
            min(cap_s, later - max(earlier, since_s))
            for (earlier, well), (later, still) in pairs
            if well and still and later > since_s
        )

    def slowest_s(self, history: list[tuple[float, str, Oid]]) -> tuple[float, str]:
        """Return the longest time in seconds from an acknowledgement to a place in the ledger, and the event's uid."""
        blobs: dict[Oid, list[bytes]] = {}
        placed: dict[str, float] = {}
        for at_s, _, tip in history:
            for event in parse_all(reference_fold.raw_lines(self.world.god, tip, blobs)):
                if self.world.is_honest(event.actor, event.key):
                    placed.setdefault(event.uid, at_s)
        waits = [
            (placed.get(uid, self.world.end_s) - at_s, uid) for uid, at_s in self.promised_s.items() if at_s > START_S
        ]
        return max(waits, default=(0.0, ""))
