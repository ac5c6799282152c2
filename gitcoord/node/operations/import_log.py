"""The import of a log of five-field lines: each becomes an event that the importer signs, and that names its author.

The id of an imported event is derived from the fleet, the line's five fields, and how often the same line came before
in the file. So an import of the same file, or of a file that has grown, adds only what is new. Lines that another agent
imported are recognised as soon as they are in the ledger. If two agents import at the same moment, the ledger has the
lines twice, once by each importer.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, NamedTuple

from gitcoord.core import limits, names, times
from gitcoord.core.fields import check_text
from gitcoord.core.fleet_state import FleetState
from gitcoord.core.format.event import Draft, Event, parse, uid_of
from gitcoord.core.format.raw_line import may_be_imported
from gitcoord.core.format.strict_json import Malformed, json_object
from gitcoord.core.secret_scan.credentials import OnSecret, OwnSecrets, looks_like_credential
from gitcoord.node.clock import utc_now
from gitcoord.node.node import Node

FIELDS = ("interaction", "actor", "type", "content", "timestamp")
LINE_BYTES_MAX = 4 * limits.EVENT_BYTES_MAX  # content written as \u escapes takes up to three times its bytes
ENVELOPE_BYTES = 1024  # ids, chain, key and signature around the content of an event: 420 measured
ACTOR_CHARACTERS_MAX = 200
BATCH_EVENTS = 500  # one fsync each: 5,000 lines cost ten
LINE_SHOWN_BYTES = 1000  # of a bad line, in events.error.log
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)\Z", re.ASCII)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class Line(NamedTuple):
    """One line of the source. `trouble` says why it cannot be read at all."""

    number: int
    data: bytes
    end: int  # bytes of the source up to its end
    trouble: str = ""


@dataclass(slots=True)
class ImportResult:
    """The result of an import: how many lines became events, were known, or were bad."""

    imported: int = 0
    known: int = 0  # in the ledger or the queue already
    bad: int = 0
    last: Event | None = None
    reasons: list[str] = field(default_factory=list)  # of the first few bad lines


REASONS_SHOWN_MAX = 5


def import_log(
    node: Node,
    source: BinaryIO,
    *,
    name: str,
    actor: str,
    progress: Callable[[int], None] = lambda end: None,
    dry_run: bool = False,
) -> ImportResult:
    """Queue the lines of `source` as events of `actor`. When this returns, all are on the local disk.

    Bad lines go to events.error.log with `name` (of the file) and their numbers. A line that seems to hold a secret is
    bad, unless the writer allows secrets. `progress` is called with the number of bytes that are done. `dry_run` only
    counts. Raise Refused if the actor's key is not here.
    """
    node.keyring.signer(actor)
    node.check()
    pending = {event.uid for event in node.disk.pending()}  # BEFORE the fleet: what leaves the queue is in there
    own = None if node.writer.on_secret is OnSecret.ALLOW else node.writer.own_secrets()
    reader = _LineReader(node.fleet, actor, pending | set(node.fleet.positions), _by_others(node), own)
    done = ImportResult()
    batch: list[Draft] = []
    for line in lines_of(source):
        try:
            draft = reader.draft(line)
        except Malformed as wrong:
            _count_bad(done, line, str(wrong))
            if not dry_run:
                _set_aside(node, line, name, str(wrong))
            continue
        if draft is None:
            done.known += 1
            continue
        batch.append(draft)
        if len(batch) >= BATCH_EVENTS:
            _queue(node, done, batch, dry_run)
            progress(line.end)
    _queue(node, done, batch, dry_run)
    return done


def lines_of(source: BinaryIO) -> Iterator[Line]:
    """Yield the lines of a log that other tools wrote: with or without BOM and CR; empty ones are left out.

    Only one line is held in memory, and of an oversized one only its beginning.
    """
    number, end = 0, 0
    while data := source.readline(LINE_BYTES_MAX + 2):
        number, end, trouble = number + 1, end + len(data), ""
        if len(data) > LINE_BYTES_MAX and not data.endswith(b"\n"):
            size = len(data)
            while (rest := source.readline(LINE_BYTES_MAX)) and not rest.endswith(b"\n"):
                size += len(rest)
            end += size - len(data) + len(rest)
            trouble = f"longer than {LINE_BYTES_MAX} bytes"
        if number == 1:
            data = data.removeprefix(b"\xef\xbb\xbf")
        data = data.rstrip(b"\r\n")
        if data.strip():
            yield Line(number, data, end, trouble)


def nonce_of(fleet_id: str, fields: dict[str, Any], occurrence: int) -> str:
    """Return the nonce of the `occurrence`-th (from 1) line of a file with these five fields."""
    words = [fleet_id, *(fields[name] for name in FIELDS), occurrence]
    return names.uid_from(hashlib.sha256(json.dumps(words).encode()).digest()[:10])


class _LineReader:
    """Makes drafts from the lines of one file, in their order."""

    def __init__(
        self,
        fleet: FleetState,
        actor: str,
        known: set[str],
        others: Mapping[tuple[Any, ...], str],
        own: OwnSecrets | None,
    ) -> None:
        """Set up the reader. `own` has secrets that no line may hold, besides all that looks like one. If it is None,
        any line may hold secrets."""
        self.own = own
        self.fleet = fleet
        self.others = others
        self.actor = actor
        self.known = known
        self.counts: Counter[str] = Counter()
        self.first: dict[int, str] = {}  # the uid of the first event of each interaction of the file
        self.now = utc_now()

    def draft(self, line: Line) -> Draft | None:
        """Return the draft for a line; None if there is such an event already. Raise Malformed with the reason."""
        fields = checked(line)
        if self.own is not None:
            _check_secret(fields, self.own)
        same = nonce_of("", fields, 0)
        self.counts[same] += 1
        nonce = nonce_of(self.fleet.id or "", fields, self.counts[same])
        uid = uid_of(self.actor, nonce)
        number = fields["interaction"]
        source = {name: fields[name] for name in ("actor", "timestamp", "interaction")} | {"line": line.number}
        imported = self.others.get(_same(nonce, fields["content"], source))  # None if another line has the same nonce
        parent = self.first.setdefault(number, imported or uid) if number is not None else uid
        if uid in self.known or imported is not None:
            return None
        self.known.add(uid)
        type_ = fields["type"]
        if self.fleet.types.model_of(type_) is not None:
            # Another log's events must not act in this one: nobody is elected, admitted or removed by them.
            source["type"], type_ = type_, f"imported_{type_}"[:64]
        return Draft(
            actor=self.actor,
            type=type_,
            content=fields["content"],
            timestamp=self.now,
            uid=nonce,
            re=parent if parent != uid else None,
            data={"source": source},
        )


def _by_others(node: Node) -> dict[tuple[Any, ...], str]:
    """Return the uids of the ledger's imports, by the fields that an importer cannot choose."""
    found = {}
    read = node.replica.branch.line_at()
    for position in range(1, node.fleet.position + 1):
        line = read(position)
        if may_be_imported(line):
            event = parse(line)
            if event.source and node.fleet.positions.get(event.uid) == position:
                found[_same(event.nonce, event.content, event.source)] = event.uid
    return found


