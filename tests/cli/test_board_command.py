"""`gitcoord board`, and the same board as a page beside the log."""

from __future__ import annotations

import subprocess

from tests.cli.clones import Clone


def test_the_leader_puts_the_board_beside_the_log_and_verify_compares_it(alice: Clone) -> None:
    uid = alice("task", "create", "Fix the parser", "--json").json()["ids"][0]
    alice("task", "claim", uid)
    shown = alice("board")
    assert f"alice: Fix the parser ({uid[:8]}), accepted since" in shown.out
    assert alice("board", "--json").json()["working"][0]["id"] == uid
    alice("elect")
    for _ in range(3):
        alice("agent", "run", "--once")
    show = ["git", "-C", str(alice.remote), "show", "gitcoord/ledger:board.md"]
    page = subprocess.run(show, check=True, capture_output=True, text=True).stdout
    assert page.startswith("# Board\n") and f"- alice: Fix the parser ({uid[:8]}), accepted since" in page
    assert "board.md" not in alice("verify").err
