"""The client against what others wrote: a stateful GitHub (emulate), and GitHub's own schema of each request."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import requests

from gitcoord.core.errors import BadCredentials
from gitcoord.features.settings import Settings
from gitcoord.github import review
from gitcoord.github.api import repositories, upsert
from gitcoord.github.api.client import Client
from gitcoord.github.api.credentials import App
from gitcoord.github.api.models import CheckAnnotation, Remark, marker
from gitcoord.github.fleet_context import FleetContext
from tests.github import simulators
from tests.github.conftest import Made
from tests.github.fake import FakeGitHub, changed

TOKEN = "test_token_admin"  # emulate's own
AS_ADMIN = {"Authorization": f"token {TOKEN}"}
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
        answer = requests.request(
            method, f"{urls['emulate']}/repos/admin/work{path}", json=body or None, timeout=30, headers=AS_ADMIN
        )
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
        upsert.put_review(client, pull.number, marker=MARK, commit=pull.head, event=event, body="well")  # type: ignore
    assert [one.state for one in client.reviews(pull.number)] == ["COMMENTED", "APPROVED"]

    for wanted in (["gitcoord: conflicts"], ["gitcoord: conflicts"], []):
        upsert.put_labels(client, pull.number, wanted)
        assert client.labels(pull.number) == wanted

    for body in ("one", "one", "two"):
        upsert.put_comment(client, pull.number, marker=MARK, body=body)
        issue = upsert.put_issue(client, marker=MARK, title="It fails", body=body)
    assert [one.body for one in client.comments(pull.number)] == [f"two\n\n{MARK}"]
    assert [one.body for one in client.issues()] == [f"two\n\n{MARK}"]
    upsert.close_issue(client, issue.number)
    assert client.issues() == []


def test_an_app_writes_one_check_run(urls: dict[str, str], made: Made, emulated: Client) -> None:
    client = made("admin/work", kind="workflow", token=TOKEN, base_url=urls["emulate"])
    head = client.open_pulls()[0].head
    for _ in range(2):
        upsert.put_check(client, head, name="gitcoord", marker=MARK, conclusion="neutral", title="t", summary="s")
    assert [(one.name, one.conclusion) for one in client.checks(head)] == [("gitcoord", "neutral")]


class Both(FakeGitHub):
    """emulate, and the fake for what it lacks: the files of a pull request, and statuses."""

    LACKS = re.compile(r"/pulls/\d+/files|/statuses")

    def __init__(self, emulate: str) -> None:
        super().__init__()
        self.emulate, self.token = emulate, TOKEN
        self.repo("admin/work")

    def answer(self, method: str, target: str, body: Any, authorization: str) -> tuple[int, Any, Mapping[str, str]]:
        if self.LACKS.search(target):
            return super().answer(method, target, body, authorization)
        self.log.append((method, target, body))
        said = requests.request(
            method, self.emulate + target, json=body, timeout=30, headers={"Authorization": authorization}
        )
        return said.status_code, json.loads(said.text.replace(self.emulate, self.url) or "null"), {}


def test_a_pull_request_is_reviewed_once_on_a_github_of_others_and_again_when_it_has_changed(
    urls: dict[str, str], made: Made, emulated: Client
) -> None:
    with Both(urls["emulate"]) as both:
        client = made("admin/work", token=TOKEN, base_url=both.url)
        [pull] = client.open_pulls()
        both.repos["admin/work"].files[pull.number] = [changed("b.py", "@@ -0,0 +1 @@\n+a")]

        def reviewed() -> list[tuple[str, str]]:
            settings = Settings.model_validate({"review_quorum": 0})
            found = review.reviewed(client, pull.number, FleetContext(settings), repo="", source=None)
            assert found.posted is not None and found.posted.failed == []
            return [(one.commit, one.state) for one in client.reviews(pull.number)]

        assert reviewed() == [(pull.head, "COMMENTED")]  # there is no git to merge with: more is not said
        assert client.labels(pull.number) == ["gitcoord: waiting"]
        [status] = client.statuses(pull.head)
        assert (status.context, status.state) == ("gitcoord/review", "pending")
        asked = len(both.log)
        assert len(reviewed()) == 1
        assert all(method == "GET" for method, _, _ in both.log[asked:]), "it wrote what was there"

        # A push is made like this: emulate moves no pull request with its branch, and edits no review that is posted.
        requests.put(
            f"{urls['emulate']}/repos/admin/work/pulls/{pull.number}/update-branch",
            json={},
            timeout=30,
            headers=AS_ADMIN,
        ).raise_for_status()
        head = client.pull(pull.number).head
        assert head != pull.head and reviewed() == [(pull.head, "COMMENTED"), (head, "COMMENTED")]
        assert [one.context for one in client.statuses(head)] == ["gitcoord/review"]


@pytest.fixture(autouse=True)
def anew(request: pytest.FixtureRequest) -> None:
    """Each test begins with an empty GitHub."""
    if "emulated" in request.fixturenames:
        url = request.getfixturevalue("urls")["emulate"]
        requests.delete(f"{url}/repos/admin/work", headers=AS_ADMIN, timeout=30)


def test_every_request_that_we_send_has_the_shape_that_github_documents(
    urls: dict[str, str], fake: FakeGitHub, made: Made, pem: str
) -> None:
    """What the fake was sent is sent to a server that holds it against GitHub's OpenAPI: 400 is a wrong body."""
    everything(fake, made)
    as_app(made, pem)
    wrong = []
    kinds = set()
    for method, target, body in fake.sent:
        answer = requests.request(
            method, urls["simulacrum"] + target, json=body, timeout=30, headers={"Authorization": "token x"}
        )
        kinds.add((method, target.split("?")[0]))
        if answer.status_code >= 400:
            wrong.append((method, target, body, answer.status_code, answer.text[:300]))
    assert wrong == []
    assert len(kinds) > 20 and {("POST", "/app/installations/8/access_tokens"), ("GET", "/app")} <= kinds


def test_a_wrong_shape_is_noticed(urls: dict[str, str]) -> None:
    assert requests.post(f"{urls['simulacrum']}/repos/o/r/issues", json={"titel": 1}, timeout=30).status_code == 400
    assert requests.get(f"{urls['simulacrum']}/repos/o/r/nothing", timeout=30).status_code == 404


def as_app(made: Made, pem: str) -> None:
    """What only an app asks: for its name, for git's token, and before its first request for the API's."""
    client = made(kind="app", app=App("7", 8, pem))
    client.me(), client.installation_token(), client.open_pulls()


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
        upsert.put_review(
            client,
            3,
            marker=MARK,
            commit=HEAD,
            event=event,
            body=words,  # type: ignore[arg-type]
            remarks=[Remark("a.py", 2, "why?")],
        )
        upsert.put_status(client, HEAD, context="gitcoord/review", state="success", description=words, url="https://u")
        upsert.put_labels(client, 3, [f"gitcoord: {words}"])
        upsert.put_comment(client, 3, marker=MARK, body=words)
        upsert.put_issue(client, marker=MARK, title="It fails", body=words)
        upsert.put_check(
            client,
            HEAD,
            name="gitcoord",
            marker=MARK,
            conclusion="neutral",
            title="t",
            summary=words,
            annotations=[CheckAnnotation("a.py", 1, 2, "failure", "look", "here")] * 51,
        )
    for issue in client.issues():
        upsert.close_issue(client, issue.number)
