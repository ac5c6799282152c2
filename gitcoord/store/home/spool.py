"""The spool: drafts of processes that could not lock the queue; the next holder of the lock takes them in."""

from __future__ import annotations

import contextlib
import datetime
import json
import secrets
from collections.abc import Callable, Container
from dataclasses import asdict
from pathlib import Path

from gitcoord.core import names
from gitcoord.core.errors import GitcoordError
from gitcoord.core.format.event import Draft, Event
from gitcoord.core.secret_scan.credentials import redacted
from gitcoord.store import typed_json
from gitcoord.store.files import make_folder, write_durably

SPOOLED_MAX = 100  # a lock that is held for hours is one finding, not thousands
DRAFT_BYTES_MAX = 64 * 1024


class Spool:
    """Drafts as small files, one each, in `spool/`. They wait for a signature and a place in the chain."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "spool"

    def __bool__(self) -> bool:
        return self.folder.is_dir() and any(self.folder.glob("*.json"))

    def put_error(self, actor: str, text: str) -> None:
        """Record, durably, that `actor` met an error, once. A disk that refuses is reported in its own way."""
        timestamp = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")[:23] + "Z"
        uid = names.uid_from(secrets.token_bytes(10))
        draft = Draft(actor=actor, type="error", content=redacted(text), timestamp=timestamp, uid=uid)
        with contextlib.suppress(OSError):
            make_folder(self.folder, exist_ok=True)
            waiting = [_read(path) for path in self.folder.glob("*.json")]
            told = any(one is not None and (one.actor, one.content) == (actor, draft.content) for one in waiting)
            if not told and len(waiting) < SPOOLED_MAX:
                write_durably(self.folder / f"{uid}.json", json.dumps(asdict(draft)).encode())

    def take(self, seal: Callable[[Draft], Event], known: Container[str]) -> tuple[list[Event], list[Path]]:
        """Return the events of the waiting drafts, oldest first, and the files to remove once they are durable.

        A draft whose agent's key is not here waits on. A `known` draft was taken before a crash; that one, and a file
        that is no draft, are only removed.
        """
        drafts: list[tuple[Draft, Path]] = []
        done: list[Path] = []
        for path in self.folder.glob("*.json") if self.folder.is_dir() else ():
            draft = _read(path)
            if draft is None or draft.event_uid in known:
                done.append(path)
            else:
                drafts.append((draft, path))
        events = []
        for draft, path in sorted(drafts, key=lambda one: (one[0].timestamp, one[0].uid)):
            try:
                events.append(seal(draft))
            except GitcoordError:
                continue
            done.append(path)
        return events, done


def _read(path: Path) -> Draft | None:
    try:
        data = path.read_bytes()
        return typed_json.read(Draft, data) if len(data) <= DRAFT_BYTES_MAX else None
    except (OSError, ValueError):
        return None
