"""`init`: a clone becomes a node of a fleet, which it founds or joins, and its agent a member."""

from __future__ import annotations

import contextlib
import hmac
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gitcoord.core.errors import Refused
from gitcoord.core.format.event import Head
from gitcoord.core.names import RESERVED, agent_id, look_of, node_name
from gitcoord.core.round.sight import Sight
from gitcoord.core.secret_scan.credentials import looks_like_credential
from gitcoord.node.clock import short_name
from gitcoord.node.config import NODE, overlaid, profile_of
from gitcoord.node.keyring import hmac_secret, seed_of
from gitcoord.node.membership.clone import LOCK, alone, common_dir
from gitcoord.node.membership.founding import NAMESPACES, InitRequest, find_or_found
from gitcoord.node.membership.joining import ensure_member
from gitcoord.node.membership.ledger_card import chain_of
from gitcoord.node.membership.shared_remote import (
    REGISTER,
    absolute_remote,
    checked_mirror,
    default_remote,
    local_register,
)
from gitcoord.node.node import Node
from gitcoord.node.private_store import Store, open_store
from gitcoord.store.git import repo_location
from gitcoord.store.git.url import without_secret
from gitcoord.store.home import node_key
from gitcoord.store.home.home import Home
from gitcoord.store.home.records import Config

__all__ = ["InitRequest", "InitResult", "init"]


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
    check_new_name(request.agent)
    common = common_dir(path, messages)
    home = Home(common / "gitcoord", worktree=repo_location.worktree_git_dir(path))
    before = set(_files(home.path))
    with alone(home):
        return _init(home, common, request, messages, before)


def check_new_name(agent: str) -> None:
    """Raise Refused if no agent should be called so."""
    agent_id(agent)
    if looks_like_credential(agent):
        raise Refused("the agent's name looks like a secret, and the ledger cannot forget: choose another one")
    if look_of(agent) in RESERVED:
        raise Refused(f"{agent!r} reads as something else than an agent's name: choose another one")


def _init(home: Home, common: Path, request: InitRequest, messages: list[str], before: set[Path]) -> InitResult:
    request.remote = _asked_remote(common, request)
    if home.exists:
        return _init_again(home, common, request, messages)
    if request.local:
        at = local_register(common)
        messages.append(f"keeps the register in {at}: on this machine `gitcoord init --remote PATH` joins from a clone")
    remote = (
        request.remote or absolute_remote(common, os.environ.get("GITCOORD_REMOTE")) or default_remote(common, messages)
    )
    if without_secret(remote) != remote:
        messages.append(
            "the login in the remote's URL is not kept: set GITCOORD_TOKEN or GITCOORD_REMOTE for each "
            "command, or let git's credential helper know it"
        )
    config = Config(
        fleet_id="",
        remote=remote,
        lead=request.lead,
        auth=request.auth or "ed25519",
        namespace=request.namespace or NAMESPACES[0],
    )
    if request.mirror:
        config.mirror = checked_mirror(common, request.mirror, remote)
        messages.append(f"mirrors the ledger to {request.mirror} while an agent of this clone leads")
    store = _opened(home, config, common)
    try:
        founded = find_or_found(home, common, store, config, request, messages)
        store.close()
        store = _opened(home, config, common)  # the card may have named another namespace
        _create_home(home, store, config, request.agent)
    except BaseException:
        store.close()
        raise
    try:
        return _with_member(InitResult(Node(home, store), founded=founded, messages=messages), request)
    except Refused:
        _remove_new(home.path, before)
        raise


def _asked_remote(common: Path, request: InitRequest) -> str | None:
    """Return the remote that was asked for; None if nobody chose one."""
    if not request.local:
        return absolute_remote(common, request.remote)
    if request.remote or os.environ.get("GITCOORD_REMOTE", "").strip():
        raise Refused("--local keeps the register in this clone: leave out --remote, and unset GITCOORD_REMOTE")
    return str(common / REGISTER)


def _files(folder: Path) -> Iterator[Path]:
    """Yield what is in the folder, what is inside before what is around it."""
    for root, folders, files in os.walk(folder, topdown=False):
        yield from (Path(root, name) for name in (*files, *folders))


def _remove_new(folder: Path, before: set[Path]) -> None:
    """Remove what a refused `init` has made, so that the next one begins anew: all but the lock that is held."""
    for path in _files(folder):
        if path not in before and path.name != LOCK:
            with contextlib.suppress(OSError):  # a folder that holds what was there before
                path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


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
        ("mirror", request.mirror and without_secret(request.mirror), config.mirror),
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
        result.joined = ensure_member(result.node, request, result.messages)
    except BaseException:
        result.node.close()
        raise
    return result


def _create_home(home: Home, store: Store, config: Config, agent: str) -> None:
    """Take a node id, and continue the chain that the ledger and the outbox of that node hold."""
    node, seed = _node(home, config, agent)
    refs = store.fetch(newcomer=True, first={node}).refs
    base = Head()
    mine = refs.get(f"{config.namespace}/nodes/{node}")
    tip = refs.get(config.ledger)
    if tip is not None and os.environ.get("GITCOORD_NODE"):
        base = chain_of(store, tip, node)
    home.create(config, node_id=node, base=base, seed=seed)
    home.save_sight(Sight().seen(int(time.time())))  # killed now, it would otherwise never have seen its fleet
    if mine is not None:
        home.note_outbox(mine)  # new home, given identity: the outbox found there is its own


def _node(home: Home, config: Config, agent: str) -> tuple[str, bytes]:
    """Return the id and the key of this node: new ones, or those that follow from GITCOORD_NODE and the agent's key."""
    name = os.environ.get("GITCOORD_NODE")
    if not name:
        return node_key.new(short_name(_host_name()))
    secret = hmac_secret(home) if config.auth == "hmac" else seed_of(home, agent)
    seed = hmac.digest(secret, f"gitcoord node {name}".encode(), "sha256") if secret else None
    return node_key.new(node_name(name), seed)


def _host_name() -> str:
    return socket.gethostname().split(".", 1)[0]
