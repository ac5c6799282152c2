"""Founding: the first agent's push makes the fleet. Later agents find its card and join.

The ledger's first line is a control line, pushed alone against "must not exist". If two agents found at once, one push
is accepted, and the other agent joins.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from gitcoord.core.errors import BadCredentials, Denied, Refused, Unreachable
from gitcoord.core.fleet_state import FleetState
from gitcoord.core.fold.members import FleetFounded
from gitcoord.core.format.event import FOUNDING, Draft, fleet_id_of, seal
from gitcoord.core.ledger import outbox
from gitcoord.core.ledger.branch import LedgerBranch
from gitcoord.core.ports import Pushed, PushOutcome, Update
from gitcoord.core.text import Place, fit
from gitcoord.features import FEATURES
from gitcoord.features.pages import card
from gitcoord.node.clock import new_uid, passing_node_id, utc_now
from gitcoord.node.keyring import Keyring, ensure_key
from gitcoord.node.membership.ledger_card import Card, card_of
from gitcoord.node.membership.shared_remote import profile_for
from gitcoord.node.private_store import Store
from gitcoord.store.home.home import Home
from gitcoord.store.home.records import Config

FOUNDING_ATTEMPTS = 5
NAMESPACES = ("refs/gitcoord", "refs/heads/gitcoord")


@dataclass(slots=True)
class InitRequest:
    """A user's request to `init`. A field is None where the fleet's card or a default decides."""

    agent: str
    remote: str | None = None
    profile: str | None = None
    namespace: str | None = None
    auth: str | None = None
    lead: bool = True
    local: bool = False  # the register is in the clone itself
    mirror: str | None = None
    key: Path | None = None  # a file with the agent's secret key, which is copied into the home


def find_or_found(
    home: Home, common: Path, store: Store, config: Config, request: InitRequest, messages: list[str]
) -> bool:
    """Find the fleet, or found it, and fill `config` from its card. Return True if we founded it.

    Raise Refused if the request does not fit the fleet, Denied, BadCredentials or Unreachable if the remote fails.
    """
    for _ in range(FOUNDING_ATTEMPTS):
        refs = store.fetch(newcomer=True).refs
        if config.ledger in refs:
            _adopt_config(card_of(store, refs[config.ledger], ledger=config.ledger), config, request)
            messages.append(f"joins fleet {config.fleet_id}")
            return False
        _refuse_mirrored(store, config)
        answer = _push_founding(home, store, config, request, profile_for(common, config.remote))
        if answer.outcome is PushOutcome.ACCEPTED:
            messages.append(f"founds fleet {config.fleet_id}")
            return True
        _raise_refusal(answer, "the ledger", config)
    raise Unreachable("the remote gave no clear answer while the fleet was founded: run `gitcoord init` again")


def _refuse_mirrored(store: Store, config: Config) -> None:
    """Raise Refused if the remote has the mirror of a fleet: a second fleet there would divide those who work on it."""
    if store.look_up(config.mirror_ref) is not None:
        raise Refused(
            f"the remote has the mirror of a fleet ({config.mirror_ref}) whose register is on one machine: "
            "`gitcoord move` there takes it to this remote, and another clone there joins by `gitcoord init --remote "
            "PATH` of the first one. To found another fleet here, delete that branch first"
        )


def _raise_refusal(answer: Pushed, what: str, config: Config) -> None:
    if answer.reason.startswith("credentials:"):
        raise BadCredentials(answer.reason.removeprefix("credentials:").strip())
    if answer.outcome is PushOutcome.DENIED:
        raise Denied(f"the remote denied the push of {what} ({config.ledger}): {answer.reason}")
    if answer.outcome is PushOutcome.UNREACHABLE:
        raise Unreachable(answer.reason)


def _adopt_config(card: Card, config: Config, request: InitRequest) -> None:
    """Copy id, namespace, signatures and profile of the fleet's card. Raise Refused if the request differs."""
    founded = card.founded
    for name, asked, has in (("namespace", request.namespace, founded.namespace), ("auth", request.auth, founded.auth)):
        if asked is not None and asked != has:
            raise Refused(f"the fleet there has {name} {has}, not {asked}: leave out --{name} to join it")
    config.fleet_id, config.namespace, config.auth = card.fleet_id, founded.namespace, founded.auth
    config.profile = request.profile if request.profile != founded.profile else None


def _push_founding(home: Home, store: Store, config: Config, request: InitRequest, default_profile: str) -> Pushed:
    """Push the ledger's first commit against "must not exist". Return the push result."""
    if request.namespace is None:
        config.namespace = _accepted_namespace(store)
    ensure_key(home, config.auth, request.agent, founding=True)
    signer = Keyring(home, config.auth).signer(request.agent)
    founded = FleetFounded.model_validate(
        {"namespace": config.namespace, "profile": request.profile or default_profile, "auth": config.auth}
    )
    draft = Draft(
        actor=request.agent,
        type=FOUNDING,
        content=f"{request.agent} founds a fleet",
        timestamp=utc_now(),
        uid=new_uid(),
        data=founded.model_dump(),
    )
    event = seal(draft, node=passing_node_id("founder"), after=None, signer=signer, fleet="")
    config.fleet_id = fleet_id_of(event.line)
    branch = LedgerBranch(store, FleetState(FEATURES))
    branch.fleet.append(event.line)
    files = {"README.md": card.readme(branch.fleet).encode()}
    tree = LedgerBranch(store, FleetState(FEATURES)).write(branch.extend([event.line]), files)
    subject = fit(draft.content, Place.SUBJECT)
    commit = store.put_commit(
        tree=tree, parents=[], message=f"{subject} [skip ci]\n\nPosition: 1\n", author=request.agent, time_s=_now_s()
    )
    return store.push([Update(config.ledger, None, commit)])[config.ledger]


def _accepted_namespace(store: Store) -> str:
    """Return the first namespace whose refs the host accepts: some accept refs/heads/* only.

    Probe with a ref that is removed again. Raise Denied, BadCredentials or Unreachable.
    """
    for namespace in NAMESPACES:
        answer = try_namespace(store, namespace)
        if answer.outcome is PushOutcome.ACCEPTED:
            return namespace
        if answer.reason.startswith("credentials:"):
            raise BadCredentials(answer.reason.removeprefix("credentials:").strip())
        if answer.outcome is not PushOutcome.DENIED:
            raise Unreachable(answer.reason or "the remote did not answer")
    raise Denied(f"the remote denies all pushes: {answer.reason}")


def try_namespace(store: Store, namespace: str) -> Pushed:
    """Return what the host answers to an outbox in this namespace; it is removed again."""
    ref = f"{namespace}/nodes/{passing_node_id('probe')}"
    oid = outbox.write(
        store, node="probe", pending=(), heartbeats=(), orphans=(), nonce=new_uid(), parent=None, time_s=_now_s()
    )
    answer = store.push([Update(ref, None, oid)])[ref]
    if answer.outcome is PushOutcome.ACCEPTED:
        store.push([Update(ref, oid, None)])
    return answer


def _now_s() -> int:
    return int(time.time())
