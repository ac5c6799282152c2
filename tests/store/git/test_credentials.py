"""Where our credentials go: to the server that they are for, over a line that nobody reads, and into no argument."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gitcoord.core.errors import BadCredentials, Denied, Refused
from gitcoord.core.ports import PushOutcome
from gitcoord.store.git import credentials
from gitcoord.store.git.git_store import GitStore
from gitcoord.store.git.local_repo import init_repository, remote_url
from tests.http_remote import HttpRemote
from tests.store.git.test_git_store import ONE, TOKEN, git, look, new_store, push_one

FOR = "https://forge.example:8443"


@pytest.fixture
def askpass(tmp_path: Path) -> Path:
    path = tmp_path / "askpass"
    path.write_text(credentials.ASKPASS)
    path.chmod(0o700)
    return path


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Username for 'https://forge.example:8443': ", "x-access-token"),
        ("Password for 'https://x-access-token@forge.example:8443': ", TOKEN),
        ("Password for 'https://a@b@forge.example:8443': ", TOKEN),
        ("Password for 'https://u@forge.example:8443/o/r.git': ", TOKEN),
        ("Password for 'https://forge.example': ", None),
        ("Password for 'http://u@forge.example:8443': ", None),
        ("Password for 'https://u@evil.example': ", None),
        ("Password for 'https://forge.example:8443@evil.example': ", None),
        ("Password for 'https://evil.example/@forge.example:8443': ", None),
        ("Password for 'https://evil.example/forge.example:8443': ", None),
        ("Password for 'https://forge.example:8443.evil.example': ", None),
        ("Enter passphrase for key '/home/u/.ssh/id': ", None),
        ("Password: ", None),
        ("", None),
    ],
)
def test_the_token_is_told_to_the_server_that_it_is_for(askpass: Path, question: str, answer: str | None) -> None:
    environ = {"PATH": os.environ["PATH"], "GITCOORD_ASKPASS_TOKEN": TOKEN, "GITCOORD_ASKPASS_FOR": FOR}
    done = subprocess.run([askpass, question], env=environ, capture_output=True, text=True, check=False)
    assert (done.stdout.strip() or None) == answer and TOKEN not in done.stderr
    assert (done.returncode == 0) is (answer is not None)


class Redirect(BaseHTTPRequestHandler):
    """Answers 401 without credentials, and then with a redirect; notes what it was told."""

    base, status = "", 301
    told: list[str]

    def do_GET(self) -> None:
        said = self.headers.get("Authorization")
        if said is None:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="x"')
        else:
            self.told.append(said)
            self.send_response(self.status)
            self.send_header("Location", self.base + self.path)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def elsewhere() -> Iterator[tuple[str, list[str]]]:
    """Another server, and what it was told."""
    told: list[str] = []
    yield from _serving(type("Elsewhere", (Redirect,), {"told": told, "status": 404}), told)


def _serving(handler: type[Redirect], told: list[str]) -> Iterator[tuple[str, list[str]]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", told
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("kind", ["token", "url", "helper"])
def test_no_credential_follows_a_redirect_to_another_server(
    tmp_path: Path, elsewhere: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch, kind: str, status: int
) -> None:
    there, told = elsewhere
    here: list[str] = []
    handler = type("Here", (Redirect,), {"told": here, "base": there, "status": status})
    init_repository(tmp_path / "clone")
    if kind == "token":
        monkeypatch.setenv("GITCOORD_TOKEN", TOKEN)
    if kind == "helper":
        git(tmp_path / "clone", "config", "credential.helper", f"!echo username=me; echo password={TOKEN}; true")
    git(tmp_path / "clone", "config", "http.followRedirects", "true")
    serving = _serving(handler, here)
    base, _ = next(serving)
    url = base.replace("//", f"//me:{TOKEN}@") if kind == "url" else base
    with new_store(tmp_path, f"{url}/o/r.git", config_from=tmp_path / "clone") as store:
        with pytest.raises(Denied, match=f"it is now at {there}/o/r.git.*git remote set-url"):
            store.fetch()
        assert push_one(store).outcome is not PushOutcome.ACCEPTED
    next(serving, None)
    assert here and not told, "the first server is told, the other one is not"


def test_a_repository_that_moved_on_its_server_is_found_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITCOORD_TOKEN", TOKEN)
    with HttpRemote(tmp_path / "server", token=TOKEN) as server:
        server.make("new.git")
        moved = {"Location": server.url("new.git") + "/info/refs?service=git-upload-pack"}
        server.respond(301, times=None, when=lambda _, path: "old.git" in path, headers=moved)
        with new_store(tmp_path, server.url("old.git")) as store:
            assert store.fetch().refs == {}
            assert push_one(store).outcome is PushOutcome.ACCEPTED
            assert set(store.fetch().refs) == {ONE}
            assert store.moved_to == server.url("new.git")


def test_addresses_that_name_each_other_come_to_an_end(tmp_path: Path) -> None:
    with HttpRemote(tmp_path / "server") as server:
        for one, other in (("a.git", "b.git"), ("b.git", "a.git")):
            there = {"Location": server.url(other) + "/info/refs?service=git-upload-pack"}
            server.respond(302, times=None, when=lambda _, path, one=one: one in path, headers=there)
        with new_store(tmp_path, server.url("a.git")) as store, pytest.raises(Exception, match="302"):
            store.fetch()


@pytest.mark.parametrize("name", ["GITCOORD_TOKEN", "GITHUB_TOKEN"])
def test_a_token_is_sent_over_no_plain_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, TOKEN)
    monkeypatch.setenv("GITHUB_SERVER_URL", "http://forge.invalid")
    with new_store(tmp_path, "http://forge.invalid/o/r.git") as store:
        with pytest.raises(BadCredentials, match="plain http.*https") as caught:
            store.fetch()
    assert TOKEN not in str(caught.value)


def test_githubs_token_goes_to_its_very_server(tmp_path: Path) -> None:
    def tokens(url: str, server: str, listing: str = "") -> str:
        environ = {"GITHUB_TOKEN": TOKEN, "GITHUB_SERVER_URL": server}
        found = credentials.access(url, listing, private={}, askpass=tmp_path, environ=environ)
        return found.environment.get("GITCOORD_ASKPASS_TOKEN", "")

    assert tokens("https://github.com:443/o/r", "https://github.com") == TOKEN
    assert tokens("https://github.com:8443/o/r", "https://github.com") == ""
    assert tokens("http://localhost:1/o/r", "http://localhost:2") == ""
    assert (
        tokens(
            "https://github.com/o/r",
            "https://github.com",
            "local\0url.https://evil.example/.insteadof\nhttps://github.com/\0",
        )
        == ""
    )


@pytest.mark.parametrize("where", ["url", "insteadOf", "pushInsteadOf", "of itself", "twice", "user", "name"])
def test_no_part_of_a_urls_login_is_in_any_argument(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    init_repository(tmp_path / "clone")
    seen: list[str] = []
    with HttpRemote(tmp_path / "server", token=TOKEN) as server:
        server.make()
        host = f"http://me:{TOKEN}@127.0.0.1:{server.port}/"
        url = f"{host}fleet.git"
        if where in ("insteadOf", "pushInsteadOf"):
            git(tmp_path / "clone", "config", f"url.{host}.{where}", "fleet:")
            git(tmp_path / "clone", "config", f"url.{host}.insteadOf", "fleet:")
            url = "fleet:fleet.git"
        if where in ("of itself", "twice"):  # git would rewrite what we have rewritten, and bring the password back
            for rewrites in ("insteadOf", "pushInsteadOf"):
                git(tmp_path / "clone", "config", f"url.{url}.{rewrites}", f"http://127.0.0.1:{server.port}/fleet.git")
            url = f"http://127.0.0.1:{server.port}/fleet.git"
        if where == "twice":
            git(tmp_path / "clone", "config", f"url.{host}.insteadOf", "fleet:")
            url = "fleet:fleet.git"
        if where == "user":  # a token may stand in the user's place
            monkeypatch.setenv("GITCOORD_TOKEN", TOKEN)
            url = f"http://{TOKEN}@127.0.0.1:{server.port}/fleet.git"
        if where == "name":
            real = subprocess.Popen

            def noted(command: list[str], **options: object) -> object:
                seen.append(" ".join(map(str, command)))
                return real(command, **options)  # type: ignore[call-overload]

            monkeypatch.setattr(subprocess, "Popen", noted)
            assert remote_url(tmp_path / "clone", url) is None
        with new_store(tmp_path, url, config_from=tmp_path / "clone", timeout_s=5.0) as store:
            with server.hold(when=lambda *_: bool(look(seen)) or True, times=1):
                push_one(store)
            written = [path for path in store.path.rglob("*") if path.is_file()]
            assert not any(TOKEN.encode() in path.read_bytes() for path in written)
    assert any("remote-http" in line for line in seen) and not any(TOKEN in line for line in seen)


def test_a_password_for_ssh_is_refused(tmp_path: Path) -> None:
    with new_store(tmp_path, f"ssh://me:{TOKEN}@h/x") as store, pytest.raises(Refused) as caught:
        store.fetch()
    assert TOKEN not in str(caught.value)


def test_a_store_of_an_earlier_version_gets_the_askpass_of_this_one(tmp_path: Path) -> None:
    path = tmp_path / "store.git"
    GitStore.create(path)
    (path / "askpass").write_text("#!/bin/sh\necho $GITCOORD_ASKPASS_TOKEN\n")
    GitStore.create(path)
    assert (path / "askpass").read_text() == credentials.ASKPASS
