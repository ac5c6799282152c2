"""Supervised agents that are killed: each strategy, by real processes; alerts and all."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

from tests.system.fleet import Agent, Clone, Fleet, is_alive
from tests.waiting import wait_until

# Two agents that need each other's work done, and one on another machine.
FLEET = """
[agents.bob]
capabilities = ["python", "rust"]
exec = 'echo done by $GITCOORD_AGENT'

[agents.carol]
capabilities = ["python"]
depends_on = ["bob"]
exec = 'echo done by $GITCOORD_AGENT'
"""


def supervise(clone: Clone, text: str, **environment: str) -> Agent:
    """A supervisor whose agents are all up."""
    (clone.path / "fleet.toml").write_text(text)
    supervisor = clone.launch("-m", "gitcoord", "fleet", "start", "fleet.toml", "--json", **environment)
    for name in text.split("[agents.")[1:]:
        supervisor.wait_for("up", f"{name.split(']')[0]} is up")
    return supervisor


def pid_of(clone: Clone, agent: str) -> int:
    [found] = [one["pid"] for one in clone.json("fleet", "status")["agents"] if one["agent"] == agent]
    return int(found)


def recoveries(clone: Clone) -> dict[str, Any]:
    return {one["agent"]: one for one in clone.json("recovery", "list")["items"]}


def outcome(clone: Clone, agent: str, wanted: str) -> dict[str, Any]:
    """The agent's newest recovery, once it has come to that."""

    def found() -> dict[str, Any] | None:
        clone.run("sync", code=None)
        one = recoveries(clone).get(agent)
        return one if one is not None and one["outcome"] == wanted else None

    return wait_until(found, what=f"{agent} to be {wanted}")


def test_a_killed_agent_is_started_again_all_end_with_their_supervisor_and_the_next_one_goes_on(fleet: Fleet) -> None:
    clone = fleet.clone("alice")
    supervisor = supervise(clone, FLEET)
    assert [line for line in supervisor.said() if " is up" in line] == ["bob is up", "carol is up"]  # in that order
    first = pid_of(clone, "bob")
    os.killpg(first, signal.SIGKILL)
    found = outcome(clone, "bob", "restarted")
    assert found["automatic"] and [step["strategy"] for step in found["steps"]] == ["restart", "restarted"]
    supervisor.wait_for("up", "bob is up", times=2)
    second, third = pid_of(clone, "bob"), pid_of(clone, "carol")
    assert second != first
    task = clone.json("task", "create", "prove it", "--needs", "rust")["ids"][0]
    wait_until(lambda: clone.json("task", "show", task)["status"] == "done", what="the task")
    assert clone.run("fleet", "start", "fleet.toml", code=3).stderr.startswith("gitcoord: a supervisor runs")
    supervisor.kill()
    wait_until(lambda: not is_alive(second) and not is_alive(third), what="all to end with it")
    again = supervise(clone, FLEET)
    clone.run("fleet", "stop")
    assert again.wait() == 0
    assert clone.json("fleet", "status")["running"] is False
    assert {one["agent"]: one["liveness"] for one in clone.json("agent", "list", "--registered")["items"]} == {
        "bob": "goodbye",
        "carol": "goodbye",
    }


