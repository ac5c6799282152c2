"""The AI clients that `gitcoord setup` knows: for each, a declaration of the files that it reads, and their source.

If a client's format changes, change it here. The formats are those of the named pages in November 2026.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Occasion = Literal["session-start", "edit", "session-end"]  # `gitcoord hook OCCASION`
Dialect = Literal["claude", "gemini", "cursor", "copilot", "opencode"]  # of a hook's answer


@dataclass(frozen=True, slots=True)
class ServerEntry:
    """Where a client reads its MCP servers: the first of `files` that exists, otherwise the first.

    `entry`: keys to write beside the command. `in_folder`: options before `mcp`, for a client that does not start a
    server in the project's folder.
    """

    files: tuple[str, ...]
    table: str  # the key of the object with the servers, by name
    entry: Mapping[str, Any]
    in_folder: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HookEvent:
    """A client's name for one of our occasions, and its matcher of the tools for which it runs the hook."""

    name: str
    matcher: str = ""


@dataclass(frozen=True, slots=True)
class HookFile:
    """A JSON file of hooks. `grouped`: each event has groups, with a matcher and handlers each, as in Claude Code."""

    file: str
    events: Mapping[Occasion, HookEvent]
    grouped: bool
    command: str = "command"  # the key of the command line
    timeout: str = "timeout"
    units_per_s: int = 1  # of the timeout
    more: Mapping[str, Any] = field(default_factory=dict)  # of each handler
    version: int | None = None  # at the top of the file


@dataclass(frozen=True, slots=True)
class AiClient:
    """An AI client."""

    name: str
    title: str
    guide: str  # the file that it reads as instructions
    servers: tuple[ServerEntry, ...]
    dialect: Dialect
    programs: tuple[str, ...]  # in PATH, if it is installed
    traces: tuple[str, ...]  # files in the home folder, if it is installed
    hooks: HookFile | None = None
    plugin: str = ""  # a file that is entirely ours
    then: str = ""  # the next step of the user


COMMAND = {"type": "command"}

CLAUDE = AiClient(
    name="claude",
    title="Claude Code",
    guide="CLAUDE.md",
    # https://code.claude.com/docs/en/mcp ("Project scope"): .mcp.json, key mcpServers, in the project's folder
    servers=(ServerEntry((".mcp.json",), "mcpServers", {"type": "stdio"}),),
    # https://code.claude.com/docs/en/hooks: .claude/settings.json, key hooks; timeouts in seconds
    hooks=HookFile(
        ".claude/settings.json",
        {
            "session-start": HookEvent("SessionStart"),
            "edit": HookEvent("PreToolUse", "Edit|MultiEdit|Write|NotebookEdit"),
            "session-end": HookEvent("SessionEnd"),
        },
        grouped=True,
        more=COMMAND,
    ),
    dialect="claude",
    programs=("claude",),
    traces=(".claude", ".claude.json"),
    then="Claude Code asks once whether it may use the server of this project",
)

CODEX = AiClient(
    name="codex",
    title="Codex",
    guide="AGENTS.md",
    # https://developers.openai.com/codex/mcp: [mcp_servers.NAME] in .codex/config.toml of a project that is trusted
    servers=(ServerEntry((".codex/config.toml",), "mcp_servers", {}),),
    # https://developers.openai.com/codex/hooks: .codex/hooks.json, the shape of Claude Code's, no event at the end of a
    # session. A patch has the tool name apply_patch (aliases Edit and Write); tool_input.command is the patch.
    hooks=HookFile(
        ".codex/hooks.json",
        {"session-start": HookEvent("SessionStart"), "edit": HookEvent("PreToolUse", "apply_patch|Edit|Write")},
        grouped=True,
        more=COMMAND,
    ),
    dialect="claude",
    programs=("codex",),
    traces=(".codex",),
    then="start Codex here, trust the project, and approve the hooks with /hooks",
)

