"""The text of a review: which finding goes beside which line, and which into the body. Texts of others are shown as
code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from gitcoord.features.pages.markdown import inline
from gitcoord.features.reviews.events import Verdict
from gitcoord.github import diff_lines
from gitcoord.github.api.models import CheckAnnotation, Remark
from gitcoord.github.diff_lines import Side
from gitcoord.github.verdict import SEVERITIES, Judgement, ReviewFinding, ReviewInput, Severity

REMARKS_MAX = 50  # inline comments of one review: nobody reads more
BODY_FINDINGS_MAX = 100
PATH_CHARS_MAX = 300
VERDICTS: Mapping[Verdict, str] = {
    "approve": "approved",
    "comment": "not approved yet",
    "request_changes": "changes requested",
}
HEADINGS = {"error": "Must be changed", "warning": "Still open", "note": "For information"}
LEVELS: Mapping[Severity, Literal["failure", "warning", "notice"]] = {
    "error": "failure",
    "warning": "warning",
    "note": "notice",
}


@dataclass(frozen=True, slots=True)
class ReviewText:
    """A review as Markdown: its body, and its inline comments."""

    body: str
    remarks: tuple[Remark, ...]


def review(pull_input: ReviewInput, judgement: Judgement, *, inline_too: bool = True) -> ReviewText:
    """Return the text of a review, with each finding once: beside its line if the diff shows that, otherwise in the
    body. With `inline_too` false, all findings are in the body."""
    places = diff_lines.commentable(pull_input.files.listed) if inline_too else {}
    by_line: dict[tuple[str, int], list[ReviewFinding]] = {}
    rest = []
    for finding in judgement.findings:
        line = _line(finding, places)
        if (
            line is None
            or finding.path is None
            or ((finding.path, line) not in by_line and len(by_line) >= REMARKS_MAX)
        ):
            rest.append(finding)
        else:
            by_line.setdefault((finding.path, line), []).append(finding)
    remarks = tuple(
        Remark(path, line, "\n\n".join(f"{_capital(one.text)}." for one in some))
        for (path, line), some in sorted(by_line.items())
    )
    return ReviewText("\n".join(_body(pull_input, judgement, rest, len(remarks))), remarks)


def _line(finding: ReviewFinding, places: Mapping[str, frozenset[tuple[Side, int]]]) -> int | None:
    """Return the first line of a finding that the new side of the diff shows; None if it shows none."""
    if finding.path is None or finding.first is None:
        return None
    shown = places.get(finding.path, frozenset())
    lines = range(finding.first, (finding.last or finding.first) + 1)
    return next((line for line in lines if ("RIGHT", line) in shown), None)


def _body(pull_input: ReviewInput, judgement: Judgement, rest: Sequence[ReviewFinding], remarks: int) -> list[str]:
    pull = pull_input.pull
    lines = [
        f"**gitcoord: {VERDICTS[judgement.verdict]}.** This is a review of commit {inline(pull.head)} "
        f"({_counted(len(pull_input.files.listed), 'file')}), to be merged into "
        f"{inline(pull.base_ref, most=PATH_CHARS_MAX)}. Later pushes are not part of it."
    ]
    for severity in SEVERITIES:
        some = [one for one in rest[:BODY_FINDINGS_MAX] if one.severity == severity]
        if some:
            lines += ["", f"{HEADINGS[severity]}:", *(f"- {_in_line(one)}" for one in some)]
    if len(rest) > BODY_FINDINGS_MAX:
        lines += ["", f"… and {len(rest) - BODY_FINDINGS_MAX} more."]
    if remarks:
        lines += ["", f"{_capital(_counted(remarks, 'remark'))} {'are' if remarks > 1 else 'is'} beside the lines."]
    lines += _votes(pull_input)
    if any(not conflict.with_base for conflict in pull_input.conflicts):
        lines += ["", "`gitcoord conflict check --prs` suggests an order of merging."]
    return lines


def _in_line(one: ReviewFinding) -> str:
    where = ""
    if one.path is not None:
        where = inline(one.path + (f":{one.first}" if one.first else ""), most=PATH_CHARS_MAX) + ": "
    return f"{where}{one.text if where else _capital(one.text)}"


def _votes(pull_input: ReviewInput) -> list[str]:
    count = pull_input.vote_count
    if not count.votes:
        return []
    lines = ["", f"Votes: {count.approve} for, {count.reject} against, {count.quorum} needed."]
    for vote in sorted(count.votes, key=lambda one: one.agent.casefold()):
        verb = "approves" if vote.verdict == "approve" else "rejects"
        lines.append(f"- {inline(vote.agent)} {verb}" + (f": {inline(vote.why, most=500)}" if vote.why else ""))
    return lines


def status(judgement: Judgement) -> str:
    """Return the judgement in one line, for a commit's status."""
    counts = [(judgement.count("error"), "must be changed"), (judgement.count("warning"), "still open")]
    listed = ", ".join(f"{count} {what}" for count, what in counts if count)
    return VERDICTS[judgement.verdict] + (f": {listed}" if listed else "")


def annotated(judgement: Judgement, pull_input: ReviewInput) -> list[CheckAnnotation]:
    """Return the annotations of a check run, which may be on any line of a changed file."""
    changed = {file.path for file in pull_input.files.listed if file.status != "removed"}
    return [
        CheckAnnotation(
            one.path, one.first or 1, one.last or one.first or 1, LEVELS[one.severity], _capital(one.text), "gitcoord"
        )
        for one in judgement.findings
        if one.path in changed and one.path is not None
    ]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
