"""The command lines in clients' files: how they start gitcoord, and how `setup` recognises them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

from gitcoord.core import names
from gitcoord.core.errors import Refused
from gitcoord.store import program

SERVER = "gitcoord"  # its name in each client
# A relative folder in PATH could be a folder of the checkout, where a branch may add a file `gitcoord`.
BY_PATH = (
    'case "$(command -v gitcoord)" in /*) exec gitcoord "$@";; '
    "*) echo 'gitcoord is not installed, or in no absolute folder of PATH' >&2; exit 127;; esac"
)


def program_words(*, portable: bool) -> list[str]:
    """Return the words that start gitcoord: this copy of it, or if `portable`, the one in PATH of each machine."""
    return ["/bin/sh", "-c", BY_PATH, SERVER] if portable else program.gitcoord_argv()


def server_words(agent: str, in_folder: Iterable[str] = (), *, portable: bool = False) -> list[str]:
    """Return the command of the MCP server, which acts as `agent` ("": as the agent of its place)."""
    return [*program_words(portable=portable), *in_folder, "mcp", *_acting(agent)]


def hook_words(occasion: str, client: str, agent: str, *, portable: bool = False) -> list[str]:
    return [*program_words(portable=portable), "hook", occasion, "--client", client, *_acting(agent)]


def hook_line(occasion: str, client: str, agent: str, *, portable: bool = False) -> str:
    """Return a hook as one line for any shell. Its exit code is always 0, since 2 would stop the client's action.

    If this copy of gitcoord is not there any more, the line does nothing.
    """
    found = "" if portable else f"test -f {shlex.quote(str(program.MAIN))} && "
    return f"{found}{shlex.join(hook_words(occasion, client, agent, portable=portable))} || true"


def is_our_hook(line: object, client: str) -> bool:
    """Return whether a command line calls our hook for a client."""
    return isinstance(line, str) and bool(re.search(rf"gitcoord.* hook [a-z-]+ --client {client}\b", line))


def is_our_server(words: Iterable[str]) -> bool:
    """Return whether a command line starts `gitcoord mcp`, however it was written."""
    line = " ".join(words)
    return "gitcoord" in line and re.search(r"(?:\A| )mcp(?:\Z| )", line) is not None


def parse_server(words: list[str]) -> tuple[str, bool]:
    """Return the agent and `portable` of a command line that starts `gitcoord mcp`."""
    named = words.index("--as") + 1 if "--as" in words else len(words)
    return (words[named] if named < len(words) else ""), words[:3] == program_words(portable=True)[:3]


def check_agent(agent: str) -> None:
    """Raise Refused if no agent can have this name in a work tree."""
    if agent:
        try:
            names.agent_id(names.in_worktree(agent, "x"))
        except Refused as wrong:
            raise Refused(f"--as: {wrong}; {names.WORKTREE} means the name of the work tree") from None


def _acting(agent: str) -> list[str]:
    return ["--as", agent] if agent else []
