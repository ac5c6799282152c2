"""What GitHub says becomes values of ours, and nothing is asked that need not be."""

from __future__ import annotations

import pytest

from gitcoord.core.errors import BadCredentials, Denied, GitcoordError, Refused
from gitcoord.github.api.client import Client
from gitcoord.github.api.models import ChangedFile
from tests.github.conftest import Made
from tests.github.fake import FakeGitHub, changed

PATCH = "@@ -1,2 +1,3 @@ def f():\n a\n+b\n-c\n+d"


def test_a_pull_request_is_read_with_one_request(fake: FakeGitHub, client: Client) -> None:
    fake.pull(3, files=[changed("a.py", PATCH)], labels=("bug",), draft=True)
    pull = client.pull(3)
    assert (pull.number, pull.author, pull.head, pull.head_repository) == (3, "alice", "a" * 40, "o/r")
    assert (pull.labels, pull.draft, pull.changed_files, pull.state) == (("bug",), True, 1, "open")
    assert fake.requests() == [("GET", "/repos/o/r/pulls/3")]


def test_open_pull_requests_are_read_with_one_request_for_a_hundred(fake: FakeGitHub, client: Client) -> None:
    for number in range(1, 151):
        fake.pull(number)
    fake.pull(200, state="closed")
    pulls = client.open_pulls()
    assert len(pulls) == 150
    assert pulls[0].changed_files is None
    assert fake.requests() == [("GET", "/repos/o/r/pulls")] * 2


def test_a_deleted_fork_has_no_repository(fake: FakeGitHub, client: Client) -> None:
    fake.pull(3, fork=None)
    assert client.pull(3).head_repository is None


def test_no_such_pull_request_is_refused(client: Client) -> None:
    with pytest.raises(Refused, match="o/r has no pull request #9"):
        client.pull(9)


def test_files_have_a_patch_or_none(fake: FakeGitHub, client: Client) -> None:
    fake.pull(3, files=[changed("a.py", PATCH), changed("b.png"), changed("c", previous="d", status="renamed")])
    files = client.files(3)
    assert files.listed == (
        ChangedFile("a.py", "modified", 2, 1, PATCH, None),
        ChangedFile("b.png", "modified", 0, 0, None, None),
        ChangedFile("c", "renamed", 0, 0, None, "d"),
    )
    assert not files.cut


def test_of_more_than_3000_files_3000_are_listed_and_it_is_said(fake: FakeGitHub, client: Client) -> None:
    fake.pull(3, files=[changed(f"{number}.py") for number in range(3100)])
    files = client.files(3)
    assert len(files.listed) == 3000
    assert files.cut


def test_the_newest_status_of_each_context_counts(fake: FakeGitHub, client: Client) -> None:
    for state in ("pending", "success"):
        fake.post_as("robot", f"/repos/o/r/statuses/{'a' * 40}", {"state": state, "context": "ci"})
    [status] = client.statuses("a" * 40)
    assert (status.context, status.state, status.creator) == ("ci", "success", "robot")


def test_facts_tell_what_the_token_may_do(fake: FakeGitHub, made: Made) -> None:
    fake.repo("o/other", permissions={"admin": False, "push": False, "pull": True}, private=True)
    facts = made("o/other").facts()
    assert (facts.may_push, facts.private, facts.scopes) == (False, True, ("repo",))


def test_an_unknown_repository_is_a_matter_of_credentials(made: Made) -> None:
    with pytest.raises(BadCredentials, match="GitHub has no repository o/nothing, or the token in GITCOORD_TOKEN is"):
        made("o/nothing").facts()


def test_whose_account_writes(made: Made) -> None:
    assert made().me() == "robot"
    assert made(kind="workflow").me() == "github-actions[bot]"


def test_the_quota_is_known_from_every_answer(fake: FakeGitHub, client: Client) -> None:
    fake.pull(3)
    client.pull(3)
    assert client.meter.quota is not None
    assert client.meter.quota.left == fake.left
    assert client.quota().limit == 5000


def test_rights_of_a_user(fake: FakeGitHub, client: Client) -> None:
    fake.repos["o/r"].facts["roles"] = {"alice": "admin"}
    assert client.permission("alice") == "admin"
    assert client.permission("bob") == "read"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_the_token_follows_no_redirect_to_another_server(fake: FakeGitHub, made: Made, status: int) -> None:
    with FakeGitHub() as other:
        for there in (other.url, other.url.replace("http:", "https:"), "http://127.0.0.2:9"):
            fake.fail(status, times=10, headers={"Location": f"{there}/repos/o/r"})
            with pytest.raises(GitcoordError) as caught:
                made(patience_s=0).facts()
            assert fake.token not in str(caught.value)
        assert not other.requests()


@pytest.mark.parametrize(
    "there", ["{other}", "http://localhost:{port}", "https://127.0.0.1:{own}", "http://evil.invalid"]
)
def test_the_token_follows_no_next_page_to_another_server(fake: FakeGitHub, made: Made, there: str) -> None:
    client = made(patience_s=0)
    for number in range(1, 151):
        fake.pull(number)
    with FakeGitHub() as other:
        own, port = (url.rpartition(":")[2] for url in (fake.url, other.url))
        fake.url = there.format(other=other.url, port=port, own=own)
        with pytest.raises(Denied, match="GitHub's answer leads to .* nothing was sent there.*GITHUB_API_URL"):
            client.open_pulls()
        assert not other.requests()
    assert len(fake.requests()) == 1


def test_the_token_is_sent_over_no_plain_line(made: Made) -> None:
    with pytest.raises(BadCredentials, match="plain http.*GITHUB_API_URL"):
        made(base_url="http://api.forge.invalid")
