"""`gitcoord mcp`: serves the fleet to an AI agent over the Model Context Protocol."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click

from gitcoord.cli.common import as_option, node_here, speaker, tell
from gitcoord.core.errors import Refused
from gitcoord.store import program

GOODBYE_S = 15.0  # for the agent's goodbye


@click.command("mcp")
@as_option
@click.option("--no-run", is_flag=True, help="Do not run the agent: it sends no heartbeats")
def command(actor: str | None, no_run: bool) -> None:
    """Serve the fleet to an AI agent over standard input and output (Model Context Protocol).

    Configure a client such as Claude Code or Codex to start this command. It needs the extra `mcp`. As long as
    the client runs, `gitcoord agent run` sends heartbeats for its agent and syncs.

    \b
    Example:
      gitcoord mcp --as alice < /dev/null
      # claude mcp add gitcoord -- gitcoord mcp --as alice
    """
    try:
        from gitcoord.mcp import server
    except ModuleNotFoundError as wrong:
        raise Refused(f"the MCP SDK is not installed ({wrong.name} is missing): pip install 'gitcoord[mcp]'") from None
    from gitcoord.mcp.calls import Calls
    from gitcoord.node.node import open_node

    who = speaker(node_here(), actor)
    calls = Calls(lambda: open_node(Path.cwd(), tell=tell), who)
    with contextlib.nullcontext() if no_run else _running(who):
        server.serve(calls)


@contextlib.contextmanager
def _running(agent: str) -> Iterator[None]:
    """Run a process that sends heartbeats and syncs for the agent. If another one runs already, this one ends
    by itself.

    It ends with the pipe to it, so that it never outlives this process, however that ends.
    """
    process = subprocess.Popen(
        program.gitcoord_argv("agent", "run", "--id", agent, "--quiet", "--until-eof"),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdin is not None
    try:
        yield
    finally:
        process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=GOODBYE_S)
        process.kill()
        process.wait()
