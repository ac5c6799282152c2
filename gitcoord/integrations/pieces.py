"""Pieces: our parts of a client's files, which can be put in and taken out. Pure: text goes in, text comes out."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from gitcoord.core.errors import Refused
from gitcoord.core.sections import with_section, without_section
from gitcoord.integrations import json_edit
from gitcoord.integrations.clients import HookFile, Occasion
from gitcoord.integrations.command_lines import SERVER, is_our_hook, is_our_server
from gitcoord.integrations.jsonc import JsonEntry, JsonNode, read

HOOKS = "hooks"
VERSION = "version"
# What version 2 of OpenCode calls some keys of version 1: the shapes may not be mixed in one file.
OPENCODE_2 = {"agents", "attachments", "commands", "permissions", "plugins", "providers", "snapshots"}


class Piece(Protocol):
    """One part of ours in one file of a client. `what` names it for people."""

    @property
    def file(self) -> str: ...

    @property
    def what(self) -> str: ...

    def install(self, text: str | None) -> str:
        """Return the file's text with the piece in it. `text` None: there is no file yet. Raise Refused."""

    def remove(self, text: str) -> str | None:
        """Return the file's text without the piece; None if nothing else is left in it. Raise Refused."""


class ServerPiece(Piece, Protocol):
    """The MCP server in a file."""

    def command(self, text: str) -> list[str]:
        """Return the command line with which the file starts `gitcoord mcp`; [] if it does not. Raise Refused."""


@dataclass(frozen=True, slots=True)
class JsonServer:
    """The MCP server in a JSON file. In an entry that exists already, only `type` and the command are ours."""

    file: str
    table: str
    entry: Mapping[str, Any]
    what: str = "the MCP server"

    def install(self, text: str | None) -> str:
        if text is None:
            return json_edit.new_file({self.table: {SERVER: dict(self.entry)}})
        path = self._path(read(text))
        found = json_edit.find(read(text), (*path, SERVER))
        if found is None:
            return json_edit.put(text, (*path, SERVER), dict(self.entry))
        if not _our_words(found.value):
            raise Refused(f"it has another server named {SERVER}, which does not start `gitcoord mcp`: rename it")
        for key in self.entry.keys() & {"type", "command", "args"}:
            text = json_edit.put(text, (*path, SERVER, key), self.entry[key])
        return text

    def remove(self, text: str) -> str | None:
        root = read(text)
        chain = _chain(root, self._path(root))
        entry = chain[-1].get(SERVER) if chain else None
        if not chain or entry is None or not _our_words(entry.node.value):
            return text
        return json_edit.take(text, chain, entry)

    def command(self, text: str) -> list[str]:
        root = read(text)
        chain = _chain(root, (*self._path(root), SERVER))
        return _our_words(chain[-1].value) if chain else []

    def _path(self, root: JsonNode) -> tuple[str, ...]:
        if self.table != "mcp":
            return (self.table,)
        servers = json_edit.find(root, ("mcp", "servers")) if root.get("mcp") else None
        named = servers is not None and isinstance(servers.value, dict) and "type" not in servers.value
        second = named or (servers is None and any(root.get(key) for key in OPENCODE_2))
        return ("mcp", "servers") if second else ("mcp",)


def _our_words(value: Any) -> list[str]:
    """Return the command line of a server's entry, in whichever shape; [] unless it starts `gitcoord mcp`."""
    parts = [value.get("command"), value.get("args")] if isinstance(value, dict) else []
    words = [str(word) for one in parts if one is not None for word in (one if isinstance(one, list) else [one])]
    return words if is_our_server(words) else []


@dataclass(frozen=True, slots=True)
class TomlServer:
    """The MCP server in a TOML file, as a table between markers at its end."""

    file: str
    table: str
    entry: Mapping[str, Any]
    what: str = "the MCP server"

    @property
    def section(self) -> str:
        rows = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in self.entry.items()]
        return "\n".join(["# BEGIN GITCOORD", f"[{self.table}.{SERVER}]", *rows, "# END GITCOORD", ""])

    def install(self, text: str | None) -> str:
        before = without_section(text or "", self.section)
        wanted = _toml(before)
        servers = wanted.setdefault(self.table, {})
        if not isinstance(servers, dict) or SERVER in servers:
            raise Refused(f"it has {self.table}.{SERVER} already, and not between our markers: remove it first")
        servers[SERVER] = dict(self.entry)
        new = with_section(text or "", self.section)
        try:
            same = _toml(new) == wanted
        except Refused:
            same = False
        if not same:
            raise Refused(
                f"a table cannot be added to {self.table} as it is written: write its servers as tables "
                f"[{self.table}.NAME]"
            )
        return new

    def remove(self, text: str) -> str | None:
        _toml(text)
        return without_section(text, self.section) or None

    def command(self, text: str) -> list[str]:
        table = _toml(text).get(self.table)
        return _our_words(table.get(SERVER)) if isinstance(table, dict) else []


def _toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text.removeprefix("\ufeff"))
    except ValueError as wrong:
        raise Refused(f"it is not TOML: {wrong}") from None


