"""Tasks: each is created once, worked on by one agent at a time, and finished once, or released for another agent.

Each try of an agent at a task is a numbered attempt. A report on an older attempt is recorded without effect, so a
task is done once in effect, even if an agent that was taken for dead comes back.
"""

from __future__ import annotations

from collections.abc import Mapping

from gitcoord.core.commands import Command, Query
from gitcoord.features.tasks import attempts, changes, claimable, duties, events, state, stored
from gitcoord.features.tasks.commands import COMMANDS as ACTIONS
from gitcoord.features.tasks.editing import COMMANDS as EDITING
from gitcoord.features.tasks.queries import QUERIES

EVENTS = events.EVENTS
AUTHORITY = events.AUTHORITY
WHOSE = changes.WHOSE
COMMANDS: Mapping[str, Command | Query] = {**ACTIONS, **EDITING, **QUERIES, **claimable.QUERIES}
NEXT = attempts.NEXT
State = state.State
fold = changes.fold
duty = duties.duties
release_all = duties.release_all
dump = stored.dump
load = stored.load
