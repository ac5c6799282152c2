"""Reservations: a party asks the others to keep out of some paths for a while; the first one in the ledger has them.

A reservation ends when ledger time says so, or when the leader has seen its span pass: the clock of an agent that wants
the paths does not count. Reservations are advice: only the hook that a clone has chosen to run stops a commit. A party
is an agent in a work tree, so two work trees of one clone are two parties.
"""

from __future__ import annotations

from gitcoord.features.reservations import commands, state

EVENTS = state.EVENTS
AUTHORITY = state.AUTHORITY
WHOSE = state.WHOSE
COMMANDS = commands.COMMANDS
State = state.State
fold = state.fold
duty = state.duty
