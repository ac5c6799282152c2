"""`gitcoord init`: creates a fleet, or joins the one on the remote."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from gitcoord.cli.common import echo, json_option, print_json, tell
from gitcoord.core.errors import Refused
from gitcoord.core.names import same_agent
from gitcoord.store.git import repo_location


@click.command("init")
@click.argument("path", type=click.Path(file_okay=False, path_type=Path), default=".")
@click.option(
    "--remote", metavar="NAME|URL", help="The shared remote  [default: origin, otherwise a new one in this folder]"
)
@click.option("--local", is_flag=True, help="Keep the register in this clone: for agents on one machine, fast")
@click.option("--shared", is_flag=True, help="Keep the register at origin, for agents on several machines; ask nothing")
@click.option(
    "--mirror", metavar="NAME|URL", help="With --local: the leader copies the ledger there, for people to read"
)
@click.option("--github", metavar="OWNER/NAME", help="Use this GitHub repository as origin; create it if it is missing")
@click.option("--public", is_flag=True, help="With --github: create a public repository, not a private one")
@click.option("--agent", metavar="ID", help="Your agent id in the fleet  [default: GITCOORD_AGENT, otherwise a prompt]")
@click.option(
    "--key",
    metavar="FILE",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help="The agent's secret key, as another clone or `gitcoord leave` kept it; this clone keeps it too",
)
@click.option(
    "--profile", type=click.Choice(["local", "lan", "github"]), help="Timings  [default: chosen by the remote]"
)
@click.option(
    "--namespace", type=click.Choice(["refs/gitcoord", "refs/heads/gitcoord"]), help="The namespace of the outboxes"
)
@click.option("--auth", type=click.Choice(["ed25519", "hmac"]), help="Signatures  [default: ed25519]")
@click.option("--baseline", is_flag=True, help="Also create events.log, communication.md, archive.md and scripts/")
@click.option(
    "--agent-guide",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write what an AI agent must know into FILE of PATH, such as AGENTS.md; the rest of it stays",
)
@click.option("--github-actions", is_flag=True, help="Also write workflows that lead the fleet, and review, on GitHub")
@click.option(
    "--source",
    metavar="WHAT",
    help="With --github-actions: the pip requirement of gitcoord  [default: this version's commit]",
)
@click.option("--force", is_flag=True, help="Replace different workflows of the same name")
@click.option("--no-lead", is_flag=True, help="Never let agents of this clone campaign")
@click.option("--yes", is_flag=True, help="Never prompt")
@json_option
def command(
    path: Path,
    remote: str | None,
    local: bool,
    shared: bool,
    mirror: str | None,
    github: str | None,
    public: bool,
    agent: str | None,
    key: Path | None,
    profile: str | None,
    namespace: str | None,
    auth: str | None,
    baseline: bool,
    agent_guide: Path | None,
    github_actions: bool,
    source: str | None,
    force: bool,
    no_lead: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Create a fleet in PATH, or join the one on its remote. Another run changes nothing.

    If all agents are on one machine, --local keeps the register in a bare repository in this clone, where a claim takes
    milliseconds, and --mirror origin shows the ledger on the forge. On a terminal the command asks which of the two you
    want, if origin is on another machine. If there is no remote, it creates a bare one in the clone. With --github it
    creates the repository on GitHub, and sets it as this clone's origin. It does not prompt if GITCOORD_REMOTE,
    GITCOORD_AGENT, GITCOORD_KEY and GITCOORD_NODE are set. `gitcoord move` takes a fleet to another remote later.

    \b
    Example:
      gitcoord init --agent alice
      gitcoord init --agent alice --agent-guide AGENTS.md
      gitcoord init --agent alice --github-actions --source git+https://HOST/OWNER/REPO@COMMIT
    """
    from gitcoord.node.membership import agent_guide as guide
    from gitcoord.node.membership.init import InitRequest, init
    from gitcoord.node.operations.local_pages import write_baseline
    from gitcoord.store.git import spawn

    if (source or force) and not github_actions:
        raise click.UsageError("--source and --force need --github-actions: they are about its workflows")
    if local and github_actions:
        raise click.UsageError("--github-actions needs a shared register, which workflows reach: leave out --local")
    if spawn.git_version() < spawn.LEAST_GIT:
        found, least = spawn.shown_version(spawn.git_version()), spawn.shown_version(spawn.LEAST_GIT)
        raise Refused(f"{found} is too old: install {least} or later")
    if github_actions and source is None:
        source = _this_version()
    name = agent or os.environ.get("GITCOORD_AGENT") or _ask(path, yes)
    before: list[str] = []
    if github is not None:
        remote = _on_github(path, github, remote, public, before)
    local = _place(path, remote, local, shared, mirror, yes, before)
    if not local:
        _check_credentials(path, remote)
    asked = InitRequest(
        agent=name,
        remote=remote,
        local=local,
        mirror=mirror,
        profile=profile,
        namespace=namespace,
        auth=auth,
        lead=not no_lead,
        key=key,
    )
    joined = init(path.resolve(), asked)
    click.get_current_context().call_on_close(joined.node.close)
    made = write_baseline(path) if baseline else []
    actions = before + joined.messages + ([f"made {', '.join(made)}"] if made else [])
    if agent_guide is not None and guide.write(path / agent_guide, path):
        actions.append(f"wrote the guide for agents into {agent_guide}")
    if source is not None:
        actions += _write_workflows(path, source, force)
    node = joined.node
    if as_json:
        print_json(
            {
                "schema": "gitcoord.init/1",
                "fleet": node.config.fleet_id,
                "node": node.disk.node,
                "agent": name,
                "founded": joined.founded,
                "joined": joined.joined,
                "did": actions,
            }
        )
        return
    for line in actions:
        echo(line)
    if not actions:
        echo(f"nothing to do: {name} is in fleet {node.config.fleet_id}")
        if node.config.agent and not same_agent(node.config.agent, name):
            echo(f"{node.config.agent} speaks here: `gitcoord config set agent {name}` changes that")
    else:
        echo('next: gitcoord agent run, and gitcoord append question "…"')


