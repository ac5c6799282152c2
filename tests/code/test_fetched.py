"""What is fetched beside a user's repository: from where it is said to be, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitcoord.code import fetched
from gitcoord.code.fetched import Source
from gitcoord.core.errors import Unreachable
from tests.http_remote import HttpRemote

TOKEN = "s3cret-token"


@pytest.mark.parametrize("asks", ["heads", "bring"])
def test_a_repository_that_moved_is_told_with_its_new_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asks: str
) -> None:
    monkeypatch.setenv("GITCOORD_TOKEN", TOKEN)
    with HttpRemote(tmp_path / "server") as server, fetched.beside(None) as repository:
        server.make()
        there = {"Location": "https://elsewhere.example/new/name.git/info/refs?service=git-upload-pack"}
        server.respond(301, times=None, headers=there)
        source = Source(server.url())
        with pytest.raises(Unreachable, match="https://elsewhere.example/new/name.git; if that is right") as caught:
            fetched.heads(repository, source, ()) if asks == "heads" else fetched.bring(repository, source, ["a" * 40])
    assert TOKEN not in str(caught.value) and "info/refs" not in str(caught.value)
