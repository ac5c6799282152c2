"""The options of `agent run`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gitcoord.node.agent.event_handler import ATTEMPTS
from gitcoord.node.guards import Component
from gitcoord.node.tasks.worker import WorkerConfig


@dataclass(slots=True)
class RunOptions:
    """The options of `agent run`."""

    agents: Sequence[str]
    on_event: str | None = None
    reply: bool = False
    attempts: int = ATTEMPTS  # of `on_event` at one event
    pass_env: Sequence[str] = ()  # variables that commands get although they look like credentials
    work: WorkerConfig | None = None
    capabilities: Sequence[str] = ()
    drain_s: float = 0.0  # after a request to stop: how long work in progress may take, before it is given back
    lead: bool = True
    once: bool = False
    shared: bool = False  # by servers that tell their own places
    takeover: bool = False
    for_s: float | None = None
    say: Callable[[str, str], None] = lambda kind, text: None
    wait_for_credentials: bool = False  # in the first round; later rounds always wait
    components: Sequence[Component] = ()  # from the layers above, such as GitHub's
    heartbeat_extras: Callable[[], Mapping[str, Any]] = dict  # fields that the components add to heartbeats
