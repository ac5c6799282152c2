"""The verdict on a pull request, as a pure function of its state: findings, and a verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from gitcoord.features import paths
from gitcoord.features.pages.markdown import inline
from gitcoord.features.reviews.events import Verdict
from gitcoord.features.reviews.state import VoteCount
from gitcoord.features.settings import Settings
from gitcoord.github.api.models import ChangedFiles, CheckResult, PullRequest, StatusCheck
from gitcoord.github.fleet_context import Overlap

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
STATUS = "gitcoord/review"  # our own status, for which no setting may wait
LABELS = "gitcoord:"
PASSED = ("success", "neutral", "skipped")
FINDINGS_MAX = 500
PLACES_MAX = 20  # of one conflict


@dataclass(frozen=True, slots=True)
class ConflictPlace:
    """A path with a conflict. `first` and `last` are its lines on the pull request's own side, if they are known."""

    path: str
    kind: str
    first: int | None = None
    last: int | None = None
    function: str = ""


@dataclass(frozen=True, slots=True)
class PullConflict:
    """A conflict with the base, or with another pull request. It is not `certain` if only patches were compared."""

    rival: str  # "main", "#12"
    with_base: bool
    places: tuple[ConflictPlace, ...]
    severity: str = "medium"
    agent: str | None = None
    certain: bool = True


