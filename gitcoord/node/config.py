"""The settings of a node: the environment comes first, then the work tree, the node's file, the fleet's settings."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gitcoord.core.errors import Refused
from gitcoord.core.leadership.timings import PROFILES
from gitcoord.core.names import agent_id
from gitcoord.store.home.home import TIMEOUT_S_MAX, Home
from gitcoord.store.home.records import Config

if TYPE_CHECKING:
    from gitcoord.core.fleet_state import FleetState

HOOK = ("warn", "refuse")
YES_NO = {"true": True, "yes": True, "1": True, "on": True, "false": False, "no": False, "0": False, "off": False}


def profile_name(text: str) -> str:
    """Return `text` if it is the name of a timing profile. Raise Refused otherwise."""
    if text in PROFILES:
        return text
    raise Refused(f"no profile {text!r}; there are: {', '.join(PROFILES)}")


def _yes_no(text: str) -> bool:
    if text.lower() in YES_NO:
        return YES_NO[text.lower()]
    raise Refused(f"{text!r} is neither true nor false")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if 0 < seconds <= TIMEOUT_S_MAX:
        return seconds
    raise Refused(f"{text!r} is not a number of seconds, above 0 and at most {TIMEOUT_S_MAX:g}")


def _remote(text: str) -> str:
    if text and not text.startswith("-"):
        return text
    raise Refused(f"{text!r} is neither a remote's name nor a URL")


def _hook(text: str) -> str:
    if text in HOOK:
        return text
    raise Refused(f"{text!r} is not one of {', '.join(HOOK)}")


NODE: dict[str, tuple[Callable[[str], Any], str]] = {
    # name: (reads a value as people type it, what it is)
    "agent": (agent_id, "the agent that writes when a command names none"),
    "profile": (profile_name, "timings of this node; default: the fleet's"),
    "lead": (_yes_no, "whether agents of this node campaign for leadership"),
    "timeout_s": (_seconds, "seconds that one conversation with the remote may take"),
    "remote": (_remote, "the shared remote: a name in this clone, or a URL"),
    "mirror": (_remote, "the remote to which a leader of this node mirrors the ledger, for people to read"),
    "follow_moves": (_yes_no, "whether this node follows by itself where an admin moves the fleet"),
    "hook": (_hook, "what its pre-commit hook does; default: the fleet's setting"),
}


def variable(name: str) -> str:
    """Return the environment variable that overrides the node's file."""
    return f"GITCOORD_{name.upper()}"


def read(name: str, text: str) -> Any:
    """Return the value of the node setting `name` that `text` spells. Raise Refused with the reason."""
    if name not in NODE:
        raise Refused(f"a node has no setting {name!r}; there are: {', '.join(NODE)}")
    try:
        return NODE[name][0](text)
    except Refused as wrong:
        raise Refused(f"{name}: {wrong}") from None


def effective(home: Home, environ: Mapping[str, str]) -> Config:
    """Return the node's settings in force here: the environment's values first, then this work tree's agent."""
    config = home.config()
    return overlaid(replace(config, agent=home.worktree_agent or config.agent), environ)


def overlaid(config: Config, environ: Mapping[str, str], *, names: Collection[str] = tuple(NODE)) -> Config:
    """Return the node's settings, with the environment's values in the place of those in `names`."""
    over: dict[str, Any] = {}
    for name in names:
        text = environ.get(variable(name), "").strip()
        if text:
            over[name] = read(name, text)
    return replace(config, **over)


def profile_of(config: Config, fleet: FleetState) -> str:
    """Return the name of the timing profile to use: the node's own, otherwise the fleet's."""
    return config.profile or fleet_profile(fleet)


def fleet_profile(fleet: FleetState) -> str:
    """Return the name of the fleet's timing profile: its setting, otherwise that of the card."""
    founded = fleet.members.founded
    begun = founded.profile if founded else "local"
    profile: str = fleet.states["settings"].settings.profile or fleet.moves.profile or begun
    return profile
