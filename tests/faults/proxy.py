"""A proxy between git and the smart HTTP remote, that spoils what passes: what a line, a gateway or a cache does.

`HttpRemote` itself can be away, refuse, fail, hold and cut. Here is what needs somebody in the middle:

    with HttpRemote(folder) as server, Proxy(server.port) as proxy:
        proxy.spoil(stall_after=100)            # the next push's answer: so many bytes, then silence
        proxy.spoil(cut_request_after=1500)     # of the request, its head included: the server gets no more
        proxy.spoil(twice=True)                 # the request is sent twice; the second answer is what is told
        proxy.spoil(bytes_per_s=2000)           # both ways
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType

BLOCK_BYTES = 16 * 1024
WAIT_S = 60.0


@dataclass
class Spoilt:
    """What happens to the next requests that hold `part` in their first line; `hits` counts them."""

    part: str
    times: int
    cut_request_after: int | None = None
    cut_answer_after: int | None = None
    stall_after: int | None = None  # bytes of the answer
    twice: bool = False
    bytes_per_s: float | None = None
    hits: int = 0
    ended: threading.Event = field(default_factory=threading.Event)  # lets go of what stalls


class Proxy:
    """One connection, one exchange: the remote closes each after its answer."""

    def __init__(self, port: int) -> None:
        self.remote = ("127.0.0.1", port)
        self.spoilt: list[Spoilt] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()

    def __enter__(self) -> Proxy:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for spoilt in self.spoilt:
            spoilt.ended.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def url(self, name: str = "fleet.git") -> str:
        return f"http://127.0.0.1:{self.port}/{name}"

    def spoil(
        self,
        part: str = "POST /fleet.git/git-receive-pack",
        *,
        times: int = 1,
        cut_request_after: int | None = None,
        cut_answer_after: int | None = None,
        stall_after: int | None = None,
        twice: bool = False,
        bytes_per_s: float | None = None,
    ) -> Spoilt:
        spoilt = Spoilt(part, times, cut_request_after, cut_answer_after, stall_after, twice, bytes_per_s)
        self.spoilt.append(spoilt)
        return spoilt

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._exchange, args=(client,), daemon=True).start()

    def _exchange(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            client.settimeout(WAIT_S)
            head = b""
            while b"\r\n\r\n" not in head:
                data = client.recv(BLOCK_BYTES)
                if not data:
                    return
                head += data
            spoilt = self._spoilt(head.split(b"\r\n", 1)[0].decode("latin-1"))
            if spoilt.twice:
                body = self._whole(client, head)
                with socket.create_connection(self.remote, WAIT_S) as first:
                    first.sendall(body)
                    while first.recv(BLOCK_BYTES):
                        pass
                head = body
            with socket.create_connection(self.remote, WAIT_S) as server:
                self._pass_on(client, server, head, spoilt)

    def _spoilt(self, line: str) -> Spoilt:
        with self._lock:
            for spoilt in self.spoilt:
                if spoilt.part in line and spoilt.hits < spoilt.times and not spoilt.ended.is_set():
                    spoilt.hits += 1
                    return spoilt
        return Spoilt("", 0)

    def _whole(self, client: socket.socket, data: bytes) -> bytes:
        """A request of a given length, to its end."""
        head, _, body = data.partition(b"\r\n\r\n")
        [length] = [int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        while len(body) < length:
            body += client.recv(BLOCK_BYTES)
        return head + b"\r\n\r\n" + body

    def _pass_on(self, client: socket.socket, server: socket.socket, head: bytes, spoilt: Spoilt) -> None:
        cut = threading.Event()

        def request() -> None:
            with contextlib.suppress(OSError):
                data, sent = head, 0
                while data:
                    if spoilt.cut_request_after is not None and sent + len(data) > spoilt.cut_request_after:
                        server.sendall(data[: spoilt.cut_request_after - sent])
                        cut.set()
                        _reset(server)
                        _reset(client)
                        return
                    sent += len(data)
                    _send(server, data, spoilt.bytes_per_s)
                    data = client.recv(BLOCK_BYTES)

        sender = threading.Thread(target=request, daemon=True)
        sender.start()
        passed = 0
        while data := server.recv(BLOCK_BYTES):
            for limit, stalls in ((spoilt.cut_answer_after, False), (spoilt.stall_after, True)):
                if limit is not None and passed + len(data) > limit:
                    client.sendall(data[: max(0, limit - passed)])
                    if stalls:
                        spoilt.ended.wait(WAIT_S)
                    _reset(client)
                    return
            passed += len(data)
            _send(client, data, spoilt.bytes_per_s)
        if not cut.is_set():
            client.shutdown(socket.SHUT_WR)


def _send(to: socket.socket, data: bytes, bytes_per_s: float | None) -> None:
    if bytes_per_s is None:
        to.sendall(data)
        return
    for at in range(0, len(data), 256):
        to.sendall(data[at : at + 256])
        time.sleep(256 / bytes_per_s)  # this is the fault, not a wait


def _reset(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RD)
        connection.close()
