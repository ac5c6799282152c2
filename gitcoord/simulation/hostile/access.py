"""The access of a hostile member: one valid key, and the right to read and push everything on the remote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gitcoord.core.errors import GitcoordError
from gitcoord.core.format.event import Draft, Event, Head, parse_all, seal
from gitcoord.core.ledger import outbox
from gitcoord.core.ledger.log_files import LogFiles
from gitcoord.core.ports import Oid, TreeEntry
from gitcoord.simulation.checking import reference_fold
from gitcoord.simulation.hostile import grammar
from gitcoord.simulation.remote import SimulatedRemote
from gitcoord.simulation.world import LEDGER, OUTBOXES, World

NAME, NODE = "mallory", "mallory-1"
OUTBOX_EVENTS_MAX = 200


class HostileAccess:
    """The lines that it signs, and how it reads and writes the remote."""

    def __init__(self, world: World, remote: SimulatedRemote) -> None:
        self.world, self.remote = world, remote
        self.rng = world.dice("hostile")
        self.signer = world.signers.of(NAME)
        self.chain: list[Event] = []  # all of its node's, in order
        self.uids: list[str] = []
        self.lines = self.bytes = 0  # what it wrote anywhere

    def sealed(
        self,
        actor: str,
        type_: str,
        content: str,
        *,
        node: str,
        after: Head | None,
        vouch: str | None = None,
        fleet_id: str | None = None,
        **fields: Any,
    ) -> Event | None:
        """Return an event signed with its key, perhaps under another's name; None if no such line can be written."""
        fields = {
            "timestamp": self.rng.choice([self.world.wall(), *grammar.MOMENTS]),
            "uid": self.world.uid("hostile"),
        } | fields
        try:
            event = seal(
                Draft(actor, type_, content, **fields),
                node=node,
                after=after,
                signer=self.signer,
                fleet=self.world.fleet_id if fleet_id is None else fleet_id,
                vouch=vouch,
            )
        except GitcoordError:
            return None
        self.lines += 1
        self.bytes += len(event.line)
        return event

    def _next(self, actor: str, type_: str, content: str, **fields: Any) -> None:
        """Put an event into its own chain."""
        head = self.chain[-1].head if self.chain else Head()
        event = self.sealed(actor, type_, content, node=NODE, after=head, **fields)
        if event is not None:
            self.chain.append(event)
            self.uids.append(event.uid)

    # Reading and writing the remote

    def _honest(self) -> set[str]:
        return {machine.agent for machine in self.world.machines} | {"founder"}

    def _boxes(self) -> list[tuple[str, outbox.Outbox]]:
        """Return (ref, content) of the honest nodes' outboxes."""
        refs = {OUTBOXES + machine.disk.node for machine in self.world.machines} & self.world.server.refs.keys()
        return [(ref, outbox.read(self.world.god, self.world.server.refs[ref])) for ref in sorted(refs)]

    def _pending(self) -> list[Event]:
        sequenced = set(reference_fold.raw_lines(self.world.god, self.world.tip))
        return [event for event in self.chain if event.line not in sequenced][:OUTBOX_EVENTS_MAX]

    def _offer(self) -> None:
        ref = OUTBOXES + NODE
        self.world.server.refs[ref] = self._box(ref, [event.line for event in self._pending()])

    def _box(self, ref: str, lines: Sequence[bytes]) -> Oid:
        """Write an outbox with these lines and a heartbeat of its own; return its commit."""
        god, terms = self.world.god, self.world.machines[0].replica.branch.fleet.terms
        heartbeat = self.sealed(
            self.rng.choice([NAME, terms.leader or NAME]),
            "heartbeat",
            "",
            node=NODE,
            after=None,
            term=terms.term,
            data={"session": terms.session or "", "n": 10**6, "next_s": 1e9},
        )
        data = b"".join(line + b"\n" for line in lines)
        root = {
            outbox.QUEUE: TreeEntry(god.put_tree({"00000000.log": TreeEntry(god.put_blob(data))}), is_tree=True),
            outbox.HEARTBEATS: TreeEntry(god.put_blob(heartbeat.line + b"\n" if heartbeat is not None else b"")),
            outbox.ORPHANS: TreeEntry(god.put_blob(data[:2000])),
        }
        self.world.forged.update(line for one in lines for line in one.split(b"\n") if not parse_all([line]))
        return god.put_commit(
            tree=god.put_tree(root),
            parents=[],
            message=f"outbox {self.world.uid('hostile')}",
            author=ref,
            time_s=int(self.world.now_s),
        )

    def _sequence(self, lines: Sequence[bytes], tree: dict[str, TreeEntry] | None = None) -> None:
        """Push a ledger commit that appends lines to its tip."""
        god, tip = self.world.god, self.world.tip
        tree = god.tree(god.commit(tip).tree) if tree is None else tree
        entry = LogFiles(god).listing(tree).open
        open_ = god.blob(entry.oid) if entry is not None and not entry.is_tree else b""
        path = LogFiles(god).listing(tree).open_path
        tree[path] = TreeEntry(god.put_blob(open_ + b"".join(line + b"\n" for line in lines)))
        self.world.server.refs[LEDGER] = self._commit(god.put_tree(tree), tip)
        self.world.forged.update(line for one in lines for line in one.split(b"\n") if not parse_all([line]))
        self.remote.witness.extended(tip, self.world.tip, 0)
        self.world.say("the hostile", f"LEDGER is {self.world.tip[:8]}: {len(lines)} lines")

    def _commit(self, tree: Oid, *parents: Oid) -> Oid:
        return self.world.god.put_commit(
            tree=tree,
            parents=parents,
            message=f"by {NAME} {self.world.uid('hostile')}",
            author=NAME,
            time_s=int(self.world.now_s),
        )


def box_head(box: outbox.Outbox) -> Head:
    """Return the end of the chain in an outbox."""
    events = parse_all(box.lines[-1:])
    return events[0].head if events else Head()
