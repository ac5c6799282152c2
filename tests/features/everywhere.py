"""Fold one mixed ledger and print the digest of its state: `python -P -m tests.features.everywhere`.

Whoever runs it, wherever, prints the same line: each zone, language, hash seed and version of Python.
"""

from __future__ import annotations

import hashlib
import json
import random

from gitcoord.core import times
from gitcoord.core.fleet_state import FleetState
from gitcoord.core.format.keys import Verifier
from gitcoord.features import FEATURES
from tests.core.lines import NOW, Story

AGENTS = ("alice", "bob", "Carol", "dave")
TEXTS = ("Straße", "İstanbul", "ﬁn", "ǅ", "a\u0301", "née", "𝔘", "Å", "x" * 100)


def mixed_ledger() -> list[bytes]:
    """A few hundred events of many kinds, with times of every spelling, and words that fold their case in odd ways."""
    rng = random.Random(1)
    story = Story().founded(AGENTS[0]).joined(*AGENTS[1:])
    story.elect(AGENTS[0], 1)
    tasks: list[str] = []
    for number in range(300):
        actor = rng.choice(AGENTS)
        timestamp = times.later(NOW, number * 7 + rng.uniform(-30, 30))
        timestamp = rng.choice([timestamp, timestamp[:19] + "Z", timestamp[:23] + "456Z"])
        kind = rng.choice(("task", "claim", "finish", "reserve", "message", "register", "note"))
        text = rng.choice(TEXTS)
        known = rng.choice(tasks) if tasks else None
        match kind:
            case "task":
                data = {"title": text, "needs": [text], "deadline": times.later(timestamp, rng.uniform(0, 1e6))}
                tasks.append(story.say(actor, "task_created", text, data=data, timestamp=timestamp).event.uid)
            case "claim" if known:
                story.say(actor, "task_claimed", data={}, re=known, timestamp=timestamp)
            case "finish" if known:
                story.say(actor, "task_finished", data={"attempt": 1, "result": text}, re=known, timestamp=timestamp)
            case "reserve":
                for_s = rng.choice([0.1, 1 / 3, 60.0, 3600.5])
                data = {"paths": [f"{text}/**", f"docs/{number % 7}"], "for_s": for_s}
                story.say(actor, "paths_reserved", data=data, timestamp=timestamp)
            case "message":
                data = {"priority": "HIGH", "expires_s": 1e3 / 3, "request_s": 12.3}
                story.say(actor, "message", text, data=data, to=(rng.choice(AGENTS),), timestamp=timestamp)
            case "register":
                data = {"capabilities": [text, "b"], "about": text}
                story.say(actor, "agent_registered", data=data, timestamp=timestamp)
            case _:
                story.say(actor, "note", text, timestamp=timestamp)
    return story.lines


def digest(lines: list[bytes]) -> str:
    """The position and the SHA-256 of the folded state."""
    fleet = FleetState(FEATURES, Verifier())
    for line in lines:
        fleet.append(line)
    return f"{fleet.position} {hashlib.sha256(json.dumps(fleet.dump(), ensure_ascii=False).encode()).hexdigest()}"


if __name__ == "__main__":
    print(digest(mixed_ledger()))
