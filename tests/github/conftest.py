"""GitHub as the tests of gitcoord/github see it: the fake, and a client that never sleeps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gitcoord.github.api import client as clients
from gitcoord.github.api.client import Client
from gitcoord.github.api.credentials import App, Credentials
from tests.github.fake import FakeGitHub


class Made:
    """Makes clients, and remembers how long each would have slept."""

    def __init__(self, fake: FakeGitHub) -> None:
        self.fake = fake
        self.slept: list[float] = []
        self.open: list[Client] = []

    def __call__(
        self, name: str = "o/r", *, kind: Any = "token", token: str = "", app: App | None = None, **options: Any
    ) -> Client:
        credentials = Credentials(kind, "the token in GITCOORD_TOKEN", token or self.fake.token, app)
        options = {"base_url": self.fake.url, "sleep": self.slept.append} | options
        self.open.append(Client(name, credentials, **options))
        return self.open[-1]


@pytest.fixture(scope="session")
def pem() -> str:
    """A private key as GitHub gives it to the owner of an app."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    ).decode()


@pytest.fixture
def app(pem: str, tmp_path: Path) -> dict[str, str]:
    """The environment of an app's installation."""
    (tmp_path / "app.pem").write_text(pem, encoding="ascii")
    return {
        "GITCOORD_TOKEN": "",
        "GITCOORD_APP_ID": "7",
        "GITCOORD_APP_INSTALLATION": "8",
        "GITCOORD_APP_KEY": str(tmp_path / "app.pem"),
    }


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
