"""A real git server over HTTP: `git http-backend` behind a small threaded server that fails when told to.

    with HttpRemote(tmp_path / "server", token="secret") as server:
        url = server.make("fleet.git")
        with server.outage():                    # connections are refused; then the same port listens
            ...
        server.respond(429, times=2)             # the next two requests
        server.cut(after_bytes=100)              # the next push, in the middle of its body
        server.cut(after_bytes=0, applied=True)  # the next push: applied, and not a byte of the answer sent

Every answer closes its connection: on a reused one libcurl silently sends again what got no byte of an
answer, and a cut would be a coin toss.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from tests.waiting import wait_until

When = Callable[[str, str], bool]
"""`(method, path with query) -> bool`: which requests a fault is for."""

BODY_BYTES_MAX = 256 * 1024 * 1024
BLOCK_BYTES = 64 * 1024
BACKEND_SECONDS_MAX = 60
SOCKET_SECONDS_MAX = 60
LOOK_SECONDS = 0.5  # between two looks whether a client still waits
PROBE_BYTES = 4  # `0000`, posted before a body too large to be sent twice: pushes nothing, no fault is for it

BARE = "[gc]\n\tauto = 0\n\tpackRefs = false\n[receive]\n\tautogc = false\n[http]\n\treceivepack = true\n"


def is_any(method: str, path: str) -> bool:
    return True


def is_push(method: str, path: str) -> bool:
    """The request that carries the commits of a push."""
    return method == "POST" and path.endswith("/git-receive-pack")


def is_fetch(method: str, path: str) -> bool:
    """Every request of a fetch or an `ls-remote`."""
    return "git-upload-pack" in path


@dataclass
class Request:
    """A line of the log. `status` is what was answered: None when the connection was cut or lost."""

    method: str
    path: str
    user: str | None = None
    body_bytes: int = 0
    status: int | None = None
    applied: bool = False  # the backend has run


@dataclass
class Fault:
    """What goes wrong, for how many requests (None: until removed); removed at the end of a `with`."""

    kind: str
    when: When
    times: int | None
    applied: bool = False  # after the backend has run, not before
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    after_bytes: int = 0
    seconds: float = 0.0
    hits: int = 0
    removed: threading.Event = field(default_factory=threading.Event)

    def remove(self) -> None:
        """Hit no further request, and let those go that are held."""
        self.removed.set()

    def __enter__(self) -> Fault:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


class HttpRemote:
    """Serves the bare repositories in `root`. `token`, which may change at any time, is the password."""

    def __init__(self, root: Path, token: str | None = None, user: str | None = None) -> None:
        self.root = Path(root)
        self.token = token
        self.user = user
        self.port = 0
        self.backend = _backend()
        self.errors: list[BaseException] = []
        self._log: list[Request] = []
        self._faults: list[Fault] = []
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._server: _Server | None = None

    def __enter__(self) -> HttpRemote:
        self.root.mkdir(parents=True, exist_ok=True)
        self._listen(_bound(0))
        return self

    def __exit__(self, error: object, *_: object) -> None:
        for fault in self._faults:
            fault.remove()
        self._refuse()
        wait_until(lambda: not self._connections, what="the git server's last requests to end")
        if self.errors and error is None:
            raise AssertionError(f"the git server itself failed: {self.errors!r}") from self.errors[0]

    # What a test asks for

    def make(self, name: str = "fleet.git") -> str:
        """A new bare repository, as gitcoord makes them; returns its URL."""
        command = ["git", "-c", "init.defaultBranch=main", "init", "--quiet", "--bare", str(self.root / name)]
        subprocess.run(command, check=True, env=self.environment())
        with (self.root / name / "config").open("a", encoding="utf-8") as config:
            config.write(BARE)
        return self.url(name)

    def url(self, name: str = "fleet.git", *, user: str | None = None, password: str | None = None) -> str:
        login = "" if password is None else f"{quote(user or 'x', safe='')}:{quote(password, safe='')}@"
        return f"http://{login}127.0.0.1:{self.port}/{name}"

    def git(self, *arguments: str, name: str = "fleet.git") -> str:
        """Run git in a repository, on the server's side; its output without the last newline."""
        command = ["git", "-C", str(self.root / name), *arguments]
        done = subprocess.run(command, check=True, capture_output=True, env=self.environment())
        return done.stdout.decode("utf-8", "replace").rstrip("\n")

    def requests(self, when: When = is_any) -> list[Request]:
        """The log: every request since the start, in order of arrival."""
        with self._lock:
            return [request for request in self._log if when(request.method, request.path)]

    # What goes wrong

    @contextlib.contextmanager
    def outage(self) -> Iterator[None]:
        """Refuse connections, and cut the open ones; then listen on the same port again."""
        self._refuse()
        bound = _bound(self.port)  # not listening; and nobody else gets the port meanwhile
        try:
            yield
        finally:
            self._listen(bound)

    def respond(
        self,
        status: int,
        *,
        times: int | None = 1,
        when: When = is_any,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Fault:
        """Answer with `status`; the backend does not run."""
        return self._add(Fault("respond", when, times, status=status, headers=headers or {}, body=body))

    def cut(self, after_bytes: int = 0, *, times: int | None = 1, when: When = is_push, applied: bool = False) -> Fault:
        """Reset the connection after so many bytes of the request's body: the backend does not run. Or,
        `applied`, let it do its work, and reset after so many bytes of the answer."""
        return self._add(Fault("cut", when, times, applied=applied, after_bytes=after_bytes))

    def delay(self, seconds: float, *, times: int | None = None, when: When = is_any, applied: bool = False) -> Fault:
        """Hold requests whose body has arrived: a push is applied later even if its client has given up.
        Or, `applied`, apply it at once and hold the answer."""
        return self._add(Fault("delay", when, times, applied=applied, seconds=seconds))

    def hold(self, *, times: int | None = 1, when: When = is_push, applied: bool = False) -> Fault:
        """A delay that ends with `remove()`; `hits` counts the requests held so far."""
        return self.delay(SOCKET_SECONDS_MAX, times=times, when=when, applied=applied)

    # How it works

    def environment(self) -> dict[str, str]:
        """For the server's processes: nothing of a client's configuration reaches them."""
        kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "TMPDIR") if name in os.environ}
        alone = {"HOME": str(self.root), "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        return kept | alone | {"GIT_PROJECT_ROOT": str(self.root), "GIT_HTTP_EXPORT_ALL": "1"}

    def take(self, kind: str, request: Request, *, applied: bool = False) -> Fault | None:
        """The first fault of this kind that is for this request; it has then hit once more."""
        with self._lock:
            for fault in self._faults:
                spent = fault.removed.is_set() or fault.hits == fault.times
                if spent or (fault.kind, fault.applied) != (kind, applied):
                    continue
                if fault.when(request.method, request.path):
                    fault.hits += 1
                    return fault
        return None

    def began(self, request: Request) -> None:
        with self._lock:
            self._log.append(request)

    def connected(self, connection: socket.socket) -> None:
        with self._lock:
            self._connections.add(connection)

    def disconnected(self, connection: socket.socket) -> None:
        with self._lock:
            self._connections.discard(connection)

    def _add(self, fault: Fault) -> Fault:
        with self._lock:
            self._faults.append(fault)
        return fault

    def _listen(self, bound: socket.socket) -> None:
        self.port = bound.getsockname()[1]
        self._server = _Server(bound, self)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def _refuse(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # of connections not yet accepted: sixteen writers at once must not be refused

    def __init__(self, bound: socket.socket, remote: HttpRemote) -> None:
        self.remote = remote
        super().__init__(bound.getsockname(), _Exchange, bind_and_activate=False)
        self.socket.close()
        self.socket = bound
        self.server_activate()

    def process_request(self, request: Any, client_address: Any) -> None:
        self.remote.connected(request)  # here, not in the thread: an outage must not miss one
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.remote.disconnected(request)
        request.close()  # without the shutdown() that would turn a reset into an orderly end

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exc_info()[1]
        if error and not isinstance(error, OSError):  # clients that hang up are what tests are about
            self.remote.errors.append(error)


class _Exchange(BaseHTTPRequestHandler):
    """One request: faults before, credentials, the backend, faults after, the answer."""

    server: _Server
    protocol_version = "HTTP/1.1"  # git sends large bodies in chunks
    timeout = SOCKET_SECONDS_MAX
    disable_nagle_algorithm = True

    def exchange(self) -> None:
        self.close_connection = True
        remote, request = self.server.remote, Request(self.command, self.path)
        remote.began(request)
        faults = self.headers.get("Content-Length") != str(PROBE_BYTES)
        if faults and (cut := remote.take("cut", request)):
            return self.reset(request, cut.after_bytes)
        body = b"".join(self.blocks(request))
        if faults and (delay := remote.take("delay", request)):
            delay.removed.wait(delay.seconds)
        if faults and (respond := remote.take("respond", request)):
            return self.answer(request, respond.status, respond.headers, respond.body)
        if refusal := self.unauthorized(request):
            return self.answer(request, refusal, {"WWW-Authenticate": 'Basic realm="git"'})
        status, headers, answer = self.run_backend(request, body)
        if faults and (delay := remote.take("delay", request, applied=True)):
            delay.removed.wait(delay.seconds)
        cut = remote.take("cut", request, applied=True) if faults else None
        self.answer(request, status, headers, answer, cut)

    do_GET = do_POST = exchange

    def blocks(self, request: Request) -> Iterator[bytes]:
        """The body, be it chunked or of a given length; an incomplete one is an error and is not applied."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline(1000).split(b";")[0] or b"0", 16):
                yield from self.block(request, size)
                self.rfile.readline(1000)
            while self.rfile.readline(1000) not in (b"\r\n", b"\n", b""):
                pass
        else:
            yield from self.block(request, int(self.headers.get("Content-Length") or 0))

    def block(self, request: Request, size: int) -> Iterator[bytes]:
        while size:
            data = self.rfile.read1(min(size, BLOCK_BYTES))
            if not data:
                raise ConnectionError("the client hung up in the middle of its body")
            request.body_bytes += len(data)
            assert request.body_bytes <= BODY_BYTES_MAX, "no test pushes that much"
            size -= len(data)
            yield data

    def unauthorized(self, request: Request) -> int | None:
        """400 for two Authorization headers, as GitHub answers; 401 for a wrong one; None if all is well."""
        sent = self.headers.get_all("Authorization") or []
        if len(sent) > 1:
            return 400
        user, password = "", ""
        if sent and sent[0].startswith("Basic "):
            user, _, password = base64.b64decode(sent[0][6:]).decode().partition(":")
            request.user = user
        remote = self.server.remote
        known = remote.token in (None, password) and remote.user in (None, user)
        return None if known else 401

    def run_backend(self, request: Request, body: bytes) -> tuple[int, dict[str, str], bytes]:
        path, _, query = self.path.partition("?")
        environment = self.server.remote.environment() | {
            "REQUEST_METHOD": self.command,
            "PATH_INFO": unquote(path),
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_ADDR": self.client_address[0],
            "REMOTE_USER": request.user or "",
        }
        found = self.said_by_backend(environment, body, is_read=is_fetch(self.command, self.path))
        if found is None:
            return 504, {}, b""
        request.applied = True
        head, _, answer = found.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode("latin-1").splitlines())
        return int(headers.pop("Status", "200").split()[0]), headers, answer

    def said_by_backend(self, environment: Mapping[str, str], body: bytes, *, is_read: bool) -> bytes | None:
        """What the backend says; None when it takes too long. One that is read from ends when its client has gone."""
        process = subprocess.Popen(
            [self.server.remote.backend],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
        end_s = time.monotonic() + BACKEND_SECONDS_MAX
        given: bytes | None = body
        try:
            while time.monotonic() < end_s:
                try:
                    return process.communicate(given, timeout=LOOK_SECONDS)[0]
                except subprocess.TimeoutExpired:
                    given = None  # it goes on with what it was given
                    if is_read and self.hung_up():
                        raise ConnectionError("the client hung up before the answer") from None
            return None
        finally:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):  # what it did not read
                    pipe.close()  # type: ignore[union-attr]

    def hung_up(self) -> bool:
        readable, _, _ = select.select([self.connection], [], [], 0)  # recv() itself would wait for its timeout
        return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)

    def answer(
        self, request: Request, status: int, headers: Mapping[str, str], body: bytes = b"", cut: Fault | None = None
    ) -> None:
        lines = [f"HTTP/1.1 {status} {self.responses.get(status, ('Injected',))[0]}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines += [f"Content-Length: {len(body)}", "Connection: close", "", ""]
        whole = "\r\n".join(lines).encode("latin-1") + body
        if cut is not None:
            self.wfile.write(whole[: cut.after_bytes])
            return self.reset(request)
        request.status = status
        self.wfile.write(whole)

    def reset(self, request: Request, after_bytes: int = 0) -> None:
        """Turn the close that follows into a reset, `after_bytes` of the body (or all of it) being read."""
        if after_bytes:
            for _ in self.blocks(request):
                if request.body_bytes >= after_bytes:
                    break
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _bound(port: int) -> socket.socket:
    """Bound, and not listening. A backend that was forked and has not begun yet holds a closed server's socket."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

    def free() -> bool:
        try:
            bound.bind(("127.0.0.1", port))
        except OSError as wrong:
            if wrong.errno != errno.EADDRINUSE:
                raise
            return False
        return True

    wait_until(free, what=f"port {port} to be free")
    return bound


def _backend() -> str:
    done = subprocess.run(["git", "--exec-path"], check=True, capture_output=True, text=True)
    backend = Path(done.stdout.strip()) / "git-http-backend"
    assert backend.exists(), f"{backend} is missing: these tests need git with its HTTP server"
    return str(backend)
