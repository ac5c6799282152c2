"""The status cache: what `status` shows of the ledger, and what the pre-commit hook needs.

It is written after each round, so that reading it needs no fold. It names the tip that it describes: a cache of another
tip is computed again.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from gitcoord.core.format.keys import fingerprint
from gitcoord.core.liveness import GONE
from gitcoord.node.config import fleet_profile
from gitcoord.store import typed_json
from gitcoord.store.files import write_quickly
from gitcoord.store.home.home import Home

if TYPE_CHECKING:
    from gitcoord.core.fleet_state import FleetState
    from gitcoord.core.ledger.branch import LedgerBranch

FILE = "status.json"
FINDINGS_KEPT = 10  # newest findings of each kind
TASKS_KEPT = 200  # held tasks, of the agents that were silent for the longest time


@dataclass(frozen=True, slots=True)
class MemberRow:
    """A member, as far as `status` shows it."""

    id: str
    admitted: bool
    role: str
    left: bool
    key: str  # the key's fingerprint


@dataclass(frozen=True, slots=True)
class HeldTask:
    """A task that an agent has accepted, and when that agent was heard: see `features/tasks/leases.py`."""

    id: str
    title: str
    agent: str
    at: str
    position: int
    written: str
    ended: bool = False


@dataclass(frozen=True, slots=True)
class CachedStatus:
    """The fold at `tip`, as node `node` sees it."""

    tip: str
    node: str
    position: int
    sequenced: int  # seq of the node's own chain
    profile: str  # the fleet's setting
    term: int
    leader: str | None
    leader_node: str | None
    since: int  # position of the leader's election
    members: list[MemberRow]
    founder: str  # the fingerprint of the key that founded the fleet
    newest: str  # POSITION:DIGEST of the log
    errors: list[dict[str, Any]]  # position, actor, text, time
    void: list[dict[str, Any]]
    snapshot: int | None  # the position that its page shows
    time: str  # the ledger's
    hook: str  # the fleet's setting
    held: list[dict[str, Any]]  # reservations, as `gitcoord reservations` shows them
    proposals: int  # proposals that wait for somebody's approval
    floods: list[dict[str, Any]]  # authors who wrote much today: see `Quotas.floods`
    full: dict[str, str]  # authors whose lines wait until tomorrow, and why: see `Places.full`
    tasks: list[HeldTask]  # whose leases may run out
    task_grace_s: float  # the fleet's settings
    task_lease_s: float
    moves_to: str  # where the fleet is going, while the ledger has ended here; empty otherwise
    lost: list[dict[str, Any]]  # registered agents that are gone: agent, since, outcome of its recovery
    work: dict[str, Any]  # as `features/pages/work.py` composes it
    recorded: dict[str, list[str]]  # registered agents (casefolded): by the ledger, and the session that ended


def read(home: Home) -> CachedStatus | None:
    """Return the cached status; None if it is missing, or not of the tip that this node fetched last."""
    try:
        cached = typed_json.read(CachedStatus, (home.cache / FILE).read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return cached if (cached.tip, cached.node) == (home.tip, home.queue.node) else None


def compute(branch: LedgerBranch, home: Home) -> CachedStatus:
    """Compute the status of the node of `home` from the fold as this process has it."""
    from gitcoord.features.pages import snapshot, work
    from gitcoord.features.reservations import endings
    from gitcoord.features.reservations.commands import to_row
    from gitcoord.node import ledger_pages, trust

    fleet, terms, health = branch.fleet, branch.fleet.terms, branch.fleet.states["health"]
    page = ledger_pages.read_file(branch, snapshot.COMMUNICATION)
    node_id = home.queue.node
    own = fleet.heads.get(node_id)
    return CachedStatus(
        tip=branch.tip or "",
        node=node_id,
        position=fleet.position,
        sequenced=own.seq if own else 0,
        profile=fleet_profile(fleet),
        term=terms.term,
        leader=terms.leader,
        leader_node=terms.node,
        since=terms.since,
        members=[
            MemberRow(one.id, one.admitted, one.role, one.left, fingerprint(one.key))
            for one in fleet.members.by_id.values()
        ],
        founder=trust.founder_of(fleet),
        newest=trust.newest_of(fleet),
        errors=_rows(health.errors),
        void=_rows(health.void),
        snapshot=snapshot.parse_position(page.decode("utf-8", "replace")) if page else None,
        time=fleet.time.now,
        hook=fleet.states["settings"].settings.hook,
        held=[
            {**to_row(one), "position": one.position}
            for one in fleet.states["reservations"].held.values()
            if not endings.of_task(one, fleet.states["tasks"])
        ],
        proposals=sum(one.status == "pending" for one in fleet.states["autonomy"].proposals.values()),
        floods=fleet.quotas.floods(),
        full=fleet.places.full(),
        tasks=_held_tasks(fleet),
        task_grace_s=fleet.states["settings"].settings.task_grace_s,
        task_lease_s=fleet.states["settings"].settings.task_lease_s,
        moves_to=fleet.moves.to if fleet.moves.under_way else "",
        lost=_lost(fleet),
        work=work.compose(fleet, home.keys.names()),
        recorded={key: [one.liveness, one.ended] for key, one in fleet.states["agents"].agents.items()},
    )


def _held_tasks(fleet: FleetState) -> list[HeldTask]:
    """Return the tasks that agents have accepted, sorted by how long their agents have been silent, longest first."""
    from gitcoord.features.tasks.state import ASSIGNED

    state = fleet.states["tasks"]
    found = [
        HeldTask(task.id, task.title, task.last.agent, *state.heard[agent])
        for agent, uids in state.held.items()
        for task in (state.tasks[uid] for uid in uids)
        if task.status != ASSIGNED
    ]
    return sorted(found, key=lambda one: one.position)[:TASKS_KEPT]


def _lost(fleet: FleetState) -> list[dict[str, Any]]:
    outcomes = {one.agent.casefold(): one.outcome for one in fleet.states["recovery"].recoveries.values()}
    return [
        {"agent": one.id, "since": one.changed, "outcome": outcomes.get(one.id.casefold(), "")}
        for one in fleet.states["agents"].agents.values()
        if one.liveness == GONE
    ][:FINDINGS_KEPT]


def save(home: Home, cached: CachedStatus) -> None:
    """Save the status for the next reader. A failure is ignored: the status can be computed, and others report it."""
    with contextlib.suppress(OSError):
        write_quickly(home.cache / FILE, json.dumps(asdict(cached), separators=(",", ":")).encode())


def _rows(findings: list[Any]) -> list[dict[str, Any]]:
    return [
        {"position": one.position, "actor": one.actor, "text": one.text, "time": one.timestamp}
        for one in findings[-FINDINGS_KEPT:]
    ]
