"""A finding of the doctor, and the context in which its checks examine a clone."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from gitcoord.core import times
from gitcoord.core.errors import BadCredentials, GitcoordError
from gitcoord.core.ports import Oid
from gitcoord.node import config as preferences
from gitcoord.store.files import describe
from gitcoord.store.git import local_repo, repo_health, repo_location
from gitcoord.store.git.repo_health import Probe
from gitcoord.store.home.home import Home
from gitcoord.store.home.records import Config

OK, WARN, FAIL = "ok", "warn", "fail"
PROBE_S_MAX = 30.0  # for one request to the remote: a person waits for the doctor


@dataclass(frozen=True, slots=True)
class DoctorFinding:
    """One result of a check. `state` is "ok", "warn" or "fail"; `seen` is what was found; `fix` may be ""."""

    check: str
    state: str
    seen: str
    fix: str = ""


@dataclass(slots=True)
class DoctorContext:
    """The subject of an examination: a folder, and the clone, fleet and remote that are found there."""

    path: Path
    fix: bool = False
    common: Path | None = None
    home: Home | None = None
    config: Config | None = None
    url: str | None = None
    refs: dict[str, Oid] | None = None  # of the remote; None until it has answered
    bad_credentials: bool = False

    @property
    def outbox_prefix(self) -> str:
        """The beginning of the names of outboxes on the remote."""
        return f"{self.config.namespace if self.config else 'refs/gitcoord'}/nodes/"

    def probe(self, other: str | None = None) -> Probe:
        """Return a temporary repository from which the remote, or the remote `other`, is examined."""
        assert self.url is not None and self.common is not None
        return Probe(
            self.url if other is None else local_repo.remote_url(self.common, other) or other,
            config_from=self.common,
            timeout_s=min(self.config.timeout_s, PROBE_S_MAX) if self.config else PROBE_S_MAX,
            ledger_ref=self.config.ledger if self.config else "refs/heads/gitcoord/ledger",
            outbox_prefix=self.outbox_prefix,
        )

    def find_fleet(self) -> Iterator[DoctorFinding]:
        """Find the clone and the fleet."""
        self.common = local_repo.find_common_dir(self.path)
        if self.common is None:
            yield DoctorFinding(
                "fleet", WARN, f"{self.path} is in no git repository", "run `gitcoord init` to begin here"
            )
            return
        self.url = repo_health.default_remote(self.common)
        home = Home(self.common / "gitcoord", worktree=repo_location.worktree_git_dir(self.path))
        if not home.exists:
            yield DoctorFinding(
                "fleet", WARN, "this clone is in no fleet", "run `gitcoord init --agent NAME` to join one"
            )
            return
        self.home = home
        self.config = preferences.effective(home, os.environ)
        self.url = local_repo.remote_url(self.common, self.config.remote) or self.config.remote
        yield DoctorFinding("fleet", OK, f"fleet {self.config.fleet_id}, node {home.queue.node}")


def age_s(timestamp: str) -> float:
    """Return the seconds since an event's timestamp, by this machine's clock; negative if it is ahead."""
    then_s = times.seconds(timestamp)
    return time.time() - then_s if then_s else 0.0


Check = Callable[[DoctorContext], Iterator[DoctorFinding]]


def perform(name: str, check: Check, ctx: DoctorContext) -> Iterator[DoctorFinding]:
    """Yield the check's findings. An error of the check itself becomes a finding too."""
    try:
        yield from check(ctx)
    except BadCredentials as wrong:
        ctx.bad_credentials = True
        yield DoctorFinding(
            "credentials",
            FAIL,
            str(wrong),
            ("set GITCOORD_TOKEN, or fix what `git fetch` uses in this clone; a running agent goes on by itself"),
        )
    except GitcoordError as wrong:
        yield DoctorFinding(name, FAIL, str(wrong), "do what the message says, then run `gitcoord doctor` again")
    except OSError as wrong:
        yield DoctorFinding(
            name, FAIL, describe(wrong), ("fix the disk or its permissions, then run `gitcoord resume`")
        )
