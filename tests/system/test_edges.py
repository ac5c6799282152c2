"""Odd names, odd contents, odd machines: worktrees, containers, clocks an hour apart, long queues, many agents."""

from __future__ import annotations

import contextlib
import datetime
import json
import secrets
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import gitcoord
from gitcoord.core.errors import Refused
from gitcoord.core.leadership.session import Session
from gitcoord.node import node as node_module
from gitcoord.node import peers
from tests.system.fleet import Clone, Fleet, surroundings
from tests.waiting import WAIT_S, wait_until

CORPUS = [
    "one\ntwo",
    "one\r\ntwo",
    "one\rtwo",
    "a\x0bb\x0cc",
    "\u2028line\u2029paragraph\x85next",
    "nul \x00 inside",
    "",
    " ",
    "\t",
    "\n",
    "trailing newline\n",
    "<b>bold</b> <script>alert(1)</script>",
    "# heading\n### Interaction #7",
    "<!-- BEGIN COMMUNICATION -->\n<!-- END COMMUNICATION -->",
    "`rm -rf /` $(id) \"quotes\" 'single' \\ back",
    '","sig":"x"}\n{"interaction":1',
    "\ud7ff\ue000\ufeff\U0010ffff \N{PILE OF POO} e\u0301 é",
    "@everyone fixes #12",
    "```\nfence\n```",
    "~~~",
    "-rf",
    "--help",
    "../x",
    "x" * 50_000,
    "\x1b[31mred\x07",
    "100% %s {} $HOME",
]


def test_any_content_comes_out_elsewhere_as_it_went_in(pair: tuple[Clone, Clone]) -> None:
    alice, bob = pair
    with alice.node() as node:
        node.append(*[node.draft("note", content, actor="alice") for content in CORPUS])
        node.sync()
    for content in ("-", "-n", "one\ntwo\r\nthree\x0b"):
        alice.run("append", "note", "--no-sync", "--", "-", given=content)
    alice.run("append", "note", "--", "-rf /")
    bob.run("sync")
    out = bob.run("events", "--type", "note", "--json").stdout
    got = [json.loads(line)["event"]["content"] for line in out.split("\n") if line]
    assert got == [*CORPUS, "-", "-n", "one\ntwo\r\nthree\x0b", "-rf /"]


@pytest.mark.parametrize("name", ["../x", "-rf", "a/b", "", " ", "a.", "x" * 64, "nul\x00", "täg", "a\nb"])
def test_a_name_that_cannot_be_a_name_is_refused_and_nothing_is_made(tmp_path: Path, name: str) -> None:
    with pytest.raises(Refused):
        gitcoord.join(tmp_path / "clone", agent=name, remote=str(tmp_path / "remote.git"))
    assert not (tmp_path / "clone").exists() and not (tmp_path / "x").exists()


def test_names_that_people_use_are_names(fleet: Fleet) -> None:
    one = fleet.clone("one", agent="Agent A")
    one.run("init", "--agent", "epochALPHA.v2_final")
    one.append("note", "hello", "--to", "Agent A", "--as", "epochALPHA.v2_final")
    assert one.run("append", "note", "x", "--as", "../x", code=2).stderr.count("\n") <= 2
    done = one.run("append", "note", "x", "--to", "-rf", code=2)
    assert "Traceback" not in done.stderr
    other = fleet.clone("other", agent="AGENT A", code=2)
    assert not other.path.joinpath("Agent A").exists()


def test_worktrees_of_one_clone_share_a_node_and_the_users_repository_is_untouched(fleet: Fleet) -> None:
    alice = fleet.clone("alice")
    git = ["git", "-C", str(alice.path)]
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "begin"], check=True)
    before = subprocess.run([*git, "for-each-ref"], capture_output=True, check=True).stdout
    subprocess.run([*git, "worktree", "add", "-q", "-b", "side", str(fleet.folder / "tree")], check=True)
    tree = Clone(fleet.folder / "tree", "bob", fleet)
    tree.run("init", "--agent", "bob")
    tree.append("note", "from the worktree", "--as", "bob", "--wait", "sequenced")
    assert alice.json("status")["node"] == tree.json("status")["node"]
    run = alice.start()
    assert "runs on this node already" in tree.run("agent", "run", "--id", "alice", "--once", code=3).stderr
    second = tree.start(ids=["bob"])
    assert run.terminate() == 0 and second.terminate() == 0
    after = subprocess.run([*git, "for-each-ref"], capture_output=True, check=True).stdout
    assert [line for line in after.splitlines() if b"side" not in line] == before.splitlines()
    assert subprocess.run([*git, "status", "--porcelain"], capture_output=True, check=True).stdout == b""


def test_containers_join_by_themselves_and_go_on_where_a_lost_disk_ended(fleet: Fleet) -> None:
    fleet.clone("alice")
    seeds = {f"worker-{number}": secrets.token_hex(32) for number in range(4)}

    def container(name: str, life: int) -> None:
        folder = fleet.folder / f"{name}-{life}"
        folder.mkdir()
        clone = Clone(folder, name, fleet)
        four = {
            "GITCOORD_REMOTE": fleet.url,
            "GITCOORD_AGENT": name,
            "GITCOORD_KEY": seeds[name],
            "GITCOORD_NODE": f"node-{name}",
        }
        clone.run("init", given="", environment=four)
        clone.run("append", "note", f"{name} in life {life}", "--wait", "durable", environment=four)
        shutil.rmtree(folder)  # the container ends, and its disk with it

    for life in (1, 2):
        with ThreadPoolExecutor(2) as two_at_a_time:
            list(two_at_a_time.map(container, seeds, [life] * len(seeds)))
    lines = [json.loads(line) for line in fleet.clone("watcher").lines()]
    for name in seeds:
        mine = [event for event in lines if event["actor"] == name]
        [node] = {event["node"] for event in mine}
        assert node.startswith(f"node-{name}-")
        assert [event["type"] for event in mine] == ["agent_joined", "note", "note"]
        assert [event["seq"] for event in mine] == [1, 2, 3]


