"""What agents do together. Pure; one small file each; listed by hand below."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gitcoord.core.feature import Feature

LISTED: dict[str, dict[str, str]] = {
    # a module of this package, in the order of folding: the words that it adds to the command line
    "conversation": {},
    "settings": {},
    "health": {},
    "reservations": {
        "reserve": "Keep others out of paths for a while",
        "release": "Give reserved paths back",
        "reservations": "Show who holds which paths",
    },
    "conflicts": {"conflict": "Show which branches conflict, and say what is settled"},
    "agents": {"agent": "Take part in the work, and see who does"},
    "tasks": {
        "task": "Open tasks, take them, finish them or give them back",
        "ready": "Show what can be taken now, the most urgent first",
    },
    "messages": {
        "message": "Say something to agents, and see whether it was read",
        "inbox": "Show what was said to you and is unread",
    },
    "directives": {"directive": "Give orders to the fleet or a part of it, and see what came of them"},
    "workflows": {"workflow": "Run graphs of tasks that outlive their agents"},
    "autonomy": {"autonomy": "Set how much the leader decides alone; approve or reject its proposals"},
    "recovery": {"recovery": "Show who was gone, and what was done about it"},
    "alerts": {"alerts": "Show what people were alerted to"},
    "issues": {},
    "reviews": {"review": "Request reviews of pull requests, vote, and post the fleet's verdict on GitHub"},
}


class Features(Mapping[str, "Feature"]):
    """The modules listed above, imported when first asked for: what only shows help needs none of them."""

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
