"""What the fake of GitHub answers: one function for each thing that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gitcoord.github import diff_lines

if TYPE_CHECKING:
    from tests.github.fake import FakeGitHub

Json = dict[str, Any]
AT = "2026-11-21T10:00:00Z"


@dataclass
class Repo:
    """What one repository holds. Numbers of issues and pull requests are one series, as GitHub's are."""

    facts: Json
    issues: dict[int, Json] = field(default_factory=dict)
    pulls: dict[int, Json] = field(default_factory=dict)
    files: dict[int, list[Json]] = field(default_factory=dict)
    reviews: dict[int, list[Json]] = field(default_factory=dict)
    remarks: dict[int, list[Json]] = field(default_factory=dict)
    comments: dict[int, list[Json]] = field(default_factory=dict)
    statuses: dict[str, list[Json]] = field(default_factory=dict)
    checks: dict[str, list[Json]] = field(default_factory=dict)


class Refusal(Exception):
    def __init__(self, status: int, message: str, *errors: str) -> None:
        self.status, self.body = status, {"message": message} | ({"errors": list(errors)} if errors else {})


def _there(table: Mapping[Any, Any], key: Any) -> Any:
    if key not in table:
        raise Refusal(404, "Not Found")
    return table[key]


def _repository(fake: FakeGitHub, repo: Repo, **_: Any) -> tuple[int, Any]:
    return 200, repo.facts


def _pulls(fake: FakeGitHub, repo: Repo, *, query: Mapping[str, str], **_: Any) -> tuple[int, Any]:
    lean = ("additions", "deletions", "changed_files")
    return 200, [
        {key: part for key, part in one.items() if key not in lean} | {"labels": repo.issues[number]["labels"]}
        for number, one in repo.pulls.items()
        if one["state"] == query.get("state", "open")
    ]


def _pull(fake: FakeGitHub, repo: Repo, number: str, **_: Any) -> tuple[int, Any]:
    one = _there(repo.pulls, int(number))
    url = f"{fake.url}/repos/{repo.facts['full_name']}/pulls/{number}"
    return 200, one | {"labels": repo.issues[int(number)]["labels"], "url": url}


def _files(fake: FakeGitHub, repo: Repo, number: str, **_: Any) -> tuple[int, Any]:
    return 200, _there(repo.files, int(number))[:3000]


def _reviews(fake: FakeGitHub, repo: Repo, number: str, **_: Any) -> tuple[int, Any]:
    _there(repo.pulls, int(number))
    return 200, repo.reviews.get(int(number), [])


def _review(fake: FakeGitHub, repo: Repo, number: str, *, body: Any, **_: Any) -> tuple[int, Any]:
    pull = _there(repo.pulls, int(number))
    if body["event"] != "COMMENT" and pull["user"]["login"] == fake.login:
        raise Refusal(422, "Unprocessable Entity", "Can not approve your own pull request")
    for remark in body.get("comments", ()):
        patch = next((one.get("patch") for one in repo.files[int(number)] if one["filename"] == remark["path"]), None)
        shown = {(side, line) for side, line, _ in diff_lines.lines(patch)}
        if (remark["side"], remark["line"]) not in shown:
            raise Refusal(422, "Unprocessable Entity", "Line could not be resolved")
        repo.remarks.setdefault(int(number), []).append(fake.made(repo, "remark", **remark))
    states = {"APPROVE": "APPROVED", "COMMENT": "COMMENTED", "REQUEST_CHANGES": "CHANGES_REQUESTED"}
    one = fake.made(
        repo,
        "review",
        state=states[body["event"]],
        body=body["body"],
        submitted_at=AT,
        commit_id=body.get("commit_id") or pull["head"]["sha"],
        pull_request_url=f"{fake.url}/repos/{repo.facts['full_name']}/pulls/{number}",
    )
    repo.reviews.setdefault(int(number), []).append(one)
    return 200, one


def _changed_review(
    fake: FakeGitHub, repo: Repo, number: str, review: str, dismissal: str | None = None, *, body: Any, **_: Any
) -> tuple[int, Any]:
    one = _there({row["id"]: row for row in repo.reviews.get(int(number), [])}, int(review))
    one |= {"state": "DISMISSED"} if dismissal else {"body": body["body"]}
    return 200, one


def _remarks(fake: FakeGitHub, repo: Repo, number: str, **_: Any) -> tuple[int, Any]:
    return 200, repo.remarks.get(int(number), [])


def _commit(fake: FakeGitHub, repo: Repo, commit: str, **_: Any) -> tuple[int, Any]:
    return 200, {"sha": commit, "url": f"{fake.url}/repos/{repo.facts['full_name']}/commits/{commit}"}


def _statuses(fake: FakeGitHub, repo: Repo, commit: str, **_: Any) -> tuple[int, Any]:
    return 200, repo.statuses.get(commit, [])


def _status(fake: FakeGitHub, repo: Repo, commit: str, *, body: Any, **_: Any) -> tuple[int, Any]:
    if len(body.get("description") or "") > 140:
        raise Refusal(422, "description is too long (maximum is 140 characters)")
    lacking = {"description": None, "target_url": None, "context": "default"}
    one = fake.made(repo, "status", creator={"login": fake.login}, **lacking | body)
    repo.statuses.setdefault(commit, []).insert(0, one)
    return 201, one


def _checks(fake: FakeGitHub, repo: Repo, commit: str, *, query: Mapping[str, str], **_: Any) -> tuple[int, Any]:
    return 200, {
        "check_runs": [one for one in repo.checks.get(commit, []) if query.get("check_name") in (None, one["name"])]
    }


