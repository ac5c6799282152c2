"""Faults from outside: machines cut off, copied, restored, gone; a remote that is set back; a liar."""

from __future__ import annotations

from gitcoord.core.format.event import Draft, Head, hash_of, parse, parse_all, seal
from gitcoord.core.ledger import outbox
from gitcoord.core.ledger.log_files import LogFiles
from gitcoord.core.ports import Oid
from gitcoord.simulation.checking import reference_fold
from gitcoord.simulation.disk import Files
from gitcoord.simulation.image import resume
from gitcoord.simulation.machine import Machine, machines
from gitcoord.simulation.remote import SimulatedRemote
from gitcoord.simulation.world import LEDGER, OUTBOXES, Life, World


def plan(world: World, remote: SimulatedRemote) -> None:
    """Start the faults of the weather."""
    lives = {
        "partition": _partitions,
        "copy": _copy,
        "restore": _restore,
        "death": _death,
        "rollback": _rollback,
        "liar": _lie,
        "image": _image,
        "deleted": _deletions,
    }
    for name, life in lives.items():
        if name in world.weather.on:
            world.spawn(_while_faults_last(world, life(world, remote)))
    if "rush" in world.weather.on:
        _rush(world)


def _while_faults_last(world: World, life: Life) -> Life:
    for sleep_s in life:
        if world.now_s + sleep_s >= world.calm_at_s - 1:
            return
        yield sleep_s


def _partitions(world: World, remote: SimulatedRemote) -> Life:
    dice = world.dice("partition")
    while True:
        yield dice.expovariate(1 / 250)
        length_s = dice.uniform(5, 4 * world.profile.election_timeout_s)
        for machine in machines(world):
            if dice.random() < 0.4:
                remote.cut_until_s[machine.name] = world.now_s + length_s
                world.say(machine.name, f"is CUT OFF for {length_s:.0f} s")


def _death(world: World, remote: SimulatedRemote) -> Life:
    dice = world.dice("death")
    yield dice.uniform(50, world.end_s)
    machine = dice.choice(machines(world)[1:])
    if any(one.may_lead and one.runs and one is not machine and not one.dead for one in machines(world)):
        excuse(world, machine, None, "its machine is gone")
        machine.dead, machine.died_s = True, world.now_s


def _copy(world: World, remote: SimulatedRemote) -> Life:
    dice = world.dice("copy")
    for number in range(2):
        yield dice.uniform(30, world.end_s / 2)
        machine = dice.choice(_leaders(world) if dice.random() < 0.5 else machines(world))
        if machine.dead or machine.fate is not None:
            continue
        copy = copied(world, remote, machine, f"{machine.name}c{number + 1}", runs=dice.random() < 0.6)
        world.spawn(copy.life(), dice.uniform(0, dice.choice([5, 60])))


def _leaders(world: World) -> list[Machine]:
    """Return the machines that consider themselves leader; all machines if none does."""
    return [
        machine for machine in machines(world) if machine.local.leading(machine.replica.branch.fleet.terms)
    ] or machines(world)


def copied(world: World, remote: SimulatedRemote, machine: Machine, name: str, *, runs: bool) -> Machine:
    """Add a machine with a copy of the disk of `machine`, and return it. `runs`: it runs its agent."""
    dice = world.dice("copy")
    writes = sorted(dice.uniform(world.now_s, world.end_s * 0.8) for _ in range(dice.randrange(8)))
    copy = Machine(
        world,
        remote,
        name,
        machine.agent,
        machine.disk.image(),
        writes_s=writes,
        runs=runs,
        may_lead=machine.may_lead,
        acts=machine.acts,
        one_round=machine.one_round,
    )
    copy.store.become(machine.store)
    remote.witness.wrote_down(name, copy.disk.tip)
    world.machines.append(copy)
    world.say(name, f"is a COPY of {machine.name}")
    return copy