GEMINI = AiClient(
    name="gemini",
    title="Gemini CLI",
    guide="GEMINI.md",
    # https://geminicli.com/docs/tools/mcp-server: .gemini/settings.json (comments are allowed), key mcpServers
    servers=(ServerEntry((".gemini/settings.json",), "mcpServers", {}),),
    # https://geminicli.com/docs/hooks/reference: key hooks of the same file; timeouts in milliseconds
    hooks=HookFile(
        ".gemini/settings.json",
        {
            "session-start": HookEvent("SessionStart"),
            "edit": HookEvent("BeforeTool", "write_file|replace"),
            "session-end": HookEvent("SessionEnd"),
        },
        grouped=True,
        units_per_s=1000,
        more={"name": "gitcoord", **COMMAND},
    ),
    dialect="gemini",
    programs=("gemini",),
    traces=(".gemini",),
    then="Gemini CLI asks once whether it may trust this folder and its hooks",
)

CURSOR = AiClient(
    name="cursor",
    title="Cursor",
    guide="AGENTS.md",  # https://cursor.com/docs/context/rules ("AGENTS.md")
    # https://cursor.com/docs/context/mcp: .cursor/mcp.json; ${workspaceFolder} is filled in
    servers=(
        ServerEntry((".cursor/mcp.json",), "mcpServers", {"type": "stdio"}, in_folder=("-C", "${workspaceFolder}")),
    ),
    # https://cursor.com/docs/hooks: .cursor/hooks.json, version 1, flat; the tools of an edit are Write and Delete
    hooks=HookFile(
        ".cursor/hooks.json",
        {
            "session-start": HookEvent("sessionStart"),
            "edit": HookEvent("preToolUse", "Write|Delete"),
            "session-end": HookEvent("sessionEnd"),
        },
        grouped=False,
        version=1,
    ),
    dialect="cursor",
    programs=("cursor", "cursor-agent"),
    traces=(".cursor",),
    then="enable the server gitcoord in Cursor's settings (MCP)",
)

OPENCODE = AiClient(
    name="opencode",
    title="OpenCode",
    guide="AGENTS.md",
    # https://opencode.ai/docs/mcp-servers: key mcp of opencode.json or opencode.jsonc. OpenCode 2 reads this shape as
    # well (https://opencode.ai/v2/docs/migrate-v1); a file in the shape of 2 gets it in mcp.servers.
    servers=(
        ServerEntry(
            ("opencode.json", "opencode.jsonc", ".opencode/opencode.json", ".opencode/opencode.jsonc"),
            "mcp",
            {"type": "local"},
        ),
    ),
    # https://opencode.ai/docs/plugins and https://opencode.ai/v2/docs/build/plugins: files of .opencode/plugins are
    # loaded; from one default export version 1 calls server() and version 2 setup()
    plugin=".opencode/plugins/gitcoord.js",
    dialect="opencode",
    programs=("opencode", "opencode2"),
    traces=(".config/opencode",),
)

COPILOT = AiClient(
    name="copilot",
    title="GitHub Copilot",
    guide="AGENTS.md",  # https://docs.github.com/en/copilot/reference/custom-instructions-support
    servers=(
        # Copilot CLI, https://docs.github.com/en/copilot/how-tos/copilot-cli/customize-copilot/add-mcp-servers
        ServerEntry((".github/mcp.json",), "mcpServers", {"type": "local", "tools": ["*"]}),
        # VS Code, https://code.visualstudio.com/docs/copilot/reference/mcp-configuration
        ServerEntry((".vscode/mcp.json",), "servers", {"type": "stdio"}, in_folder=("-C", "${workspaceFolder}")),
    ),
    # https://docs.github.com/en/copilot/reference/hooks-reference: .github/hooks/*.json, version 1, flat
    hooks=HookFile(
        ".github/hooks/gitcoord.json",
        {
            "session-start": HookEvent("sessionStart"),
            "edit": HookEvent("preToolUse", "edit|create|apply_patch"),
            "session-end": HookEvent("sessionEnd"),
        },
        grouped=False,
        command="bash",
        timeout="timeoutSec",
        more=COMMAND,
        version=1,
    ),
    dialect="copilot",
    programs=("copilot",),
    traces=(".copilot",),
)

CLIENTS: Mapping[str, AiClient] = {one.name: one for one in (CLAUDE, CODEX, GEMINI, CURSOR, OPENCODE, COPILOT)}
