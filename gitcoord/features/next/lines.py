"""Lines: the answer of `gitcoord next` as text for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gitcoord.core import times
from gitcoord.core.text import Place, count, fit

COMMANDS = (
    "gitcoord reserve PATH...",
    "gitcoord task progress {id} 0.5 'what is done'",
    "gitcoord task finish {id} RESULT",
)


def lines(answer: Mapping[str, Any]) -> Iterator[str]:
    """Yield the answer of `picture.compose` as lines for a terminal."""
    yield f"{answer['agent']}: {_plain(answer['do'])}"
    if "begin" in answer:
        yield from _begin(answer["begin"])
    if "unread" in answer:
        yield f"unread     {count(answer['unread'], 'message')} (`gitcoord inbox`)"
        for one in answer["messages"]:
            urgent = f" {one['priority']}" if one["priority"] != "MEDIUM" else ""
            waits = ", waits for an answer" if one.get("request") == "waiting" else ""
            head = f"{one['id'][:8]} {one['from']}, {times.shown(one['at'])}{urgent}, {one['type']}{waits}"
            yield _plain(f"  {head}: {one.get('text', '')}")
    for name, title in (("holds", "yours"), ("assigned", "assigned")):
        for one in answer.get(name, ()):
            yield _plain(f"{title:<10} {one['id'][:8]} {one['title']} ({_held(one)})")
    for one in answer.get("reservations", ()):
        place = "" if one["here"] else ", from another place"
        yield _plain(f"{'reserved':<10} {', '.join(one['paths'])} until {times.shown(one['until'])}{place}")
    for one in answer.get("conflicts", ()):
        whose = f"{one['of']}'s " if one["of"] else ""
        more = f" and {one['more']} more" if one["more"] else ""
        words = f"{one['branch']} and {whose}{one['with']} in {', '.join(one['files'])}{more} ({one['severity']})"
        yield _plain(f"{'conflict':<10} {one['id'][:8]} {words}")
    for one in answer.get("tasks", ()):
        yield _plain(f"{'task':<10} {one['id'][:8]} {one['title']} ({one['why']})")
        yield from _holders(one)
    if "more_tasks" in answer:
        yield f"{'':<10} {answer['more_tasks']} more: `gitcoord ready`"
    for words in answer.get("not_for_me", ()):
        yield _plain(f"{'not yours':<10} {words}")


def _begin(task: Mapping[str, Any]) -> Iterator[str]:
    yield _plain(f"{'task':<10} {task['id'][:8]} {task['title']} ({task['priority']}, attempt {task['attempt']})")
    for line in str(task.get("body", "")).splitlines():
        yield _plain(f"  {line}")
    for one in task.get("before", ()):
        made = f" [{', '.join(one['artifacts'])}]" if one["artifacts"] else ""
        yield _plain(f"{'after':<10} {one['id'][:8]} {one['title']}: {one['result'] or 'done'}{made}")
    for one in task.get("earlier", ()):
        work = f"; work {one['work']}" if "work" in one else ""
        yield _plain(f"{'earlier':<10} {one['agent']} {one['outcome']}: {one['reason'] or 'no reason given'}{work}")
    yield from _holders(task)
    for number, command in enumerate(COMMANDS):
        yield f"{'' if number else 'run':<10} {command.format(id=task['id'][:8])}"


def _holders(one: Mapping[str, Any]) -> Iterator[str]:
    for held in one.get("held", ()):
        why = f" ({held['why']})" if held["why"] else ""
        yield _plain(f"{'':<10} {held['agent']} has {', '.join(held['paths'])} until {times.shown(held['until'])}{why}")


def _held(one: Mapping[str, Any]) -> str:
    words = [one["status"], f"since {times.shown(one['since'])}"]
    words += [f"{one['share']:.0%} done"] if "share" in one else []
    words += [f"{name} {times.shown(one[name])}" for name in ("until", "deadline") if name in one]
    words += [f"goes back in {times.roughly(one['lease_left_s'])}"] if "lease_left_s" in one else []
    words += [f"on {one['branch']}"] if "branch" in one else []
    return ", ".join([*words, *(["overdue"] if "overdue" in one else []), *([one["text"]] if "text" in one else [])])


def _plain(text: str) -> str:
    return fit(text, Place.LINE)
