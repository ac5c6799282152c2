"""Features: the things that agents do together. They are pure, and listed by hand below."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gitcoord.core.feature import Feature

LISTED: dict[str, dict[str, str]] = {
    # a module of this package, in the order of folding: the words that it adds to the command line
    "next": {"next": "Show what to do now: messages, what you hold, conflicts, the best tasks"},
    "conversation": {},
    "settings": {},
    "health": {},
    "reservations": {
        "reserve": "Reserve paths, to keep other agents out of them",
        "release": "Give reserved paths back",
        "reservations": "List reserved paths and their holders",
    },
    "conflicts": {"conflict": "Find branches that conflict, and mark conflicts as settled"},
    "agents": {"agent": "Run, register, list and admit agents"},
    "tasks": {
        "task": "Create, claim, finish and release tasks",
        "ready": "List tasks that can be claimed now, most urgent first",
    },
    "messages": {
        "message": "Send messages, reply to them, and see who read them",
        "inbox": "List your unread messages, oldest first",
    },
    "directives": {"directive": "Give orders to agents, and follow their progress"},
    "workflows": {"workflow": "Run graphs of tasks that outlive their agents"},
    "autonomy": {"autonomy": "Set how much the leader decides alone; approve or reject its proposals"},
    "recovery": {"recovery": "List agent failures and how they were handled"},
    "alerts": {"alerts": "List alerts to people, sent and unsent"},
    "issues": {},
    "reviews": {"review": "Request reviews of pull requests, vote, and post the fleet's verdict on GitHub"},
}


class Features(Mapping[str, "Feature"]):
    """The modules listed above, imported when first asked for: a command that only shows help needs none of them."""

    def __getitem__(self, name: str) -> Feature:
        if name not in LISTED:
            raise KeyError(name)
        feature: Feature = importlib.import_module(f"gitcoord.features.{name}")
        return feature

    def __iter__(self) -> Iterator[str]:
        return iter(LISTED)

    def __len__(self) -> int:
        return len(LISTED)


FEATURES = Features()
