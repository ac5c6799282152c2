"""Directives: orders to the fleet or to some agents. Each agent answers for its part, and a plan covers its failure.

An agent fails if it says so, if it is gone or has left, or if it does not acknowledge in time what it must acknowledge.
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
