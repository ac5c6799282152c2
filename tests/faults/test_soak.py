"""Short soaks; the long ones are `scripts/soak`. And their books can be wrong: what is lost or gained is found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.faults.hostile_books import HostileBooks
from tests.faults.soak import HOSTILE_ACTS_MIN, Soak

SECONDS = 8
HOSTILE_SECONDS = 12


@pytest.mark.timeout(400)
def test_some_seconds_of_torment_lose_nothing(tmp_path: Path) -> None:
    soak = Soak(tmp_path, SECONDS, agents=4, nodes=2, seed=7)
    assert soak.run(), "\n".join([*soak.story, *soak.wrong])
    assert soak.kills >= 2 and soak.outages >= 1 and "acknowledged" in soak.figures


def test_the_books_find_what_is_lost_doubled_or_never_attempted(tmp_path: Path) -> None:
    class Cheat(Soak):
        def _drain(self) -> None:
            super()._drain()
            clone, agent = next((clone, agent) for agent, clone in self.writers.items())
            with (self.folder / f"{agent}.acknowledged").open("a") as file:
                file.write(f"{agent} 999\n")
            for _ in range(2):
                data = json.loads(clone.run("append", "note", "w0 998", "--wait", "sequenced", "--json").stdout)
                assert data["level"] == "sequenced"

    soak = Cheat(tmp_path, 3, agents=1, nodes=1, seed=7)
    assert not soak.run()
    found = [wrong.partition(":")[0] for wrong in soak.wrong]
    assert {"acknowledged and lost", "never attempted", "sequenced twice"} <= set(found), soak.wrong


@pytest.mark.timeout(600)
def test_a_hostile_member_takes_nothing_from_the_honest_ones(tmp_path: Path) -> None:
    soak = Soak(tmp_path, HOSTILE_SECONDS, agents=3, nodes=3, seed=7, over_http=False, is_hostile=True)
    assert soak.run(), "\n".join([*soak.story, *soak.wrong])
    assert soak.hostile is not None and soak.hostile.acts.total() >= HOSTILE_ACTS_MIN
    check_the_books(soak, soak.hostile)


def check_the_books(soak: Soak, books: HostileBooks) -> None:
    """Give the hostile member what it wanted: the same books find it."""
    clone = soak.clones[0]
    for words in (("config", "set", "profile", "lan"), ("agent", "role", "mallory", "admin"), ("agent", "mute", "w0")):
        clone.run(*words)
    led = [{"key": "", "term": 1, "seq": number, "content": ""} for number in range(10_000)]
    with clone.node() as node:
        node.sync()
        (clone.home / "store.git" / "objects" / "pack" / "tmp_pack_1").touch()
        node.fleet.positions.clear()
        found = " ".join(books.check(node.fleet, led, {"w0 1"}))
    for gained in (
        "mallory is admin",
        "the settings are",
        "somebody was muted",
        "clone0 has unfinished packs",
        "leaders wrote 10000 events",
        "acknowledged and without effect",
    ):
        assert gained in found, found
    mine = {"kind": "line", "where": f"events-0000000000.log:3 in commit {min(books.commits)}"}
    assert books.did(mine, []) and not books.did(mine | {"where": "in commit abcdef012345"}, [])
    assert not books.did({"kind": "checkpoint", "where": "state.json"}, [])
