"""The seed's control words, typed as commands and said in the log."""

from __future__ import annotations

from tests.cli.clones import Clone


def test_a_control_word_is_typed_or_said(alice: Clone) -> None:
    alice("*autonomy:supervised")
    assert alice("*autonomy:status", "--json").json()["autonomy"] == "supervised"
    alice("-C", ".", "append", "note", "*autonomy:manual", "--wait", "sequenced")
    assert "manual" in alice("autonomy", "status").out
    assert "No such command" in alice("*sync:force", code=2).err
    assert (
        "'nonsense': one of approve, full, manual, proposals, reject, status, supervised"
        in alice("*autonomy:nonsense", code=2).err
    )
