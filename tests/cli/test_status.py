"""`gitcoord status`: one screen from what was seen last, without asking the remote."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from typing import Any

from tests.cli.clones import Clone, gitcoord
from tests.waiting import WAIT_S, wait_until


def test_the_json_has_the_documented_fields(alice: Clone) -> None:
    value = alice("status", "--json").json()
    assert value["schema"] == "gitcoord.status/1"
    assert set(value) >= {"fleet", "node", "online", "queue", "ledger", "leader", "agents", "errors", "paths"}
    assert value["online"] is True and value["leader"] is None
    assert value["queue"] == {"events": 0, "oldest_s": 0.0, "durable": 0}
    assert value["ledger"]["position"] == 1 and len(value["ledger"]["tip"]) == 40
    assert [(one["id"], one["state"]) for one in value["agents"]] == [("alice", "silent")]
    assert value["paths"]["home"] == str(alice.home)


def test_it_does_not_ask_the_remote(alice: Clone, bob: Clone) -> None:
    bob("append", "note", "new")
    assert alice("status", "--json").json()["ledger"]["position"] == 1
    alice("sync")
    assert alice("status", "--json").json()["ledger"]["position"] == 3


def test_an_outage_comes_first_with_the_queue(alice: Clone) -> None:
    with alice.outage():
        alice("append", "note", "waits")
    value = alice("status", "--json").json()
    assert value["online"] is False and value["queue"]["events"] == 1
    first, second = alice("status").out.splitlines()[:2]
    assert first.startswith("! offline: ") and "1 event queued" in first and "gitcoord doctor" in first
    assert not second, "an outage is said once, and nothing else can be done meanwhile"


def test_an_outage_that_is_over_is_history(alice: Clone, bob: Clone) -> None:
    text = "offline after 5 retries: no route to host" + ", says git" * 20
    with alice.outage():
        alice("append", "error", text)
        assert [line for line in alice("status").out.splitlines() if "5 retries" in line] == []
    alice("sync")
    told = bob("sync") and bob("status")
    assert not any(line.startswith("! ") and "retries" in line for line in told.out.splitlines())
    [line] = [line for line in told.out.splitlines() if line.startswith("errors")]
    assert "offline after 5 retries: no route" in line and line.endswith("…") and len(line) < 200
    assert bob("status", "--json").json()["errors"][0]["text"] == text


def test_an_error_is_said_once_also_while_the_queue_still_holds_what_the_ledger_has(alice: Clone) -> None:
    alice("append", "error", "the build broke")
    assert len([line for line in alice("status").out.splitlines() if "the build broke" in line]) == 1
    assert len(alice("status", "--json").json()["errors"]) == 1


def test_a_running_agent_is_alive_and_leads_until_it_says_goodbye(alice: Clone, bob: Clone) -> None:
    runner = bob.start("agent", "run", "--quiet")

    def bobs() -> dict[str, object]:
        alice("sync")
        value = alice("status", "--json").json()
        return next(one for one in value["agents"] if one["id"] == "bob") | {"leader": value["leader"]}

    try:
        wait_until(lambda: bobs()["leads"], what="bob to lead")
        seen = bobs()
        assert seen["state"] == "alive" and seen["leader"]["agent"] == "bob"  # type: ignore[index]
        assert "leads, seen " in alice("status").out
        assert bob("status", "--json").json()["running"] == ["bob"]
    finally:
        runner.send_signal(signal.SIGTERM)
        runner.communicate(timeout=WAIT_S)
    seen = bobs()
    assert seen["state"] == "goodbye" and seen["leader"] is None


def test_a_killed_agent_grows_late_and_is_gone_but_not_by_our_own_silence(alice: Clone, bob: Clone) -> None:
    runner = bob.start("agent", "run", "--quiet", "--no-lead")

    def state() -> str:
        [one] = [one for one in alice("status", "--json").json()["agents"] if one["id"] == "bob"]
        return str(one["state"])

    def looked() -> str:
        alice("sync")
        return state()

    wait_until(lambda: looked() == "alive", what="a heartbeat")
    runner.kill()
    runner.communicate()
    assert state() == "alive"
    wait_until(lambda: looked() == "gone", what="three promises to pass")
    with alice.outage():
        alice("sync", code=4)
        assert state() == "gone"


def test_an_agent_that_is_gone_and_whom_nobody_replaced_is_told_of(alice: Clone) -> None:
    alice("sync")
    path = alice.home / "cache" / "status.json"
    glance = json.loads(path.read_bytes())
    assert alice("status", "--json").json()["lost"] == glance["lost"] == []
    lost = [{"agent": "bob", "since": "2026-11-21T10:00:00.000Z", "outcome": "escalated"}]
    path.write_text(json.dumps({**glance, "lost": lost}))
    told = alice("status", "--json").json()
    assert told["lost"] == lost
    assert any("bob is gone, since" in line and "a person has to take care of it" in line for line in told["attention"])


def test_a_task_whose_holder_is_gone_comes_first(alice: Clone, bob: Clone) -> None:
    task = alice("task", "create", "Fix the parser", "--json").json()["task"]["id"]
    bob("task", "claim", task)
    alice("sync")
    assert alice("status", "--json").json()["stale"] == []  # bob is on the command line, and wrote just now
    alice("config", "set", "task_lease_s", "1")
    bob("sync")

    def stale() -> list[dict[str, Any]]:
        return list(bob("status", "--json").json()["stale"])

    [row] = wait_until(stale, what="half of the lease to pass")
    assert (row["task"], row["agent"]) == (task, "bob")
    assert f"{task[:8]} 'Fix the parser': held, holder gone (bob runs nowhere" in bob("status").out


def test_work_comes_before_the_state_of_the_machine(alice: Clone, bob: Clone) -> None:
    alice("task", "create", "Fix the parser")
    alice("task", "create", "Write the manual", "--priority", "high")
    alice("task", "create", "Publish it", "--after", "3")
    alice("message", "send", "look at it", "--to", "alice", "--as", "alice", code=None)
    bob("task", "claim", "3")
    bob("reserve", "src/**", "--why", "parser")
    bob("message", "send", "done soon", "--to", "alice")
    alice("sync")
    out = alice("status").out
    for words in (
        "'Fix the parser': bob since ",
        "ready     1 task: ",
        "'Write the manual' (HIGH); 1 more wait for other tasks",
        "reserved  src/**: bob until ",
        "to alice: `gitcoord inbox --as 'alice'`",
    ):
        assert words in out, out
    assert out.index("Fix the parser") < out.index("\nready ") < out.index("\nremote ") < out.index("\nagent ")
    assert "trust" not in out and str(alice.home) not in out
    work = alice("status", "--json").json()["work"]
    assert [one["agent"] for one in work["working"]] == ["bob"] and work["ready_count"] == work["blocked_count"] == 1


def test_agent_list_and_status_agree_about_who_is_alive_and_unknown_is_not_fine(alice: Clone, bob: Clone) -> None:
    bob("agent", "register")
    bob("agent", "run", "--for", "0", "--quiet")
    runner = bob.start("agent", "run", "--quiet", "--no-lead")
    try:
        for clone in (alice, bob):
            wait_until(lambda: clone("sync") and seen(clone)["bob"] == "alive", what="bob's heartbeat")
    finally:
        runner.kill()
        runner.communicate(timeout=WAIT_S)
    assert seen(bob)["bob"] == "gone"  # its process is known to have ended
    for clone in (alice, bob):
        rows = clone("agent", "list", "--no-sync", "--json").json()["items"]
        assert {row["agent"]: row["liveness"] for row in rows} == seen(clone)
    path = alice.home / "cache" / "heartbeats.json"
    value = json.loads(path.read_text())
    path.write_text(json.dumps(value | {"at_s": value["at_s"] - 7200}))
    assert "! this clone saw the remote 2 h ago, and what follows is as old" in alice("status").out
    path.unlink()
    assert "! this clone has not seen the remote yet" in alice("status").out


def seen(clone: Clone) -> dict[str, str]:
    return {one["id"]: one["state"] for one in clone("status", "--json").json()["agents"]}


def test_errors_and_paths_are_shown(alice: Clone) -> None:
    alice("append", "error", "the build\nbroke")
    out = alice("status").out
    assert "! position 2, alice: the build␤broke" in out and "events.offline.log" not in out
    assert "events.offline.log" in alice("status", "-v").out
    assert alice("status", "--json").json()["errors"][0]["text"] == "the build\nbroke"


def test_it_is_plain_where_it_is_piped(alice: Clone) -> None:
    assert "\x1b" not in alice("status").out


def test_watching_draws_until_ctrl_c(alice: Clone) -> None:
    watcher = alice.start("status", "--watch", PYTHONUNBUFFERED="1")
    assert watcher.stdout is not None
    seen = 0
    for line in watcher.stdout:
        seen += line.startswith("remote")
        if seen == 2:
            break
    watcher.send_signal(signal.SIGINT)
    watcher.communicate(timeout=WAIT_S)
    assert watcher.returncode == 0


def test_what_the_status_cache_tells_is_what_the_fold_tells(alice: Clone, bob: Clone) -> None:
    bob("append", "error", "the build broke")
    bob("agent", "run", "--once", "--quiet")
    alice("append", "note", "waits", "--no-sync")
    alice("sync")
    path = alice.home / "cache" / "status.json"
    glanced = json.loads(path.read_bytes())
    path.write_text("{}")  # as a round leaves it that was cut short
    assert alice("status", "--json").json()["ledger"]["position"] == glanced["position"] > 4
    assert json.loads(path.read_bytes()) == glanced


def test_a_status_cache_of_another_tip_is_not_used(alice: Clone, bob: Clone) -> None:
    path = alice.home / "cache" / "status.json"
    old = path.read_bytes()
    bob("append", "error", "the build broke")
    alice("sync")
    path.write_bytes(old)
    assert alice("status", "--json").json()["errors"][0]["text"] == "the build broke"


def test_an_outbox_that_cannot_be_fetched_is_named_and_the_doctor_tells_more(alice: Clone, bob: Clone) -> None:
    spoil(alice, "evil-0000")
    told = alice("sync")
    assert "left on the remote: refs/gitcoord/nodes/evil-0000" in told.err and "go on" in told.err
    value = alice("status", "--json").json()
    assert [one["ref"] for one in value["left"]] == ["refs/gitcoord/nodes/evil-0000"]
    assert any(
        line.startswith("! refs/gitcoord/nodes/evil-0000 cannot be used") for line in alice("status").out.splitlines()
    )
    findings = [one for one in alice("doctor", "--json", code=None).json()["findings"] if one["check"] == "outboxes"]
    assert any("evil-0000 cannot be used" in one["seen"] for one in findings)
    bob("append", "note", "meanwhile")
    alice("sync")
    assert "meanwhile" in alice("events").out


def test_the_doctor_tells_what_others_put_among_the_outboxes(alice: Clone) -> None:
    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(alice.remote), *words], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    own = f"refs/gitcoord/nodes/{alice('status', '--json').json()['node']}"
    ledger = git("rev-parse", "refs/heads/gitcoord/ledger")
    git("update-ref", "refs/gitcoord/nodes/Odd", ledger)
    git("update-ref", own, ledger)
    seen = " ".join(one["seen"] for one in alice("doctor", "--json", code=None).json()["findings"])
    assert (
        "1 refs are ignored, because their names are not those of outboxes" in seen
        and "refs/gitcoord/nodes/Odd" in seen
    )
    assert f"{own}, the outbox of this node, has content that this node did not write" in seen


def spoil(clone: Clone, node: str) -> None:
    """Put an outbox on the remote whose tree is gone from there."""

    def git(*words: str, given: str = "") -> str:
        done = subprocess.run(
            ["git", "-C", str(clone.remote), "-c", "user.name=m", "-c", "user.email=m", *words],
            input=given,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    blob = git("hash-object", "-w", "--stdin", given="x")
    tree = git("mktree", given=f"100644 blob {blob}\theartbeats.log\n")
    git("update-ref", f"refs/gitcoord/nodes/{node}", git("commit-tree", tree, "-m", "x"))
    (clone.remote / "objects" / tree[:2] / tree[2:]).unlink()


def test_what_trust_may_be_is_shown_in_both_forms_and_a_further_machine_takes_each(alice: Clone, bob: Clone) -> None:
    alice("append", "note", "one more", "--wait", "sequenced")
    status = alice("status", "--json").json()
    founder, newest = status["trust"], status["trust_digest"]
    assert founder.startswith("SHA256:") and newest.split(":")[0] == str(status["ledger"]["position"])
    for told in (alice("status", "-v").out, alice("doctor", code=None).out):
        assert founder in told and newest in told
    bob("sync")
    for form in (founder, newest):
        assert "GITCOORD_TRUST" not in bob("verify", GITCOORD_TRUST=form).err
    joined = gitcoord(
        alice.path.parent,
        "init",
        "third",
        "--agent",
        "carol",
        "--remote",
        str(alice.remote),
        environment={"GITCOORD_TRUST": newest},
    )
    assert joined.code == 0 and founder in joined.out and re.search(r"\b4:[A-Za-z0-9_-]{43}", joined.out)
    wrong = gitcoord(
        alice.path.parent,
        "init",
        "fourth",
        "--agent",
        "dan",
        "--remote",
        str(alice.remote),
        environment={"GITCOORD_TRUST": newest[:-4] + "AAAA"},
    )
    assert wrong.code != 0 and "GITCOORD_TRUST names" in wrong.err
