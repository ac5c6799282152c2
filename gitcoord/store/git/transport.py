"""The transport to the shared remote: list its refs, fetch, push, and repair what a crash left behind."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from gitcoord.core.errors import BadCredentials, Denied, Paused, Refused, Unreachable
from gitcoord.core.ports import Oid, Pushed, PushOutcome, Update
from gitcoord.store.git import credentials, git_output, local_remote
from gitcoord.store.git import refs as git_refs
from gitcoord.store.git import url as git_url
from gitcoord.store.git.process import Bounds, GitResult, works_on

MIRROR = "refs/gitcoord/remote/"

PRIVATE = {
    "core.hooksPath": os.devnull,  # the user's hooks (or a global hooksPath) are not meant for our pushes
    # A fetch arrives as one pack, and is synced: eight changed refs took 32 ms as loose objects, each synced, and 18 as
    # a pack. The mirror's refs are not synced: they are a copy, which `heal` rebuilds. The durable refs are ours.
    "core.fsync": "pack,pack-metadata",
    "fetch.unpackLimit": "1",
    # A larger blob is streamed, so that nobody's large blob fills our memory; and git looks for no deltas in it: a long
    # queue's signed lines have none, and looking took three quarters of the push: 1.8 s, not 0.45.
    "core.bigFileThreshold": "64k",
    "gc.auto": "0",
    "gc.packRefs": "false",
    "maintenance.auto": "false",
    "receive.autogc": "false",
    "push.followTags": "false",
    "push.gpgSign": "false",  # "the receiving end does not support --signed push"
    "push.recurseSubmodules": "no",
    "fetch.writeCommitGraph": "false",
    # One malformed object in one outbox would otherwise stop every node's fetch. We check nothing out, and validate
    # what we parse, so fsck protects nobody here; hashes are checked in any case.
    "transfer.fsckObjects": "false",
    "fetch.fsckObjects": "false",
}

FETCHES_MAX = 5  # attempts, while a fetch of a killed process still runs
MOVES_MAX = 3  # redirects on one server, one after the other


Spawn = Callable[[Sequence[str], Mapping[str, str], float, Callable[[], None], Bounds | None], GitResult]
"""Runs git with arguments, additional environment, a timeout in seconds, a function to call meanwhile, and bounds."""


def copy_of(ref: str) -> str:
    """Return the ref in the private repository that is the copy of a remote's ref."""
    return MIRROR + ref.removeprefix("refs/")


