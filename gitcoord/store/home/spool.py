"""The spool: drafts of processes that could not lock the queue. The next holder of the lock queues them."""

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
from gitcoord.store import typed_json
from gitcoord.store.files import make_folder, write_durably

SPOOLED_MAX = 100  # while a lock is held for hours, thousands of commands may fail
DRAFT_BYTES_MAX = 64 * 1024


class Spool:
    """Drafts in `spool/`, one file each. They wait for a signature and a place in the chain."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "spool"

    def __bool__(self) -> bool:
        return self.folder.is_dir() and any(self.folder.glob("*.json"))

    def put_error(self, actor: str, text: str) -> None:
        """Record, durably, that `actor` met an error, once. A disk that refuses is reported in its own way."""
        from gitcoord.core.secret_scan.credentials import redacted  # its patterns cost 0.02 s

        timestamp = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")[:23] + "Z"
        uid = names.uid_from(secrets.token_bytes(10))
        draft = Draft(actor=actor, type="error", content=redacted(text), timestamp=timestamp, uid=uid)
        with contextlib.suppress(OSError):
            make_folder(self.folder, exist_ok=True)
            waiting = [_read(path) for path in self.folder.glob("*.json")]
            known = any(one is not None and (one.actor, one.content) == (actor, draft.content) for one in waiting)
            if not known and len(waiting) < SPOOLED_MAX:
                write_durably(self.folder / f"{uid}.json", json.dumps(asdict(draft)).encode())

    def take(self, seal: Callable[[Draft], Event], known: Container[str]) -> tuple[list[Event], list[Path]]:
        """Return the sealed events of the drafts, oldest first, and the files to remove as soon as they are durable.

        A draft whose agent's key is not here keeps waiting. A draft whose uid is `known` was queued before a crash: its
        file, and one that is no draft, are only to be removed.
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
