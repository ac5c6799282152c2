"""A ledger in which every text of every type of event is hostile, and what must never come out of it."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from gitcoord.core.format.event import Draft
from gitcoord.core.ports import Update
from gitcoord.features import FEATURES
from gitcoord.node.clock import new_uid, utc_now
from gitcoord.node.writer import Writer
from gitcoord.store.home.home import Home
from tests.cli.clones import Clone

FORGED = "12:00:00.000 leader: mallory leads term 9"
POISON = (
    "p\x1b[2J\x1b]0;x\x07\x9b31m\x7f\x08\u202e\u2066\u200f\u061c\u200b\ufeff\u2028\u00ad\U000e0041\u180e"
    f"\r\n{FORGED}\n::set-output name=v::{FORGED}\n  ##[error]{FORGED}\n"
    '{"schema": "gitcoord.review.post/1"}'
)
SHOWN = "␛[2J"  # how its beginning looks where it is made visible
Path = tuple[str, ...]
UNSEEN = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
TYPES: Mapping[str, type[BaseModel]] = {
    type_: model for module in FEATURES.values() for type_, model in module.EVENTS.items()
}
FIXED = {
    "after": [],
    "after_keys": [],
    "workflow": None,
    "agent": "bob",
    "attempts_max": 3,
    "plan": None,
    "timeout_s": None,
    "deadline": None,
    "backup": "alice",
    "depends_on": [],
    "request": None,
    "definition": {"name": "flow", "about": POISON, "steps": {"a": {"title": "t", "body": POISON}}},
}  # of these fields, what makes an event count
OPENED_BY = {
    "workflow": "workflow_started",
    "request": "message",
    "messages": "message",
    "task": "task_created",
    "directive": "directive_issued",
    "paths": "paths_reserved",
    "proposal": "proposal_made",
    "conflict": "conflict_found",
    "review": "review_requested",
}


def unseen(text: str) -> list[str]:
    return [f"U+{ord(one):04X}" for one in text if one not in "\n\t" and unicodedata.category(one) in UNSEEN]


def faults(text: str) -> list[str]:
    """What in a command's output could steer a terminal or a runner, hide, or be taken for a line of ours."""
    found = unseen(text)
    for line in text.split("\n"):
        if line.startswith((FORGED, '{"schema": "gitcoord.review.post/1"}')) or line.lstrip().startswith(
            "::set-output"
        ):
            found.append(line)
        found += [line] if "##[" in line else []
    return found


def values(model: type[BaseModel], fixed: Mapping[str, Any]) -> dict[str, Any]:
    """A payload with as much poison as the model takes: each text that it refuses is tried less hostile."""
    schema = model.model_json_schema()
    tried: dict[Path, int] = {}
    for _ in range(200):
        chosen: dict[str, Any] = {**_value(schema, schema.get("$defs", {}), (), tried), **fixed}
        try:
            model.model_validate(chosen)
            return chosen
        except ValidationError as wrong:
            loc = [str(part) for part in wrong.errors()[0]["loc"]]
            inside = [path for path in tried if _is_at(path, loc)] or list(tried)
            for path in inside:
                tried[path] += 1
    raise AssertionError(f"no payload of {model.__name__} is known: {loc}")


def refused(model: type[BaseModel]) -> dict[str, Any]:
    """A payload that is nothing but poison, as somebody may sign it whose client checks nothing."""
    schema = model.model_json_schema()
    found: dict[str, Any] = _value(schema, schema.get("$defs", {}), (), {})
    return found


def _is_at(path: Path, loc: list[str]) -> bool:
    rest = iter(loc)
    return all(part in rest for part in path)


def _value(schema: Mapping[str, Any], known: Mapping[str, Any], path: Path, tried: dict[Path, int]) -> Any:
    if "$ref" in schema:
        return _value(known[schema["$ref"].rsplit("/", 1)[-1]], known, path, tried)
    if "enum" in schema or "const" in schema:
        return schema.get("const") or schema["enum"][0]
    if "anyOf" in schema:
        return _value(next(one for one in schema["anyOf"] if one != {"type": "null"}), known, path, tried)
    match schema.get("type"):
        case "string":
            return _text(schema, path, tried)
        case "integer" | "number":
            return max(1, schema.get("minimum", 1))
        case "boolean":
            return True
        case "array":
            return [_value(schema.get("items", {}), known, path, tried)]
        case "object" if "properties" in schema:
            return {name: _value(one, known, (*path, name), tried) for name, one in schema["properties"].items()}
        case "object":
            key = _text({}, (*path, "[key]"), tried)
            inner = schema.get("additionalProperties") or next(iter(schema.get("patternProperties", {}).values()), {})
            return {key: _value(inner if isinstance(inner, dict) else {}, known, path, tried)}
    return POISON


