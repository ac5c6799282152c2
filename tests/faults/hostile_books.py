"""The hostile member's part of a soak: it is let in as a plain member, stopped, and then found to have gained nothing.

Each check goes by what honest clones hold, and by which commits and keys are the hostile one's.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gitcoord.core.errors import GitcoordError
from gitcoord.core.fleet_state import FleetState as Fold
from gitcoord.simulation.hostile.access import NAME
from gitcoord.simulation.hostile.gains import LEADER_EVENTS_EACH, LEADER_EVENTS_MIN
from tests.faults.hostile_member import done_by
from tests.system.fleet import Agent, Clone, Fleet

FAULTS = ("part_failed", "error")  # kinds of what an agent says when a part of it fails for what others wrote
AT_POSITION = {"wrong_key", "uid_reused", "election"}  # kinds of what `verify` finds that are of one line


class HostileBooks:
    """A hostile member beside the clones of a fleet, and what is looked at when it has been stopped."""

    def __init__(self, fleet: Fleet, clones: Sequence[Clone], folder: Path, seed: int) -> None:
        self.fleet, self.clones, self.folder, self.seed = fleet, clones, folder, seed
        self.leaders = [clone.agent for clone in clones]
        clones[0].run("config", "set", "leaders", ",".join(self.leaders))
        self.clone = fleet.clone(NAME)
        self.process: Agent | None = None

    def start(self) -> None:
        words = ("-m", "tests.faults.hostile_member", str(self.clone.path), str(self.folder), str(self.seed))
        self.process = self.clone.launch(*words)

    def acted(self) -> int:
        """Return how many things it has done so far."""
        return sum("act" in one for one in done_by(self.folder))

    def stop(self) -> Iterator[str]:
        """End it; yield what is wrong if it ended before by itself, or did nothing."""
        assert self.process is not None
        if self.process.process.poll() is not None:
            yield f"the hostile member ended by itself: {self.process.complaint()[-2000:]}"
        self.process.terminate()
        done = [*done_by(self.folder)]
        self.key = next(one["key"] for one in done if "key" in one)
        self.commits = {oid[:12] for one in done for oid in one.get("commits", ())}
        self.acts = Counter(one["act"] for one in done if "act" in one)
        self.pushes = Counter("taken" if not one["status"] else "refused" for one in done if "pushed" in one)
        self.lines = max((one["lines"] for one in done if "lines" in one), default=0)
        if not self.pushes["taken"]:
            yield f"the hostile member pushed nothing: {done[-3:]}"

    def is_honest(self, event: Mapping[str, Any]) -> bool:
        return event["key"] != self.key

    def figures(self, events: Sequence[Mapping[str, Any]]) -> str:
        by_it = sum(not self.is_honest(event) for event in events)
        return (
            f"{self.acts.total()} hostile acts of {len(self.acts)} kinds in {self.pushes.total()} pushes "
            f"({self.pushes['refused']} refused), {self.lines} hostile lines, {by_it} of them in the ledger, "
            f"{len(led_by(events, self.key))} events by leaders"
        )

    # What it has not gained

    def check(self, fold: Fold, events: Sequence[Mapping[str, Any]], acknowledged: set[str]) -> Iterator[str]:
        """Yield what is wrong with the ledger of the clones, which is `events` and folds to `fold`."""
        led = led_by(events, self.key)
        given = self.lines + len(events) - len(led)
        if len(led) > LEADER_EVENTS_MIN + LEADER_EVENTS_EACH * given:
            yield f"leaders wrote {len(led)} events, and all others together {given}"
        effective = {
            events[position - 1]["content"]
            for position in fold.positions.values()
            if self.is_honest(events[position - 1])
        }
        if acknowledged - effective:
            yield f"acknowledged and without effect: {sorted(acknowledged - effective)[:20]}"
        yield from self._rights(fold)
        for agent in self.fleet.agents:
            told = [text for kind in FAULTS for text in agent.said(kind)]
            yield from (f"{agent.log.name} tells of a fault of ours: {text}" for text in told)
        for clone in self.clones:
            left = [path.name for path in (clone.home / "store.git" / "objects" / "pack").glob("tmp_*")]
            if left:
                yield f"{clone.path.name} has unfinished packs: {left}"

    def _rights(self, fold: Fold) -> Iterator[str]:
        for member in fold.members.by_id.values():
            wanted = "admin" if member.id == self.leaders[0] else "member"
            if member.role != wanted or member.expelled or not member.admitted:
                yield f"{member.id} is {member.role}, {member.expelled=}, {member.admitted=}, and no admin said so"
        if fold.terms.leader is not None and fold.terms.leader not in self.leaders:
            yield f"{fold.terms.leader} leads, and the setting `leaders` does not name it"
        settings = fold.features["settings"].dump(fold.states["settings"])
        if sorted(settings) != ["leaders"] or sorted(settings["leaders"]) != sorted(self.leaders):
            yield f"the settings are {settings}, and no admin changed them"
        if fold.quotas.muted or fold.members.revoked or fold.members.admission != "open":
            yield "somebody was muted, a key revoked or the admission closed, and no admin said so"

    def others_findings(self, clone: Clone) -> list[str]:
        """Return what `verify` finds that the hostile member did not do."""
        done = clone.run("verify", "--json", code=None)
        if done.returncode not in (0, 6):
            return [f"verify ended with {done.returncode}: {done.stderr}"]
        found = json.loads(done.stdout)["findings"]
        try:
            lines = clone.lines() if found else []
        except GitcoordError as wrong:
            return [str(wrong)]
        return [str(one) for one in found if not self.did(one, lines)]

    def did(self, finding: Mapping[str, str], lines: Sequence[bytes]) -> bool:
        """Return whether what `verify` found is of the hostile member's commits or by its key."""
        if finding["kind"] in AT_POSITION:
            return not self.is_honest(json.loads(lines[int(finding["where"].split()[-1]) - 1]))
        return finding["kind"] == "line" and finding["where"].split()[-1] in self.commits


def led_by(events: Sequence[Mapping[str, Any]], hostile_key: str) -> list[Mapping[str, Any]]:
    """Return what leaders wrote: lines of a term, in a chain."""
    return [event for event in events if event["key"] != hostile_key and event.get("term") and "seq" in event]
