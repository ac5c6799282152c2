"""What a client's hooks do: tell the agent what is new, check an edit against reservations, give back at the end."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from gitcoord.core import times
from gitcoord.core.errors import Refused
from gitcoord.core.secret_scan.credentials import OnSecret
from gitcoord.core.text import NOTICE, for_model
from gitcoord.integrations import client_calls
from gitcoord.integrations.client_calls import ClientCall
from gitcoord.node.operations import reserved_paths, round_beside
from gitcoord.store.home.home import find_home

if TYPE_CHECKING:
    from gitcoord.node.node import Node

SYNC_S = 2.0  # that a session's start waits for the remote; the round goes on beside it


def edit(call: ClientCall) -> tuple[str, bool]:
    """Return a warning about the call's paths ("": no other place has them), and whether to refuse the edit.

    Raise GitcoordError if that cannot be told.
    """
    paths = client_calls.inside(call)
    if not paths:
        return "", False
    at = reserved_paths.look(find_home(call.place), call.place, paths)
    found, refuses = at.found, at.refuses
    if not found:
        return "", False
    hit = list(dict.fromkeys(path for one in found for path in one["touches"]))
    rows = [
        {
            "paths": hit,
            "reserved_by": one["reservation"]["agent"],
            "work_tree": one["reservation"]["place"],
            "reserved": one["reservation"]["paths"][:3],
            "until": times.shown(one["reservation"]["until"]),
            "why": one["reservation"]["why"],
        }
        for one, hit in ((one, one["touches"]) for one in found)
    ]
    much = "This edit is refused" if refuses else "Stop before you edit this"
    return (
        f"{much}: another agent has reserved {'it' if len(hit) == 1 else f'{len(hit)} of its paths'}. Ask that agent "
        f"(`gitcoord message send TEXT --to NAME`), wait, or work on something else. {NOTICE}\n{for_model(rows)}",
        refuses,
    )


def start(call: ClientCall, agent: str) -> str:
    """Return what the agent should know when a session begins: what `gitcoord next` shows. Raise GitcoordError."""
    from gitcoord.features.next import picture
    from gitcoord.node.node import open_node
    from gitcoord.node.operations import handover, submit

    home = find_home(call.place)
    if home.exists and not home.running():
        round_beside.start(home, call.place, wait_s=SYNC_S)
    with contextlib.closing(open_node(call.place)) as node:
        who = agent or node.config.agent or ""
        if not who:
            raise Refused("no agent is chosen here: run `gitcoord init --agent NAME`")
        member = node.fleet.members.get(who)
        if member is None:
            return (
                f"This repository's agents work together with gitcoord, and {who} is no member yet. Run "
                f"`gitcoord init --agent '{who}'` before you begin."
            )
        again = handover.session_start(node, who)
        if again:
            node.append(*submit.drafted(node, again, who), on_secret=OnSecret.HIDE)
        told = {
            "as_of": f"position {node.fleet.position} of the ledger, {_age(node)}",
            **picture.compose(submit.context(node, who)),
        }
    if again and not home.running():
        round_beside.start(home, call.place, wait_s=0)
    return (
        f"You are the agent {who} in a fleet that shares this repository through gitcoord. Before you change files, "
        f"reserve them (`gitcoord reserve PATH`); `gitcoord next --claim` takes the best task. "
        f"{NOTICE}\n{for_model(told)}"
    )


def end(call: ClientCall, agent: str) -> int:
    """Hand over what the agent has in the session's place; return the number of events. Raise GitcoordError.

    They are on this disk when this returns, and go out beside it.
    """
    from gitcoord.node.node import open_node
    from gitcoord.node.operations import handover, submit

    if call.goes_on:
        return 0
    with contextlib.closing(open_node(call.place)) as node:
        who = agent or node.config.agent or ""
        proposals = handover.session_end(node, who)
        if not proposals:
            return 0
        node.append(*submit.drafted(node, proposals, who), on_secret=OnSecret.HIDE)
        home = node.home
    if not home.running():
        round_beside.start(home, call.place, wait_s=0)
    return len(proposals)


def _age(node: Node) -> str:
    """Return how old the knowledge of this node is."""
    from gitcoord.node import peers

    age_s = peers.look_age_s(node.home.cache)
    return "of an unknown age" if age_s is None else f"looked at {max(0, round(age_s))} s ago"
