"""Messages: from an agent to one, several or all agents, or to those with a capability; each reads them in order.

The agents with a capability are determined when the message is sent. A message to all agents is one event.
"""

from __future__ import annotations

from gitcoord.features.messages import commands, events, state

EVENTS = events.EVENTS
AUTHORITY = events.AUTHORITY
COMMANDS = commands.COMMANDS
State = state.State
fold = state.fold
duty = state.duty
