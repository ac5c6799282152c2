"""The board: who does what, on which branch, since when; tasks, reservations, conflicts, and the newest messages.

It is computed from the ledger alone, so that each machine writes the same page. Times are ledger time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from gitcoord.core import times
from gitcoord.core.commands import FleetView
from gitcoord.core.text import cut
from gitcoord.features.conflicts.events import SEVERITIES
from gitcoord.features.pages.markdown import inline
from gitcoord.features.reservations import endings
from gitcoord.features.tasks.queries import blocked
from gitcoord.features.tasks.state import CREATED, DONE, FAILED, HELD, INPUT_REQUIRED, READY, STATUSES, Task
from gitcoord.features.typed import PRIORITIES

BOARD = "board.md"
ROWS_MAX = 20  # of each section: the page is an overview, the commands list all
PATHS_SHOWN = 5
TITLE_SHOWN = 120  # characters
WORDS_SHOWN = 200

ContentAt = Callable[[int], str]
"""A function from a position to the content of its event."""


def compose(fleet: FleetView, content_at: ContentAt | None) -> dict[str, Any]:
    """Return the board as JSON values. Without `content_at` it has no messages."""
    states = fleet.states
    tasks: Mapping[str, Task] = states["tasks"].tasks
    working = [tasks[uid] for held in states["tasks"].held.values() for uid in held]
    working.sort(key=lambda one: (one.last.since, one.id))
    by_status = {status: [one for one in tasks.values() if one.status == status] for status in STATUSES}
    by_status[READY].sort(key=lambda one: (PRIORITIES.index(one.priority), one.ready_position, one.id))
    by_status[CREATED].sort(key=lambda one: (one.created, one.id))
    now = fleet.time.now
    held = [
        one
        for one in states["reservations"].held.values()
        if one.until > now and not endings.of_task(one, states["tasks"])
    ]
    found = sorted(states["conflicts"].open.values(), key=lambda one: -SEVERITIES.index(one.severity))
    busy = {one.last.agent.casefold() for one in working}
    agents = [one for key, one in sorted(states["agents"].agents.items()) if key not in busy]
    return {
        "position": fleet.position,
        "as_of": now,
        "leader": fleet.terms.leader,
        "counts": {status: len(rows) for status, rows in by_status.items() if rows},
        "working": [_work(one, tasks) for one in working[:ROWS_MAX]],
        "free": [{"agent": one.id, "status": one.status} for one in agents[:ROWS_MAX]],
        "ready": [_task(one, tasks) for one in by_status[READY][:ROWS_MAX]],
        "blocked": [_task(one, tasks) for one in by_status[CREATED][:ROWS_MAX]],
        "done": [_task(one, tasks) for one in _newest(by_status[DONE])],
        "failed": [_task(one, tasks) for one in _newest(by_status[FAILED])],
        "reservations": [
            {"agent": one.agent, "paths": one.paths[:PATHS_SHOWN], "until": one.until, "why": one.why}
            for one in held[:ROWS_MAX]
        ],
        "conflicts": [
            {
                "id": one.id,
                "severity": one.severity,
                "a": one.a.name,
                "b": one.b.name,
                "agents": list(dict.fromkeys(tip.agent for tip in (one.a, one.b) if tip.agent)),
                "files": [place.path for place in one.paths[:PATHS_SHOWN]],
                "since": one.since,
            }
            for one in found[:ROWS_MAX]
        ],
        "words": _words(fleet, content_at),
        "more": {
            name: most
            for name, number in (
                ("working", len(working)),
                ("free", len(agents)),
                ("ready", len(by_status[READY])),
                ("blocked", len(by_status[CREATED])),
                ("reservations", len(held)),
                ("conflicts", len(found)),
            )
            if (most := number - ROWS_MAX) > 0
        },
    }


def _newest(tasks: list[Task]) -> list[Task]:
    return sorted(tasks, key=lambda one: (one.over, one.id), reverse=True)[: ROWS_MAX // 2]


def _work(task: Task, tasks: Mapping[str, Task]) -> dict[str, Any]:
    asks = blocked(task, tasks) if task.status == INPUT_REQUIRED else ""
    return {**_task(task, tasks), "agent": task.last.agent, "since": task.last.since, "share": task.share, "asks": asks}


def _task(task: Task, tasks: Mapping[str, Task]) -> dict[str, Any]:
    value = {
        "id": task.id,
        "title": cut(task.title, TITLE_SHOWN),
        "status": task.status,
        "priority": task.priority,
        "agent": task.agent,
        "branch": task.branch,
        "pull_request": task.pull_request,
        "deadline": task.deadline,
        "overdue": task.overdue,
        "blocked": blocked(task, tasks) if task.status not in HELD else "",
        "over": task.over,
        "reason": cut(task.reason, WORDS_SHOWN),
    }
    return {name: one for name, one in value.items() if one not in (None, "", False)}


def _words(fleet: FleetView, content_at: ContentAt | None) -> list[dict[str, Any]]:
    """Return the newest messages, the newest first."""
    if content_at is None:
        return []
    newest = [*fleet.states["messages"].messages.values()][-ROWS_MAX // 2 :]
    rows = []
    for one in reversed(newest):
        rows.append(
            {
                "from": one.author,
                "to": [*one.to.values()],
                "type": one.type,
                "at": one.at,
                "text": cut(content_at(one.position).strip(), WORDS_SHOWN),
            }
        )
    return rows


# As text: `escape` makes text of others harmless where it is shown


Escape = Callable[[str], str]


def sections(board: Mapping[str, Any], escape: Escape) -> Iterator[tuple[str, list[str]]]:
    """Yield the sections of the board that are not empty: a title, and a line for each row."""
    yield "At work", [_working_line(one, escape) for one in board["working"]] or ["nobody has a task"]
    parts = {
        "Free": [f"{escape(one['agent'])}: {one['status']}" for one in board["free"]],
        "Conflicts": [_conflict_line(one, escape) for one in board["conflicts"]],
        "Ready": [_task_line(one, escape) for one in board["ready"]],
        "Blocked": [f"{_task_line(one, escape)}: {escape(one.get('blocked', ''))}" for one in board["blocked"]],
        "Reserved": [_reserved_line(one, escape) for one in board["reservations"]],
        "Done": [
            f"{_task_line(one, escape)}, by {escape(one.get('agent', ''))}, {times.shown(one['over'])}"
            f"{_where(one, escape)}"
            for one in board["done"]
        ],
        "Failed": [
            f"{_task_line(one, escape)}, {times.shown(one['over'])}: {escape(one.get('reason', ''))}"
            for one in board["failed"]
        ],
        "Newest words": [_words_line(one, escape) for one in board["words"]],
    }
    names = {"At work": "working", "Reserved": "reservations"}
    for title, rows in parts.items():
        more = board["more"].get(names.get(title, title.casefold()), 0)
        if rows:
            yield title, [*rows, *([f"… and {more} more"] if more else [])]


def _working_line(one: Mapping[str, Any], escape: Escape) -> str:
    share = f", {one['share']:.0%}" if one["share"] else ""
    late = ", overdue" if "overdue" in one else ""
    asks = f": {escape(one['asks'])}" if one["asks"] else ""
    status = f"{one['status']} since {times.shown(one['since'])}{share}{late}"
    return (
        f"{escape(one['agent'])}: {escape(one['title'])} ({escape(one['id'][:8])}), {status}{_where(one, escape)}{asks}"
    )


def _where(one: Mapping[str, Any], escape: Escape) -> str:
    branch = f", on {escape(one['branch'])}" if "branch" in one else ""
    return branch + (f", pull request {one['pull_request']}" if "pull_request" in one else "")


def _task_line(one: Mapping[str, Any], escape: Escape) -> str:
    return f"{escape(one['title'])} ({escape(one['id'][:8])}, {one['priority']})"


def _reserved_line(one: Mapping[str, Any], escape: Escape) -> str:
    why = f": {escape(one['why'])}" if one["why"] else ""
    return f"{escape(one['agent'])}: {_all(one['paths'], escape)} until {times.shown(one['until'])}{why}"


def _conflict_line(one: Mapping[str, Any], escape: Escape) -> str:
    whose = f" of {_all(one['agents'], escape)}" if one["agents"] else ""
    since = f"{one['severity']}, since {times.shown(one['since'])}"
    return f"{escape(one['a'])} and {escape(one['b'])}{whose} in {_all(one['files'], escape)} ({since})"


def _words_line(one: Mapping[str, Any], escape: Escape) -> str:
    to = f" to {_all(one['to'][:PATHS_SHOWN], escape)}" if one["to"] else ""
    return f"{escape(one['from'])}{to}, {escape(one['type'])}, {times.shown(one['at'])}: {escape(one['text'])}"


def _all(texts: Sequence[str], escape: Escape) -> str:
    return ", ".join(map(escape, texts))


def markdown(fleet: FleetView, content_at: ContentAt) -> str:
    """Return the page `board.md`."""
    board = compose(fleet, content_at)
    counts = ", ".join(f"{number} {status}" for status, number in board["counts"].items()) or "no tasks yet"
    leader = inline(board["leader"]) if board["leader"] else "nobody"
    lines = [
        "# Board",
        "",
        f"Ledger position {board['position']} · {times.shown(board['as_of'])} · led by {leader} · {counts} · "
        "the conversations: [communication.md](communication.md)",
        "",
    ]
    for title, rows in sections(board, lambda text: inline(text, most=WORDS_SHOWN)):
        lines += [f"## {title}", "", *(f"- {row}" for row in rows), ""]
    return "\n".join(lines)
