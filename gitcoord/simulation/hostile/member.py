"""A hostile member: it has one valid key and push access, and follows none of the rules that honest machines follow.

It is a plain member of an open fleet. It can read everything on the remote, and has no other key.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from gitcoord.core.fold import places
from gitcoord.core.format.event import FOUNDING, Draft, Head, hash_of, parse_all, seal
from gitcoord.core.format.vouches import vouch
from gitcoord.core.names import node_tag
from gitcoord.core.ports import Oid, TreeEntry
from gitcoord.core.round.sight import RESTORATIONS_PER_DAY
from gitcoord.simulation.checking import reference_fold
from gitcoord.simulation.hostile import grammar
from gitcoord.simulation.hostile.access import NAME, NODE, HostileAccess, box_head
from gitcoord.simulation.hostile.foreign_ledgers import ForeignLedgers
from gitcoord.simulation.hostile.odd_trees import OddTrees
from gitcoord.simulation.remote import SimulatedRemote
from gitcoord.simulation.world import LEDGER, OUTBOXES, Life, World

PACE_S = 12.0  # between two acts, on average: a remote's rate limit applies to hostile members too
FLOOD_EVENTS = 60
LINES_MAX = places.LINES_OF_STRANGERS_MAX // 2  # a schedule has 500 to 900
BYTES_MAX = places.BYTES_OF_STRANGERS_MAX // 2
REPLACES_SHARE = 0.5  # of the schedules: in the others no ledger is set back, so the checks of leaders are stricter
STRAYS_MAX = 30
ODD_REFS = ("deep/er", "UPPER", "-x", "a..b", "x" * 60, "\u202e")
GARBAGE = (b"", b"{}", b"\xff\xfe\x00", b"[" * 5000, b"null", b'{"interaction":null}', b"x" * 70_000, b"\n\n\n")


class Hostile(HostileAccess):
    """A hostile member: the acts among which it chooses."""

    def __init__(self, world: World, remote: SimulatedRemote) -> None:
        super().__init__(world, remote)
        self.odd = OddTrees(world.god, self.rng)
        self.foreign = ForeignLedgers(world.god, self.rng, self._founding, self._commit)
        self.replaced_s: list[float] = []
        self.replaces = self.rng.random() < REPLACES_SHARE
        self.old_boxes: list[Oid] = []
        self.acts: dict[str, Callable[[], None]] = {
            "says anything": self._say,
            "floods": self._flood,
            "claims leadership": self._lead,
            "front-runs": self._front_run,
            "overwrites outboxes": self._deface,
            "makes stray refs": self._stray,
            "respells lines": self._respell,
            "forges a checkpoint": self._checkpoint,
            "replays lines": self._replay,
            "joins others' chains": self._squat,
            "rearranges files": self._rearrange,
            "replaces the ledger": self._replace,
        }

    def life(self) -> Life:
        """Act now and then, even after the faults have stopped: the fleet must recover nevertheless.

        After the faults it leaves others' outboxes alone. It stops shortly before the end, so that the leader can
        react, and well before the daily limits of `core/fold/places.py`, which the reference fold does not know.
        """
        while self.lines < LINES_MAX and self.bytes < BYTES_MAX:
            yield self.rng.expovariate(1 / PACE_S)
            if self.world.now_s > self.world.end_s - self.world.profile.bound_s() / 2:
                return
            self.old_boxes += [oid for ref, oid in sorted(self.world.server.refs.items()) if ref != LEDGER]
            del self.old_boxes[:-50]
            name = self.rng.choice(sorted(self.acts))
            if name == "overwrites outboxes" and self.world.now_s >= self.world.calm_at_s:
                continue
            self.world.say("the hostile", name)
            self.acts[name]()
            self._offer()

    def join(self, agents: Sequence[str]) -> None:
        """Give the founder a reservation and a task that nobody else may end, and join as a plain member.

        The founder, an admin, writes nothing more. At the end it must still have both.
        """
        world, head, lines = self.world, Head(), [*reference_fold.raw_lines(self.world.god, self.world.tip)]
        for type_, data in (
            ("config_changed", {"set": {"leaders": list(agents), "recovery": []}}),
            ("paths_reserved", {"paths": ["src/**"], "for_s": 7 * 86_400.0}),
            ("task_created", {"title": "the founder's", "agent": "founder"}),
        ):
            draft = Draft("founder", type_, "by the founder", world.wall(), world.uid("founder"), data=data)
            event = seal(draft, node="founder-0", after=head, signer=world.signers.of("founder"), fleet=world.fleet_id)
            world.attempted[event.uid] = draft.content
            head = event.head
            lines.append(event.line)
        self._next(NAME, "agent_joined", "I am harmless", timestamp=world.wall())
        world.put_commit([*lines, self.chain[0].line], parents=(world.tip,), author="founder")

    # Lines that it signs

    def _anything(self) -> None:
        rng, terms = self.rng, self.world.machines[0].replica.branch.fleet.terms
        type_ = rng.choice(grammar.TYPES)
        agents = [NAME, *sorted(self._honest())]
        uids = [*self.uids[-8:], *sorted(self.world.attempted)[-8:]]
        self._next(
            rng.choice([NAME, NAME, NAME, *agents]),
            type_,
            rng.choice(grammar.TEXTS),
            data=grammar.data_of(rng, type_, agents, uids) | rng.choice([{}, {"duty": f"chore:{rng.randrange(9)}"}]),
            re=rng.choice(uids) if rng.random() < 0.6 else None,
            to=tuple(rng.sample(agents, rng.choice([0, 0, 1, 2]))),
            term=rng.choice([None, None, terms.term, terms.highest + 1, 0, 2**53 - 1]),
            interaction=rng.choice([None, None, 1, 10**9]),
        )

    def _say(self) -> None:
        for _ in range(self.rng.randrange(1, 8)):
            self._anything()

    def _flood(self) -> None:
        for number in range(FLOOD_EVENTS):
            self._next(NAME, "note", "x" * (60_000 if number < 2 else 10))

    def _lead(self) -> None:
        """Write elections, renewals and resignations that it has no right to write."""
        rng, world = self.rng, self.world
        fleet = world.machines[0].replica.branch.fleet
        session = rng.choice([fleet.terms.session or "0" * 12, "f" * 12])
        lines = []
        for type_ in rng.sample(["leader_election", "leader_renewed", "heartbeat", "fleet_founded"], 2):
            data: dict[str, Any] = {"session": session, "after": fleet.digest, "reason": "I lead", "n": 10**6}
            event = self.sealed(
                rng.choice([NAME, fleet.terms.leader or NAME]),
                type_,
                "I lead",
                node=NODE,
                after=None,
                term=rng.choice([fleet.terms.term, fleet.terms.highest + 1, fleet.terms.highest + 1000, 2**53 - 1]),
                data=data if type_ != "fleet_founded" else {},
            )
            lines += [event.line] if event is not None else []
        self._next(rng.choice([NAME, fleet.terms.leader or NAME]), "leader_resigned", "", term=fleet.terms.term)
        self._sequence(lines)

    def _front_run(self) -> None:
        """Sequence copies of events that are in others' outboxes before the originals, with the same nonce."""
        for _, box in self._boxes()[:4]:
            for event in parse_all(box.lines[:5]):
                for actor in (NAME, event.actor):
                    self._next(
                        actor,
                        event.type,
                        event.content,
                        uid=event.nonce,
                        timestamp=event.timestamp,
                        re=event.re,
                        to=event.to,
                        term=event.term,
                        data=event.data,
                    )
        self._sequence([event.line for event in self._pending()])

    def _squat(self) -> None:
        """Write the next line in another node's chain, or the first line in a chain new to the ledger."""
        heads = self.world.machines[0].replica.branch.fleet.heads
        nodes = sorted({machine.disk.node for machine in self.world.machines} | set(filter(node_tag, heads)))
        lines = []
        for node in self.rng.sample(nodes, min(2, len(nodes))):
            head = heads.get(node, Head())
            after = self.rng.choice([head, head, Head(head.seq + 5, hash_of(b"elsewhere"))])
            vouched = self.rng.choice([None, vouch(self.signer, node, self.signer.key, self.world.fleet_id)])
            event = self.sealed(NAME, "note", "in your chain", node=node, after=after, vouch=vouched)
            lines += [event.line] if event is not None else []
        self._sequence(lines)

    # Refs and files that it writes

    def _deface(self) -> None:
        """Overwrite others' outboxes with rubbish, older values, other nodes' lines, or its own lines."""
        rng, world = self.rng, self.world
        for ref, box in self._boxes():
            if rng.random() < 0.5:
                continue
            lines = [line for _, other in self._boxes() for line in other.lines]
            kind = rng.choice(["rubbish", "old", "other", "mine"])
            oid = rng.choice(self.old_boxes)
            if kind == "rubbish":
                oid = self._box(ref, [rng.choice(GARBAGE), *self._respelt(lines[:3])])
            elif kind == "other":
                oid = self._box(ref, lines[:50])
            elif kind == "mine":
                node, head = ref.removeprefix(OUTBOXES), box_head(box)
                event = self.sealed(NAME, "note", "in your outbox", node=node, after=head)
                oid = self._box(ref, [*box.lines, *([event.line] if event is not None else [])])
            for heartbeat in box.heartbeats:
                sign = self.remote.signs.get((heartbeat.term or 0, str(heartbeat.data.get("session"))))
                if sign is not None:
                    sign.at_s.clear()  # no machine can have seen it
            world.server.refs[ref] = oid
            world.say("the hostile", f"overwrites {ref} ({kind})")

    def _stray(self) -> None:
        refs = self.world.server.refs
        for _ in range(self.rng.randrange(1, 6)):
            node = self.world.machines[0].disk.node
            names = [*ODD_REFS, f"{node}/below", f"{node}.lock", f"stray-{self.rng.randrange(STRAYS_MAX)}"]
            ref = OUTBOXES + self.rng.choice(names)
            rubbish = self._box(ref, [self.rng.choice(GARBAGE)])
            refs[ref] = self.rng.choice([self.world.tip, rubbish, *self.old_boxes[:3]])

    def _respell(self) -> None:
        """Sequence others' lines, whose signatures are right, in another spelling."""
        lines = [line for _, box in self._boxes() for line in box.lines[:10]]
        self._sequence(self._respelt(lines[: self.rng.randrange(1, 9)]))

    def _respelt(self, lines: Sequence[bytes]) -> list[bytes]:
        found = []
        for line in lines:
            sig = line.rindex(b'"sig":"') + 7 if b'"sig":"' in line else 0
            found.append(
                self.rng.choice(
                    [
                        line.replace(b'"seq":', b'"seq" : '),
                        line + b" ",
                        line[:-1] + b',"x":1}',
                        line[:sig] + b"\\u%04x" % line[sig] + line[sig + 1 :] if sig else line,
                        line.replace(b'"actor":', b'"acto\\u0072":'),
                    ]
                )
            )
        self.lines += len(found)
        self.bytes += sum(map(len, found))
        return found

    def _checkpoint(self) -> None:
        """Push a forged checkpoint, and files that do not belong in a ledger."""
        tree = self.world.god.tree(self.world.god.commit(self.world.tip).tree)
        put = self.world.god.put_blob
        forged = {"schema": "1", "members": {"founder_key": self.signer.key}, "position": 10**6, "seal": [NAME] * 6}
        tree["state.json"] = TreeEntry(put(self.rng.choice([b"", b"\xff", json.dumps(forged).encode(), b"[" * 9999])))
        tree[self.rng.choice(["README.md", "events", "communication.md"])] = TreeEntry(put(b"\x1b[2J"))
        self._sequence([], tree)

    def _rearrange(self) -> None:
        """Rearrange the log's files as no honest machine does, and append lines to them."""
        god = self.world.god
        root = god.tree(god.commit(self.world.tip).tree)
        if not root:  # of a ledger that it replaced
            return
        tree, way = self.odd.rearranged(root)
        self.world.say("the hostile", f"lays a tree that {way}")
        self._sequence([event.line for event in self._pending()[:3]], tree)

    def _replace(self) -> None:
        """Replace the ledger by a foreign one, once all machines have seen it (a newcomer could not tell them apart).

        It does so at most as often in a day as one clone restores the ledger. More often would stop the fleet until a
        person decides, as documented.
        """
        world, is_spent = self.world, len(self.replaced_s) >= RESTORATIONS_PER_DAY
        if not self.replaces or is_spent or any(machine.disk.tip is None for machine in world.machines):
            return
        world.server.refs[LEDGER], way = self.foreign.made(world.tip)
        self.replaced_s.append(world.now_s)
        self.remote.set_back_at_s = world.now_s  # a clone that has seen less than others may be the first to restore it
        world.say("the hostile", f"LEDGER is {world.tip[:8]}: {way}")

    def _founding(self) -> bytes:
        """Return the first line of a fleet of its own."""
        event = self.sealed(NAME, FOUNDING, "mine", node=NODE, after=None, fleet_id="", timestamp=self.world.wall())
        assert event is not None
        return event.line

    def _replay(self) -> None:
        """Append lines that the ledger has already, in any order, and bytes that are not a line."""
        lines = reference_fold.raw_lines(self.world.god, self.world.tip)
        again = [self.rng.choice(lines) for _ in range(5 if lines else 0)]
        garbage = self.rng.sample(GARBAGE, 3)
        self.lines += len(again) + len(garbage)
        self.bytes += sum(map(len, again))
        self._sequence([*again, *garbage, *(event.line for event in self._pending()[:3])])
