"""Retries: GitHub's failures as our errors, and one retry policy for reads and writes.

PyGithub's own retries are switched off. They repeat a POST after a 502 although it may have been applied, and never a
PATCH; they sleep for any `Retry-After`, however long, and ignore a 429 without one; and they end in a `RetryError` that
hides the reason. Here a write checks the present state before every attempt, and too long a wait is an error.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Generic, TypeVar

import requests
import tenacity
from github import GithubException

from gitcoord.core import times
from gitcoord.core.errors import BadCredentials, Denied, GitcoordError, Lost, Unreachable
from gitcoord.github.api.limits import Meter

T = TypeVar("T")

ATTEMPTS = 5
PATIENCE_S = 90.0  # for all waits of one request; a secondary limit asks for 60
SECONDARY_WAIT_S = 60.0  # GitHub: "wait at least one minute", when it names no time
WORDS_CHARS_MAX = 300  # of GitHub's message, in one of ours
FIRST_WAIT_S, WAIT_S_MAX = 1.0, 20.0


class Limited(Unreachable):
    """GitHub accepts no more requests of ours until `again_at` (seconds since 1970)."""

    def __init__(self, words: str, wait_s: float) -> None:
        self.wait_s = wait_s
        self.again_at = time.time() + wait_s
        at = datetime.fromtimestamp(self.again_at, UTC)
        super().__init__(f"{words}: try again after {at:%H:%M:%S} UTC, in {times.roughly(wait_s)}")


class NotFound(Denied):
    """The object does not exist, or this token may not see it: GitHub does not say which."""


class Unprocessable(Denied):
    """GitHub understood the request and cannot do it (422), for example for a line outside the diff."""


class Changed(Lost):
    """Somebody changed the object at the same time (409)."""


@dataclass(frozen=True, slots=True)
class AlreadyDone(Generic[T]):
    """The result of a `Plan` that has nothing to write: what it found is as it should be."""

    found: T


Plan = Callable[[], AlreadyDone[T] | Callable[[], T]]
"""A check before writing. It returns `AlreadyDone`, or the function that writes."""


class RetryPolicy:
    """A retry policy. `patience_s` is the longest time that all waits of one request may take together."""

    def __init__(
        self, meter: Meter, *, who: str, patience_s: float = PATIENCE_S, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.meter = meter
        self.who = who  # the label of the credentials: "the token in GITCOORD_TOKEN"
        self.patience_s = patience_s
        self.sleep = sleep

    def read(self, what: str, ask: Callable[[], T]) -> T:
        """Return what `ask` returns, after retries. `what` names it in messages, such as "pull request #3 of o/n".

        Raise only errors of our own.
        """
        answer: T = self._retrying()(self._once, what, ask)
        return answer

    def write(self, what: str, plan: Plan[T]) -> T:
        """Return what `plan` finds done, or the result of the write that it returns. Raise only errors of our own.

        Before each retry, `plan` is called again, because a failed write may have been applied.
        """

        def once() -> T:
            todo = plan()
            if isinstance(todo, AlreadyDone):
                return todo.found
            self._keep_to_budget()
            self.meter.wrote()
            return todo()

        answer: T = self._retrying()(self._once, what, once)
        return answer

    def _retrying(self) -> tenacity.Retrying:
        return tenacity.Retrying(
            stop=tenacity.stop_after_attempt(ATTEMPTS) | tenacity.stop_before_delay(self.patience_s),
            wait=_wait,
            retry=tenacity.retry_if_exception_type((Unreachable, Changed)),
            sleep=self.sleep,
            reraise=True,
        )

    def _once(self, what: str, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except GithubException as wrong:
            raise error_for(what, self.who, wrong.status, _words(wrong.data), wrong.headers or {}) from wrong
        except RuntimeError as wrong:  # PyGithub raises this instead of following a redirect to another server
            if "redirected" not in str(wrong):
                raise
            raise Denied(
                f"{what}: {str(wrong)[:WORDS_CHARS_MAX]}; the token is not sent there. If that server is right, set "
                "GITHUB_API_URL"
            ) from wrong
        except KeyError as wrong:  # PyGithub takes a redirect that it does not follow as an answer
            raise Denied(
                f"{what}: GitHub's answer lacks {wrong}; if GITHUB_API_URL is redirected, set it to the target of "
                "the redirect"
            ) from wrong
        except requests.RequestException as wrong:
            raise Unreachable(f"{what}: GitHub did not answer ({type(wrong).__name__}); try again later") from wrong

    def _keep_to_budget(self) -> None:
        wait_s = self.meter.wait_s()
        if wait_s > self.patience_s:
            raise Limited("the fleet has used up the writes that GitHub allows", wait_s)
        if wait_s:
            self.sleep(wait_s)


_jitter = tenacity.wait_exponential_jitter(initial=FIRST_WAIT_S, max=WAIT_S_MAX)


def _wait(state: tenacity.RetryCallState) -> float:
    wrong = state.outcome.exception() if state.outcome else None
    asked_s = wrong.wait_s * 2 ** max(0, state.attempt_number - 2) if isinstance(wrong, Limited) else 0.0
    return max(asked_s, _jitter(state))


def error_for(what: str, who: str, status: int, message: str, headers: Mapping[str, str]) -> GitcoordError:
    """Return our error for an answer of GitHub. `what` was asked for by the credentials `who`."""
    headers = {name.lower(): value for name, value in headers.items()}
    limit_s = limited_s(status, message, headers)
    if limit_s is not None:
        return Limited(f"{what}: GitHub limits {who} ({status} {message})", limit_s)
    if status == 401:
        return BadCredentials(
            f"GitHub does not accept {who} (401 {message}): it has expired, was revoked, or is "
            "mistyped; make a new one and set it"
        )
    if status == 403 and "x-github-sso" in headers:
        return BadCredentials(
            f"{what}: {who} is not authorised for the organisation's single sign-on: authorise it in GitHub's settings"
        )
    if status == 403 and _lacks_right(message):
        wanted = headers.get("x-accepted-github-permissions") or headers.get("x-accepted-oauth-scopes")
        needs = f"it needs {wanted}" if wanted else "give it the rights that docs/github.md lists"
        return BadCredentials(f"{what}: {who} lacks a right (403 {message}): {needs}")
    if status == 404:
        return NotFound(f"{what} is not there, or {who} may not see it (404)")
    if status == 409:
        return Changed(f"{what}: somebody changed it meanwhile (409 {message})")
    if status == 422:
        return Unprocessable(f"{what}: GitHub refuses it (422 {message})")
    if status >= 500:
        return Unreachable(f"{what}: GitHub is in trouble ({status}); try again later")
    return Denied(f"{what}: GitHub refuses it ({status} {message})")


def limited_s(status: int, message: str, headers: Mapping[str, str]) -> float | None:
    """Return the seconds to wait if an answer says that a limit was reached; otherwise None.

    GitHub's "Rate limits for the REST API" says: obey `retry-after`, then `x-ratelimit-reset`, otherwise wait a minute.
    """
    if status not in (403, 429):
        return None
    after = headers.get("retry-after", "")
    if after.isdigit():
        return float(after)
    if headers.get("x-ratelimit-remaining") == "0" and headers.get("x-ratelimit-reset", "").isdigit():
        return max(1.0, float(headers["x-ratelimit-reset"]) - _date_s(headers) + 1)
    lowered = message.lower()
    return SECONDARY_WAIT_S if status == 429 or "rate limit" in lowered or "abuse detection" in lowered else None


def _date_s(headers: Mapping[str, str]) -> float:
    """Return the answer's time by GitHub's clock, because ours may be wrong; our time if it has none."""
    try:
        return parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, ValueError):
        return time.time()


def _lacks_right(message: str) -> bool:
    lowered = message.lower()
    return "resource not accessible" in lowered or "must have" in lowered or "requires authentication" in lowered


def _words(data: object) -> str:
    """Return GitHub's message, with the details of its errors, cut to WORDS_CHARS_MAX."""
    if not isinstance(data, Mapping):
        return str(data or "")[:WORDS_CHARS_MAX]
    errors = data.get("errors")
    parts = [
        str(one.get("message") or one) if isinstance(one, Mapping) else str(one)
        for one in (errors if isinstance(errors, list) else [])
    ]
    return "; ".join([str(data.get("message") or ""), *parts])[:WORDS_CHARS_MAX]
