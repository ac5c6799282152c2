"""Origin: the very commit that is running, from where others can fetch it; and never a name that anybody may take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import gitcoord
from gitcoord.core.errors import Refused
from gitcoord.github import install_source
from tests.code.kinds import Builder

COMMIT = "0123abc"


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What pip noted when it installed gitcoord; empty: nothing."""
    noted: dict[str, Any] = {}

    class Distribution:
        def read_text(self, name: str) -> str | None:
            assert name == "direct_url.json"
            return json.dumps(noted) if noted else None

    monkeypatch.setattr("importlib.metadata.distribution", lambda name: Distribution())
    return noted


@pytest.fixture
def checkout(tmp_path: Path, installed: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Builder:
    """gitcoord runs from a checkout whose only commit is in the remote's main."""
    (tmp_path / "checkout").mkdir()
    work = Builder(tmp_path / "checkout")
    work.write("gitcoord/__init__.py", "")
    work.commit("all there is")
    work.git("remote", "add", "origin", "git@github.com:OWNER/gitcoord.git")
    work.git("update-ref", "refs/remotes/origin/main", "HEAD")
    monkeypatch.setattr(gitcoord, "__file__", str(work.folder / "gitcoord" / "__init__.py"))
    return work


def test_what_was_installed_from_a_commit_is_that_commit(installed: dict[str, Any]) -> None:
    installed |= {"url": "https://host.invalid/r.git", "vcs_info": {"vcs": "git", "commit_id": COMMIT}}
    assert install_source.of_this_version() == f"git+https://host.invalid/r.git@{COMMIT}"


@pytest.mark.parametrize(
    "noted",
    [
        {},
        {"url": "file:///somewhere", "dir_info": {}},
        {"url": "file:///somewhere", "vcs_info": {"vcs": "git", "commit_id": COMMIT}},
    ],
)
def test_what_came_from_an_index_or_a_folder_is_asked_for(
    installed: dict[str, Any], noted: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    installed |= noted
    monkeypatch.setattr(gitcoord, "__file__", str(tmp_path / "site-packages" / "gitcoord" / "__init__.py"))
    with pytest.raises(Refused, match=r"--source git\+https"):
        install_source.of_this_version()


@pytest.mark.parametrize(
    "url, said",
    [
        ("git@github.com:OWNER/gitcoord.git", "https://github.com/OWNER/gitcoord"),
        ("https://name:secret@git.firm.example/x/gitcoord.git", "https://git.firm.example/x/gitcoord.git"),
    ],
)
def test_a_checkout_is_its_commit_at_its_remote_without_a_password(checkout: Builder, url: str, said: str) -> None:
    checkout.git("remote", "set-url", "origin", url)
    head = checkout.git("rev-parse", "HEAD").strip()
    assert install_source.of_this_version() == f"git+{said}@{head}"


def test_a_checkout_that_others_cannot_have_is_asked_about(checkout: Builder) -> None:
    checkout.write("gitcoord/new.py", "")
    with pytest.raises(Refused, match="has uncommitted changes"):
        install_source.of_this_version()
    checkout.commit("new")
    with pytest.raises(Refused, match="is not in any fetched branch of its remote"):
        install_source.of_this_version()
    for url in ("/srv/gitcoord.git", "ssh://host.invalid/gitcoord.git"):
        checkout.git("remote", "set-url", "origin", url)
        with pytest.raises(Refused, match="no remote origin that pip could fetch from"):
            install_source.of_this_version()
