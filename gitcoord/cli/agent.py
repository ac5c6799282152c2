"""`gitcoord agent`: run agents; change one's key; prove which account on GitHub an agent is."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gitcoord.cli.common import Noun, as_option, echo, json_option, node_here, print_json, speaker, teller
from gitcoord.cli.dry_run import dry_run_option, would_write
from gitcoord.core.names import agent_id

if TYPE_CHECKING:
    from gitcoord.github.api.account import Account
    from gitcoord.node.guards import Component
    from gitcoord.node.node import Node
    from gitcoord.node.tasks.worker import WorkerConfig


@click.group("agent", cls=Noun)
def command() -> None:
    """Run, register, list and admit agents.

    \b
    Example:
      gitcoord agent run --once
    """


@command.command("run")
@click.option("--id", "agents", metavar="ID", multiple=True, help="An agent to run; repeatable")
@click.option("--profile", type=click.Choice(["local", "lan", "github"]), help="Timings  [default: the fleet's]")
@click.option("--on-event", metavar="CMD", help="Run this command for each event addressed to the agent")
@click.option(
    "--attempts",
    metavar="N",
    type=click.IntRange(1, 100),
    default=5,
    show_default=True,
    help="With --on-event: set an event aside after N failures",
)
@click.option("--reply", is_flag=True, help="With --on-event: send the command's output as the answer")
@click.option("--capabilities", metavar="LIST", multiple=True, help="The agent's capabilities, such as python,backend")
@click.option("--exec", "words", metavar="CMD", help="Run this command for each task that the agent gets")
@click.option("--handler", metavar="FILE.py:FUNCTION", help="Call this Python function for each task instead")
@click.option(
    "--pass-env", metavar="NAME", multiple=True, help="Pass this environment variable to these commands; repeatable"
)
@click.option(
    "--slots", metavar="N", type=click.IntRange(1, 100), default=1, show_default=True, help="Number of tasks at a time"
)
@click.option(
    "--time-limit",
    metavar="SECONDS",
    type=click.FloatRange(min=0, min_open=True),
    default=3600.0,
    show_default=True,
    help="The time limit of each task; a task's own limit also holds",
)
@click.option(
    "--worktree", is_flag=True, help="Run each task in a new worktree, on a branch that is pushed when it is done"
)
@click.option(
    "--drain",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    default=20.0,
    show_default=True,
    help="At a stop: how long tasks may run before they are released",
)
@click.option("--no-lead", is_flag=True, help="Never campaign")
@click.option("--once", is_flag=True, help="Do what is due, lead if there is no leader, then stop")
@click.option(
    "--wait-for-credentials", is_flag=True, help="If the credentials are wrong at the start, wait for new ones"
)
@click.option("--takeover", is_flag=True, help="Take over from the same agent on another machine")
@click.option("--for", "for_s", metavar="SECONDS", type=click.FloatRange(min=0), help="Stop after this time")
@click.option(
    "--until-eof", is_flag=True, help="Stop at the end of standard input, such as when the parent process ends"
)
@click.option(
    "--shared", is_flag=True, hidden=True, help="Do not tell the place: servers that share this run tell theirs"
)
@click.option("--quiet", is_flag=True, help="Print only errors")
@click.option("--json-logs", is_flag=True, help="Print one JSON object per line")
def run(
    agents: tuple[str, ...],
    profile: str | None,
    on_event: str | None,
    attempts: int,
    reply: bool,
    capabilities: tuple[str, ...],
    words: str | None,
    handler: str | None,
    pass_env: tuple[str, ...],
    slots: int,
    time_limit: float,
    worktree: bool,
    drain: float,
    no_lead: bool,
    once: bool,
    wait_for_credentials: bool,
    takeover: bool,
    for_s: float | None,
    until_eof: bool,
    shared: bool,
    quiet: bool,
    json_logs: bool,
) -> None:
    """Run agents of this clone: send heartbeats, sync, campaign, lead. Ctrl-C or SIGTERM stops them.

    The command of --on-event gets the event as JSON on standard input and its id in GITCOORD_EVENT_ID; it is
    called for each event, in order, until it ends with 0: again after 1 s, 2 s, 4 s, … up to a minute. After --attempts
    failures the event is set aside and the next one is handled: `gitcoord inbox --failed` shows and replays it. An
    attempt that a kill interrupted does not count. With --reply, no output means no answer, and an answer is never
    answered.

    The command of --exec gets the task as JSON on standard input and in GITCOORD_TASK_ID, _TITLE, _ATTEMPT, _PRIORITY,
    _FOLDER, _BRANCH; it begins in an empty folder. Its standard output is the result. A line `::progress 0.4 words`
    reports progress, `::artifact PATH` names a result, and `::input QUESTION` asks for input. Exit code 0: done;
    75: released, for another agent; any other: failed, and the end of its standard error (or output, if that is
    empty) is the reason.

    --handler takes the path of a file, `./work.py:function`, or `package.module:function` of a module that is installed
    or in a folder that PYTHONPATH names by its absolute path. Nothing is imported from the working folder.

    None of these commands gets a variable that looks like a credential, such as GITCOORD_KEY or GITHUB_TOKEN, unless
    --pass-env names it. Text of others may look like an option or a path: read it from standard input, or pass it after
    `--`.

    \b
    Example:
      gitcoord agent run --once
      gitcoord agent run --for 1 --exec 'python3 -I -c "print(6 * 7)"' --slots 2
      gitcoord agent run --for 1 --on-event 'cat > /dev/null; echo yes' --reply
    """
    from gitcoord.github.api import account
    from gitcoord.node.agent.options import RunOptions
    from gitcoord.node.agent.runner import Runner
    from gitcoord.node.process_environment import checked
    from gitcoord.node.shutdown import StopFlag

    if reply and not on_event:
        raise click.UsageError("--reply needs --on-event: it sends the output of that command")
    node = node_here()
    node.tell = say = teller(quiet=quiet, json_logs=json_logs)
    if profile:
        node.use_profile(profile)
    names = [agent_id(name) for name in agents] or [speaker(node, None)]
    passed = checked(pass_env)
    work = _worker_config(words, handler, slots, time_limit, worktree, passed)
    _tell_withheld(passed, say, concerned=bool(on_event or work))
    stop = StopFlag()
    if until_eof:
        stop.at_eof(sys.stdin.buffer)
    github = account.of(node, say=say)
    if github is not None:
        github.check(stop, wait=wait_for_credentials)
    Runner(
        node,
        RunOptions(
            agents=names,
            on_event=on_event,
            attempts=attempts,
            reply=reply,
            pass_env=passed,
            work=work,
            capabilities=capabilities,
            drain_s=drain,
            lead=not no_lead,
            once=once,
            shared=shared,
            takeover=takeover,
            for_s=for_s,
            say=say,
            wait_for_credentials=wait_for_credentials,
            components=_components(node, github, say),
            heartbeat_extras=github.heartbeat_extras if github is not None else dict,
        ),
        stop,
    ).run()


def _components(node: Node, github: Account | None, say: Callable[[str, str], None]) -> list[Component]:
    """Return the parts of `agent run` beside its rounds: the leader's jobs, and the upkeep of GitHub's credentials."""
    from gitcoord.code.conflict_job import ConflictJob
    from gitcoord.code.fetched import Source
    from gitcoord.github.api import account
    from gitcoord.node.agent.leader_jobs import LeaderJob, LeaderJobs

    source = Source(account.remote_url(node), node.home.path.parent)
    jobs: list[LeaderJob] = [ConflictJob(source, node.home.cache)]
    if github is None:
        return [LeaderJobs(node, jobs, say=say)]
    from gitcoord.github.issue_job import IssueJob
    from gitcoord.github.review_job import ReviewJob

    jobs += [
        ReviewJob(github.name, github.known, source, github.meter),
        IssueJob(github.name, github.known, github.meter),
    ]
    return [github, LeaderJobs(node, jobs, say=say)]


def _tell_withheld(passed: Sequence[str], say: Callable[[str, str], None], *, concerned: bool) -> None:
    from gitcoord.node.process_environment import withheld

    names = withheld(os.environ, pass_env=passed) if concerned else []
    if names:
        say("withheld", f"commands do not get {', '.join(names)}; --pass-env NAME passes one on")


def _worker_config(
    words: str | None, handler: str | None, slots: int, time_limit: float, worktree: bool, pass_env: Sequence[str]
) -> WorkerConfig | None:
    from gitcoord.node.tasks import attempt
    from gitcoord.node.tasks.worker import WorkerConfig

    if words and handler:
        raise click.UsageError("--exec and --handler exclude each other: give one of them")
    if not words and not handler:
        return None
    top = Path.cwd()
    if handler:
        handler = attempt.located(handler, top)
        attempt.check_handler(handler, pass_env=pass_env)
    return WorkerConfig(words or attempt.handler_argv(handler or ""), slots, time_limit, worktree, top, pass_env)


@command.command("rekey")
@as_option
@dry_run_option
@json_option
def rekey(actor: str | None, dry_run: bool, as_json: bool) -> None:
    """Replace the key of an agent of this clone; the old key signs the announcement.

    \b
    Example:
      gitcoord agent rekey
    """
    from gitcoord.node.membership import rekey as keys

    node = node_here()
    who = speaker(node, actor)
    keys.check(node, who)
    if dry_run:
        would_write(node, "rekey", [keys.announced(node, who)], as_json)
        return
    event, key = keys.rekey(node, who)
    if as_json:
        print_json({"schema": "gitcoord.rekey/1", "id": event.uid, "agent": who, "key": key})
    else:
        echo(f"{who} has a new key; the old key is not valid any more")


@command.command("prove")
@click.option("--repo", metavar="OWNER/NAME", help="The repository to post in  [default: that of the remote]")
@as_option
@json_option
def prove(repo: str | None, actor: str | None, as_json: bool) -> None:
    """Print a line that proves an agent's GitHub account, once that account posts it.

    First run `gitcoord agent set --github LOGIN`. Then post the line under that account, as a comment of a pull request
    or in its text. The next review of that pull request finds and records it: no admin has to confirm the account. The
    line is valid for this agent, account, repository and fleet only, and it is not a secret.

    \b
    Example:
      gitcoord agent prove --repo OWNER/REPO
    """
    from gitcoord.cli import forge
    from gitcoord.node.membership import account_proof

    node = node_here()
    who = speaker(node, actor)
    proof = account_proof.make(node, who, forge.at(node, repo).name)
    if as_json:
        print_json(
            {
                "schema": "gitcoord.proof/1",
                "agent": proof.agent,
                "github": proof.login,
                "repository": proof.repository,
                "line": proof.line(),
            }
        )
    else:
        echo(proof.line())
