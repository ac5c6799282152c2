"""Every reader of what others wrote, or a crash left, as a function of bytes: it ends, with a value or a typed error.

Used by the tests here with hypothesis, and by `scripts/fuzz` with atheris.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from pathlib import Path

from gitcoord.core.errors import Corrupt, GitcoordError
from gitcoord.core.fleet_state import FleetState
from gitcoord.core.fold.chains import Inadmissible
from gitcoord.core.format.event import parse
from gitcoord.core.format.keys import HmacSigner, Verifier
from gitcoord.core.format.strict_json import Malformed
from gitcoord.core.leadership import neighbour_heartbeats
from gitcoord.core.ledger import checkpoint, outbox
from gitcoord.core.ledger.branch import LedgerBranch
from gitcoord.core.ledger.log_files import SEALED, open_path
from gitcoord.core.ports import PushOutcome, TreeEntry, Update
from gitcoord.features import FEATURES
from gitcoord.features.pages import snapshot
from gitcoord.node import ledger_pages, peers
from gitcoord.node.operations import import_log
from gitcoord.store.git import credentials, git_output
from gitcoord.store.git import objects as git_objects
from gitcoord.store.home.home import Home
from gitcoord.store.home.queue_file import Content, HeadFile
from gitcoord.store.home.spool import Spool
from gitcoord.store.memory import MemoryServer, MemoryStore
from tests.core.lines import FLEET, Story

LEDGER, NODES = "refs/heads/gitcoord/ledger", "refs/gitcoord/nodes"
OID = "0123456789abcdef0123456789abcdef01234567"
SECRET = HmacSigner(b"a secret of the fleet")


def store() -> MemoryStore:
    return MemoryStore(MemoryServer(), ledger_ref=LEDGER, outbox_prefix=NODES)


def event(data: bytes) -> None:
    try:
        found = parse(data)
    except Malformed:
        return
    assert found.line == data
    assert isinstance(found.shown_actor, str) and isinstance(found.shown_timestamp, str)
    Verifier().rejects(found, FLEET)
    assert Verifier("hmac", SECRET).rejects(found, FLEET)
    try:
        Story().founded().fleet.admissible(data)
    except Inadmissible:
        pass


def log(data: bytes) -> None:
    """A log file on the ledger branch, open and sealed, after good lines."""
    objects = store()
    blob = TreeEntry(objects.put_blob(data))
    folder = TreeEntry(objects.put_tree({open_path(0): blob, "odd\udcff.log": blob}), is_tree=True)
    root = {
        open_path(1): blob,
        SEALED: TreeEntry(objects.put_tree({"0000000": folder}), is_tree=True),
        "state.json": blob,
        "communication.md": blob,
    }
    branch = LedgerBranch(objects, FleetState(FEATURES, Verifier()))
    tip = objects.put_commit(tree=objects.put_tree(root), parents=[], message="by hand", author="x", time_s=0)
    checkpoint.start(branch, tip)
    branch.apply_commit(tip)
    branch.write(branch.extend([b"a line"]), {"communication.md": b"mended"})
    assert len(branch.bad) <= 1000
    ledger_pages._shown_position(branch)
    ledger_pages._checkpointed(branch)


def box(data: bytes) -> None:
    """An outbox of which each file holds `data`."""
    objects = store()
    blob = TreeEntry(objects.put_blob(data))
    queue = TreeEntry(objects.put_tree({"00000000.log": blob, "x": blob}), is_tree=True)
    for root in (
        {"queue": queue, "heartbeats.log": blob, "orphans.log": blob},
        {"queue": blob, "heartbeats.log": queue, "orphans.log": queue},
    ):
        tree = objects.put_tree(root)
        oid = objects.put_commit(tree=tree, parents=[], message="by hand", author="x", time_s=0)
        assert all(heartbeat.type == "heartbeat" for heartbeat in outbox.read(objects, oid).heartbeats)


def state(data: bytes) -> None:
    """A checkpoint beside a good log."""
    objects = store()
    story = Story().founded()
    branch = LedgerBranch(objects, story.fleet)
    tree = branch.write(branch.extend([b"a line"]), {checkpoint.PATH: data, "communication.md": data})
    tip = objects.put_commit(tree=tree, parents=[], message="by hand", author="x", time_s=0)
    began = LedgerBranch(objects, FleetState(FEATURES, Verifier()))
    checkpoint.start(began, tip)
    assert not began.checkpoint_position
    began.apply_commit(tip)
    assert ledger_pages._checkpointed(began) is None or data.startswith(b'{"schema":')
    snapshot.parse_position(data.decode("utf-8", "replace"))


def objects(data: bytes) -> None:
    """The bytes of a tree and of a commit."""
    for read in (git_objects.decode_tree, git_objects.decode_commit):
        try:
            read(OID, data)
        except Corrupt:
            pass


def words(data: bytes) -> None:
    """What git, a remote or a hook prints."""
    text = git_output.scrub(data.decode("utf-8", "replace"), ["secret"])
    assert "\x1b" not in text and "secret" not in text
    update = Update(LEDGER, OID, OID)
    answer = git_output.push_outcomes([update], text, text)[LEDGER]
    assert isinstance(answer.outcome, PushOutcome) and "\n" not in answer.reason
    assert len(answer.reason) <= git_output.LINE_CHARS_MAX
    assert isinstance(git_output.fetch_error("the remote", text), GitcoordError)
    credentials.transport_settings(text.replace("\n", "\0"))


def imported(data: bytes) -> None:
    for line in import_log.lines_of(io.BytesIO(data)):
        try:
            import_log.checked(line)
        except Malformed:
            pass


def home(data: bytes) -> None:
    """The small files of a node's home."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        mine = Home(path)
        for name in ("config.json", "head.json", "progress.json", "tip", "pushed", "orphans.log", "paused"):
            (path / name).write_bytes(data)
        for name in ("heartbeats", "cache", "spool", "keys"):
            (path / name).mkdir()
        (path / "heartbeats" / "alice.line").write_bytes(data + b'"state":"goodbye"')
        (path / "cache" / "heartbeats.json").write_bytes(data)
        (path / "spool" / "one.json").write_bytes(data)
        (path / "keys" / "alice.key").write_bytes(data)
        for read in (
            mine.config,
            mine.progress,
            lambda: mine.tip,
            lambda: mine.term,
            lambda: mine.keys.seed("alice"),
            lambda: mine.pushed(OID),
            lambda: mine.orphans,
            mine.neighbours,
            lambda: mine.queue.pending(),
            lambda: peers.observations(path / "cache"),
            lambda: Spool(path).take(_unsealed, set()),
        ):
            try:
                read()
            except GitcoordError:
                pass
    neighbour_heartbeats.is_due(
        neighbour_heartbeats.others([data, data + b"\n"], {"alice"}), [], Story().founded().fleet.members
    )


def _unsealed(draft: object) -> None:
    raise Corrupt("nobody signs here")


def queue(data: bytes) -> None:
    """`events.offline.log`, behind a good head and with the bytes as a head of their own."""
    try:
        HeadFile.parse(data, Path("head.json"))
    except GitcoordError:
        pass
    good = HeadFile.parse(b'{"node":"laptop-1","seq":0,"hash":""}', Path("head.json"))
    for whole in (False, True):
        content = Content.parse(good, data, whole=whole)
        assert len(content.all()) <= data.count(b"\n") + 1


PARSERS: dict[str, Callable[[bytes], None]] = {
    parser.__name__: parser for parser in (event, log, box, state, objects, words, imported, home, queue)
}
