"""The way to the shared remote: one fetch, one push, and what a crash left lying in between."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from gitcoord.core import limits
from gitcoord.core.errors import Corrupt, Refused, Unreachable
from gitcoord.core.ports import Oid, Outcome, Pushed, Update
from gitcoord.store import git_credentials, git_near, git_refs, git_words
from gitcoord.store.git_process import Result, works_on

MIRROR = "refs/gitcoord/remote/"

PRIVATE = {
    "core.hooksPath": os.devnull,  # the user's hooks (or their global hooksPath) are not about our pushes
    # What is fetched comes as one pack, and is synced: eight changed refs took 32 ms as loose objects, each synced,
    # and as a pack 18. The mirror's refs are not: a copy, which `heal` makes anew. The ones that remember are ours.
    "core.fsync": "pack,pack-metadata",
    "fetch.unpackLimit": "1",
    # What is larger is streamed, so that nobody's large blob fills our memory; and git looks for no deltas in it: of
    # a long queue's signed lines there are none, and looking took three quarters of the push: 1.8 s, not 0.45.
    "core.bigFileThreshold": "64k",
    "gc.auto": "0",
    "gc.packRefs": "false",
    "maintenance.auto": "false",
    "receive.autogc": "false",
    "push.followTags": "false",
    "push.gpgSign": "false",  # "the receiving end does not support --signed push"
    "push.recurseSubmodules": "no",
    "fetch.writeCommitGraph": "false",
    # One odd object in one outbox would otherwise stop every node's fetch. We parse what we read, and check
    # nothing out, so fsck protects nobody here; hashes are checked in any case.
    "transfer.fsckObjects": "false",
    "fetch.fsckObjects": "false",
}

FETCHES_BESIDE_MAX = 5  # tries again while a fetch that a killed process left behind is still at work
OTHERS_MAX = 200  # refs that are not ours; `ls-remote` lists all there are, and a fetch asks for ours only


Spawn = Callable[[Sequence[str], Mapping[str, str], float, Callable[[], None]], Result]
"""Runs git with arguments and additional environment, for at most so many seconds; does something meanwhile."""


class Transport:
    """Fetches into a mirror of the remote's refs, and pushes from the private repository at `path`."""

    def __init__(
        self,
        path: Path,
        *,
        url: str,
        ledger_ref: str,
        outbox_prefix: str,
        config_from: Path | None,
        timeout_s: float,
        spawn: Spawn,
    ) -> None:
        if url.startswith("-") or not url:
            raise Refused(f"{url!r} cannot be a remote; give a URL or a path")
        for ref in (ledger_ref, outbox_prefix):
            if not ref.startswith("refs/"):  # of config.json, which people edit
                raise Refused(f"{ref!r} is no ref: `ledger` and `namespace` in config.json begin with refs/")
        git_credentials.leave_hook()
        self._path = path
        self._url = str(Path(url).resolve()) if git_credentials.is_local(url) else url
        self._ledger_ref = ledger_ref
        self._outbox_prefix = outbox_prefix.rstrip("/")
        self._config_from = config_from
        self._timeout_s = timeout_s
        self._spawn = spawn
        self._access: git_credentials.Access | None = None
        self._near: Path | None = None  # the remote, where its own files may be looked at
        self._lent = ""  # what it was made with: a lent token is renewed before it fails
        self._calm = False  # the last look brought nothing new: look at the refs before fetching anything
        self._crowded = False  # the remote has so many other refs that looking at all of them takes longer

    def fetch(self, *, newcomer: bool) -> dict[str, Oid]:
        before = self._mirrored()
        if before and self._shown() == before:
            return before
        if before or not newcomer or not self._fetched_newest():
            self._fetch(())
        refs = self._mirrored()
        if not refs:
            self._check_empty()
        self._calm = refs == before
        return refs

    def _mirrored(self) -> dict[str, Oid]:
        """Our refs on the remote as last fetched, or pushed, by any process of this node: their objects are here."""
        try:
            refs = {"refs/" + name: oid for name, oid in git_refs.read_refs(self._path, MIRROR).items()}
        except Corrupt:  # a power cut: the fetch mends it
            return {}
        return {ref: oid for ref, oid in refs.items() if self._is_ours(ref)}

    def _shown(self) -> dict[str, Oid] | None:
        """Our refs, and nothing fetched; None where to fetch takes no longer than to look first.

        A look takes half the time of a fetch that brings nothing but looks what is here; at files hardly any.
        """
        self._reach()
        near = git_near.shown(self._near, self._ledger_ref, self._outbox_prefix) if self._near else None
        if near is not None or not self._calm or self._crowded:
            return near
        shown = self.ls_remote()
        ours = {ref: oid for ref, oid in shown.items() if self._is_ours(ref)}
        self._crowded = len(shown) - len(ours) > OTHERS_MAX
        return ours

    def _fetched_newest(self) -> bool:
        """False for an empty remote, or a server that cannot count commits: there a plain fetch is in place."""
        return self._fetch_once([f"--depth={limits.LOOK_BACK_COMMITS}"]).status == 0

    def deepen(self) -> bool:
        """Bring here what a newcomer's fetch left on the remote; whether that changed anything."""
        boundary = self._path / "shallow"
        if not boundary.exists():
            return False
        before = boundary.read_bytes()
        self._fetch(["--unshallow"])
        return not boundary.exists() or boundary.read_bytes() != before

    def _fetch(self, more: Sequence[str]) -> None:
        result = self._fetch_once(more)
        for _ in range(FETCHES_BESIDE_MAX):
            if not result.status or not self._can_mend(result.stderr):
                break
            result = self._fetch_once(more)
        if result.timed_out:
            raise Unreachable(f"{self._name()} did not answer in {self._timeout_s:g} s; it is tried again")
        if result.status:
            self._access = None  # credentials may be renewed meanwhile: look again next time
            raise git_words.fetch_error(self._name(), result.stderr)

    def _is_ours(self, ref: str) -> bool:
        return ref == self._ledger_ref or ref.startswith(self._outbox_prefix + "/")

    def _check_empty(self) -> None:
        """Raises Unreachable where what answered is no git server: git takes a page without a line for an empty one.

        (The old HTTP protocol, in which refs are a plain file; a push does not speak it.)
        """
        if not self._url.startswith(("http://", "https://")):
            return
        nobody = f":{self._outbox_prefix}/nobody"
        result = self.run("push", "--dry-run", "--porcelain", "--no-verify", "--", self._reach().url, nobody)
        if result.status:
            raise git_words.fetch_error(self._name(), result.stderr)

    def ls_remote(self) -> dict[str, Oid]:
        """All refs that the remote shows, without fetching anything. Raises what a fetch would raise."""
        # In the newer protocol the server is asked twice: what it can do, and for its refs.
        result = self.run("-c", "protocol.version=0", "ls-remote", "--quiet", "--refs", "--", self._reach().url)
        if result.timed_out:
            raise Unreachable(f"{self._name()} did not answer in {self._timeout_s:g} s; it is tried again")
        if result.status:
            self._access = None  # credentials may be renewed meanwhile: look again next time
            raise git_words.fetch_error(self._name(), result.stderr)
        rows = (line.split("\t", 1) for line in result.stdout.splitlines() if "\t" in line)
        return {ref: oid for oid, ref in rows}

    def push(self, updates: Sequence[Update], meanwhile: Callable[[], None]) -> dict[str, Pushed]:
        """Try each update; `meanwhile` is done while git is at it, and its disk trouble is not a push's."""
        if not updates:
            return {}
        leases = [f"--force-with-lease={update.ref}:{update.old or ''}" for update in updates]
        # No + before a refspec: it would silently switch the lease off.
        specs = [f"{update.new or ''}:{update.ref}" for update in updates]
        options = ["--porcelain", "--no-verify", "--no-progress", *leases]
        result = self.run("push", *options, "--", self._reach().url, *specs, meanwhile=meanwhile)
        late = f"no answer in {self._timeout_s:g} s" if result.timed_out else ""
        outcomes = git_words.push_outcomes(updates, result.stdout, result.stderr, late=late)
        if any(was.outcome is Outcome.DENIED for was in outcomes.values()):
            self._access = None
        self._note([update for update in updates if outcomes[update.ref].outcome is Outcome.ACCEPTED])
        return outcomes

    def _note(self, accepted: Sequence[Update]) -> None:
        """What was pushed is here: the mirror says so, and the next look finds nothing new in it."""
        for update in accepted:
            if update.new is not None and self._is_ours(update.ref):
                with contextlib.suppress(OSError):  # then it is fetched
                    git_refs.write_copy(self._path, MIRROR + update.ref.removeprefix("refs/"), update.new)

    def run(self, *args: str, meanwhile: Callable[[], None] = lambda: None) -> Result:
        """Run git in the private repository; what it said is scrubbed."""
        access = self._reach()
        environment = {**access.environment, "GIT_DIR": str(self._path)}
        result = self._spawn(args, environment, self._timeout_s, meanwhile)
        out, err = (git_words.scrub(text, access.secrets) for text in (result.stdout, result.stderr))
        return Result(result.status, out, err, result.timed_out)

    def _fetch_once(self, more: Sequence[str]) -> Result:
        # An exact ref that is missing fails the fetch, a pattern does not: the star stands before the last
        # letter, where hardly any other ref fits; those that do are left out of the answer.
        ledger = self._ledger_ref[5:-1] + "*" + self._ledger_ref[-1]
        outboxes = self._outbox_prefix[5:] + "/*"
        specs = [f"+refs/{one}:{MIRROR}{one}" for one in (ledger, outboxes)]
        options = ["--quiet", "--prune", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance"]
        options += ["--refmap=", "--no-recurse-submodules", "--no-show-forced-updates", *more]
        return self.run("fetch", *options, "--", self._reach().url, *specs)

    def _can_mend(self, stderr: str) -> bool:
        """Whether what stopped a fetch was left behind by a crash, and is now out of the way."""
        if re.search(r"cannot lock ref 'refs/\S+': (?:is at|reference already exists|unable to resolve)", stderr):
            return True  # the fetch of a killed process went on for a while beside ours, and moved the mirror
        lock = re.search(r"Unable to create '(.+?\.lock)': File exists", stderr)
        if lock:
            path = Path(lock[1])
            if self._path not in path.parents or not path.exists():
                return self._path in path.parents
            old = time.time() - path.stat().st_mtime > self._timeout_s + 10  # no git of ours lives that long
            if not old and works_on(self._path):
                return False
            path.unlink(missing_ok=True)
            return True
        if git_words.is_local_damage(stderr):
            git_refs.heal(self._path, MIRROR)
            return True
        return False

    def _reach(self) -> git_credentials.Access:
        lent = os.environ.get(git_credentials.LENT, "")
        if self._access is None or lent != self._lent:
            self._lent, listing = lent, ""
            if self._config_from is not None:
                args = ["-C", str(self._config_from), "config", "--list", "--includes", "--show-scope", "-z"]
                listing = self._spawn(args, {}, self._timeout_s, lambda: None).stdout
            self._near = git_near.repository(self._url, listing)
            self._access = git_credentials.access(
                self._url, listing, private=PRIVATE, askpass=self._path / "askpass", environ=os.environ
            )
        return self._access

    def _name(self) -> str:
        return git_words.scrub(self._url, self._reach().secrets)
