"""GitHub as the tests of gitcoord/github see it: the fake, and a client that never sleeps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from gitcoord.github import client as clients
from gitcoord.github.client import Client
from gitcoord.github.credentials import Credentials
from tests.github.fake import FakeGitHub


class Made:
    """Makes clients, and remembers how long each would have slept."""

    def __init__(self, fake: FakeGitHub) -> None:
        self.fake = fake
        self.slept: list[float] = []
        self.open: list[Client] = []

    def __call__(self, name: str = "o/r", *, kind: Any = "token", token: str = "", **options: Any) -> Client:
        credentials = Credentials(kind, "the token in GITCOORD_TOKEN", token or self.fake.token)
        options = {"base_url": self.fake.url, "sleep": self.slept.append} | options
        self.open.append(Client(name, credentials, **options))
        return self.open[-1]


@pytest.fixture
def fake() -> Iterator[FakeGitHub]:
    with FakeGitHub() as one:
        yield one


@pytest.fixture
def made(fake: FakeGitHub, monkeypatch: pytest.MonkeyPatch) -> Iterator[Made]:
    monkeypatch.setattr(clients, "BETWEEN_WRITES_S", None)
    made = Made(fake)
    yield made
    for client in made.open:
        client.close()


@pytest.fixture
def client(made: Made) -> Client:
    return made()
