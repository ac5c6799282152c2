"""Fleets to measure on: fresh ones, and large genuine ledgers that are built once and kept."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from floors import git

from gitcoord.core.fleet_state import FleetState
from gitcoord.core.fold.members import FleetFounded
from gitcoord.core.format.event import Draft, Event, Head, Signer, fleet_id_of, seal
from gitcoord.core.format.keys import Ed25519Signer
from gitcoord.core.ledger import checkpoint
from gitcoord.core.ledger.branch import LedgerBranch
from gitcoord.core.names import uid_from
from gitcoord.features import FEATURES
from gitcoord.node import ledger_pages
from gitcoord.node.membership.api import Member, join
from gitcoord.node.membership.init import InitRequest, init
from gitcoord.store.git.local_repo import make_bare_remote
from gitcoord.store.memory import MemoryServer, MemoryStore, ObjectDict

LEDGER = "refs/heads/gitcoord/ledger"
OUTBOXES = "refs/gitcoord/nodes/"
BUILDER = 8  # changes with what it builds: kept ledgers of another number are not used
PER_COMMIT = 10  # events; a fleet of ten that talks
PUBLISH_EVERY = 10  # commits; the leader's tick
AGENTS, NODES = 10, 4
LEADER = "agent0"
WORDS = (
    "the parser lexer reviews a branch that fails on empty input; who takes this file, and when is it merged? "
    "tests are green here, not there: look at line 40 of the log, then rebase, then tell bob and carol"
).split()


def fresh(folder: Path, agent: str = "alice", *, url: str | None = None, profile: str = "local") -> Member:
    """A clone whose agent has joined the fleet at `url` (None: one in `folder`), its first rounds behind it."""
    if url is None:
        url = str(folder / "remote.git")
        if not Path(url).exists():
            make_bare_remote(Path(url))
    path = folder / agent
    git("init", "--quiet", str(path))  # else one of a folder above would be taken
    joined = init(path, InitRequest(agent=agent, remote=url, profile=profile))
    member = Member(joined.node, agent)
    for _ in range(2):
        member.sync()
    return member


def open_again(folder: Path, agent: str) -> Member:
    return join(folder, agent=agent)


@dataclass
class Large:
    """A copy of a kept ledger of `events` events, to be written on: its remote, and a clone whose agent has joined."""

    events: int
    folder: Path
    agent: str = "bench"

    @property
    def url(self) -> str:
        return str(self.folder / "remote.git")

    @property
    def clone(self) -> Path:
        return self.folder / "clone"

    @property
    def home(self) -> Path:
        return self.clone / ".git" / "gitcoord"

    def open(self) -> Member:
        return open_again(self.clone, self.agent)


def large(events: int, into: Path, cache: Path | None = None) -> Large:
    """A copy in `into` of the ledger of so many events, which is built where it is not kept."""
    # of a checkpoint, as of now
    form = hashlib.sha256(json.dumps(FleetState(FEATURES).dump()).encode()).hexdigest()[:8]
    kept = (cache or default_cache()) / f"ledger-{events}-{BUILDER}-{form}"
    if not kept.exists():
        _build(events, kept)
    shutil.copytree(kept, into, symlinks=True)
    copy = Large(events, into)
    path = copy.home / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"remote": copy.url}))
    return copy


def default_cache() -> Path:
    who = os.getuid() if hasattr(os, "getuid") else "all"
    return Path(tempfile.gettempdir()) / f"gitcoord-bench-{who}"


def _build(events: int, kept: Path) -> None:
    print(f"bench: building a ledger of {events} events (once)", file=sys.stderr, flush=True)
    kept.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=kept.name + ".", dir=kept.parent))
    try:
        remote = beside / "remote.git"
        make_bare_remote(remote)
        _write_ledger(events, remote)
        git("repack", "-a", "-d", "-f", "--quiet", folder=remote)  # -f: gc leaves whole objects whole
        with fresh(beside, "bench", url=str(remote)):
            pass
        clone = beside / "bench"
        clone.rename(beside / "clone")
        kept_already = kept.exists()
        if not kept_already:
            beside.rename(kept)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _write_ledger(events: int, remote: Path) -> None:
    """Commit by commit, as nodes and a leader would, every line signed and folded: in memory, then as a pack."""
    store = MemoryStore(MemoryServer(), ledger_ref=LEDGER, outbox_prefix=OUTBOXES)
    branch = LedgerBranch(store, FleetState(FEATURES))
    authors = _Authors(random.Random(events))
    stream = authors.lines(events)
    number = 0
    while branch.fleet.position < events:
        wanted = 1 if number == 0 else min(PER_COMMIT, events - branch.fleet.position)
        batch = [authors.election(branch.fleet.digest)] if number == 1 else [next(stream) for _ in range(wanted)]
        files = ledger_pages.due(branch, authors.sealed) if number % PUBLISH_EVERY == 2 else {}
        tree = branch.write(branch.extend([event.line for event in batch]), files)
        position, term = branch.fleet.position + len(batch), branch.fleet.terms.term
        commit = store.put_commit(
            tree=tree,
            parents=[branch.tip] if branch.tip else [],
            time_s=1_700_000_000 + 20 * number,
            message=f"{len(batch)} events [skip ci]\n\nPosition: {position}\nTerm: {term}\nNonce: {number}\n",
            author=batch[0].actor,
        )
        branch.apply_commit(commit, known={event.line: event for event in batch})
        number += 1
    assert branch.tip is not None and not branch.damaged
    git("index-pack", "--stdin", folder=remote, given=_pack(store.objects))
    git("update-ref", LEDGER, branch.tip, folder=remote)


def _pack(objects: ObjectDict) -> bytes:
    """Objects in git's pack format, version 2; none as a difference to another."""
    parts = [b"PACK" + struct.pack(">II", 2, len(objects))]
    for kind, data in objects.values():
        size, first = len(data) >> 4, {"commit": 1, "tree": 2, "blob": 3}[kind] << 4 | len(data) & 15
        head = bytearray()
        while size:
            head.append(first | 128)
            first, size = size & 127, size >> 7
        head.append(first)
        parts += [bytes(head), zlib.compress(data, 1)]
    whole = b"".join(parts)
    return whole + hashlib.sha1(whole, usedforsecurity=False).digest()


