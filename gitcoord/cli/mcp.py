"""`gitcoord mcp`: serves the fleet to an AI agent over the Model Context Protocol."""

from __future__ import annotations

from pathlib import Path

import click

from gitcoord.cli.common import as_option, node_here, speaker, tell
from gitcoord.core.errors import Refused


@click.command("mcp")
@as_option
@click.option("--no-run", is_flag=True, help="Do not run the agent: it sends no heartbeats")
def command(actor: str | None, no_run: bool) -> None:
    """Serve the fleet to an AI agent over standard input and output (Model Context Protocol).

    Configure a client such as Claude Code or Codex to start this command. It needs the extra `mcp`. As long as
    the client runs, `gitcoord agent run` sends heartbeats for its agent and syncs. Several servers of one agent share
    it, and the last one says goodbye.

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
    from gitcoord.node.operations import places

    node = node_here()
    who = speaker(node, actor)
    calls = Calls(lambda: open_node(Path.cwd(), tell=tell), who)
    here = places.held(node.home, who, node_id=node.disk.node, place=node.place)
    if no_run:
        with here:
            server.serve(calls)
        return
    from gitcoord.mcp.shared_run import SharedRun

    with here, SharedRun(node.home, who).held() as run:
        calls.warning = lambda: run.warning
        server.serve(calls)
