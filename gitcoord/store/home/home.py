"""A node's home, `<git common dir>/gitcoord/`: the files that survive a crash, and their paths."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import filelock

from gitcoord.core import limits
from gitcoord.core.errors import Corrupt, Refused
from gitcoord.core.format.event import Head, parse
from gitcoord.core.format.strict_json import Malformed
from gitcoord.core.names import agent_id, is_agent_id
from gitcoord.core.round.sight import Sight
from gitcoord.core.text import as_json
from gitcoord.store import typed_json
from gitcoord.store.files import (
    append_durably,
    keep_reserve,
    make_folder,
    pausing,
    sync_folder,
    write_durably,
    write_quickly,
)
from gitcoord.store.git import repo_location
from gitcoord.store.git import url as git_url
from gitcoord.store.home import node_key, sharing
from gitcoord.store.home.agent_keys import AgentKeys
from gitcoord.store.home.locks import is_held
from gitcoord.store.home.queue import Queue
from gitcoord.store.home.records import Config, SyncProgress

if TYPE_CHECKING:
    from gitcoord.core.ports import Oid

TIMEOUT_S_MAX = 3600.0  # of one request to the remote
OID_CHARACTERS = 40
WORKTREE_AGENT = "gitcoord-agent"

T = TypeVar("T")


class Home:
    """The files of one node. `queue` is its log; every other file is small and replaced as a whole.

    `worktree` is git's own folder of the linked work tree in which the process works: that tree's agent is named there.
    """

    def __init__(self, path: Path, *, worktree: Path | None = None) -> None:
        self.path = path
        self.worktree = worktree
        self.queue = Queue(path)
        self.store = path / "store.git"
        self.cache = path / "cache"
        self.keys = AgentKeys(path / "keys")
        self._progress_path = path / "progress.json"
        self._progress: tuple[tuple[int, ...], SyncProgress] = ((), SyncProgress())
        self._read: dict[str, tuple[Any, Any]] = {}
        self.sync_lock = filelock.FileLock(path / "lock")

    @property
    def exists(self) -> bool:
        return (self.path / "config.json").exists()

    def create(self, config: Config, *, node_id: str, base: Head = Head(), seed: bytes | None = None) -> None:
        """Make a home. `seed` has the 32 bytes of the node's key, and `base` is the head of the node's chain so far.

        The configuration is written last, because it says that the home exists.
        """
        sharing.make_home(self.path, "")
        for folder in (self.cache, self.path / "heartbeats"):
            make_folder(folder, exist_ok=True)
        self.keys.make()
        if seed is not None:
            node_key.keep(self.path, node_id, seed)
        self.queue = Queue.create(self.path, node_id=node_id, base=base)
        for name in ("lock", self.queue.path.name):
            sharing.touch(self.path / name)
        keep_reserve(self.path)  # syncs the folder; its own name must become durable too
        sync_folder(self.path.parent)
        self.save_config(config)

    def save_config(self, config: Config) -> None:
        """Save the configuration, without passwords in the remotes' URLs: others may read this file."""
        config = replace(
            config,
            remote=git_url.without_secret(config.remote),
            mirror=git_url.without_secret(config.mirror),
            moved_from=git_url.without_secret(config.moved_from),
        )
        text = json.dumps(asdict(config), indent=2, sort_keys=True)
        write_durably(self.path / "config.json", text.encode() + b"\n")

    def config(self) -> Config:
        """Return the configuration. Raise Refused if there is no fleet, Corrupt if the file is damaged."""
        path = self.path / "config.json"
        try:
            config = typed_json.read(Config, path.read_bytes())
            if not 0 < config.timeout_s <= TIMEOUT_S_MAX:
                raise ValueError(f"`timeout_s` is not above 0 and at most {TIMEOUT_S_MAX:g}")
            return config
        except FileNotFoundError:
            raise Refused("this clone is in no fleet yet: run `gitcoord init --agent NAME`") from None
        except ValueError as wrong:
            raise Corrupt(f"{path} cannot be read ({wrong}): fix it, or run `gitcoord init` again") from None

    # The agent of a linked work tree

    @property
    def worktree_agent(self) -> str | None:
        """Return the agent of this linked work tree; None if it has none, or if this is not one. Raise Corrupt."""
        if self.worktree is None:
            return None
        path = self.worktree / WORKTREE_AGENT
        try:
            name = path.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return None
        except ValueError:
            name = ""
        if not is_agent_id(name):
            raise Corrupt(f"{path} names no agent: remove it, then run `gitcoord init --agent NAME` in this work tree")
        return name

    def save_worktree_agent(self, agent: str) -> None:
        assert self.worktree is not None
        write_durably(self.worktree / WORKTREE_AGENT, agent_id(agent).encode() + b"\n")

    # The last tip seen. This is no cache: it proves that a ledger was set back

    @property
    def tip(self) -> Oid | None:
        """Return the newest ledger tip that this node has seen; None if it has seen none. Raise Corrupt."""
        return self._tip()[0]

    @property
    def term(self) -> int:
        """Return the highest term that this node has seen. Raise Corrupt."""
        return self._tip()[1]

    def _tip(self) -> tuple[Oid | None, int]:
        try:
            oid, term = (self.path / "tip").read_text(encoding="ascii").split()
            return oid, int(term)
        except FileNotFoundError:
            return None, 0
        except ValueError:
            raise Corrupt(f"{self.path / 'tip'} is damaged: remove it; the next sync trusts the remote") from None

    def save_tip(self, oid: Oid, term: int) -> None:
        write_durably(self.path / "tip", f"{oid} {term}\n".encode())

    @property
    def sight(self) -> Sight:
        """Return when this node saw its ledger, and put it back (`core/round/sight.py`)."""
        rows = self._rows("sight", lambda data: data.split())
        try:
            seen_s, *restored_s = (None if row == b"-" else int(row) for row in rows)
            return Sight(seen_s, tuple(at_s for at_s in restored_s if at_s is not None))
        except ValueError:  # there is none yet; or it is damaged, and then a person decides
            return Sight()

    def save_sight(self, sight: Sight) -> None:
        words = ["-" if sight.seen_s is None else str(sight.seen_s), *map(str, sight.restored_s)]
        write_durably(self.path / "sight", " ".join(words).encode() + b"\n")

    # Our outbox commits. If another one is in our place, a copy of this clone may have written it

    def pushed(self, oid: Oid) -> bool:
        """Return whether this node was about to push this commit as its outbox."""
        return oid in self._pushed()

    def _pushed(self) -> list[Oid]:
        return [row[0] for row in self._noted()]

    def _noted(self) -> list[list[str]]:
        """Return rows: an outbox commit, then session and number of each heartbeat in it, such as 3f9a00c2d11e:17."""
        return self._rows("pushed", _whole_rows)

    def pushed_last(self) -> Oid | None:
        """Return the newest outbox commit that this node was about to push; None if there is none."""
        known = self._pushed()
        return known[-1] if known else None

    def heartbeats_pushed(self, session: str) -> int:
        """Return the highest number of this session's heartbeats that any process of this node pushed; 0 for none."""
        counts = (heartbeat.rpartition(":") for row in self._noted() for heartbeat in row[1:])
        return max((int(count) for name, _, count in counts if name == session and count.isdigit()), default=0)

    def note_outbox(self, oid: Oid, heartbeats: Sequence[tuple[str, int]] = ()) -> None:
        """Record, durably, an outbox commit that is about to be pushed, and the heartbeats in it."""
        path = self.path / "pushed"
        known = self._noted()
        row = " ".join([oid, *(f"{session}:{count}" for session, count in heartbeats)])
        if len(known) < 2 * limits.PUSHED_IDS_MAX:
            append_durably(path, f"\n{row}\n".encode())  # a power cut may have left half of a row before it
            return
        ended = dict(heartbeat.rsplit(":", 1) for row in known[: -limits.PUSHED_IDS_MAX] for heartbeat in row[1:])
        kept = [list(row) for row in known[-limits.PUSHED_IDS_MAX :]]
        kept[0] += [f"{session}:{count}" for session, count in [*ended.items()][-limits.PUSHED_IDS_MAX :]]
        write_durably(path, "".join(f"{' '.join(one)}\n" for one in [*kept, [row]]).encode())

    # Orphans: lines that a ledger lost, to be offered again

    @property
    def orphans(self) -> Sequence[bytes]:
        """Return the lines that a ledger lost and that this node offers again."""
        return self._rows("orphans.log", lambda data: data.split(b"\n")[:-1])

    def _rows(self, name: str, split: Callable[[bytes], list[T]]) -> list[T]:
        """Return a small file's rows. It is read only after a change, because a round asks for them often."""
        path = self.path / name
        try:
            stat = path.stat()
            seen = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
            if self._read.get(name, (None, None))[0] != seen:
                self._read[name] = seen, split(path.read_bytes())
        except FileNotFoundError:
            return []
        rows: list[T] = self._read[name][1]
        return rows

    def save_orphans(self, lines: Sequence[bytes]) -> None:
        path = self.path / "orphans.log"
        if lines:
            write_durably(path, b"".join(line + b"\n" for line in lines))
        else:
            path.unlink(missing_ok=True)

    # Shared with the node's other processes

    def progress(self) -> SyncProgress:
        """Return how far the node got. The object is the same until the file changes, so frequent calls are cheap."""
        try:
            stat = os.stat(self._progress_path)
            made = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            if made != self._progress[0]:
                self._progress = (made, typed_json.read(SyncProgress, self._progress_path.read_bytes()))
        except (FileNotFoundError, ValueError):
            if self._progress[0]:
                self._progress = ((), SyncProgress())
        return self._progress[1]

    def save_progress(self, progress: SyncProgress) -> None:
        write_quickly(self._progress_path, json.dumps(asdict(progress)).encode())

    def run_lock(self, agent: str) -> filelock.FileLock:
        """Return the lock that an agent's `agent run` on this node holds while it lives. There is one run at a time."""
        with pausing(self.path):
            return filelock.FileLock(sharing.touch(self.path / "heartbeats" / f"{agent_id(agent).casefold()}.lock"))

    def running(self) -> list[str]:
        """Return the ids (casefolded) of the agents with an `agent run` on this node."""
        found = []
        for path in sorted((self.path / "heartbeats").glob("*.lock")):
            with contextlib.suppress(OSError):  # a lock that cannot be opened says nothing about the others
                if is_held(path):
                    found.append(path.name.removesuffix(".lock"))
        return found

    def save_heartbeat(self, agent: str, line: bytes) -> None:
        write_quickly(self.path / "heartbeats" / f"{agent.casefold()}.line", line)

    def neighbours(self) -> list[bytes]:
        """Return the newest heartbeat lines of this node's agents that run, or that said goodbye when they ended."""
        lines = []
        running = self.running()
        for path in sorted((self.path / "heartbeats").glob("*.line")):
            with contextlib.suppress(FileNotFoundError, Malformed):  # a power cut leaves broken ones
                line = path.read_bytes()
                goodbye = parse(line).data.get("state") == "goodbye"
                if path.name.removesuffix(".line") in running or goodbye:
                    lines.append(line)
        return lines

    def add_error(self, record: dict[str, Any]) -> None:
        """Append one line to `events.error.log`: what was rejected, where it came from, and the reason."""
        append_durably(self.path / "events.error.log", as_json(record).encode() + b"\n")

    def checkpoint_path(self, agent: str) -> Path:
        """Return the file that says how far the agent's event handler got. Raise Refused for an invalid id."""
        return self.path / f"agent-{agent_id(agent)}.checkpoint"

    def paths(self) -> dict[str, str]:
        """Return the paths that `status` prints, by name."""
        names = ["events.offline.log", "events.error.log", "config.json", "keys", "store.git", "cache", "lock"]
        return {"home": str(self.path)} | {name: str(self.path / name) for name in names}


def find_home(path: Path) -> Home:
    """Return the home of the node whose clone (or work tree) is around `path`. Raise Refused outside of any."""
    common = repo_location.common_dir(path)
    if common is None:
        raise Refused(f"{path} is in no git repository: run `gitcoord init` there first")
    return Home(common / "gitcoord", worktree=repo_location.worktree_git_dir(path))


def _whole_rows(data: bytes) -> list[list[str]]:
    rows = map(str.split, data.decode("ascii", "replace").split("\n"))
    return [row for row in rows if row and len(row[0]) == OID_CHARACTERS]
