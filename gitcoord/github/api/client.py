"""A client of GitHub's API for one repository: the reads. The writes are in `upsert.py`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import islice
from typing import TypeVar

import github
from github.CommitStatus import CommitStatus
from github.GithubObject import GithubObject
from github.PaginatedList import PaginatedList
from github.Repository import Repository
from github.Requester import Requester

import gitcoord
from gitcoord.core.errors import BadCredentials, Denied, Refused
from gitcoord.github.api import convert, models, urls
from gitcoord.github.api.credentials import Credentials
from gitcoord.github.api.limits import Meter
from gitcoord.github.api.models import (
    ChangedFiles,
    CheckResult,
    Comment,
    IssueSummary,
    PullRequest,
    Quota,
    RepositoryFacts,
    Review,
    StatusCheck,
)
from gitcoord.github.api.retry import PATIENCE_S, NotFound, Plan, RetryPolicy
from gitcoord.store.git.url import is_in_the_clear, origin_of, without_secret

G = TypeVar("G", bound=GithubObject)
T = TypeVar("T")

PER_PAGE = 100
TIMEOUT_S = 30
BETWEEN_WRITES_S = 1.0  # GitHub: "pause at least one second between each request" that changes something
PULLS_MAX, REVIEWS_MAX, ISSUES_MAX, STATUSES_MAX, COMMENTS_MAX, CHECKS_MAX = 1000, 1000, 500, 1000, 2000, 500


def _keep_to(address: str, requester: Requester) -> None:
    """Let `requester` send requests only to the server of `address`: PyGithub would follow addresses in an answer, and
    send the token to any subdomain, even by plain HTTP. Only an `assert` excludes other servers."""

    def check(url: str) -> None:
        if origin_of(url) != origin_of(address):
            raise Denied(
                f"GitHub's answer leads to {origin_of(url) or 'no server'}, but the token is only for "
                f"{origin_of(address)}: nothing was sent there. If the API has moved, set GITHUB_API_URL"
            )

    setattr(requester, "_Requester__assertUrlAllowed", check)  # PyGithub has no public way for this; a test checks it


class Client:
    """One repository ("owner/name") as GitHub shows it to these credentials. Use it in one thread, and close it.

    Requests raise only errors of `gitcoord.core.errors`: BadCredentials, Denied (`NotFound`, `Unprocessable`), Lost
    (`Changed`), and Unreachable (`Limited`) after retries within `patience_s` seconds.
    """

    def __init__(
        self,
        repository: str,
        credentials: Credentials,
        *,
        base_url: str = "",
        patience_s: float = PATIENCE_S,
        meter: Meter | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.repository = repository
        self.credentials = credentials
        self.meter = meter or Meter()
        self.retries = RetryPolicy(self.meter, who=credentials.label, patience_s=patience_s, sleep=sleep)
        self._me: str | None = None
        address = base_url or urls.api_url(os.environ)
        if is_in_the_clear(address):
            raise BadCredentials(
                f"{without_secret(address)} is plain http: everybody on the way could read "
                f"{credentials.label}. Set GITHUB_API_URL to an https address"
            )
        self.github = github.Github(
            auth=credentials.auth(),
            base_url=address,
            timeout=TIMEOUT_S,
            per_page=PER_PAGE,
            user_agent=f"gitcoord/{gitcoord.__version__}",
            retry=None,
            seconds_between_requests=None,
            seconds_between_writes=BETWEEN_WRITES_S,  # see `retry.py`
            lazy=True,  # fetch an object only when one of its fields is read
        )
        _keep_to(address, self.github.requester)

    def close(self) -> None:
        """Close the connections."""
        self.github.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def there(self) -> Repository:
        """Return the repository as PyGithub's object. Only this package may use it."""
        return self.github.get_repo(self.repository)

    def read(self, what: str, ask: Callable[[], T]) -> T:
        """Return what `ask` returns, after retries. `what` names it in messages, such as "pull request #3"."""
        try:
            return self.retries.read(f"{what} of {self.repository}", ask)
        finally:
            self._note_quota()

    def write(self, what: str, plan: Plan[T]) -> T:
        """Return what `plan` finds done, or the result of its write, after retries. `what` names it in messages."""
        try:
            return self.retries.write(f"{what} of {self.repository}", plan)
        finally:
            self._note_quota()

    def _list(self, what: str, ask: Callable[[], Iterable[G]], shape: Callable[[G], T], most: int) -> list[T]:
        return self.read(what, lambda: [shape(one) for one in islice(ask(), most)])

    def _note_quota(self) -> None:
        left, limit = self.github.requester.rate_limiting
        if limit > 0:
            self.meter.quota = Quota(limit, left, float(self.github.requester.rate_limiting_resettime))

    # Account and repository

    def facts(self) -> RepositoryFacts:
        """Return facts about the repository and these credentials. Raise BadCredentials if they cannot see it."""
        try:
            return self.read("the page", lambda: convert.facts(self.there))
        except NotFound:
            raise BadCredentials(
                f"GitHub has no repository {self.repository}, or {self.credentials.label} is for other repositories: "
                "check the remote's name, then the repositories and scopes of these credentials"
            ) from None

    def me(self) -> str:
        """Return the login of the account that writes with these credentials; an app's login ends in `[bot]`."""
        if self._me is None:
            self._me = self.meter.account = self._find_me()
        return self._me

    def _find_me(self) -> str:
        if self.credentials.kind == "workflow":
            return "github-actions[bot]"
        if self.credentials.app is not None:
            return self.read("the app", lambda: f"{self._as_app().get_app().slug}[bot]")
        return self.read("the account", lambda: self.github.get_user().login)

    def installation_token(self) -> tuple[str, datetime]:
        """Return a new token of the app's installation, for git, and the time at which it expires."""
        app = self.credentials.app
        assert app is not None, "a token is made for an app's installation"
        return self.read("the installation", lambda: convert.token(self._as_app().get_access_token(app.installation)))

    def _as_app(self) -> github.GithubIntegration:
        app = self.credentials.app
        assert app is not None
        address = self.github.requester.base_url
        made = github.GithubIntegration(auth=github.Auth.AppAuth(app.id, app.key), retry=None, base_url=address)
        _keep_to(address, made.requester)
        return made

    def quota(self) -> Quota:
        """Return the quota of requests. This request does not count against it."""
        return self.read("the quota", lambda: convert.quota(self.github.get_rate_limit().resources.core))

    def permission(self, login: str) -> str:
        """Return a user's permission for the repository: "admin", "write", "read" or "none"."""
        try:
            return self.read(f"the rights of {login}", lambda: self.there.get_collaborator_permission(login))
        except NotFound:
            return "none"

    # Pull requests

    def pull(self, number: int) -> PullRequest:
        """Return a pull request. Raise Refused if there is none with that number."""
        try:
            return self.read(f"pull request #{number}", lambda: convert.pull(self.there.get_pull(number), whole=True))
        except NotFound as wrong:
            raise Refused(
                f"{self.repository} has no pull request #{number}, or {self.credentials.label} may not see it"
            ) from wrong

    def open_pulls(self) -> list[PullRequest]:
        """Return up to PULLS_MAX open pull requests, the last changed first."""
        return self._list(
            "open pull requests",
            lambda: self.there.get_pulls(state="open", sort="updated", direction="desc"),
            convert.pull,
            PULLS_MAX,
        )

    def files(self, number: int) -> ChangedFiles:
        """Return the changed files of a pull request, with their patches, which `diff_lines.py` reads."""
        listed = self._list(
            f"the files of pull request #{number}",
            lambda: self.there.get_pull(number).get_files(),
            convert.file,
            models.FILES_MAX,
        )
        return ChangedFiles(tuple(listed), cut=len(listed) >= models.FILES_MAX)

    def reviews(self, number: int) -> list[Review]:
        """Return the reviews, the oldest first."""
        return self._list(
            f"the reviews of pull request #{number}",
            lambda: self.there.get_pull(number).get_reviews(),
            convert.review,
            REVIEWS_MAX,
        )

    def comments(self, number: int) -> list[Comment]:
        """Return the comments of an issue's or a pull request's conversation, the oldest first."""
        return self._list(
            f"the comments of #{number}",
            lambda: self.there.get_issue(number).get_comments(),
            convert.comment,
            COMMENTS_MAX,
        )

    def remarks(self, number: int) -> list[Comment]:
        """Return the inline comments of a pull request."""
        return self._list(
            f"the inline comments of pull request #{number}",
            lambda: self.there.get_pull(number).get_review_comments(),
            convert.remark,
            COMMENTS_MAX,
        )

    def labels(self, number: int) -> list[str]:
        """Return the names of the labels of an issue or a pull request."""
        return self._list(
            f"the labels of #{number}",
            lambda: self.there.get_issue(number).get_labels(),
            lambda label: label.name,
            ISSUES_MAX,
        )

    # Commits

    def statuses(self, commit: str) -> list[StatusCheck]:
        """Return the newest status of a commit in each context."""
        listed = self._list(
            f"the statuses of {commit[:12]}", lambda: self.statuses_of(commit), convert.status, STATUSES_MAX
        )
        newest: dict[str, StatusCheck] = {}
        for one in listed:  # the newest first
            newest.setdefault(one.context, one)
        return list(newest.values())

    def statuses_of(self, commit: str) -> PaginatedList[CommitStatus]:
        """Return the statuses as PyGithub's list, from an address that GitHub documents. For this package only."""
        there = self.there.get_commit(commit)
        return PaginatedList(CommitStatus, there.requester, f"{there.url}/statuses", None)

    def checks(self, commit: str) -> list[CheckResult]:
        """Return the newest check run of each name and app; [] if these credentials may not read them."""
        try:
            return self._list(
                f"the checks of {commit[:12]}",
                lambda: self.there.get_commit(commit).get_check_runs(),
                convert.check,
                CHECKS_MAX,
            )
        except (BadCredentials, Denied):
            return []

    # Issues

    def issues(self, *, labels: Iterable[str] = (), state: str = "open") -> list[IssueSummary]:
        """Return up to ISSUES_MAX issues, the newest first, without pull requests."""
        wanted = list(labels)
        return [
            convert.issue(one)
            for one in self._list(
                "the issues", lambda: self.there.get_issues(state=state, labels=wanted), lambda one: one, ISSUES_MAX
            )
            if one.pull_request is None
        ]

    def issue_with(self, marker: str, *, labels: Iterable[str] = (), state: str = "open") -> IssueSummary | None:
        """Return the oldest issue with `marker` (`models.marker`) in its body; None if there is none."""
        return next((one for one in reversed(self.issues(labels=labels, state=state)) if marker in one.body), None)
