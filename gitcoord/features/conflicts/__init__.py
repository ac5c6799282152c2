"""Conflicts: branches that conflict, found by trial merges before anybody merges, and closed when they no longer do.

A check of branches (`gitcoord conflict check --record`, or the leader at intervals) records all conflicts among the
branches that were checked. A recorded conflict of two of these branches that is not found again is closed.
"""

from __future__ import annotations

from gitcoord.features.conflicts import commands, events, state

EVENTS = events.EVENTS
AUTHORITY = events.AUTHORITY
WHOSE = state.WHOSE
COMMANDS = commands.COMMANDS
State = state.State
fold = state.fold
between = state.between
news = state.news
