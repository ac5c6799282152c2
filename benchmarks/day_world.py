"""The world of the day in `day.py`: a small repository, twelve jobs, and work trees in which scripts do them."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from floors import git

MAIN = "main"
LIMIT_S = 300.0  # of a whole day; several times what it takes
BYTES_PER_TOKEN = 4  # the usual estimate for English and JSON
COUNTING_HOOK = '#!/bin/sh\nwhile read -r old new ref; do echo "$ref" >>pushes.log; done\n'


@dataclass(frozen=True)
class Job:
    """One task: a line in one function of one file. Two jobs with the same file edit the same lines."""

    key: str
    file: str
    after: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        return f"{self.key}: extend the function in {self.file}"

    @property
    def line(self) -> str:
        return f"    text = step(text, {self.key!r})\n"


JOBS = {
    job.key: job
    for job in (
        Job("split", "textkit/split.py"),
        Job("tabs", "textkit/tabs.py"),
        Job("wrap", "textkit/wrap.py"),
        Job("hyphens", "textkit/wrap.py"),
        Job("quotes", "textkit/quotes.py"),
        Job("case", "textkit/case.py"),
        Job("join", "textkit/join.py", ("split",)),
        Job("indent", "textkit/tabs.py", ("tabs",)),
        Job("titles", "textkit/titles.py", ("case",)),
        Job("initials", "textkit/titles.py", ("case",)),
        Job("report", "textkit/report.py", ("join", "quotes")),
        Job("release", "textkit/release.py", ("report", "wrap", "hyphens")),
    )
}


class Away(Exception):
    """The remote cannot be reached."""


class Rejected(Exception):
    """A push was refused: the branch has moved."""


@dataclass
class Counts:
    """What happened in one play."""

    typed: int = 0  # commands that the person typed
    begun: list[tuple[str, str]] = field(default_factory=list)  # (job, agent), a dead agent's left out
    commits: int = 0  # made by agents, merges left out
    clashes: int = 0  # merges into main that met a conflict
    told: set[frozenset[str]] = field(default_factory=set)  # pairs of jobs whose conflict was told before the merge
    bytes_read: int = 0  # by agents: what they sent to gitcoord, and what it answered


@dataclass
class World:
    """A folder with the bare remote, and what both plays have in common. `seconds`: of work on one job."""

    folder: Path
    seconds: float
    counts: Counts = field(default_factory=Counts)
    named: list[str] = field(default_factory=list)  # jobs, as their branches were named in the ledger
    lock: threading.Lock = field(default_factory=threading.Lock)
    ends_at: float = field(default_factory=lambda: time.monotonic() + LIMIT_S)

    @property
    def remote(self) -> Path:
        return self.folder / "remote.git"

    def found(self) -> None:
        """Make the remote with the repository on its main branch, and a hook that counts pushes."""
        git("init", "--quiet", "--bare", "--initial-branch", MAIN, str(self.remote))
        seed = self.folder / "seed"
        git("clone", "--quiet", str(self.remote), str(seed))
        (seed / "textkit").mkdir()
        (seed / "todo").mkdir()
        for job in JOBS.values():
            name = Path(job.file).stem
            (seed / job.file).write_text(f"def {name}(text):\n    return text\n", "utf-8")
            (seed / "todo" / job.key).write_text(f"{job.title}\nafter: {' '.join(job.after)}\n", "utf-8")
        git("add", ".", folder=seed)
        git("commit", "--quiet", "-m", "A kit for texts", folder=seed)
        git("push", "--quiet", "origin", f"HEAD:{MAIN}", folder=seed)
        hook = self.remote / "hooks" / "post-receive"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(COUNTING_HOOK, "utf-8")
        hook.chmod(0o755)

    def pushed(self) -> list[str]:
        """Return the refs that were pushed since the founding, one for each time."""
        log = self.remote / "pushes.log"
        return log.read_text("utf-8").splitlines() if log.exists() else []

    def outage(self, seconds: float) -> None:
        """Take the remote away for a while."""
        away = self.remote.with_suffix(".away")
        self.remote.rename(away)
        time.sleep(seconds)
        away.rename(self.remote)

    def on_main(self) -> set[str]:
        """Return the keys of the jobs whose line is on main."""
        try:
            text = "".join(
                git("show", f"{MAIN}:{file}", folder=self.remote).decode()
                for file in {job.file for job in JOBS.values()}
            )
        except RuntimeError as wrong:
            raise Away from wrong
        return {key for key, job in JOBS.items() if job.line in text}

    def is_over(self, waits_because: str = "") -> bool:
        """Return whether all jobs are on main. Raise RuntimeError after the limit."""
        if time.monotonic() > self.ends_at:
            raise RuntimeError(f"the day did not end within {LIMIT_S:.0f} s: {self.counts} {waits_because}")
        try:
            return self.on_main() == JOBS.keys()
        except Away:
            return False

    def person(self, folder: Path, *words: str) -> None:
        """Run a command that a person types."""
        self.counts.typed += 1
        run(folder, *words)

    def count(self, **more: int) -> None:
        with self.lock:
            for name, number in more.items():
                setattr(self.counts, name, getattr(self.counts, name) + number)


def run(folder: Path, *words: str) -> str:
    """Run a command to its end, and return what it prints. Raise RuntimeError if it fails."""
    command = [sys.executable, "-m", *words] if words[0] == "gitcoord" else list(words)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


@dataclass
class Place:
    """A work tree in which one agent works on one job after the other."""

    world: World
    folder: Path

    def git(self, *words: str) -> str:
        return git(*words, folder=self.folder).decode()

    def reaches(self, *words: str) -> str:
        """Run git where it needs the remote. Raise Away, Rejected."""
        try:
            return self.git(*words)
        except RuntimeError as wrong:
            if "[rejected]" in str(wrong):
                raise Rejected from wrong
            # Two work trees of one clone fetch into the same refs, and the remote may go away in the middle of a push.
            if any(
                words in str(wrong) for words in ("cannot lock", "does not appear", "[remote rejected]", "not found")
            ):
                raise Away from wrong
            raise

    def patiently(self, *words: str) -> str:
        """The same, again until the remote is there."""
        while True:
            try:
                return self.reaches(*words)
            except Away:
                self.world.is_over()
                time.sleep(0.1)

    def takes(self, job: Job) -> None:
        with self.world.lock:
            self.world.counts.begun.append((job.key, self.folder.name))

    def branch(self, job: Job) -> str:
        return f"work/{job.key}/{self.folder.name}"

    def begin(self, job: Job, left: str = "") -> bool:
        """Switch to a branch for the job; return whether it goes on with the branch that somebody left and pushed."""
        self.patiently("fetch", "--quiet", "origin")
        goes_on = (
            bool(left) and f"origin/{left}" in self.git("branch", "--remotes", "--format=%(refname:short)").split()
        )
        base = left if goes_on else MAIN
        self.git("switch", "--quiet", "--no-track", "--force-create", self.branch(job), f"origin/{base}")
        return goes_on

    def edit(self, job: Job) -> None:
        """Work, and commit the result."""
        time.sleep(self.world.seconds)
        path = self.folder / job.file
        path.write_text(path.read_text("utf-8").replace("    return", job.line + "    return"), "utf-8")
        (self.folder / "todo" / job.key).unlink(missing_ok=True)
        self.git("commit", "--quiet", "--all", "-m", job.title)
        self.world.count(commits=1)

    def publish(self) -> None:
        self.patiently("push", "--quiet", "--force", "origin", "HEAD")

    def merge(self) -> bool:
        """Merge into the remote's main; False, with nothing changed, if that conflicts."""
        while True:
            self.patiently("fetch", "--quiet", "origin")
            try:
                self.git("merge", "--quiet", "--no-edit", f"origin/{MAIN}")
            except RuntimeError:
                self.git("merge", "--abort")
                return False
            try:
                self.patiently("push", "--quiet", "origin", f"HEAD:{MAIN}")
                return True
            except Rejected:  # another agent was faster
                continue

    def todo(self) -> dict[str, tuple[str, ...]]:
        """Return the open jobs on the remote's main, with what must be done before each."""
        self.patiently("fetch", "--quiet", "origin")
        names = self.git("ls-tree", "-r", "--name-only", f"origin/{MAIN}", "todo").split()
        return {name.removeprefix("todo/"): JOBS[name.removeprefix("todo/")].after for name in names}
