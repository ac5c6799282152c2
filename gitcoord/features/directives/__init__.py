"""Directives: orders to the fleet or to some agents. Each agent reports on its part; a plan covers its failure.

An agent fails if it reports so, if it is gone or has left, or if it does not acknowledge a directive in time.
"""

from __future__ import annotations

from gitcoord.features.directives import commands, duties, events, state

EVENTS = events.EVENTS
AUTHORITY = events.AUTHORITY
WHOSE = state.WHOSE
COMMANDS = commands.COMMANDS
State = state.State
fold = state.fold
duty = duties.duty
