"""The client against what others wrote: a stateful GitHub (emulate), and GitHub's own schema of each request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from gitcoord.core.errors import BadCredentials
from gitcoord.github import repositories, writing
from gitcoord.github.client import Client
from gitcoord.github.shapes import Annotation, Remark, marker
from tests.github import simulators
from tests.github.conftest import Made
from tests.github.fake import FakeGitHub, changed

TOKEN = "test_token_admin"  # emulate's own
MARK = marker("review")
HEAD = "a" * 40


@pytest.fixture(scope="module")
def urls() -> Iterator[dict[str, str]]:
    with simulators.running() as urls:
        yield urls


@pytest.fixture
def emulated(urls: dict[str, str], made: Made) -> Client:
    """A client for a repository that is made for the test, with a pull request."""
    client = made("admin/work", token=TOKEN, base_url=urls["emulate"])
    with pytest.raises(BadCredentials, match="no repository admin/work"):
        client.facts()
    assert repositories.ensure(client, public=False)
    assert not repositories.ensure(client, public=False)

    def ask(method: str, path: str, **body: Any) -> Any:
        answer = requests.request(method, f"{urls['emulate']}/repos/admin/work{path}", json=body or None, timeout=30,
                                  headers={"Authorization": f"token {TOKEN}"})
        answer.raise_for_status()
        return answer.json()

    ask("PUT", "/contents/a.py", message="begin", content="YQo=")
    tip = ask("GET", "/git/ref/heads/main")["object"]["sha"]
    ask("POST", "/git/refs", ref="refs/heads/topic", sha=tip)
    ask("PUT", "/contents/b.py", message="more", content="YQo=", branch="topic")
    ask("POST", "/pulls", title="More", head="topic", base="main")
    return client


def test_the_life_of_a_pull_request(emulated: Client) -> None:
    client = emulated
    facts = client.facts()
    assert (facts.private, facts.may_push, client.me()) == (True, True, "admin")
    [pull] = client.open_pulls()
    assert client.pull(pull.number).head == pull.head
    assert (pull.head_ref, pull.base_ref, pull.author) == ("topic", "main", "admin")

    for event in ("COMMENT", "COMMENT", "APPROVE"):
        writing.put_review(client, pull.number, marker=MARK, commit=pull.head, event=event, body="well")  # type: ignore
    assert [one.state for one in client.reviews(pull.number)] == ["COMMENTED", "APPROVED"]

    for wanted in (["gitcoord: conflicts"], ["gitcoord: conflicts"], []):
        writing.put_labels(client, pull.number, wanted)
        assert client.labels(pull.number) == wanted

    for body in ("one", "one", "two"):
        writing.put_comment(client, pull.number, marker=MARK, body=body)
        issue = writing.put_issue(client, marker=MARK, title="It fails", body=body)
    assert [one.body for one in client.comments(pull.number)] == [f"two\n\n{MARK}"]
    assert [one.body for one in client.issues()] == [f"two\n\n{MARK}"]
    writing.close_issue(client, issue.number)
    assert client.issues() == []


def test_an_app_writes_one_check_run(urls: dict[str, str], made: Made, emulated: Client) -> None:
    client = made("admin/work", kind="workflow", token=TOKEN, base_url=urls["emulate"])
    head = client.open_pulls()[0].head
    for _ in range(2):
        writing.put_check(client, head, name="gitcoord", marker=MARK, conclusion="neutral", title="t", summary="s")
    assert [(one.name, one.conclusion) for one in client.checks(head)] == [("gitcoord", "neutral")]


@pytest.fixture(autouse=True)
def anew(request: pytest.FixtureRequest) -> None:
    """Each test begins with an empty GitHub."""
    if "emulated" in request.fixturenames:
        url = request.getfixturevalue("urls")["emulate"]
        requests.delete(f"{url}/repos/admin/work", headers={"Authorization": f"token {TOKEN}"}, timeout=30)


def test_every_request_that_we_send_has_the_shape_that_github_documents(urls: dict[str, str], fake: FakeGitHub,
                                                                        made: Made) -> None:
    """What the fake was sent is sent to a server that holds it against GitHub's OpenAPI: 400 is a wrong body."""
    everything(fake, made)
    wrong = []
    kinds = set()
    for method, target, body in fake.sent:
        answer = requests.request(method, urls["simulacrum"] + target, json=body, timeout=30,
                                  headers={"Authorization": "token x"})
        kinds.add((method, target.split("?")[0]))
        if answer.status_code >= 400:
            wrong.append((method, target, body, answer.status_code, answer.text[:300]))
    assert wrong == []
    assert len(kinds) > 20


def test_a_wrong_shape_is_noticed(urls: dict[str, str]) -> None:
    assert requests.post(f"{urls['simulacrum']}/repos/o/r/issues", json={"titel": 1}, timeout=30).status_code == 400
    assert requests.get(f"{urls['simulacrum']}/repos/o/r/nothing", timeout=30).status_code == 404


def everything(fake: FakeGitHub, made: Made) -> None:
    """Each thing that the client reads and writes, twice, so that the second time updates."""
    fake.pull(3, files=[changed("a.py", "@@ -1 +1,2 @@\n a\n+b")], labels=("gitcoord: old",))
    client = made(kind="workflow")
    client._me = fake.login
    made().me()
    repositories.ensure(made("robot/new"), public=False)
    repositories.ensure(made("others/new"), public=True)
    client.facts(), client.pull(3), client.open_pulls(), client.files(3), client.remarks(3), client.reviews(3)
    client.permission("alice"), client.quota(), client.checks(HEAD)
    for words, event in (("one", "COMMENT"), ("two", "COMMENT"), ("two", "APPROVE"), ("two", "REQUEST_CHANGES")):
        writing.put_review(client, 3, marker=MARK, commit=HEAD, event=event, body=words,  # type: ignore[arg-type]
                           remarks=[Remark("a.py", 2, "why?")])
        writing.put_status(client, HEAD, context="gitcoord/review", state="success", description=words, url="https://u")
        writing.put_labels(client, 3, [f"gitcoord: {words}"])
        writing.put_comment(client, 3, marker=MARK, body=words)
        writing.put_issue(client, marker=MARK, title="It fails", body=words)
        writing.put_check(client, HEAD, name="gitcoord", marker=MARK, conclusion="neutral", title="t", summary=words,
                          annotations=[Annotation("a.py", 1, 2, "failure", "look", "here")] * 51)
    for issue in client.issues():
        writing.close_issue(client, issue.number)