def _place(
    path: Path, remote: str | None, local: bool, shared: bool, mirror: str | None, yes: bool, actions: list[str]
) -> bool:
    """Return whether the register is to be in this clone; ask if no option tells, and a person is at the terminal."""
    from gitcoord.node.membership.shared_remote import profile_for
    from gitcoord.store.git import local_repo

    if local and (shared or remote is not None):
        raise click.UsageError("--local keeps the register in this clone: leave out --shared, --remote and --github")
    chosen = local or shared or remote is not None or mirror or os.environ.get("GITCOORD_REMOTE", "").strip()
    common = None if chosen or not path.exists() else local_repo.find_common_dir(path)
    if common is None or (common / "gitcoord" / "config.json").exists() or profile_for(common, "origin") == "local":
        return local
    if yes or not sys.stdin.isatty():
        actions.append(
            "the register is at origin, for several machines; --local keeps it in the clone, where it is fast"
        )
        return False
    return click.confirm("Do all agents of this fleet run on this machine? The register is then kept in this clone")


def _write_workflows(path: Path, source: str, force: bool) -> list[str]:
    from gitcoord.github import workflows

    written = workflows.write(path, source, force=force)
    return [f"wrote {' and '.join(written)}, which install {source} (--source names another)"] if written else []


def _this_version() -> str:
    from gitcoord.github import install_source

    return install_source.of_this_version()


def _on_github(path: Path, name: str, remote: str | None, public: bool, actions: list[str]) -> str:
    from gitcoord.github.api import repositories

    if remote is not None:
        raise click.UsageError("--github and --remote exclude each other: give one of them")
    return repositories.connect(path.resolve(), name, public=public, messages=actions)


def _check_credentials(path: Path, remote: str | None) -> None:
    """Check the credentials for a remote on GitHub BEFORE anything is created with them. Raise CredentialsRefused."""
    from gitcoord.github.api import account
    from gitcoord.store.git import local_repo

    remote = remote or os.environ.get("GITCOORD_REMOTE") or "origin"
    common = local_repo.find_common_dir(path) if path.exists() else None
    url = common and local_repo.remote_url(common, remote)
    account.ready(url or remote, say=tell)


def _ask(path: Path, yes: bool) -> str:
    from gitcoord.store.home.home import find_home

    home = find_home(path) if path.exists() and repo_location.common_dir(path) is not None else None
    if home is not None and home.exists:
        known = home.config().agent if home.worktree is None else home.worktree_agent
        if known:
            return known
    if yes or not sys.stdin.isatty():
        raise Refused("the agent has no name yet: give --agent NAME, or set GITCOORD_AGENT")
    name: str = click.prompt("Name of your agent in the fleet")
    return name
