"""`gitcoord setup`: what a client's files should hold here, and how they come to hold it, or no longer do."""

from __future__ import annotations

import contextlib
import importlib.resources
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gitcoord.core.errors import GitcoordError, Refused
from gitcoord.integrations.clients import CLIENTS, AiClient, Occasion, ServerEntry
from gitcoord.integrations.command_lines import check_agent, hook_line, hook_words, parse_server, server_words
from gitcoord.integrations.pieces import JsonHooks, JsonServer, MarkedSection, OwnFile, Piece, ServerPiece, TomlServer
from gitcoord.node.membership import agent_guide
from gitcoord.store import program, work_files
from gitcoord.store.git import repo_location, worktrees

FILE_BYTES_MAX = 1024 * 1024  # of a client's settings
TIMEOUTS_S: Mapping[Occasion, int] = {"session-start": 30, "edit": 10, "session-end": 10}
"""Seconds after which the client goes on without the hook. Most calls take less than one, but a machine may be busy."""


@dataclass(frozen=True, slots=True)
class FileChange:
    """What is to be done to one file. `after` None: remove it."""

    file: str
    what: str
    before: str | None
    after: str | None

    @property
    def words(self) -> str:
        if self.after is None:
            return f"remove {self.file} ({self.what})"
        return f"{'write' if self.before is None else 'change'} {self.file} ({self.what})"


def setup(client: str, folder: Path, agent: str | None = None, *, portable: bool = False) -> list[FileChange]:
    """Write what the client needs into the work tree around `folder`; return what was changed. Raise Refused.

    `agent`: who the client acts as, with `{worktree}` for the name of the work tree; "": the agent of the place; None:
    as it is there, otherwise as "".
    """
    changes = plan(client, folder, agent, portable=portable)
    apply(changes, work_tree(folder))
    return changes


def plan(
    client: str, folder: Path, agent: str | None = None, *, portable: bool = False, remove: bool = False
) -> list[FileChange]:
    """Return what `setup` would change, or what is to be done to remove it. Nothing is written. Raise Refused."""
    chosen, top = named(client), work_tree(folder)
    if agent is None:
        agent, was_portable = parse_server(next(_commands(chosen, top), []))
        portable = portable or was_portable
    check_agent(agent)
    changes: list[FileChange] = []
    for file, found in _by_file(pieces(chosen, top, agent, portable=portable)).items():
        before = after = _text(top, file)
        touched: list[str] = []
        for one in found:
            if remove and isinstance(one, MarkedSection) and _is_shared(chosen, top):
                continue
            with _named(one, adding=not remove):
                new = (one.remove(after) if after is not None else None) if remove else one.install(after)
            touched += [one.what] if new != after else []
            after = new
        if after != before:
            changes.append(FileChange(file, " and ".join(dict.fromkeys(touched)), before, after))
    return changes


def apply(changes: Sequence[FileChange], top: Path) -> None:
    """Write the changes. A folder that is empty afterwards goes with the file that was removed."""
    for one in changes:
        path = top / one.file
        try:
            if one.after is not None:
                work_files.write(path, top, one.after.encode())
            elif path.is_symlink():
                work_files.write(path, top, b"")  # the link is the user's
            else:
                work_files.inside(path, top).unlink()
                _prune(path.parent, top)
        except OSError as wrong:
            raise Refused(f"{wrong.filename or path}: {wrong.strerror}") from None


def own_files(top: Path) -> set[str]:
    """Return the files of a work tree that differ from its commit by nothing but what `setup` has written."""
    clients = [one for one in CLIENTS.values() if is_set_up(one, top)]
    all_pieces = [one for client in clients for one in pieces(client, top, "", portable=False)]
    found: set[str] = set()
    for file, some in _by_file(all_pieces).items():
        with contextlib.suppress(GitcoordError):  # what cannot be read counts as somebody's
            before = after = _text(top, file)
            for one in some:
                after = one.remove(after) if after is not None else None
            if after != before and worktrees.holds(top, "HEAD", file, _bytes(after)):
                found.add(file)
    return found


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode()


