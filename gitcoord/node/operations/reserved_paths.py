"""Reserved paths: which reservations of others some paths touch, and how old that knowledge is."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gitcoord.core.leadership.timings import PROFILES
from gitcoord.node import config as preferences
from gitcoord.node import peers, status_cache
from gitcoord.node.operations import round_beside
from gitcoord.store.git import repo_location
from gitcoord.store.home.home import Home

Reservation = Mapping[str, Any]  # as `gitcoord reservations --json` has it
Touched = Mapping[str, Any]  # `touches`: paths, `reservation`
FRESH_S = 2.0  # several commits in a row look once
OLD_S = 30.0  # below that, nobody is told the age
OLD_POLLS = 3  # an agent that runs here looks every poll; a busy remote takes longer


@dataclass(frozen=True, slots=True)
class Look:
    """What is known of some paths: the reservations of others, whether those refuse the change, the knowledge's age."""

    found: list[Touched]
    refuses: bool
    age_s: float | None  # None: this node never saw the remote
    is_old: bool  # too old to be a look of now


def look(
    home: Home,
    folder: Path,
    paths: Sequence[str],
    *,
    wait_s: float = 0.0,
    tell: Callable[[str, str], None] | None = None,
) -> Look:
    """Return which reservations of other places the paths touch. Raise GitcoordError.

    `folder` is in the place that asks: what was reserved there is its own, under whatever name. `wait_s`: how long to
    look at the remote, if this node has not seen it just now.
    """
    config = preferences.effective(home, os.environ)
    seen = status_cache.read(home)
    poll_s = PROFILES[config.profile or (seen.profile if seen else "local")].poll_s
    if wait_s and not home.running():
        _look_at_remote(home, folder, poll_s, wait_s)
        seen = status_cache.read(home)
    if seen is None:  # no round has ended here since the last fetch
        from gitcoord.node.node import open_node

        with open_node(folder, tell=tell) as node:
            seen = status_cache.compute(node.replica.branch, node.home)
    here = (seen.node, repo_location.worktree_name(folder))
    others = [one for one in peers.active_reservations(home.cache, seen) if (one["node"], one["place"]) != here]
    refuses = (config.hook or seen.hook) == "refuse"
    return Look(
        touched(others, paths),
        refuses,
        peers.look_age_s(home.cache),
        not _is_fresh(home, max(OLD_S, OLD_POLLS * poll_s)),
    )


def _look_at_remote(home: Home, folder: Path, poll_s: float, wait_s: float) -> None:
    """Have a round, unless this node saw the remote just now. One that another process began may have failed."""
    until_s = time.monotonic() + wait_s
    started = False
    while not (started or _is_fresh(home, poll_s) or time.monotonic() >= until_s):
        started = round_beside.start(home, folder, wait_s=until_s - time.monotonic())


def _is_fresh(home: Home, within_s: float) -> bool:
    age_s = peers.look_age_s(home.cache)
    return age_s is not None and 0 <= age_s <= max(within_s, FRESH_S)


def touched(held: Iterable[Reservation], changed: Sequence[str]) -> list[Touched]:
    """Return the reservations that contain changed paths, each with those paths."""
    from gitcoord.features import paths

    found: list[Touched] = []
    for one in held:
        inside = [path for path in changed if any(paths.matches(pattern, path) for pattern in one["paths"])]
        found += [{"touches": inside, "reservation": one}] if inside else []
    return found
