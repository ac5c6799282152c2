"""What the tests of the action and the workflows begin with: files of the project, and a package made of it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.actions.runner import OFFLINE, make_python
from tests.github.fake import FakeGitHub
from tests.http_remote import HttpRemote

TOP = Path(__file__).resolve().parents[2]
TOKEN = "the-token-of-a-workflow"
KEY = "5a" * 32
BUILT_FROM = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE")


@dataclass(frozen=True)
class GitHub:
    """What a runner talks to: git behind HTTP, and the API. There is one repository, octo/fleet."""

    git: HttpRemote
    api: FakeGitHub

    @property
    def url(self) -> str:
        return self.git.url("octo/fleet.git")

    @property
    def context(self) -> dict[str, Any]:
        return {"server_url": self.git.url("").removesuffix("/"), "repository": "octo/fleet", "token": TOKEN}

    @property
    def environment(self) -> dict[str, str]:
        return {
            "GITHUB_SERVER_URL": self.context["server_url"],
            "GITHUB_REPOSITORY": "octo/fleet",
            "GITHUB_API_URL": self.api.url,
        }


@pytest.fixture(scope="module")
def github(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitHub]:
    with HttpRemote(tmp_path_factory.mktemp("server"), token=TOKEN) as git, FakeGitHub() as api:
        git.make("octo/fleet.git")
        api.token = TOKEN
        api.repo("octo/fleet")
        yield GitHub(git, api)


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as a runner checks an action out: to install it leaves files behind."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(TOP / "gitcoord", folder / "gitcoord", ignore=shutil.ignore_patterns("__pycache__"))
    for name in BUILT_FROM:
        shutil.copy(TOP / name, folder)
    return folder


@pytest.fixture(scope="session")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-I", "-m", "pip", "wheel", "--quiet", "--wheel-dir", str(folder), str(checkout)],
        check=True,
        env={"PATH": "", "HOME": str(folder), **OFFLINE},
    )
    return next(folder.iterdir())


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter to install into; pip and what gitcoord depends on come from the tests' own environment."""
    folder = tmp_path_factory.mktemp("python")
    return make_python(folder)
