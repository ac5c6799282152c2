"""The private bare repository: gitcoord's objects, a mirror of the remote's refs, and the connection to the remote."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from gitcoord.core.errors import Corrupt
from gitcoord.core.ports import CommitInfo, Fetched, Oid, Pushed, PushOutcome, TreeEntry, Update
from gitcoord.store import files
from gitcoord.store.git import credentials, maintenance
from gitcoord.store.git import refs as git_refs
from gitcoord.store.git.local_repo import init_bare
from gitcoord.store.git.loose_objects import LooseObjects
from gitcoord.store.git.mirror import Mirror
from gitcoord.store.git.objects import OID, decode_commit, decode_tree, encode_commit, encode_tree
from gitcoord.store.git.reader import Reader
from gitcoord.store.git.spawn import LOCAL_S, spawn
from gitcoord.store.git.transport import MIRROR, PRIVATE, Transport
from gitcoord.store.home import locks, sharing

OBJECT_BYTES_MAX = 64 * 1024 * 1024  # far above what gitcoord writes; a hostile blob must not fill memory
TREE_BYTES_MAX = 8 * 1024 * 1024  # two hundred thousand names; a ledger of ten million events has 4,000 in one
NEAR_COMMITS = 64  # an ancestor is nearly always this close: to read a commit takes 0.08 ms, to start git 3 ms
FAR_COMMITS = 1000  # after so many, git walks on, in 0.005 ms for a commit: somebody made a very deep ledger
PAGE_COMMITS = 20_000  # 0.8 MB of git's output; a process keeps at most 1 MB

KEPT = "refs/gitcoord/kept/"


class GitStore:
    """An implementation of Objects and Remote on a private bare repository. Use it in one thread, and close it.

    `url` is the shared remote; `config_from` is the user's repository, whose credential and transport settings apply.
    Errors never contain a token, nor the user or password of a URL.
    """

    def __init__(
        self,
        path: Path,
        *,
        url: str,
        ledger_ref: str,
        outbox_prefix: str,
        config_from: Path | None = None,
        timeout_s: float = 60.0,
    ) -> None:
        self.path = path.resolve()
        self._ledger_ref, self._outbox_prefix, self._timeout_s = ledger_ref, outbox_prefix, timeout_s
        self._config_from = config_from
        self._connect(url)
        self._loose = LooseObjects(self.path)
        self._reader = Reader(self.path, MIRROR)

    def _connect(self, url: str) -> None:
        timeout_s = self._timeout_s
        self._transport = Transport(self.path, url=url, config_from=self._config_from, timeout_s=timeout_s, spawn=spawn)
        self._mirror = Mirror(
            self.path, self._transport, ledger_ref=self._ledger_ref, outbox_prefix=self._outbox_prefix
        )

    def turn_to(self, url: str) -> None:
        """Go on with another remote. Nobody else may fetch into this store meanwhile."""
        self._mirror.forget()
        self._connect(url)

    def beside(self, url: str) -> GitStore:
        """Return a store on the same objects with another remote, to look at and to push to. Do not fetch with it."""
        return type(self)(
            self.path,
            url=url,
            ledger_ref=self._ledger_ref,
            outbox_prefix=self._outbox_prefix,
            config_from=self._config_from,
            timeout_s=self._timeout_s,
        )

    @classmethod
    def create(cls, path: Path) -> None:
        """Make the private repository at `path` if it does not exist, or complete one whose making was interrupted.

        Several processes may do so at once. Raise Paused if git fails, or LockHeld if another process hangs.
        """
        last = path / "askpass"
        if _is_askpass(last):
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        files.make_folder(path, exist_ok=True)
        with locks.holding(path / "making", guards="the creation of the store", wait_s=LOCAL_S):
            if not _is_askpass(last):
                granted = sharing.mode_in(path)  # with this setting, git also ignores the umask
                init_bare(path, {**PRIVATE, "core.sharedRepository": f"0{granted:03o}"})
                askpass = credentials.ASKPASS.encode("ascii")
                files.write_durably(last, askpass, mode=granted | (granted & 0o444) >> 2)

    def __enter__(self) -> GitStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the child processes that read objects. The store may still be used: then they are started again."""
        self._reader.close()

    @property
    def moved_to(self) -> str:
        """The address on the same server to which the remote redirects; "" if it does not."""
        return self._transport.moved_to

    # -- objects ---------------------------------------------------------------------------------

    def put_blob(self, data: bytes) -> Oid:
        return self._put("blob", data, ())

    def put_tree(self, entries: Mapping[str, TreeEntry]) -> Oid:
        return self._put("tree", encode_tree(entries), [entry.oid for entry in entries.values()])

    def put_commit(self, *, tree: Oid, parents: Sequence[Oid], message: str, author: str, time_s: int) -> Oid:
        data = encode_commit(tree=tree, parents=parents, message=message, author=author, time_s=time_s)
        return self._put("commit", data, [tree, *parents])

    def blob(self, oid: Oid, *, bytes_max: int | None = None) -> bytes:
        return self._read(oid, "blob", OBJECT_BYTES_MAX if bytes_max is None else bytes_max)

    def ahead(self, oids: Sequence[Oid]) -> None:
        self._reader.ahead(oids)

    def tree(self, oid: Oid) -> dict[str, TreeEntry]:
        return decode_tree(oid, self._read(oid, "tree", TREE_BYTES_MAX))

    def commit(self, oid: Oid) -> CommitInfo:
        return decode_commit(oid, self._read(oid, "commit"))

    def is_ancestor(self, old: Oid, new: Oid) -> bool:
        commit = new
        for _ in range(NEAR_COMMITS):
            if commit == old:
                break
            try:
                parents = self.commit(commit).parents
            except Corrupt:
                return False
            if not parents:
                break
            commit = parents[0]
        if not self._is_commit(old):
            return False
        return commit == old or self._transport.run("merge-base", "--is-ancestor", old, new).status == 0

    def first_parents(self, tip: Oid, *, stop: Oid | None, limit: int) -> list[Oid]:
        try:
            return self._first_parents(tip, stop, limit)
        except Corrupt:
            if not self._mirror.deepen():
                raise
        return self._first_parents(tip, stop, limit)

    def _first_parents(self, tip: Oid, stop: Oid | None, limit: int) -> list[Oid]:
        newest_first: list[Oid] = []
        at: Oid | None = tip
        while at is not None and at != stop and len(newest_first) < limit:
            page = [at]
            if len(newest_first) >= FAR_COMMITS:
                page = self._page(at, min(PAGE_COMMITS, limit - len(newest_first)))
                page = page[: page.index(stop)] if stop in page else page
            newest_first += page
            at = next(iter(self.commit(page[-1]).parents), None)
        return newest_first[::-1]

    def _page(self, tip: Oid, commits: int) -> list[Oid]:
        """Return at most `commits` commits along first parents, from `tip` on. Raise Corrupt if it is not here."""
        words = ("rev-list", "--first-parent", f"--max-count={commits}", tip, "--")
        result = self._transport.run(*words, extra={"GIT_NO_REPLACE_OBJECTS": "1"})
        found = result.stdout.split()
        if result.status or not found:
            raise Corrupt(f"commits before {tip} are not in {self.path}; run `gitcoord sync`, which may fetch them")
        return found if all(map(OID.match, found)) else [tip]  # if a short password was scrubbed from the names

    def keep(self, name: str, oid: Oid | None) -> None:
        assert git_refs.NAME.match(name), name
        ref = KEPT + name
        if oid is None:
            if not git_refs.delete_ref(self.path, ref):
                self._transport.run("update-ref", "--no-deref", "-d", ref)
            return
        assert OID.match(oid), oid
        self._loose.sync(oid)  # BEFORE the ref that names the objects
        git_refs.write_ref(self.path, ref, oid)

    def kept(self, prefix: str = "") -> dict[str, Oid]:
        refs = git_refs.read_refs(self.path, KEPT)
        return {name: oid for name, oid in refs.items() if name.startswith(prefix)}

    # -- the remote ------------------------------------------------------------------------------

    def fetch(self, *, newcomer: bool = False, first: Collection[str] = ()) -> Fetched:
        maintenance.wait_for_other(self.path, self._timeout_s)
        return self._mirror.fetch(newcomer=newcomer, first=first)

    def look(self) -> Mapping[str, Oid]:
        """Return all refs of the remote, without fetching anything. Raise what a fetch would raise."""
        return self._transport.ls_remote()

    def look_up(self, ref: str) -> Oid | None:
        """Return the value of any ref on the remote; None if there is none. Raise what a fetch would raise."""
        return self.look().get(ref)

    def complete(self) -> None:
        """Fetch what a newcomer's fetch left on the remote: a part of a history cannot be pushed elsewhere."""
        self._mirror.deepen()

    def push(self, updates: Sequence[Update]) -> dict[str, Pushed]:
        outcomes = self._transport.push(updates, lambda: self._sync_ledger(updates))
        for update in updates:
            if outcomes[update.ref].outcome is PushOutcome.ACCEPTED and update.new is not None:
                with contextlib.suppress(OSError):  # then the next round fetches it
                    self._mirror.note(update.ref, update.new)
            lost = outcomes[update.ref].outcome in (PushOutcome.UNREACHABLE, PushOutcome.UNKNOWN, PushOutcome.DENIED)
            if lost and update.new is not None:
                self._reader.close()
                self.commit(update.new)  # raises Corrupt if our own disk lacks the object to send
        return outcomes

    def _sync_ledger(self, updates: Sequence[Update]) -> None:
        """Sync the ledger's objects to the disk while git sends them: they are kept later, and this costs no time."""
        with contextlib.suppress(OSError):  # `keep` tries it again, and reports the error
            for update in updates:
                if update.ref == self._ledger_ref and update.new is not None:
                    self._loose.sync(update.new)

    def tidy(self, patience: int = 1) -> bool:
        """Pack the objects of many fetches and writes, and remove unreferenced ones. Return whether that was done.

        Nobody else may write here meanwhile. It is done when there are `patience` times as many objects as usual.
        """
        if not maintenance.is_due(self.path, patience):
            return False
        self.close()
        return maintenance.tidy(self.path, self._transport.run)

    # -- helpers ---------------------------------------------------------------------------------

    def _put(self, kind: str, data: bytes, names: Sequence[Oid]) -> Oid:
        oid = self._loose.put(kind, data, names)
        self._reader.remember(oid, kind, data)
        return oid

    def _read(self, oid: Oid, kind: str, bytes_max: int = OBJECT_BYTES_MAX) -> bytes:
        return self._reader.read(oid, kind, bytes_max)

    def _is_commit(self, oid: Oid) -> bool:
        try:
            self.commit(oid)
        except Corrupt:
            return False
        return True


def _is_askpass(path: Path) -> bool:
    try:
        return path.read_text("ascii") == credentials.ASKPASS
    except (FileNotFoundError, ValueError):
        return False
