"""Reports on tasks: the events that a worker writes about its attempts. None is void, and none has a secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gitcoord.core.errors import Refused
from gitcoord.core.fields import REASON_CHARS_MAX
from gitcoord.core.names import same_agent
from gitcoord.core.text import cut
from gitcoord.node.node import Node
from gitcoord.node.operations import submit

TEXTS = ("reason", "result", "text")  # fields of a task's events with the text of a command or a person


@dataclass(frozen=True, slots=True)
class Reports:
    """Writes the events of one agent about its tasks."""

    node: Node
    agent: str

    def record(self, task: str, type_: str, words: str, data: Mapping[str, Any], *, to: tuple[str, ...] = ()) -> None:
        """Queue an event. If its title or the output looks like a credential, leave that text out."""
        plain = f"{self.agent}: {type_.replace('_', ' ')}"
        try:
            self._append(task, type_, words, data, to)
        except Refused:
            try:
                self._append(task, type_, plain, data, to)
            except Refused as wrong:
                kept = {
                    name: f"not shown: {wrong}" if name in TEXTS else value
                    for name, value in data.items()
                    if not isinstance(value, list)
                }
                self._append(task, type_, plain, kept, to)

    def _append(self, task: str, type_: str, words: str, data: Mapping[str, Any], to: tuple[str, ...]) -> None:
        draft = self.node.draft(type_, words, actor=self.agent, re=task, data=data, to=to)
        submit.check_data(self.node, draft)  # a void event would leave the task at work forever
        self.node.append(draft)

    def waiting(self) -> dict[str, int]:
        """Return by task id the attempts of which an event is still in the queue: they are not to be begun again."""
        reported: dict[str, int] = {}
        for event in self.node.disk.pending():
            attempt = event.data.get("attempt")
            if same_agent(event.actor, self.agent) and event.term is None and event.re and type(attempt) is int:
                reported[event.re] = max(attempt, reported.get(event.re, 0))
        return reported


def reason_with(reason: str, where: str) -> str:
    """Return a reason with the place of the work ("": none), cut to REASON_CHARS_MAX."""
    return cut(f"{reason}; {where}" if where else reason, REASON_CHARS_MAX)
