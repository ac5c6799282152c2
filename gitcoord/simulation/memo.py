"""A cache for one schedule: a line, a file, a signature or an outbox has the same result on every machine."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

from gitcoord.core.format import event
from gitcoord.core.format.event import Event
from gitcoord.core.ledger import log_files, outbox
from gitcoord.core.ledger.outbox import Outbox
from gitcoord.core.ports import Objects, Oid
from gitcoord.simulation.signing import Signers

KNOWN_MAX = 50_000

T = TypeVar("T")


@contextmanager
def shared(signers: Signers) -> Iterator[None]:
    """Let all machines share one cache of parsed lines, files and outboxes, and of checked signatures."""
    verifier, verdicts = signers.verifier, dict[tuple[bytes, str], str | None]()
    rejects = verifier.rejects

    def judge(one: Event, fleet: str) -> str | None:
        key = (one.line, fleet)
        if key not in verdicts:
            verdicts[key] = rejects(one, fleet)
        return verdicts[key]

    read, boxes = outbox.read, dict[tuple[Oid, bool], Outbox]()

    def read_outbox(objects: Objects, oid: Oid, before: Outbox | None = None, *, whole: bool = False) -> Outbox:
        if (oid, whole) not in boxes:
            boxes[oid, whole] = read(objects, oid, before, whole=whole)
        return boxes[oid, whole]

    vars(verifier)["rejects"] = judge
    with ExitStack() as stack:
        stack.enter_context(_in_place_of(event.parse, _remembering(event.parse)))
        stack.enter_context(_in_place_of(log_files.lines_of, _remembering(log_files.lines_of)))
        stack.enter_context(_in_place_of(read, read_outbox))
        yield


def _remembering(real: Callable[[bytes], T]) -> Callable[[bytes], T]:
    known: dict[bytes, T] = {}

    def remembering(data: bytes) -> T:
        found = known.get(data)
        if found is None:
            if len(known) >= KNOWN_MAX:
                known.clear()
            found = known[data] = real(data)
        return found

    return remembering


@contextmanager
def _in_place_of(real: Any, other: Any) -> Iterator[None]:
    """Replace `real` by `other` in every module of the product, in this context."""
    name = real.__name__
    places = [
        module
        for module in list(sys.modules.values())
        if getattr(module, "__name__", "").startswith("gitcoord.") and vars(module).get(name) is real
    ]
    for module in places:
        setattr(module, name, other)
    try:
        yield
    finally:
        for module in places:
            setattr(module, name, real)
