"""Quotas: a flood costs its author, an admin can mute it, and the others' words count."""

from __future__ import annotations

import json

import pytest

from gitcoord.core import duties, limits
from gitcoord.core.feature import Duty
from gitcoord.core.fleet_state import FleetState
from gitcoord.core.fold import quotas
from gitcoord.core.format.keys import Verifier
from gitcoord.core.leadership.timings import PROFILES
from gitcoord.features import FEATURES
from tests.core.lines import NOW, Story, signer_of
from tests.features.work import Work

TOMORROW = "2026-11-22T00:00:01.000Z"


@pytest.fixture
def story() -> Story:
    return Story().founded().joined("bob", "carol")


def test_beyond_the_days_events_an_author_has_no_effect_and_the_others_have(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quotas, "EVENTS_A_DAY", 5)
    void = [story.say("bob", "note", str(number)).void for number in range(8)]
    assert void[:4] == [None] * 4 and all("bob has written 5 events" in (one or "") for one in void[4:])
    assert story.say("carol", "note", "hello").void is None
    assert story.say("bob", "note", "again", timestamp=TOMORROW).void is not None  # its own clock moves nothing
    for agent in ("alice", "carol"):
        story.say(agent, "note", "good morning", timestamp=TOMORROW)
    assert story.say("bob", "note", "again", timestamp=TOMORROW).void is None
    assert [(one["agent"], one["events"], one["void"]) for one in story.fleet.quotas.floods()][:1] == [("bob", 1, 0)]


def test_the_days_bytes_are_bounded_as_well_and_what_is_void_counts(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quotas, "BYTES_A_DAY", 10_000)
    assert story.say("bob", "task_created", data={"title": "x" * 9000}).void == (
        "its data is wrong: title: String should have at most 200 characters"
    )
    assert "MiB on 2026-11-21" in (story.say("bob", "note", "x" * 1000).void or "")
    flood = story.fleet.quotas.floods()[0]
    assert (flood["agent"], flood["void"], flood["muted"]) == ("bob", 1, False) and flood["bytes"] > 9000


def test_an_agent_may_still_leave_and_an_admin_may_import_what_was_said_in_years(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quotas, "EVENTS_A_DAY", 2)
    source = {"source": {"actor": "old", "timestamp": NOW}}
    assert [story.say("alice", "note", data=source).void for _ in range(9)] == [None] * 9
    assert None in [story.say("bob", "note", data=source).void for _ in range(3)]
    assert story.say("bob", "note", data=source).void is not None
    assert story.say("bob", "agent_left").void is None


def test_the_leaders_lines_have_a_quota_of_their_own_in_all_its_terms_of_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    story = Story().founded().joined("bob", "carol")
    story.elect("bob", 1)
    monkeypatch.setattr(quotas, "EVENTS_A_DAY", 3)
    monkeypatch.setattr(quotas, "LED_EVENTS_A_DAY", 6)
    assert [story.say("bob", "error", str(number), term=1).void for number in range(5)] == [None] * 5
    assert story.say("bob", "note").void is None
    assert "bob has written 6 events or 1024 MiB as the leader on 2026-11-21" in (
        story.say("bob", "error", term=1).void or ""
    )
    assert "as the leader" in (story.elect("bob", 2).void or ""), "another term gives it nothing more"
    assert story.elect("carol", 3).void is None and story.say("carol", "error", term=3).void is None
    for agent in ("alice", "carol"):
        story.say(agent, "note", "good morning", timestamp=TOMORROW)
    assert story.elect("bob", 4).void is None


def test_the_leaders_bytes_are_bounded_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    story = Story().founded()
    story.elect("alice", 1)
    monkeypatch.setattr(quotas, "LED_BYTES_A_DAY", 10_000)
    assert story.say("alice", "error", "x" * 9000, term=1).void is None
    assert "as the leader" in (story.say("alice", "error", "x" * 900, term=1).void or "")


def test_an_honest_leader_at_its_quota_appends_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    story = Story().founded()
    story.elect("alice", 1)

    def drafted() -> object:
        return duties.draft(
            story.fleet,
            Duty("error", "due", "key"),
            signer_of("alice"),
            actor="alice",
            node="n",
            timestamp=NOW,
            uid="0" * 16,
        )

    assert drafted() is not None
    monkeypatch.setattr(quotas, "LED_EVENTS_A_DAY", 1)
    assert drafted() is None
    per_tick = limits.DUTIES_PER_TICK * 86_400 / PROFILES["lan"].poll_s
    monkeypatch.undo()
    assert per_tick < quotas.LED_EVENTS_A_DAY < limits.DUTIES_PER_MINUTE * 24 * 60