@dataclass(frozen=True, slots=True)
class JsonHooks:
    """Hooks in a JSON file. A hook is ours if its command runs `gitcoord hook OCCASION --client NAME`."""

    file: str
    client: str
    shape: HookFile
    lines: Mapping[Occasion, str]
    timeouts_s: Mapping[Occasion, int]
    what: str = "hooks"

    def install(self, text: str | None) -> str:
        wanted = {event.name: self._item(occasion) for occasion, event in self.shape.events.items()}
        if text is None:
            version = {} if self.shape.version is None else {VERSION: self.shape.version}
            return json_edit.new_file({HOOKS: {name: [item] for name, item in wanted.items()}} | version)
        for name, item in wanted.items():
            text = self._with_item(text, name, item)
        if self.shape.version is not None and read(text).get(VERSION) is None:
            text = json_edit.put(text, (VERSION,), self.shape.version)
        return text

    def remove(self, text: str) -> str | None:
        root = read(text)
        keys = [one.key for one in root.entries]
        ours = HOOKS in keys and keys.index(HOOKS) + 1 < len(keys) and keys[keys.index(HOOKS) + 1] == VERSION
        while (found := next(self._found(read(text)), None)) is not None:
            rest = json_edit.take(text, *found)
            if rest is None:
                return None
            text = rest
        root = read(text)
        version = root.get(VERSION)
        if ours and self.shape.version is not None and root.get(HOOKS) is None and version is not None:
            return json_edit.take(text, [root], version)
        return text

    def _item(self, occasion: Occasion) -> dict[str, Any]:
        shape, event = self.shape, self.shape.events[occasion]
        handler = {
            **shape.more,
            shape.command: self.lines[occasion],
            shape.timeout: self.timeouts_s[occasion] * shape.units_per_s,
        }
        matcher = {"matcher": event.matcher} if event.matcher else {}
        return {**matcher, HOOKS: [handler]} if shape.grouped else {**matcher, **handler}

    def _with_item(self, text: str, name: str, item: dict[str, Any]) -> str:
        ours = [one for one in self._found(read(text)) if _key_above(one[0], name)]
        if not ours:
            return json_edit.append(text, (HOOKS, name), item)
        for chain, entry in reversed(ours[1:]):  # from the end, so that the positions before stay valid
            text = json_edit.take(text, chain, entry) or text
        chain, entry = next(one for one in self._found(read(text)) if _key_above(one[0], name))
        whole = len(chain) == 3  # in a group with handlers of others, only the handler is ours
        return json_edit.replace(text, entry.node, item if whole else item[HOOKS][0])

    def _found(self, root: JsonNode) -> Iterator[tuple[Sequence[JsonNode], JsonEntry]]:
        """Yield each entry that is entirely ours, with the nodes around it, from the root inwards."""
        hooks = root.get(HOOKS)
        for event in hooks.node.entries if hooks is not None else ():
            for item in event.node.entries if isinstance(event.node.value, list) else ():
                assert hooks is not None
                chain = [root, hooks.node, event.node]
                inner = item.node.get(HOOKS) if isinstance(item.node.value, dict) and self.shape.grouped else None
                handlers = inner.node.entries if inner is not None else [item]
                ours = [one for one in handlers if self._is_ours(one.node.value)]
                if ours and len(ours) == len(handlers):
                    yield chain, item
                elif inner is not None:
                    yield from (([*chain, item.node, inner.node], one) for one in ours)

    def _is_ours(self, handler: Any) -> bool:
        return isinstance(handler, dict) and is_our_hook(handler.get(self.shape.command), self.client)


def _key_above(chain: Sequence[JsonNode], name: str) -> bool:
    """Return whether the event of an entry is `name`."""
    found = chain[1].get(name)
    return found is not None and found.node is chain[2]


def _chain(root: JsonNode, path: Sequence[str]) -> list[JsonNode]:
    """Return the nodes on the way to `path`, with the root; nothing if one is missing."""
    chain = [root]
    for number in range(len(path)):
        node = json_edit.find(root, path[: number + 1])
        if node is None:
            return []
        chain.append(node)
    return chain


@dataclass(frozen=True, slots=True)
class MarkedSection:
    """A section of a text, between markers."""

    file: str
    section: str
    what: str = "the guide for agents"

    def install(self, text: str | None) -> str:
        return with_section(text or "", self.section)

    def remove(self, text: str) -> str | None:
        return without_section(text, self.section) or None


@dataclass(frozen=True, slots=True)
class OwnFile:
    """A file that is entirely ours, as its first line says."""

    file: str
    text: str
    what: str = "hooks"

    def install(self, text: str | None) -> str:
        if text is not None and not self._is_ours(text):
            raise Refused("it is not gitcoord's file, although it has its name: rename it")
        return self.text

    def remove(self, text: str) -> str | None:
        return None if self._is_ours(text) else text

    def _is_ours(self, text: str) -> bool:
        return text.splitlines()[:1] == self.text.splitlines()[:1]
