"""`gitcoord conflict`: finds branches that would conflict, before anybody merges them."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gitcoord.cli.common import Noun, as_option, echo, json_option, print_json, speaker, tell
from gitcoord.cli.dry_run import dry_run_option, events
from gitcoord.cli.forge import at, node_if_any
from gitcoord.core.errors import GitcoordError, Refused
from gitcoord.core.secret_scan.credentials import OnSecret

if TYPE_CHECKING:
    from gitcoord.code.conflicts import Conflict, ConflictReport, Ref
    from gitcoord.code.objects import Repository
    from gitcoord.core.format.event import Draft
    from gitcoord.node.node import Node

HUNK_LINES = 3  # per side, for a person


@click.group("conflict", cls=Noun)
def command() -> None:
    """Find branches that conflict, and mark conflicts as settled.

    \b
    Example:
      gitcoord conflict check
    """


@command.command("check")
@click.argument("refs", metavar="[REF]...", nargs=-1)
@click.option("--base", metavar="REF", help="The branch to merge into  [default: the remote's default branch]")
@click.option("--prs", is_flag=True, help="Check the open pull requests on GitHub, not branches")
@click.option("--record", is_flag=True, help="Record new and settled conflicts, and notify their authors")
@as_option
@dry_run_option
@json_option
def check(
    refs: tuple[str, ...], base: str | None, prs: bool, record: bool, actor: str | None, dry_run: bool, as_json: bool
) -> None:
    """Merge branches on trial, with each other and with the base, and list conflicts.

    Without REF: all branches, local and fetched, that are not merged into the base. Nothing in the repository is
    changed. The worst conflict comes first; at the end comes an order of merging with the fewest conflicts.

    A fleet's clone caches the result of each trial merge; any other clone repeats all of them each time.

    \b
    Example:
      gitcoord conflict check
      gitcoord conflict check --json
    """
    from gitcoord.code import conflicts, fetched, merge_cache
    from gitcoord.code.objects import Repository

    if prs and refs:
        raise click.UsageError("--prs checks all open pull requests: leave out REF")
    if dry_run and not record:
        raise click.UsageError("--dry-run needs --record: without --record nothing is written")
    node = node_if_any()
    if record and node is None:
        raise Refused("--record writes into a fleet's log: run `gitcoord init` here first")
    agents = [member.id for member in node.fleet.members.by_id.values()] if node is not None else []
    with fetched.beside(Path.cwd()) if prs else Repository(Path.cwd()) as repository:
        chosen, onto, names = (
            _pulls(repository, node, agents, base) if prs else _branches(repository, node, refs, agents, base)
        )
        known = merge_cache.read(node.home.cache, repository) if node is not None else {}
        found = conflicts.between(repository, chosen, base=onto, now_s=time.time(), known=known)
        if node is not None:
            merge_cache.save(node.home.cache, repository, found.outcomes)
    drafts: list[Draft] = []
    if record and node is not None:
        drafts = _events_to_record(
            node, found.conflicts, speaker(node, actor), [one for one in (*chosen, onto) if one is not None], names
        )
        if dry_run:
            node.check(*drafts)
        else:
            _record(node, drafts)
    if as_json:
        print_json(
            {
                "schema": "gitcoord.conflict.check/1",
                "base": onto.name if onto else None,
                "refs": len(chosen),
                "pairs": found.pairs,
                "tried": found.tried,
                "conflicts": [_plain(one) for one in found.conflicts],
                "order": [{"ref": ref.name, "conflicts": number} for ref, number in found.order],
                **({"dry_run": True, "events": events(drafts), "changes": []} if dry_run else {}),
            }
        )
    else:
        _show(found, onto.name if onto else "a first commit")
        for draft in drafts if dry_run else ():
            echo(f"would write {draft.type}: {draft.content}")


def _branches(
    repository: Repository, node: Node | None, refs: tuple[str, ...], agents: list[str], base: str | None
) -> tuple[list[Ref], Ref | None, dict[str, str]]:
    """Return the refs to check, the ref to merge into, and by commit the name that the fleet's remote has for it."""
    from gitcoord.code import branches
    from gitcoord.node.membership.shared_remote import code_remote

    onto = branches.base_of(repository, base)
    chosen = (
        branches.chosen(repository, refs, agents)
        if refs or onto is None
        else branches.branches(repository, onto, agents)
    )
    if node is None:
        return chosen, onto, {}
    return chosen, onto, branches.shared(repository, code_remote(node.home.path.parent, node.config.remote))


