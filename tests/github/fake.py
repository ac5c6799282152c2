"""A small fake of GitHub's API, for what the simulators lack: statuses, files, inline comments, limits, bad days.

with FakeGitHub() as github:
    github.pull(1, files=[changed("a.py", "@@ -1 +1,2 @@\\n x\\n+y")])
    github.fail(502, when=is_write, applied=True)     # the next write: applied, and answered with 502
    client = Client("o/r", Credentials("token", "a token", github.token), base_url=github.url)
    ...
    assert github.writes() == [("POST", "/repos/o/r/pulls/1/reviews")]
"""

from __future__ import annotations

import contextlib
import copy
import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.github.answers import AT, ROUTES, Json, Refusal, Repo

When = Callable[[str, str], bool]
PERMISSIONS = {"admin": True, "push": True, "pull": True}


def is_any(method: str, path: str) -> bool:
    return True


def is_write(method: str, path: str) -> bool:
    return method != "GET"


def changed(path: str, patch: str | None = None, *, status: str = "modified", previous: str | None = None) -> Json:
    """A file of a pull request, as GitHub tells it."""
    lines = (patch or "").split("\n")
    one = {
        "filename": path,
        "status": status,
        "sha": "f" * 40,
        "changes": 1,
        "additions": sum(line.startswith("+") for line in lines),
        "deletions": sum(line.startswith("-") for line in lines),
    }
    return one | ({"patch": patch} if patch is not None else {}) | ({"previous_filename": previous} if previous else {})


@dataclass
class Fault:
    status: int
    when: When
    times: int
    headers: Mapping[str, str]
    message: str
    applied: bool


class FakeGitHub:
    """One server. `token` is the one it takes, `login` its account's; both may change at any time."""

    def __init__(self) -> None:
        self.token, self.login, self.scopes = "t0ken", "robot", "repo"
        self.left, self.limit, self.reset_at = 4999, 5000, int(time.time()) + 3600
        self.server = "https://github.example"  # whose repositories they are, for git
        self.repos: dict[str, Repo] = {}
        self.log: list[tuple[str, str, Any]] = []
        self.sent: list[tuple[str, str, Any]] = []  # the same, with what stands after the question mark
        self.errors: list[BaseException] = []
        self.minted, self.token_ends = 0, "2099-01-01T00:00:00Z"  # an app's tokens
        self._faults: list[Fault] = []
        self._next = 1000
        self._lock = threading.RLock()
        self.repo("o/r")

    def __enter__(self) -> FakeGitHub:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.fake = self  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, wrong: object, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        if self.errors and wrong is None:
            raise AssertionError(f"the fake itself failed: {self.errors!r}") from self.errors[0]

    # What a test sets up and looks at

    def repo(self, name: str, *, permissions: Json = PERMISSIONS, private: bool = False) -> Repo:
        url = f"{self.server}/{name}"
        self.repos[name] = Repo(
            {
                "id": self.number(),
                "name": name.split("/")[1],
                "full_name": name,
                "private": private,
                "owner": {"login": name.split("/")[0]},
                "permissions": permissions,
                "default_branch": "main",
                "clone_url": f"{url}.git",
                "ssh_url": f"git@github.example:{name}.git",
                "html_url": url,
            }
        )
        return self.repos[name]

    def pull(
        self,
        number: int,
        *,
        files: list[Json] = (),
        head: str = "a" * 40,
        base: str = "b" * 40,  # type: ignore
        head_ref: str = "topic",
        base_ref: str = "main",
        author: str = "alice",
        fork: str | None = "o/r",
        labels: tuple[str, ...] = (),
        draft: bool = False,
        state: str = "open",
        name: str = "o/r",
    ) -> Json:
        """A pull request; `fork` is the repository of its head, None where that was deleted."""
        repo = self.repos[name]
        of = {"full_name": fork, "name": fork.split("/")[1]} if fork else None
        one = {
            "number": number,
            "title": f"Change {number}",
            "user": {"login": author},
            "state": state,
            "head": {"sha": head, "ref": head_ref, "repo": of},
            "body": "",
            "draft": draft,
            "merged_at": None,
            "base": {"sha": base, "ref": base_ref, "repo": repo.facts},
            "updated_at": AT,
            "html_url": f"{repo.facts['html_url']}/pull/{number}",
            "additions": 1,
            "deletions": 1,
            "changed_files": len(files),
        }
        repo.pulls[number], repo.files[number] = one, list(files)
        repo.issues[number] = self.new_issue(repo, number, one["title"], "", labels, author) | {"pull_request": {}}
        return one

    def fail(
        self,
        status: int,
        *,
        when: When = is_any,
        times: int = 1,
        message: str = "injected",
        headers: Mapping[str, str] | None = None,
        applied: bool = False,
    ) -> None:
        """Answer the next `times` requests that fit with `status`; `applied`: after doing what was asked."""
        self._faults.append(Fault(status, when, times, headers or {}, message, applied))

    def post_as(self, login: str, path: str, body: Any) -> None:
        """Do what a POST of another account would do."""
        own, self.login = self.login, login
        self._routed("POST", path, {}, body)
        self.login = own

    def requests(self, when: When = is_any) -> list[tuple[str, str]]:
        return [(method, path) for method, path, _ in self.log if when(method, path)]

    def writes(self) -> list[tuple[str, str]]:
        return self.requests(is_write)

    # What it answers

    def answer(self, method: str, target: str, body: Any, authorization: str) -> tuple[int, Any, Mapping[str, str]]:
        path = unquote(urlsplit(target).path)
        query = {key: values[-1] for key, values in parse_qs(urlsplit(target).query).items()}
        with self._lock:
            self.log.append((method, path, body))
            self.sent.append((method, target, copy.deepcopy(body)))
            fault = next((one for one in self._faults if one.times and one.when(method, path)), None)
            if fault is not None:
                fault.times -= 1
                if fault.applied:
                    self._answered(method, path, query, body, authorization)
                return fault.status, {"message": fault.message}, fault.headers
            return self._answered(method, path, query, body, authorization)

    def _answered(
        self, method: str, path: str, query: Mapping[str, str], body: Any, authorization: str
    ) -> tuple[int, Any, Mapping[str, str]]:
        headers = {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.left),
            "X-RateLimit-Reset": str(self.reset_at),
            "X-OAuth-Scopes": self.scopes,
        }
        try:
            if re.fullmatch(r"/app/installations/\d+/access_tokens", path):
                self.minted += 1
                return 201, {"token": self.token, "expires_at": self.token_ends, "permissions": {}}, {}
            if authorization.split()[-1:] != [self.token] and path != "/app":
                raise Refusal(401, "Bad credentials")
            self.left -= path != "/rate_limit"
            headers["X-RateLimit-Remaining"] = str(self.left)
            status, value = self._routed(method, path, query, body)
        except Refusal as refusal:
            return refusal.status, refusal.body, headers
        if isinstance(value, list) or (isinstance(value, dict) and "check_runs" in value):
            value = _page(value, query, headers, self.url + path)
        return status, value, headers

    def _routed(self, method: str, path: str, query: Mapping[str, str], body: Any) -> tuple[int, Any]:
        if path == "/user":
            return 200, {"login": self.login, "type": "User"}
        if path == "/app":
            return 200, {"id": 7, "slug": "gitcoord-app", "name": "gitcoord"}
        if path == "/rate_limit":
            core = {"limit": self.limit, "remaining": self.left, "reset": self.reset_at, "used": 1}
            return 200, {"resources": {"core": core, "search": core}, "rate": core}
        if match := re.fullmatch(r"/user/repos|/orgs/([^/]+)/repos", path):
            name = f"{match[1] or self.login}/{body['name']}"
            if name in self.repos:
                raise Refusal(422, "Repository creation failed.")
            return 201, self.repo(name, private=body.get("private", False)).facts
        if match := re.fullmatch(r"/(users|orgs)/([^/]+)", path):
            return 200, {"login": match[2], "type": "User" if match[2] == self.login else "Organization"}
        match = re.fullmatch(r"/repos/([^/]+/[^/]+)(/.*)?", path)
        if match is None or match[1] not in self.repos:
            raise Refusal(404, "Not Found")
        repo, rest = self.repos[match[1]], match[2] or ""
        for pattern, serve in ROUTES:
            found = re.fullmatch(pattern, f"{method} {rest}")
            if found:
                return serve(self, repo, *found.groups(), body=body, query=query)
        raise Refusal(404, "Not Found")

    def number(self) -> int:
        self._next += 1
        return self._next

    def new_issue(self, repo: Repo, number: int, title: str, body: str, labels: Any, author: str) -> Json:
        return {
            "number": number,
            "title": title,
            "body": body,
            "state": "open",
            "user": {"login": author},
            "labels": [{"name": name} for name in labels],
            "html_url": f"{repo.facts['html_url']}/issues/{number}",
            "url": f"{self.url}/repos/{repo.facts['full_name']}/issues/{number}",
        }

    def made(self, repo: Repo, kind: str, **values: Any) -> Json:
        return {
            "id": self.number(),
            "user": {"login": self.login},
            "created_at": AT,
            "updated_at": AT,
            "html_url": f"{repo.facts['html_url']}#{kind}",
            **values,
        }


