"""Conditions: each is met, not yet, or never will be, and says how it is."""

from __future__ import annotations

import pytest

from gitcoord.core.duties import wanted
from gitcoord.core.errors import Refused
from gitcoord.core.liveness import GONE
from gitcoord.features.conditions import FORMS, condition
from tests.features.work import Work


def standing(one: Work, text: str, actor: str = "alice") -> tuple[bool, bool, str]:
    """Whether it is met, whether it never will be, and how it is."""
    found = condition(one.ctx(actor), text)(one.ctx(actor))
    return found.met, found.never, found.words


def test_a_task_is_waited_for_until_it_is_so_or_cannot_be() -> None:
    one = Work(bob=[])
    uid = one.create()
    assert standing(one, f"task {uid} ready") == (True, False, f"task {uid[:8]}: it is ready")
    assert standing(one, f"task {uid} done")[:2] == (False, False)
    one.do("bob", "task claim", task=uid)
    one.do("bob", "task finish", task=uid)
    assert standing(one, f"task {uid[:5]} done")[:2] == standing(one, f"task {uid} over")[:2] == (True, True)
    assert standing(one, f"task {uid} failed")[:2] == (False, True)


def test_a_condition_goes_on_with_the_fleet() -> None:
    one = Work(bob=[])
    uid = one.create()
    wanted = condition(one.ctx("alice"), f"task {uid} over")
    assert not wanted(one.ctx("alice")).met
    one.do("alice", "task cancel", task=uid)
    assert wanted(one.ctx("alice")).met


def test_an_agent_is_waited_for_by_what_is_seen_of_it_and_by_what_it_says() -> None:
    one = Work(bob=[])
    assert standing(one, "agent bob alive")[0] and standing(one, "agent Bob registered")[0]
    assert standing(one, "agent nobody alive") == (False, False, "no agent nobody is in this fleet yet")
    one.do("bob", "agent set", status="busy")
    assert standing(one, "agent bob busy")[0] and not standing(one, "agent bob idle")[0]
    one.away["bob"] = GONE
    assert standing(one, "agent bob gone")[0] and not standing(one, "agent bob alive")[0]
    assert standing(one, "agent alice joined")[0] and not standing(one, "agent alice registered")[0]


def test_a_leader_that_is_gone_leads_no_more() -> None:
    one = Work(bob=[])
    assert standing(one, "leader") == (True, False, "alice leads") == standing(one, "leader ALICE")
    assert not standing(one, "leader bob")[0]
    one.away["alice"] = GONE
    assert standing(one, "leader") == (False, False, "nobody leads")


def test_a_message_is_waited_for_until_all_have_read_or_somebody_answered() -> None:
    one = Work(bob=[], carol=[])
    uid = one.do("alice", "message request", text="Which schema?", to=["bob"], within="10m")
    assert standing(one, f"message {uid} answered")[:2] == (False, False)
    assert not standing(one, f"message {uid} read")[0]
    one.do("bob", "message ack", messages=[uid])
    assert standing(one, f"message {uid} acknowledged") == (True, False, f"message {uid[:8]}: bob acknowledged")
    assert standing(one, f"message {uid} read")[0]
    one.do("bob", "message reply", message=uid, text="v2")
    assert standing(one, f"message {uid} answered")[0]
    other = one.do("alice", "message send", text="Hello", to=["bob"])
    with pytest.raises(Refused, match="is not a request"):
        condition(one.ctx("alice"), f"message {other} answered")


def test_a_request_that_lapsed_is_never_answered() -> None:
    one = Work(bob=[])
    uid = one.do("alice", "message request", text="Which schema?", to=["bob"], within="10m")
    one.wait(601)
    one.lead(wanted(one.story.fleet, one.ctx("alice")))
    assert standing(one, f"message {uid} answered")[:2] == (False, True)


def test_a_run_of_a_workflow_is_waited_for_by_its_id_or_by_its_name() -> None:
    one = Work(bob=[])
    uid = one.do("alice", "workflow start", workflow="name: release\nsteps:\n  build: {title: Build it}\n")
    assert standing(one, f"workflow {uid} running")[0] and standing(one, "workflow release done")[:2] == (False, False)
    for _ in range(3):
        one.lead(wanted(one.story.fleet, one.ctx("alice")))
        for task in list(one.state.held.get("bob", ())):
            one.do("bob", "task finish", task=task)
    assert standing(one, "workflow release done") == (True, True, f"workflow {uid[:8]} release is done")
    assert standing(one, f"workflow {uid} stopped")[:2] == (False, True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nothing",
        "task",
        "task 1",
        "task zzzz done",
        "agent alive",
        "agent bob dead",
        "workflow none done",
        "workflow done",
        "message zzzz read",
        "event note",
    ],
)
def test_what_names_nothing_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        condition(Work(bob=[]).ctx("alice"), text)


def test_the_forms_are_told() -> None:
    with pytest.raises(Refused) as told:
        condition(Work().ctx("alice"), "nonsense")
    assert all(form in str(told.value) for form in FORMS.values())
