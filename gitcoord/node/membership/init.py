"""`init`: makes a clone a node of a fleet, which it founds or joins, and its agent a member."""

from __future__ import annotations

import contextlib
import hmac
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gitcoord.core.errors import Moved, Refused
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
    """The result of `init`. `messages` say what was done, for people."""

    node: Node
    founded: bool = False
    joined: bool = False
    messages: list[str] = field(default_factory=list)


def init(path: Path, request: InitRequest) -> InitResult:
    """Make the clone at `path` part of a fleet, and `request.agent` a member. A second run changes nothing.

    Raise Refused (the name or an option does not fit), Lost (another `init` runs), Unreachable, Denied,
    BadCredentials (the remote) or Paused (the disk).
    """
    messages: list[str] = []
    check_new_name(request.agent)
    common = common_dir(path, messages)
    home = Home(common / "gitcoord", worktree=repo_location.worktree_git_dir(path))
    before = set(_files(home.path))
    with alone(home):
        return _init(home, common, request, messages, before)


def check_new_name(agent: str) -> None:
    """Raise Refused if the name is no valid agent id, looks like a secret, or has a meaning of its own."""
    agent_id(agent)
    if looks_like_credential(agent):
        raise Refused(
            "the agent's name looks like a secret, which could not be removed from the log: choose another one"
        )
    if look_of(agent) in RESERVED:
        raise Refused(f"{agent!r} looks like a word with a meaning of its own: choose another name")


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
            "the login in the remote's URL is not stored: set GITCOORD_TOKEN or GITCOORD_REMOTE for each "
            "command, or store it in git's credential helper"
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
    store = _open(home, config, common)
    try:
        founded = find_or_found(home, common, store, config, request, messages)
        store.close()
        store = _open(home, config, common)  # the card may have named another namespace
        _create_home(home, store, config, request.agent)
    except BaseException:
        store.close()
        raise
    try:
        return _with_member(InitResult(Node(home, store), founded=founded, messages=messages), request)
    except (Refused, Moved):
        _remove_new(home.path, before)
        raise


def _asked_remote(common: Path, request: InitRequest) -> str | None:
    """Return the remote that the user asked for; None if none was named. Raise Refused if it contradicts --local."""
    if not request.local:
        return absolute_remote(common, request.remote)
    if request.remote or os.environ.get("GITCOORD_REMOTE", "").strip():
        raise Refused("--local keeps the register in this clone: leave out --remote, and unset GITCOORD_REMOTE")
    return str(common / REGISTER)


def _files(folder: Path) -> Iterator[Path]:
    """Yield all files and folders below `folder`, the content of a folder before the folder itself."""
    for root, folders, files in os.walk(folder, topdown=False):
        yield from (Path(root, name) for name in (*files, *folders))


def _remove_new(folder: Path, before: set[Path]) -> None:
    """Remove what a refused `init` has made, so that the next one starts clean: all but the lock that is held."""
    for path in _files(folder):
        if path not in before and path.name != LOCK:
            with contextlib.suppress(OSError):  # a folder with files that were there before
                path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


def _open(home: Home, config: Config, common: Path) -> Store:
    """Return the opened store. Only the timeout comes from the environment: all else is what the user asked for."""
    return open_store(home, overlaid(config, os.environ, names=("timeout_s",)), common)


def _init_again(home: Home, common: Path, request: InitRequest, messages: list[str]) -> InitResult:
    """Add the agent to the fleet that the clone is in already. Raise Refused if the request differs from that fleet."""
    config = home.config()
    node = Node(home, _open(home, config, common))
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
            fix = f"gitcoord move {asked}" if name == "remote" else fix  # the fleet goes along
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
    """Create the home with a node id. If the node is known (GITCOORD_NODE), continue its chain and its outbox."""
    node, seed = _node(home, config, agent)
    refs = store.fetch(newcomer=True, first={node}).refs
    base = Head()
    mine = refs.get(f"{config.namespace}/nodes/{node}")
    tip = refs.get(config.ledger)
    if tip is not None and os.environ.get("GITCOORD_NODE"):
        base = chain_of(store, tip, node)
    home.create(config, node_id=node, base=base, seed=seed)
    home.save_sight(Sight().seen(int(time.time())))  # BEFORE anything can kill us: a node must have seen its fleet
    if mine is not None:
        home.note_outbox(mine)  # the home is new, but the node id was given: the outbox with that id is ours


def _node(home: Home, config: Config, agent: str) -> tuple[str, bytes]:
    """Return the id and the key of this node: new ones, or those derived from GITCOORD_NODE and the agent's key."""
    name = os.environ.get("GITCOORD_NODE")
    if not name:
        return node_key.new(short_name(_host_name()))
    secret = hmac_secret(home) if config.auth == "hmac" else seed_of(home, agent)
    seed = hmac.digest(secret, f"gitcoord node {name}".encode(), "sha256") if secret else None
    return node_key.new(node_name(name), seed)


def _host_name() -> str:
    return socket.gethostname().split(".", 1)[0]
