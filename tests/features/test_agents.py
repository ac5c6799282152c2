"""Agents: what each says of itself, what the leader says of the others, and who depends on whom."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from gitcoord.core import times
from gitcoord.core.commands import Context
from gitcoord.core.errors import Refused
from gitcoord.core.liveness import ALIVE, GONE, GOODBYE, LATE, AgentLiveness
from gitcoord.features import agents
from gitcoord.features.agents import commands as agent_commands
from gitcoord.features.agents import events as agent_events
from gitcoord.features.agents.commands import ListAgents, OrderAgents, RegisterAgent, SetAgent, ShowAgent, WithdrawAgent
from tests.core.lines import NOW, Story

NINE = {
    "Risk Genius": [],
    "Session Expert": [],
    "Pattern Master": [],
    "Execution Expert": ["Risk Genius", "Pattern Master"],
    "Pair Specialist": ["Session Expert"],
    "Decision Master": ["Risk Genius", "Pattern Master", "Execution Expert"],
    "Market Microstructure Genius": ["Execution Expert"],
    "Sentiment Integration Genius": ["Decision Master"],
    "AI Model Coordinator": [
        "Risk Genius",
        "Session Expert",
        "Pattern Master",
        "Execution Expert",
        "Pair Specialist",
        "Decision Master",
        "Market Microstructure Genius",
        "Sentiment Integration Genius",
    ],
}


def story(*others: str) -> Story:
    return Story().founded().joined(*others)


def register(one: Story, agent: str, *capabilities: str, **data: Any) -> str | None:
    """Why it changed nothing; None when it did."""
    uid = one.say(agent, "agent_registered", data={"capabilities": list(capabilities), **data}).event.uid
    return one.fleet.refusals.get(uid)


def nine() -> Story:
    one = story(*NINE)
    for agent, needs in NINE.items():
        assert register(one, agent, "trading", depends_on=needs) is None
    return one


def ctx(one: Story, actor: str = "alice", now: str = NOW, **seen: AgentLiveness) -> Context:
    return Context(one.fleet, now, actor, f"node-{actor.lower()}", liveness=seen)


def standing(agent: str, state: str, *, session: str = "s1", silent_s: float = 0.0) -> AgentLiveness:
    return AgentLiveness(agent, state, f"node-{agent}", session, silent_s, 1.0)


def rows(one: Story, **asked: Any) -> dict[str, Any]:
    return {row["agent"]: row for row in agent_commands.list_(ctx(one), ListAgents.model_validate(asked))}


# What an agent says of itself


def test_whoever_registers_is_listed_with_what_it_can_do() -> None:
    one = story("bob", "carol")
    register(one, "bob", "Python", " backend ", "python", role="developer", slots=2)
    one.say("bob", "agent_status_changed", data={"status": "busy", "task": "the parser", "workload": 0.7})
    listed = rows(one)
    assert listed["bob"]["capabilities"] == ["python", "backend"]
    assert (listed["bob"]["status"], listed["bob"]["task"], listed["bob"]["workload"]) == ("busy", "the parser", 0.7)
    assert not listed["carol"]["registered"]  # a member all the same
    assert list(rows(one, registered=True)) == list(rows(one, capability="BACKEND")) == ["bob"]
    assert list(rows(one, status="busy")) == ["bob"]


def test_seeds_way_of_writing_capabilities_is_read() -> None:
    given = RegisterAgent.model_validate({"capabilities": ["python,backend", "API"]})
    assert given.capabilities == ["python", "backend", "api"]


def test_registering_again_says_it_anew_and_keeps_status() -> None:
    one = story("bob")
    register(one, "bob", "python", role="developer")
    one.say("bob", "agent_status_changed", data={"status": "busy", "workload": 0.5})
    register(one, "bob", "rust")
    assert (rows(one)["bob"]["capabilities"], rows(one)["bob"]["role"]) == (["rust"], "")
    assert (rows(one)["bob"]["status"], rows(one)["bob"]["workload"]) == ("busy", 0.5)


def test_set_changes_only_what_it_names() -> None:
    one = story("bob")
    register(one, "bob", "python", role="developer", backup="alice")
    [told] = agent_commands.set_(ctx(one, "bob"), SetAgent(workload=0.2))
    assert told.data == {"agent": "bob", "workload": 0.2}
    [registered, told] = agent_commands.set_(ctx(one, "bob"), SetAgent(role="tester", status="idle", backup=""))
    assert registered.data["role"] == "tester" and registered.data["capabilities"] == ["python"]
    assert registered.data["backup"] is None
    assert told.data == {"agent": "bob", "status": "idle"}


def test_somebody_else_may_pause_an_agent_but_not_speak_for_it() -> None:
    one = story("bob")
    register(one, "bob", "python")
    [paused] = agent_commands.set_(ctx(one), SetAgent(agent="BOB", status="paused"))
    one.say("alice", paused.type, data=dict(paused.data))
    assert rows(one)["bob"]["status"] == "paused"
    assert agents.available(ctx(one)) == []
    with pytest.raises(Refused, match="only bob can change its own registration"):
        agent_commands.set_(ctx(one), SetAgent(agent="bob", role="cook"))
    with pytest.raises(Refused, match="alice is not registered"):
        agent_commands.set_(ctx(one), SetAgent(status="idle"))
    with pytest.raises(Refused, match="nothing to set"):
        agent_commands.set_(ctx(one, "bob"), SetAgent())


def test_leaving_ends_the_registration_and_so_does_leaving_the_fleet() -> None:
    one = story("bob", "carol")
    register(one, "bob")
    register(one, "carol")
    [left] = agent_commands.leave(ctx(one, "bob"), WithdrawAgent())
    one.say("bob", left.type, data=dict(left.data))
    one.say("carol", "agent_left")
    assert rows(one, registered=True) == {}
    with pytest.raises(Refused, match="bob is not registered"):
        agent_commands.leave(ctx(one, "bob"), WithdrawAgent())


@pytest.mark.parametrize(
    ("wish", "why"),
    [
        ({"backup": "bob"}, "cannot be its own backup"),
        ({"backup": "nobody"}, "no agent 'nobody'"),
        ({"depends_on": ["nobody"]}, "no agent 'nobody'"),
        ({"depends_on": ["Bob"]}, "form a cycle: bob → bob"),
    ],
)
def test_what_cannot_be_is_refused(wish: dict[str, Any], why: str) -> None:
    with pytest.raises(Refused, match=why):
        agent_commands.register(ctx(story("bob"), "bob"), RegisterAgent.model_validate(wish))


@pytest.mark.parametrize("wish", [{"workload": 1.5}, {"status": "gone"}, {"slots": 0}, {"capabilities": ["x" * 65]}])
def test_what_is_no_value_is_refused(wish: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SetAgent.model_validate(wish)


def test_an_agent_that_begins_to_work_is_enrolled_once() -> None:
    one = story("bob")
    events = agents.enrolled(ctx(one, "bob"), capabilities=["python,backend"], slots=2)
    assert [event.type for event in events] == ["agent_registered", "agent_status_changed"]
    for event in events:
        one.say("bob", event.type, data=dict(event.data))
    assert rows(one)["bob"]["status"] == "active"
    assert agents.enrolled(ctx(one, "bob"), slots=2) == []
    [changed] = agents.enrolled(ctx(one, "bob"), capabilities=["rust"], slots=2)
    assert changed.data["capabilities"] == ["rust"]


# Dependencies


def test_a_cycle_is_refused_with_its_agents_named() -> None:
    one = story("bob", "carol")
    register(one, "alice", depends_on=["bob"])
    register(one, "bob", depends_on=["Carol"])
    with pytest.raises(Refused, match="carol → alice → bob → carol"):
        agent_commands.register(ctx(one, "carol"), RegisterAgent(depends_on=["alice"]))
    assert register(one, "carol", depends_on=["alice"]) == (
        "the dependencies would form a cycle: carol → alice → bob → carol"
    )
    assert "carol" not in one.fleet.states["agents"].agents


def test_the_order_of_start_is_by_layers() -> None:
    found = agent_commands.order(ctx(nine()), OrderAgents())
    assert [layer["agents"] for layer in found] == [
        ["Pattern Master", "Risk Genius", "Session Expert"],
        ["Execution Expert", "Pair Specialist"],
        ["Decision Master", "Market Microstructure Genius"],
        ["Sentiment Integration Genius"],
        ["AI Model Coordinator"],
    ]
    named = agent_commands.order(ctx(nine()), OrderAgents(agents=["Decision Master"]))
    assert [layer["agents"] for layer in named] == [
        ["Pattern Master", "Risk Genius"],
        ["Execution Expert"],
        ["Decision Master"],
    ]


def test_the_order_of_restoring_has_only_those_that_are_down() -> None:
    one = nine()
    seen = {name.casefold(): standing(name, ALIVE) for name in NINE}
    for name in ("Decision Master", "Risk Genius"):
        seen[name.casefold()] = standing(name, GONE)
    assert [layer["agents"] for layer in agent_commands.order(ctx(one, **seen), OrderAgents(down=True))] == [
        ["Risk Genius"],
        ["Decision Master"],
    ]


def test_one_is_shown_with_whom_it_needs_and_who_needs_it() -> None:
    found = agent_commands.show(ctx(nine()), ShowAgent(agent="execution expert"))
    assert found["needs"] == [{"agent": "Risk Genius", "status": "idle"}, {"agent": "Pattern Master", "status": "idle"}]
    assert found["needed_by"] == [
        "Decision Master",
        "Market Microstructure Genius",
        "AI Model Coordinator",
        "Sentiment Integration Genius",
    ]
    assert agent_commands.show(ctx(nine()), ShowAgent(agent="alice"))["registered"] is False
    with pytest.raises(Refused, match="no agent 'nobody'"):
        agent_commands.show(ctx(nine()), ShowAgent(agent="nobody"))


# Liveness


def led() -> Story:
    one = story("bob", "carol", "dave", "eve")
    for agent in ("alice", "bob", "carol", "dave", "eve"):
        register(one, agent, "python")
    one.elect("alice", 1)
    return one


def tick(one: Story, now: str = NOW, **seen: AgentLiveness) -> list[str]:
    """The leader looks, and what it ought to say is said."""
    duties = list(agents.duty(one.fleet.states["agents"], ctx(one, now=now, **seen)))
    for duty in duties:
        draft = duty.draft(actor="alice", term=one.fleet.terms.term, timestamp=now, uid="0" * 16)
        sequenced = one.say(
            "alice", draft.type, draft.content, data=dict(draft.data), re=draft.re, term=draft.term, timestamp=now
        )
        assert sequenced.void is None and sequenced.event.uid not in one.fleet.refusals
    return [duty.type for duty in duties]


def test_each_turn_of_an_agents_liveness_is_told_once() -> None:
    one = led()
    assert tick(one, bob=standing("bob", ALIVE)) == []
    assert tick(one, bob=standing("bob", LATE, silent_s=2.1)) == []  # a moment
    for state, told in (
        (LATE, "agent_suspected"),
        (GONE, "agent_lost"),
        (ALIVE, "agent_returned"),
        (GONE, "agent_lost"),
        (ALIVE, "agent_returned"),
        (GOODBYE, "agent_departed"),
        (ALIVE, "agent_returned"),
    ):
        assert tick(one, bob=standing("bob", state, silent_s=2.6)) == [told]
        assert tick(one, bob=standing("bob", state, silent_s=2.6)) == []
    assert one.fleet.refusals == {}


def test_status_shows_who_is_gone_and_work_goes_to_nobody_that_is() -> None:
    one = led()
    seen = {
        "alice": standing("alice", ALIVE),
        "bob": standing("bob", GONE),
        "carol": standing("carol", GOODBYE),
        "dave": standing("dave", LATE),
    }
    listed = {row["agent"]: row for row in agent_commands.list_(ctx(one, **seen), ListAgents())}
    assert [listed[name]["status"] for name in ("alice", "bob", "carol", "dave", "eve")] == [
        "idle",
        "gone",
        "offline",
        "idle",
        "idle",
    ]
    assert listed["eve"]["liveness"] == "silent"  # has never sent a heartbeat
    assert [one.id for one in agents.available(ctx(one, **seen))] == ["alice", "dave"]


def test_only_the_leader_may_say_how_others_are() -> None:
    one = led()
    assert "only the leader" in str(one.say("bob", "agent_lost", data={"agent": "carol"}).void)
    assert rows(one)["carol"]["status"] == "idle"


def test_a_leader_that_loses_half_the_fleet_at_once_looks_again_first() -> None:
    one = led()

    def seen(silent_s: float, *gone: str) -> dict[str, AgentLiveness]:
        return {
            name: standing(name, GONE if name in gone else ALIVE, silent_s=silent_s if name in gone else 0.0)
            for name in ("alice", "bob", "carol", "dave", "eve")
        }

    assert tick(one, NOW, **seen(4, "bob")) == ["agent_lost"]  # one is no mystery
    assert tick(one, NOW, **seen(4, "bob", "carol", "dave")) == ["sight_doubted"]
    assert tick(one, times.later(NOW, 0.5), **seen(4.5, "bob", "carol", "dave")) == []  # not even a promise later
    assert tick(one, times.later(NOW, 1.0), **seen(0, "bob")) == []  # they were there
    again = times.later(NOW, 60)
    assert tick(one, again, **seen(4, "bob", "carol", "dave")) == ["sight_doubted"]  # another silence, another doubt
    assert tick(one, times.later(again, 1.0), **seen(5, "bob", "carol", "dave", "eve")) == ["agent_lost"] * 3


def test_a_new_leader_does_not_go_by_the_doubts_of_the_old_one() -> None:
    one = led()
    gone = {name: standing(name, GONE, silent_s=4) for name in ("bob", "carol", "dave")}
    assert tick(one, NOW, **gone) == ["sight_doubted"]
    one.elect("alice", 2)
    later = {name: standing(name, GONE, silent_s=9) for name in ("bob", "carol", "dave")}
    assert tick(one, times.later(NOW, 5), **later) == ["sight_doubted"]


def test_a_supervisors_word_counts_at_once_and_the_dead_sessions_last_beat_is_no_return() -> None:
    one = led()
    one.say("bob", "agent_exited", data={"session": "s1", "code": -9})
    assert rows(one)["bob"]["status"] == "gone"
    assert tick(one, bob=standing("bob", ALIVE, session="s1")) == []
    assert [one.id for one in agents.available(ctx(one, bob=standing("bob", ALIVE, session="s1")))] == []
    assert tick(one, bob=standing("bob", ALIVE, session="s2")) == ["agent_returned"]


def test_there_is_a_limit_to_how_many_register() -> None:
    one = story("bob")
    state = one.fleet.states["agents"]
    register(one, "alice")
    state.agents.update({f"agent{n}": state.agents["alice"] for n in range(agent_events.REGISTERED_MAX - 1)})
    assert register(one, "bob") == "1000 agents are registered already: run `gitcoord agent leave` for one of them"


def test_a_backup_can_do_what_the_other_could_until_that_one_is_back() -> None:
    one = led()
    register(one, "bob", "rust")
    register(one, "carol", "python")

    def leader(type_: str, **data: str) -> str | None:
        uid = one.say("alice", type_, data=data, term=1).event.uid
        return one.fleet.refusals.get(uid)

    assert leader("backup_activated", agent="bob", backup="Carol") is None
    assert (rows(one)["carol"]["capabilities"], rows(one)["carol"]["stands_in_for"]) == (["python", "rust"], ["bob"])
    assert agents.enrolled(ctx(one, "carol"), capabilities=["python"])[0].type == "agent_status_changed"
    register(one, "carol", "go")
    assert rows(one)["carol"]["capabilities"] == ["go", "rust"]
    assert leader("agent_returned", agent="bob") is None
    assert rows(one)["carol"]["capabilities"] == ["go"]
    assert leader("backup_activated", agent="bob", backup="BOB") == "bob cannot be its own backup"
    assert leader("backup_activated", agent="bob", backup="nobody") == "nobody is not registered"
    void = one.say("bob", "backup_activated", data={"agent": "carol", "backup": "bob"}).void
    assert "only the leader" in str(void)


def test_a_supervisor_announces_an_agent_once_for_each_node() -> None:
    one = story("bob")
    [told] = agents.announced(ctx(one, "bob"), capabilities=["python"], backup="alice", role="developer")
    assert told.data["supervised"] and told.data["backup"] == "alice"
    one.say("bob", told.type, data=dict(told.data))
    assert agents.announced(ctx(one, "bob"), capabilities=["python"], backup="alice", role="developer") == []
    assert agents.announced(ctx(one, "bob"), capabilities=["rust"]) != []
    with pytest.raises(Refused, match="its own backup"):
        agents.announced(ctx(one, "bob"), backup="bob")
