"""Calls of a client's hook, and answers to them: each client has its own JSON, which is parsed and written here."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gitcoord.core.errors import Refused
from gitcoord.integrations.clients import Dialect
from gitcoord.store.git import repo_location

INPUT_BYTES_MAX = 64 * 1024 * 1024  # a client that writes a file passes its whole content
PATHS_MAX = 1000  # of one edit
# Tools that change files, of all clients together: some clients run another client's hooks, and some have no matchers.
# All other tools change no files, or their arguments do not name the files, as those of a shell.
EDIT_TOOLS = {
    *("edit", "multiedit", "write", "notebookedit"),  # Claude Code; OpenCode has the first and third
    *("apply_patch", "patch"),  # Codex, OpenCode, VS Code
    *("write_file", "replace"),  # Gemini CLI
    *("delete", "strreplace", "edit_file", "delete_file"),  # Cursor, which documents Write and Delete
    *("create",),  # Copilot CLI
    *("create_file", "replace_string_in_file", "multi_replace_string_in_file", "insert_edit_into_file"),  # VS Code
    *("edit_notebook_file", "editfiles"),
}
PATH_KEYS = ("file_path", "filePath", "path", "notebook_path", "notebookPath", "target_file", "targetFile")
LIST_KEYS = ("edits", "replacements", "files")  # of objects with a path of their own, or of paths
GOES_ON = ("clear", "resume")  # why a session of Claude Code or Gemini CLI ends while its agent works on
FOLDERS = ("CLAUDE_PROJECT_DIR", "GEMINI_PROJECT_DIR", "CURSOR_PROJECT_DIR")  # where the session was started
_PATCHED = re.compile(r"^\*\*\* (?:(?:Add|Update|Delete) File|Move to): (.+?)[ \t\r]*$", re.MULTILINE)
_PATCH = "*** Begin Patch"
PATCH_KEYS = ("command", "input", "patch", "patchText")


@dataclass(frozen=True, slots=True)
class ClientCall:
    """A call of a hook. `place`: the work tree of the session. `folder`: the folder that relative paths begin at."""

    place: Path
    folder: Path
    paths: tuple[str, ...]
    goes_on: bool = False  # the session ends, and another one begins at once in its place


def parse(data: bytes, environ: Mapping[str, str], here: Path) -> ClientCall:
    """Parse what a client passes on standard input. Raise Refused if it is too long or not a JSON object."""
    if len(data) > INPUT_BYTES_MAX:
        raise Refused(f"the client passed more than {INPUT_BYTES_MAX} bytes on standard input")
    try:
        call = json.loads(data) if data.strip() else {}
    except (ValueError, RecursionError) as wrong:
        raise Refused(f"the client passed no JSON on standard input: {wrong}") from None
    if not isinstance(call, dict):
        raise Refused("the client passed JSON on standard input that is not an object")
    roots = call.get("workspace_roots")
    cwd = call.get("cwd")
    named = [environ.get(one) for one in FOLDERS] + (list(roots[:1]) if isinstance(roots, list) else []) + [cwd]
    folders = [Path(one) for one in named if isinstance(one, str) and _is_path(one) and os.path.isabs(one)]
    place = next((top for one in (*folders, here) if (top := repo_location.work_tree(one)) is not None), here)
    begins = Path(cwd) if isinstance(cwd, str) and _is_path(cwd) and os.path.isabs(cwd) else place
    paths = tuple(dict.fromkeys(_paths(call)))[:PATHS_MAX]
    return ClientCall(place, begins, paths, call.get("reason") in GOES_ON)


def inside(call: ClientCall) -> list[str]:
    """Return the call's paths in work trees of the session's clone, relative to their tops; omit all other paths.

    A path through a symbolic link is returned both as it is written and as it resolves.
    """
    clone = repo_location.common_dir(call.place)
    found: list[str] = []
    for one in call.paths:
        written = Path(os.path.normpath(call.folder / one))
        for path in (written.parent.resolve() / written.name, _resolved(written)):
            top = repo_location.work_tree(path.parent)
            if top is not None and clone is not None and repo_location.common_dir(top) == clone:
                found.append(path.relative_to(top).as_posix())
        for parent in (call.place.resolve(), call.place):  # as it is written, through folders that are links
            if written.is_relative_to(parent):
                found.append(written.relative_to(parent).as_posix())
    return [one for one in dict.fromkeys(found) if one != "."]


def answer(dialect: Dialect, *, deny: str = "", warn: str = "", context: str = "") -> dict[str, Any]:
    """Return the client's own JSON for a refusal (`deny`), a warning, or the context of a new session."""
    match dialect:
        case "gemini" if deny:
            return {"decision": "deny", "reason": deny}
        case "gemini" if warn:  # only its user sees this: without a refusal nothing reaches its agent
            return {"systemMessage": warn}
        case "cursor" if deny:
            return {"permission": "deny", "user_message": deny, "agent_message": deny}
        case "cursor" if warn:
            return {"user_message": warn, "agent_message": warn}
        case "cursor" if context:
            return {"additional_context": context}
        case "opencode":
            return {key: text for key, text in (("deny", deny), ("warn", warn), ("context", context)) if text}
    common = _hook_specific(dialect, deny, warn, context)
    if dialect == "copilot":  # the CLI reads the fields at the top, VS Code those of Claude Code
        inner = common.get("hookSpecificOutput", {})
        return common | {key: value for key, value in inner.items() if key != "hookEventName"}
    return common


def _hook_specific(dialect: Dialect, deny: str, warn: str, context: str) -> dict[str, Any]:
    if deny:
        decided = {"permissionDecision": "deny", "permissionDecisionReason": deny}
        return {"hookSpecificOutput": {"hookEventName": "PreToolUse", **decided}}
    if warn:  # no decision: the client asks its user as it would without us
        told = {"hookEventName": "PreToolUse", "additionalContext": warn}
        return {"systemMessage": warn, "hookSpecificOutput": told}
    if context:
        return {"hookSpecificOutput": {"hookEventName": "SessionStart", "additionalContext": context}}
    return {}


def _paths(call: Mapping[str, Any]) -> Iterator[str]:
    tool = next((call[key] for key in ("tool_name", "toolName", "tool") if isinstance(call.get(key), str)), "")
    if tool.casefold() not in EDIT_TOOLS:
        return
    given = next((call[key] for key in ("tool_input", "toolArgs", "args") if key in call), None)
    if isinstance(given, str) and _PATCH not in given:  # Copilot CLI: JSON as text
        try:
            given = json.loads(given)
        except (ValueError, RecursionError):
            return
    yield from (one for one in _named_in(given) if _is_path(one))


def _named_in(given: object) -> Iterator[str]:
    if isinstance(given, str):
        yield from _PATCHED.findall(given) if _PATCH in given else ()
    if not isinstance(given, Mapping):
        return
    yield from (given[key] for key in PATH_KEYS if isinstance(given.get(key), str))
    for key in PATCH_KEYS:
        if isinstance(given.get(key), str):
            yield from _named_in(given[key])
    for key in LIST_KEYS:
        rows: object = given.get(key)
        for row in rows if isinstance(rows, Sequence) and not isinstance(rows, str) else ():
            yield from [row] if isinstance(row, str) else _named_in(row)


def _is_path(text: str) -> bool:
    """Return whether the operating system can take `text` as a path."""
    try:
        return bool(text) and b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # links in a circle
        return path
