"""One thing of a list, by the beginning of its id or the position of its event, with all that is known of it."""

from __future__ import annotations

import pytest

from tests.cli.clones import Clone

BRANCHES = {name: {"name": name, "commit": name * 40, "agent": None} for name in "ab"}
CONFLICT = {**BRANCHES, "paths": [{"path": "src/a.py", "kind": "content"}], "severity": "low"}


@pytest.mark.parametrize(
    ("said", "listed", "shown", "schema", "field"),
    [
        (("reserve", "src/**", "--why", "login"), "reservations", "reservations", "reservations", ("why", "login")),
        (("append", "error", "disk full"), "alerts", "alerts", "alerts", ("text", "disk full")),
        (("conflict_found",), "conflict list", "conflict show", "conflict.show", ("files", ["src/a.py"])),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_one_is_shown_by_its_id_and_by_its_position(
    alice: Clone, said: tuple[str, ...], listed: str, shown: str, schema: str, field: tuple[str, object]
) -> None:
    if said == ("conflict_found",):
        alice.write("conflict_found", "they do", **CONFLICT)
        alice("sync")
    else:
        alice(*said)
    [row] = alice(*listed.split(), "--json").json()["items"]
    one = alice(*shown.split(), row["id"][:6], "--json").json()
    assert one == {"schema": f"gitcoord.{schema}/1", **row, "position": 2} and one[field[0]] == field[1]
    assert alice(*shown.split(), "2", "--json").json() == one
    assert row["id"] in alice(*shown.split(), "2").out
    assert f"`gitcoord {listed}" in alice(*shown.split(), "zzzz", code=2).err
