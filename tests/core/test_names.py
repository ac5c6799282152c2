"""Names of agents, nodes, types and events: what is taken, and what is refused with the rule."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitcoord.core.errors import Refused
from gitcoord.core.names import (
    UID,
    UID_ALPHABET,
    agent_id,
    event_type,
    is_agent_id,
    look_of,
    named_id,
    node_id,
    same_agent,
    uid_from,
)


@pytest.mark.parametrize("name", ["alice", "Agent A", "epochALPHA", "a", "0", "a.b-c_d", "x" * 63])
def test_names_that_people_use_are_agent_ids(name: str) -> None:
    assert agent_id(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        ".",
        "../x",
        "-rf",
        "a/b",
        "a ",
        "a.",
        "_a",
        "x" * 64,
        "a\n",
        "a\tb",
        "a\0b",
        "é",
        "ａlice",
        "a\u202eb",
        "a:b",
        "a\\b",
        "a\n\n",
    ],
)
def test_what_could_become_a_path_an_option_or_a_riddle_is_not(name: str) -> None:
    with pytest.raises(Refused, match="cannot name an agent: use 1 to 63 of"):
        agent_id(name)


@pytest.mark.parametrize(
    "check, good, bad",
    [
        (node_id, ["laptop-3f9a", "0", "a" * 41], ["", "-a", "Laptop", "a" * 42, "a.b", "a/b", "a\n"]),
        (event_type, ["question", "a", "a1_b", "x" * 64], ["", "1a", "_a", "Question", "a-b", "x" * 65, "a\n"]),
    ],
)
def test_nodes_and_types(check: Callable[[str], str], good: list[str], bad: list[str]) -> None:
    assert [check(name) for name in good] == good
    for name in bad:
        with pytest.raises(Refused):
            check(name)


@given(st.text(max_size=70))
def test_an_agent_id_is_a_harmless_file_name(name: str) -> None:
    if is_agent_id(name):
        assert name.isascii() and name.isprintable() and not set(name) & set('/\\:*?"<>|')
        assert name[0].isalnum() and name[-1] not in " ." and name not in (".", "..")


def test_case_does_not_tell_agents_apart() -> None:
    assert same_agent("Agent A", "agent a") and not same_agent("a", "b")


@given(st.binary(min_size=10, max_size=10), st.binary(min_size=10, max_size=10))
def test_ids_hold_all_80_bits(one: bytes, other: bytes) -> None:
    assert UID.match(uid_from(one)) and set(uid_from(one)) <= set(UID_ALPHABET)
    assert (uid_from(one) == uid_from(other)) == (one == other)
    assert (uid_from(one) < uid_from(other)) == (one < other)


@pytest.mark.parametrize(
    "ids, shown",
    [
        (["x7e11a9e00000000", "x7e11a9e00000001"], "x7e11a9e00000000, x7e11a9e00000001: "),
        (["x7e11a9e0z000000", "x7e22", "x7e11a9e0y000000"], "x7e11a9e0y, x7e11a9e0z, x7e22: "),
        (["x7aaaaaa" * 2, "x7bbbbbb" * 2], "x7aaaaaa, x7bbbbbb: "),
        ([f"x7{n:014}" for n in range(7)], "x700000000000004 or 2 more: "),
    ],
)
def test_ids_that_begin_alike_are_shown_until_they_differ(ids: list[str], shown: str) -> None:
    with pytest.raises(Refused) as refused:
        named_id("x7", ids, {}, "event", shown_by="events")
    assert shown in str(refused.value)


@pytest.mark.parametrize(
    "one, other",
    [
        ("leader", "Ieader"),
        ("all", "a11"),
        ("bob", "b0b"),
        ("m1", "ml"),
        ("arnold", "amold"),
        ("w-2", "vv_2"),
        ("Bo", "bo"),
    ],
)
def test_ids_that_a_person_takes_for_each_other_look_the_same(one: str, other: str) -> None:
    assert look_of(one) == look_of(other)


@pytest.mark.parametrize("one, other", [("bob", "bab"), ("agent1", "agent2"), ("w-2", "w2"), ("ian", "lan")])
def test_other_ids_do_not(one: str, other: str) -> None:
    assert look_of(one) != look_of(other)
