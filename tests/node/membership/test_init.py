"""`init` makes a clone part of a fleet, or says why it cannot."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from gitcoord.core.errors import Unreachable
from gitcoord.node.membership.init import InitRequest, init


def test_it_waits_for_a_silent_remote_as_long_as_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITCOORD_TIMEOUT_S", "0.5")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        remote = f"http://127.0.0.1:{silent.getsockname()[1]}/r.git"
        with pytest.raises(Unreachable, match="did not answer in 0.5 s"):
            init(tmp_path, InitRequest(agent="alice", remote=remote))
