"""`agent run --on-event`: a command for each event addressed to the agent, in order, until it ends with 0."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
from pathlib import Path
from typing import Any

from gitcoord.core.format.event import Event
from tests.system.fleet import Clone, Fleet, is_alive
from tests.waiting import wait_until


def script(folder: Path, text: str) -> str:
    """A command that runs `text` with `event`, `log(...)` and `ask(...)` at hand."""
    path = folder / "handle.py"
    path.write_text(
        f"""import json, os, sys, time, signal, subprocess
event = json.load(sys.stdin)
folder = {str(folder)!r}
def log(word):
    with open(folder + "/handled", "a") as file:
        file.write(word + " " + os.environ["GITCOORD_EVENT_ID"] + " " + event["event"]["content"] + "\\n")
{text}
""",
        encoding="utf-8",
    )
    return shlex.join([sys.executable, str(path)])


def handled(folder: Path) -> list[list[str]]:
    try:
        return [line.split(" ", 2) for line in (folder / "handled").read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError:
        return []


def answers(clone: Clone) -> list[Event]:
    with clone.node() as node:
        node.sync(tick=False)
        return [event for _, event in node.events() if event.type == "answer"]


def wait_for_answers(clone: Clone, count: int) -> list[Event]:
    with clone.node() as node:

        def found() -> list[Event]:
            node.sync(tick=False)
            known = [event for _, event in node.events() if event.type == "answer"]
            return known if len(known) >= count else []

        return wait_until(found, what=f"{count} answers")


def test_an_agent_that_was_away_handles_all_in_order_one_at_a_time_and_answers(
    pair: tuple[Clone, Clone], tmp_path: Path
) -> None:
    alice, bob = pair
    with alice.node() as node:
        asked = node.append(*[node.draft("question", f"number {n}", actor="alice", to=["bob"]) for n in range(5)])
        node.append(node.draft("question", "not for bob", actor="alice", to=["carol"]))
        node.append(node.draft("note", "for nobody", actor="alice"))
        node.sync()
    command = script(tmp_path, 'log("begin"); time.sleep(0.05); log("end"); print("got", event["event"]["content"])')
    run = bob.start("--on-event", command, "--reply")
    got = wait_for_answers(alice, 5)
    assert [event.content for event in got] == [f"got number {n}" for n in range(5)]
    assert [(event.actor, event.re, event.to) for event in got] == [("bob", one.uid, ("alice",)) for one in asked]
    words = [(word, uid) for word, uid, _ in handled(tmp_path)]
    assert words == [(word, one.uid) for one in asked for word in ("begin", "end")]
    with alice.node() as node:
        numbers = node.fleet.states["conversation"].numbers
        places = node.fleet.positions
        for one, answer in zip(asked, got, strict=True):  # each answer belongs to its question's interaction
            assert numbers[places[one.uid] - 1] == numbers[places[answer.uid] - 1]
    run.terminate()
    checkpoint = json.loads((bob.home / "agent-bob.checkpoint").read_text())
    assert checkpoint["event"] == asked[-1].uid and checkpoint["agent"] == "bob"


def test_what_fails_is_tried_again_before_anything_else(pair: tuple[Clone, Clone], tmp_path: Path) -> None:
    alice, bob = pair
    for content in ("one", "two"):
        alice.append("question", content, "--to", "bob", "--wait", "sequenced")
    command = script(tmp_path, 'log("try"); sys.exit(0 if os.path.exists(folder + "/mended") else 3)')
    run = bob.start("--on-event", command, "--reply")
    run.wait_for("handler_failed", "ended with 3", times=2)
    assert not (bob.home / "agent-bob.checkpoint").exists()
    assert {content for _, _, content in handled(tmp_path)} == {"one"}  # in order: what comes after it waits
    (tmp_path / "mended").touch()
    wait_until(lambda: handled(tmp_path)[-1][2] == "two", what="the second event to be handled")
    run.terminate()
    assert answers(alice) == []  # it printed nothing


def test_killed_between_handling_and_checkpoint_it_handles_once_more_and_the_answer_counts_once(
    pair: tuple[Clone, Clone], tmp_path: Path
) -> None:
    alice, bob = pair
    asked = alice.append("question", "once?", "--to", "bob", "--wait", "sequenced")
    command = script(
        tmp_path,
        """log("handled")