class Transport:
    """The connection of the private repository at `path` to the remote."""

    def __init__(self, path: Path, *, url: str, config_from: Path | None, timeout_s: float, spawn: Spawn) -> None:
        if url.startswith("-") or not url:
            raise Refused(f"{url!r} cannot be a remote: give a URL or a path")
        credentials.leave_hook()
        self.timeout_s = timeout_s
        self.moved_to = ""  # the remote's present place on its server, if it moved
        self._path = path
        url = str(Path(url).resolve()) if git_url.is_local(url) else url
        self._urls = {False: url, True: url}  # as configured, for fetches (False) and for pushes (True)
        self._config_from = config_from
        self._spawn = spawn
        self._access: dict[bool, credentials.Access] = {}  # for fetches (False) and for pushes (True)
        self._near: Path | None = None  # the remote's git directory, if its files can be read
        self._lent = ""  # the lent token in use, which is renewed before it expires

    def near(self) -> Path | None:
        """Return the remote's git directory, if its files can be read; otherwise None."""
        self._reach()
        return self._near

    def fetch(self, refs: Iterable[str], bounds: Bounds, *options: str, timeout_s: float | None = None) -> GitResult:
        """Fetch refs (or patterns of refs) of the remote into the mirror, all or none, and return git's result."""
        specs = [f"+{ref}:{copy_of(ref)}" for ref in refs]
        fixed = ["--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--refmap="]
        fixed += ["--no-recurse-submodules", "--no-show-forced-updates", *options]
        may_heal = True
        for _ in range(FETCHES_MAX):
            result = self.talk("fetch", *fixed, after=specs, bounds=bounds, timeout_s=timeout_s)
            if not result.status or result.timed_out or not self._repaired(result.stderr, may_heal):
                break
            may_heal = may_heal and not git_output.is_local_damage(result.stderr)
        return result

    def raise_trouble(self, result: GitResult) -> None:
        """Raise the error of a failed fetch if the network, the server, the disk or the credentials caused it.

        Return if it may have failed because of what others pushed to the remote.
        """
        if not result.timed_out:
            error = git_output.fetch_error(self.name(), result.stderr)
            if isinstance(error, (BadCredentials, Denied, Paused)) or git_output.is_transport_failure(result.stderr):
                self._access = {}  # credentials may be renewed meanwhile: read them again next time
                raise error
        self.ls_remote(timeout_s=self.timeout_s / 2)

    def check_empty(self, ref: str) -> None:
        """Raise Unreachable if something else than a git server answered. `ref` is one that the remote does not have.

        Git takes an empty page for an empty repository, because in the old HTTP protocol the refs are a plain file. A
        push does not use that protocol.
        """
        if not self._reach(pushes=True).url.lower().startswith(("http://", "https://")):
            return
        result = self.talk("push", "--dry-run", "--porcelain", "--no-verify", after=[f":{ref}"])
        if result.status:
            raise git_output.fetch_error(self.name(), result.stderr)

    def ls_remote(self, *, timeout_s: float | None = None) -> dict[str, Oid]:
        """Return all refs that the remote shows, without fetching anything. Raise what a fetch would raise."""
        # The newer protocol takes two requests: for the server's capabilities, and for its refs.
        result = self.talk("-c", "protocol.version=0", "ls-remote", "--quiet", "--refs", timeout_s=timeout_s)
        if result.timed_out:
            raise Unreachable(f"{self.name()} did not answer in {self.timeout_s:g} s; it is tried again")
        if result.status:
            self._access = {}  # credentials may be renewed meanwhile: read them again next time
            raise git_output.fetch_error(self.name(), result.stderr)
        rows = (line.split("\t", 1) for line in result.stdout.splitlines() if "\t" in line)
        return {ref: oid for oid, ref in rows}

    def push(self, updates: Sequence[Update], meanwhile: Callable[[], None]) -> dict[str, Pushed]:
        """Push the updates, each pinned to its old value, and return each ref's outcome. `meanwhile` is called beside
        git."""
        if not updates:
            return {}
        leases = [f"--force-with-lease={update.ref}:{update.old or ''}" for update in updates]
        # There is no + before a refspec, because it would silently disable the lease.
        specs = [f"{update.new or ''}:{update.ref}" for update in updates]
        options = ["--porcelain", "--no-verify", "--no-progress", *leases]
        result = self.talk("push", *options, after=specs, meanwhile=meanwhile)
        late = f"no answer in {self.timeout_s:g} s" if result.timed_out else ""
        outcomes = git_output.push_outcomes(updates, result.stdout, result.stderr, late=late)
        if any(was.outcome is PushOutcome.DENIED for was in outcomes.values()):
            self._access = {}
        return outcomes

    def talk(
        self,
        *words: str,
        after: Sequence[str] = (),
        bounds: Bounds | None = None,
        timeout_s: float | None = None,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> GitResult:
        """Run git with the remote's URL between `words` and `after`, and return its result.

        Git follows no redirect, because it would send the token along. A redirect on the same server is followed here.
        """
        pushes = words[0] == "push"
        for _ in range(MOVES_MAX):
            args = (*words, "--", git_url.ALIAS, *after)
            result = self.run(*args, bounds=bounds, timeout_s=timeout_s, meanwhile=meanwhile, pushes=pushes)
            if not result.status or not git_output.is_redirect(result.stderr):
                break
            elsewhere = self._follow(pushes)
            if elsewhere is not None:
                return replace(result, stderr=git_output.moved(self.name(), elsewhere))
        return result

    def _follow(self, pushes: bool) -> str | None:
        """Use the address to which the remote redirects from now on, if it is on the same server, and return None.

        Return any other address.
        """
        location, access = self._location(pushes), self._reach(pushes)
        base = git_url.moved_to(location)
        if not base or git_url.origin_of(base) != git_url.origin_of(access.url):
            return git_output.scrub(base or location, access.secrets)
        for way in (False, True):
            if self._reach(way).url == access.url:
                self._urls[way] = git_url.with_login_of(self._urls[way], base)
        self.moved_to, self._access = base, {}
        return None

    def _location(self, pushes: bool) -> str:
        """Return the address to which git's first request is redirected, made with the login that git itself finds."""
        result = self.run("ls-remote", "--quiet", "--", git_url.ALIAS, extra=git_url.TRACES_LOCATION, pushes=pushes)
        return git_url.location_in(result.stderr)

    def run(
        self,
        *args: str,
        bounds: Bounds | None = None,
        timeout_s: float | None = None,
        meanwhile: Callable[[], None] = lambda: None,
        extra: Mapping[str, str] | None = None,
        pushes: bool = False,
    ) -> GitResult:
        """Run git in the private repository, and return its result with scrubbed output."""
        access = self._reach(pushes)
        environment = {**access.environment, "GIT_DIR": str(self._path), **(extra or {})}
        result = self._spawn(args, environment, timeout_s or self.timeout_s, meanwhile, bounds)
        out, err = (git_output.scrub(text, access.secrets) for text in (result.stdout, result.stderr))
        return GitResult(result.status, out, err, result.timed_out)

    def _repaired(self, stderr: str, may_heal: bool) -> bool:
        """Return whether a fetch failed because of what a crash left, and that is now removed."""
        if re.search(r"cannot lock ref 'refs/\S+': (?:is at|reference already exists|unable to resolve)", stderr):
            return True  # the fetch of a killed process ran on beside ours, and moved the mirror's refs
        lock = re.search(r"Unable to create '(.+?\.lock)': File exists", stderr)
        if lock:
            path = Path(lock[1])
            if self._path not in path.parents or not path.exists():
                return self._path in path.parents
            old = time.time() - path.stat().st_mtime > self.timeout_s + 10  # no git of ours runs that long
            if not old and works_on(self._path):
                return False
            path.unlink(missing_ok=True)
            return True
        if may_heal and git_output.is_local_damage(stderr):
            git_refs.heal(self._path, MIRROR)
            return True
        return False

    def _reach(self, pushes: bool = False) -> credentials.Access:
        lent = os.environ.get(credentials.LENT, "")
        if not self._access or lent != self._lent:
            self._lent = lent
            args = ["-C", str(self._config_from or self._path), "config", "--list", "--includes", "--show-scope", "-z"]
            listing = self._spawn(args, {}, self.timeout_s, lambda: None, None).stdout
            self._near = local_remote.repository(self._urls[False], listing) if self._config_from is not None else None
            self._access = {
                way: credentials.access(
                    url, listing, private=PRIVATE, askpass=self._path / "askpass", environ=os.environ, pushes=way
                )
                for way, url in self._urls.items()
            }
        return self._access[pushes]

    def name(self) -> str:
        """Return the remote's URL, without secrets, for messages."""
        return git_output.scrub(self._urls[False], self._reach().secrets)
