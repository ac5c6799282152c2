"""An app's tokens live for an hour: git's and the API's are renewed before that; in an outage the old one is kept."""

from __future__ import annotations

import datetime
import os
from pathlib import Path

import pytest

import gitcoord
from gitcoord.github.api import account, credentials
from gitcoord.github.api.client import Client
from gitcoord.store.git import credentials as git_credentials
from gitcoord.store.git.credentials import LENT
from tests.github.conftest import Made
from tests.github.fake import FakeGitHub


class Clock:
    """Stands still until it is set; `account` reads it as the wall's."""

    def __init__(self, now: datetime.datetime) -> None:
        self.now = now

    def time(self) -> float:
        return self.now.timestamp()

    def pass_(self, **span: float) -> None:
        self.now += datetime.timedelta(**span)

    def in_an_hour(self) -> str:
        return f"{self.now + datetime.timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"


def test_an_apps_token_is_renewed_ten_minutes_before_it_ends(
    fake: FakeGitHub, app: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, said = Clock(datetime.datetime(2026, 11, 21, 10, 0, tzinfo=datetime.UTC)), list[str]()
    monkeypatch.setattr(account, "time", clock)
    for name, value in (app | {"GITHUB_API_URL": fake.url, "GITHUB_SERVER_URL": "https://git.firm.example"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(LENT, "")  # so that it is as before afterwards
    del os.environ[LENT]
    known = credentials.required(os.environ)
    fake.token, fake.token_ends = "first", clock.in_an_hour()
    with gitcoord.join(tmp_path / "alice", agent="alice") as me:
        looked_after = account.Account(me.node, "o/r", known, say=lambda kind, text: said.append(text))
        assert looked_after.is_due(0), "no command has lent one before"
        looked_after.step(0)
        clock.pass_(minutes=49, seconds=59)
        assert (os.environ[LENT], looked_after.is_due(0), fake.minted) == ("first", False, 1)
        fake.token, fake.token_ends = "second", clock.in_an_hour()
        clock.pass_(seconds=1)
        assert looked_after.is_due(0) and not looked_after.step(0)
        assert (os.environ[LENT], looked_after.is_due(0), fake.minted) == ("second", False, 2)
        clock.pass_(minutes=50)
        fake.fail(502, times=1)
        looked_after.step(0)
        assert os.environ[LENT] == "second" and said == [
            "the installation of o/r: GitHub is in trouble (502); try again later; retrying in 60 s"
        ]
        clock.pass_(seconds=59)
        assert not looked_after.is_due(0)
        fake.token, fake.token_ends = "third", clock.in_an_hour()
        clock.pass_(seconds=1)
        looked_after.step(0)
        assert os.environ[LENT] == "third"
    known_to_git = git_credentials.access(
        "https://git.firm.example/o/r.git", "", private={}, askpass=tmp_path / "ask", environ=os.environ
    )
    assert "third" in known_to_git.secrets


def test_the_apis_own_token_of_an_app_is_renewed_before_it_ends(
    fake: FakeGitHub, app: dict[str, str], made: Made
) -> None:
    """PyGithub asks for the next one by itself; a request with a token that is over would be a 401."""
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=5)
    fake.token, fake.token_ends = "first", f"{soon:%Y-%m-%dT%H:%M:%SZ}"
    client = Client("o/r", credentials.required(app), base_url=fake.url, sleep=made.slept.append)
    assert client.open_pulls() == []
    fake.token = "second"
    assert client.open_pulls() == [] and fake.minted == 2
    client.close()