if not os.path.exists(folder + "/again"):
    open(folder + "/again", "w").close()
    os.kill(os.getppid() if os.environ.get("DIRECT") else int(open(folder + "/runner").read()), signal.SIGKILL)
print("yes")""",
    )
    first = bob.launch(
        "-m",
        "gitcoord",
        "agent",
        "run",
        "--id",
        "bob",
        "--json-logs",
        "--no-lead",
        "--on-event",
        f"while [ ! -s {tmp_path}/runner ]; do sleep 0.05; done; {command}",
        "--reply",
    )
    (tmp_path / "runner").write_text(str(first.pid))
    assert first.wait() == -signal.SIGKILL
    second = bob.start("--on-event", command, "--reply")
    [answer] = wait_for_answers(alice, 1)
    assert answer.re == asked["id"] and answer.content == "yes"
    second.terminate()
    assert len(handled(tmp_path)) == 2
    (bob.home / "agent-bob.checkpoint").unlink()  # as if it had been killed after the answer was sequenced
    third = bob.start("--on-event", command, "--reply")
    wait_until(lambda: len(handled(tmp_path)) == 3, what="the event to be handled again")
    third.terminate()
    assert len(answers(alice)) == 1


def test_a_slow_command_stops_neither_beats_nor_leading(pair: tuple[Clone, Clone], tmp_path: Path) -> None:
    alice, bob = pair
    alice.append("question", "slow?", "--to", "bob", "--wait", "sequenced")
    run = bob.start(
        "--on-event",
        script(
            tmp_path,
            """log("begin")
while not os.path.exists(folder + "/enough"):
    time.sleep(0.05)
print("done at last")""",
        ),
        "--reply",
    )
    run.wait_for("leader", "bob leads term 1 (here)")
    follower = alice.start()
    wait_until(lambda: handled(tmp_path), what="the command to begin")
    follower.wait_for("leader", "bob leads term 1")
    before = heartbeats(alice, "bob")
    wait_until(lambda: heartbeats(alice, "bob") >= before + 5, what="five heartbeats more")
    assert follower.said("leader")[-1].startswith("bob leads term 1")
    (tmp_path / "enough").touch()
    assert wait_for_answers(alice, 1)[0].content == "done at last"


def heartbeats(clone: Clone, agent: str) -> int:
    from gitcoord.node import peers

    with clone.node() as node:
        return max(
            [heartbeat.data["n"] for heartbeat in peers.live_heartbeats(node) if heartbeat.actor == agent], default=0
        )


def test_a_flood_is_ended_and_counts_as_a_failure(pair: tuple[Clone, Clone]) -> None:
    alice, bob = pair
    alice.append("question", "how much?", "--to", "bob", "--wait", "sequenced")
    run = bob.start("--on-event", "yes", "--reply")
    run.wait_for("handler_failed", "printed without end")
    assert answers(alice) == []


def test_what_cannot_be_an_answer_is_a_failure_and_ends_nobody(pair: tuple[Clone, Clone]) -> None:
    alice, bob = pair
    alice.append("question", "your token?", "--to", "bob", "--wait", "sequenced")
    run = bob.start("--on-event", "head -c 60000 /dev/zero", "--reply")
    run.wait_for("handler_failed", "more than 49152 bytes")
    assert run.terminate() == 0
    run = bob.start("--on-event", "head -c 40000 /dev/zero", "--reply")  # each NUL takes six bytes in an event
    run.wait_for("handler_failed", "invalid answer")
    assert run.process.poll() is None


def test_a_secret_in_an_answer_is_hidden_and_the_answer_counts(pair: tuple[Clone, Clone]) -> None:
    alice, bob = pair
    alice.append("question", "your token?", "--to", "bob", "--wait", "sequenced")
    run = bob.start("--on-event", "printf 'it is ghp_%s' 0123456789abcdefghijABCDEFGHIJ012345", "--reply")
    assert [one.content for one in wait_for_answers(alice, 1)] == ["it is [hidden]"]
    assert run.terminate() == 0


def test_a_command_that_ignores_the_end_is_ended_with_its_children(pair: tuple[Clone, Clone], tmp_path: Path) -> None:
    alice, bob = pair
    alice.append("question", "stubborn?", "--to", "bob", "--wait", "sequenced")
    run = bob.start(
        "--on-event",
        script(
            tmp_path,
            """signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen(["sleep", "1000"])
