"""The way to the shared remote: one fetch, one push, and what a crash left lying in between."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from gitcoord.core.errors import Refused, Unreachable
from gitcoord.core.ports import Oid, Outcome, Pushed, Update
from gitcoord.store import git_credentials, git_refs, git_words
from gitcoord.store.git_process import Result

MIRROR = "refs/gitcoord/remote/"

PRIVATE = {
    "core.hooksPath": os.devnull,  # the user's hooks (or their global hooksPath) are not about our pushes
    "core.fsync": "all",
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


Spawn = Callable[[Sequence[str], Mapping[str, str], float], Result]
"""Runs git with arguments and additional environment, for at most so many seconds."""


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
        assert ledger_ref.startswith("refs/") and outbox_prefix.startswith("refs/")
        git_credentials.leave_hook()
        self._path = path
        self._url = str(Path(url).resolve()) if git_credentials.is_local(url) else url
        self._ledger_ref = ledger_ref
        self._outbox_prefix = outbox_prefix.rstrip("/")
        self._config_from = config_from
        self._timeout_s = timeout_s
        self._spawn = spawn
        self._access: git_credentials.Access | None = None

    def fetch(self) -> dict[str, Oid]:
        result = self._fetch_once()
        for _ in range(FETCHES_BESIDE_MAX):
            if not result.status or not self._can_mend(result.stderr):
                break
            result = self._fetch_once()
        if result.timed_out:
            raise Unreachable(f"{self._name()} did not answer in {self._timeout_s:g} s; it is tried again")
        if result.status:
            self._access = None  # credentials may be renewed meanwhile: look again next time
            raise git_words.fetch_error(self._name(), result.stderr)
        refs = {"refs/" + name: oid for name, oid in git_refs.read_refs(self._path, MIRROR).items()}
        if not refs:
            self._check_empty()
        outboxes = self._outbox_prefix + "/"
        return {ref: oid for ref, oid in refs.items() if ref == self._ledger_ref or ref.startswith(outboxes)}

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
        result = self.run("ls-remote", "--quiet", "--refs", "--", self._reach().url)
        if result.timed_out:
            raise Unreachable(f"{self._name()} did not answer in {self._timeout_s:g} s")
        if result.status:
            raise git_words.fetch_error(self._name(), result.stderr)
        rows = (line.split("\t", 1) for line in result.stdout.splitlines() if "\t" in line)
        return {ref: oid for oid, ref in rows}

    def push(self, updates: Sequence[Update]) -> dict[str, Pushed]:
        if not updates:
            return {}
        leases = [f"--force-with-lease={update.ref}:{update.old or ''}" for update in updates]
        # No + before a refspec: it would silently switch the lease off.
        specs = [f"{update.new or ''}:{update.ref}" for update in updates]
        options = ["--porcelain", "--no-verify", "--no-progress", *leases]
        result = self.run("push", *options, "--", self._reach().url, *specs)
        late = f"no answer in {self._timeout_s:g} s" if result.timed_out else ""
        outcomes = git_words.push_outcomes(updates, result.stdout, result.stderr, late=late)
        if any(was.outcome is Outcome.DENIED for was in outcomes.values()):
            self._access = None
        return outcomes

    def run(self, *args: str) -> Result:
        """Run git in the private repository; what it said is scrubbed."""
        access = self._reach()
        environment = {**access.environment, "GIT_DIR": str(self._path)}
        result = self._spawn(args, environment, self._timeout_s)
        out, err = (git_words.scrub(text, access.secrets) for text in (result.stdout, result.stderr))
        return Result(result.status, out, err, result.timed_out)

    def _fetch_once(self) -> Result:
        # An exact ref that is missing fails the fetch, a pattern does not: the star stands before the last
        # letter, where hardly any other ref fits; those that do are left out of the answer.
        ledger = self._ledger_ref[5:-1] + "*" + self._ledger_ref[-1]
        outboxes = self._outbox_prefix[5:] + "/*"
        specs = [f"+refs/{one}:{MIRROR}{one}" for one in (ledger, outboxes)]
        options = ["--quiet", "--prune", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance"]
        options += ["--refmap=", "--no-recurse-submodules", "--no-show-forced-updates"]
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
            if time.time() - path.stat().st_mtime < self._timeout_s + 10:
                return False  # a fetch beside us may hold it: none lives longer than the timeout
            path.unlink(missing_ok=True)
            return True
        if git_words.is_local_damage(stderr):
            git_refs.heal(self._path, MIRROR)
            return True
        return False

    def _reach(self) -> git_credentials.Access:
        if self._access is None:
            listing = ""
            if self._config_from is not None:
                args = ["-C", str(self._config_from), "config", "--list", "--includes", "--show-scope", "-z"]
                listing = self._spawn(args, {}, self._timeout_s).stdout
            self._access = git_credentials.access(
                self._url, listing, private=PRIVATE, askpass=self._path / "askpass", environ=os.environ
            )
        return self._access

    def _name(self) -> str:
        return git_words.scrub(self._url, self._reach().secrets)
