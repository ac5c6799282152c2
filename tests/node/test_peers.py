"""What a node sees of the others; of its own agents it knows more."""

from __future__ import annotations

import pytest

from gitcoord.core.liveness import ALIVE, GONE, LATE, AgentLiveness
from gitcoord.node.peers import with_process


@pytest.mark.parametrize(
    ("state", "silent_s", "runs", "shown"),
    [
        (ALIVE, 0.5, True, ALIVE),
        (ALIVE, 0.5, False, GONE),  # its process ended, whatever its last heartbeat promised
        (LATE, 2.5, True, ALIVE),
        (GONE, 9.0, True, ALIVE),  # the machine is busy
        (GONE, 15.0, True, GONE),  # it hangs
        (GONE, 9.0, False, GONE),
    ],
)
def test_of_an_agent_of_ones_own_node_the_process_tells(state: str, silent_s: float, runs: bool, shown: str) -> None:
    seen = with_process(AgentLiveness("bob", state, "here", "s1", silent_s, 1.0, watched_s=silent_s), runs)
    assert seen.state == shown and seen.gone_s == (0 if runs else silent_s)
