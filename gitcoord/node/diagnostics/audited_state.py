"""The audited state: a fold that also reports what no honest node could have written, and compares files with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from gitcoord.core.event_types import CONTROL
from gitcoord.core.feature import SequencedEvent
from gitcoord.core.fleet_state import FleetState
from gitcoord.core.fold.revocations import Revocations
from gitcoord.core.format.event import Event
from gitcoord.core.format.keys import Verifier
from gitcoord.features import FEATURES, conversation
from gitcoord.features.pages.snapshot import Entry

STEP_EVENTS = 500  # between two reports of progress, and in one task of the pool


@dataclass(frozen=True, slots=True)
class VerifyFinding:
    """One finding. `kind` is one word for machines; `where` a position, a file and line of a commit, or a file."""

    kind: str
    where: str
    text: str


@dataclass(slots=True)
class VerifyReport:
    """The result of verifying. `races` counts events without effect that lost an honest race; people read `notes`."""

    position: int = 0
    commits: int = 0
    races: int = 0
    findings: list[VerifyFinding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, kind: str, where: str, text: str) -> None:
        """Add a finding."""
        self.findings.append(VerifyFinding(kind, where, text))


class AuditedState(FleetState):
    """A fleet state that distinguishes forged events without effect from those that were merely late."""

    def __init__(
        self,
        verifier: Verifier | None,
        report: VerifyReport,
        since: int,
        progress: Callable[[int], None],
        pool: ThreadPoolExecutor | None,
        revocations: Revocations | None = None,
    ) -> None:
        super().__init__(FEATURES, verifier, revocations)
        self.report, self.since, self.progress, self.pool = report, since, progress, pool
        self.revoked_at = 0  # position of a line that revoked the effect of earlier ones
        self._before = list(report.findings), list(report.notes), report.races
        self.entries: list[Entry] = []  # what pages show: each line is parsed once
        self.comparisons: dict[int, list[Callable[[AuditedState], None]]] = {}  # to make at a position
        self._unchecked: list[Event] = []
        self._results: list[Future[bool]] = []

    def anew(self) -> AuditedState:
        """Return a new state that knows which keys are revoked. Findings of the fold without that knowledge go."""
        self.report.findings[:], self.report.notes[:], self.report.races = self._before
        other = AuditedState(
            self.verifier,
            self.report,
            self.since,
            self.progress,
            self.pool,
            self.revocations.learnt or self.revocations,
        )
        if self.pool is not None:
            self._hand_over(self.pool)  # lines that were read before are not checked again
        other.comparisons, other._results, other.revoked_at = self.comparisons, self._results, self.position
        return other

    def check_signature(self, event: Event) -> None:
        """Check the signature, in the pool if there is one: 65 of the 100 µs that an event costs run without the GIL.

        Raise Inadmissible for a bad one if there is no pool; otherwise `all_signed` reports it.
        """
        if self.position < self.since:
            return
        if self.pool is None or self.position == 0:
            super().check_signature(event)
            return
        self._unchecked.append(event)
        if len(self._unchecked) >= STEP_EVENTS:
            self._hand_over(self.pool)

    def _hand_over(self, pool: ThreadPoolExecutor) -> None:
        chunk, self._unchecked = self._unchecked, []
        self._results.append(pool.submit(_all_signed, self.verifier, chunk, self.id or ""))

    def all_signed(self) -> bool:
        """Return whether every signature is good. If not, the fold is worthless from the first bad one on."""
        if self.pool is not None:
            self._hand_over(self.pool)
        return all(answer.result() for answer in self._results)

    def apply(self, event: Event) -> SequencedEvent:
        """Fold an event, report it if no honest node can have written it, and make the comparisons at its position."""
        forged = self._forged(event) if self.position >= self.since else None
        sequenced = super().apply(event)
        self.entries.append(conversation.entry(sequenced.position, event))
        if sequenced.void is not None and sequenced.position > self.since:
            if forged or event.type in CONTROL:
                self.report.add(
                    forged or "election",
                    f"position {sequenced.position}",
                    f"{event.type} by {event.actor} from {event.node}: {sequenced.void}",
                )
            else:
                self.report.races += 1
        comparisons = self.comparisons.get(sequenced.position, ())
        if comparisons and sequenced.position < self.revoked_at:
            self.report.notes.append(
                f"files of position {sequenced.position} are not compared: position "
                f"{self.revoked_at} has revoked a key that counted when they were written"
            )
            comparisons = ()
        for compare in comparisons:
            compare(self)
        if sequenced.position % STEP_EVENTS == 0:
            self.progress(sequenced.position)
        return sequenced

    def _forged(self, event: Event) -> str | None:
        """Return what is wrong with an event that no honest node can have written; None if nothing is.

        Call it before the event is folded.
        """
        member = self.members.get(event.actor)
        if member is not None and member.key != event.key:
            return "wrong_key"
        before = self.positions.get(event.uid)
        if before is not None:
            first = self.entries[before - 1]
            if (first.type, first.content) != (event.type, event.content):
                return "uid_reused"
        return None


def _all_signed(verifier: Verifier | None, events: Sequence[Event], fleet_id: str) -> bool:
    return verifier is None or not any(verifier.rejects(event, fleet_id) for event in events)