def _check(fake: FakeGitHub, repo: Repo, *, body: Any, **_: Any) -> tuple[int, Any]:
    if len(body.get("output", {}).get("annotations", ())) > 50:
        raise Refusal(422, "No more than 50 annotations")
    one = fake.made(repo, "check", **body)
    one["url"] = f"{fake.url}/repos/{repo.facts['full_name']}/check-runs/{one['id']}"
    repo.checks.setdefault(body["head_sha"], []).insert(0, one)
    return 201, one


def _changed_check(fake: FakeGitHub, repo: Repo, number: str, *, body: Any, **_: Any) -> tuple[int, Any]:
    one = _there({row["id"]: row for rows in repo.checks.values() for row in rows}, int(number))
    before = one["output"].get("annotations", [])
    one |= body
    one["output"]["annotations"] = before + one["output"].get("annotations", [])
    return 200, one


def _issues(fake: FakeGitHub, repo: Repo, *, query: Mapping[str, str], **_: Any) -> tuple[int, Any]:
    wanted = set(filter(None, query.get("labels", "").split(",")))
    state = query.get("state", "open")
    rows = [
        one
        for one in repo.issues.values()
        if state in ("all", one["state"]) and wanted <= {label["name"] for label in one["labels"]}
    ]
    return 200, sorted(rows, key=lambda one: one["number"], reverse=query.get("direction") != "asc")


def _issue(fake: FakeGitHub, repo: Repo, number: str, **_: Any) -> tuple[int, Any]:
    return 200, _there(repo.issues, int(number))


def _new_issue(fake: FakeGitHub, repo: Repo, *, body: Any, **_: Any) -> tuple[int, Any]:
    number = max(repo.issues, default=0) + 1
    repo.issues[number] = fake.new_issue(
        repo, number, body["title"], body.get("body", ""), body.get("labels", ()), fake.login
    )
    return 201, repo.issues[number]


def _changed_issue(fake: FakeGitHub, repo: Repo, number: str, *, body: Any, **_: Any) -> tuple[int, Any]:
    one = _there(repo.issues, int(number))
    one |= {key: value for key, value in body.items() if key in ("title", "body", "state", "state_reason")}
    return 200, one


def _comments(fake: FakeGitHub, repo: Repo, number: str, **_: Any) -> tuple[int, Any]:
    return 200, repo.comments.get(int(number), [])


def _comment(fake: FakeGitHub, repo: Repo, number: str, *, body: Any, **_: Any) -> tuple[int, Any]:
    one = fake.made(repo, "comment", body=body["body"])
    one["url"] = f"{fake.url}/repos/{repo.facts['full_name']}/issues/comments/{one['id']}"
    repo.comments.setdefault(int(number), []).append(one)
    return 201, one


def _changed_comment(fake: FakeGitHub, repo: Repo, number: str, *, body: Any, **_: Any) -> tuple[int, Any]:
    one = _there({row["id"]: row for rows in repo.comments.values() for row in rows}, int(number))
    one["body"] = body["body"]
    return 200, one


def _labels(fake: FakeGitHub, repo: Repo, number: str, **_: Any) -> tuple[int, Any]:
    return 200, _there(repo.issues, int(number))["labels"]


def _add_labels(fake: FakeGitHub, repo: Repo, number: str, *, body: Any, **_: Any) -> tuple[int, Any]:
    have = _there(repo.issues, int(number))["labels"]
    names = body["labels"] if isinstance(body, dict) else body
    have += [{"name": name} for name in names if name not in {one["name"] for one in have}]
    return 200, have


def _remove_label(fake: FakeGitHub, repo: Repo, number: str, name: str, **_: Any) -> tuple[int, Any]:
    one = _there(repo.issues, int(number))
    _there({label["name"]: 1 for label in one["labels"]}, name)
    one["labels"] = [label for label in one["labels"] if label["name"] != name]
    return 200, one["labels"]


def _permission(fake: FakeGitHub, repo: Repo, login: str, **_: Any) -> tuple[int, Any]:
    roles = repo.facts.setdefault("roles", {})
    return 200, {"permission": roles.get(login, "read"), "user": {"login": login}}


ROUTES: list[tuple[str, Callable[..., tuple[int, Any]]]] = [
    (r"GET ", _repository),
    (r"GET /pulls", _pulls),
    (r"GET /pulls/(\d+)", _pull),
    (r"GET /pulls/(\d+)/files", _files),
    (r"GET /pulls/(\d+)/reviews", _reviews),
    (r"POST /pulls/(\d+)/reviews", _review),
    (r"PUT /pulls/(\d+)/reviews/(\d+)", _changed_review),
    (r"PUT /pulls/(\d+)/reviews/(\d+)/(dismissals)", _changed_review),
    (r"GET /pulls/(\d+)/comments", _remarks),
    (r"GET /commits/(\w+)", _commit),
    (r"GET /commits/(\w+)/statuses", _statuses),
    (r"POST /statuses/(\w+)", _status),
    (r"GET /commits/(\w+)/check-runs", _checks),
    (r"POST /check-runs", _check),
    (r"PATCH /check-runs/(\d+)", _changed_check),
    (r"GET /issues", _issues),
    (r"POST /issues", _new_issue),
    (r"GET /issues/(\d+)", _issue),
    (r"PATCH /issues/(\d+)", _changed_issue),
    (r"GET /issues/(\d+)/comments", _comments),
    (r"POST /issues/(\d+)/comments", _comment),
    (r"PATCH /issues/comments/(\d+)", _changed_comment),
    (r"GET /issues/(\d+)/labels", _labels),
    (r"POST /issues/(\d+)/labels", _add_labels),
    (r"DELETE /issues/(\d+)/labels/(.+)", _remove_label),
    (r"GET /collaborators/([^/]+)/permission", _permission),
]
