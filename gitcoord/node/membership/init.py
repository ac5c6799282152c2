"""Founding and joining: the first agent's push makes the fleet, and later ones find its card.

The ledger's first line is a control line, pushed alone against "must not exist": of two agents that found at once, one
has founded, and the other joins.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path

from gitcoord.core.errors import BadCredentials, Denied, Lost, Refused, Unreachable
from gitcoord.core.fleet_state import FleetState
from gitcoord.core.fold.members import FleetFounded
from gitcoord.core.format.event import FOUNDING, Draft, Head, fleet_id_of, seal
from gitcoord.core.format.keys import SEED_BYTES
from gitcoord.core.ledger import outbox
from gitcoord.core.ledger.branch import LedgerBranch
from gitcoord.core.names import agent_id, node_name
from gitcoord.core.ports import Pushed, PushOutcome, Update
from gitcoord.core.secret_scan.credentials import looks_like_credential
from gitcoord.core.text import Place, fit
from gitcoord.features import FEATURES
from gitcoord.features.pages import card
from gitcoord.node import trust
from gitcoord.node.clock import new_uid, passing_node_id, short_name, utc_now
from gitcoord.node.config import NODE, overlaid, profile_of
from gitcoord.node.keyring import Keyring, hmac_secret, seed_from_environment
from gitcoord.node.membership.clone import alone, common_dir
from gitcoord.node.membership.ledger_card import Card, card_of, chain_of
from gitcoord.node.node import Node, Store, open_store
from gitcoord.store.files import write_durably
from gitcoord.store.git import local_repo
from gitcoord.store.git.url import is_local, without_secret
from gitcoord.store.home import node_key, sharing
from gitcoord.store.home.home import Config, Home
from gitcoord.store.home.locks import LockHeld

FOUNDING_ATTEMPTS = 5
NAMESPACES = ("refs/gitcoord", "refs/heads/gitcoord")


@dataclass(slots=True)
class InitRequest:
    """A user's request to `init`; None where the fleet's card or a default decides."""

    agent: str
    remote: str | None = None
    profile: str | None = None
    namespace: str | None = None
    auth: str | None = None
    lead: bool = True


@dataclass(slots=True)
class InitResult:
    """The result of `init`, in words for a person."""

    node: Node
    founded: bool = False
    joined: bool = False
    messages: list[str] = field(default_factory=list)


def init(path: Path, request: InitRequest) -> InitResult:
    """Make `path` part of a fleet. A second run changes nothing. Raise GitcoordError's kinds."""
    messages: list[str] = []
    agent_id(request.agent)
    if looks_like_credential(request.agent):
        raise Refused("the agent's name looks like a secret, and the ledger cannot forget: choose another one")
    common = common_dir(path, messages)
    home = Home(common / "gitcoord")
    with alone(home):
        return _init(home, common, request, messages)


def _init(home: Home, common: Path, request: InitRequest, messages: list[str]) -> InitResult:
    request.remote = absolute_remote(common, request.remote)
    if home.exists:
        return _init_again(home, common, request, messages)
    remote = (
        request.remote
        or absolute_remote(common, os.environ.get("GITCOORD_REMOTE"))
        or _default_remote(common, messages)
    )
    if without_secret(remote) != remote:
        messages.append(
            "the login in the remote's URL is not kept: set GITCOORD_TOKEN or GITCOORD_REMOTE for each "
            "command, or let git's credential helper know it"
        )
    config = Config(
        fleet_id="",
        remote=remote,
        agent=request.agent,
        lead=request.lead,
        auth=request.auth or "ed25519",
        namespace=request.namespace or NAMESPACES[0],
    )
    store = _opened(home, config, common)
    try:
        founded = _find_or_create(home, common, store, config, request, messages)
        store.close()
        store = _opened(home, config, common)  # the card may have named another namespace
        _create_home(home, store, config)
    except BaseException:
        store.close()
        raise
    return _with_member(InitResult(Node(home, store), founded=founded, messages=messages), request)


def _opened(home: Home, config: Config, common: Path) -> Store:
    """Open the store. Of the environment only the patience counts here: all else is what was asked for."""
    return open_store(home, overlaid(config, os.environ, names=("timeout_s",)), common)