def test_clocks_an_hour_apart_neither_depose_nor_reorder(
    pair: tuple[Clone, Clone], monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = pair
    run = alice.start()
    run.wait_for("leader", "(here)")

    def an_hour_ago() -> str:
        then = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
        return then.strftime("%Y-%m-%dT%H:%M:%S.000Z")

    monkeypatch.setattr(node_module, "utc_now", an_hour_ago)
    with bob.node() as node:
        node.local.sessions = [Session("bob", "bobs", node.keyring.signer("bob"))]
        polls: set[object] = set()
        for number in range(5):
            [event] = node.append(node.draft("note", f"number {number}", actor="bob"))
            node.confirm(event, "sequenced", timeout_s=WAIT_S)

        def watched() -> bool:
            node.sync()
            polls.add(node.local.watch.last_sign)
            return len(polls) >= 4

        wait_until(watched, what="four heartbeats of alice")
        assert node.fleet.terms.term == 1 and node.fleet.terms.leader == "alice"
        notes = [event for _, event in node.events() if event.type == "note"]
    assert [event.content for event in notes] == [f"number {number}" for number in range(5)]
    observed = {one.agent: one for one in peers.observations(alice.home / "cache")[0]}
    assert observed["bob"].silent_s == 0.0  # alive when it was seen, whatever its clock says


def test_a_queue_of_ten_thousand_events_drains(pair: tuple[Clone, Clone]) -> None:
    alice, bob = pair
    with alice.node() as node:
        for start in range(0, 10_000, 1000):
            node.append(*[node.draft("note", f"number {start + n}", actor="alice") for n in range(1000)])
        rounds = 0
        while node.disk.pending():
            node.sync()
            rounds += 1
        assert rounds <= 4
    with bob.node() as node:
        node.sync()
        contents = [event.content for _, event in node.events() if event.type == "note"]
    assert contents == [f"number {number}" for number in range(10_000)]


def test_two_hundred_agents_on_a_few_nodes_join_and_beat(fleet: Fleet) -> None:
    clones = [fleet.clone(f"node{number}") for number in range(2)]
    with contextlib.ExitStack() as stack:
        nodes = [stack.enter_context(clone.node()) for clone in clones]
        for clone, node in zip(clones, nodes):
            names = [f"{clone.agent} agent {number}" for number in range(100)]
            for name in names:
                node.home.keys.save(name, secrets.token_bytes(32))
            node.append(*[node.draft("agent_joined", f"{name} joins", actor=name) for name in names])
            node.sync()
            node.local.sessions = [Session(name, secrets.token_hex(6), node.keyring.signer(name)) for name in names]

        def alive() -> int:
            """Each node sees the other's: its own have no process."""
            for node in nodes:  # again each time: on a slow machine the first beats are old meanwhile
                node.sync()
            rows = [agent for clone in clones for agent in clone.json("status")["agents"]]
            return sum(agent["state"] == "alive" for agent in rows)

        wait_until(lambda: alive() >= 200, what="200 agents to be alive at once")
    assert len(clones[0].run("agent", "list").stdout.splitlines()) > 200


def test_the_python_interface_as_the_readme_shows_it(fleet: Fleet) -> None:
    clone = fleet.clone("alice")
    code = """
import gitcoord, sys
with gitcoord.join(".", agent="alice") as me:
    said = me.append("question", "Who takes the parser?", wait="sequenced")
    for event in me.events(since=said.position - 1, follow=True):
        print(event.content, flush=True)
        if event.content == "the end":
            break
    print(me.state.positions[said.id] == said.position, said.level)
    import psutil
print([child.cmdline() for child in psutil.Process().children()])
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=clone.path, env=surroundings(), text=True, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "Who takes the parser?\n"
    other = fleet.clone("bob")
    other.append("note", "the end", "--wait", "sequenced")
    out, _ = process.communicate(timeout=WAIT_S)
    assert out.splitlines() == ["bob joins", "the end", "True sequenced", "[]"]
    assert process.returncode == 0


def test_levels_mean_what_they_say(pair: tuple[Clone, Clone]) -> None:
    alice, bob = pair
    with gitcoord.join(alice.path, agent="alice") as me:
        queued = me.append("note", "queued")
        assert queued.level == "queued" and queued.event.line in (alice.home / "events.offline.log").read_bytes()
        durable = me.append("note", "durable", wait="durable")
        assert durable.level in ("durable", "sequenced")
        sequenced = me.append("note", "sequenced", wait="sequenced")
        assert sequenced.position is not None
    with bob.node() as node:
        node.sync()
        places = [node.fleet.positions[one.id] for one in (queued, durable, sequenced)]
    assert places == sorted(places) and places[-1] == sequenced.position