def test_what_a_muted_agent_says_has_no_effect_until_then(story: Story) -> None:
    assert story.say("bob", "agent_muted", data={"agent": "carol"}).void == (
        "bob (member) may not write agent_muted: only an admin may"
    )
    until = "2026-11-21T05:00:00.000Z"
    assert story.say("alice", "agent_muted", data={"agent": "Bob", "until": until, "reason": "loops"}).void is None
    assert story.say("bob", "note", "x").void == (
        "bob is muted until 21 Nov 05:00 UTC by alice (loops): `gitcoord agent unmute bob` of an admin ends that"
    )
    assert story.say("bob", "task_released", data={"attempt": 1}, re="0" * 16).void is None
    assert story.say("bob", "agent_unmuted", data={"agent": "bob"}).void == (
        "bob (member) may not write agent_unmuted: only an admin may"
    )
    later = "2026-11-21T05:00:00.001Z"
    assert story.say("bob", "note", "x", timestamp=later).void is not None  # its own clock moves nothing
    for agent in ("alice", "carol"):
        story.say(agent, "note", "x", timestamp=later)
    assert story.say("bob", "note", "x", timestamp=later).void is None


def test_who_leads_and_is_muted_leads_no_more_and_is_not_elected() -> None:
    story = Story().founded().joined("bob")
    story.elect("bob", 1)
    story.say("alice", "agent_muted", data={"agent": "bob"})
    assert story.fleet.terms.leader is None and story.fleet.terms.resigned == "bob"
    assert "muted" in (story.elect("bob", 2).void or "")
    story.say("alice", "agent_unmuted", data={"agent": "bob"})
    assert story.elect("bob", 3).void is None


def test_the_state_comes_back_from_json(story: Story) -> None:
    story.say("alice", "agent_muted", data={"agent": "bob", "reason": "loops"})
    story.say("bob", "note")
    dumped = json.loads(json.dumps(story.fleet.dump()))
    assert json.loads(json.dumps(FleetState.load(dumped, FEATURES, Verifier()).dump())) == dumped
    assert "bob" in json.dumps(dumped["quotas"])


def test_an_author_may_hold_so_much_open_and_the_others_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    work = Work(bob=[], carol=[])
    for name, most in (
        ("TASKS_OPEN", 2),
        ("RESERVATIONS_HELD", 1),
        ("DIRECTIVES_OPEN", 1),
        ("WORKFLOWS_DEFINED", 1),
        ("WORKFLOWS_RUNNING", 1),
        ("WORKFLOWS_REQUESTED", 1),
        ("CONFLICTS_OPEN", 1),
    ):
        monkeypatch.setattr(quotas, name, most)
    definition = {"name": "w", "steps": {"a": {"title": "A"}}}

    def conflict(number: int) -> dict[str, object]:
        return {
            "a": {"name": f"a{number}", "commit": "a" * 40},
            "b": {"name": "b", "commit": "b" * 40},
            "paths": [{"path": "x", "kind": "content"}],
            "severity": "low",
        }

    said = {
        "task_created": lambda number: {"title": f"t{number}"},
        "paths_reserved": lambda number: {"paths": [f"src/{number}"], "for_s": 60},
        "directive_issued": lambda number: {"agents": ["alice"]},
        "workflow_defined": lambda number: {"definition": {**definition, "name": f"w{number}"}},
        "workflow_started": lambda number: {"definition": definition},
        "conflict_found": conflict,
    }
    for type_, data in said.items():
        for number in range(2 if type_ == "task_created" else 1):
            assert work.say("bob", type_, **data(number)) is None, type_
        refused = work.say("bob", type_, **data(7)) or ""
        assert "bob has" in refused and "one author may have no more" in refused, refused
        assert work.say("carol", type_, **data(8)) is None, type_
    assert work.story.say("bob", "note", "*workflow:start w8").void is None
    request = work.story.say("bob", "note", "*workflow:start w8").event.uid
    assert "requested starts of workflows" in work.story.fleet.refusals[request]


def test_messages_of_one_do_not_make_those_of_others_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    work = Work(bob=[], carol=[])
    monkeypatch.setattr("gitcoord.features.messages.state.KEPT_OF_ONE_MAX", 3)
    work.do("carol", "message send", text="mind this", to=["alice"])
    for number in range(9):
        work.do("bob", "message send", text=str(number), to=["alice"])
    assert [one.author for one in work.story.fleet.states["messages"].messages.values()] == [
        "carol",
        "bob",
        "bob",
        "bob",
    ]


def test_conditions_of_running_workflows_of_one_author_are_bounded_and_those_of_others_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(quotas, "CONDITION_CHARACTERS_RUNNING", 100)
    work = Work(bob=[], carol=[])

    def definition(times: int) -> dict[str, object]:
        when = " or ".join(["a.status == 'done'"] * times)  # 18 characters each
        return {"name": "w", "steps": {"a": {"title": "A"}, "b": {"title": "B", "after": ["a"], "when": when}}}

    assert work.say("bob", "workflow_started", definition=definition(3)) is None
    refused = work.say("bob", "workflow_started", definition=definition(3)) or ""
    assert refused.startswith("bob has 100 characters of conditions in running workflows"), refused
    assert work.say("carol", "workflow_started", definition=definition(3)) is None
    work.say("bob", "workflow_defined", definition=definition(3))
    request = work.story.say("bob", "note", "*workflow:start w").event.uid
    work.story.elect("alice", 9)
    started = work.story.say("alice", "workflow_started", term=9, data={"request": request})
    assert "bob has 100 characters" in work.story.fleet.refusals[started.event.uid], (
        "the quota is that of the member who requested it"
    )
    assert work.say("bob", "workflow_started", definition=definition(1)) is None
