"""Credentials are looked at before anything is begun: by init, by doctor, and by an agent that starts."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitcoord.github.api import account, urls
from tests.cli.clones import Result, gitcoord
from tests.github.fake import FakeGitHub
from tests.http_remote import HttpRemote
from tests.waiting import wait_until

PULL_ONLY = {"admin": False, "push": False, "pull": True}


class Machine:
    """A clone's folder, with a git server and the fake API in place of GitHub's; both take the same token."""

    def __init__(self, path: Path, git: HttpRemote, fake: FakeGitHub) -> None:
        self.path, self.git, self.fake = path, git, fake
        self.environment = {
            "GITHUB_SERVER_URL": git.url("").rstrip("/"),
            "GITHUB_API_URL": fake.url,
            "GITCOORD_TOKEN": fake.token,
            "GITCOORD_PROFILE": "local",
        }

    def __call__(self, *words: str, code: int = 0, **environment: str) -> Result:
        result = gitcoord(self.path, *words, environment=self.environment | environment)
        assert result.code == code, result
        return result

    def clone(self, name: str = "o/r") -> None:
        self.git.git("clone", "--quiet", str(self.git.root / f"{name}.git"), str(self.path), name=f"{name}.git")
        url = self.git.url(f"{name}.git")
        self.git.git("-C", str(self.path), "remote", "set-url", "origin", url, name=f"{name}.git")


@pytest.fixture
def machine(tmp_path: Path, fake: FakeGitHub) -> Iterator[Machine]:
    with HttpRemote(tmp_path / "server", token=fake.token) as server:
        server.make("o/r.git")
        fake.server = server.url("").rstrip("/")
        (tmp_path / "work").mkdir()
        yield Machine(tmp_path / "work", server, fake)


def test_init_makes_the_repository_where_it_is_missing_and_sets_the_remote(machine: Machine) -> None:
    machine.git.make("robot/work.git")
    out = machine("init", "--agent", "alice", "--github", "robot/work").out
    assert "made robot/work on GitHub, private" in out
    assert "founds fleet" in out
    assert machine.fake.repos["robot/work"].facts["private"]
    config = (machine.path / ".git" / "config").read_text()
    assert f"url = {machine.git.url('robot/work.git')}" in config
    assert machine.fake.token not in config
    assert "nothing to do" in machine("init", "--agent", "alice", "--github", "robot/work").out
    assert machine.fake.writes() == [("POST", "/user/repos")]


def test_init_leaves_another_remote_alone(machine: Machine) -> None:
    machine.clone()
    assert "has a remote origin already" in machine("init", "--agent", "alice", "--github", "o/other", code=2).err
    assert machine.fake.requests() == []


@pytest.mark.parametrize("words", [("init", "--agent", "alice"), ("agent", "run", "--once")])
@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        ("expired", "does not accept the token in GITCOORD_TOKEN (401 Bad credentials): it has expired"),
        ("scope", "lacks the scope `repo` (it has gist)"),
        ("elsewhere", "GitHub has no repository o/r, or the token in GITCOORD_TOKEN is for other repositories"),
        ("reader", "may read o/r, but not write to it"),
    ],
)
def test_each_way_in_which_credentials_do_not_fit_has_its_own_words(
    machine: Machine, words: tuple[str, ...], trouble: str, said: str
) -> None:
    machine.clone()
    if words[0] == "agent":
        machine("init", "--agent", "alice")
    if trouble == "expired":
        machine.fake.token = "another"
    elif trouble == "scope":
        machine.fake.scopes = "gist"
    elif trouble == "elsewhere":
        del machine.fake.repos["o/r"]
    else:
        machine.fake.repos["o/r"].facts["permissions"] = PULL_ONLY
    assert said in machine(*words, code=5).err


def test_an_outage_of_the_api_stops_nobody(machine: Machine) -> None:
    machine.clone()
    machine.fake.fail(502, times=99)
    assert "GitHub is in trouble (502)" in machine("init", "--agent", "alice").err


def test_a_token_of_another_program_is_left_alone(machine: Machine) -> None:
    machine.clone()
    machine("init", "--agent", "alice", GITCOORD_TOKEN="", GITHUB_TOKEN=machine.fake.token)
    assert machine.fake.requests() == []


def test_doctor_shows_what_is_left_of_the_quota(machine: Machine) -> None:
    machine.clone()
    machine("init", "--agent", "alice")
    rows = {row["check"]: row for row in machine("doctor", "--json").json()["findings"]}
    assert rows["github"]["seen"] == "the token in GITCOORD_TOKEN may use o/r"
    assert rows["quota"]["seen"].startswith(f"{machine.fake.left} of 5000 requests left, renewed in ")
    machine.fake.left = 12
    rows = {row["check"]: row for row in machine("doctor", "--json").json()["findings"]}
    assert rows["quota"]["state"] == "warn"
    machine.fake.token = "another"
    assert "it has expired" in machine("doctor", code=5).out


def test_an_agent_waits_for_other_credentials_when_told_to(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account, "RETRY_S", 0.05)
    file = tmp_path / "token"
    file.write_text("old\n")
    machine.clone()
    machine("init", "--agent", "alice")

    def renew() -> None:
        wait_until(lambda: len(machine.fake.requests()) > seen + 2, what="some looks with the old token")
        file.write_text(machine.fake.token)

    seen = len(machine.fake.requests())
    renewing = threading.Thread(target=renew)
    renewing.start()
    told = machine("agent", "run", "--once", "--wait-for-credentials", GITCOORD_TOKEN="", GITCOORD_TOKEN_FILE=str(file))
    renewing.join()
    assert told.err.count("waiting for new ones") >= 2
    assert "leads term 1 (here)" in told.err


def test_an_app_is_lent_a_token_for_git_and_its_use_is_told_in_beats(machine: Machine, app: dict[str, str]) -> None:
    machine.clone()
    machine("init", "--agent", "alice", **app)
    assert {request.user for request in machine.git.requests() if request.status == 200} == {"x-access-token"}
    machine("agent", "run", "--once", **app)
    assert machine.fake.minted >= 2
    outbox = machine.git.git("for-each-ref", "--format=%(refname)", "refs/gitcoord/nodes", name="o/r.git")
    heartbeats = machine.git.git("show", f"{outbox}:heartbeats.log", name="o/r.git")
    assert '"github":{"account":"gitcoord-app[bot]","writes":[0,0],"left":' in heartbeats
    assert machine("doctor", **app).out.count("the app 7 (installation 8) may use o/r") == 1


def test_an_app_that_is_no_app_is_told(machine: Machine) -> None:
    machine.clone()
    machine("init", "--agent", "alice")
    nothing = "-----BEGIN RSA PRIVATE KEY-----\nnothing\n-----END RSA PRIVATE KEY-----"
    app = {"GITCOORD_APP_ID": "7", "GITCOORD_APP_INSTALLATION": "8", "GITCOORD_APP_KEY": nothing}
    assert "no private key that can sign" in machine("sync", code=5, **app).err
    assert "but GITCOORD_APP_KEY is not" in machine("sync", code=5, **app | {"GITCOORD_APP_KEY": ""}).err
    assert (
        "but GITCOORD_APP_INSTALLATION is not" in machine("sync", code=5, **app | {"GITCOORD_APP_INSTALLATION": ""}).err
    )


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("git@github.com:o/r.git", "o/r"),
        ("https://github.com/o/r", "o/r"),
        ("ssh://git@ssh.github.com:443/o/r.git", "o/r"),
        ("https://x:y@github.com/o/r.git/", "o/r"),
        ("https://gitlab.com/o/r", None),
        ("/srv/o/r.git", None),
        ("https://github.com/o", None),
        ("https://github.com/o/../r", None),
        ("github.com:o/r/x", None),
    ],
)
def test_where_a_remote_lies_on_github(url: str, name: str | None) -> None:
    assert urls.repository_of(url, {}) == name


def test_where_the_api_is() -> None:
    assert urls.api_url({}) == "https://api.github.com"
    assert urls.api_url({"GITHUB_SERVER_URL": "https://git.firm.example"}) == "https://git.firm.example/api/v3"
    assert urls.api_url({"GITHUB_API_URL": "http://localhost:9/"}) == "http://localhost:9"
