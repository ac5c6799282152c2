"""What a bad line does to a push is classified as it must be; afterwards nothing is lost, and nothing is there twice.

(`tests/system/test_outage.py` has the outage, 429, 500, 502 for a while, credentials that end, a slow remote.)
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gitcoord.core.errors import BadCredentials, Denied, Unreachable
from gitcoord.core.ports import PushOutcome, Update
from gitcoord.store.git.git_store import GitStore
from tests.faults.proxy import Proxy, Spoilt
from tests.http_remote import HttpRemote, is_any, is_fetch, is_push
from tests.system.fleet import Clone, Fleet

REF = "refs/gitcoord/nodes/n1"
PUSHED = "POST /fleet.git/git-receive-pack"
TIMEOUT_S = 3.0
BASIC = {"WWW-Authenticate": "Basic"}

Weather = Callable[[HttpRemote, Proxy], object]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[HttpRemote]:
    with HttpRemote(tmp_path / "server") as server:
        server.make()
        yield server


@pytest.fixture
def proxy(server: HttpRemote) -> Iterator[Proxy]:
    with Proxy(server.port) as proxy:
        yield proxy


@pytest.fixture
def store(tmp_path: Path, proxy: Proxy) -> Iterator[GitStore]:
    GitStore.create(tmp_path / "store.git")
    with GitStore(
        tmp_path / "store.git",
        url=proxy.url(),
        ledger_ref="refs/heads/gitcoord/ledger",
        outbox_prefix="refs/gitcoord/nodes/",
        timeout_s=TIMEOUT_S,
    ) as store:
        yield store


def commit(store: GitStore, content: bytes) -> str:
    tree = store.put_tree({})
    return store.put_commit(tree=tree, parents=[], message=content.decode(), author="x", time_s=0)


AFTER, NOT_THERE = ("new",), (None,)  # what the ref holds afterwards: a push may arrive though it seemed lost
LOST = {PushOutcome.UNKNOWN, PushOutcome.UNREACHABLE}
PUSHES: dict[str, tuple[Weather, set[PushOutcome], tuple[str | None, ...]]] = {
    "request cut in its head": (lambda s, p: p.spoil(cut_request_after=40), LOST, NOT_THERE),
    "request cut in its body": (lambda s, p: p.spoil(cut_request_after=600), LOST, NOT_THERE),
    "no answer": (lambda s, p: p.spoil(cut_answer_after=0), {PushOutcome.UNKNOWN}, AFTER),
    "answer cut in its head": (lambda s, p: p.spoil(cut_answer_after=60), {PushOutcome.UNKNOWN}, AFTER),
    "answer cut in its body": (
        lambda s, p: p.spoil(cut_answer_after=200),
        {PushOutcome.UNKNOWN, PushOutcome.ACCEPTED},
        AFTER,
    ),
    "answer stalls": (lambda s, p: p.spoil(stall_after=100), {PushOutcome.UNKNOWN}, AFTER),
    "advertisement cut": (lambda s, p: p.spoil("git-receive-pack", cut_answer_after=100), LOST, NOT_THERE),
    "advertisement stalls": (lambda s, p: p.spoil("git-receive-pack", stall_after=100), LOST, NOT_THERE),
    "sent twice": (
        lambda s, p: p.spoil(twice=True),
        {PushOutcome.STALE, PushOutcome.DENIED, PushOutcome.UNKNOWN, PushOutcome.ACCEPTED},
        AFTER,
    ),
    "slow": (lambda s, p: p.spoil("git-receive-pack", times=9, bytes_per_s=4000), {PushOutcome.ACCEPTED}, AFTER),
    "401": (lambda s, p: s.respond(401, times=None, headers=BASIC), {PushOutcome.DENIED}, NOT_THERE),
    "403": (lambda s, p: s.respond(403, times=None), {PushOutcome.DENIED}, NOT_THERE),
    "403 to the push itself": (lambda s, p: s.respond(403, when=is_push), {PushOutcome.DENIED}, NOT_THERE),
    "429": (
        lambda s, p: s.respond(429, times=None, headers={"Retry-After": "1"}),
        {PushOutcome.UNREACHABLE},
        NOT_THERE,
    ),
    "429 to the push itself": (lambda s, p: s.respond(429, when=is_push), LOST, NOT_THERE),
    "500": (lambda s, p: s.respond(500, times=None), {PushOutcome.UNREACHABLE}, NOT_THERE),
    "500 to the push itself": (lambda s, p: s.respond(500, when=is_push), {PushOutcome.UNKNOWN}, NOT_THERE),
    "502 to the push itself": (
        lambda s, p: s.respond(502, when=is_push, body=b"<html>"),
        {PushOutcome.UNKNOWN},
        NOT_THERE,
    ),
    "200 that is not git's": (lambda s, p: s.respond(200, body=b"<html>Please log in</html>"), LOST, NOT_THERE),
}


@pytest.mark.parametrize("name", PUSHES)
def test_a_push_is_classified(name: str, server: HttpRemote, proxy: Proxy, store: GitStore) -> None:
    weather, outcomes, holds = PUSHES[name]
    new = commit(store, b"new")
    fault = weather(server, proxy)
    answer = store.push([Update(REF, None, new)])[REF]
    assert fault.hits, "the fault did not happen"  # type: ignore[attr-defined]
    assert answer.outcome in outcomes, answer
    if name == "401":
        assert answer.reason.startswith("credentials:")
    _clear(server, proxy)
    assert store.fetch().refs.get(REF) in [new if one else None for one in holds]
    if answer.outcome is not PushOutcome.ACCEPTED:  # said again it is there, once, whatever became of it before
        store.push([Update(REF, store.fetch().refs.get(REF), new)])
    assert store.fetch().refs == {REF: new}


FETCHES: dict[str, tuple[Weather, type[Exception]]] = {
    "401": (lambda s, p: s.respond(401, times=None, headers=BASIC), BadCredentials),
    "403": (lambda s, p: s.respond(403, times=None), Denied),
    "429": (lambda s, p: s.respond(429, times=None), Unreachable),
    "500": (lambda s, p: s.respond(500, times=None), Unreachable),
    "502": (lambda s, p: s.respond(502, times=None, when=is_fetch), Unreachable),
    "cut": (lambda s, p: p.spoil("git-upload-pack", times=9, cut_answer_after=150), Unreachable),
    "cut in the pack": (lambda s, p: p.spoil("POST", times=9, cut_answer_after=400), Unreachable),
    "stalls": (lambda s, p: p.spoil("git-upload-pack", times=9, stall_after=150), Unreachable),
    "not git's": (lambda s, p: s.respond(200, times=None, body=b"<html>"), Unreachable),
    "nothing": (lambda s, p: s.respond(200, times=None), Unreachable),
}


@pytest.mark.parametrize("name", FETCHES)
def test_a_fetch_is_classified_and_nothing_of_half_of_it_stays(
    name: str, server: HttpRemote, proxy: Proxy, store: GitStore
) -> None:
    for number in range(3):
        store.push([Update(f"{REF}{number}", None, commit(store, b"%d" % number * 300))])
    other = store.path.with_name("other.git")
    GitStore.create(other)
    with GitStore(
        other,
        url=proxy.url(),
        ledger_ref="refs/heads/gitcoord/ledger",
        outbox_prefix="refs/gitcoord/nodes/",
        timeout_s=TIMEOUT_S,
    ) as fresh:
        weather, error = FETCHES[name]
        weather(server, proxy)
        with pytest.raises(error):
            fresh.fetch()
        _clear(server, proxy)
        refs = fresh.fetch().refs
        assert sorted(refs) == [f"{REF}{number}" for number in range(3)]
        assert all(fresh.commit(oid) for oid in refs.values())


@pytest.mark.parametrize("request_bytes, answer_bytes", [(40, None), (700, None), (2000, None), (None, 0), (None, 150)])
def test_cut_anywhere_nothing_is_lost_and_nothing_is_there_twice(
    server: HttpRemote, proxy: Proxy, tmp_path: Path, request_bytes: int | None, answer_bytes: int | None
) -> None:
    with Fleet(tmp_path / "fleet", proxy.url()) as fleet:
        alice, bob = fleet.clone("alice"), fleet.clone("bob")
        cut = proxy.spoil(cut_request_after=request_bytes, cut_answer_after=answer_bytes)
        for number in range(2):
            alice.run("append", "note", f"number {number}", "--wait", "sequenced", "--timeout", "30", code=None)
        assert cut.hits == 1
        alice.run("sync")
        check(bob)


def test_a_gateway_that_sends_a_push_twice_sequences_it_once(server: HttpRemote, proxy: Proxy, tmp_path: Path) -> None:
    with Fleet(tmp_path / "fleet", proxy.url()) as fleet:
        alice, bob = fleet.clone("alice"), fleet.clone("bob")
        twice = proxy.spoil(twice=True, times=2)
        for number in range(2):
            alice.append("note", f"number {number}", "--wait", "sequenced")
        assert twice.hits == 2
        check(bob)


def check(clone: Clone) -> None:
    lines = [json.loads(line) for line in clone.lines()]
    assert [line["content"] for line in lines if line["type"] == "note"] == ["number 0", "number 1"]
    assert max(Counter((line["node"], line.get("seq"), line["nonce"]) for line in lines).values()) == 1
    clone.run("verify")


def _clear(server: HttpRemote, proxy: Proxy) -> None:
    for fault in server._faults:
        fault.remove()
    for spoilt in proxy.spoilt:
        spoilt.ended.set()


def test_the_proxy_itself_spoils_nothing(server: HttpRemote, proxy: Proxy, store: GitStore) -> None:
    new = commit(store, b"new")
    assert store.push([Update(REF, None, new)])[REF].outcome is PushOutcome.ACCEPTED
    assert store.fetch().refs == {REF: new}
    assert isinstance(proxy.spoil(times=0), Spoilt) and server.requests(is_any)