def _init_again(home: Home, common: Path, request: InitRequest, messages: list[str]) -> InitResult:
    """Return the fleet that the clone is in already; another agent may join from it."""
    config = home.config()
    node = Node(home, _opened(home, config, common))
    for name, asked, has in (
        ("profile", request.profile, profile_of(config, node.fleet)),
        ("auth", request.auth, config.auth),
        ("namespace", request.namespace, config.namespace),
        ("remote", request.remote and without_secret(request.remote), config.remote),
    ):
        if asked is not None and asked != has:
            node.close()
            fix = f"gitcoord config set {name} {asked} --node" if name in NODE else "gitcoord leave"
            raise Refused(
                f"this clone is in fleet {config.fleet_id} with {name} {has}, not {asked}: "
                f"run `{fix}` first to change that"
            )
    return _with_member(InitResult(node, messages=messages), request)


def _with_member(result: InitResult, request: InitRequest) -> InitResult:
    try:
        _ensure_member(result, request)
    except BaseException:
        result.node.close()
        raise
    return result


def absolute_remote(common: Path, remote: str | None) -> str | None:
    """Return a path as absolute: the next command may be started in another folder."""
    if remote and is_local(remote) and local_repo.remote_url(common, remote) is None:
        return str(Path(remote).resolve())
    return remote


def _default_remote(common: Path, messages: list[str]) -> str:
    if local_repo.remote_url(common, "origin") is not None:
        return "origin"
    embedded = common / "gitcoord-remote.git"
    if not (embedded / "HEAD").exists():
        sharing.make_home(embedded, local_repo.shared_repository(common))
        local_repo.make_bare_remote(embedded, granted=sharing.mode_in(embedded))
    messages.append(f"no remote: made one at {embedded}")
    return str(embedded)


def profile_for(common: Path, remote: str) -> str:
    """Return timings by the remote's host, until the card names others."""
    url = local_repo.remote_url(common, remote) or remote
    host = url.split("://", 1)[-1].split("@", 1)[-1].split("/", 1)[0].split(":", 1)[0].lower()
    if "://" not in url and not ("@" in url and ":" in url):
        return "local"
    if url.startswith("file://") or host in ("localhost", "127.0.0.1", "[::1]", "["):
        return "local"
    return "github" if host in ("github.com", "gitlab.com", "bitbucket.org", "codeberg.org") else "lan"


def _find_or_create(
    home: Home, common: Path, store: Store, config: Config, request: InitRequest, messages: list[str]
) -> bool:
    """Find the fleet, or found it; fill `config` from its card. Return True if we founded it."""
    for _ in range(FOUNDING_ATTEMPTS):
        refs = store.fetch(newcomer=True).refs
        if config.ledger in refs:
            _adopt_config(card_of(store, refs[config.ledger], ledger=config.ledger), config, request)
            messages.append(f"joins fleet {config.fleet_id}")
            return False
        answer = _push_founding(home, store, config, request, profile_for(common, config.remote))
        if answer.outcome is PushOutcome.ACCEPTED:
            messages.append(f"founds fleet {config.fleet_id}")
            return True
        _raise_refusal(answer, "the ledger", config)
    raise Unreachable("the remote gave no clear answer while the fleet was founded: run `gitcoord init` again")


def _raise_refusal(answer: Pushed, what: str, config: Config) -> None:
    if answer.reason.startswith("credentials:"):
        raise BadCredentials(answer.reason.removeprefix("credentials:").strip())
    if answer.outcome is PushOutcome.DENIED:
        raise Denied(f"the remote refuses {what} ({config.ledger}): {answer.reason}")
    if answer.outcome is PushOutcome.UNREACHABLE:
        raise Unreachable(answer.reason)


def _adopt_config(card: Card, config: Config, request: InitRequest) -> None:
    """Adopt profile, namespace and signatures from the fleet's card."""
    founded = card.founded
    for name, asked, has in (("namespace", request.namespace, founded.namespace), ("auth", request.auth, founded.auth)):
        if asked is not None and asked != has:
            raise Refused(f"the fleet there has {name} {has}, not {asked}: leave the option out to join it")
    config.fleet_id, config.namespace, config.auth = card.fleet_id, founded.namespace, founded.auth
    config.profile = request.profile if request.profile != founded.profile else None


