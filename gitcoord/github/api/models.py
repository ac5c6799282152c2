"""GitHub's answers as our own values. No object of the library leaves this package, where it could send a request."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Event = Literal["APPROVE", "COMMENT", "REQUEST_CHANGES"]
State = Literal["pending", "success", "failure", "error"]

FILES_MAX = 3000  # of a pull request: GitHub lists no more
BODY_CHARS_MAX = 65_536
DESCRIPTION_CHARS_MAX = 140
ANNOTATIONS_MAX = 50  # that one request may carry
GHOST = "ghost"  # the author of content whose account is gone


@dataclass(frozen=True, slots=True)
class PullRequest:
    """A pull request. `head` and `base` are commits; `head_repository` is None if the fork was deleted.

    `additions`, `deletions` and `changed_files` are None in a list: GitHub reports them only for a single pull request.
    """

    number: int
    title: str
    author: str
    head: str
    head_ref: str
    head_repository: str | None
    base: str
    base_ref: str
    draft: bool
    state: str  # open, closed
    labels: tuple[str, ...]
    updated: datetime | None
    url: str
    additions: int | None = None
    deletions: int | None = None
    changed_files: int | None = None
    body: str = ""
    merged: bool = False
    mergeable: bool | None = None  # None: GitHub does not know yet, or the pull request is from a list


@dataclass(frozen=True, slots=True)
class ChangedFile:
    """A changed file. `patch` is None if GitHub shows none: a binary, a rename alone, or a diff that is too large."""

    path: str
    status: str  # added, removed, modified, renamed, copied, changed, unchanged
    additions: int
    deletions: int
    patch: str | None
    previous: str | None


@dataclass(frozen=True, slots=True)
class ChangedFiles:
    """The changed files of a pull request. If the list is `cut`, there may be more than GitHub lists."""

    listed: tuple[ChangedFile, ...]
    cut: bool


@dataclass(frozen=True, slots=True)
class Review:
    """A review that was submitted. `commit` is the commit that was reviewed."""

    id: int
    author: str
    state: str  # APPROVED, CHANGES_REQUESTED, COMMENTED, DISMISSED, PENDING
    body: str
    commit: str
    at: datetime | None
    url: str


@dataclass(frozen=True, slots=True)
class Remark:
    """An inline comment to write. `line` is in the diff, on its new side (RIGHT) or its old side (LEFT)."""

    path: str
    line: int
    body: str
    side: Literal["LEFT", "RIGHT"] = "RIGHT"


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment in a conversation (`path` and `line` are None), or an inline comment."""

    id: int
    author: str
    body: str
    at: datetime
    url: str
    path: str | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class StatusCheck:
    """The newest status of a commit in one context."""

    context: str
    state: str
    description: str
    url: str
    creator: str


@dataclass(frozen=True, slots=True)
class CheckResult:
    """A check run. `conclusion` is None until it is completed."""

    id: int
    name: str
    status: str  # queued, in_progress, completed
    conclusion: str | None
    url: str
    marker: str
    summary: str = ""


@dataclass(frozen=True, slots=True)
class CheckAnnotation:
    """An annotation of a check run, on lines from 1."""

    path: str
    start_line: int
    end_line: int
    level: Literal["notice", "warning", "failure"]
    message: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class IssueSummary:
    """An issue; `author` is a login, and `state` is "open" or "closed"."""

    number: int
    title: str
    body: str
    state: str
    labels: tuple[str, ...]
    author: str
    url: str


@dataclass(frozen=True, slots=True)
class Quota:
    """The requests that are `left` of `limit` until `reset_at` (seconds since 1970)."""

    limit: int
    left: int
    reset_at: float


@dataclass(frozen=True, slots=True)
class RepositoryFacts:
    """What the credentials may do with a repository, and the repository's addresses."""

    name: str
    private: bool
    default_branch: str
    clone_url: str
    ssh_url: str
    may_push: bool
    may_admin: bool
    scopes: tuple[str, ...] | None  # of a classic token; None for others, which have permissions
    expires: datetime | None  # of the token, if GitHub reports it


def marker(name: str) -> str:
    """Return a text that marks a body so that it can be found again. GitHub's pages do not show it."""
    assert "--" not in name and "\n" not in name, name
    return f"<!-- gitcoord:{name} -->"
