"""Wrong variants of the protocol: each breaks one rule, and says which promise the simulator then sees broken.

Where a second rule would hide the mistake, the mutant takes that one away as well, and says so: both are needed.

There is none without a nonce (`tests/core/round/test_protocol.py` sees to it). Two machines that push the very same
commit are both told that it is theirs; but an outbox differs by its heartbeats' count and time, a ledger's commit by
its time and `Sequenced-by`, and a machine's image, where all of these are the same, meets an id that it has not written
down yet as soon as it is the second to make it.
"""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import FunctionType
from typing import Any

import pytest

from gitcoord.core import duties
from gitcoord.core.commands import Context
from gitcoord.core.feature import Duty
from gitcoord.core.fleet_state import FleetState
from gitcoord.core.fold import authority, ledger_time, members, terms
from gitcoord.core.fold.chains import Chains
from gitcoord.core.format import event
from gitcoord.core.format.event import Event
from gitcoord.core.format.keys import Verifier
from gitcoord.core.leadership import leader_lease, leader_watch, session, timings
from gitcoord.core.ports import Oid, Pushed, Update
from gitcoord.core.round import commits, leader_round, ledger_sync, protocol, reconcile, results
from gitcoord.simulation import chores, remote
from gitcoord.simulation.checking import reference_fold
from gitcoord.simulation.disk import SimDisk
from gitcoord.simulation.machine import Machine
from gitcoord.simulation.schedule import Options
from gitcoord.simulation.world import LEDGER
from gitcoord.store.home.queue_file import Content
from gitcoord.store.memory import check_leases

Patch = Callable[[pytest.MonkeyPatch], None]


def rewritten(owner: Any, name: str, *changes: tuple[str, str]) -> Patch:
    """A function of the product with some of its words changed; every module that knows it gets the wrong one."""
    real = getattr(owner, name)
    source = textwrap.dedent(inspect.getsource(real))
    for right, wrong in changes:
        assert right in source, f"{name} does not say {right!r} any more: mend the mutant"
        source = source.replace(right, wrong)
    space: dict[str, Any] = {}
    exec(
        compile("from __future__ import annotations\n" + source, f"<mutant of {name}>", "exec"), real.__globals__, space
    )
    mutant = space[name]
    assert isinstance(mutant, FunctionType)

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(owner, name, mutant)
        for module in list(sys.modules.values()):
            if getattr(module, "__name__", "").startswith("gitcoord.") and vars(module).get(name) is real:
                monkeypatch.setattr(module, name, mutant)

    return patch


def on(owner: Any, name: str, mutant: Any) -> Patch:
    return lambda monkeypatch: monkeypatch.setattr(owner, name, mutant)


