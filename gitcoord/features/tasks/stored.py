"""The state of tasks as JSON values, for a checkpoint, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from gitcoord.features.tasks.state import STATUSES, Attempt, Heard, State, Task
from gitcoord.features.typed import PRIORITIES

_BLANK = Task("", "", "", "")
_BLANK_ATTEMPT = Attempt("", "")
_TASK_FIELDS = [one.name for one in fields(Task)]
_ATTEMPT_FIELDS = [one.name for one in fields(Attempt)]


def dump(state: State) -> Any:
    """Return the state as JSON values, only with what differs from a blank task: a command may read 10,000 of them."""
    over = [state.tasks[uid] for uid in state.over]
    still_open = [task for task in state.tasks.values() if task.id not in state.over]
    return {
        "open": [_dump_task(task) for task in still_open],
        "over": [_dump_task(task) for task in over],
        "heard": {agent: [*one] for agent, one in state.heard.items()},
        "speeds": {agent: {name: [*one] for name, one in known.items()} for agent, known in state.speeds.items()},
        "keys": {author: {**known} for author, known in state.keys.items()},
    }


def _dump_task(task: Task) -> dict[str, Any]:
    value = {
        name: [*one] if isinstance(one, list) else one
        for name in _TASK_FIELDS
        if (one := getattr(task, name)) != getattr(_BLANK, name)
    }
    if task.attempts:
        value["attempts"] = [
            {name: text for name in _ATTEMPT_FIELDS if (text := getattr(one, name)) != getattr(_BLANK_ATTEMPT, name)}
            for one in task.attempts
        ]
    return value


def load(value: Any) -> State:
    """Load what `dump` wrote. Raise KeyError, TypeError or ValueError otherwise: a checkpoint comes from others."""
    state = State(
        speeds={
            str(agent): {str(name): [int(count), float(mean_s)] for name, (count, mean_s) in known.items()}
            for agent, known in value["speeds"].items()
        },
        keys={
            str(author): {str(key): str(uid) for key, uid in known.items()} for author, known in value["keys"].items()
        },
    )
    for one in [*value["over"], *value["open"]]:
        _check(one, _TASK_KINDS)
        task = Task(**one)
        if task.status not in STATUSES or task.priority not in PRIORITIES:
            raise ValueError(f"task {task.id} is {task.status}, {task.priority}")
        attempts = one.get("attempts", ())
        for attempt in attempts:
            _check(attempt, _ATTEMPT_KINDS)
        task.attempts = [Attempt(**attempt) for attempt in attempts]
        state.put(task)
    state.heard = {
        str(agent): Heard(str(at), int(position), str(written), bool(ended))
        for agent, (at, position, written, ended) in value["heard"].items()
    }
    if state.heard.keys() != state.held.keys():
        raise ValueError("agents that have tasks, and those that were heard, differ")
    return state


def _check(value: Mapping[str, Any], kinds: Mapping[str, tuple[type, ...]]) -> None:
    for name, one in value.items():
        inner = _LISTS.get(name)
        if type(one) not in kinds[name] or (inner is not None and not all(type(item) is inner for item in one)):
            raise ValueError(f"{name} is {one!r}")


_LISTS = {"needs": str, "after": str, "waits": str, "artifacts": str, "labels": str, "comments": int}
_ATTEMPT_KINDS: Mapping[str, tuple[type, ...]] = {
    name: (type(getattr(_BLANK_ATTEMPT, name)),) for name in _ATTEMPT_FIELDS
}
_TASK_KINDS: Mapping[str, tuple[type, ...]] = {
    **{name: (type(getattr(_BLANK, name)),) for name in _TASK_FIELDS},
    "deadline": (str,),
    "timeout_s": (float, int),
    "preferred": (str,),
    "workflow": (dict,),
    "pull_request": (int,),
    "share": (float, int),
}