def _same(nonce: str, content: str, source: Mapping[str, Any]) -> tuple[Any, ...]:
    return (nonce, content, *(str(source.get(name)) for name in ("actor", "timestamp", "interaction")))


def checked(line: Line) -> dict[str, Any]:
    """Return the five fields of a line, fit to become an event. Raise Malformed."""
    if line.trouble:
        raise Malformed(line.trouble)
    value = json_object(line.data)
    missing = [name for name in FIELDS if name not in value]
    if missing:
        raise Malformed(f"no `{missing[0]}`: a line has {', '.join(FIELDS)}")
    number = value["interaction"]
    if number is not None and (type(number) is not int or not 0 <= number <= limits.INTERACTION_MAX):
        raise Malformed("`interaction` is not a whole number")
    for name in FIELDS[1:]:
        if not isinstance(value[name], str):
            raise Malformed(f"`{name}` is not text")
    if not names.EVENT_TYPE.match(value["type"]):
        raise Malformed("`type` is not an event type (a-z 0-9 _)")
    if not 1 <= len(value["actor"]) <= ACTOR_CHARACTERS_MAX or _CONTROL.search(value["actor"]):
        raise Malformed(f"`actor` is not a name of 1 to {ACTOR_CHARACTERS_MAX} characters on one line")
    if not is_time(value["timestamp"]):
        raise Malformed("`timestamp` is not a time such as 2026-01-31T08:00:00Z")
    try:
        check_text(value["content"])
    except ValueError as wrong:  # as an event it would be void
        raise Malformed(f"`content`: {wrong}") from None
    size = sum(len(json.dumps(value[name], ensure_ascii=False).encode()) for name in FIELDS)
    if size > limits.EVENT_BYTES_MAX - ENVELOPE_BYTES:
        raise Malformed(f"{size} bytes; at most {limits.EVENT_BYTES_MAX - ENVELOPE_BYTES} fit into an event")
    return {name: value[name] for name in FIELDS}


def _check_secret(fields: dict[str, Any], own: OwnSecrets) -> None:
    for name in ("content", "actor"):
        kind = looks_like_credential(fields[name], own)
        if kind:
            raise Malformed(
                f"`{name}` seems to hold a secret: {kind}. The ledger cannot forget, so the line was left "
                "out; if it is no secret, import the file again with --allow-secret"
            )


def is_time(text: str) -> bool:
    """Return whether `text` is a point in time: ISO 8601 with an offset from UTC."""
    return _TIMESTAMP.match(text) is not None and times.is_time(text)


def _queue(node: Node, done: ImportResult, batch: list[Draft], dry_run: bool) -> None:
    if dry_run:
        done.imported += len(batch)
        batch.clear()
    elif batch:
        events = node.append(*batch, on_secret=OnSecret.ALLOW)  # each line was checked for secrets
        done.imported += len(events)
        done.known += len(batch) - len(events)
        done.last = events[-1] if events else done.last
        batch.clear()


def _count_bad(done: ImportResult, line: Line, reason: str) -> None:
    done.bad += 1
    if len(done.reasons) < REASONS_SHOWN_MAX:
        done.reasons.append(f"line {line.number}: {reason}")


def _set_aside(node: Node, line: Line, name: str, reason: str) -> None:
    """Isolate a bad line. A line that looks like a credential is not copied anywhere."""
    text = line.data[:LINE_SHOWN_BYTES].decode("utf-8", "backslashreplace")
    shown = "" if looks_like_credential(line.data.decode("utf-8", "replace"), node.writer.own_secrets()) else text
    node.home.add_error(
        {"time": utc_now(), "kind": "import", "file": name, "number": line.number, "reason": reason, "line": shown}
    )