def _image(world: World, remote: SimulatedRemote) -> Life:
    """Copy a running machine, mostly the leader's, and resume the image later. Its clock stops until then."""
    dice = world.dice("image")
    yield dice.uniform(30, world.end_s / 2)
    machine = dice.choice(_leaders(world) if dice.random() < 0.8 else machines(world))
    while not machine.resting:
        yield 0.1
    late_s = dice.choice([0.0, dice.uniform(1, 300)])
    image = copied(world, remote, machine, f"{machine.name}i", runs=machine.runs)
    resume(image, machine, late_s)
    world.say(image.name, f"is an IMAGE, memory and all; it is resumed after {late_s:.0f} s")
    world.spawn(image.life(), late_s)


def _restore(world: World, remote: SimulatedRemote) -> Life:
    dice = world.dice("restore")
    while True:
        yield dice.uniform(20, world.end_s / 3)
        machine = dice.choice(machines(world))
        backup = machine.backup()
        yield dice.uniform(20, world.end_s / 3)
        if not machine.dead:
            excuse(world, machine, backup.files, "its disk was restored from a backup made before")
            machine.fate = backup
            if "deleted" in world.weather.on:
                _delete_outbox(world, remote, OUTBOXES + machine.disk.node)


def _deletions(world: World, remote: SimulatedRemote) -> Life:
    dice = world.dice("deleted")
    while True:
        yield dice.expovariate(1 / 300)
        _delete_outbox(world, remote, dice.choice(sorted(world.server.refs)))


def _delete_outbox(world: World, remote: SimulatedRemote, ref: str) -> None:
    """Delete an outbox with its heartbeats. The observer forgets them too: no machine can have seen them."""
    if ref == LEDGER or ref not in world.server.refs:
        return
    for heartbeat in outbox.read(world.god, world.server.refs.pop(ref)).heartbeats:
        sign = remote.signs.get((heartbeat.term or 0, str(heartbeat.data.get("session"))))
        if sign is not None:
            sign.at_s.clear()
    world.say("the remote", f"has {ref} DELETED")
    excuse_second_losses(world)


def excuse(world: World, machine: Machine, backup: Files | None, why: str) -> None:
    """Excuse the loss of events that were on this disk only: no promise covers a lost disk.

    `backup`: the files that replace it; None if the machine is gone.
    """
    elsewhere = _known_elsewhere(world, machine)
    held = [*machine.disk.content.all(), *map(parse, machine.disk.orphans)]
    held += [parse(line) for line in _ledger_of(world, machine.disk.tip)]
    kept = {parse(line).uid for line in backup.log.split(b"\n")[:-1]} if backup is not None else set()
    kept |= {parse(line).uid for line in _ledger_of(world, backup.tip)} if backup is not None else set()
    for event in held:
        if event.uid not in kept:
            (world.at_risk if event.uid in elsewhere else world.excused).setdefault(event.uid, why)


def excuse_second_losses(world: World) -> None:
    """Excuse the loss of events that a disk lost earlier, if only the remote had them, and it was set back now."""
    elsewhere = _known_elsewhere(world, None)
    for uid, why in world.at_risk.items():
        if uid not in elsewhere:
            world.excused.setdefault(uid, f"{why}, and the remote set back")


def _known_elsewhere(world: World, but: Machine | None) -> set[str]:
    """Return the uids of events on the remote, on the disk of a machine other than `but`, or in its last ledger."""
    lines = set(_ledger_of(world, world.tip))
    for ref, oid in world.server.refs.items():
        if ref != LEDGER:
            lines.update(outbox_lines(world, oid))
    for machine in machines(world):
        if machine is but or machine.dead:
            continue
        if machine.fate is not None:  # about to be restored: what the backup lacks counts as gone
            files = machine.fate.files
            lines.update(_ledger_of(world, files.tip), files.orphans, files.log.split(b"\n")[:-1])
        else:
            lines.update(_ledger_of(world, machine.disk.tip), machine.disk.orphans)
            lines.update(event.line for event in machine.disk.content.all())
    return {event.uid for event in parse_all(lines)}


def outbox_lines(world: World, oid: Oid) -> list[bytes]:
    """Return the lines in an outbox, pending ones and orphans."""
    box = outbox.read(world.god, oid)
    return [*box.lines, *box.orphans]