def _page(value: Any, query: Mapping[str, str], headers: dict[str, str], url: str) -> Any:
    rows = value if isinstance(value, list) else value["check_runs"]
    size, page = int(query.get("per_page", 30)), int(query.get("page", 1))
    if page * size < len(rows):
        more = "&".join(f"{key}={text}" for key, text in query.items() if key != "page")
        headers["Link"] = f'<{url}?{more}&page={page + 1}>; rel="next"'
    part = rows[(page - 1) * size : page * size]
    return part if isinstance(value, list) else {"total_count": len(rows), "check_runs": part}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30
    wbufsize = -1  # head and body in one packet: else the second waits 40 ms for the first's acknowledgement

    def exchange(self) -> None:
        fake: FakeGitHub = self.server.fake  # type: ignore[attr-defined]
        size = int(self.headers.get("Content-Length") or 0)
        try:
            body = json.loads(self.rfile.read(size)) if size else None
            status, value, headers = fake.answer(self.command, self.path, body, self.headers.get("Authorization", ""))
        except Exception as wrong:  # a test must not hang on the fake's own mistake
            fake.errors.append(wrong)
            status, value, headers = 500, {"message": f"the fake failed: {wrong!r}"}, {}
        data = json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = exchange

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextlib.contextmanager
def forge() -> Iterator[dict[str, str]]:
    """GitHub for another process: the environment in which it finds OWNER/REPO, with a pull request 12."""
    with FakeGitHub() as github:
        github.repo("OWNER/REPO")
        github.pull(12, files=[changed("a.py", "@@ -1 +1,2 @@\n x\n+y")], fork="OWNER/REPO", name="OWNER/REPO")
        yield {"GITHUB_API_URL": github.url, "GITCOORD_TOKEN": github.token}
