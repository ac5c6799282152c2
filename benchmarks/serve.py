"""A git server over HTTP in a process of its own: prints its URL, and for each line read the number of pushes."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.http_remote import HttpRemote, is_push


def main() -> None:
    with HttpRemote(Path(sys.argv[1])) as server:
        print(server.url(sys.argv[2]), flush=True)
        for _ in sys.stdin:
            print(len([r for r in server.requests(is_push) if r.body_bytes > 4]), flush=True)


main()