def _ledger_of(world: World, tip: Oid | None) -> list[bytes]:
    if tip is None:
        return []
    return [line for line in reference_fold.raw_lines(world.god, tip) if line not in world.forged]


def _rollback(world: World, remote: SimulatedRemote) -> Life:
    dice = world.dice("rollback")
    for _ in range(2):
        yield dice.uniform(50, world.end_s / 2)
        backup, updates, elections = dict(world.server.refs), len(remote.history), len(remote.elections)
        kind = dice.choice(["backup", "backup", "replica", "election"])
        while (
            kind == "replica"
            and len(remote.history) == updates
            or kind == "election"
            and len(remote.elections) == elections
        ):
            backup = dict(world.server.refs)  # a replica lacks the newest update; or the newest election is undone
            yield 0.5
        if kind != "replica":
            yield dice.uniform(5, 200)
        whole = dice.random() < 0.5
        for ref, oid in backup.items():
            if whole or ref == LEDGER:
                world.server.refs[ref] = oid
        remote.set_back_at_s = world.now_s
        world.say("the remote", f"is SET BACK to {backup[LEDGER][:8]}{' with its outboxes' if whole else ''}")
        excuse_second_losses(world)


def _lie(world: World, remote: SimulatedRemote) -> Life:
    """Push commits with lines that no honest member would sequence."""
    dice = world.dice("liar")
    while True:
        yield dice.uniform(30, 300)
        tree = world.god.tree(world.god.commit(world.tip).tree)
        newest = tree[LogFiles(world.god).listing(tree).open_path]
        lines = [line for line in world.god.blob(newest.oid).split(b"\n") if line]
        kind = dice.choice(["forged", "doubled", "re-ordered", "removed", "unchained", "misplaced"])
        if kind == "forged":
            victim = dice.choice(machines(world)).agent
            draft = Draft(victim, "note", "I never said this", world.wall(), world.uid("liar"))
            line = seal(
                draft,
                node=f"liar-{dice.randrange(3)}",
                after=machines(world)[0].disk.content.base,
                signer=world.signers.of("liar"),
                fleet=world.fleet_id,
            ).line
            lines.append(line.replace(b"I never said this", b"I never said that"))
        elif kind == "unchained":
            draft = Draft("liar", "note", "out of the chain", world.wall(), world.uid("liar"))
            last = parse(lines[-1]).head if lines else None
            after = Head(max(1, last.seq), last.hash) if last is not None else None  # a control line has no place
            lines.append(
                seal(draft, node="liar-9", after=after, signer=world.signers.of("liar"), fleet=world.fleet_id).line
                if lines
                else b"nonsense"
            )
        elif kind == "misplaced":
            head = dice.choice(machines(world)).replica.branch.fleet.heads
            node = dice.choice(sorted(head)) if head else "liar-8"
            draft = Draft("liar", "agent_joined", "in another's chain", world.wall(), world.uid("liar"))
            after = Head(head[node].seq if head else 1, hash_of(b"elsewhere"))
            lines.append(
                seal(draft, node=node, after=after, signer=world.signers.of("liar"), fleet=world.fleet_id).line
            )
        elif kind == "doubled" and lines:
            lines.append(dice.choice(lines))
        elif kind == "re-ordered" and len(lines) > 2:
            at = dice.randrange(len(lines) - 1)
            lines[at], lines[at + 1] = lines[at + 1], lines[at]
        elif kind == "removed" and len(lines) > 1:
            del lines[dice.randrange(1, len(lines))]
        world.forged.update(lines[-1:] if kind in ("forged", "unchained", "misplaced") else [b"lied"])
        world.say("the liar", f"sequences a {kind} line")
        world.put_commit(lines, parents=(world.tip,), author="liar")


def _rush(world: World) -> None:
    dice = world.dice("rush")
    at_s = 0.0
    while (at_s := at_s + dice.uniform(60, 240)) < world.end_s - 300:
        for machine in machines(world):
            machine.writes_s = sorted([*machine.writes_s, *[at_s] * dice.randrange(1, 4)])
