"""Conversion of PyGithub's objects to our own values. It is part of a request, because an object fetches what it
lacks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from github.CheckRun import CheckRun
from github.CommitStatus import CommitStatus
from github.File import File
from github.InstallationAuthorization import InstallationAuthorization
from github.Issue import Issue
from github.IssueComment import IssueComment
from github.PullRequest import PullRequest
from github.PullRequestComment import PullRequestComment
from github.PullRequestReview import PullRequestReview
from github.Rate import Rate
from github.Repository import Repository

from gitcoord.github.api import models

EXPIRY = "github-authentication-token-expiration"


def _login(user: Any) -> str:
    return user.login if user is not None and user.login else models.GHOST


def facts(one: Repository) -> models.RepositoryFacts:
    name, may = (
        one.raw_data["full_name"],
        one.permissions,
    )  # this loads the object, so the following attributes cost no request
    scopes: Sequence[str] | None = one.requester.oauth_scopes
    return models.RepositoryFacts(
        name=name,
        private=one.private,
        default_branch=one.default_branch or "",
        clone_url=one.clone_url or "",
        ssh_url=one.ssh_url or "",
        may_push=bool(may and may.push),
        may_admin=bool(may and may.admin),
        scopes=tuple(scope for scope in scopes if scope) if scopes is not None else None,
        expires=_expiry(one.raw_headers.get(EXPIRY)),
    )


def _expiry(text: object) -> datetime | None:
    """Return the time at which a token expires, from GitHub's "2026-12-01 12:00:00 UTC"; None if it says nothing."""
    try:
        return datetime.strptime(str(text)[:19], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None


def token(one: InstallationAuthorization) -> tuple[str, datetime]:
    return one.token, one.expires_at


def quota(one: Rate) -> models.Quota:
    return models.Quota(one.limit, one.remaining, one.reset.timestamp())


def pull(one: PullRequest, whole: bool = False) -> models.PullRequest:
    """Convert a pull request. If it is `whole`, it was fetched by itself, so its size is known. For one from a list,
    PyGithub would send a request for the size."""
    data = one.raw_data if whole else one._rawData
    return models.PullRequest(
        number=one.number,
        title=one.title or "",
        author=_login(one.user),
        head=one.head.sha,
        head_ref=one.head.ref,
        head_repository=one.head.repo.full_name if one.head.repo is not None else None,
        base=one.base.sha,
        base_ref=one.base.ref,
        draft=bool(data.get("draft")),
        state=one.state,
        labels=tuple(label.name for label in one.labels),
        updated=one.updated_at,
        url=one.html_url,
        additions=data.get("additions"),
        deletions=data.get("deletions"),
        changed_files=data.get("changed_files"),
        body=data.get("body") or "",
        merged=bool(data.get("merged_at")),
        mergeable=data.get("mergeable"),
    )


def file(one: File) -> models.ChangedFile:
    return models.ChangedFile(one.filename, one.status, one.additions, one.deletions, one.patch, one.previous_filename)


def review(one: PullRequestReview) -> models.Review:
    return models.Review(
        one.id, _login(one.user), one.state, one.body or "", one.commit_id or "", one.submitted_at, one.html_url or ""
    )


def comment(one: IssueComment) -> models.Comment:
    return models.Comment(one.id, _login(one.user), one.body or "", one.updated_at, one.html_url or "")


def remark(one: PullRequestComment) -> models.Comment:
    return models.Comment(
        one.id, _login(one.user), one.body or "", one.updated_at, one.html_url or "", one.path, one.line
    )


def status(one: CommitStatus) -> models.StatusCheck:
    return models.StatusCheck(one.context, one.state, one.description or "", one.target_url or "", _login(one.creator))


def check(one: CheckRun) -> models.CheckResult:
    return models.CheckResult(
        one.id,
        one.name,
        one.status,
        one.conclusion,
        one.html_url or "",
        one.external_id or "",
        one.output.summary or "" if one.output is not None else "",
    )


def issue(one: Issue) -> models.IssueSummary:
    return models.IssueSummary(
        one.number,
        one.title or "",
        one.body or "",
        one.state,
        tuple(label.name for label in one.labels),
        _login(one.user),
        one.html_url or "",
    )
