"""Errors, named for whose fault they are. Each says what happened and what to do next.

Exit codes are made from them once, at the edge (`gitcoord.cli.main`).
"""

from __future__ import annotations


class GitcoordError(Exception):
    """Any failure that a user is told of. `exit_code` is what the command line ends with."""

    exit_code = 1


class Refused(GitcoordError):
    """The caller asked for something that cannot be: wrong words, too large, not allowed."""

    exit_code = 2


class Lost(GitcoordError):
    """Somebody else was first: a claim, an election, or a second run of one agent."""

    exit_code = 3


class NoEffect(Lost):
    """The event has its place in the ledger, and it changed nothing there; says why."""


class NotConfirmed(GitcoordError):
    """The event is safe on the local disk, but did not reach the asked level in time."""

    exit_code = 4


class Unreachable(GitcoordError):
    """The remote did not answer. What was queued goes out when it does."""

    exit_code = 4


class BadCredentials(GitcoordError):
    """The remote knows us not, or no longer."""

    exit_code = 5


class Denied(GitcoordError):
    """The remote answered and will not: permission, a hook, a protected ref."""

    exit_code = 1


class Corrupt(GitcoordError):
    """Data on disk or on the remote is not what gitcoord wrote there."""

    exit_code = 6


class ForeignLedger(Corrupt):
    """What lies on the ledger's branch is no ledger of the fleet that this clone belongs to."""


class Oversized(Corrupt):
    """An object is larger than what it stands for can be; it was not read."""


class Paused(GitcoordError):
    """Writing to the local disk failed; nothing is attempted until a person resumes."""

    exit_code = 1