def _pulls(
    repository: Repository, node: Node | None, agents: list[str], base: str | None
) -> tuple[list[Ref], Ref, dict[str, str]]:
    from gitcoord.github import pull_refs
    from gitcoord.github.api import credentials
    from gitcoord.github.api.client import Client

    known, forge = credentials.required(os.environ), at(node, None)
    with Client(forge.name, known) as client:
        source = forge.source(client)
        assert source is not None  # `at` without a name returns the remote of this clone
        found = pull_refs.opened(client, repository, source, agents, base=base)
    return found.refs, found.base, found.names


def _plain(one: Conflict) -> dict[str, Any]:
    return {
        "severity": one.severity,
        "score": round(one.score, 1),
        "age_s": round(one.age_s),
        **{
            side: {"name": ref.name, "commit": ref.commit, "agent": ref.agent}
            for side, ref in (("a", one.a), ("b", one.b))
        },
        "paths": [
            {
                "path": path.path,
                "kind": path.kind,
                "lines": path.lines,
                "central": path.central,
                "messages": path.messages,
                "hunks": [
                    {
                        "function": hunk.function,
                        "a_at": hunk.ours_at,
                        "a": hunk.ours,
                        "b_at": hunk.theirs_at,
                        "b": hunk.theirs,
                    }
                    for hunk in path.hunks
                ],
            }
            for path in one.paths
        ],
    }


def _show(found: ConflictReport, base: str) -> None:
    from gitcoord.cli.shown import plain
    from gitcoord.core import times
    from gitcoord.core.text import count

    for one in found.conflicts:
        who = " and ".join(plain(f"{ref.name} ({ref.agent})" if ref.agent else ref.name) for ref in (one.a, one.b))
        echo(f"{one.severity}: {who}, {count(len(one.paths), 'path')}, {times.roughly(one.age_s)} old")
        for path in one.paths:
            echo(f"  {plain(path.path)} ({path.kind})")
            for hunk in path.hunks:
                echo(
                    f"    line {hunk.ours_at} and {hunk.theirs_at}"
                    + (f", {plain(hunk.function)}" if hunk.function else "")
                )
                for mark, lines in (("<", hunk.ours), (">", hunk.theirs)):
                    for line in lines[:HUNK_LINES]:
                        echo(f"      {mark} {plain(line)}")
                    if len(lines) > HUNK_LINES:
                        echo(f"      {mark} … {len(lines) - HUNK_LINES} more")
    if not found.conflicts:
        echo(f"no conflicts: {found.pairs} pairs, {found.tried} of them with something in common")
    if found.order:
        echo(
            f"merge into {plain(base)} in this order: "
            + ", ".join(plain(ref.name) + (f" ({number} to settle)" if number else "") for ref, number in found.order)
        )


def _events_to_record(
    node: Node, found: list[Conflict], actor: str, checked: list[Ref], names: dict[str, str]
) -> list[Draft]:
    """Return the events to record. Branches have the remote's names, as in the leader's events on the same conflict."""
    from gitcoord.code import conflict_events
    from gitcoord.features import conflicts
    from gitcoord.node.operations import submit

    shared, refs = conflict_events.shared(found, checked, names)
    new_events = conflicts.news(
        submit.context(node, actor).state("conflicts"),
        conflict_events.to_payloads(shared),
        conflict_events.names_of(refs),
    )
    return submit.drafted(node, new_events, actor)


def _record(node: Node, drafts: list[Draft]) -> None:
    for one in drafts:
        node.append(one, on_secret=OnSecret.HIDE)
        tell("recorded", one.content)
    if drafts:
        with contextlib.suppress(GitcoordError):  # the events are queued, and the next round pushes them
            node.sync()