@dataclass(frozen=True, slots=True)
class ReviewInput:
    """The input of a verdict. `not_checked` has texts about what could not be examined."""

    pull: PullRequest
    files: ChangedFiles
    settings: Settings
    vote_count: VoteCount
    conflicts: tuple[PullConflict, ...] = ()
    overlaps: tuple[Overlap, ...] = ()
    statuses: Mapping[str, str] | None = None
    not_checked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReviewFinding:
    """One finding. `path`, `first` and `last` say where it is; they are None if it is about the whole pull request."""

    severity: Severity
    text: str
    path: str | None = None
    first: int | None = None
    last: int | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict, the findings, and the labels that the pull request should have."""

    verdict: Verdict
    findings: tuple[ReviewFinding, ...]  # the worst first
    labels: tuple[str, ...]

    def count(self, severity: Severity) -> int:
        return sum(one.severity == severity for one in self.findings)


def judged(pull_input: ReviewInput) -> Judgement:
    """Return the judgement: request changes if there is an error, comment if there is a warning, otherwise approve."""
    found = [
        *_conflicts(pull_input),
        *_size(pull_input),
        *_votes(pull_input),
        *_statuses(pull_input),
        *_labels(pull_input),
        *_owners(pull_input),
        *_others(pull_input),
        *_rest(pull_input),
    ]
    found.sort(key=lambda one: (SEVERITIES.index(one.severity), one.path or "", one.first or 0))
    worst = {one.severity for one in found}
    verdict: Verdict = "approve"
    if "error" in worst:
        verdict = "request_changes"
    elif "warning" in worst:
        verdict = "comment"
    return Judgement(verdict, tuple(found[:FINDINGS_MAX]), _own_labels(pull_input, verdict))


def _own_labels(pull_input: ReviewInput, verdict: Verdict) -> tuple[str, ...]:
    words = {"approve": "approved", "comment": "waiting", "request_changes": "changes wanted"}
    return (f"{LABELS} {words[verdict]}", *([f"{LABELS} conflict"] if pull_input.conflicts else []))


def _conflicts(pull_input: ReviewInput) -> Iterator[ReviewFinding]:
    for conflict in pull_input.conflicts:
        severity: Severity = "error" if conflict.with_base and conflict.certain else "warning"
        who = inline(conflict.rival) + (f" ({inline(conflict.agent)})" if conflict.agent else "")
        verb = "conflicts with" if conflict.certain else "changes the same lines as"
        for place in conflict.places[:PLACES_MAX]:
            inside = f", in {inline(place.function)}" if place.function else ""
            yield ReviewFinding(severity, f"{verb} {who} ({place.kind}{inside})", place.path, place.first, place.last)
        if len(conflict.places) > PLACES_MAX:
            yield ReviewFinding(severity, f"{verb} {who} in {len(conflict.places) - PLACES_MAX} more places")
        if not conflict.places:
            yield ReviewFinding(severity, f"{verb} {who}")


def _size(pull_input: ReviewInput) -> Iterator[ReviewFinding]:
    most, pull = pull_input.settings.review_max_lines, pull_input.pull
    lines = (pull.additions or 0) + (pull.deletions or 0)
    if most and lines > most:
        yield ReviewFinding("error", f"changes {lines} lines, {most} are allowed: split it into several pull requests")
    if pull_input.files.cut:
        yield ReviewFinding(
            "warning", f"changes more files than GitHub lists: only {len(pull_input.files.listed)} were reviewed"
        )


def _votes(pull_input: ReviewInput) -> Iterator[ReviewFinding]:
    count = pull_input.vote_count
    if count.outcome == "rejected":
        yield ReviewFinding("error", f"agents reject it: {count.reject} against, {count.approve} for")
    elif count.outcome == "waiting":
        yield ReviewFinding(
            "warning",
            f"waits for votes: {count.approve + count.reject} of {count.quorum}, by "
            f"`gitcoord review vote {pull_input.pull.number} approve`",
        )
    if count.stale:
        names = ", ".join(sorted({inline(vote.agent) for vote in count.stale}))
        yield ReviewFinding("note", f"has votes that do not count, on another commit or on none: {names}")


def _statuses(pull_input: ReviewInput) -> Iterator[ReviewFinding]:
    if pull_input.settings.review_statuses and pull_input.statuses is None:
        yield ReviewFinding("warning", "its statuses cannot be read with these credentials")
        return
    for name in pull_input.settings.review_statuses:
        state = (pull_input.statuses or {}).get(name)
        if state is None or state == "pending":
            yield ReviewFinding(
                "warning", f"waits for the status {inline(name)}, which " + ("is pending" if state else "is not set")
            )
        elif state not in PASSED:
            yield ReviewFinding("error", f"the status {inline(name)} is {state}")


def _labels(pull_input: ReviewInput) -> Iterator[ReviewFinding]:
    for name in pull_input.settings.review_labels:
        if name.casefold() not in {label.casefold() for label in pull_input.pull.labels}:
            yield ReviewFinding("warning", f"lacks the label {inline(name)}")


def _owners(pull_input: ReviewInput) -> Iterator[ReviewFinding]:
    """Yield one finding for each pattern of owners, at the first path that matches it."""
    approving = {vote.agent.casefold() for vote in pull_input.vote_count.votes if vote.verdict == "approve"}
    for pattern, owners in pull_input.settings.review_owners.items():
        match = next((path for path in changed_paths(pull_input.files) if paths.matches(pattern, path)), None)
        if match is not None and approving.isdisjoint(owner.casefold() for owner in owners):
            yield ReviewFinding(
                "warning", f"{inline(pattern)} needs the approval of {' or '.join(map(inline, owners))}", match
            )


def _others(pull_input: ReviewInput) -> Iterator[ReviewFinding]:
    for one in pull_input.overlaps:
        more = f", and {len(one.paths) - 1} more paths" if len(one.paths) > 1 else ""
        yield ReviewFinding("warning", f"{inline(one.agent)} {one.what}{more}", one.paths[0])


def _rest(pull_input: ReviewInput) -> Iterator[ReviewFinding]:
    if pull_input.pull.draft:
        yield ReviewFinding("warning", "is a draft")
    if pull_input.pull.head_repository is None:
        yield ReviewFinding("note", "comes from a fork that was deleted: nobody can push to it any more")
    for words in pull_input.not_checked:
        yield ReviewFinding("warning", words)


def changed_paths(files: ChangedFiles) -> list[str]:
    """Return all changed paths, with both names of renamed files."""
    return sorted({name for file in files.listed for name in (file.path, file.previous) if name})


def states(statuses: list[StatusCheck], checks: list[CheckResult]) -> dict[str, str]:
    """Return the states (success, pending, failure, …) by name, without our own. A status overrides a check of the same
    name."""
    found = {one.name: (one.conclusion or "pending") if one.status == "completed" else "pending" for one in checks}
    found |= {one.context: one.state for one in statuses}
    found.pop(STATUS, None)
    return found
