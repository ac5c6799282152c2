"""The mirror: a copy of the remote's refs and objects, and how it is fetched, whatever others have pushed there.

Mostly one fetch is enough. If it fails, or refs are known that made it fail, the refs are listed first. Then the ledger
is fetched alone, and the outboxes in groups, so that a bad one fails alone; and it is paused.

`git fetch --filter=blob:limit=` would not help: it limits neither trees nor the number of blobs, and a server may
ignore it. It also turns the store into a partial clone, which has the remote's URL in its configuration and fetches
each missing object that is read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from gitcoord.core import limits, names
from gitcoord.core.errors import Corrupt, Refused
from gitcoord.core.ledger import outbox
from gitcoord.core.ports import Fetched, Oid
from gitcoord.store.git import local_remote, maintenance
from gitcoord.store.git import refs as git_refs
from gitcoord.store.git.backoff import Backoff
from gitcoord.store.git.isolated_fetch import STRANGERS, TOGETHER, IsolatedFetch
from gitcoord.store.git.process import GitResult
from gitcoord.store.git.transport import MIRROR, Transport, copy_of

OTHERS_MAX = 200  # refs that are not ours: `ls-remote` lists them too, while a fetch asks for ours only
WARY = "?"  # in the backoff: there are too many outboxes, or refs among them that are no outboxes
WARY_S = 600.0  # for this long, every process lists the refs before it fetches


class Mirror:
    """A copy of the remote's refs in the private repository at `path`, with the objects that they reach."""

    def __init__(self, path: Path, transport: Transport, *, ledger_ref: str, outbox_prefix: str) -> None:
        for ref in (ledger_ref, outbox_prefix):
            if not ref.startswith("refs/"):  # it comes from config.json, which people may edit
                raise Refused(f"{ref!r} is no ref: `ledger` and `namespace` in config.json begin with refs/")
        self._path = path
        self._transport = transport
        self._ledger_ref = ledger_ref
        self._outboxes = outbox_prefix.rstrip("/") + "/"
        self._backoff = Backoff(path)
        self._isolated = IsolatedFetch(transport, self._backoff, ledger_ref, self._outboxes)
        self._nothing_new = False  # the last fetch found nothing new, so list the refs before the next
        self._crowded = False  # the remote has so many other refs that to list all of them takes longer
        self._is_clean = False  # unfinished packs of earlier processes were removed

    def fetch(self, *, newcomer: bool, first: Collection[str]) -> Fetched:
        """Fetch the ledger and the outboxes, as `core.ports.Remote.fetch` describes it."""
        if not self._is_clean:
            maintenance.remove_unfinished(self._path)
            self._is_clean = True
        before = self._read()
        more = [f"--depth={limits.LOOK_BACK_COMMITS}"] if newcomer and not before else []
        # A whole ledger may take long, and has wider bounds than outboxes have, so the first time it is fetched alone.
        wary = not before or bool(self._backoff.paused())
        shown = self._listed(ask=wary or (self._nothing_new and not self._crowded))
        found = self._chosen(shown, first) if shown is not None else None
        if found is not None and found.refs == before and before and not found.left:
            self._nothing_new = True
            return found
        if not wary and (found is None or not found.left and not found.strays):
            result = self._fetch_all()
            if not result.status:
                return self._fetched(before, first)
            maintenance.remove_unfinished(self._path)
            self._transport.raise_trouble(result)
            found = None
        if found is None:
            found = self._chosen(self._transport.ls_remote(), first)
        if not found.refs:
            self._transport.check_empty(self._outboxes + "nobody")
        return self._fetch_isolated(found, before, first, more)

    def note(self, ref: str, oid: Oid) -> None:
        """Record a ref that was pushed: its objects are here, so the next fetch finds nothing new in it."""
        if self._is_ours(ref):
            git_refs.write_copy(self._path, copy_of(ref), oid)

    def deepen(self) -> bool:
        """Fetch the history that a newcomer's fetch left out. Return whether anything was fetched."""
        boundary = self._path / "shallow"
        if not boundary.exists():
            return False
        before = boundary.read_bytes()
        self._isolated.fetch_ledger(["--unshallow"])
        return not boundary.exists() or boundary.read_bytes() != before

    def forget(self) -> None:
        """Forget the remote's refs: another remote takes its place."""
        self._drop(self._copies())
        self._backoff.forget(())
        self._nothing_new = False

    # The remote's refs, and those that are ours

    def _read(self) -> dict[str, Oid]:
        """Return our refs as any process of this node last fetched or pushed them: their objects are here."""
        return {ref: oid for ref, oid in self._copies().items() if self._is_ours(ref)}

    def _copies(self) -> dict[str, Oid]:
        try:
            return {"refs/" + name: oid for name, oid in git_refs.read_refs(self._path, MIRROR).items()}
        except Corrupt:  # a power cut: the fetch repairs it
            return {}

    def _listed(self, *, ask: bool) -> dict[str, Oid] | None:
        """Return the remote's refs without a fetch; None if a fetch takes no longer than a listing.

        The remote is asked only if `ask` is true. A listing takes half the time of a fetch that finds nothing new, and
        hardly any time for a remote in local files.
        """
        near = self._transport.near()
        shown = local_remote.shown(near, self._ledger_ref, self._outboxes.rstrip("/")) if near is not None else None
        if shown is not None or not ask:
            return shown
        shown = self._transport.ls_remote()
        self._crowded = sum(not ref.startswith(self._outboxes) for ref in shown) > OTHERS_MAX
        return shown

    def _is_ours(self, ref: str) -> bool:
        return ref == self._ledger_ref or self._is_outbox(ref)

    def _is_outbox(self, ref: str) -> bool:
        return ref.startswith(self._outboxes) and bool(names.NODE.match(ref.removeprefix(self._outboxes)))

    def _chosen(self, shown: Mapping[str, Oid], first: Collection[str]) -> Fetched:
        found = outbox.chosen(shown, ledger_ref=self._ledger_ref, outboxes=self._outboxes, first=first)
        if (found.left or found.strays) and WARY not in self._backoff.paused():
            self._backoff.failed(WARY, "odd refs", least_s=WARY_S)
        return found

    def _drop(self, refs: Iterable[str]) -> None:
        """Delete copies of refs."""
        gone = [copy_of(ref) for ref in refs]
        for copy in gone:
            (self._path / copy).unlink(missing_ok=True)
        packed = git_refs.read_refs(self._path, MIRROR) if gone else {}  # a git with such settings packs refs
        for copy in gone:
            if copy.removeprefix(MIRROR) in packed:
                self._transport.run("update-ref", "--no-deref", "-d", copy)

    # Everything in one fetch

    def _fetch_all(self) -> GitResult:
        # A missing ref fails the fetch, a pattern does not. So there is a star before the last letter of the ledger's
        # ref, where hardly any other ref matches; those that do are left out later.
        refs = [self._ledger_ref[:-1] + "*" + self._ledger_ref[-1], self._outboxes + "*"]
        return self._transport.fetch(refs, TOGETHER, "--prune", timeout_s=self._transport.timeout_s / 2)

    def _fetched(self, before: Mapping[str, Oid], first: Collection[str]) -> Fetched:
        found = self._chosen(self._copies(), first)
        self._drop([*found.left, *found.strays])
        for ref in self._backoff.failing().keys() & found.refs.keys():
            self._backoff.succeeded(ref)
        self._backoff.forget({*found.refs, STRANGERS, WARY})
        self._nothing_new = found.refs == before
        return found

    # Ref by ref

    def _fetch_isolated(
        self, found: Fetched, before: Mapping[str, Oid], first: Collection[str], more: Sequence[str]
    ) -> Fetched:
        self._drop(ref for ref in self._copies() if ref not in found.refs)
        self._backoff.forget({*found.refs, STRANGERS, WARY})
        left = dict(found.left)
        try:
            for again in (False, True):  # the repair of the store may remove the mirror as well
                copies = self._read()
                behind = [
                    ref
                    for ref, oid in found.refs.items()
                    if ref not in left and (ref not in copies or not again and copies[ref] != oid)
                ]
                if self._ledger_ref in behind:
                    self._isolated.fetch_ledger(more)
                left |= self._isolated.fetch_outboxes([ref for ref in behind if ref != self._ledger_ref], first, more)
        finally:
            maintenance.remove_unfinished(self._path)
        copies = self._read()
        refs = {
            ref: oid if ref in left else copies[ref] for ref, oid in found.refs.items() if ref in left or ref in copies
        }
        self._nothing_new = False
        return Fetched(refs, left, found.strays)