with open(folder + "/pids", "w") as file:
    file.write(str(os.getpid()) + " " + str(child.pid) + " ")
time.sleep(1000)""",
        ),
    )
    pids = wait_until(lambda: read_pids(tmp_path, 2), what="the command to start")
    assert run.terminate() == 0
    wait_until(lambda: not any(is_alive(pid) for pid in pids), what="the command and its child to be gone")


def test_what_a_command_leaves_behind_goes_with_it(pair: tuple[Clone, Clone], tmp_path: Path) -> None:
    alice, bob = pair
    alice.append("question", "leave something?", "--to", "bob", "--wait", "sequenced")
    run = bob.start("--reply", "--on-event", f"sleep 1000 & echo $! '' > {tmp_path}/pids; echo left")
    assert wait_for_answers(alice, 1)[0].content == "left"
    wait_until(lambda: not is_alive(read_pids(tmp_path, 1)[0]), what="the child to be gone")
    assert run.terminate() == 0


def read_pids(folder: Path, count: int) -> list[int]:
    try:
        words = (folder / "pids").read_text().split(" ")
    except FileNotFoundError:
        return []
    return [int(word) for word in words[:-1]] if len(words) > count else []


def test_two_agents_that_talk_stop_talking(fleet: Fleet) -> None:
    alice, bob = fleet.clone("alice"), fleet.clone("bob")
    runs = [clone.start("--on-event", "cat > /dev/null; echo yes", "--reply") for clone in (alice, bob)]
    alice.append("question", "Do we agree?", "--to", "bob", "--wait", "sequenced")
    [answer] = wait_for_answers(alice, 1)
    assert answer.actor == "bob"
    alice.append("note", "the end", "--wait", "sequenced")
    for run in runs:
        assert run.terminate() == 0
    assert len(answers(alice)) == 1


def test_the_command_is_told_all_about_the_event(pair: tuple[Clone, Clone], tmp_path: Path) -> None:
    alice, bob = pair
    said = alice.append(
        "question",
        'täglich\n`rm -rf`\t"$HOME"',
        "--to",
        "bob",
        "--to",
        "alice",
        "--data",
        '{"path": "src/a.py"}',
        "--wait",
        "sequenced",
    )
    run = bob.start("--on-event", f"cat > {tmp_path}/given; env > {tmp_path}/env; mv {tmp_path}/env {tmp_path}/done")
    wait_until((tmp_path / "done").exists, what="the command to end")
    run.terminate()
    given: dict[str, Any] = json.loads((tmp_path / "given").read_text(encoding="utf-8"))
    assert given["schema"] == "gitcoord.event/1" and given["position"] == said["position"]
    event = given["event"]
    assert event["content"] == 'täglich\n`rm -rf`\t"$HOME"'
    assert (event["to"], event["uid"]) == (["bob", "alice"], said["id"])
    assert event["data"] == {"path": "src/a.py"} and event["actor"] == "alice"
    environment = (tmp_path / "done").read_text().splitlines()
    assert f"GITCOORD_EVENT_ID={said['id']}" in environment and "GITCOORD_AGENT=bob" in environment
    assert os.environ.get("GITCOORD_EVENT_ID") is None
