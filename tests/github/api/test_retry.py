"""Bad days of GitHub's: each has its own words and exit code, and no wait is longer than was allowed."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from gitcoord.core.errors import BadCredentials, Denied, GitcoordError, Lost, Unreachable
from gitcoord.github.api import upsert
from gitcoord.github.api.client import Client
from gitcoord.github.api.models import marker
from gitcoord.github.api.retry import Limited, error_for
from tests.github.conftest import Made
from tests.github.fake import FakeGitHub, is_write

SECONDARY = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
NOW = 1_800_000_000


def headers(**more: str) -> dict[str, str]:
    return {"Date": formatdate(NOW, usegmt=True), **{name.replace("_", "-"): value for name, value in more.items()}}


@pytest.mark.parametrize(
    ("status", "message", "sent", "kind", "words", "code"),
    [
        (
            401,
            "Bad credentials",
            {},
            BadCredentials,
            "does not accept the token (401 Bad credentials): it has expired",
            5,
        ),
        (
            403,
            "Resource not accessible by personal access token",
            {"X-Accepted-GitHub-Permissions": "pull_requests=write"},
            BadCredentials,
            "it needs pull_requests=write",
            5,
        ),
        (403, "Must have admin rights to Repository.", {}, BadCredentials, "lacks a right", 5),
        (
            403,
            "Resource protected by organization SAML enforcement.",
            {"X-GitHub-SSO": "required; url=u"},
            BadCredentials,
            "single sign-on",
            5,
        ),
        (403, "Repository was archived so is read-only.", {}, Denied, "GitHub refuses it (403", 1),
        (404, "Not Found", {}, Denied, "a thing is not there, or the token may not see it", 1),
        (409, "Git Repository is empty.", {}, Lost, "changed it meanwhile", 3),
        (422, "Validation Failed", {}, Denied, "GitHub refuses it (422 Validation Failed)", 1),
        (500, "Server Error", {}, Unreachable, "GitHub is in trouble (500)", 4),
    ],
)
def test_every_answer_has_its_own_words_and_exit_code(
    status: int, message: str, sent: dict[str, str], kind: type[GitcoordError], words: str, code: int
) -> None:
    wrong = error_for("a thing", "the token", status, message, sent)
    assert isinstance(wrong, kind)
    assert words in str(wrong)
    assert wrong.exit_code == code


@pytest.mark.parametrize(
    ("status", "message", "sent", "seconds"),
    [
        (403, SECONDARY, headers(Retry_After="17"), 17),
        (403, SECONDARY, headers(), 60),
        (429, "Too Many Requests", headers(Retry_After="17"), 17),
        (429, "Too Many Requests", headers(), 60),
        (
            403,
            "API rate limit exceeded for user ID 1.",
            headers(X_RateLimit_Remaining="0", X_RateLimit_Reset=str(NOW + 1800)),
            1801,
        ),
    ],
)
def test_a_limit_says_how_long_by_githubs_own_clock(
    status: int, message: str, sent: dict[str, str], seconds: float
) -> None:
    wrong = error_for("a thing", "the token", status, message, sent)
    assert isinstance(wrong, Limited)
    assert wrong.wait_s == seconds
    assert "try again after" in str(wrong)


@pytest.mark.parametrize("status", [403, 429])
@pytest.mark.parametrize("after", [{}, {"Retry-After": "40"}])
def test_a_short_limit_is_waited_for(fake: FakeGitHub, made: Made, status: int, after: dict[str, str]) -> None:
    fake.pull(3)
    fake.fail(status, message=SECONDARY, headers=after)
    assert made().pull(3).number == 3
    assert made.slept == [40 if after else 60]


def test_a_long_limit_is_told_and_not_slept_through(fake: FakeGitHub, made: Made) -> None:
    fake.fail(403, message=SECONDARY, headers={"Retry-After": "3600"})
    with pytest.raises(Limited, match="in 60 min") as caught:
        made().pull(3)
    assert caught.value.again_at == pytest.approx(time.time() + 3600, abs=5)
    assert made.slept == []
    assert len(fake.requests()) == 1


def test_who_has_no_patience_waits_for_nothing(fake: FakeGitHub, made: Made) -> None:
    fake.fail(502, times=9)
    with pytest.raises(Unreachable, match="in trouble"):
        made(patience_s=0.5).pull(3)
    assert made.slept == []


def test_reads_are_tried_again_with_growing_waits(fake: FakeGitHub, made: Made) -> None:
    fake.pull(3)
    fake.fail(502, times=4)
    assert made().pull(3).number == 3
    assert len(made.slept) == 4
    assert made.slept == sorted(made.slept)


def test_a_write_that_meets_a_limit_is_made_once(fake: FakeGitHub, made: Made) -> None:
    client = made()
    fake.fail(403, when=is_write, message=SECONDARY)
    upsert.put_issue(client, marker=marker("x"), title="t", body="b")
    assert made.slept == [60]
    assert len(client.issues()) == 1


def test_what_cannot_succeed_is_not_tried_again(fake: FakeGitHub, made: Made) -> None:
    fake.fail(422, when=is_write, message="Validation Failed", times=9)
    with pytest.raises(Denied, match="422 Validation Failed"):
        upsert.put_issue(made(), marker=marker("x"), title="t", body="b")
    assert len(fake.writes()) == 1


def test_a_conflict_is_tried_again_after_another_look(fake: FakeGitHub, made: Made) -> None:
    client = made()
    fake.fail(409, when=is_write, message="conflict")
    upsert.put_issue(client, marker=marker("x"), title="t", body="b")
    assert len(client.issues()) == 1


def test_an_expired_token_is_told(fake: FakeGitHub, client: Client) -> None:
    fake.token = "another"
    with pytest.raises(BadCredentials, match=r"does not accept the token in GITCOORD_TOKEN \(401 Bad credentials\)"):
        client.pull(3)


def test_no_answer_at_all_is_an_outage(made: Made) -> None:
    with pytest.raises(Unreachable, match="GitHub did not answer"):
        made(base_url="http://127.0.0.1:9").pull(3)
    assert len(made.slept) == 4


def test_no_token_is_in_any_message(fake: FakeGitHub, made: Made) -> None:
    client = made(token="s3cret-token")
    with pytest.raises(BadCredentials) as caught:
        client.pull(3)
    assert "s3cret" not in str(caught.value) + repr(client.credentials)
