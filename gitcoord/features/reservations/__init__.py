"""Reservations: a party asks the others to keep out of some paths for a while; the first one in the ledger wins.

A reservation ends when ledger time passes its end, or when the leader has measured its span: the clock of an agent that
wants the paths does not count. One that belongs to a task or a branch ends with it. Reservations are advice: only a
pre-commit hook, if the clone has it, stops a commit. A party is an agent in a work tree, so two work trees of one clone
are two parties.
"""

from __future__ import annotations

from gitcoord.features.reservations import commands, endings, state

EVENTS = state.EVENTS
AUTHORITY = state.AUTHORITY
WHOSE = state.WHOSE
COMMANDS = commands.COMMANDS
State = state.State
fold = state.fold
duty = endings.duty