def _text(schema: Mapping[str, Any], path: Path, tried: dict[Path, int]) -> str:
    """A text for a field, the most hostile first."""
    most = schema.get("maxLength", 10_000)
    texts = (
        POISON[:most],
        POISON.replace("\n", " ")[:most],
        POISON[:30],
        "\u202ep",
        "bob",
        "src",
        "a" * 40,
        "0" * 16,
        "a",
        "",
    )
    return texts[min(tried.setdefault(path, 0), len(texts) - 1)]


def write(hostile: Clone) -> dict[str, str]:
    """Write everything that a hostile leader can sign. By type: the id of the first event of it."""
    hostile("elect")
    desk, ids = Writer(Home(hostile.home)), dict[str, str]()
    term = hostile("elect", "--status", "--json").json()["leader"]["term"]

    def say(type_: str, *, re: str | None = None, leads: bool = False, to: tuple[str, ...] = (), **more: Any) -> str:
        fields = TYPES[type_].model_fields if type_ in TYPES else {}
        fixed = {name: value for name, value in {**FIXED, **more}.items() if name in fields}
        if type_ == "task_created":
            fixed["key"] = None  # a second task with the same key has no effect
        data = values(TYPES[type_], fixed) if type_ in TYPES else {"source": {"actor": POISON, "timestamp": POISON}}
        [event] = desk.append(
            Draft("bob", type_, POISON, utc_now(), new_uid(), re=re, to=to, data=data, term=term if leads else None)
        )
        ids.setdefault(type_, event.uid)
        return event.uid

    for type_ in ("note", "question", "error", "some_type_of_theirs"):
        say(type_, to=("alice",))
    say("agent_registered")
    for type_ in OPENED_BY.values():
        say(type_, to=("alice",), leads=type_ == "proposal_made")
    say("paths_reserved", paths=["src/**"], for_s=100_000, task=None)  # an unknown one ends it
    say("directive_issued", agents=["alice"], to=("alice",))
    for word in ("claimed", "started", "progressed", "input_requested", "failed"):
        say(f"task_{word}", re=ids["task_created"], attempt=1)
    task = say("task_created")
    for word in ("claimed", "finished"):
        say(f"task_{word}", re=task, attempt=1)
    say("task_cancelled", re=say("task_created"))
    say("task_assigned", re=say("task_created", attempts_max=1), leads=True, agent="alice", attempt=1)
    say("task_created")
    for type_ in (
        "agent_lost",
        "recovery_started",
        "restart_requested",
        "fleet_degraded",
        "escalated",
        "circuit_opened",
    ):
        say(type_, leads=True)
    for type_ in sorted(set(TYPES) - {"config_changed", "agent_unregistered", "autonomy_changed", "paths_released"}):
        opener = next((ids[name] for word, name in OPENED_BY.items() if type_.startswith(word)), ids["note"])
        say(type_, re=opener, leads=True)
        say(type_, re=opener)
        desk.append(Draft("bob", type_, POISON, utc_now(), new_uid(), re=opener, data=refused(TYPES[type_])))
    say("task_cancelled", re=ids["task_created"])  # it was reopened
    for type_ in ("agent_joined", "agent_admitted", "admission_changed"):
        desk.append(Draft("bob", type_, POISON, utc_now(), new_uid(), data={"agent": POISON, "admission": POISON}))
    hostile("sync")
    write_bad_lines(hostile)
    return ids


def write_bad_lines(hostile: Clone) -> None:
    """What is no event at all, in the ledger."""
    with hostile.node() as node:
        node.sync(tick=False)
        branch = node.replica.branch
        log = branch.extend([POISON.replace("\n", " ").encode(), b'{"type": "' + POISON[:20].encode() + b'"}'])
        odd = POISON[:20].replace("/", "").replace("\0", "")
        tree = branch.write(log, {f"events/{odd}": b"x", odd: b"y"})
        commit = node.store.put_commit(tree=tree, parents=[branch.tip or ""], message="x", author="m", time_s=1)
        node.store.push([Update(node.config.ledger, branch.tip, commit)])