@dataclass(frozen=True)
class Mutant:
    """`breaks`: the rule that it does not keep. `faults`: the classes that reveal it, from seed `start` on.
    `seen`: what the simulator then says, a regular expression.
    """

    breaks: str
    faults: str
    seen: str
    patches: Sequence[Patch]
    start: int = 0
    options: Options = Options()

    def apply(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for patch in self.patches:
            patch(monkeypatch)

    @property
    def world(self) -> Options:
        return replace(self.options, only=frozenset(self.faults.split(",")))


LOST = r"was acknowledged and is LOST|still waits on"
TWO_ACT = "may act outside the ledger at once"
KNEW = "its disk knew of term"
DEPOSED = r"deposed agent\d"
DIFFERS = r"differ from those of a plain fold|have different states"
CROWD = Options(nodes=8, seconds=700)
SMALL = Options(nodes=3, seconds=700)


# What does not fit into one changed word


def acknowledged_before_it_is_synced(self: SimDisk, events: list[Event]) -> None:
    self.content.add(events)


def trimmed_and_then_the_head_saved(self: SimDisk, head: Any) -> None:
    if self.content.loose or not self.content.holds(head):
        return
    rest = self.content.after(head)
    self._save_log(rest, base=head)
    self._save_head(self.files.head._replace(base=head))


recover = SimDisk.recover


def without_loose_lines(self: SimDisk) -> None:
    recover(self)
    self.content = Content(self.content.base, self.content.events)


def without_its_tip(self: SimDisk) -> None:
    recover(self)
    self.files.tip, self.files.term = None, 0


def without_what_it_pushed(self: SimDisk) -> None:
    recover(self)
    self.files.outboxes = self.files.outboxes[:-1]


def forced(advertised: Mapping[str, Oid], updates: Sequence[Update]) -> tuple[list[Update], dict[str, Pushed]]:
    return check_leases(
        advertised,
        [update._replace(old=advertised.get(update.ref)) if update.ref == LEDGER else update for update in updates],
    )


def awake_s(self: Machine) -> float:
    return self.clock_offset_s + 2e5 + (self.world.now_s - self.slept_s) * self.clock_rate


def fails_after_a_flood(state: chores.State, look: Context) -> list[Duty]:
    if state.notes > 50:
        raise RuntimeError("too many notes")
    return [Duty("chore_done", f"chore {number}", f"chore:{number}", {"number": number}) for number in state.due]


ELECTED_FROM_THE_QUEUE = """    if plan.candidate and not any(e.type == "leader_election" for e in plan.pending):
        from gitcoord.core.format.event import Draft
        from gitcoord.core.round.batch import admit
        from gitcoord.core.round.effects import Append
        yield Append((Draft(
            plan.candidate.agent, "leader_election", plan.reason, replica.clock.timestamp(),
            uid_from(replica.rng.randbytes(10)), term=max(replica.branch.fleet.terms.highest, disk.term) + 1,
            data={"session": plan.candidate.id, "after": "", "reason": plan.reason}),))
        plan.pending = disk.pending()
        plan.batch, _ = admit(replica, disk, plan.pending, refused=replica.refusals.refused)
    plan.candidate = None
    if plan.writes_ledger:
        plan.control ="""


MUTANTS: dict[str, Mutant] = {
    # The queue and the outbox
    "told_before_the_queue_is_synced": Mutant(
        "An event is acknowledged once it is on the disk.",
        "crash",
        f"{LOST}|without effect",
        [on(SimDisk, "_add", acknowledged_before_it_is_synced)],
    ),
    "trim_on_the_pushs_answer": Mutant(
        "Only a fetch trims the queue. (Alone it does no harm: what was accepted is the durable tip, and what a ledger "
        "lost is offered again from there. So this one keeps no tip on a push's answer either.)",
        "rollback",
        LOST,
        [
            rewritten(
                results,
                "_ledger_accepted",
                (
                    "yield SaveTip(plan.ledger_oid, max(disk.term, replica.branch.fleet.terms.highest))",
                    "from gitcoord.core.round.effects import Trim\n    if plan.pending:\n"
                    "        yield Trim(replica.heads[disk.node])",
                ),
            )
        ],
    ),
    "trim_by_seq_without_the_hash": Mutant(
        "What is trimmed is the very line that the ledger holds. (The queue looks at the hash as well: both do not.)",
        "restore,deleted",
        LOST,
        [
            rewritten(
                reconcile,
                "reconcile_queue",
                ("elif _at(pending, base, ledger.seq) == ledger:", "elif _at(pending, base, ledger.seq):"),
            ),
            on(Content, "holds", lambda self, head: 0 <= head.seq - self.base.seq - 1 < len(self.events)),
        ],
    ),
    "the_head_is_saved_after_the_trim": Mutant(
        "The head is durable BEFORE the queue is trimmed. (Lines that fit nowhere any more are chained anew, which "
        "mends it: here they are dropped.)",
        "crash",
        LOST,
        [on(SimDisk, "trim", trimmed_and_then_the_head_saved), on(SimDisk, "recover", without_loose_lines)],
    ),
    "an_outbox_s_id_is_not_durable_before_its_push": Mutant(
        "A node knows its own outbox again after a crash.",
        "crash",
        "takes itself for a copy",
        [on(SimDisk, "recover", without_what_it_pushed)],
    ),
    "no_chaining_anew": Mutant(
        "Where the ledger holds another line at our place, the queue is chained anew.",
        "restore,deleted",
        LOST,
        [
            rewritten(
                reconcile, "reconcile_queue", ("yield Rechain(ledger, frozenset(e.uid", "(ledger, frozenset(e.uid")
            )
        ],
    ),
    "rechained_copies_are_not_voided": Mutant(
        "A second event with a uid that was seen is void.",
        "restore,copy,late",
        DIFFERS,
        [rewritten(FleetState, "judge", ("if event.uid in self.positions:", "if False:"))],
        start=515,
    ),
    "admission_without_prev": Mutant(
        "A line is its node's next: its `prev` is the hash of the one before.",
        "liar",
        DIFFERS,
        [
            rewritten(
                Chains, "check", ("if event.prev != head.hash:", "if False:"), ("if event.vouch is None:", "if False:")
            )
        ],
    ),
    "a_chain_goes_on_by_any_key": Mutant(
        "Only keys for which a node's own key vouched write in its chain.",
        "hostile",
        DIFFERS,
        [rewritten(Chains, "check", ("if event.vouch is None:", "if False:"))],
    ),
    "anybody_vouches": Mutant(
        "Only a node's own key vouches for keys in its chain.",
        "hostile",
        "is in the chain of",
        [
            rewritten(
                Verifier,
                "_vouch_misses",
                ("return None if self._is_of_node(key, message, signature)", "return None if True"),
                ("if message is None:", "if False:"),
            )
        ],
    ),
    "a_copied_clone_overwrites_the_outbox": Mutant(
        "An outbox of ours that we did not write means a copied clone.",
        "copy",
        "goes on where",
        [rewritten(reconcile, "check_own_outbox", ("not disk.pushed(mine.oid)", "False"))],
    ),
    # The ledger
    "a_rollback_is_followed": Mutant(
        "A tip that does not descend from the last one seen is not followed.",
        "rollback",
        LOST,
        [
            rewritten(
                ledger_sync,
                "follow_ledger",
                (
                    "tip, seen = refs.get(replica.ledger_ref), disk.tip",
                    "tip, seen = refs.get(replica.ledger_ref), None",
                ),
            )
        ],
    ),
    "no_durable_last_tip": Mutant(
        "The last tip seen survives a crash.",
        "rollback,crash",
        f"{LOST}|{KNEW}",
        [on(SimDisk, "recover", without_its_tip)],
        start=180,
    ),
    "what_a_fork_lost_is_not_offered_again": Mutant(
        "What vanished with a fork is offered again until it is back.",
        "cas,rollback",
        LOST,
        [
            rewritten(
                ledger_sync, "_handle_fork", ("yield SaveOrphans(tuple(dict.fromkeys([*disk.orphans, *lost])))", "pass")
            )
        ],
        start=265,
    ),
    "a_forced_ledger_push": Mutant(
        "The ledger is pushed against the tip that was folded.",
        "delay",
        "two leaders|plain fold|LOST|acts? outside",
        [on(remote, "check_leases", forced)],
    ),
    "retry_without_fetching": Mutant(
        "Every round fetches before it pushes, also the second time.",
        "rush",
        "waited .* for its place",
        [
            rewritten(
                protocol,
                "sync",
                (
                    "while True:\n"
                    "        fetched: Fetched = yield Fetch(newcomer=disk.tip is None, first=_first(replica, disk))",
                    "fetched = yield Fetch()\n    while True:",
                ),
            )
        ],
        options=CROWD,
    ),
    # Terms
    "terms_ignored_by_the_fold": Mutant(
        "A line of a term that is over is void.",
        "liar,partition,suspend",
        DIFFERS,
        [
            rewritten(
                terms.Terms,
                "rejects",
                ("if event.term is not None and (event.term != self.term or event.actor != self.leader):", "if False:"),
            )
        ],
    ),
    "elections_queued_and_carried_by_others": Mutant(
        "An election counts right after what its author saw, or never. (It stands outside any chain and names the log "
        "before it: here neither is asked for, by the fold and by the plain one.)",
        "partition,lost,delay",
        f"{DEPOSED}|{KNEW}|had two leaders",
        [
            rewritten(
                commits, "build_commits", ("    if plan.writes_ledger:\n        plan.control =", ELECTED_FROM_THE_QUEUE)
            ),
            rewritten(FleetState, "check_place", ("(event.type in CONTROL) == (event.seq is not None)", "False")),
            rewritten(
                terms.Terms,
                "rejects",
                (
                    'if payload.after != digest:\n            return "an election',
                    'if False:\n            return "an election',
                ),
            ),
            rewritten(reference_fold, "take", ("(seq is None) != (first or kind in CONTROL)", "False")),
        ],
    ),
    "terms_seen_in_a_lost_ledger_are_forgotten": Mutant(
        "Terms go on above every term ever seen.",
        "rollback,crash",
        KNEW,
        [rewritten(commits, "_control", ("min(disk.term,", "min(0,"))],
        start=70,
    ),
    # Who lives
    "signs_of_life_from_any_change_of_the_outbox": Mutant(
        "Only a heartbeat that claims the term is its leader's sign of life.",
        "restore,crash",
        "0 machines lead|waits for a leader|deposed",
        [
            rewritten(
                leader_watch.LeaderWatch,
                "_sign",
                (
                    "heartbeat.actor == terms.leader\n"
                    "            and heartbeat.term == terms.term\n"
                    '            and heartbeat.data.get("session") == terms.session',
                    "heartbeat.actor == terms.leader",
                ),
                ("type(count) is int and count > newest", "type(count) is int"),
            )
        ],
        start=180,
    ),
    "credit_earned_during_ones_own_outage": Mutant(
        "One's own outage is nobody's silence.",
        "partition",
        "its own outage is nobody's silence",
        [
            on(leader_watch.LeaderWatch, "discard_interval", lambda self: None),
            rewritten(
                leader_watch.LeaderWatch, "poll", ("min(now_s - self.polled_at_s, cap_s)", "now_s - self.polled_at_s")
            ),
        ],
        start=195,
    ),
    "an_impatient_follower": Mutant(
        "Nobody campaigns before T of silence.",
        "partition,suspend,delay",
        DEPOSED,
        [
            rewritten(
                timings.Profile,
                "stretched_election_timeout_s",
                ("return self.election_timeout_s", "return 0.3 * self.election_timeout_s"),
            )
        ],
    ),
    "a_copy_believes_that_its_old_session_is_dead": Mutant(
        "A copy's lock proves nothing about the session that it was copied from.",
        "copy",
        "deposed its own session",
        [rewritten(session.Session, "begin_anew", ("self.replaces_session = None", "pass"))],
    ),
    # A hostile member
    "a_uid_is_not_bound_to_its_author": Mutant(
        "Nobody can take the uid of another's event beforehand. (The plain fold is given the same mistake.)",
        "hostile",
        "without effect|still waits|another one wrote it|is in the ledger, and nobody wrote it",
        [
            rewritten(event, "uid_of", ('f"{actor.casefold()}\\n{nonce}"', 'f"{nonce}"')),
            rewritten(reference_fold, "identity", ('f"{actor.casefold()}\\n{nonce}"', 'f"{nonce}"')),
        ],
        options=SMALL,
    ),
    "authority_is_ignored": Mutant(
        "Only who the tables name may write an event.",
        "hostile",
        "no admin|by somebody else|leads, and is none|differ from those of a plain fold",
        [rewritten(authority, "rejects", ("if permission.who & _HAS[asked.role, asked.leads]:", "if True:"))],
        options=SMALL,
    ),
    "the_owner_of_a_thing_is_not_asked_for": Mutant(
        "What belongs to one agent, another one does not end; and only `leaders` lead.",
        "hostile",
        f"by somebody else|leads, and is none|{DIFFERS}",
        [rewritten(authority, "rejects", ("found is None or found.holds(asked.actor.casefold())", "True"))],
        options=SMALL,
    ),
    "a_line_has_many_spellings": Mutant(
        "What does not re-encode to the same bytes is no event.",
        "hostile",
        DIFFERS,
        [
            rewritten(
                event,
                "_looked_through",
                ("    spelled_object(line.decode())\n", ""),
                ("if line != signed", "if False and line != signed"),
            )
        ],
        options=SMALL,
    ),
    "ledger_time_is_the_author_s": Mutant(
        "No author's clock alone moves the ledger's time.",
        "hostile",
        "the ledger's time is|by somebody else",
        [rewritten(ledger_time, "_now", ("ordered[-1] if len(ordered) == 1 else ordered[-2]", "ordered[-1]"))],
        options=SMALL,
    ),
    "rubbish_in_an_outbox_is_a_copied_clone": Mutant(
        "Only what our keys signed shows that a copy of this clone is at work.",
        "hostile",
        "takes itself for a copy",
        [rewritten(reconcile, "check_own_outbox", ("if is_of_a_copy(replica, disk, local, mine):", "if True:"))],
        options=SMALL,
    ),
    "a_key_speaks_for_others": Mutant(
        "Only a member's own key speaks for it.",
        "hostile",
        f"{DIFFERS}|another one wrote it|no admin|somebody else|the ledger's time is",
        [rewritten(members.Members, "rejects", ("if member.key != event.key:", "if False:"))],
        options=SMALL,
    ),
    "each_bad_line_is_an_error_of_its_own": Mutant(
        "A tampered commit makes the leader write one event, however many lines it holds.",
        "hostile",
        "leaders wrote .* events",
        [
            rewritten(
                leader_round,
                "_bad_lines",
                (
                    "by_commit.setdefault(bad.commit, []).append(bad)",
                    "by_commit.setdefault(f'{len(by_commit):012d}', []).append(bad)",
                ),
            )
        ],
        options=SMALL,
    ),
    "one_duty_s_failure_ends_the_round": Mutant(
        "A feature whose duties cannot be told, or whose event cannot be sealed, is one error, and no round's end. "
        "(Here a feature fails as soon as the hostile member's flood is there.)",
        "hostile",
        "RuntimeError in",
        [
            rewritten(duties, "_asked", ("except Exception as wrong:", "except MemoryError as wrong:")),
            on(chores, "duty", fails_after_a_flood),
        ],
        options=SMALL,
    ),
    # Who acts outside the ledger
    "a_new_leader_acts_at_once": Mutant(
        "A new leader waits V: so long may the one before it act that was copied, or whose ledger is lost.",
        "copy",
        TWO_ACT,
        [rewritten(leader_lease.LeaderLease, "renew", ("now_s + profile.outlast_s()", "now_s"))],
    ),
    "a_leader_whose_time_had_run_out_acts_at_once": Mutant(
        "So does a leader whose V had run out: another may have led meanwhile, in a ledger that is lost.",
        "rollback,partition,suspend",
        TWO_ACT,
        [rewritten(leader_lease.LeaderLease, "renew", (" or now_s >= self.valid_until_s", ""))],
        start=680,
    ),
    "v_without_an_end": Mutant(
        "A leader acts for V after its last accepted push, and not for ever.",
        "partition,suspend",
        TWO_ACT,
        [rewritten(leader_lease.LeaderLease, "renew", ("started_s + profile.lease_s", "started_s + 1e6"))],
    ),
    "v_counted_from_the_answer": Mutant(
        "V counts from the start of the push. (A new leader waits V as well, which hides it: here it does not.)",
        "late,delay,pause,suspend",
        TWO_ACT,
        [
            rewritten(
                leader_lease.LeaderLease,
                "renew",
                ("started_s + profile.lease_s", "now_s + profile.lease_s"),
                ("now_s + profile.outlast_s()", "now_s"),
            )
        ],
    ),
    "v_counted_from_an_accepted_outbox": Mutant(
        "V counts from a push in which ledger AND outbox were accepted. (As before, without the new leader's wait.)",
        "partition,delay,lost,suspend",
        TWO_ACT,
        [
            rewritten(
                results,
                "_own_accepted",
                (
                    "local.confirm_heartbeats()",
                    "local.confirm_heartbeats()\n"
                    "    local.renew_lease(replica.branch.fleet.terms, *[replica.clock.monotonic_s()] * 2)",
                ),
            ),
            rewritten(leader_lease.LeaderLease, "renew", ("now_s + profile.outlast_s()", "now_s")),
        ],
    ),
    "a_clock_that_stands_still_in_sleep": Mutant(
        "Time goes on while a machine sleeps.", "suspend", TWO_ACT, [on(Machine, "local_s", awake_s)]
    ),
}
