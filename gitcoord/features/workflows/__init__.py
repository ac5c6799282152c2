"""Workflows: graphs of tasks; the leader creates a step's tasks when the step is due, so a run outlives any agent."""

from __future__ import annotations

from gitcoord.features.workflows import commands, duties, events, state

EVENTS = events.EVENTS
AUTHORITY = events.AUTHORITY
WHOSE = state.WHOSE
COMMANDS = commands.COMMANDS
State = state.State
fold = state.fold
duty = duties.duty
