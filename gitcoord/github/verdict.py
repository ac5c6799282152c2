"""What a fleet thinks of a pull request: a picture of it goes in, findings and a verdict come out, always the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from gitcoord.features import paths
from gitcoord.features.pages.markdown import inline
from gitcoord.features.reviews.events import Verdict
from gitcoord.features.reviews.state import Tally
from gitcoord.features.settings import Settings
from gitcoord.github.api.models import Check, Files, PullRequest, Status
from gitcoord.github.fleet_context import Overlap

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
STATUS = "gitcoord/review"  # our own, which no gate may wait for
LABELS = "gitcoord:"
PASSED = ("success", "neutral", "skipped")
FINDINGS_MAX = 500
PLACES_MAX = 20  # of one conflict


@dataclass(frozen=True, slots=True)
class Place:
    """A path that conflicts; `first` to `last` are the lines of the pull request's own side, where they are known."""

    path: str
    kind: str
    first: int | None = None
    last: int | None = None
    function: str = ""


@dataclass(frozen=True, slots=True)
class Clash:
    """A conflict with the base, or with another pull request. Not `certain`: judged by the patches alone."""

    rival: str  # "main", "#12"
    with_base: bool
    places: tuple[Place, ...]
    severity: str = "medium"
    agent: str | None = None
    certain: bool = True


@dataclass(frozen=True, slots=True)
class ReviewInput:
    """All that a verdict goes by. `not_checked`: what could not be looked at, in words."""

    pull: PullRequest
    files: Files
    settings: Settings
    tally: Tally
    clashes: tuple[Clash, ...] = ()
    overlaps: tuple[Overlap, ...] = ()
    statuses: Mapping[str, str] | None = None
    not_checked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """`path` and lines say where it belongs; None: to the whole."""

    severity: Severity
    text: str
    path: str | None = None
    first: int | None = None
    last: int | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    verdict: Verdict
    findings: tuple[Finding, ...]  # the worst first
    labels: tuple[str, ...]

    def count(self, severity: Severity) -> int:
        return sum(one.severity == severity for one in self.findings)


def judged(picture: ReviewInput) -> Judgement:
    """Changes are requested for what somebody has to do; approved is what nothing speaks against and votes are for."""
    found = [
        *_conflicts(picture),
        *_size(picture),
        *_votes(picture),
        *_statuses(picture),
        *_labels(picture),
        *_owners(picture),
        *_others(picture),
        *_rest(picture),
    ]
    found.sort(key=lambda one: (SEVERITIES.index(one.severity), one.path or "", one.first or 0))
    worst = {one.severity for one in found}
    verdict: Verdict = "approve"
    if "error" in worst:
        verdict = "request_changes"
    elif "warning" in worst:
        verdict = "comment"
    return Judgement(verdict, tuple(found[:FINDINGS_MAX]), _own_labels(picture, verdict))


def _own_labels(picture: ReviewInput, verdict: Verdict) -> tuple[str, ...]:
    words = {"approve": "approved", "comment": "waiting", "request_changes": "changes wanted"}
    return (f"{LABELS} {words[verdict]}", *([f"{LABELS} conflict"] if picture.clashes else []))


def _conflicts(picture: ReviewInput) -> Iterator[Finding]:
    for clash in picture.clashes:
        severity: Severity = "error" if clash.with_base and clash.certain else "warning"
        who = inline(clash.rival) + (f" ({inline(clash.agent)})" if clash.agent else "")
        verb = "conflicts with" if clash.certain else "changes the same lines as"
        for place in clash.places[:PLACES_MAX]:
            inside = f", in {inline(place.function)}" if place.function else ""
            yield Finding(severity, f"{verb} {who} ({place.kind}{inside})", place.path, place.first, place.last)
        if len(clash.places) > PLACES_MAX:
            yield Finding(severity, f"{verb} {who} in {len(clash.places) - PLACES_MAX} more places")
        if not clash.places:
            yield Finding(severity, f"{verb} {who}")


def _size(picture: ReviewInput) -> Iterator[Finding]:
    most, pull = picture.settings.review_max_lines, picture.pull
    lines = (pull.additions or 0) + (pull.deletions or 0)
    if most and lines > most:
        yield Finding("error", f"changes {lines} lines, {most} are allowed: make several pull requests of it")
    if picture.files.cut:
        yield Finding("warning", f"changes more files than GitHub lists: {len(picture.files.listed)} were looked at")


def _votes(picture: ReviewInput) -> Iterator[Finding]:
    count = picture.tally
    if count.outcome == "rejected":
        yield Finding("error", f"agents reject it: {count.reject} against, {count.approve} for")
    elif count.outcome == "waiting":
        yield Finding(
            "warning",
            f"waits for votes: {count.approve + count.reject} of {count.quorum}, by "
            f"`gitcoord vote {picture.pull.number} approve`",
        )
    if count.stale:
        names = ", ".join(sorted({inline(vote.agent) for vote in count.stale}))
        yield Finding("note", f"voted on another commit, or on none, which does not count: {names}")


def _statuses(picture: ReviewInput) -> Iterator[Finding]:
    if picture.settings.review_statuses and picture.statuses is None:
        yield Finding("warning", "its statuses cannot be read with these credentials")
        return
    for name in picture.settings.review_statuses:
        state = (picture.statuses or {}).get(name)
        if state is None or state == "pending":
            yield Finding(
                "warning",
                f"waits for the status {inline(name)}, which " + ("is pending" if state else "nobody has set"),
            )
        elif state not in PASSED:
            yield Finding("error", f"the status {inline(name)} is {state}")


def _labels(picture: ReviewInput) -> Iterator[Finding]:
    for name in picture.settings.review_labels:
        if name.casefold() not in {label.casefold() for label in picture.pull.labels}:
            yield Finding("warning", f"lacks the label {inline(name)}")


def _owners(picture: ReviewInput) -> Iterator[Finding]:
    """One finding for each pattern, at the first path that it holds."""
    approving = {vote.agent.casefold() for vote in picture.tally.votes if vote.verdict == "approve"}
    for pattern, owners in picture.settings.review_owners.items():
        hit = next((path for path in touched(picture.files) if paths.holds(pattern, path)), None)
        if hit is not None and approving.isdisjoint(owner.casefold() for owner in owners):
            yield Finding("warning", f"{inline(pattern)} needs the approval of {' or '.join(map(inline, owners))}", hit)


def _others(picture: ReviewInput) -> Iterator[Finding]:
    for one in picture.overlaps:
        more = f", and {len(one.paths) - 1} more paths" if len(one.paths) > 1 else ""
        yield Finding("warning", f"{inline(one.agent)} {one.what}{more}", one.paths[0])


def _rest(picture: ReviewInput) -> Iterator[Finding]:
    if picture.pull.draft:
        yield Finding("warning", "is a draft")
    if picture.pull.head_repository is None:
        yield Finding("note", "comes from a fork that was deleted: nobody can push to it any more")
    for words in picture.not_checked:
        yield Finding("warning", words)


def touched(files: Files) -> list[str]:
    """All paths that it changes, both names of what was renamed."""
    return sorted({name for file in files.listed for name in (file.path, file.previous) if name})


def states(statuses: list[Status], checks: list[Check]) -> dict[str, str]:
    """By name: success, pending, failure, …; without our own. A status counts before a check of the same name."""
    found = {one.name: (one.conclusion or "pending") if one.status == "completed" else "pending" for one in checks}
    found |= {one.context: one.state for one in statuses}
    found.pop(STATUS, None)
    return found