def _push_founding(home: Home, store: Store, config: Config, request: InitRequest, timings: str) -> Pushed:
    """Push the ledger's first commit against "must not exist"."""
    if request.namespace is None:
        config.namespace = _accepted_namespace(store)
    _ensure_key(home, config, request.agent, founding=True)
    signer = Keyring(home, config.auth).signer(request.agent)
    founded = FleetFounded.model_validate(
        {"namespace": config.namespace, "profile": request.profile or timings, "auth": config.auth}
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
    """Return where the host accepts outboxes: some accept refs/heads/* only. Probe with a ref that is removed again."""
    for namespace in NAMESPACES:
        ref = f"{namespace}/nodes/{passing_node_id('probe')}"
        oid = outbox.write(
            store, node="probe", pending=(), heartbeats=(), orphans=(), nonce=new_uid(), parent=None, time_s=_now_s()
        )
        answer = store.push([Update(ref, None, oid)])[ref]
        if answer.outcome is PushOutcome.ACCEPTED:
            store.push([Update(ref, oid, None)])
            return namespace
        if answer.reason.startswith("credentials:"):
            raise BadCredentials(answer.reason.removeprefix("credentials:").strip())
        if answer.outcome is not PushOutcome.DENIED:
            raise Unreachable(answer.reason or "the remote did not answer")
    raise Denied(f"the remote refuses to be written to: {answer.reason}")


def _create_home(home: Home, store: Store, config: Config) -> None:
    """Take a node id, and continue the chain that the ledger and the outbox of that node hold."""
    node, seed = _node(home, config)
    refs = store.fetch(newcomer=True, first={node}).refs
    base = Head()
    mine = refs.get(f"{config.namespace}/nodes/{node}")
    tip = refs.get(config.ledger)
    if tip is not None and os.environ.get("GITCOORD_NODE"):
        base = chain_of(store, tip, node)
    home.create(config, node_id=node, base=base, seed=seed)
    if mine is not None:
        home.note_outbox(mine)  # new home, given identity: the outbox found there is its own


def _node(home: Home, config: Config) -> tuple[str, bytes]:
    """Return the id and the key of this node: new ones, or those that follow from GITCOORD_NODE and the agent's key."""
    name = os.environ.get("GITCOORD_NODE")
    if not name:
        return node_key.new(short_name(_host_name()))
    secret = hmac_secret(home) if config.auth == "hmac" else _seed(home, config.agent or "")
    seed = hmac.digest(secret, f"gitcoord node {name}".encode(), "sha256") if secret else None
    return node_key.new(node_name(name), seed)


def _seed(home: Home, agent: str) -> bytes | None:
    return seed_from_environment(agent) or home.seed(agent)


def _ensure_member(result: InitResult, request: InitRequest) -> None:
    """Make the agent a member, unless it is one; its key is made here, or comes from the environment."""
    node = result.node
    try:
        node.sync()
    except (Unreachable, Lost, LockHeld):
        if not _is_known(node, request.agent):  # otherwise an outage keeps nobody from writing to the queue
            raise
    _ensure_key(node.home, node.config, request.agent)
    signer = node.keyring.signer(request.agent)
    member = node.fleet.members.get(request.agent)
    if member is not None and (member.key != signer.key or member.id != request.agent):
        if member.key == signer.key:
            raise Refused(f"the agent is called {member.id} in this fleet: use that name")
        raise Refused(
            f"{member.id} is in this fleet already, with another key: choose another name, or bring its key "
            "(GITCOORD_AGENT and GITCOORD_KEY)"
        )
    waiting = any(e.type == "agent_joined" and e.actor == request.agent for e in node.disk.pending())
    if (member is None or member.left) and not waiting:
        node.append(node.draft("agent_joined", f"{request.agent} joins", actor=request.agent))
        result.joined = True
        result.messages.append(f"{request.agent} joins from node {node.disk.node}")
        with contextlib.suppress(Unreachable, Lost, LockHeld):  # it is queued
            node.sync()
    own = node.home.config()
    if own.agent is None or not own.trust:
        own.agent = node.config.agent = own.agent or request.agent
        own.trust = node.config.trust = own.trust or trust.founder_of(node.fleet)
        node.home.save_config(own)
    if result.messages:
        result.messages.append(
            f"trusts the fleet that was founded with the key {trust.founder_of(node.fleet)}, and whose "
            f"log is {trust.newest_of(node.fleet)}; GITCOORD_TRUST elsewhere is one of the two"
        )


def _is_known(node: Node, agent: str) -> bool:
    joining = any(e.type == "agent_joined" and e.actor == agent for e in node.disk.pending())
    return joining or node.fleet.members.get(agent) is not None


def _ensure_key(home: Home, config: Config, agent: str, *, founding: bool = False) -> None:
    if config.auth == "hmac":
        if hmac_secret(home) is None and founding:
            path = home.path / "keys" / "hmac.secret"
            home.make_keys()
            write_durably(path, secrets.token_urlsafe(32).encode() + b"\n", mode=0o600)
        return
    if _seed(home, agent) is None:
        home.make_keys()
        home.save_seed(agent, secrets.token_bytes(SEED_BYTES))


def _host_name() -> str:
    return socket.gethostname().split(".", 1)[0]


def _now_s() -> int:
    return int(time.time())
