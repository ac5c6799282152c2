"""What clients hand to a hook, as they document it, and the answers that they read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gitcoord.core.errors import Refused
from gitcoord.integrations import client_calls
from gitcoord.integrations.client_calls import ClientCall

PATCH = (
    "*** Begin Patch\n*** Add File: new.py\n+*** Update File: no.py\n*** Update File: src/a b.py\n"
    "*** Move to: src/c.py\n@@\n-x\n+y\n*** Delete File: old.py\n*** End Patch"
)
PATCHED = ["new.py", "src/a b.py", "src/c.py", "old.py"]

CALLS: dict[str, tuple[dict[str, Any], list[str]]] = {
    # https://code.claude.com/docs/en/hooks ("PreToolUse input"); the paths are absolute
    "claude write": (
        {
            "session_id": "abc123",
            "transcript_path": "/home/u/.claude/projects/x/abc123.jsonl",
            "cwd": "TOP",
            "permission_mode": "default",
            "hook_event_name": "PreToolUse",
            "tool_name": "Write",
            "tool_input": {"file_path": "TOP/src/a.py", "content": PATCH},
            "tool_use_id": "toolu_01ABC123",
        },
        ["src/a.py"],
    ),
    "claude edit": (
        {"cwd": "TOP", "tool_name": "Edit", "tool_input": {"file_path": "TOP/a", "old_string": "", "new_string": ""}},
        ["a"],
    ),
    "claude notebook": ({"tool_name": "NotebookEdit", "tool_input": {"notebook_path": "TOP/n.ipynb"}}, ["n.ipynb"]),
    "claude bash": ({"tool_name": "Bash", "tool_input": {"command": f"apply <<E\n{PATCH}\nE"}}, []),
    "claude read": ({"tool_name": "Read", "tool_input": {"file_path": "TOP/a"}}, []),
    # https://developers.openai.com/codex/hooks
    "codex": (
        {
            "session_id": "019",
            "transcript_path": None,
            "cwd": "TOP",
            "hook_event_name": "PreToolUse",
            "model": "gpt",
            "permission_mode": "default",
            "tool_name": "apply_patch",
            "tool_input": {"command": PATCH},
            "tool_use_id": "call_1",
            "turn_id": "1",
        },
        PATCHED,
    ),
    # https://geminicli.com/docs/hooks/reference
    "gemini": (
        {
            "session_id": "s",
            "transcript_path": "/t.json",
            "cwd": "TOP",
            "hook_event_name": "BeforeTool",
            "timestamp": "2026-11-30T12:00:00Z",
            "tool_name": "replace",
            "tool_input": {"file_path": "TOP/src/a.py", "old_string": "x", "new_string": "y"},
        },
        ["src/a.py"],
    ),
    "gemini relative": (
        {"cwd": "TOP/src", "tool_name": "write_file", "tool_input": {"file_path": "a.py"}},
        ["src/a.py"],
    ),
    # https://cursor.com/docs/hooks
    "cursor": (
        {
            "conversation_id": "c",
            "generation_id": "g",
            "hook_event_name": "preToolUse",
            "workspace_roots": ["TOP"],
            "tool_name": "Write",
            "tool_input": {"file_path": "TOP/src/a.py", "contents": "x"},
            "tool_use_id": "abc123",
            "cwd": "TOP",
            "model": "x",
        },
        ["src/a.py"],
    ),
    "cursor delete": ({"workspace_roots": ["TOP"], "tool_name": "Delete", "tool_input": {"path": "a"}}, ["a"]),
    # https://docs.github.com/en/copilot/reference/hooks-reference (both payloads)
    "copilot": (
        {"sessionId": "s", "timestamp": 1, "cwd": "TOP", "toolName": "edit", "toolArgs": {"path": "TOP/a"}},
        ["a"],
    ),
    "copilot text": (
        {"cwd": "TOP", "toolName": "create", "toolArgs": '{"path": "src/a.py", "file_text": ""}'},
        ["src/a.py"],
    ),
    "copilot no json": ({"cwd": "TOP", "toolName": "create", "toolArgs": "{"}, []),
    "vs code": (
        {
            "hook_event_name": "PreToolUse",
            "cwd": "TOP",
            "tool_name": "multi_replace_string_in_file",
            "tool_input": {"replacements": [{"filePath": "TOP/a"}, {"filePath": "TOP/b"}]},
        },
        ["a", "b"],
    ),
    # https://opencode.ai/docs/plugins ("tool.execute.before"), as our plugin hands it on
    "opencode": ({"cwd": "TOP", "tool_name": "edit", "tool_input": {"filePath": "TOP/src/a.py"}}, ["src/a.py"]),
    "opencode patch": ({"cwd": "TOP", "tool_name": "apply_patch", "tool_input": {"patchText": PATCH}}, PATCHED),
    "nothing": ({}, []),
    "odd": ({"tool_name": 1, "tool_input": [], "cwd": None, "workspace_roots": 3}, []),
    "odd paths": ({"tool_name": "Write", "tool_input": {"file_path": ["a"], "path": "", "edits": [1, None]}}, []),
    "no paths": ({"tool_name": "Edit", "tool_input": {"file_path": "a\0b", "path": "\ud800"}}, []),
    "outside": ({"tool_name": "Edit", "tool_input": {"file_path": "/etc/passwd", "path": "TOP/../other/x"}}, []),
}


@pytest.fixture(autouse=True)
def around(project: Path, tmp_path: Path) -> None:
    """A folder of the project, one beside it, and another repository."""
    (project / "src").mkdir()
    (tmp_path / "other").mkdir()
    for folder in (".git/objects", ".git/refs"):
        (tmp_path / "stranger" / folder).mkdir(parents=True)
    (tmp_path / "stranger/.git/HEAD").touch()


def read(call: dict[str, Any], project: Path, **environ: str) -> ClientCall:
    text = json.dumps(call).replace("TOP", str(project))
    return client_calls.parse(text.encode("utf-8", "surrogatepass"), environ, project)


@pytest.mark.parametrize("name", CALLS)
def test_the_paths_of_an_edit_are_found(project: Path, name: str) -> None:
    call, paths = CALLS[name]
    assert client_calls.inside(read(call, project)) == paths


def test_a_link_counts_as_it_is_written_and_where_it_leads(project: Path, tmp_path: Path) -> None:
    (project / "lib").mkdir()
    (project / "lib" / "a.py").touch()
    (project / "src" / "a.py").symlink_to("../lib/a.py")
    (project / "linked").symlink_to("lib")
    (tmp_path / "way").symlink_to(project)
    (project / "out").symlink_to(tmp_path / "other")
    for path, found in {
        "src/a.py": ["src/a.py", "lib/a.py"],
        "linked/a.py": ["lib/a.py", "linked/a.py"],
        f"{tmp_path}/way/src/new.py": ["src/new.py"],
        "./src/../src//x.py": ["src/x.py"],
        "out/x.py": ["out/x.py"],
        ".": [],
        f"{tmp_path}/stranger/a.py": [],
    }.items():
        call = read({"tool_name": "Write", "tool_input": {"file_path": path}}, project)
        assert sorted(client_calls.inside(call)) == sorted(found), path


def test_the_sessions_folder_is_where_it_was_started(project: Path, tmp_path: Path) -> None:
    call = read({"cwd": str(tmp_path / "stranger")}, project, CLAUDE_PROJECT_DIR=str(project))
    assert (call.place, call.folder) == (project.resolve(), tmp_path / "stranger")
    assert read({"cwd": str(tmp_path)}, project).place == project.resolve()
    assert read({"workspace_roots": [str(tmp_path / "stranger")]}, project).place == (tmp_path / "stranger").resolve()
    assert read({"cwd": "relative"}, project, GEMINI_PROJECT_DIR="src").place == project.resolve()


@pytest.mark.parametrize("data", [b"{", b"[]", b"3", b'"x"', b"\xff", b"[" * 100_000])
def test_what_is_no_call_is_refused(project: Path, data: bytes) -> None:
    with pytest.raises(Refused, match="the client passed"):
        client_calls.parse(data, {}, project)


def test_too_much_is_refused(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_calls, "INPUT_BYTES_MAX", 3)
    with pytest.raises(Refused, match="more than 3 bytes"):
        client_calls.parse(b"{   }", {}, project)


def test_a_refusal_is_said_as_each_client_reads_it() -> None:
    claude = {"permissionDecision": "deny", "permissionDecisionReason": "no"}
    inner = {"hookSpecificOutput": {"hookEventName": "PreToolUse", **claude}}
    assert client_calls.answer("claude", deny="no") == inner
    assert client_calls.answer("gemini", deny="no") == {"decision": "deny", "reason": "no"}
    denied = {"permission": "deny", "user_message": "no", "agent_message": "no"}
    assert client_calls.answer("cursor", deny="no") == denied
    assert client_calls.answer("copilot", deny="no") == inner | claude
    assert client_calls.answer("opencode", deny="no") == {"deny": "no"}


def test_a_warning_decides_nothing() -> None:
    claude = {"hookEventName": "PreToolUse", "additionalContext": "careful"}
    inner = {"systemMessage": "careful", "hookSpecificOutput": claude}
    assert client_calls.answer("claude", warn="careful") == inner
    assert client_calls.answer("gemini", warn="careful") == {"systemMessage": "careful"}
    assert client_calls.answer("cursor", warn="careful") == {"user_message": "careful", "agent_message": "careful"}
    assert client_calls.answer("copilot", warn="careful") == inner | {"additionalContext": "careful"}
    assert client_calls.answer("opencode", warn="careful") == {"warn": "careful"}


def test_a_session_begins_with_what_each_client_reads() -> None:
    inner = {"hookSpecificOutput": {"hookEventName": "SessionStart", "additionalContext": "news"}}
    assert client_calls.answer("claude", context="news") == client_calls.answer("gemini", context="news") == inner
    assert client_calls.answer("cursor", context="news") == {"additional_context": "news"}
    assert client_calls.answer("copilot", context="news") == inner | {"additionalContext": "news"}
    assert client_calls.answer("opencode", context="news") == {"context": "news"}


@pytest.mark.parametrize("dialect", ["claude", "gemini", "cursor", "copilot", "opencode"])
def test_where_there_is_nothing_to_say_the_answer_is_empty(dialect: Any) -> None:
    assert client_calls.answer(dialect) == client_calls.answer(dialect, warn="") == {}