def test_where_no_restart_helps_backup_redistribution_degradation_and_escalation_follow(
    fleet: Fleet, tmp_path: Path
) -> None:
    """alice leads on another machine, with an address for alerts; bob's whole machine goes, agent by agent."""
    alice, machine = fleet.clone("alice"), fleet.clone("carol")
    alert = tmp_path / "alerts"
    leader = alice.start("--capabilities", "python", GITCOORD_ALERTS=f"json://127.0.0.1:{_receiver(fleet, alert)}/")
    leader.wait_for("leader", "(here)")
    alice.run("config", "set", "recovery", "backup,redistribute,degrade,escalate")
    text = FLEET + '[agents.dave]\ncapabilities = ["python"]\n'
    supervise(machine, text.replace('["python", "rust"]', '["python", "rust"]\nbackup = "carol"'))
    os.killpg(pid_of(machine, "bob"), signal.SIGKILL)
    assert outcome(alice, "bob", "backup")["automatic"]
    assert "rust" in _agent(alice, "carol")["capabilities"]
    task = alice.json("task", "create", "for the backup", "--needs", "rust")["ids"][0]
    wait_until(lambda: _task(alice, task)["status"] == "done", what="the task")
    assert _task(alice, task)["agent"] == "carol"

    os.killpg(pid_of(machine, "dave"), signal.SIGKILL)
    assert outcome(alice, "dave", "redistributed")["automatic"]  # alice can do python as well, and nobody needs dave
    os.killpg(pid_of(machine, "carol"), signal.SIGKILL)
    found = outcome(alice, "carol", "escalated")
    assert [step["strategy"] for step in found["steps"]] == ["redistribute", "degrade", "escalate"]
    assert "no other agent can do rust" in found["steps"][1]["text"]  # nor bob, in whose place it was
    told = wait_until(lambda: alert.exists() and alert.read_text(), what="the alert")
    assert "carol" in told and "a person must take care of it" in told
    wait_until(lambda: alice.json("alerts")["items"][0]["sent"], what="the ledger to say so")
    rate = alice.json("recovery", "rate")
    assert (rate["recoveries"], rate["automatic"]) == (3, 2)


def test_a_fleet_that_starts_during_an_outage_waits_until_its_agents_have_joined(fleet: Fleet) -> None:
    clone, remote = fleet.clone("alice"), fleet.folder / "remote.git"
    (clone.path / "fleet.toml").write_text(FLEET)
    remote.rename(remote.with_suffix(".away"))
    supervisor = clone.launch("-m", "gitcoord", "fleet", "start", "fleet.toml", "--json")
    assert "the agents start as soon as all have joined" in supervisor.wait_for("unreachable")
    assert clone.json("fleet", "status")["running"] and not supervisor.said("start")
    remote.with_suffix(".away").rename(remote)
    for name in ("bob", "carol"):
        supervisor.wait_for("up", f"{name} is up")
    assert supervisor.terminate() == 0
    registered = clone.json("agent", "list", "--registered")["items"]
    assert sorted(one["agent"] for one in registered) == ["bob", "carol"]


def test_a_fleet_whose_agents_have_joined_before_starts_without_the_remote(fleet: Fleet) -> None:
    clone, remote = fleet.clone("alice"), fleet.folder / "remote.git"
    supervisor = supervise(clone, FLEET)
    assert supervisor.terminate() == 0
    remote.rename(remote.with_suffix(".away"))
    again = clone.launch("-m", "gitcoord", "fleet", "start", "fleet.toml", "--json")
    assert "starting all the same" in again.wait_for("unreachable")
    again.wait_for("start", "bob starts")
    remote.with_suffix(".away").rename(remote)
    again.wait_for("up", "carol is up")
    assert again.terminate() == 0


def test_a_fleet_that_is_told_to_stop_while_it_waits_for_the_remote_ends(fleet: Fleet) -> None:
    clone, remote = fleet.clone("alice"), fleet.folder / "remote.git"
    (clone.path / "fleet.toml").write_text(FLEET)
    remote.rename(remote.with_suffix(".away"))
    supervisor = clone.launch("-m", "gitcoord", "fleet", "start", "fleet.toml", "--json")
    supervisor.wait_for("unreachable")
    assert supervisor.terminate() == 0 and not supervisor.said("start")


def _agent(clone: Clone, agent: str) -> dict[str, Any]:
    shown: dict[str, Any] = clone.json("agent", "show", agent)
    return shown


def _task(clone: Clone, task: str) -> dict[str, Any]:
    shown: dict[str, Any] = clone.json("task", "show", task)
    return shown


RECEIVER = """
import http.server, json, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        text = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["message"]
        open(sys.argv[1], "a").write(text + "\\n")
        self.send_response(200); self.end_headers()
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print(json.dumps({"kind": "port", "text": str(server.server_port)}), flush=True)
server.serve_forever()
"""


def _receiver(fleet: Fleet, told: Path) -> int:
    """The port of a webhook that writes down what it is told."""
    receiver = Agent(["-c", RECEIVER, str(told)], fleet.folder, fleet.next_log())
    fleet.agents.append(receiver)
    return int(json.loads(json.dumps(receiver.wait_for("port"))))
