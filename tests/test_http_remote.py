"""The git server of the tests is a real one, and its faults are what they claim to be."""

from __future__ import annotations

import gzip
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.http_remote import HttpRemote, is_fetch, is_push
from tests.waiting import WAIT_S, wait_until

REF = "refs/heads/main"


def git(*arguments: str | Path, at: Path, ok: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(["git", *map(str, arguments)], cwd=at, capture_output=True, text=True, timeout=WAIT_S)
    assert (done.returncode == 0) == ok, f"git {arguments}: {done}"
    return done


def clone(url: str, path: Path) -> Path:
    git("clone", "--quiet", url, path, at=path.parent)
    return path


def commit(at: Path, words: str) -> str:
    git("commit", "--quiet", "--allow-empty", "-m", words, at=at)
    return git("rev-parse", "HEAD", at=at).stdout.strip()


def push(at: Path, *, expect: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
    lease = f"--force-with-lease={REF}:{expect}"
    return git("push", "--porcelain", lease, "origin", f"HEAD:{REF}", at=at, ok=ok)


@pytest.fixture
def alice(http_remote: HttpRemote, tmp_path: Path) -> Path:
    return clone(http_remote.make("fleet.git"), tmp_path / "alice")


def test_a_push_with_lease_is_cloned(http_remote: HttpRemote, alice: Path, tmp_path: Path) -> None:
    first = commit(alice, "first")
    push(alice, expect="")
    second = commit(alice, "second")
    push(alice, expect=first)
    bob = clone(http_remote.url(), tmp_path / "bob")
    assert git("rev-parse", "HEAD", at=bob).stdout.strip() == second == http_remote.git("rev-parse", REF)


def test_a_stale_lease_is_rejected(http_remote: HttpRemote, alice: Path, tmp_path: Path) -> None:
    first = commit(alice, "first")
    push(alice, expect="")
    bob = clone(http_remote.url(), tmp_path / "bob")
    commit(bob, "bob's")
    commit(alice, "alice's")
    push(bob, expect=first)
    assert "[rejected] (stale info)" in push(alice, expect=first, ok=False).stdout


def test_eight_writers_at_once_have_one_winner(http_remote: HttpRemote, alice: Path) -> None:
    base = commit(alice, "first")
    push(alice, expect="")
    tips = [commit(alice, f"try {number}") for number in range(8)]
    command = ["git", "push", "--porcelain", f"--force-with-lease={REF}:{base}", "origin"]
    quiet = subprocess.DEVNULL
    writers = [subprocess.Popen([*command, f"{tip}:{REF}"], cwd=alice, stdout=quiet, stderr=quiet) for tip in tips]
    won = [tip for tip, writer in zip(tips, writers, strict=True) if writer.wait(60) == 0]
    assert won == [http_remote.git("rev-parse", REF)]


def test_a_wrong_token_is_401_and_the_right_one_works(tmp_path: Path) -> None:
    with HttpRemote(tmp_path / "server", token="s3cret/:@") as server:
        server.make("fleet.git")
        for url in (server.url(), server.url(password="wrong")):
            git("ls-remote", url, at=tmp_path, ok=False)
        assert {request.status for request in server.requests()} == {401}
        git("ls-remote", server.url(user="alice", password="s3cret/:@"), at=tmp_path)
        assert (server.requests()[-1].status, server.requests()[-1].user) == (200, "alice")
        server.token = "revoked"
        git("ls-remote", server.url(password="s3cret/:@"), at=tmp_path, ok=False)


def test_two_authorization_headers_are_400(tmp_path: Path) -> None:
    with HttpRemote(tmp_path / "server", token="t") as server:
        server.make("fleet.git")
        header = ["-c", "http.extraHeader=Authorization: Basic eDp0"]
        git(*header, "ls-remote", server.url(), at=tmp_path)
        git(*header, *header, "ls-remote", server.url(), at=tmp_path, ok=False)
        assert server.requests()[-1].status == 400


def test_an_outage_refuses_and_the_same_url_works_again(http_remote: HttpRemote, alice: Path) -> None:
    commit(alice, "first")
    with http_remote.outage():
        before = len(http_remote.requests())
        done = push(alice, expect="", ok=False)
        assert "refused" in done.stderr.lower() or "connect" in done.stderr.lower(), done
        assert len(http_remote.requests()) == before
    push(alice, expect="")


@pytest.mark.parametrize("status", [401, 403, 429, 500, 502])
def test_an_injected_answer_comes_so_many_times(http_remote: HttpRemote, alice: Path, status: int) -> None:
    http_remote.respond(status, times=1, headers={"Retry-After": "7"})
    done = git("ls-remote", "origin", at=alice, ok=False)
    assert str(status) in done.stderr or status == 401
    git("ls-remote", "origin", at=alice)


def test_an_injected_answer_may_last_and_choose(http_remote: HttpRemote, alice: Path) -> None:
    commit(alice, "first")
    with http_remote.respond(403, times=None, when=is_push) as fault:
        for _ in range(2):
            assert "403" in push(alice, expect="", ok=False).stderr
        git("ls-remote", "origin", at=alice)
    assert fault.hits == 2
    push(alice, expect="")


@pytest.mark.parametrize("after_bytes", [0, 50, 10_000_000])
def test_a_cut_body_applies_nothing(http_remote: HttpRemote, alice: Path, after_bytes: int) -> None:
    commit(alice, "first")
    fault = http_remote.cut(after_bytes=after_bytes)
    push(alice, expect="", ok=False)
    assert fault.hits == 1
    assert [(request.status, request.applied) for request in http_remote.requests(is_push)] == [(None, False)]
    assert http_remote.git("for-each-ref") == ""
    push(alice, expect="")


@pytest.mark.parametrize("after_bytes", [0, 30, 200])
def test_a_cut_answer_leaves_it_applied(http_remote: HttpRemote, alice: Path, after_bytes: int) -> None:
    tip = commit(alice, "first")
    http_remote.cut(after_bytes=after_bytes, applied=True)
    push(alice, expect="", ok=False)
    assert [(request.status, request.applied) for request in http_remote.requests(is_push)] == [(None, True)]
    assert http_remote.git("rev-parse", REF) == tip


def test_a_large_push_comes_in_chunks(http_remote: HttpRemote, alice: Path) -> None:
    (alice / "noise").write_bytes(os.urandom(5_000_000))
    git("add", "noise", at=alice)
    tip = commit(alice, "noise")
    http_remote.cut(after_bytes=1_000_000)
    push(alice, expect="", ok=False)
    assert http_remote.git("for-each-ref") == ""
    push(alice, expect="")
    assert http_remote.git("rev-parse", REF) == tip
    assert http_remote.requests(is_push)[-1].body_bytes > 5_000_000


def test_a_compressed_body_is_understood(http_remote: HttpRemote, alice: Path) -> None:
    commit(alice, "first")
    push(alice, expect="")
    body = b"0014command=ls-refs\n00010000"
    headers = {
        "Content-Type": "application/x-git-upload-pack-request",
        "Content-Encoding": "gzip",
        "Git-Protocol": "version=2",
    }
    url = http_remote.url() + "/git-upload-pack"
    post = urllib.request.Request(url, gzip.compress(body), headers)
    with urllib.request.urlopen(post, timeout=30) as answer:
        assert REF.encode() in answer.read()


def test_a_held_push_is_applied_after_its_client_died(http_remote: HttpRemote, alice: Path) -> None:
    tip = commit(alice, "first")
    with http_remote.hold() as fault:
        command = ["git", "push", "-q", "origin", f"HEAD:{REF}"]
        client = subprocess.Popen(command, cwd=alice, start_new_session=True)
        wait_until(lambda: fault.hits, what="the push to arrive")
        os.killpg(client.pid, 9)
        client.wait(10)
        assert http_remote.git("for-each-ref") == ""
    wait_until(lambda: tip in http_remote.git("for-each-ref"), what="the push to land")


def test_a_delay_holds_fetches_only_if_told(http_remote: HttpRemote, alice: Path) -> None:
    http_remote.delay(0.2, when=is_fetch, times=1)
    began = time.monotonic()
    git("ls-remote", "origin", at=alice)
    assert time.monotonic() - began >= 0.2


def test_an_unknown_repository_is_404(http_remote: HttpRemote) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(http_remote.url("none.git") + "/info/refs?service=git-upload-pack", timeout=30)


def test_nothing_but_loopback_can_be_reached(tmp_path: Path) -> None:
    with socket.socket() as beyond, pytest.raises(AssertionError, match="loopback only"):
        beyond.connect(("192.0.2.1", 80))
    with pytest.raises(AssertionError, match="loopback only"):
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open("http://a.invalid/", timeout=1)
    assert "127.0.0.1" in git("ls-remote", "http://192.0.2.1/fleet.git", at=tmp_path, ok=False).stderr


def test_a_backend_that_takes_its_time_answers_all_the_same(
    http_remote: HttpRemote, alice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.http_remote.LOOK_SECONDS", 0.001)
    first = commit(alice, "first")
    push(alice, expect="")
    assert git("rev-parse", "HEAD", at=clone(http_remote.url(), tmp_path / "bob")).stdout.strip() == first


def test_a_read_ends_when_its_client_has_gone_and_one_that_takes_too_long_is_504(
    http_remote: HttpRemote, alice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\necho $$ >>pids\nexec sleep 1000\n")
    slow.chmod(0o700)
    monkeypatch.chdir(tmp_path)
    http_remote.backend = str(slow)
    with socket.create_connection(("127.0.0.1", http_remote.port)) as client:
        client.sendall(b"GET /fleet.git/info/refs?service=git-upload-pack HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: (tmp_path / "pids").exists(), what="the backend to begin")
    wait_until(lambda: not http_remote._connections, what="the backend to end")
    monkeypatch.setattr("tests.http_remote.BACKEND_SECONDS_MAX", 0.2)
    with pytest.raises(urllib.error.HTTPError, match="504"):
        urllib.request.urlopen(f"{http_remote.url()}/info/refs?service=git-upload-pack")