def named(client: str) -> AiClient:
    found = CLIENTS.get(client)
    if found is None:
        raise Refused(f"no client {client!r} is known: name one of {', '.join(CLIENTS)}")
    return found


def work_tree(folder: Path) -> Path:
    """Return the top of the work tree. Raise Refused outside of any."""
    top = repo_location.work_tree(folder)
    if top is None:
        raise Refused(f"{folder} is in no work tree of a git repository: go into the project, or run `git init` there")
    return top


def pieces(client: AiClient, top: Path, agent: str, *, portable: bool) -> list[Piece]:
    """Return all our pieces for a client in the files below `top`."""
    found: list[Piece] = [_server(one, top, agent, portable=portable) for one in client.servers]
    if client.hooks is not None:
        lines = {key: hook_line(key, client.name, agent, portable=portable) for key in client.hooks.events}
        found.append(JsonHooks(client.hooks.file, client.name, client.hooks, lines, TIMEOUTS_S))
    if client.plugin:
        words = hook_words("edit", client.name, agent, portable=portable)
        template = importlib.resources.files("gitcoord.integrations").joinpath("opencode.js").read_text("utf-8")
        found.append(OwnFile(client.plugin, template.replace('["COMMAND"]', json.dumps(words, ensure_ascii=False))))
    return [*found, MarkedSection(client.guide, agent_guide.TEXT)]


def is_set_up(client: AiClient, top: Path) -> bool:
    """Return whether a file of the client starts our MCP server."""
    return next(_commands(client, top), None) is not None


def _commands(client: AiClient, top: Path) -> Iterator[list[str]]:
    """Yield the command lines with which the client's files start our MCP server."""
    for one in client.servers:
        piece = _server(one, top, "", portable=False)
        with contextlib.suppress(Refused):
            words = piece.command(text) if (text := _text(top, piece.file)) else []
            if words:
                yield words


def is_found(client: AiClient, environ: Mapping[str, str]) -> bool:
    """Return whether the client seems to be installed for this user."""
    home = Path(environ.get("HOME") or os.path.expanduser("~"))
    return any(program.which(one, environ) for one in client.programs) or any(
        (home / one).exists() for one in client.traces
    )


def _server(entry: ServerEntry, top: Path, agent: str, *, portable: bool) -> ServerPiece:
    file = next((one for one in entry.files if (top / one).exists()), entry.files[0])
    words = server_words(agent, entry.in_folder, portable=portable)
    command: dict[str, Any] = {"command": words} if entry.table == "mcp" else {"command": words[0], "args": words[1:]}
    value = {**entry.entry, **command}
    if file.endswith(".toml"):
        return TomlServer(file, entry.table, value)
    return JsonServer(file, entry.table, value)


def _by_file(found: Sequence[Piece]) -> dict[str, list[Piece]]:
    files: dict[str, list[Piece]] = {}
    for one in found:
        files.setdefault(one.file, []).append(one)
    return files


def _text(top: Path, file: str) -> str | None:
    data = work_files.read(top / file, top, bytes_max=FILE_BYTES_MAX)
    try:
        return None if data is None else data.decode("utf-8")
    except UnicodeDecodeError as wrong:
        raise Refused(f"{file} is not UTF-8 at byte {wrong.start}: change that first") from None


@contextlib.contextmanager
def _named(piece: Piece, *, adding: bool) -> Iterator[None]:
    """Add to a refusal the file's name, and if `adding`, the text to add to it by hand."""
    try:
        yield
    except Refused as wrong:
        lines = f". Change that, or add by hand what a new file would have:\n{piece.install(None)}" if adding else ""
        raise Refused(f"{piece.file}: {wrong}{lines.rstrip()}") from None


def _is_shared(client: AiClient, top: Path) -> bool:
    """Return whether another client that is set up here reads the same guide."""
    guide = (top / client.guide).resolve()
    others = (one for one in CLIENTS.values() if one is not client)
    return any((top / one.guide).resolve() == guide and is_set_up(one, top) for one in others)


def _prune(folder: Path, top: Path) -> None:
    with contextlib.suppress(OSError):  # not empty
        while folder != top and folder.is_relative_to(top):
            folder.rmdir()
            folder = folder.parent
