"""A witness beside the remote: what each machine was shown, and when, so that nobody's own account is believed."""

from __future__ import annotations

from dataclasses import dataclass, field

from gitcoord.core.format.event import parse_all
from gitcoord.core.ports import Oid
from gitcoord.simulation.checking import reference_fold
from gitcoord.simulation.world import World

LOOKS_MAX = 500  # of each machine: more than any silence is made of
START_S = 60.0  # until everybody has begun


@dataclass(slots=True)
class Witness:
    """Looks, terms seen, promises made."""

    world: World
    looks: dict[str, list[tuple[float, bool]]] = field(default_factory=dict)  # by machine: when, whether it succeeded
    saved: dict[str, int] = field(default_factory=dict)  # by machine: the highest term of any ledger it wrote down
    offered: dict[Oid, tuple[int, float]] = field(default_factory=dict)  # by commit: its maker's, and when that looked
    terms: dict[Oid, int] = field(default_factory=dict)  # by ledger commit: the highest term in it
    promised_s: dict[str, float] = field(default_factory=dict)  # by uid: when it was acknowledged

    def looked(self, who: str, *, well: bool) -> None:
        """A fetch of `who` was answered, or failed."""
        looks = self.looks.setdefault(who, [])
        looks.append((self.world.now_s, well))
        del looks[:-LOOKS_MAX]

    def wrote_down(self, who: str, tip: Oid | None, *, anew: bool = False) -> None:
        """`who` has this ledger's tip on its disk. `anew`: and knows no other, its disk being an older one."""
        before = 0 if anew else self.saved.get(who, 0)
        self.saved[who] = max(before, self.terms.get(tip or "", 0))

    def offers(self, who: str, commit: Oid, looked_s: float) -> None:
        """`who` pushes it, perhaps to be applied much later, after a look at that time."""
        self.offered.setdefault(commit, (self.saved.get(who, 0), looked_s))

    def extended(self, parent: Oid | None, tip: Oid, term: int) -> None:
        """The remote took a ledger whose newest commit elects nobody (0) or somebody for `term`."""
        self.terms[tip] = max(self.terms.get(parent or "", 0), term)

    def election_timeout_s(self, who: str, since_s: float) -> float:
        """How long `who` can have watched a leader be silent since then: not while its own looks failed."""
        looks, cap_s = self.looks.get(who, []), 2 * self.world.profile.poll_s
        pairs = zip(looks, looks[1:])
        return sum(
            min(cap_s, later - max(earlier, since_s))
            for (earlier, well), (later, still) in pairs
            if well and still and later > since_s
        )

    def slowest_s(self, history: list[tuple[float, str, Oid]]) -> tuple[float, str]:
        """The longest time from a promise to a place in the ledger, and whose event it was; by its uid."""
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
