"""`agent run` with real processes: who leads, who follows, who takes over, and who may not run twice."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

from gitcoord.core.format.event import Event
from gitcoord.node import peers
from tests.system.fleet import Clone, Fleet, children_of, is_alive
from tests.waiting import wait_until

SLACK_S = 8.0  # for two shared processors; the bound itself is computed


def test_one_leads_the_other_follows_and_a_killed_leader_is_replaced_within_the_bound(
    pair: tuple[Clone, Clone],
) -> None:
    alice, bob = pair
    leader = alice.start()
    leader.wait_for("leader", "alice leads term 1 (here)")
    follower = bob.start()
    follower.wait_for("leader", "alice leads term 1")
    bound_s = float(bob.json("elect", "--explain")["bound_s"])
    wait_for_beats(bob, "alice", 3)
    leader.kill()
    killed_s = time.monotonic()
    follower.wait_for("leader", "bob leads term 2 (here)")
    assert time.monotonic() - killed_s < bound_s + SLACK_S
    assert 0 < bound_s < 6


def wait_for_beats(clone: Clone, agent: str, times: int) -> None:
    """Until the clone has seen so many different heartbeats of the agent."""
    numbers: set[int] = set()
    with clone.node() as node:

        def heard() -> bool:
            numbers.update(heartbeat.data["n"] for heartbeat in peers.live_heartbeats(node) if heartbeat.actor == agent)
            return len(numbers) >= times

        wait_until(heard, what=f"{times} heartbeats of {agent}")


def test_who_says_goodbye_is_replaced_at_once(pair: tuple[Clone, Clone]) -> None:
    alice, bob = pair
    leader = alice.start()
    leader.wait_for("leader", "(here)")
    follower = bob.start()
    assert leader.terminate() == 0
    follower.wait_for("leader", "bob leads term 2 (here)")
    types = [event.type for _, event in events(bob)]
    assert "leader_resigned" in types
    assert leader.said("goodbye") == ["goodbye"]
    [(_, election)] = [(at, event) for at, event in events(bob) if event.type == "leader_election" and at > 3]
    assert "no sign" not in election.data["reason"]  # it did not have to wait for silence


def events(clone: Clone) -> list[tuple[int, Event]]:
    with clone.node() as node:
        node.sync(tick=False)
        return list(node.events())


def test_who_resigns_lets_another_one_lead_and_stays(pair: tuple[Clone, Clone]) -> None:
    alice, bob = pair
    leader = alice.start()
    leader.wait_for("leader", "(here)")
    follower = bob.start()
    alice.run("elect", "--resign")
    follower.wait_for("leader", "bob leads term 2 (here)")
    leader.wait_for("leader", "bob leads term 2")
    assert bob.run("elect", "--resign", "--as", "alice", code=None).returncode == 3


def test_who_may_not_lead_does_not(pair: tuple[Clone, Clone]) -> None:
    alice, bob = pair
    idle = alice.start("--no-lead")
    wait_for_beats(alice, "alice", 1)
    assert alice.json("elect", "--status")["leader"] is None
    leader = bob.start()
    idle.wait_for("leader", "bob leads term 1")
    assert leader.terminate() == 0
    wait_until(lambda: bob.json("elect", "--status")["leader"] is None, what="bob to resign")
    assert "nobody leads" in idle.wait_for("leader", "nobody leads", times=2)


def test_once_does_what_is_due_and_goes(pair: tuple[Clone, Clone]) -> None:
    alice, bob = pair
    bob.append("question", "Is anybody there?", "--no-sync")
    bob.run("sync")
    alice.run("agent", "run", "--once")
    [first, *_] = [event for _, event in events(bob) if event.type == "question"]
    assert first.content == "Is anybody there?"
    with bob.node() as node:
        page = node.store.blob(node.store.tree(node.store.commit(node.home.tip or "").tree)["communication.md"].oid)
    assert b"Is anybody there?" in page
    assert bob.json("elect", "--status")["leader"] is None


def test_once_beside_a_leader_leaves_it_in_its_seat(pair: tuple[Clone, Clone]) -> None:
    alice, bob = pair
    leader = alice.start()
    leader.wait_for("leader", "(here)")
    bob.run("agent", "run", "--once")
    assert alice.json("elect", "--status")["leader"] == {"agent": "alice", "term": 1}


def test_for_ends_by_itself_with_a_goodbye(pair: tuple[Clone, Clone]) -> None:
    done = pair[0].run("agent", "run", "--for", "1", "--json-logs")
    assert '"kind": "goodbye"' in done.stdout


def test_several_agents_in_one_process_beat_in_one_outbox(fleet: Fleet) -> None:
    node = fleet.clone("alice")
    for name in ("bob", "Agent A"):
        node.run("init", "--agent", name)
    run = node.start(ids=["alice", "bob", "Agent A", "BOB"])
    run.wait_for("leader", "(here)")
    wait_until(lambda: alive(node) >= {"alice", "bob", "Agent A"}, what="three agents to send heartbeats")
    assert run.terminate() == 0
    states = {agent["id"]: agent["state"] for agent in node.json("status")["agents"]}
    assert states == {"alice": "goodbye", "bob": "goodbye", "Agent A": "goodbye"}


def alive(clone: Clone) -> set[str]:
    with clone.node() as node:
        return {heartbeat.actor for heartbeat in peers.live_heartbeats(node) if heartbeat.data.get("state") == "alive"}


def test_several_processes_on_a_node_keep_each_others_beats_and_depose_nobody(fleet: Fleet) -> None:
    node, other = fleet.clone("alice"), fleet.clone("carol")
    node.run("init", "--agent", "bob")
    leader = node.start()
    leader.wait_for("leader", "alice leads term 1 (here)")
    second, third = node.start(ids=["bob"]), other.start()
    for number in range(6):  # a command's push must not take the heartbeats away either
        node.append("note", f"number {number}", "--wait", "sequenced")
        assert alive(node) >= {"alice", "bob"}
    wait_for_beats(other, "alice", 4)
    assert [line for run in (leader, second, third) for line in run.said("leader") if "term 2" in line] == []
    leader.kill()
    second_or_third = [second, third]
    wait_until(
        lambda: any(run.said("leader")[-1:] and "term 2 (here)" in run.said("leader")[-1] for run in second_or_third),
        what="a successor on either node",
    )


def test_the_same_agent_runs_once_and_the_second_is_told_where(pair: tuple[Clone, Clone], tmp_path: Path) -> None:
    alice, bob = pair
    first = alice.start()
    first.wait_for("leader", "(here)")
    again = alice.run("agent", "run", "--for", "20", code=3)
    with alice.node() as node:
        name = node.disk.node
    assert "runs on this node already" in again.stderr and name in again.stderr
    copy_key(alice, bob)
    elsewhere = bob.run("agent", "run", "--id", "alice", "--for", "20", code=3)
    assert f"alice runs on node {name}" in elsewhere.stderr and "--takeover" in elsewhere.stderr
    assert first.process.poll() is None and first.said("lost") == []


def copy_key(one: Clone, other: Clone) -> None:
    name = f"{one.agent}.key"
    shutil.copy(one.home / "keys" / name, other.home / "keys" / name)  # with its mode: others may not read it


def test_a_takeover_ends_the_old_run_and_leads_in_its_place(pair: tuple[Clone, Clone]) -> None:
    alice, bob = pair
    old = alice.start()
    old.wait_for("leader", "(here)")
    copy_key(alice, bob)
    new = bob.start("--takeover", ids=["alice"])
    assert old.wait() == 3
    assert "alice was taken over" in old.complaint()
    new.wait_for("leader", "alice leads term 2 (here)")
    with bob.node() as node:
        node.sync()
        heartbeats = {
            heartbeat.node: heartbeat.data["state"]
            for heartbeat in node.replica.heartbeats()
            if heartbeat.actor == "alice"
        }
    with alice.node() as node:
        assert heartbeats[node.disk.node] == "goodbye"
    assert new.process.poll() is None


def test_two_runs_of_one_agent_that_began_at_once_end_as_one(pair: tuple[Clone, Clone]) -> None:
    alice, bob = pair
    copy_key(alice, bob)
    runs = [
        alice.launch("-m", "gitcoord", "agent", "run", "--json-logs"),
        bob.launch("-m", "gitcoord", "agent", "run", "--json-logs", "--id", "alice"),
    ]
    ended = wait_until(lambda: [run for run in runs if run.process.poll() is not None], what="one of the two to end")
    assert len(ended) == 1 and ended[0].process.returncode == 3, ended[0].complaint()
    assert "runs on node" in ended[0].complaint()
    [stays] = [run for run in runs if run not in ended]
    stays.wait_for("leader", "(here)")


def test_a_killed_leader_that_starts_again_stands_at_once_in_place_of_its_dead_session(
    pair: tuple[Clone, Clone],
) -> None:
    alice, bob = pair
    first = alice.start()
    first.wait_for("leader", "(here)")
    first.kill()
    second = alice.start()
    second.wait_for("leader", "alice leads term 2 (here)")
    elections = [event for _, event in events(bob) if event.type == "leader_election"]
    assert "in place of its own session" in elections[-1].data["reason"]


def test_wrong_names_are_refused_with_what_to_do(fleet: Fleet) -> None:
    alice = fleet.clone("alice")
    assert "gitcoord init --agent 'nobody'" in alice.run("agent", "run", "--id", "nobody", "--once", code=2).stderr
    run = alice.start(ids=["ALICE"])
    assert "alice on node" in run.said("start")[0]  # as the fleet writes it
    run.wait_for("leader", "alice leads")


def test_nothing_is_left_behind_and_the_second_signal_does_not_wait(pair: tuple[Clone, Clone]) -> None:
    alice = pair[0]
    run = alice.start("--on-event", "sleep 1000")
    run.wait_for("leader", "(here)")
    pair[1].append("question", "Are you busy?", "--to", "alice", "--wait", "sequenced")
    sleeping = wait_until(
        lambda: {pid for pid in children_of(run.pid) if command_of(pid).startswith("sleep")},
        what="the command to start",
    )
    everyone = children_of(run.pid)
    os.kill(run.pid, signal.SIGINT)
    assert run.wait() == 0
    wait_until(lambda: not any(is_alive(pid) for pid in everyone | sleeping), what="all children to be gone")


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""
