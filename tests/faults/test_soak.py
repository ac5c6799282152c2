"""A short soak; the long one is `scripts/soak`. And its books can be wrong: what is lost or doubled is found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.faults.soak import Soak

SECONDS = 12


@pytest.mark.timeout(400)
def test_twelve_seconds_of_torment_lose_nothing(tmp_path: Path) -> None:
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