class _Authors:
    """Ten agents on four nodes that ask and answer, from one seed."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.signers: dict[str, Signer] = {
            f"agent{number}": Ed25519Signer(rng.randbytes(32)) for number in range(AGENTS)
        }
        self.nodes = [f"node{number}-{rng.randbytes(4).hex()}" for number in range(NODES)]
        self.heads = {node: Head() for node in self.nodes}
        self.fleet = ""  # its founding line gives it one
        self.asked: list[str] = []

    def lines(self, events: int) -> Iterator[Event]:
        names = list(self.signers)
        founded = FleetFounded.model_validate({"namespace": "refs/gitcoord", "profile": "local", "auth": "ed25519"})
        first = seal(
            self._draft(0, names[0], "fleet_founded", "founds", data=founded.model_dump()),
            node=self.nodes[0],
            after=None,
            signer=self.signers[names[0]],
            fleet="",
        )
        self.fleet = fleet_id_of(first.line)
        yield first
        for number in range(1, events):
            actor = names[number % AGENTS] if number <= AGENTS else self.rng.choice(names)
            node = self.nodes[int(actor[5:]) % NODES]
            draft = (
                self._draft(number, actor, "agent_joined", f"{actor} joins")
                if number <= AGENTS
                else (self._words(number, actor))
            )
            event = seal(draft, node=node, after=self.heads[node], signer=self.signers[actor], fleet=self.fleet)
            self.heads[node] = event.head
            yield event

    def election(self, digest: str) -> Event:
        """The founder leads from the beginning, so that the checkpoints are a leader's."""
        data = {"session": "s", "after": digest}
        draft = self._draft(0, LEADER, "leader_election", f"{LEADER} campaigns", term=1, data=data)
        return seal(draft, node=self.nodes[0], after=None, signer=self.signers[LEADER], fleet=self.fleet)

    def sealed(self, data: bytes, branch: LedgerBranch) -> bytes:
        """A checkpoint as the leader signs it."""
        position, signer = branch.fleet.position, self.signers[LEADER]
        return checkpoint.sign(data, agent=LEADER, term=1, position=position, signer=signer, fleet_id=self.fleet)

    def _words(self, number: int, actor: str) -> Draft:
        content = " ".join(self.rng.choices(WORDS, k=self.rng.randint(8, 32)))
        if number % 8 == 3 or not self.asked:
            draft = self._draft(number, actor, "question", content)
            self.asked = [*self.asked[-3:], draft.event_uid]
            return draft
        return self._draft(number, actor, "answer", content, re=self.rng.choice(self.asked))

    def _draft(self, number: int, actor: str, type_: str, content: str, **more: object) -> Draft:
        minutes, milliseconds = divmod(number * 2017, 60_000)
        hours, minutes = divmod(minutes, 60)
        days, hours = divmod(hours, 24)
        stamp = (
            f"2026-{1 + days // 28 % 12:02d}-{1 + days % 28:02d}T{hours:02d}:{minutes:02d}:"
            f"{milliseconds // 1000:02d}.{milliseconds % 1000:03d}Z"
        )
        return Draft(
            actor=actor, type=type_, content=content, timestamp=stamp, uid=uid_from(self.rng.randbytes(10)), **more
        )  # type: ignore[arg-type]


# Processes


def command(clone: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "gitcoord", "-C", str(clone), *words]


def run(clone: Path, *words: str) -> None:
    subprocess.run(command(clone, *words), check=True, stdin=subprocess.DEVNULL, capture_output=True)
